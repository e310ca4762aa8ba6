"""Consents: minted, signed, revoked, and the same reasons on and off the chain."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from protocol.chain import duo
from protocol.chain.consents import (
    ANYONE,
    Consents,
    Purpose,
    SignedTerms,
    Terms,
    reasons_against,
    require_sound,
)
from protocol.chain.development import DevSigner
from protocol.chain.duo import Permission
from protocol.errors import AccountError, InvalidInput, Refused

from .conftest import DAY, World, signer_of, terms_of

RESEARCHER = signer_of("researcher").address
PURPOSE = Purpose(RESEARCHER, Permission.HMB, 0, 0, 0)


def test_reads_back_what_was_minted(world: World) -> None:
    dataset_id = world.register(1)
    chain = world.as_("admin-1")
    consents = Consents(chain)
    terms = terms_of(
        chain, dataset_id, permission=Permission.DS, mondo=5148, modifiers=duo.bits(["GS", "IRB"]), region=756
    )
    receipt = consents.mint(terms)
    assert receipt.event("ConsentMinted").args["hospitalId"] == 1
    found = consents.consent(1)
    assert (found.terms, found.hospital_id, found.rounds_used, found.revoked) == (terms, 1, 0, False)
    assert isinstance(found.terms.permission, Permission)
    assert consents.consents([1, 1]) == [found, found]
    assert consents.count() == 1
    assert consents.ids_of_dataset(dataset_id) == [1]
    assert consents.epsilon_spent_micro(dataset_id) == 0


def test_revoking_is_for_good(world: World) -> None:
    first, second = world.consent(1), world.consent(1)
    consents = Consents(world.as_("admin-1"))
    assert consents.live([first, second]) == 0b11
    consents.revoke(first)
    assert consents.live([first, second]) == 0b10
    assert consents.consent(first).revoked
    with pytest.raises(Refused, match=f"Consent {first} was revoked; it can never be used again"):
        consents.revoke(first)
    with pytest.raises(Refused, match="no consent 99"):
        consents.consent(99)
    with pytest.raises(Refused, match="was not given by hospital 2"):
        Consents(world.as_("admin-2")).revoke(second)


def test_a_signature_is_good_once_for_anyone_who_carries_it(world: World, tmp_path: Path) -> None:
    """Invariant 9."""
    chain = world.as_("admin-1")
    terms = terms_of(chain, world.register(1), grantee=RESEARCHER)
    signed = Consents(chain).sign(terms, chain.now() + DAY)
    assert signed.nonce == 0
    signed.save(tmp_path / "consent.json")
    carried = SignedTerms.load(tmp_path / "consent.json")
    assert carried == signed

    others = Consents(world.as_("stranger"))
    receipt = others.mint_by_signature(carried)
    assert receipt.event("ConsentMinted").args["hospitalId"] == 1
    assert others.consent(1).terms == terms
    with pytest.raises(Refused) as refusal:
        others.mint_by_signature(carried)
    assert refusal.value.name == "BadSignature"


def test_signatures_end_with_their_deadline_or_when_the_admin_cancels(world: World) -> None:
    chain = world.as_("admin-1")
    consents = Consents(chain)
    terms = terms_of(chain, world.register(1))
    late = consents.sign(terms, chain.now() - 1)
    with pytest.raises(Refused, match="The signature was good until"):
        consents.mint_by_signature(late)
    signed = consents.sign(terms, chain.now() + DAY)
    consents.cancel_signatures()
    with pytest.raises(Refused, match="used already"):
        consents.mint_by_signature(signed)
    assert consents.nonce(chain.signer.address) == 1


@pytest.mark.parametrize(
    "change", [{"max_rounds": 11}, {"grantee": RESEARCHER}, {"permission": Permission.GRU}]
)
def test_a_signature_is_over_these_terms_alone(world: World, change: dict[str, Any]) -> None:
    chain = world.as_("admin-1")
    consents = Consents(chain)
    signed = consents.sign(terms_of(chain, world.register(1)), chain.now() + DAY)
    with pytest.raises(Refused) as refusal:
        consents.mint_by_signature(replace(signed, terms=replace(signed.terms, **change)))
    assert refusal.value.name == "BadSignature"


def test_a_signature_for_elsewhere_is_refused_before_it_is_sent(world: World) -> None:
    chain = world.as_("admin-1")
    consents = Consents(chain)
    signed = consents.sign(terms_of(chain, world.register(1)), chain.now() + DAY)
    for change in ({"chain_id": 1}, {"contract": world.deployment.address("RewardPool")}):
        with pytest.raises(InvalidInput, match="The signature is for contract"):
            consents.mint_by_signature(replace(signed, **change))


def test_signing_needs_the_key_itself(world: World) -> None:
    terms = terms_of(world.chain, 1)
    for signer in (None, DevSigner(signer_of("admin-1").address)):
        with pytest.raises(AccountError, match="admin's own key"):
            Consents(world.chain.with_signer(signer)).sign(terms, 1)


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"terms": 1}'])
def test_refuses_a_file_without_signed_terms(tmp_path: Path, text: str) -> None:
    (tmp_path / "consent.json").write_text(text)
    with pytest.raises(InvalidInput, match="holds no signed terms"):
        SignedTerms.load(tmp_path / "consent.json")


CASES = [
    ({}, {}, None),
    ({"permission": Permission.NRES}, {}, None),
    ({"permission": Permission.HMB}, {"permission": Permission.DS, "mondo": 5148}, None),
    ({"permission": Permission.HMB}, {"permission": Permission.GRU}, "PurposeNotAllowed"),
    ({"permission": Permission.DS, "mondo": 5148}, {"permission": Permission.DS, "mondo": 5148}, None),
    (
        {"permission": Permission.DS, "mondo": 5148},
        {"permission": Permission.DS, "mondo": 1},
        "DiseaseNotAllowed",
    ),
    ({"grantee": RESEARCHER}, {}, None),
    ({"grantee": signer_of("stranger").address}, {}, "NotGrantee"),
    ({"modifiers": duo.bits(["PUB", "NCU"])}, {"pledges": duo.bits(["PUB", "NCU", "IRB"])}, None),
    ({"modifiers": duo.bits(["PUB", "NCU"])}, {"pledges": duo.bits(["PUB"])}, "PledgesMissing"),
    ({"modifiers": duo.bits(["GS"]), "region": 756}, {"pledges": duo.bits(["GS"]), "region": 756}, None),
    (
        {"modifiers": duo.bits(["GS"]), "region": 756},
        {"pledges": duo.bits(["GS"]), "region": 250},
        "RegionNotAllowed",
    ),
]


@pytest.mark.parametrize(("allowed", "asked", "refused"), CASES)
def test_off_the_chain_the_answer_is_the_contracts(
    world: World, allowed: dict[str, Any], asked: dict[str, Any], refused: str | None
) -> None:
    consent_id = world.consent(1, **allowed)
    consents = Consents(world.chain)
    purpose = replace(PURPOSE, **asked)
    reasons = reasons_against(consents.consent(consent_id).terms, purpose)
    if refused is None:
        consents.check(consent_id, 1, purpose)
        assert reasons == []
    else:
        with pytest.raises(Refused) as refusal:
            consents.check(consent_id, 1, purpose)
        assert refusal.value.name == refused
        assert len(reasons) == 1


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"mondo": 1}, "a disease goes with"),
        ({"permission": Permission.DS}, "a disease goes with"),
        ({"region": 756}, "a region goes with"),
        ({"modifiers": duo.bits(["GS"])}, "a region goes with"),
        ({"modifiers": 1 << 20}, "unknown"),
        ({"expires_at": 5}, "expiry"),
        ({"max_rounds": 0}, "no rounds"),
    ],
)
def test_unsound_terms_are_refused_here_and_on_the_chain(
    world: World, change: dict[str, Any], reason: str
) -> None:
    chain = world.as_("admin-1")
    terms = replace(terms_of(chain, world.register(1)), **change)
    with pytest.raises(InvalidInput, match=reason):
        require_sound(terms, chain.now())
    with pytest.raises(Refused) as refusal:
        Consents(chain).mint(terms)
    assert refusal.value.name == "BadTerms"


def test_sound_terms_are_let_through() -> None:
    require_sound(Terms(1, ANYONE, Permission.GRU, 0, 0, 0, 100, 1, 0), now=99)
    with pytest.raises(InvalidInput, match="not an address"):
        require_sound(Terms(1, "nobody", Permission.GRU, 0, 0, 0, 100, 1, 0), now=99)
