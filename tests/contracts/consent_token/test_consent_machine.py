"""A Python twin of consents and the epsilon ledger, driven beside the contract (invariants 2, 3, 4, 7, 9)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

HOUR = 3_600
NRES, GRU, HMB, DS = range(4)
PUB, IRB, GS, NCU = 1 << 4, 1 << 6, 1 << 7, 1 << 16
ALL_MODIFIERS = (1 << 17) - 1
ZERO = "0x" + "00" * 20
DISEASES = (0, 5148, 4975)


@dataclass
class Twin:
    """A consent as it should be."""

    terms: Any
    hospital: Any
    holder: Any
    used: int = 0
    revoked: bool = False


hospital_indices = st.integers(0, 1)
choices = st.integers(0, 7)
permissions = st.integers(NRES, DS)
modifier_sets = st.sampled_from((0, PUB, GS, IRB | NCU, ALL_MODIFIERS + 1))
totals = st.sampled_from((0, 1, 500, 1_000, 1_001))


class Consents(RuleBasedStateMachine):
    """Rules are what people may try, in any order; each says beforehand what the contract must answer.

    Consents expire at half past, and time goes by in whole hours, so the seconds that a test takes decide nothing.
    """

    chain: Any
    consents: Any
    members: list[Any]
    datasets_of: dict[int, Any]
    consumer: Any
    researchers: tuple[Any, Any]
    terms: Any
    purpose: Any
    reverts: Any
    given: list[tuple[Any, Any]]

    def __init__(self):
        super().__init__()
        self.start = self.chain[-1].timestamp
        self.hours = 0
        self.twins = {
            i + 1: Twin(terms, hospital, hospital.admin) for i, (terms, hospital) in enumerate(self.given)
        }
        self.spent = dict.fromkeys(self.datasets_of, 0)
        self.dead = set()

    # What the contract must answer, first reason first.

    def _now(self):
        return self.start + self.hours * HOUR

    def _refusal_of_use(self, consent_id, hospital, wanted, total):
        twin = self.twins.get(consent_id)
        if twin is None:
            return ("UnknownConsent", consent_id)
        terms = twin.terms
        if twin.hospital is not hospital:
            return ("NotYourConsent", consent_id, hospital.id)
        if twin.revoked:
            return ("ConsentIsRevoked", consent_id)
        if self._now() >= terms.expires_at:
            return ("ConsentExpired", consent_id, terms.expires_at)
        if twin.used >= terms.max_rounds:
            return ("ConsentExhausted", consent_id, terms.max_rounds)
        if terms.grantee not in (ZERO, wanted.researcher):
            return ("NotGrantee", consent_id, terms.grantee, wanted.researcher)
        if wanted.permission < terms.permission:
            return ("PurposeNotAllowed", consent_id, terms.permission, wanted.permission)
        if terms.permission == DS and wanted.mondo != terms.mondo:
            return ("DiseaseNotAllowed", consent_id, terms.mondo, wanted.mondo)
        if terms.modifiers & ~wanted.pledges:
            return ("PledgesMissing", consent_id, terms.modifiers & ~wanted.pledges)
        if terms.modifiers & GS and wanted.region != terms.region:
            return ("RegionNotAllowed", consent_id, terms.region, wanted.region)
        spent = self.spent[terms.dataset_id]
        if total and total < spent:
            return ("EpsilonFalls", terms.dataset_id, spent, total)
        if total > terms.epsilon_budget_micro:
            return ("EpsilonExceeded", consent_id, terms.epsilon_budget_micro, total)
        return None

    def _refusal_of_mint(self, hospital, terms):
        if self.datasets_of[terms.dataset_id] is not hospital:
            return ("NotYourDataset", terms.dataset_id, hospital.id)
        sound = (
            (terms.mondo != 0) == (terms.permission == DS)
            and (terms.region != 0) == bool(terms.modifiers & GS)
            and terms.modifiers <= ALL_MODIFIERS
            and terms.expires_at > self._now()
            and terms.max_rounds > 0
        )
        return None if sound else ("BadTerms",)

    def _try(self, refusal, function, *args):
        if refusal is None:
            function(*args)
        else:
            # A call gives the same answer as a transaction, and spares the trace that Brownie takes of a revert.
            with self.reverts(*refusal):
                function.call(*args)

    # Rules.

    @rule(
        by=hospital_indices,
        choice=choices,
        permission=permissions,
        modifiers=modifier_sets,
        named=st.booleans(),
        hours=st.integers(0, 12),
        rounds=st.integers(0, 3),
        budget=totals,
    )
    def mint(self, by, choice, permission, modifiers, named, hours, rounds, budget):
        hospital = self.members[by]
        # One try in eight is spoilt, one is for another's dataset, the others are sound.
        spoilt, misplaced = choice == 7, choice == 6
        terms = self.terms(
            dataset_id=list(self.datasets_of)[1 - by if misplaced else by],
            grantee=str(self.researchers[0]) if named else ZERO,
            permission=permission,
            mondo=DISEASES[1] if (permission == DS) != spoilt else 0,
            modifiers=modifiers if spoilt else modifiers & ALL_MODIFIERS,
            region=250 if modifiers & GS else 0,
            expires_at=self._now() + hours * HOUR + HOUR // 2,
            max_rounds=rounds if spoilt else max(1, rounds),
            epsilon_budget_micro=budget,
        )
        refusal = self._refusal_of_mint(hospital, terms)
        self._try(refusal, self.consents.mint, terms, {"from": hospital.admin})
        if refusal is None:
            holder = self.researchers[0] if named else hospital.admin
            self.twins[len(self.twins) + 1] = Twin(terms, hospital, holder)

    @rule(choice=choices, total=totals)
    def use(self, choice, total):
        """What a job does that the consent was given for."""
        consent_id = self._some(choice)
        twin = self.twins.get(consent_id)
        hospital = self.members[0] if twin is None else twin.hospital
        wanted = self.purpose(researcher=str(self.researchers[0]))
        if twin is not None:
            wanted = wanted._replace(
                permission=twin.terms.permission,
                mondo=twin.terms.mondo,
                pledges=twin.terms.modifiers,
                region=twin.terms.region,
            )
        self._use(consent_id, hospital, wanted, total)

    @rule(
        by=hospital_indices,
        choice=choices,
        permission=permissions,
        disease=st.sampled_from(DISEASES),
        pledges=st.sampled_from((0, PUB, ALL_MODIFIERS)),
        region=st.sampled_from((0, 250)),
        named=st.booleans(),
        total=totals,
    )
    def use_for_anything(self, by, choice, permission, disease, pledges, region, named, total):
        wanted = self.purpose(
            researcher=str(self.researchers[0 if named else 1]),
            permission=permission,
            mondo=disease,
            pledges=pledges,
            region=region,
        )
        self._use(self._some(choice), self.members[by], wanted, total)

    @rule(by=st.integers(0, 3), choice=choices)
    def revoke(self, by, choice):
        consent_id = self._some(choice)
        twin = self.twins.get(consent_id)
        hospital = twin.hospital if twin is not None and by > 1 else self.members[by % 2]
        refusal = None
        if twin is None:
            refusal = ("UnknownConsent", consent_id)
        elif twin.hospital is not hospital:
            refusal = ("NotYourConsent", consent_id, hospital.id)
        elif twin.revoked:
            refusal = ("ConsentIsRevoked", consent_id)
        self._try(refusal, self.consents.revoke, consent_id, {"from": hospital.admin})
        if refusal is None:
            twin.revoked = True

    @rule(choice=choices)
    def move(self, choice):
        """Invariant 7."""
        consent_id = choice % len(self.twins) + 1
        holder = self.twins[consent_id].holder
        with self.reverts("Soulbound", consent_id):
            self.consents.transferFrom.call(holder, self.researchers[1], consent_id, {"from": holder})

    @rule(hours=st.integers(1, 6))
    def wait(self, hours):
        self.hours += hours
        self.chain.mine(timestamp=self._now())

    def _some(self, choice):
        """An id: one that exists, or at 7 the next."""
        return choice % len(self.twins) + 1 if choice < 7 else len(self.twins) + 1

    def _use(self, consent_id, hospital, wanted, total):
        refusal = self._refusal_of_use(consent_id, hospital, wanted, total)
        self._try(refusal, self.consents.use, consent_id, hospital.id, wanted, total, {"from": self.consumer})
        if refusal is None:
            twin = self.twins[consent_id]
            twin.used += 1
            if total:
                self.spent[twin.terms.dataset_id] = total

    # Invariants. Each rule foretells its outcome, so the whole state is compared once, at the end.

    @invariant()
    def the_dead_stay_dead(self):
        """Invariant 4."""
        ids = list(self.twins)
        mask = self.consents.live(ids)
        live = {consent_id for i, consent_id in enumerate(ids) if mask >> i & 1}
        assert not live & self.dead
        self.dead |= set(ids) - live
        assert live == {
            consent_id
            for consent_id, twin in self.twins.items()
            if not twin.revoked and self._now() < twin.terms.expires_at and twin.used < twin.terms.max_rounds
        }

    def teardown(self):
        # Invariant 3: the twin's ledger only rises, and only within budgets.
        for dataset_id, spent in self.spent.items():
            assert self.consents.epsilonSpentMicro(dataset_id) == spent
        assert self.consents.consentCount() == len(self.twins)
        for consent_id, twin in self.twins.items():
            kept = self.consents.consent(consent_id)
            assert tuple(kept["terms"]) == tuple(twin.terms)
            assert kept["hospitalId"] == twin.hospital.id
            assert (kept["roundsUsed"], kept["revoked"]) == (twin.used, twin.revoked)
            # Invariant 7.
            assert self.consents.ownerOf(consent_id) == twin.holder


def test_consents_behave_as_their_twin(
    run_machine, chain, consents, members, register, consumer, researcher, stranger, terms, purpose, reverts
):
    datasets_of = {register(hospital): hospital for hospital in members[:2]}
    given = []
    for dataset_id, hospital in datasets_of.items():
        for rounds in (2, 9):
            sound = terms(dataset_id=dataset_id, max_rounds=rounds, epsilon_budget_micro=1_000)
            consents.mint(sound, {"from": hospital.admin})
            given.append((sound, hospital))
    run_machine(
        Consents,
        chain=chain,
        consents=consents,
        members=members[:2],
        datasets_of=datasets_of,
        consumer=consumer,
        researchers=(researcher, stranger),
        terms=terms,
        purpose=purpose,
        reverts=reverts,
        given=given,
    )
