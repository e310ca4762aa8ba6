"""The table of the Data Use Ontology: which purpose each consent allows (invariant 2)."""

from __future__ import annotations

import pytest

NRES, GRU, HMB, DS = range(4)
PUB, IRB, GS, NCU = 1 << 4, 1 << 6, 1 << 7, 1 << 16
HEART, OTHER_DISEASE = 5148, 4975
FRANCE, JAPAN = 250, 392

# Rows: what the consent says. Columns: what the job is for (NRES, GRU, HMB, DS heart, DS other).
PURPOSES = [(NRES, 0), (GRU, 0), (HMB, 0), (DS, HEART), (DS, OTHER_DISEASE)]
ALLOWED = {
    (NRES, 0): [True, True, True, True, True],
    (GRU, 0): [False, True, True, True, True],
    (HMB, 0): [False, False, True, True, True],
    (DS, HEART): [False, False, False, True, False],
}


@pytest.mark.parametrize("consent", list(ALLOWED), ids=["NRES", "GRU", "HMB", "DS"])
def test_permissions_allow_themselves_and_whatever_is_narrower(
    consents, member, dataset_id, mint, purpose, reverts, consent
):
    allowed, mondo = consent
    consent_id = mint(permission=allowed, mondo=mondo)
    for (asked, disease), passes in zip(PURPOSES, ALLOWED[consent], strict=True):
        wanted = purpose(permission=asked, mondo=disease)
        if passes:
            assert consents.check(consent_id, member.id, wanted) == dataset_id
        elif asked < allowed:
            with reverts("PurposeNotAllowed", consent_id, allowed, asked):
                consents.check(consent_id, member.id, wanted)
        else:
            with reverts("DiseaseNotAllowed", consent_id, mondo, disease):
                consents.check(consent_id, member.id, wanted)


MODIFIERS = [0, IRB, NCU, IRB | NCU, IRB | NCU | PUB]


@pytest.mark.parametrize("asked", MODIFIERS)
def test_every_modifier_must_be_pledged(consents, member, mint, purpose, reverts, asked):
    consent_id = mint(modifiers=asked)
    for pledged in MODIFIERS:
        missing = asked & ~pledged
        if missing:
            with reverts("PledgesMissing", consent_id, missing):
                consents.check(consent_id, member.id, purpose(pledges=pledged))
        else:
            consents.check(consent_id, member.id, purpose(pledges=pledged))


def test_each_bit_of_the_ontology_is_an_obligation_of_its_own(consents, member, mint, purpose, reverts):
    every = (1 << 17) - 1
    consent_id = mint(modifiers=every, region=FRANCE)
    consents.check(consent_id, member.id, purpose(pledges=every, region=FRANCE))
    for bit in range(17):
        with reverts("PledgesMissing", consent_id, 1 << bit):
            consents.check(consent_id, member.id, purpose(pledges=every ^ (1 << bit), region=FRANCE))


def test_a_region_binds_only_when_the_consent_names_one(consents, member, mint, purpose, reverts):
    anywhere = mint()
    in_france = mint(modifiers=GS, region=FRANCE)
    for region in (0, FRANCE, JAPAN):
        consents.check(anywhere, member.id, purpose(region=region))
    consents.check(in_france, member.id, purpose(pledges=GS, region=FRANCE))
    for region in (0, JAPAN):
        with reverts("RegionNotAllowed", in_france, FRANCE, region):
            consents.check(in_france, member.id, purpose(pledges=GS, region=region))


def test_a_grantee_binds_only_when_the_consent_names_one(
    consents, member, mint, purpose, researcher, stranger, reverts
):
    named = mint(grantee=str(researcher))
    consents.check(named, member.id, purpose())
    with reverts("NotGrantee", named, researcher, stranger):
        consents.check(named, member.id, purpose(researcher=str(stranger)))
    consents.check(mint(), member.id, purpose(researcher=str(stranger)))


def test_the_first_reason_is_given(
    consents, chain, member, other_member, mint, purpose, researcher, stranger, reverts
):
    """From who, to whether it lives, to what for: each mended in turn shows the next."""
    expires_at = chain.time() + 86_400
    consent_id = mint(
        grantee=str(researcher),
        permission=DS,
        mondo=HEART,
        modifiers=GS,
        region=FRANCE,
        expires_at=expires_at,
    )
    wanted = purpose(researcher=str(stranger), permission=HMB, region=JAPAN)
    mended = [
        (("NotGrantee", consent_id, researcher, stranger), {"researcher": str(researcher)}),
        (("PurposeNotAllowed", consent_id, DS, HMB), {"permission": DS}),
        (("DiseaseNotAllowed", consent_id, HEART, 0), {"mondo": HEART}),
        (("PledgesMissing", consent_id, GS), {"pledges": GS}),
        (("RegionNotAllowed", consent_id, FRANCE, JAPAN), {"region": FRANCE}),
    ]
    for error, change in mended:
        with reverts(*error):
            consents.check(consent_id, member.id, wanted)
        wanted = wanted._replace(**change)
    consents.check(consent_id, member.id, wanted)

    chain.mine(timestamp=expires_at)
    with reverts("ConsentExpired", consent_id, expires_at):
        consents.check(consent_id, member.id, wanted)
    consents.revoke(consent_id, {"from": member.admin})
    with reverts("ConsentIsRevoked", consent_id):
        consents.check(consent_id, member.id, wanted)
    with reverts("NotYourConsent", consent_id, other_member.id):
        consents.check(consent_id, other_member.id, wanted)
