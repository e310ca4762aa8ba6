"""Merges: who, when, and what they open."""

from __future__ import annotations

import pytest
from play import ZERO, Status, bits, first_accumulator, merge_digest, next_accumulator, vector


@pytest.fixture(scope="module")
def full(start):
    """All updates of round 1 are in."""
    play = start(3)
    play.submit_all()
    return play


def test_merge_is_recorded(full):
    state = vector("state", 1)
    accumulator = bytes(full.job["accumulator"])
    tx = full.merge()

    digest = merge_digest(full.job_id, 1, 1, accumulator, state)
    event = tx.events["Merged"]
    assert (event["jobId"], event["round"], event["hospitalId"], event["attempt"]) == (full.job_id, 1, 2, 1)
    assert tuple(map(bytes, event["state"])) == state
    assert bytes(event["mergeDigest"]) == full.standing(1) == digest
    assert full.slot(1)["merger"] == 2
    assert full.standing(2) == ZERO


def test_merge_opens_the_next_round(full):
    tx = full.merge()
    assert tx.events["AttemptOpened"] == {
        "jobId": full.job_id,
        "round": 2,
        "attempt": 1,
        "participants": bits(0, 1, 2),
    }
    assert tuple(full.slot(2)) == (bits(0, 1, 2), 0, bits(0, 1, 2), bits(1), 0, 1, 0, tx.timestamp)
    assert (full.status, full.round) == (Status.RUNNING, 2)
    assert bytes(full.job["accumulator"]) == first_accumulator(full.job_id, 2, 1)
    assert full.job["finalRounds"] == 0


def test_the_chain_of_digests_can_be_recomputed(start):
    """From events alone, with hashes of our own."""
    play = start(3, rounds=3)
    for round_ in (1, 2, 3):
        accumulator = first_accumulator(play.job_id, round_, 1)
        for tx in play.submit_all([2, 0, 1]):
            event = tx.events["UpdateSubmitted"]
            accumulator = next_accumulator(
                accumulator, event["hospitalId"] - 1, tuple(map(bytes, event["update"]))
            )
        event = play.merge().events["Merged"]
        assert bytes(event["mergeDigest"]) == merge_digest(
            play.job_id, round_, 1, accumulator, tuple(map(bytes, event["state"]))
        )
        assert play.standing(round_) == bytes(event["mergeDigest"])
    assert bytes(play.job["accumulator"]) == accumulator


def test_mergers_rotate(start):
    play = start(3, rounds=4)
    mergers = []
    for _ in range(4):
        play.play_round()
        mergers.append(play.slot(play.round - 1)["merger"] - 1)
    assert mergers == [1, 2, 0, 1]


def test_not_while_updates_are_missing(start, jobs, reverts):
    play = start(3)
    assert jobs.mergersInLine(play.job_id) == 0
    play.submit_all([0, 1])
    with reverts("UpdatesMissing", play.job_id, 1, bits(2)):
        play.merge(1)
    assert jobs.mergersInLine(play.job_id) == 0


def test_turns_pass_on_and_stay_open(full, jobs, chain, reverts):
    """Ring of round 1: 1, 2, 0. The first in line stays entitled."""
    start = full.slot()["since"]
    turn = full.phases.merge
    assert jobs.mergersInLine(full.job_id) == bits(1)
    with reverts("NotYourTurn", full.job_id, 1, start + turn):
        full.merge(2)
    with reverts("NotYourTurn", full.job_id, 1, start + 2 * turn):
        full.merge(0)

    chain.mine(timestamp=start + turn)
    assert jobs.mergersInLine(full.job_id) == bits(1, 2)
    chain.mine(timestamp=start + 2 * turn)
    assert jobs.mergersInLine(full.job_id) == bits(0, 1, 2)
    full.merge(1)
    assert full.slot(1)["merger"] == 2


@pytest.mark.parametrize("turn", [1, 2])
def test_the_next_in_line_takes_over(full, turn):
    full.sleep(turn * full.phases.merge)
    merger = full.next_merger(turn)
    full.merge(merger)
    assert full.slot(1)["merger"] == merger + 1
    assert full.slot(2)["attested"] == bits(merger)


def test_a_late_merger_is_still_welcome(full):
    full.sleep(10 * full.phases.merge)
    full.merge(0)
    assert full.round == 2


def test_a_merger_needs_no_consent(full, consents):
    consents.revoke(full.consent_ids[1], {"from": full.members[1].admin})
    full.merge(1)
    assert full.slot(1)["merger"] == 2
    assert full.slot(2)["participants"] == bits(0, 2)
    assert full.slot(2)["previous"] == bits(0, 1, 2)


def test_only_participants_merge(start, admit, jobs, reverts):
    play = start(3)
    play.submit_all([0, 1])
    play.sleep(play.phases.submit)
    play.open()
    play.submit_all([0, 1])
    with reverts("NotParticipant", play.job_id, 1, 3):
        play.merge(2)
    fourth = admit(4)[3]
    with reverts("NotEnrolled", play.job_id, 4):
        jobs.merge(play.job_id, 1, 2, vector("x"), {"from": fourth.operator})
    with reverts("NotOperator", play.members[0].admin):
        jobs.merge(play.job_id, 1, 2, vector("x"), {"from": play.members[0].admin})


def test_a_suspended_merger_is_passed_over(full, hospitals, owner, reverts):
    hospitals.suspend(2, {"from": owner})
    with reverts("Suspended", 2):
        full.merge(1)
    full.sleep(full.phases.merge)
    full.merge(2)


def test_only_the_open_round_and_attempt(full, jobs, reverts):
    operator = {"from": full.members[1].operator}
    for round_, attempt in ((0, 0), (1, 2), (2, 0)):
        with reverts("NotOpen", full.job_id, 1, 1):
            jobs.merge(full.job_id, round_, attempt, vector("x"), operator)
    full.merge()
    with reverts("NotOpen", full.job_id, 2, 1):
        jobs.merge(full.job_id, 1, 1, vector("x"), operator)


@pytest.mark.parametrize("state", [(ZERO, b"\x01" * 32), (b"\x01" * 32, ZERO)])
def test_no_empty_digest(full, reverts, state):
    with reverts("EmptyDigest"):
        full.merge(state=state)


@pytest.fixture(scope="module")
def left(start, consents):
    """Round 2 with all updates in, while the merge of round 1 is attested by its merger alone: 0 and 2 have left, so
    that silence must make it final."""
    play = start(3, rounds=3, min_hospitals=1)
    play.submit_all()
    for index in (0, 2):
        consents.revoke(play.consent_ids[index], {"from": play.members[index].admin})
    play.merge(1)
    play.submit(1)
    return play


def test_the_round_before_must_be_final(left, jobs, reverts):
    assert left.slot()["attested"] == bits(1)
    with reverts("NotFinal", left.job_id, 1):
        left.merge(1)
    assert jobs.mergersInLine(left.job_id) == 0


def test_silence_makes_it_final(left, jobs, chain):
    merged_at = left.job["since"]
    chain.mine(timestamp=left.slot()["since"] + left.phases.check)
    assert left.job["finalRounds"] == 1
    assert jobs.mergersInLine(left.job_id) == bits(1)
    tx = left.merge(1)
    assert [e["round"] for e in tx.events["RoundFinal"]] == [1, 2]
    assert left.job["finalRounds"] == 2
    assert merged_at <= tx.timestamp


def test_leavers_attest_and_the_turns_begin_then(left, jobs):
    """Attesting needs no consent. Who waited for the last attestation has the whole turn."""
    left.sleep(left.phases.merge * 3)
    tx = left.attest(0)
    assert tx.events["RoundFinal"] == {"jobId": left.job_id, "round": 1}
    assert left.slot()["since"] == tx.timestamp
    assert jobs.mergersInLine(left.job_id) == bits(1)
    left.merge(1)


def test_turns_wait_for_silence(start, consents, jobs, chain, reverts):
    """Two remain of five, and both have attested with the merger: 2 of 5. The second in line waits for silence and one
    turn more."""
    play = start(5, rounds=3, min_hospitals=2)
    play.submit_all()
    for index in (0, 2, 4):
        consents.revoke(play.consent_ids[index], {"from": play.members[index].admin})
    tx = play.merge(1)
    play.submit_all([1, 3])
    first, second = play.next_merger(), play.next_merger(1)
    final_at = tx.timestamp + play.phases.check
    chain.mine(timestamp=final_at)
    assert jobs.mergersInLine(play.job_id) == bits(first)
    with reverts("NotYourTurn", play.job_id, 2, final_at + play.phases.merge):
        play.merge(second)
    chain.mine(timestamp=final_at + play.phases.merge)
    assert jobs.mergersInLine(play.job_id) == bits(first, second)
    play.merge(second)
    assert play.job["finalRounds"] == 2 - 1


def test_one_hospital_alone_is_final_at_once(start):
    play = start(1, rounds=2, min_hospitals=1)
    tx = play.play_round()
    assert tx.events["RoundFinal"] == {"jobId": play.job_id, "round": 1}
    assert play.job["finalRounds"] == 1
    tx = play.play_round()
    assert tx.events["RoundFinal"] == {"jobId": play.job_id, "round": 2}


def test_too_few_live_pause_after_a_merge(full, consents):
    for index in (0, 2):
        consents.revoke(full.consent_ids[index], {"from": full.members[index].admin})
    tx = full.merge()
    assert tx.events["JobPaused"] == {"jobId": full.job_id, "round": 2, "live": bits(1)}
    assert tuple(full.slot(2)) == (0, 0, bits(0, 1, 2), bits(1), 0, 0, 0, tx.timestamp)
    assert full.status == Status.PAUSED
    full.attest(0)
    assert full.job["finalRounds"] == 1


def test_the_last_merge_opens_the_reports(full):
    full.merge()
    full.submit_all()
    tx = full.merge()
    assert tx.events["ReportingOpened"] == {"jobId": full.job_id, "participants": bits(0, 1, 2)}
    assert (full.status, full.round, full.job["since"]) == (Status.REPORTING, 3, tx.timestamp)
    assert tuple(full.slot(3)) == (bits(0, 1, 2), 0, bits(0, 1, 2), bits(2), 0, 1, 0, tx.timestamp)


def test_reports_are_asked_of_the_live(full, consents):
    full.merge()
    full.submit_all()
    consents.revoke(full.consent_ids[0], {"from": full.members[0].admin})
    full.merge()
    assert full.slot()["participants"] == bits(1, 2)


def test_or_of_the_present_when_nobody_is_live(start):
    play = start(2, rounds=1, terms={"max_rounds": 1})
    play.submit_all()
    play.merge()
    assert play.status == Status.REPORTING
    assert play.slot()["participants"] == bits(0, 1)
