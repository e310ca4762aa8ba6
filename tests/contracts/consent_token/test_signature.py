"""A consent by the admin's signature: good once, on this chain, for this contract, until its deadline (invariant 9)."""

from __future__ import annotations

import pytest

DAY = 86_400


@pytest.fixture
def sign(sign_consent):
    """Signs as the admin's wallet would; keywords override single fields of the EIP-712 domain."""
    return sign_consent


@pytest.fixture
def deadline(chain):
    return chain.time() + DAY


def test_anyone_carries_the_signature(consents, member, terms, deadline, sign, stranger):
    given = terms()
    tx = consents.mintBySignature(given, deadline, sign(member.admin, given, 0, deadline), {"from": stranger})

    assert tx.return_value == 1
    assert tuple(consents.consent(1)["terms"]) == tuple(given)
    assert consents.consent(1)["hospitalId"] == member.id
    assert consents.ownerOf(1) == member.admin
    assert tx.events["NonceSpent"] == {"account": member.admin, "nonce": 0}
    assert consents.nonces(member.admin) == 1


def test_a_signature_is_good_once(consents, member, terms, deadline, sign, stranger, reverts):
    """Invariant 9: the nonce."""
    given = terms()
    signature = sign(member.admin, given, 0, deadline)
    consents.mintBySignature(given, deadline, signature, {"from": stranger})
    with reverts("BadSignature"):
        consents.mintBySignature(given, deadline, signature, {"from": stranger})
    assert consents.consentCount() == 1


def test_a_signature_ahead_of_its_nonce_has_to_wait(
    consents, member, terms, deadline, sign, stranger, reverts
):
    given = terms()
    with reverts("BadSignature"):
        consents.mintBySignature(given, deadline, sign(member.admin, given, 1, deadline), {"from": stranger})


def test_a_signature_ends_at_its_deadline(consents, chain, member, terms, deadline, sign, stranger, reverts):
    """Invariant 9: the deadline."""
    given = terms()
    signature = sign(member.admin, given, 0, deadline)
    chain.mine(timestamp=deadline)
    assert consents.mintBySignature.call(given, deadline, signature, {"from": stranger}) == 1
    chain.mine(timestamp=deadline + 1)
    with reverts("SignatureExpired", deadline):
        consents.mintBySignature(given, deadline, signature, {"from": stranger})


def test_a_deadline_cannot_be_put_off(consents, member, terms, deadline, sign, stranger, reverts):
    given = terms()
    with reverts("BadSignature"):
        consents.mintBySignature(
            given, deadline + 1, sign(member.admin, given, 0, deadline), {"from": stranger}
        )


@pytest.mark.parametrize(
    "elsewhere",
    [
        {"chainId": 1},
        {"verifyingContract": "0x" + "11" * 20},
        {"name": "Salus"},
        {"version": "2"},
    ],
    ids=lambda domain: next(iter(domain)),
)
def test_a_signature_for_elsewhere_is_refused(
    consents, member, terms, deadline, sign, stranger, reverts, elsewhere
):
    """Invariant 9: chain id and contract."""
    given = terms()
    signature = sign(member.admin, given, 0, deadline, **elsewhere)
    with reverts("BadSignature"):
        consents.mintBySignature.call(given, deadline, signature, {"from": stranger})


def test_a_second_deployment_refuses_the_signatures_of_the_first(
    ConsentToken, hospitals, datasets, member, owner, terms, deadline, sign, stranger, reverts
):
    """Invariant 9: the contract."""
    second = ConsentToken.deploy(owner, hospitals, datasets, {"from": stranger})
    given = terms()
    with reverts("BadSignature"):
        second.mintBySignature(given, deadline, sign(member.admin, given, 0, deadline), {"from": stranger})


@pytest.mark.parametrize("field", range(1, 9))
def test_no_term_can_be_changed_under_a_signature(
    consents, member, terms, deadline, sign, stranger, reverts, field
):
    given = terms()
    changed = list(given)
    changed[field] = "0x" + "11" * 20 if field == 1 else changed[field] + 1
    with reverts("BadSignature"):
        consents.mintBySignature.call(
            changed, deadline, sign(member.admin, given, 0, deadline), {"from": stranger}
        )


def test_nobody_else_signs_for_the_hospital(
    consents, member, other_member, terms, deadline, sign, stranger, reverts
):
    given = terms()
    for account in (member.operator, other_member.admin, stranger):
        with reverts("BadSignature"):
            consents.mintBySignature.call(
                given, deadline, sign(account, given, 0, deadline), {"from": stranger}
            )


@pytest.mark.parametrize("garbage", [b"", b"\x00" * 65, b"\xff" * 65, b"\x01" * 64])
def test_bytes_that_are_no_signature_are_refused(consents, terms, deadline, stranger, reverts, garbage):
    with reverts("BadSignature"):
        consents.mintBySignature.call(terms(), deadline, garbage, {"from": stranger})


def test_cancel_makes_the_current_nonce_void(consents, member, terms, deadline, sign, stranger, reverts):
    given = terms()
    signature = sign(member.admin, given, 0, deadline)
    tx = consents.cancelSignatures({"from": member.admin})

    assert tx.events["NonceSpent"] == {"account": member.admin, "nonce": 0}
    with reverts("BadSignature"):
        consents.mintBySignature(given, deadline, signature, {"from": stranger})
    consents.mintBySignature(given, deadline, sign(member.admin, given, 1, deadline), {"from": stranger})


def test_a_replaced_admin_signs_nothing_more(
    consents, hospitals, member, owner, spare, terms, deadline, sign, stranger, reverts
):
    given = terms()
    signature = sign(member.admin, given, 0, deadline)
    hospitals.replaceAdmin(member.id, spare[0], {"from": owner})
    with reverts("BadSignature"):
        consents.mintBySignature(given, deadline, signature, {"from": stranger})
    consents.mintBySignature(given, deadline, sign(spare[0], given, 0, deadline), {"from": stranger})


def test_a_signature_of_a_suspended_hospital_is_refused(
    consents, hospitals, member, owner, terms, deadline, sign, stranger, reverts
):
    given = terms()
    signature = sign(member.admin, given, 0, deadline)
    hospitals.suspend(member.id, {"from": owner})
    with reverts("Suspended", member.id):
        consents.mintBySignature(given, deadline, signature, {"from": stranger})


def test_signed_terms_must_be_sound_too(consents, member, terms, deadline, sign, stranger, reverts):
    given = terms(max_rounds=0)
    with reverts("BadTerms"):
        consents.mintBySignature(given, deadline, sign(member.admin, given, 0, deadline), {"from": stranger})
    assert consents.nonces(member.admin) == 0


def test_an_admin_may_be_a_contract(
    SignatureWallet, consents, hospitals, member, owner, spare, terms, deadline, sign, stranger, reverts
):
    """ERC-1271: the wallet says whose signature it takes, and the nonce is the wallet's."""
    wallet = SignatureWallet.deploy(spare[0], {"from": spare[0]})
    hospitals.replaceAdmin(member.id, wallet, {"from": owner})
    given = terms()
    with reverts("BadSignature"):
        consents.mintBySignature(given, deadline, sign(spare[1], given, 0, deadline), {"from": stranger})
    signature = sign(spare[0], given, 0, deadline)
    consents.mintBySignature(given, deadline, signature, {"from": stranger})

    assert consents.ownerOf(1) == wallet
    assert consents.nonces(wallet) == 1
    with reverts("BadSignature"):
        consents.mintBySignature(given, deadline, signature, {"from": stranger})
