"""Shares of a finished job: what `RewardPool.settle` credits, to the last unit."""

from __future__ import annotations

from dataclasses import replace

from protocol.chain.events import Event
from protocol.chain.jobs import Participant
from protocol.chain.rewards import HospitalCredit, Split
from protocol.content.vectors import VectorRef
from protocol.record import Attempt, JobRecord, Merge, Update
from protocol.trace.shares import due
from tests.protocol.test_proposal import a_proposal

SPLIT = Split(hospitals_bps=6_000, caregivers_bps=1_500, patients_bps=1_500, merger_bps=500, dao_bps=500)
EVENT = Event("UpdateSubmitted", "TrainingJobs", {}, 1, 0, "0x")
REF = VectorRef(bytes(32), bytes(32))


def a_record(rounds: list[tuple[int, list[int]]], counts: dict[int, int]) -> JobRecord:
    """Rounds as (merger, hospitals that took part)."""
    record = JobRecord(1, replace(a_proposal(), rounds=len(rounds)))
    for index, (hospital_id, count) in enumerate(counts.items()):
        record.participants[hospital_id] = Participant(True, index, index + 1, index + 1, 1, count, 1)
    for number, (merger, members) in enumerate(rounds, 1):
        updates = [Update(each, REF, 0, EVENT) for each in members]
        record.round(number).attempts[1] = Attempt(0, EVENT, updates)
        record.round(number).merges.append(Merge(merger, 1, REF, bytes(32), EVENT))
    return record


def test_shares_follow_records_rounds_and_merges_and_the_dao_has_the_rest() -> None:
    """Invariant 1."""
    record = a_record([(7, [7, 8]), (8, [7, 8]), (7, [7])], {7: 10, 8: 20})
    found = due(record, 1_000, SPLIT, 3)
    # Units: 7 has 10 x 3, 8 has 20 x 2. Merges: 2 and 1 of 3.
    assert found.hospitals == {
        7: HospitalCredit(600 * 30 // 70 + 50 * 2 // 3, 150 * 30 // 70, 150 * 30 // 70),
        8: HospitalCredit(600 * 40 // 70 + 50 * 1 // 3, 150 * 40 // 70, 150 * 40 // 70),
    }
    assert found.researcher == 0
    assert sum(each.sum for each in found.hospitals.values()) + found.dao == 1_000


def test_rounds_that_are_not_final_go_back_to_the_researcher() -> None:
    record = a_record([(7, [7]), (7, [7]), (7, [7])], {7: 10, 8: 20})
    found = due(record, 1_000, SPLIT, 1)
    assert found.researcher == 1_000 - 333
    assert set(found.hospitals) == {7}


def test_without_a_final_round_nothing_is_earned() -> None:
    assert due(a_record([(7, [7])], {7: 10}), 1_000, SPLIT, 0).researcher == 1_000
