"""The verifier: re-checks a model version from chain and IPFS alone, with no key and no permission.

It trusts the chain to have run the contracts, and nothing else: every document and vector is fetched by its digest and
matched, every merge is computed again from the updates, every update is held against a consent that was live and
matching at its place in the chain, and the vote, the release and the payments are followed to the last unit.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import reduce

import numpy as np

from protocol.chain.client import Chain
from protocol.chain.consents import Purpose, Terms, reasons_against
from protocol.chain.enums import ModelStatus
from protocol.chain.events import Event, events
from protocol.chain.models import Models
from protocol.content import canonical, digests, vectors
from protocol.content.cid import to_cid
from protocol.content.ipfs import Ipfs
from protocol.content.vectors import VectorRef
from protocol.errors import ContentError, InvalidInput, LearningError, SalusError
from protocol.learning.merge import merge
from protocol.proposal import differences
from protocol.record import JobRecord, Merge, Update
from protocol.spec import JobSpec


@dataclass
class Check:
    """One thing that must hold, and what it rests on. A check with children holds when all of them do."""

    name: str
    ok: bool = True
    detail: str = ""
    children: list[Check] = field(default_factory=list)

    def add(self, name: str, ok: bool = True, detail: str = "") -> Check:
        """Adds a check below this one."""
        child = Check(name, ok, detail)
        self.children.append(child)
        return child

    @property
    def holds(self) -> bool:
        return self.ok and all(child.holds for child in self.children)

    def failures(self) -> list[Check]:
        """The innermost checks that do not hold."""
        below = [failure for child in self.children for failure in child.failures()]
        return below if below or self.ok else [self]

    def count(self) -> int:
        """How many things were checked: the innermost ones."""
        return sum(child.count() for child in self.children) or 1

    def as_dict(self) -> dict[str, object]:
        return {
            "name": self.name,
            "ok": self.holds,
            "detail": self.detail,
            "checks": [child.as_dict() for child in self.children],
        }


@dataclass
class ConsentLife:
    """A consent's events: its terms, when it was minted, used and revoked."""

    hospital_id: int
    terms: Terms
    minted: Event
    revoked: Event | None = None
    uses: list[Event] = field(default_factory=list)

    def reasons_against(self, at: Event, timestamp: int, hospital_id: int, purpose: Purpose) -> list[str]:
        """Why it did not allow an update at this place in the chain; empty when it did."""
        reasons = []
        if self.hospital_id != hospital_id:
            reasons.append(f"given by hospital {self.hospital_id}")
        if at.place < self.minted.place:
            reasons.append("minted later")
        if self.revoked and self.revoked.place < at.place:
            reasons.append("revoked before")
        if timestamp >= self.terms.expires_at:
            reasons.append("expired before")
        if sum(use.place < at.place for use in self.uses) >= self.terms.max_rounds:
            reasons.append("used more often than allowed")
        return reasons + reasons_against(self.terms, purpose)


def trace(
    chain: Chain,
    ipfs: Ipfs,
    model_id: int,
    version: int,
    progress: Callable[[str], None] = lambda _line: None,
) -> Check:
    """Re-checks a version and its lineage down to the base. Raises only when it cannot look: no chain, no version."""
    return _Tracer(chain, ipfs, progress).version(model_id, version)


class _Tracer:
    def __init__(self, chain: Chain, ipfs: Ipfs, progress: Callable[[str], None]) -> None:
        self.chain, self.ipfs, self.progress = chain, ipfs, progress
        self.head = chain.head()
        self.models = Models(chain)

    def _events(self, contract: str, names: list[str] | None = None, **indexed: object) -> list[Event]:
        return list(events(self.chain, contract, names, to_block=self.head, **indexed))

    def version(self, model_id: int, number: int) -> Check:
        """A version: its base, its job, its release."""
        stored = self.models.version(model_id, number)
        created = self._events("ModelRegistry", ["ModelCreated"], modelId=model_id)[0]
        root = Check(
            f"model {model_id} ({created.args['name']}), version {number}", detail=stored.status.name.lower()
        )
        added = self._events("ModelRegistry", ["VersionAdded"], modelId=model_id, version=number)
        root.add(
            "the record of the chain agrees with its events",
            len(added) == 1
            and added[0].args["jobId"] == stored.job_id
            and added[0].args["parent"] == stored.parent
            and (added[0].args["state"]["cid"], added[0].args["state"]["root"])
            == (stored.state.cid, stored.state.root),
        )
        ref = VectorRef(stored.state.cid, stored.state.root)
        if stored.status == ModelStatus.BASE or not stored.job_id:
            self._vector(root, "base state", ref, None)
            return root
        root.children.append(self.version(model_id, stored.parent))
        final = self._job(root, stored.job_id, ref)
        if final is not None:
            root.add("the version's state is the last merge of its job", final == ref, to_cid(ref.cid))
        self._release(root, model_id, number, stored.status)
        self._payments(root, stored.job_id)
        return root

    def _vector(self, parent: Check, name: str, ref: VectorRef, lanes: int | None) -> np.ndarray | None:
        """Fetches a vector and matches both of its digests."""
        try:
            x = vectors.get_vector(self.ipfs, ref, lanes)
        except (ContentError, LearningError) as error:
            parent.add(name, False, str(error))
            return None
        parent.add(name, True, f"{to_cid(ref.cid)}: {len(x):,} numbers match both digests")
        return x

    def _document(self, parent: Check, name: str, digest: bytes) -> bytes | None:
        """Fetches a document and matches its digest."""
        try:
            data = self.ipfs.fetch(digest, canonical.MAX_DOCUMENT_BYTES)
        except ContentError as error:
            parent.add(name, False, str(error))
            return None
        parent.add(name, True, to_cid(digest))
        return data

    def _job(self, parent: Check, job_id: int, outcome: VectorRef) -> VectorRef | None:
        """A job from its spec to its gate; returns the state of its last merge."""
        record, history = JobRecord(job_id), self._events("TrainingJobs", jobId=job_id)
        record.apply(history)
        self.chain.clock.read_timestamps(each.block for each in history if each.name == "UpdateSubmitted")
        node = parent.add(f"job {job_id}")
        spec = self._spec(node, record)
        if spec is None:
            return None
        base = self.models.version(record.proposal.model_id, record.proposal.base_version).state
        state = self._vector(node, "the state that it starts from", VectorRef(base.cid, base.root), None)
        consents = self._consents(record)
        self._enrolments(node, record, spec, consents)
        for number in range(1, record.proposal.rounds + 1):
            self.progress(f"job {job_id}, round {number} of {record.proposal.rounds}")
            state = self._round(node, record, spec, consents, number, state)
        self._outcome(node, record, outcome)
        last = record.round(record.proposal.rounds).merge
        return last.state if last else None

    def _spec(self, parent: Check, record: JobRecord) -> JobSpec | None:
        proposal = record.proposal
        data = self._document(parent, "the job spec is what the proposal names", proposal.spec_digest)
        if data is None:
            return None
        try:
            spec = JobSpec.parse(data)
        except SalusError as error:
            parent.add("the job spec is valid", False, str(error))
            return None
        differing = differences(spec, proposal)
        parent.add("the chain's terms are the spec's", not differing, "; ".join(differing))
        parent.add(
            f"privacy: {spec.privacy.mechanism}",
            True,
            "updates lie unmasked on IPFS" if spec.privacy.mechanism == "none" else "",
        )
        return spec

    def _consents(self, record: JobRecord) -> dict[int, ConsentLife]:
        lives: dict[int, ConsentLife] = {}
        for consent_id in {participant.consent_id for participant in record.participants.values()}:
            for event in self._events("ConsentToken", consentId=consent_id):
                if event.name == "ConsentMinted":
                    lives[consent_id] = ConsentLife(
                        event.args["hospitalId"], Terms.of(event.args["terms"]), event
                    )
                elif event.name == "ConsentRevoked":
                    lives[consent_id].revoked = event
                elif event.name == "ConsentUsed":
                    lives[consent_id].uses.append(event)
        return lives

    def _enrolments(
        self, parent: Check, record: JobRecord, spec: JobSpec, consents: dict[int, ConsentLife]
    ) -> None:
        node = parent.add(f"{len(record.participants)} hospitals enrolled with their own data")
        for hospital_id, participant in record.participants.items():
            versions = self._events(
                "DatasetRegistry", ["DatasetVersionRegistered"], datasetId=participant.dataset_id
            )
            pinned = next(
                (each for each in versions if each.args["version"] == participant.dataset_version), None
            )
            name = f"hospital {hospital_id}: dataset {participant.dataset_id}, version {participant.dataset_version}"
            if pinned is None or pinned.place > record.enrolments[hospital_id].place:
                node.add(name, False, "was not registered before it enrolled")
                continue
            content = pinned.args["content"]
            reasons = []
            if pinned.args["hospitalId"] != hospital_id:
                reasons.append(f"it belongs to hospital {pinned.args['hospitalId']}")
            if consents[participant.consent_id].terms.dataset_id != participant.dataset_id:
                reasons.append(f"consent {participant.consent_id} is for another dataset")
            if (content["trainRecords"], content["heldOutRecords"]) != (
                participant.train_records,
                participant.held_out_records,
            ):
                reasons.append("the counts pinned at enrolment are not the version's")
            if content["schemaDigest"] != spec.schema_digest:
                reasons.append("its schema is not the spec's")
            node.add(name, not reasons, "; ".join(reasons) or f"{content['trainRecords']} training records")

    def _round(
        self,
        parent: Check,
        record: JobRecord,
        spec: JobSpec,
        consents: dict[int, ConsentLife],
        number: int,
        state: np.ndarray | None,
    ) -> np.ndarray | None:
        """One round: its updates, their consents, the merge computed again, who attested; returns the next state."""
        rounds = record.round(number)
        node = parent.add(f"round {number}")
        posted = rounds.merge
        if posted is None:
            node.add("merged", False, "no merge stands")
            return None
        fetched = [
            self._update(
                node, record, consents[record.participants[update.hospital_id].consent_id], update, state
            )
            for update in rounds.merged_updates
        ]
        asked = set(record.members(rounds.attempts[posted.attempt].participants))
        came = {update.hospital_id for update in rounds.merged_updates}
        node.add(
            "every participant's update is merged, each once", asked == came and len(came) == len(fetched)
        )
        accumulator = reduce(
            lambda a, update: digests.accumulate(a, update.hospital_id, update.ref.cid, update.ref.root),
            rounds.merged_updates,
            digests.accumulator_start(record.job_id, number, posted.attempt),
        )
        digest = digests.merge_digest(
            record.job_id, number, posted.attempt, accumulator, posted.state.cid, posted.state.root
        )
        node.add("the merge's digest binds these updates to this state", digest == posted.digest)
        following = self._merge(node, spec, posted, fetched, state)
        self._attestations(node, record, posted, asked)
        return following

    def _update(
        self, parent: Check, record: JobRecord, consent: ConsentLife, update: Update, state: np.ndarray | None
    ) -> np.ndarray | None:
        participant = record.participants[update.hospital_id]
        timestamp = self.chain.timestamp(update.event.block)
        reasons = consent.reasons_against(
            update.event, timestamp, update.hospital_id, record.proposal.purpose
        )
        node = parent.add(f"update of hospital {update.hospital_id}")
        node.add(
            f"consent {participant.consent_id} was live and matched in block {update.event.block}",
            not reasons,
            "; ".join(reasons),
        )
        return self._vector(node, "bytes", update.ref, None if state is None else len(state))

    def _merge(
        self,
        parent: Check,
        spec: JobSpec,
        posted: Merge,
        updates: list[np.ndarray | None],
        state: np.ndarray | None,
    ) -> np.ndarray | None:
        lanes = None if state is None else len(state)
        claimed = self._vector(parent, "state", posted.state, lanes)
        if state is None or any(update is None for update in updates):
            parent.add("the merge, computed again", False, "the state before it or an update is missing")
            return claimed
        computed = merge(state, updates, spec.merge.server_step)
        same = vectors.reference(computed) == posted.state
        parent.add(
            "the merge, computed again", same, "the same bytes" if same else "another state than was posted"
        )
        return computed if same else claimed

    def _attestations(self, parent: Check, record: JobRecord, posted: Merge, asked: set[int]) -> None:
        needed = -(-2 * len(asked) // 3)
        attested = posted.attested & asked
        if len(attested) >= needed:
            parent.add("final", True, f"attested by {len(attested)} of {len(asked)}, {needed} are needed")
            return
        silent = (
            posted.final is not None
            and not posted.rejected
            and (
                self.chain.timestamp(posted.final.block)
                >= self.chain.timestamp(posted.event.block) + record.proposal.phases.check
            )
        )
        detail = f"attested by {len(attested)} of {len(asked)}; "
        parent.add(
            "final",
            silent,
            detail + ("its check window passed in silence" if silent else "never became final"),
        )

    def _outcome(self, parent: Check, record: JobRecord, outcome: VectorRef) -> None:
        """Reports, their documents, the gate, and the candidate that came of it."""
        node = parent.add("reports and gate")
        for report in record.reports.values():
            name = f"hospital {report.hospital_id}: {report.correct} of {report.total} right"
            participant = record.participants[report.hospital_id]
            document = self._document(node, name, report.metrics)
            node.add(f"{name}: on all of its held-out records", report.total == participant.held_out_records)
            if document is not None:
                try:
                    stated = canonical.loads(document)
                    same = (stated["correct"], stated["total"]) == (report.correct, report.total)
                    same = same and stated["state"] == to_cid(outcome.cid)
                except (InvalidInput, KeyError, TypeError):
                    same = False
                node.add(f"{name}: the metrics document says the same, of this state", same)
        correct = sum(report.correct for report in record.reports.values())
        total = sum(report.total for report in record.reports.values())
        ended = record.ended.args if record.ended and record.ended.name == "JobFinished" else {}
        node.add(
            "the job finished with the sum of its reports",
            bool(ended) and (ended["correct"], ended["total"]) == (correct, total),
            f"{correct} of {total}",
        )
        gate = record.proposal.gate_bps
        node.add(
            "the gate was passed",
            bool(ended.get("passed")) and correct * 10_000 >= gate * total and total > 0,
            f"{correct * 100 / max(total, 1):.2f} %, the gate is {gate / 100:.2f} %",
        )

    def _release(self, parent: Check, model_id: int, number: int, status: ModelStatus) -> None:
        """The DAO's vote, and that the release came out of it."""
        released = self._events("ModelRegistry", ["VersionReleased"], modelId=model_id, version=number)
        if not released:
            parent.add("release", status == ModelStatus.CANDIDATE, "not released: a candidate, or voted down")
            return
        node = parent.add("release")
        governor = self._events("SalusGovernor")
        executed = next(
            (
                each
                for each in governor
                if each.name == "ProposalExecuted" and each.tx_hash == released[0].tx_hash
            ),
            None,
        )
        if executed is None:
            node.add("by an executed proposal of the DAO", False, "released outside a proposal")
            return
        proposal_id = executed.args["proposalId"]
        tallies: dict[int, int] = defaultdict(int)
        for each in governor:
            if each.name in ("VoteCast", "VoteCastWithParams") and each.args["proposalId"] == proposal_id:
                tallies[each.args["support"]] += each.args["weight"]
        node.add(
            "by an executed proposal of the DAO",
            tallies[1] > tallies[0],
            f"for {tallies[1] / 1e18:,.0f}, against {tallies[0] / 1e18:,.0f}, abstained {tallies[2] / 1e18:,.0f} votes",
        )
        withdrawn = self._events("ModelRegistry", ["VersionWithdrawn"], modelId=model_id, version=number)
        node.add("not withdrawn since", not withdrawn, "the DAO has withdrawn it" if withdrawn else "")

    def _payments(self, parent: Check, job_id: int) -> None:
        """Invariant 1 for this job: what came in is what was credited, to the last unit."""
        node = parent.add("reward")
        pool = self._events("RewardPool", jobId=job_id)
        escrowed = [each for each in pool if each.name == "Escrowed"]
        settled = [each for each in pool if each.name == "Settled"]
        if len(escrowed) != 1 or len(settled) != 1:
            node.add("escrowed once and settled once", False)
            return
        amount = escrowed[0].args["amount"]
        hospitals = sum(
            each.args["payout"] + each.args["caregivers"] + each.args["patients"]
            for each in pool
            if each.name == "HospitalCredited"
        )
        accounts = sum(each.args["amount"] for each in pool if each.name == "AccountCredited")
        node.add(
            "credited to hospitals, DAO and researcher: what was escrowed",
            hospitals + accounts == amount,
            f"{hospitals} + {accounts} of {amount}",
        )
        self._claims(node, escrowed[0].args["token"])

    def _claims(self, parent: Check, token: str) -> None:
        """The whole pool in this token: paid out + still held = paid in, and the pool has what it holds."""
        everything = self._events("RewardPool")
        jobs = {
            each.args["jobId"]
            for each in everything
            if each.name == "Escrowed" and each.args["token"] == token
        }
        paid_in = sum(
            each.args["amount"]
            for each in everything
            if each.name == "Escrowed" and each.args["jobId"] in jobs
        )
        paid_out = sum(
            each.args["amount"]
            for each in everything
            if each.name in ("HospitalPaid", "AccountPaid") and each.args["token"] == token
        )
        held = self.chain.call("RewardPool", "heldOf", token)
        balance = self.chain.token_balance(token, self.chain.address("RewardPool"))
        parent.add(
            "paid out + still held = paid in",
            paid_out + held == paid_in and balance >= held,
            f"{paid_out} + {held} = {paid_in}",
        )
