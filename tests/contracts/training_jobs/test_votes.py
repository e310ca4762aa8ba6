"""Attestation and rejection of merges: final, void, or in dispute."""

from __future__ import annotations

import pytest
from play import ZERO, Status, bits, first_accumulator, merge_digest, next_accumulator, vector

LIE = vector("lie")


@pytest.fixture(scope="module")
def play(start):
    """Round 2 of 3 is open; hospital 1 merged round 1."""
    play = start(3, rounds=3)
    play.play_round()
    return play


def test_attest_is_recorded(play):
    standing = play.standing()
    tx = play.attest(0)
    assert tx.events["Attested"] == {
        "jobId": play.job_id,
        "round": 1,
        "hospitalId": 1,
        "mergeDigest": "0x" + standing.hex(),
    }
    assert tx.events["RoundFinal"] == {"jobId": play.job_id, "round": 1}
    assert play.slot()["attested"] == bits(0, 1)
    assert play.job["finalRounds"] == 1


@pytest.mark.parametrize(("size", "needed"), [(2, 2), (3, 2), (4, 3), (5, 4)], ids=lambda value: str(value))
def test_final_at_two_thirds(start, size, needed):
    play = start(size, rounds=2)
    play.play_round()
    merger = play.slot(1)["merger"] - 1
    votes = 1
    for index in (i for i in range(size) if i != merger):
        assert play.job["finalRounds"] == (votes >= needed)
        tx = play.attest(index)
        votes += 1
        assert ("RoundFinal" in tx.events) == (votes == needed)
    assert play.job["finalRounds"] == 1


def test_attesting_after_it_is_final_is_welcome(play):
    play.attest(0)
    assert "RoundFinal" not in play.attest(2).events
    assert play.slot()["attested"] == bits(0, 1, 2)


def test_once_each(play, reverts):
    with reverts("AlreadyDone", play.job_id, 1, 2):
        play.attest(1)
    play.attest(0)
    for vote in (play.attest, play.reject):
        with reverts("AlreadyDone", play.job_id, 1, 1):
            vote(0)
    with reverts("AlreadyDone", play.job_id, 1, 2):
        play.reject(1)


@pytest.mark.parametrize("name", ["attest", "reject"])
def test_who_may_vote(play, name, admit, jobs, researcher, reverts):
    vote = getattr(jobs, name)
    fourth = admit(4)[3]
    with reverts("NotOperator", researcher):
        vote(play.job_id, 1, play.standing(), {"from": researcher})
    with reverts("NotEnrolled", play.job_id, 4):
        vote(play.job_id, 1, play.standing(), {"from": fourth.operator})


@pytest.mark.parametrize("name", ["attest", "reject"])
def test_only_those_whose_updates_were_merged(start, name, reverts):
    play = start(3, rounds=3)
    play.submit_all([0, 1])
    play.sleep(play.phases.submit)
    play.open()
    play.play_round()
    with reverts("NotParticipant", play.job_id, 1, 3):
        getattr(play, name)(2)


@pytest.mark.parametrize("name", ["attest", "reject"])
def test_only_the_last_merge_as_it_stands(play, name, reverts):
    vote = getattr(play, name)
    with reverts("WrongMerge", play.job_id, 1, play.standing()):
        vote(0, digest=b"\x01" * 32)
    for other in (0, 2):
        with reverts("NotOpen", play.job_id, 2, 1):
            vote(0, round=other, digest=ZERO)
    play.submit_all()
    play.merge()
    with reverts("NotOpen", play.job_id, 3, 1):
        vote(0, round=1)


@pytest.mark.parametrize("name", ["attest", "reject"])
def test_not_before_or_after_the_job(enrolled, name, reverts):
    play = enrolled(2)
    vote = getattr(play, name)
    with reverts("WrongJobStatus", play.job_id, Status.ENROLLING):
        vote(0, round=1, digest=ZERO)
    play.open()
    with reverts("NotOpen", play.job_id, 1, 1):
        vote(0, round=0, digest=ZERO)
    play.jobs.cancel(play.job_id, {"from": play.researcher})
    with reverts("WrongJobStatus", play.job_id, Status.CANCELLED):
        vote(0, round=0, digest=ZERO)


def test_reject_is_recorded(play):
    standing = play.standing()
    tx = play.reject(0)
    assert tx.events["Rejected"] == {
        "jobId": play.job_id,
        "round": 1,
        "hospitalId": 1,
        "mergeDigest": "0x" + standing.hex(),
    }
    assert "MergeVoided" not in tx.events
    assert play.standing(1) == standing


def test_a_rejection_is_the_last_word(play, reverts):
    play.reject(0)
    for vote in (play.attest, play.reject):
        with reverts("AlreadyDone", play.job_id, 1, 1):
            vote(0)


def test_no_rejection_once_final(play, reverts):
    play.attest(0)
    with reverts("NotOpen", play.job_id, 2, 1):
        play.reject(2)


def test_no_rejection_after_silence(play, reverts):
    play.sleep(play.phases.check)
    with reverts("NotOpen", play.job_id, 2, 1):
        play.reject(0)


@pytest.mark.parametrize(("size", "needed"), [(2, 1), (4, 2), (5, 3)])
def test_void_at_two_thirds_of_the_others(start, size, needed):
    play = start(size, rounds=2)
    play.submit_all()
    merger = play.next_merger()
    play.merge(state=LIE)
    for votes, index in enumerate((i for i in range(size) if i != merger), 1):
        tx = play.reject(index)
        assert ("MergeVoided" in tx.events) == (votes == needed)
        if votes == needed:
            break
    assert play.round == 1


def test_a_lying_merge_is_void_and_the_next_merger_is_believed(start):
    """Updates already sent upon the lie are dropped; the same updates of the round before are merged anew."""
    play = start(3, rounds=2)
    accumulator = first_accumulator(play.job_id, 1, 1)
    for tx in play.submit_all():
        event = tx.events["UpdateSubmitted"]
        update = tuple(map(bytes, event["update"]))
        accumulator = next_accumulator(accumulator, event["hospitalId"] - 1, update)
    play.merge(1, state=LIE)
    lie = play.standing(1)
    play.submit(1)  # the liar goes on
    play.reject(0)
    tx = play.reject(2)

    assert tx.events["MergeVoided"] == {
        "jobId": play.job_id,
        "round": 1,
        "mergeDigest": "0x" + lie.hex(),
    }
    assert (play.status, play.round) == (Status.RUNNING, 1)
    assert play.standing(1) == ZERO
    assert tuple(play.slot(1)) == (bits(0, 1, 2), bits(0, 1, 2), 0, 0, 0, 1, 1, tx.timestamp)
    assert tuple(play.slot(2)) == (0, 0, 0, 0, 0, 1, 0, 0)
    assert bytes(play.job["accumulator"]) == accumulator

    # One place further, among those who have a bond: the liar lost its own to the DAO.
    assert tx.events["Slashed"]["hospitalId"] == 2
    assert tx.events["Slashed"]["to"] == 0
    assert play.job["present"] == bits(0, 2)
    assert [play.next_merger(turn) for turn in range(2)] == [0, 2]
    play.merge(0)
    assert play.standing(1) == merge_digest(play.job_id, 1, 1, accumulator, play.state(1))
    assert play.slot(1)["voids"] == 1
    assert play.slot(2)["attempt"] == 2
    assert play.slot(2)["attested"] == bits(0)
    assert play.slot(2)["participants"] == bits(0, 2)
    assert bytes(play.job["accumulator"]) == first_accumulator(play.job_id, 2, 2)
    play.submit_all()
    assert play.job["finalRounds"] == 1
    play.merge()
    assert play.status == Status.REPORTING


def test_updates_on_a_void_merge_stay_used(start, consents):
    play = start(3, rounds=2)
    play.submit_all()
    play.merge(1, state=LIE)
    play.submit(1)
    play.reject(0)
    play.reject(2)
    assert consents.consent(play.consent_ids[1])["roundsUsed"] == 2


def test_a_void_ends_a_pause(start, consents):
    play = start(3, rounds=2)
    play.submit_all()
    for index in (0, 2):
        consents.revoke(play.consent_ids[index], {"from": play.members[index].admin})
    play.merge(1, state=LIE)
    assert play.status == Status.PAUSED
    play.reject(0)
    tx = play.reject(2)
    assert (play.status, play.round, play.job["since"]) == (Status.RUNNING, 1, tx.timestamp)
    play.merge(0)
    assert play.slot(2)["attempt"] == 0


def test_a_void_takes_reports_back(start):
    play = start(4, rounds=1)
    play.submit_all()
    play.merge(1, state=LIE)
    play.report(1, correct=10)
    assert play.slot()["submitted"] == bits(1)
    play.reject(0)
    play.reject(2)
    assert (play.status, play.round) == (Status.RUNNING, 1)
    play.rejoin(1)
    play.merge(2)
    assert play.status == Status.REPORTING
    for index in range(4):
        play.report(index, correct=80)
    event = play.finish().events["JobFinished"]
    assert (event["correct"], event["total"]) == (320, 400)


def test_a_second_lie_is_void_too(start):
    play = start(3, rounds=1)
    play.submit_all()
    for liar, judges in ((1, (0, 2)), (0, (1, 2))):
        play.merge(liar, state=LIE)
        for judge in judges:
            play.reject(judge)
    assert play.slot(1)["voids"] == 2
    play.merge(2)
    play.report(2)
    assert play.finish().events["JobFinished"]["version"] == 2


def test_an_outvoted_rejecter_sits_the_round_out(start):
    """It does not hold the others up, and is back in the next round."""
    play = start(4, rounds=4, min_hospitals=3)
    play.play_round()
    merger = play.slot(1)["merger"] - 1
    rejecter, *others = [i for i in range(4) if i != merger]
    play.reject(rejecter)
    play.submit_all([merger, *others])
    assert play.job["finalRounds"] == 1
    play.open()
    assert play.slot()["participants"] == bits(merger, *others)
    assert play.job["present"] == bits(0, 1, 2, 3)
    play.play_round()
    assert play.slot()["participants"] == bits(0, 1, 2, 3)


def test_a_dispute_is_not_final_by_silence(start):
    play = start(4, rounds=2)
    play.play_round()
    merger = play.slot(1)["merger"] - 1
    rejecter, second, third = [i for i in range(4) if i != merger]
    play.reject(rejecter)
    play.sleep(play.phases.check)
    assert play.job["finalRounds"] == 0
    # Either side can still win.
    play.attest(second)
    assert play.job["finalRounds"] == 0
    play.attest(third)
    assert play.job["finalRounds"] == 1


def test_a_dispute_can_still_be_lost(start):
    play = start(4, rounds=2)
    play.play_round()
    merger = play.slot(1)["merger"] - 1
    rejecter, second, _ = [i for i in range(4) if i != merger]
    play.reject(rejecter)
    play.sleep(play.phases.check)
    assert "MergeVoided" in play.reject(second).events
