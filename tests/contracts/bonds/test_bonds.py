"""Bonds in jobs: locked, slashed, freed, and what the DAO is owed (invariant 1)."""

from __future__ import annotations

import pytest

BOND = 100 * 10**18
NOBODY = "0x" + "00" * 20


def test_a_bond_is_locked_once(bonds, bond_token, locker, deposit, member, stranger):
    deposit(member, 2 * BOND)
    tx = locker.lock(1, member.id, {"from": stranger})
    assert tx.events["Locked"] == {
        "jobs": locker,
        "jobId": 1,
        "hospitalId": member.id,
        "token": bond_token,
        "amount": BOND,
    }
    assert tuple(bonds.bondOf(locker, 1, member.id)) == (True, bond_token, BOND)
    assert "Locked" not in locker.lock(1, member.id, {"from": stranger}).events
    assert bonds.freeOf(member.id, bond_token) == BOND
    locker.lock(2, member.id, {"from": stranger})
    assert bonds.freeOf(member.id, bond_token) == 0
    assert bonds.heldOf(bond_token) == 2 * BOND


def test_not_without_the_money(bond_token, locked, other_member, deposit, stranger, reverts):
    deposit(other_member, BOND - 1)
    with reverts("BondTooSmall", other_member.id, bond_token, BOND - 1, BOND):
        locked.lock(1, other_member.id, {"from": stranger})


def test_only_a_jobs_contract_locks(bonds, locked, member, owner, stranger, reverts):
    with reverts("NotJobs", stranger):
        bonds.lock(1, member.id, {"from": stranger})
    tx = bonds.setJobs(locked, False, {"from": owner})
    assert tx.events["JobsSet"] == {"jobs": locked, "allowed": False}
    with reverts("NotJobs", locked):
        locked.lock(2, member.id, {"from": stranger})


def test_what_a_stopped_contract_locked_it_still_slashes_and_frees(
    bonds, bond_token, locked, member, owner, stranger
):
    locked.lock(2, member.id, {"from": stranger})
    bonds.setJobs(locked, False, {"from": owner})
    locked.slash(1, member.id, 0, {"from": stranger})
    locked.freeFrom(0, {"from": stranger})
    bonds.unlock(locked, 2, member.id, {"from": stranger})
    assert (bonds.freeOf(member.id, bond_token), bonds.daoOwed(bond_token)) == (9 * BOND, BOND)


def test_no_contract_reaches_the_bonds_of_another(bonds, locked, TimedJobs, member, owner, deployer):
    other = TimedJobs.deploy(bonds, {"from": deployer})
    bonds.setJobs(other, True, {"from": owner})
    tx = other.slash(1, member.id, 0, {"from": deployer})
    assert "Slashed" not in tx.events
    assert bonds.bondOf(locked, 1, member.id)["exists"]


def test_half_of_a_slashed_bond_goes_to_who_proved_it(
    bonds, bond_token, locked, member, other_member, stranger
):
    tx = locked.slash(1, member.id, other_member.id, {"from": stranger})
    assert tx.events["Slashed"] == {
        "jobs": locked,
        "jobId": 1,
        "hospitalId": member.id,
        "token": bond_token,
        "amount": BOND,
        "to": other_member.id,
    }
    assert not bonds.bondOf(locked, 1, member.id)["exists"]
    assert bonds.freeOf(other_member.id, bond_token) == bonds.daoOwed(bond_token) == BOND // 2
    assert bonds.heldOf(bond_token) == 10 * BOND
    assert "Slashed" not in locked.slash(1, member.id, other_member.id, {"from": stranger}).events


def test_the_odd_wei_goes_to_the_dao(
    bonds, bond_token, locker, deposit, member, other_member, owner, stranger
):
    bonds.setBond(bond_token, 7, {"from": owner})
    deposit(member, 7)
    locker.lock(5, member.id, {"from": stranger})
    locker.slash(5, member.id, other_member.id, {"from": stranger})
    assert (bonds.freeOf(other_member.id, bond_token), bonds.daoOwed(bond_token)) == (3, 4)


def test_all_goes_to_the_dao_when_nobody_proved_it(bonds, bond_token, locked, member, owner, stranger):
    locked.slash(1, member.id, 0, {"from": stranger})
    assert bonds.daoOwed(bond_token) == BOND
    tx = bonds.payDao(bond_token, {"from": stranger})
    assert tx.events["DaoPaid"] == {"token": bond_token, "to": owner, "amount": BOND}
    assert bond_token.balanceOf(owner) == BOND
    assert bonds.daoOwed(bond_token) == 0
    assert bonds.heldOf(bond_token) == bond_token.balanceOf(bonds) == 9 * BOND


@pytest.mark.usefixtures("locked")
def test_the_dao_is_owed_nothing(bonds, bond_token, stranger, reverts):
    with reverts("NothingToPay"):
        bonds.payDao(bond_token, {"from": stranger})


def test_a_bond_is_freed_when_its_window_is_over(bonds, bond_token, locked, member, chain, stranger, reverts):
    until = chain.time() + 1_000
    locked.freeFrom(until, {"from": stranger})
    with reverts("StillLocked", 1, until):
        bonds.unlock(locked, 1, member.id, {"from": stranger})
    chain.mine(timestamp=until)
    tx = bonds.unlock(locked, 1, member.id, {"from": stranger})
    assert tx.events["Unlocked"] == {
        "jobs": locked,
        "jobId": 1,
        "hospitalId": member.id,
        "token": bond_token,
        "amount": BOND,
    }
    assert bonds.freeOf(member.id, bond_token) == 10 * BOND
    with reverts("NotLocked", 1, member.id):
        bonds.unlock(locked, 1, member.id, {"from": stranger})


def test_a_new_size_holds_for_bonds_locked_later(
    bonds, bond_token, locked, DevToken, member, deposit, owner, stranger
):
    token = DevToken.deploy({"from": stranger})
    tx = bonds.setBond(token, 5, {"from": owner})
    assert tx.events["BondSet"] == {"token": token, "amount": 5}
    assert tuple(bonds.bond()) == (token, 5)
    deposit(member, 5, token)
    locked.lock(2, member.id, {"from": stranger})
    assert tuple(bonds.bondOf(locked, 1, member.id)) == (True, bond_token, BOND)
    assert tuple(bonds.bondOf(locked, 2, member.id)) == (True, token, 5)
    locked.slash(1, member.id, 0, {"from": stranger})
    assert (bonds.daoOwed(bond_token), bonds.daoOwed(token)) == (BOND, 0)


def test_a_bond_of_nothing_is_a_bond(bonds, locker, member, other_member, owner, stranger):
    bonds.setBond(NOBODY, 0, {"from": owner})
    locker.lock(5, member.id, {"from": stranger})
    assert tuple(bonds.bondOf(locker, 5, member.id)) == (True, NOBODY, 0)
    locker.slash(5, member.id, other_member.id, {"from": stranger})
    assert not bonds.bondOf(locker, 5, member.id)["exists"]


@pytest.mark.parametrize("amount", [2**88, 2**256 - 1])
def test_no_bond_beyond_its_slot(bonds, bond_token, owner, reverts, amount):
    bonds.setBond(bond_token, 2**88 - 1, {"from": owner})
    with reverts("SafeCastOverflowedUintDowncast", 88, amount):
        bonds.setBond(bond_token, amount, {"from": owner})
