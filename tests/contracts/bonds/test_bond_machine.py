"""A Python twin of the books of bonds, driven beside the contract (invariant 1).

Whatever deposits, jobs and rulings come, in whatever order: deposited = free + locked + owed to the DAO + paid out, to
the last wei.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

amounts = st.one_of(st.integers(0, 20), st.integers(0, 10**24))
choices = st.integers(0, 5)


class Books(RuleBasedStateMachine):
    """Rules are what the DAO, hospitals and a jobs contract may do; the twin keeps every account in whole wei."""

    bonds: Any
    locker: Any
    tokens: list[Any]
    members: list[Any]
    owner: Any
    reverts: Any

    def __init__(self):
        super().__init__()
        self.asked = (self.tokens[0], 10)
        self.bonds.setBond(*self.asked, {"from": self.owner})
        self.free = defaultdict(int)
        self.locked = {}
        self.dao = defaultdict(int)
        self.paid_in = defaultdict(int)
        self.paid_out = defaultdict(int)

    def member(self, choice):
        return self.members[choice % len(self.members)]

    @rule(which=choices, amount=st.integers(0, 15))
    def set_bond(self, which, amount):
        self.asked = (self.tokens[which % len(self.tokens)], amount)
        self.bonds.setBond(*self.asked, {"from": self.owner})

    @rule(who=choices, amount=amounts)
    def deposit(self, who, amount):
        member, token = self.member(who), self.asked[0]
        if amount == 0:
            with self.reverts("NothingToPay"):
                self.bonds.deposit(member.id, amount, {"from": member.admin})
            return
        self.bonds.deposit(member.id, amount, {"from": member.admin})
        self.free[member.id, token] += amount
        self.paid_in[token] += amount

    @rule(who=choices, which=choices, amount=amounts)
    def withdraw(self, who, which, amount):
        member, token = self.member(who), self.tokens[which % len(self.tokens)]
        if not 0 < amount <= self.free[member.id, token]:
            with self.reverts("NothingToPay"):
                self.bonds.withdraw(token, amount, {"from": member.admin})
            return
        self.bonds.withdraw(token, amount, {"from": member.admin})
        self.free[member.id, token] -= amount
        self.paid_out[token] += amount

    @rule(who=choices, job_id=st.integers(1, 2))
    def lock(self, who, job_id):
        member, (token, amount) = self.member(who), self.asked
        free, key = self.free[member.id, token], (job_id, member.id)
        if key not in self.locked and free < amount:
            with self.reverts("BondTooSmall", member.id, token, free, amount):
                self.locker.lock(*key, {"from": self.owner})
            return
        self.locker.lock(*key, {"from": self.owner})
        if key not in self.locked:
            self.locked[key] = self.asked
            self.free[member.id, token] -= amount

    @rule(who=choices, to=choices, job_id=st.integers(1, 2))
    def slash(self, who, to, job_id):
        """The last choice stands for the DAO."""
        key, winner = (job_id, self.member(who).id), 0 if to == 5 else self.member(to).id
        self.locker.slash(*key, winner, {"from": self.owner})
        token, amount = self.locked.pop(key, (None, 0))
        half = amount // 2 if winner else 0
        self.free[winner, token] += half
        self.dao[token] += amount - half

    @rule(who=choices, job_id=st.integers(1, 2))
    def unlock(self, who, job_id):
        key = (job_id, self.member(who).id)
        if key not in self.locked:
            with self.reverts("NotLocked", *key):
                self.bonds.unlock(self.locker, *key, {"from": self.owner})
            return
        self.bonds.unlock(self.locker, *key, {"from": self.owner})
        token, amount = self.locked.pop(key)
        self.free[key[1], token] += amount

    @rule(which=choices)
    def pay_dao(self, which):
        token = self.tokens[which % len(self.tokens)]
        if not self.dao[token]:
            with self.reverts("NothingToPay"):
                self.bonds.payDao(token, {"from": self.owner})
            return
        self.bonds.payDao(token, {"from": self.owner})
        self.paid_out[token] += self.dao[token]
        self.dao[token] = 0

    @invariant()
    def deposits_are_free_locked_owed_or_paid(self):
        """Invariant 1."""
        for token in self.tokens:
            held = self.bonds.heldOf(token)
            locked = sum(amount for kept, amount in self.locked.values() if kept is token)
            free = sum(amount for (_, kept), amount in self.free.items() if kept is token)
            assert self.paid_in[token] == held + self.paid_out[token]
            assert held == free + locked + self.dao[token] == token.balanceOf(self.bonds)

    def teardown(self):
        """Every account is the twin's."""
        for token in self.tokens:
            assert self.bonds.daoOwed(token) == self.dao[token]
            for member in self.members:
                assert self.bonds.freeOf(member.id, token) == self.free[member.id, token]
        for member in self.members:
            for job_id in (1, 2):
                kept = self.locked.get((job_id, member.id))
                assert self.bonds.bondOf(self.locker, job_id, member.id)["exists"] == (kept is not None)
                assert self.bonds.bondOf(self.locker, job_id, member.id)["amount"] == (kept[1] if kept else 0)


def test_the_books_balance_as_their_twin(
    run_machine, DevToken, bonds, bond_token, locker, members, owner, deployer, reverts
):
    other = DevToken.deploy({"from": deployer})
    locker.freeFrom(0, {"from": owner})
    for token in (bond_token, other):
        for member in members:
            token.mint(member.admin, 10**30, {"from": member.admin})
            token.approve(bonds, 10**30, {"from": member.admin})
    run_machine(
        Books,
        examples=15,
        steps=15,
        bonds=bonds,
        locker=locker,
        tokens=[bond_token, other],
        members=members,
        owner=owner,
        reverts=reverts,
    )
