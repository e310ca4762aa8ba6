"""A consent token never changes owner (invariant 7), and says so (ERC-5192)."""

from __future__ import annotations

import pytest

INTERFACES = {
    "ERC-165": "0x01ffc9a7",
    "ERC-721": "0x80ac58cd",
    "ERC-721 metadata": "0x5b5e139f",
    "ERC-5192": "0xb45a3c0e",
}


@pytest.fixture
def token(mint, researcher):
    """A consent whose receipt the researcher holds."""
    return mint(grantee=str(researcher))


def moves(consents, holder, to, token):
    """Every way in which ERC-721 moves a token."""
    return [
        (consents.transferFrom, (holder, to, token)),
        (consents.safeTransferFrom["address,address,uint"], (holder, to, token)),
        (consents.safeTransferFrom["address,address,uint,bytes"], (holder, to, token, b"")),
    ]


def test_its_holder_cannot_move_it(consents, token, researcher, stranger, reverts):
    """Invariant 7."""
    for move, args in moves(consents, researcher, stranger, token):
        with reverts("Soulbound", token):
            move(*args, {"from": researcher})
    assert consents.ownerOf(token) == researcher


def test_an_approval_moves_nothing(consents, token, researcher, stranger, reverts):
    """Invariant 7."""
    consents.approve(stranger, token, {"from": researcher})
    consents.setApprovalForAll(stranger, True, {"from": researcher})
    for move, args in moves(consents, researcher, stranger, token):
        with reverts("Soulbound", token):
            move(*args, {"from": stranger})


def test_neither_the_hospital_nor_the_dao_moves_it(
    consents, token, member, owner, researcher, stranger, reverts
):
    """Invariant 7."""
    for account in (member.admin, owner):
        with reverts("Soulbound", token):
            consents.transferFrom(researcher, stranger, token, {"from": account})


def test_revocation_leaves_the_receipt(consents, token, member, researcher):
    """Invariant 7."""
    consents.revoke(token, {"from": member.admin})
    assert consents.ownerOf(token) == researcher


@pytest.mark.usefixtures("token")
def test_a_token_that_does_not_exist_cannot_be_moved(consents, researcher, stranger, reverts):
    with reverts("ERC721NonexistentToken", 2):
        consents.transferFrom(researcher, stranger, 2, {"from": researcher})


def test_locked_is_true_for_every_token_that_exists(consents, token, reverts):
    assert consents.locked(token)
    for unknown in (0, token + 1, 2**256 - 1):
        with reverts("ERC721NonexistentToken", unknown):
            consents.locked(unknown)


@pytest.mark.parametrize("standard", list(INTERFACES))
def test_it_names_its_standards(consents, standard):
    assert consents.supportsInterface(INTERFACES[standard])


def test_it_names_no_other(consents):
    assert not consents.supportsInterface("0xffffffff")


def test_its_signing_domain_is_public(consents, chain):
    """ERC-5267, from which a wallet builds what it signs."""
    domain = consents.eip712Domain()
    assert tuple(domain)[1:5] == ("Salus ConsentToken", "1", chain.id, consents.address)
