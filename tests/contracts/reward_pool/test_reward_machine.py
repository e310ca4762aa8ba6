"""A Python twin of the reward books, driven beside the contract (invariant 1).

Whatever jobs, contributions and claims come, in whatever order: paid out + still held = paid in, to the last wei.
"""

from __future__ import annotations

from collections import defaultdict
from itertools import pairwise
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

HOSPITALS = 3
WHOLE = 10_000


def split_of(cuts: list[int]) -> tuple[int, ...]:
    """Five shares that sum to the whole, from four cuts of it."""
    edges = [0, *sorted(cuts), WHOLE]
    return tuple(high - low for low, high in pairwise(edges))


amounts = st.one_of(st.integers(1, 50), st.integers(1, 10**24))
splits = st.lists(st.integers(0, WHOLE), min_size=4, max_size=4).map(split_of)
units = st.lists(st.integers(0, 10**6), min_size=HOSPITALS, max_size=HOSPITALS)
choices = st.integers(0, 9)


class Books(RuleBasedStateMachine):
    """Rules are escrow, settlement and claims; the twin keeps every credit in whole wei."""

    chain: Any
    rewards: Any
    tokens: list[Any]
    members: list[Any]
    researcher: Any
    dao: Any
    consumer: Any
    reverts: Any

    def __init__(self):
        super().__init__()
        self.held = {}
        self.settled = set()
        self.paid_in = defaultdict(int)
        self.paid_out = defaultdict(int)
        self.hospital_credit = defaultdict(lambda: [0, 0, 0])
        self.credit = defaultdict(int)
        self.funds_before = {
            (token, fund): token.balanceOf(fund)
            for token in self.tokens
            for member in self.members
            for fund in member.funds
        }

    @rule(choice=choices, amount=amounts, split=splits)
    def escrow(self, choice, amount, split):
        token = self.tokens[choice % len(self.tokens)]
        job_id = len(self.held) + 1
        self.rewards.escrow(job_id, self.researcher, token, amount, split, {"from": self.consumer})
        self.held[job_id] = (token, amount, split)
        self.paid_in[token] += amount

    @rule(choice=choices, done=units, rounds=st.integers(1, 12), final=st.integers(0, 12), merges=choices)
    def settle(self, choice, done, rounds, final, merges):
        final = min(final, rounds)
        job_id = choice % (len(self.held) + 1) + 1
        # Whoever merges: rounds dealt out in turn, from a hospital that the choice names.
        merged = [len(range((place + merges) % HOSPITALS, final, HOSPITALS)) for place in range(HOSPITALS)]
        parts = [
            (member.id, done[place], merged[place]) for place, member in enumerate(self.members[:HOSPITALS])
        ]
        args = (job_id, final, rounds, parts, {"from": self.consumer})
        if job_id not in self.held or job_id in self.settled:
            with self.reverts("NotHeld", job_id):
                self.rewards.settle(*args)
            return
        self.rewards.settle(*args)
        self._book(job_id, final, rounds, parts)

    def _book(self, job_id, final, rounds, parts):
        token, amount, split = self.held[job_id]
        self.settled.add(job_id)
        total = sum(part[1] for part in parts)
        earned = amount * final // rounds if total else 0
        left = earned
        if earned:
            hospitals, caregivers, patients, mergers = (earned * bps // WHOLE for bps in split[:4])
            for hospital_id, done, merged in parts:
                shares = (
                    hospitals * done // total + mergers * merged // final,
                    caregivers * done // total,
                    patients * done // total,
                )
                for fund, share in enumerate(shares):
                    self.hospital_credit[token, hospital_id][fund] += share
                left -= sum(shares)
        assert left >= 0
        self.credit[token, self.dao] += left
        self.credit[token, self.researcher] += amount - earned

    @rule(choice=choices, which=choices)
    def claim_hospital(self, choice, which):
        token, member = self.tokens[choice % len(self.tokens)], self.members[which % HOSPITALS]
        owed = self.hospital_credit[token, member.id]
        if not sum(owed):
            with self.reverts("NothingToClaim"):
                self.rewards.claimHospital(token, {"from": member.admin})
            return
        self.rewards.claimHospital(token, {"from": member.admin})
        self.paid_out[token] += sum(owed)
        for fund, amount in zip(member.funds, owed, strict=True):
            self.funds_before[token, fund] += amount
            assert token.balanceOf(fund) == self.funds_before[token, fund]
        self.hospital_credit[token, member.id] = [0, 0, 0]

    @rule(choice=choices, dao=st.booleans())
    def claim(self, choice, dao):
        token, account = self.tokens[choice % len(self.tokens)], self.dao if dao else self.researcher
        owed = self.credit[token, account]
        if not owed:
            with self.reverts("NothingToClaim"):
                self.rewards.claim(account, token, {"from": self.members[0].operator})
            return
        before = token.balanceOf(account)
        self.rewards.claim(account, token, {"from": self.members[0].operator})
        assert token.balanceOf(account) == before + owed
        self.paid_out[token] += owed
        self.credit[token, account] = 0

    @invariant()
    def paid_out_and_held_are_paid_in(self):
        """Invariant 1."""
        for token in self.tokens:
            held = self.rewards.heldOf(token)
            assert self.paid_out[token] + held == self.paid_in[token]
            assert token.balanceOf(self.rewards) == held

    def teardown(self):
        """Credits and escrow, one by one, are the twin's, and sum to what is held."""
        for token in self.tokens:
            owed = sum(
                amount
                for job_id, (kept, amount, _) in self.held.items()
                if kept is token and job_id not in self.settled
            )
            for member in self.members[:HOSPITALS]:
                credit = list(self.rewards.hospitalCreditOf(member.id, token))
                assert credit == self.hospital_credit[token, member.id]
                owed += sum(credit)
            for account in (self.dao, self.researcher):
                credit = self.rewards.creditOf(account, token)
                assert credit == self.credit[token, account]
                owed += credit
            assert owed == self.rewards.heldOf(token)


def test_the_books_balance_as_their_twin(
    run_machine,
    chain,
    DevToken,
    rewards,
    reward_token,
    members,
    researcher,
    owner,
    consumer,
    deployer,
    reverts,
):
    other = DevToken.deploy({"from": deployer})
    rewards.allowToken(other, True, {"from": owner})
    for token in (reward_token, other):
        token.mint(researcher, 10**30, {"from": researcher})
        token.approve(rewards, 10**30, {"from": researcher})
    run_machine(
        Books,
        examples=15,
        steps=20,
        chain=chain,
        rewards=rewards,
        tokens=[reward_token, other],
        members=members,
        researcher=researcher,
        dao=owner,
        consumer=consumer,
        reverts=reverts,
    )
