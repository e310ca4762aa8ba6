"""Deposits and withdrawals of bonds (invariant 1)."""

from __future__ import annotations

import pytest

BOND = 100 * 10**18


def test_a_deposit_is_the_hospitals(bonds, bond_token, deposit, member, other_member):
    tx = deposit(member, 7 * BOND)
    assert tx.events["Deposited"] == {
        "hospitalId": member.id,
        "token": bond_token,
        "from": member.admin,
        "amount": 7 * BOND,
    }
    assert bonds.freeOf(member.id, bond_token) == 7 * BOND
    assert bonds.freeOf(other_member.id, bond_token) == 0
    assert bonds.heldOf(bond_token) == bond_token.balanceOf(bonds) == 7 * BOND


def test_anyone_deposits_for_a_hospital(bonds, bond_token, member, stranger):
    bond_token.mint(stranger, BOND, {"from": stranger})
    bond_token.approve(bonds, BOND, {"from": stranger})
    bonds.deposit(member.id, BOND, {"from": stranger})
    assert bonds.freeOf(member.id, bond_token) == BOND


def test_a_deposit_for_nobody(bonds, member, reverts):
    with reverts("UnknownHospital", 99):
        bonds.deposit(99, 1, {"from": member.admin})


def test_a_deposit_of_nothing(bonds, member, reverts):
    with reverts("NothingToPay"):
        bonds.deposit(member.id, 0, {"from": member.admin})


def test_no_deposit_while_no_bond_is_asked_for(bonds, member, owner, reverts):
    bonds.setBond("0x" + "00" * 20, 0, {"from": owner})
    with reverts("NothingToPay"):
        bonds.deposit(member.id, 1, {"from": member.admin})


def test_a_deposit_without_the_money(bonds, member, reverts):
    with reverts("ERC20InsufficientAllowance", bonds, 0, 5):
        bonds.deposit(member.id, 5, {"from": member.admin})


def test_tokens_that_take_a_fee_are_refused(FeeToken, bonds, deposit, member, owner, deployer, reverts):
    token = FeeToken.deploy({"from": deployer})
    bonds.setBond(token, 1_000, {"from": owner})
    with reverts("AmountMismatch", 10_000, 9_900):
        deposit(member, 10_000, token)
    assert bonds.heldOf(token) == token.balanceOf(bonds) == 0


def test_what_is_free_is_withdrawn_to_the_payout_address(bonds, bond_token, deposit, member):
    deposit(member, 7 * BOND)
    tx = bonds.withdraw(bond_token, 2 * BOND, {"from": member.admin})
    assert tx.events["Withdrawn"] == {
        "hospitalId": member.id,
        "token": bond_token,
        "to": member.funds[0],
        "amount": 2 * BOND,
    }
    assert bond_token.balanceOf(member.funds[0]) == 2 * BOND
    assert bonds.freeOf(member.id, bond_token) == 5 * BOND
    assert bonds.heldOf(bond_token) == bond_token.balanceOf(bonds) == 5 * BOND


@pytest.mark.usefixtures("locked")
def test_what_is_locked_is_not(bonds, bond_token, member, reverts):
    with reverts("NothingToPay"):
        bonds.withdraw(bond_token, 9 * BOND + 1, {"from": member.admin})
    bonds.withdraw(bond_token, 9 * BOND, {"from": member.admin})
    assert bonds.freeOf(member.id, bond_token) == 0


@pytest.mark.parametrize("amount", [0, 1])
def test_nor_what_is_not_there(bonds, bond_token, other_member, reverts, amount):
    with reverts("NothingToPay"):
        bonds.withdraw(bond_token, amount, {"from": other_member.admin})


@pytest.mark.usefixtures("locked")
def test_only_the_admin_withdraws(bonds, bond_token, member, stranger, reverts):
    for account in (member.operator, stranger):
        with reverts("NotAdmin", account):
            bonds.withdraw(bond_token, 1, {"from": account})


def test_a_reentrant_token_is_refused(ReentrantToken, bonds, member, owner, deployer, web3):
    """In the middle of a withdrawal the token withdraws once more: refused, and the books hold."""
    token = ReentrantToken.deploy({"from": deployer})
    bonds.setBond(token, 10, {"from": owner})
    token.mint(member.admin, 100, {"from": deployer})
    token.approve(bonds, 100, {"from": member.admin})
    bonds.deposit(member.id, 100, {"from": member.admin})
    for step, args in (("withdraw", (token, 40)), ("deposit", (member.id, 1)), ("payDao", (token,))):
        token.arm(bonds, getattr(bonds, step).encode_input(*args), {"from": deployer})
        answer = bonds.withdraw(token, 10, {"from": member.admin}).events["Answered"]
        assert not answer["success"]
        assert bytes(answer["data"])[:4] == web3.keccak(text="ReentrancyGuardReentrantCall()")[:4]
    assert bonds.freeOf(member.id, token) == bonds.heldOf(token) == token.balanceOf(bonds) == 70
