"""Doubts: an update whose bytes cannot be had, or do not match, is dropped by two thirds of the others."""

from __future__ import annotations

import pytest
from play import MergeRule, Status, bits, first_accumulator, vector


@pytest.fixture(scope="module")
def play(start):
    """Four hospitals; the updates of 0, 1 and 2 are in."""
    play = start(4, rounds=3)
    play.submit_all([0, 1, 2])
    return play


def test_a_doubt_is_recorded(play):
    tx = play.doubt(1, 0)
    assert tx.events["Doubted"] == {"jobId": play.job_id, "round": 1, "hospitalId": 1, "attempt": 1, "by": 2}
    assert "Dropped" not in tx.events
    assert play.slot()["attempt"] == 1


@pytest.mark.parametrize(("size", "needed"), [(2, 1), (3, 2), (4, 2), (5, 3)])
def test_dropped_at_two_thirds_of_the_others(start, size, needed):
    play = start(size, rounds=1, min_hospitals=1)
    play.submit_all()
    for votes in range(1, needed + 1):
        tx = play.doubt(votes, 0)
        assert ("Dropped" in tx.events) == (votes == needed)


def test_a_new_attempt_opens_without_it(play, bonds, bond_token):
    """Its bond goes to the DAO."""
    play.doubt(1, 0)
    tx = play.doubt(3, 0)
    assert tx.events["Dropped"] == {"jobId": play.job_id, "round": 1, "hospitalId": 1, "attempt": 1}
    assert tx.events["AttemptOpened"] == {
        "jobId": play.job_id,
        "round": 1,
        "attempt": 2,
        "participants": bits(1, 2, 3),
    }
    slashed = tx.events["Slashed"]
    assert (slashed["hospitalId"], slashed["to"]) == (1, 0)
    assert bonds.daoOwed(bond_token) == slashed["amount"] > 0
    assert tuple(play.slot()) == (bits(1, 2, 3), 0, 0, 0, 0, 2, 0, tx.timestamp)
    assert play.job["present"] == bits(1, 2, 3)
    assert bytes(play.job["accumulator"]) == first_accumulator(play.job_id, 1, 2)
    play.play_all()
    assert play.status == Status.REPORTING


def test_also_when_all_updates_are_in(play):
    play.submit(3)
    play.doubt(1, 0)
    play.doubt(2, 0)
    assert (play.slot()["attempt"], play.slot()["submitted"]) == (2, 0)


def test_doubts_count_in_their_attempt_alone(play):
    play.doubt(1, 0)
    play.doubt(2, 0)
    play.submit_all()
    play.doubt(2, 1)
    assert play.slot()["attempt"] == 2
    play.doubt(3, 1)
    assert play.slot()["participants"] == bits(2, 3)


def test_the_dropped_come_back_with_another_bond(play, bonds, jobs):
    play.doubt(1, 0)
    play.doubt(2, 0)
    assert not bonds.bondOf(jobs, play.job_id, 1)["exists"]
    tx = play.rejoin(0)
    assert tx.events["Locked"]["hospitalId"] == 1
    assert bonds.bondOf(jobs, play.job_id, 1)["exists"]
    assert play.slot()["participants"] == bits(1, 2, 3)
    play.play_round()
    assert play.slot()["participants"] == bits(0, 1, 2, 3)


def test_not_without_another_bond(play, bonds, bond_token, reverts):
    play.doubt(1, 0)
    play.doubt(2, 0)
    free = bonds.freeOf(1, bond_token)
    bonds.withdraw(bond_token, free, {"from": play.members[0].admin})
    with reverts("BondTooSmall", 1, bond_token, 0, bonds.bond()[1]):
        play.rejoin(0)


def test_too_few_pause_the_job(start):
    """A masked round never has fewer than three."""
    play = start(3, min_hospitals=3, merge=MergeRule(masked=True))
    play.submit_all()
    play.doubt(1, 0)
    tx = play.doubt(2, 0)
    assert tx.events["JobPaused"] == {"jobId": play.job_id, "round": 1, "live": bits(1, 2)}
    assert play.status == Status.PAUSED


def test_what_is_left_of_its_group_sits_the_round_out(start, jobs):
    play = start(6, min_hospitals=3, merge=MergeRule(groups=2))
    play.draw()
    labels = jobs.drawOf(play.job_id)["labels"]
    others = [i for i in range(6) if (labels >> 4 * i & 15) != (labels & 15)]
    play.submit_all()
    for voter in range(1, 5):
        play.doubt(voter, 0)
    assert play.slot()["participants"] == bits(*others)
    assert play.job["present"] == bits(1, 2, 3, 4, 5)
    assert jobs.drawOf(play.job_id)["labels"] == labels


def test_after_a_void_too(start):
    """Where the next in line cannot have the bytes, nobody could merge."""
    play = start(4, rounds=2)
    play.submit_all()
    play.merge(1, state=vector("lie"))
    play.reject(0)
    play.reject(2)
    play.doubt(0, 3)
    play.doubt(2, 3)
    assert (play.round, play.slot()["attempt"], play.slot()["participants"]) == (1, 2, bits(0, 2))
    play.play_all()
    assert play.status == Status.REPORTING


def test_who_may_doubt_what(play, jobs, admit, reverts):
    with reverts("AlreadyDone", play.job_id, 1, 2):
        play.doubt(1, 0)
        play.doubt(1, 0)
    with reverts("NotParticipant", play.job_id, 1, 3):
        play.doubt(2, 2)
    with reverts("NotParticipant", play.job_id, 1, 4):
        play.doubt(2, 3)
    for round_, attempt in ((0, 1), (2, 1), (1, 0), (1, 2)):
        with reverts("NotOpen", play.job_id, 1, 1):
            play.doubt(2, 0, round_, attempt)
    fifth = admit(5)[4]
    with reverts("NotEnrolled", play.job_id, 5):
        jobs.doubt(play.job_id, 1, 1, 1, {"from": fifth.operator})
    with reverts("NotEnrolled", play.job_id, 5):
        jobs.doubt(play.job_id, 1, 1, 5, {"from": play.members[1].operator})
    with reverts("NotOperator", play.members[1].admin):
        jobs.doubt(play.job_id, 1, 1, 1, {"from": play.members[1].admin})


def test_only_participants_of_the_attempt(play, reverts):
    play.sleep(play.phases.submit)
    play.open()
    play.submit_all([0, 1])
    with reverts("NotParticipant", play.job_id, 1, 4):
        play.doubt(3, 0)


def test_not_after_the_merge(play, reverts):
    play.submit(3)
    play.merge()
    with reverts("NotOpen", play.job_id, 2, 1):
        play.doubt(1, 0, 1, 1)
