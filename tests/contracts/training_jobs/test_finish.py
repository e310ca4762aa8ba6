"""Reports, the quality gate, and what a finished job leaves (invariants 1, 5, 6)."""

from __future__ import annotations

import pytest
from play import REWARD, ZERO, Phases, Play, Status, bits, vector

CANDIDATE = 2


@pytest.fixture(scope="module")
def play(start):
    """All rounds are merged; hospital 2 merged the last."""
    play = start(3)
    play.play_all()
    return play


def test_report_is_recorded(play):
    standing = play.standing()
    tx = play.report(0, correct=70)
    event = tx.events["Reported"]
    assert (event["jobId"], event["hospitalId"], event["correct"], event["total"]) == (
        play.job_id,
        1,
        70,
        100,
    )
    assert bytes(event["metricsDigest"]) != ZERO
    assert bytes(tx.events["Attested"]["mergeDigest"]) == standing
    assert tx.events["RoundFinal"] == {"jobId": play.job_id, "round": 2}
    assert play.slot()["submitted"] == bits(0)


def test_report_refuses(play, jobs, admit, reverts):
    last = play.round
    with reverts("WrongTotal", play.job_id, 100):
        play.report(0, correct=1, total=99)
    with reverts("WrongTotal", play.job_id, 100):
        play.report(0, correct=101)
    with reverts("EmptyDigest"):
        play.report(0, metrics=ZERO)
    with reverts("WrongMerge", play.job_id, 2, play.standing()):
        play.report(0, attests=ZERO)
    with reverts("NotOperator", play.members[0].admin):
        jobs.report(play.job_id, play.standing(), 1, 100, b"\x01" * 32, {"from": play.members[0].admin})
    fourth = admit(4)[3]
    with reverts("NotEnrolled", play.job_id, 4):
        jobs.report(play.job_id, play.standing(), 1, 100, b"\x01" * 32, {"from": fourth.operator})
    play.report(0)
    with reverts("AlreadyDone", play.job_id, last, 1):
        play.report(0)


def test_who_rejected_the_merge_does_not_report_on_it(play, reverts):
    play.reject(0)
    with reverts("AlreadyDone", play.job_id, 2, 1):
        play.report(0)


def test_only_who_is_asked_reports(start, consents, reverts):
    play = start(3, rounds=1)
    play.submit_all()
    consents.revoke(play.consent_ids[0], {"from": play.members[0].admin})
    play.merge()
    with reverts("NotParticipant", play.job_id, 2, 1):
        play.report(0)


def test_no_reports_before(start, reverts):
    play = start(3)
    with reverts("WrongJobStatus", play.job_id, Status.RUNNING):
        play.report(0)
    with reverts("WrongJobStatus", play.job_id, Status.RUNNING):
        play.finish()


def test_finish_makes_a_candidate(play, models, stranger):
    for index in range(3):
        play.report(index, correct=70 + index)
    tx = play.finish(by=stranger)

    assert tx.return_value == 2
    assert tx.events["JobFinished"] == {
        "jobId": play.job_id,
        "passed": True,
        "correct": 213,
        "total": 300,
        "version": 2,
    }
    version = models.version(1, 2)
    assert (version["status"], version["parent"], version["jobId"]) == (CANDIDATE, 1, play.job_id)
    assert tuple(map(bytes, version["state"])) == play.state(2)
    assert (play.status, play.job["since"], play.job["finalRounds"]) == (Status.FINISHED, tx.timestamp, 2)


def test_finish_pays_contributions(play, rewards, reward_token, owner, researcher):
    """Training records 100, 200, 300 in both rounds; hospitals 2 and 3 merged one round each."""
    for index in range(3):
        play.report(index)
    play.finish()
    paid = [tuple(rewards.hospitalCreditOf(i, reward_token)) for i in (1, 2, 3)]
    hospitals, caregivers, patients, mergers = (
        REWARD * bps // 10_000 for bps in (6_000, 1_500, 1_000, 1_000)
    )
    assert paid == [
        (hospitals * n // 6 + mergers * merges // 2, caregivers * n // 6, patients * n // 6)
        for n, merges in ((1, 0), (2, 1), (3, 1))
    ]
    assert rewards.creditOf(owner, reward_token) == REWARD - sum(map(sum, paid))
    assert rewards.creditOf(researcher, reward_token) == 0


def test_a_failed_gate_makes_none_but_pays(play, models, rewards, reward_token, researcher):
    for index in range(3):
        play.report(index, correct=69)
    tx = play.finish()
    assert tx.events["JobFinished"] == {
        "jobId": play.job_id,
        "passed": False,
        "correct": 207,
        "total": 300,
        "version": 0,
    }
    assert models.versionCount(1) == 1
    assert play.status == Status.FINISHED
    assert rewards.creditOf(researcher, reward_token) == 0


def test_the_gate_is_passed_exactly(play):
    for index in range(3):
        play.report(index, correct=70)
    assert play.finish().events["JobFinished"]["version"] == 2


def test_not_before_all_reports_are_in(play, reverts):
    play.report(0)
    with reverts("ReportsMissing", play.job_id, bits(1, 2)):
        play.finish(at_once=True)


def test_or_their_time_is_over(play, chain):
    play.report(0)
    play.report(1)
    chain.mine(timestamp=play.job["since"] + play.phases.report)
    assert play.finish().events["JobFinished"]["version"] == 2


def test_too_few_reports_fail_the_gate(play, chain):
    play.report(0, correct=100)
    chain.mine(timestamp=play.job["since"] + play.phases.report)
    assert play.finish().events["JobFinished"]["version"] == 0


def test_fewer_asked_than_the_minimum_need_only_all_report(start, consents):
    play = start(3, rounds=1, min_hospitals=3)
    play.submit_all()
    for index in (0, 1):
        consents.revoke(play.consent_ids[index], {"from": play.members[index].admin})
    play.merge(1)
    play.report(2)
    assert play.finish().events["JobFinished"]["version"] == 2


def test_no_report_at_all_fails_the_gate(play):
    play.sleep(play.phases.check)
    assert play.finish().events["JobFinished"]["passed"] is False


def test_nothing_held_out_fails_the_gate(jobs, datasets, version, propose, consenting):
    members, consent_ids = consenting(2)
    job_id = propose(max_hospitals=2, rounds=1, gate_bps=0)
    for one, consent_id in zip(members, consent_ids, strict=True):
        dataset_id = consent_id
        datasets.append(dataset_id, version(held_out_records=0), {"from": one.operator})
        jobs.enrol(job_id, consent_id, 2, ZERO, {"from": one.operator})
    play = Play(jobs, job_id, members, consent_ids, members[0].operator, Phases())
    play.open()
    play.play_all()
    for index in range(2):
        play.report(index, correct=0, total=0)
    event = play.finish().events["JobFinished"]
    assert (event["passed"], event["total"]) == (False, 0)


def test_the_last_merge_must_be_final(start, chain, reverts):
    """Invariant 5: while it may still be void, no version comes of it."""
    play = start(4, rounds=1)
    play.play_all()
    play.report(play.slot(1)["merger"] - 1)
    chain.mine(timestamp=play.job["since"] + play.phases.report)
    with reverts("WindowOpen", play.job_id, play.job["since"] + play.phases.check):
        play.finish(at_once=True)
    tx = play.finish()
    assert tx.events["RoundFinal"] == {"jobId": play.job_id, "round": 1}


def test_not_while_fraud_can_be_proved(play, chain, jobs, reverts):
    """Invariant 5: also when all reports are in and two thirds attest. Bonds are free from then on."""
    for index in range(3):
        play.report(index)
    free = play.job["since"] + play.phases.check
    assert play.job["finalRounds"] == 2
    chain.mine(timestamp=free - 10)
    with reverts("WindowOpen", play.job_id, free):
        play.finish(at_once=True)
    assert jobs.bondsFreeAt(play.job_id) == 2**40 - 1
    chain.mine(timestamp=free)
    tx = play.finish()
    assert jobs.bondsFreeAt(play.job_id) == tx.timestamp


def test_only_the_state_that_was_merged(play, reverts):
    for index in range(3):
        play.report(index)
    with reverts("WrongMerge", play.job_id, 2, play.standing()):
        play.finish(state=vector("another"))


def test_finished_is_finished(play, reverts):
    for index in range(3):
        play.report(index)
    play.finish()
    for step in (play.finish, play.open):
        with reverts("WrongJobStatus", play.job_id, Status.FINISHED):
            step()
    with reverts("WrongJobStatus", play.job_id, Status.FINISHED):
        play.jobs.cancel(play.job_id, {"from": play.researcher})
    with reverts("WrongJobStatus", play.job_id, Status.FINISHED):
        play.report(0)


def test_a_job_that_may_add_no_candidate_stays_open(play, models, owner, reverts):
    """Nothing is lost when the DAO has not allowed this contract: it can be finished once it does."""
    for index in range(3):
        play.report(index)
    models.setJobs(play.jobs, False, {"from": owner})
    with reverts("NotJobs", play.jobs):
        play.finish()
    models.setJobs(play.jobs, True, {"from": owner})
    assert play.finish().events["JobFinished"]["version"] == 2


def test_rounds_taken_part_count(start, rewards, reward_token):
    """Hospital 3 misses the second of three rounds: 100 x 3, 200 x 3, 300 x 2 units."""
    play = start(3, rounds=3)
    play.play_round()
    play.submit_all([0, 1])
    play.sleep(play.phases.submit)
    play.open()
    play.play_round()
    play.jobs.rejoin(play.job_id, {"from": play.members[2].operator})
    play.play_round()
    assert play.slot(2)["submitted"] == bits(0, 1)
    assert play.slot(3)["submitted"] == bits(0, 1)
    for index in range(3):
        play.report(index)
    play.finish()
    caregivers = REWARD * 1_500 // 10_000
    assert [rewards.hospitalCreditOf(i, reward_token)["caregivers"] for i in (1, 2, 3)] == [
        caregivers * units // 1_200 for units in (300, 600, 300)
    ]
