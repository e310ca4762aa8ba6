"""A false merge and an honest one, challenged with the claims that a client makes of real vectors."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

import numpy as np
import pytest

from protocol.chain.bonds import Bonds
from protocol.chain.challenges import Challenges, Claim
from protocol.chain.enums import JobStatus
from protocol.chain.events import events
from protocol.chain.jobs import Round
from protocol.challenge import claim_of, first_difference
from protocol.content import vectors
from protocol.content.vectors import VectorRef
from protocol.errors import Refused
from protocol.learning.merge import merge
from protocol.record import JobRecord

from .conftest import BOND, DEPOSIT, World
from .play import HOSPITALS, ZERO, Started, start

LANES = 600


@dataclass
class Played:
    """A job whose vectors are real: what was sent, by digest."""

    started: Started
    base: np.ndarray
    vectors: dict[VectorRef, np.ndarray] = field(default_factory=dict)
    states: dict[int, np.ndarray] = field(default_factory=dict)

    @property
    def record(self) -> JobRecord:
        record = JobRecord(self.started.job_id)
        chain = self.started.world.chain
        record.apply(events(chain, "TrainingJobs", jobId=record.job_id))
        jobs = chain.address("TrainingJobs")
        record.apply(events(chain, "Challenges", jobs=jobs, jobId=record.job_id))
        return record

    def keep(self, vector: np.ndarray) -> VectorRef:
        ref = vectors.reference(vector)
        self.vectors[ref] = vector
        return ref

    def before(self, number: int) -> np.ndarray:
        return self.base if number == 1 else self.states[number - 1]

    def submit(self, number: int) -> None:
        draw = np.random.default_rng(number)
        attests = self.record.round(number - 1).merge.digest if number > 1 else ZERO
        attempt = self.started.as_(1).round_of(self.started.job_id, number).attempt
        for hospital in self._asked(number, attempt):
            update = draw.integers(-(2**31), 2**31, LANES, dtype=np.int32)
            self.started.as_(hospital).submit(
                self.started.job_id, number, attempt, attests, self.keep(update)
            )

    def _asked(self, number: int, attempt: int) -> Iterable[int]:
        record = self.record
        return record.members(record.round(number).attempts[attempt].participants)

    def merge(self, number: int, alter: int | None = None) -> int:
        """The one in line merges, falsely in one lane if asked to; returns its id."""
        jobs, job_id = self.started.as_(1), self.started.job_id
        newest = self.record.round(number).newest
        updates = [self.vectors[update.ref] for update in newest.updates]
        state = merge(self.before(number), [updates])
        if alter is not None:
            state[alter] ^= 1
        self.states[number] = state
        [merger, *_] = Round.members(jobs.mergers_in_line(job_id), jobs.hospitals_of(job_id))
        attempt = max(self.record.round(number).attempts)
        self.started.as_(merger).merge(job_id, number, attempt, self.keep(state))
        return merger

    def claim(self, number: int, chunk_index: int) -> Claim:
        merged = self.record.round(number).merge
        state = self.vectors[merged.state]
        return claim_of(self.record, number, chunk_index, self.before(number), self.vectors, state)

    def challenges(self, hospital: int) -> Challenges:
        return Challenges(self.started.world.as_(f"operator-{hospital}"))


@pytest.fixture
def played(world: World) -> Played:
    base = np.random.default_rng(0).integers(-(2**20), 2**20, LANES, dtype=np.int32)
    played = Played(start(world, LANES, vectors.reference(base)), base)
    played.started.as_(1).open(played.started.job_id)
    played.submit(1)
    return played


def test_a_false_merge_is_proven_voided_and_merged_again_by_the_next_in_line(played: Played) -> None:
    job_id, world = played.started.job_id, played.started.world
    liar = played.merge(1, alter=599)
    challenger = next(each for each in HOSPITALS if each != liar)
    claim = played.claim(1, first_difference(merge_of(played), played.states[1]))
    assert claim.chunk_index == 2
    assert played.challenges(challenger).check(claim)
    assert not played.challenges(challenger).check(played.claim(1, 0)), "the lie is in another chunk"

    receipt = played.challenges(challenger).challenge(claim)
    slashed = receipt.event("Slashed").args
    assert (slashed["hospitalId"], slashed["to"], slashed["amount"]) == (liar, challenger, BOND)
    bonds = Bonds(world.chain)
    assert bonds.free_of(challenger, "RewardToken") == DEPOSIT - BOND + BOND // 2
    assert bonds.dao_owed("RewardToken") == BOND // 2
    record = played.record
    assert record.round(1).merge is None and record.open_round == 1
    assert [(each.challenger_id, each.proven) for each in record.challenges] == [(challenger, True)]

    next_in_line = played.merge(1)
    assert next_in_line != liar
    assert not played.challenges(challenger).check(played.claim(1, 2))
    assert played.record.round(1).merge.hospital_id == next_in_line
    assert played.started.as_(1).job(job_id).status == JobStatus.PAUSED, "two hospitals are too few for masks"


def test_an_honest_merge_keeps_its_bond_and_the_challenger_pays(played: Played) -> None:
    merger = played.merge(1)
    challenger = next(each for each in HOSPITALS if each != merger)
    claim = played.claim(1, 0)
    assert not played.challenges(challenger).check(claim)
    slashed = played.challenges(challenger).challenge(claim).event("Slashed").args
    assert (slashed["hospitalId"], slashed["to"]) == (challenger, merger)
    assert played.record.round(1).merge.hospital_id == merger


def test_a_later_merge_is_bound_to_the_one_before(played: Played) -> None:
    played.merge(1)
    played.submit(2)
    liar = played.merge(2, alter=3)
    challenger = next(each for each in HOSPITALS if each != liar)
    claim = played.claim(2, 0)
    assert played.challenges(challenger).check(claim)
    forged = replace(claim, previous=replace(claim.previous, attempt=9))
    with pytest.raises(Refused, match="does not describe the merge that stands") as refusal:
        played.challenges(challenger).check(forged)
    assert refusal.value.name == "WrongClaim"
    torn = replace(claim, claimed=replace(claim.claimed, lanes=bytes(1024)))
    with pytest.raises(Refused, match="does not lead to its vector's root"):
        played.challenges(challenger).check(torn)


def test_its_own_merge_nobody_challenges(played: Played) -> None:
    merger = played.merge(1, alter=0)
    with pytest.raises(Refused, match="is this hospital's own") as refusal:
        played.challenges(merger).challenge(played.claim(1, 0))
    assert refusal.value.name == "OwnMerge"


def merge_of(played: Played) -> np.ndarray:
    """What the updates of round 1 really give."""
    updates = played.record.round(1).merged_updates
    return merge(played.base, [[played.vectors[update.ref] for update in updates]])
