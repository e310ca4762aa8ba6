"""What a hospital may give, and what the receipt says."""

from __future__ import annotations

import pytest

DAY = 86_400
HMB, DS = 2, 3
GS, IRB, NCU = 1 << 7, 1 << 6, 1 << 16
ZERO = "0x" + "00" * 20


def test_mint_keeps_the_terms(consents, member, terms, researcher):
    given = terms(
        grantee=str(researcher),
        permission=DS,
        mondo=5148,
        modifiers=GS | IRB | NCU,
        region=250,
        epsilon_budget_micro=2**64 - 1,
    )
    tx = consents.mint(given, {"from": member.admin})

    assert tx.return_value == 1
    assert consents.consentCount() == 1
    kept = consents.consent(1)
    assert tuple(kept["terms"]) == tuple(given)
    assert (kept["hospitalId"], kept["roundsUsed"], kept["revoked"]) == (member.id, 0, False)
    event = tx.events["ConsentMinted"]
    assert (event["consentId"], event["hospitalId"], event["datasetId"]) == (1, member.id, given.dataset_id)
    assert tuple(event["terms"]) == tuple(given)
    assert tx.events["Locked"] == {"tokenId": 1}


def test_the_receipt_goes_to_the_grantee(consents, mint, researcher):
    assert consents.ownerOf(mint(grantee=str(researcher))) == researcher


def test_the_receipt_goes_to_the_admin_when_anyone_may_use_it(consents, mint, member):
    assert consents.ownerOf(mint()) == member.admin


def test_mint_refuses_the_dataset_of_another_hospital(consents, terms, dataset_id, other_member, reverts):
    with reverts("NotYourDataset", dataset_id, other_member.id):
        consents.mint(terms(), {"from": other_member.admin})


def test_mint_refuses_an_unknown_dataset(consents, member, terms, reverts):
    with reverts("UnknownDataset", 99):
        consents.mint(terms(dataset_id=99), {"from": member.admin})


def test_mint_refuses_the_operator(consents, member, terms, reverts):
    with reverts("NotAdmin", member.operator):
        consents.mint(terms(), {"from": member.operator})


def test_a_suspended_hospital_mints_nothing(consents, hospitals, member, owner, terms, reverts):
    hospitals.suspend(member.id, {"from": owner})
    with reverts("Suspended", member.id):
        consents.mint(terms(), {"from": member.admin})


@pytest.mark.parametrize(
    "contradiction",
    [
        {"mondo": 5148},
        {"permission": DS},
        {"region": 250},
        {"modifiers": GS},
        {"modifiers": 1 << 17},
        {"modifiers": 1 << 31},
        {"max_rounds": 0},
        {"expires_at": 0},
    ],
    ids=str,
)
def test_terms_that_contradict_themselves_are_refused(consents, member, terms, reverts, contradiction):
    with reverts("BadTerms"):
        consents.mint.call(terms(**contradiction), {"from": member.admin})


def test_an_expiry_must_lie_ahead(consents, chain, member, terms, reverts):
    now = chain.time() + DAY
    chain.mine(timestamp=now)
    with reverts("BadTerms"):
        consents.mint.call(terms(expires_at=now), {"from": member.admin})
    assert consents.mint.call(terms(expires_at=now + 1), {"from": member.admin}) == 1


@pytest.mark.parametrize("unknown", [0, 2, 2**32 - 1])
def test_an_unknown_consent_is_refused_by_name(consents, mint, member, consumer, purpose, reverts, unknown):
    mint()
    with reverts("UnknownConsent", unknown):
        consents.consent(unknown)
    with reverts("UnknownConsent", unknown):
        consents.check(unknown, member.id, purpose())
    with reverts("UnknownConsent", unknown):
        consents.use.call(unknown, member.id, purpose(), 0, {"from": consumer})
    with reverts("UnknownConsent", unknown):
        consents.revoke.call(unknown, {"from": member.admin})
