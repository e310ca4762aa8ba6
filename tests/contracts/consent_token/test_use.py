"""No update without a live, matching consent (invariant 2), and a dead one stays dead (invariant 4)."""

from __future__ import annotations

import pytest

DAY = 86_400
GRU, HMB, DS = 1, 2, 3


def test_use_counts_a_round(consents, consumer, member, mint, purpose):
    consent_id = mint(max_rounds=3)
    tx = consents.use(consent_id, member.id, purpose(), 0, {"from": consumer})

    assert tx.events["ConsentUsed"] == {"consentId": consent_id, "roundsUsed": 1}
    assert "EpsilonSpent" not in tx.events
    assert consents.consent(consent_id)["roundsUsed"] == 1


def test_only_an_allowed_consumer_uses_consents(
    consents, consumer, member, mint, owner, purpose, stranger, reverts
):
    consent_id = mint()
    for account in (stranger, member.admin, member.operator, owner):
        with reverts("NotConsumer", account):
            consents.use.call(consent_id, member.id, purpose(), 0, {"from": account})
    assert consents.isConsumer(consumer)

    tx = consents.setConsumer(consumer, False, {"from": owner})

    assert tx.events["ConsumerSet"] == {"consumer": consumer, "allowed": False}
    assert not consents.isConsumer(consumer)
    with reverts("NotConsumer", consumer):
        consents.use(consent_id, member.id, purpose(), 0, {"from": consumer})


def test_another_hospital_cannot_use_it(consents, consumer, mint, other_member, purpose, reverts):
    """Invariant 2: authority follows the hospital's id."""
    consent_id = mint()
    with reverts("NotYourConsent", consent_id, other_member.id):
        consents.use(consent_id, other_member.id, purpose(), 0, {"from": consumer})


def test_a_purpose_that_does_not_match_is_refused(consents, consumer, member, mint, purpose, reverts):
    """Invariant 2: `use` and `check` give the same reason (the table of reasons is in test_duo.py)."""
    consent_id = mint()
    with reverts("PurposeNotAllowed", consent_id, HMB, GRU):
        consents.use(consent_id, member.id, purpose(permission=GRU), 0, {"from": consumer})
    with reverts("PurposeNotAllowed", consent_id, HMB, GRU):
        consents.check(consent_id, member.id, purpose(permission=GRU))
    assert consents.consent(consent_id)["roundsUsed"] == 0


def test_a_consent_is_used_up_after_its_rounds(consents, consumer, member, mint, purpose, reverts):
    consent_id = mint(max_rounds=2)
    for _ in range(2):
        consents.use(consent_id, member.id, purpose(), 0, {"from": consumer})
    with reverts("ConsentExhausted", consent_id, 2):
        consents.use(consent_id, member.id, purpose(), 0, {"from": consumer})
    with reverts("ConsentExhausted", consent_id, 2):
        consents.check(consent_id, member.id, purpose())
    assert consents.live([consent_id]) == 0


def test_revoke_ends_it_at_once_and_for_good(consents, chain, consumer, member, mint, purpose, reverts):
    """Invariant 4."""
    consent_id = mint()
    tx = consents.revoke(consent_id, {"from": member.admin})

    assert tx.events["ConsentRevoked"] == {"consentId": consent_id, "hospitalId": member.id}
    assert consents.consent(consent_id)["revoked"]
    assert consents.live([consent_id]) == 0
    with reverts("ConsentIsRevoked", consent_id):
        consents.use(consent_id, member.id, purpose(), 0, {"from": consumer})
    with reverts("ConsentIsRevoked", consent_id):
        consents.revoke(consent_id, {"from": member.admin})
    chain.mine(timestamp=chain.time() + 365 * DAY)
    with reverts("ConsentIsRevoked", consent_id):
        consents.check(consent_id, member.id, purpose())


def test_revoke_is_for_the_admin_of_its_hospital(
    consents, member, mint, other_member, stranger, owner, reverts
):
    consent_id = mint()
    with reverts("NotYourConsent", consent_id, other_member.id):
        consents.revoke(consent_id, {"from": other_member.admin})
    for account in (member.operator, stranger, owner):
        with reverts("NotAdmin", account):
            consents.revoke.call(consent_id, {"from": account})


def test_the_receipt_holder_cannot_revoke(consents, mint, researcher, reverts):
    """Authority never follows `ownerOf`."""
    consent_id = mint(grantee=str(researcher))
    with reverts("NotAdmin", researcher):
        consents.revoke(consent_id, {"from": researcher})


def test_a_suspended_hospital_may_still_revoke(consents, hospitals, member, mint, owner):
    consent_id = mint()
    hospitals.suspend(member.id, {"from": owner})
    consents.revoke(consent_id, {"from": member.admin})
    assert consents.consent(consent_id)["revoked"]


def test_a_new_admin_revokes_what_the_old_one_gave(consents, hospitals, member, mint, owner, spare, reverts):
    consent_id = mint()
    hospitals.replaceAdmin(member.id, spare[0], {"from": owner})
    with reverts("NotAdmin", member.admin):
        consents.revoke(consent_id, {"from": member.admin})
    consents.revoke(consent_id, {"from": spare[0]})


def test_it_expires_at_the_second_that_it_names(consents, chain, consumer, member, mint, purpose, reverts):
    """Invariant 4."""
    expires_at = chain.time() + DAY
    consent_id = mint(expires_at=expires_at)
    chain.mine(timestamp=expires_at - 1)
    consents.check(consent_id, member.id, purpose())
    assert consents.live([consent_id]) == 1
    chain.mine(timestamp=expires_at)
    with reverts("ConsentExpired", consent_id, expires_at):
        consents.check(consent_id, member.id, purpose())
    assert consents.live([consent_id]) == 0
    with reverts("ConsentExpired", consent_id, expires_at):
        consents.use(consent_id, member.id, purpose(), 0, {"from": consumer})


def test_live_sets_one_bit_a_consent(consents, chain, consumer, member, mint, purpose):
    good, revoked, spent, expired = (
        mint(),
        mint(),
        mint(max_rounds=1),
        mint(expires_at=chain.time() + DAY),
    )
    consents.revoke(revoked, {"from": member.admin})
    consents.use(spent, member.id, purpose(), 0, {"from": consumer})
    chain.mine(timestamp=chain.time() + 2 * DAY)

    unknown = 99
    assert consents.live([good, revoked, spent, expired, unknown, 0, good]) == 0b1000001
    assert consents.live([]) == 0
    assert consents.live([unknown] * 255 + [good]) == 1 << 255


def test_live_takes_no_more_ids_than_bits(consents, reverts):
    with reverts("TooManyConsents", 257):
        consents.live([1] * 257)


@pytest.mark.parametrize("count", [1, 5])
def test_use_writes_one_slot(consents, consumer, member, mint, purpose, count):
    """The hot path of every submit: 16,000 gas beside the transaction itself."""
    consent_id = mint()
    for _ in range(count):
        tx = consents.use(consent_id, member.id, purpose(), 0, {"from": consumer})
    assert [step["op"] for step in tx.trace].count("SSTORE") == 1
    assert tx.gas_used <= 21_000 + 16_000
