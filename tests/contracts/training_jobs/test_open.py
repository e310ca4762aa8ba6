"""Openings: the first attempt, new attempts, pauses and returns."""

from __future__ import annotations

import pytest
from play import Status, bits, first_accumulator


@pytest.fixture(scope="module")
def play(start):
    return start(3)


def test_the_first_round_opens_when_all_places_are_taken(enrolled, stranger):
    play = enrolled(3)
    tx = play.open(by=stranger)
    assert tx.events["AttemptOpened"] == {
        "jobId": play.job_id,
        "round": 1,
        "attempt": 1,
        "participants": bits(0, 1, 2),
    }
    assert (play.status, play.round, play.job["since"]) == (Status.RUNNING, 1, tx.timestamp)
    assert tuple(play.slot()) == (bits(0, 1, 2), 0, 0, 0, 0, 1, 0, tx.timestamp)
    assert bytes(play.job["accumulator"]) == first_accumulator(play.job_id, 1, 1)


def test_or_when_its_time_is_over(enrolled, reverts):
    play = enrolled(2, max_hospitals=3)
    with reverts("NothingToOpen", play.job_id):
        play.open()
    play.sleep(play.phases.enrol)
    play.open()
    assert play.slot()["participants"] == bits(0, 1)


def test_not_with_too_few(enrolled, reverts):
    play = enrolled(1, max_hospitals=2)
    play.sleep(play.phases.enrol)
    with reverts("NothingToOpen", play.job_id):
        play.open()


def test_not_with_too_few_live(enrolled, consents, reverts):
    play = enrolled(2)
    consents.revoke(play.consent_ids[0], {"from": play.members[0].admin})
    with reverts("NothingToOpen", play.job_id):
        play.open()


def test_the_dead_are_left_out(enrolled, consents):
    """Invariant 2."""
    play = enrolled(3)
    consents.revoke(play.consent_ids[1], {"from": play.members[1].admin})
    play.open()
    assert play.slot()["participants"] == bits(0, 2)


def test_nothing_to_open_while_updates_may_come(play, reverts):
    play.submit(0)
    play.sleep(play.phases.submit - 100)
    with reverts("NothingToOpen", play.job_id):
        play.open()


def test_nothing_to_open_when_all_updates_are_in(play, reverts):
    play.submit_all()
    play.sleep(play.phases.submit + 1)
    with reverts("NothingToOpen", play.job_id):
        play.open()


def test_a_revocation_after_the_last_update_changes_nothing(play, consents, reverts):
    """Settled participants: the revocation acts from the next round."""
    play.submit_all()
    consents.revoke(play.consent_ids[0], {"from": play.members[0].admin})
    with reverts("NothingToOpen", play.job_id):
        play.open()
    play.merge()
    assert play.slot()["participants"] == bits(1, 2)
    assert play.slot()["previous"] == bits(0, 1, 2)


def test_a_missed_deadline_opens_a_new_attempt(play):
    play.submit_all([0, 2])
    play.sleep(play.phases.submit)
    tx = play.open()
    assert tx.events["AttemptOpened"]["attempt"] == 2
    assert tuple(play.slot()) == (bits(0, 2), 0, 0, 0, 0, 2, 0, tx.timestamp)
    assert play.job["present"] == bits(0, 2)
    assert bytes(play.job["accumulator"]) == first_accumulator(play.job_id, 1, 2)


def test_a_late_update_is_accepted_until_then(play):
    play.submit_all([0, 2])
    play.sleep(play.phases.submit + 1)
    tx = play.submit(1)
    assert play.slot()["submitted"] == bits(0, 1, 2)
    assert play.slot()["since"] == tx.timestamp


def test_an_update_of_an_old_attempt_is_refused(play, reverts):
    play.submit_all([0, 2])
    play.sleep(play.phases.submit)
    play.open()
    with reverts("NotOpen", play.job_id, 1, 2):
        play.submit(0, attempt=1)
    play.submit_all()
    play.merge()


def test_a_consent_that_dies_opens_one_at_once(play, consents):
    """Only the dead are left out: whoever may still come stays."""
    play.submit(0)
    consents.revoke(play.consent_ids[1], {"from": play.members[1].admin})
    play.open()
    assert play.slot()["participants"] == bits(0, 2)
    assert play.job["present"] == bits(0, 1, 2)


def test_a_dead_submitter_is_left_out_of_the_new_attempt(play, consents):
    play.submit_all([0, 1])
    consents.revoke(play.consent_ids[0], {"from": play.members[0].admin})
    consents.revoke(play.consent_ids[2], {"from": play.members[2].admin})
    tx = play.open()
    assert play.status == Status.PAUSED
    assert tx.events["JobPaused"] == {"jobId": play.job_id, "round": 1, "live": bits(1)}


def test_an_expired_consent_counts_as_dead(start, chain):
    play = start(3, terms={"expires_at": chain.time() + 500})
    play.sleep(600)
    tx = play.open()
    assert (play.status, play.job["since"]) == (Status.PAUSED, tx.timestamp)
    assert tx.events["JobPaused"]["live"] == 0


def test_a_used_up_consent_counts_as_dead(start):
    play = start(2, terms={"max_rounds": 1})
    play.submit_all()
    tx = play.merge()
    assert play.status == Status.PAUSED
    assert tx.events["JobPaused"] == {"jobId": play.job_id, "round": 2, "live": 0}


def test_too_few_pause_the_job(play, reverts):
    play.submit(0)
    play.sleep(play.phases.submit)
    tx = play.open()
    assert tx.events["JobPaused"] == {"jobId": play.job_id, "round": 1, "live": bits(0)}
    assert (play.status, play.job["since"]) == (Status.PAUSED, tx.timestamp)
    assert tuple(play.slot()) == (0, 0, 0, 0, 0, 1, 0, tx.timestamp)
    with reverts("NothingToOpen", play.job_id):
        play.open()
    with reverts("WrongJobStatus", play.job_id, Status.PAUSED):
        play.submit(0)


def test_rejoining_ends_a_pause(play, jobs):
    play.submit(0)
    play.sleep(play.phases.submit)
    play.open()

    tx = jobs.rejoin(play.job_id, {"from": play.members[2].operator})
    assert tx.events["Rejoined"] == {"jobId": play.job_id, "hospitalId": 3}
    tx = play.open()

    assert (play.status, play.job["since"]) == (Status.RUNNING, tx.timestamp)
    assert tuple(play.slot()) == (bits(0, 2), 0, 0, 0, 0, 2, 0, tx.timestamp)
    play.play_all()
    assert play.status == Status.REPORTING


def test_rejoining_counts_from_the_next_round(play, jobs):
    play.submit_all([0, 2])
    play.sleep(play.phases.submit)
    play.open()
    jobs.rejoin(play.job_id, {"from": play.members[1].operator})
    assert play.slot()["participants"] == bits(0, 2)
    assert play.job["present"] == bits(0, 1, 2)
    play.play_round()
    assert play.slot()["participants"] == bits(0, 1, 2)
    assert play.slot()["previous"] == bits(0, 2)


def test_who_is_present_does_not_rejoin(play, jobs, spare, reverts):
    with reverts("AlreadyDone", play.job_id, 1, 1):
        jobs.rejoin(play.job_id, {"from": play.members[0].operator})
    with reverts("NotOperator", spare[0]):
        jobs.rejoin(play.job_id, {"from": spare[0]})


def test_strangers_do_not_rejoin(play, jobs, admit, reverts):
    fourth = admit(4)[3]
    with reverts("NotEnrolled", play.job_id, 4):
        jobs.rejoin(play.job_id, {"from": fourth.operator})


def test_nobody_rejoins_before_or_after(enrolled, jobs, reverts):
    play = enrolled(2)
    operator = {"from": play.members[0].operator}
    with reverts("WrongJobStatus", play.job_id, Status.ENROLLING):
        jobs.rejoin(play.job_id, operator)
    play.open()
    play.play_all()
    with reverts("WrongJobStatus", play.job_id, Status.REPORTING):
        jobs.rejoin(play.job_id, operator)
    with reverts("WrongJobStatus", play.job_id, Status.REPORTING):
        play.open()


def test_a_suspended_hospital_misses_its_deadline(play, hospitals, owner, reverts):
    hospitals.suspend(2, {"from": owner})
    with reverts("Suspended", 2):
        play.submit(1)
    play.submit_all([0, 2])
    play.sleep(play.phases.submit)
    play.open()
    assert play.slot()["participants"] == bits(0, 2)


def test_a_new_attempt_keeps_the_votes_on_the_last_merge(play):
    play.play_round()
    merger = play.slot(1)["merger"]
    play.submit(0)
    before = play.slot()
    play.sleep(play.phases.submit)
    play.submit(2)
    play.open()
    after = play.slot()
    assert (after["previous"], after["attempt"]) == (bits(0, 1, 2), 2)
    assert after["attested"] == before["attested"] | bits(2)
    assert play.slot(1)["merger"] == merger
