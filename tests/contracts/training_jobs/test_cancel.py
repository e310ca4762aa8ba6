"""Cancelling: final rounds stay earned, the rest goes back, and no job hangs (invariant 1)."""

from __future__ import annotations

import pytest
from play import REWARD, Status


@pytest.fixture(scope="module")
def play(start):
    return start(3, rounds=3)


@pytest.fixture
def cancel(jobs, stranger):
    """Cancels as anyone, or as who is named."""

    def _cancel(play, by=stranger):
        return jobs.cancel(play.job_id, {"from": by})

    return _cancel


@pytest.fixture
def refund(rewards, reward_token, researcher):
    """What the researcher may take back."""
    return lambda: rewards.creditOf(researcher, reward_token)


def test_the_researcher_cancels_while_enrolling(enrolled, cancel, refund, researcher):
    play = enrolled(2, max_hospitals=3)
    tx = cancel(play, researcher)
    assert tx.events["JobCancelled"] == {"jobId": play.job_id, "by": researcher, "finalRounds": 0}
    assert (play.status, play.job["since"]) == (Status.CANCELLED, tx.timestamp)
    assert refund() == REWARD


def test_nobody_else_does(enrolled, cancel, owner, reverts):
    play = enrolled(2, max_hospitals=3)
    for account in (owner, play.members[0].operator):
        with reverts("NotYoursToCancel", play.job_id):
            cancel(play, account)


def test_anyone_cancels_when_too_few_enrolled(enrolled, cancel, refund, reverts):
    play = enrolled(1, max_hospitals=3)
    with reverts("NotYoursToCancel", play.job_id):
        cancel(play)
    play.sleep(play.phases.enrol)
    cancel(play)
    assert refund() == REWARD


def test_not_when_enough_enrolled(enrolled, cancel, reverts):
    play = enrolled(2, max_hospitals=3)
    play.sleep(play.phases.enrol + play.phases.pause)
    with reverts("NotYoursToCancel", play.job_id):
        cancel(play)


def test_anyone_cancels_when_too_few_are_live(enrolled, cancel, consents):
    play = enrolled(2)
    consents.revoke(play.consent_ids[0], {"from": play.members[0].admin})
    cancel(play)
    assert play.status == Status.CANCELLED


def test_final_rounds_stay_earned(play, cancel, rewards, reward_token, owner, refund, researcher):
    play.play_round()
    play.submit_all()
    tx = cancel(play, researcher)
    assert tx.events["JobCancelled"]["finalRounds"] == 1
    earned = REWARD // 3
    assert refund() == REWARD - earned
    credits = [sum(rewards.hospitalCreditOf(i, reward_token)) for i in (1, 2, 3)]
    assert sum(credits) + rewards.creditOf(owner, reward_token) == earned
    assert rewards.hospitalCreditOf(2, reward_token)["payout"] == earned * 6 // 10 // 3 + earned // 10


def test_a_merge_in_doubt_is_not_earned(play, cancel, refund, researcher):
    play.play_round()
    tx = cancel(play, researcher)
    assert "RoundFinal" not in tx.events
    assert refund() == REWARD
    play.sleep(play.phases.check)
    assert play.job["finalRounds"] == 0


def test_a_merge_final_by_silence_is(play, cancel, refund, researcher):
    play.play_round()
    play.sleep(play.phases.check)
    tx = cancel(play, researcher)
    assert tx.events["RoundFinal"] == {"jobId": play.job_id, "round": 1}
    assert refund() == REWARD - REWARD // 3


def test_nobody_else_cancels_a_job_under_way(play, cancel, reverts):
    with reverts("NotYoursToCancel", play.job_id):
        cancel(play)
    play.sleep(play.phases.submit + play.phases.pause)
    with reverts("NotYoursToCancel", play.job_id):
        cancel(play)


def test_anyone_cancels_when_no_merger_came(play, cancel, chain, reverts):
    play.submit_all()
    since = play.slot()["since"]
    chain.mine(timestamp=since + 3 * play.phases.merge - 10)
    with reverts("NotYoursToCancel", play.job_id):
        cancel(play)
    chain.mine(timestamp=since + 3 * play.phases.merge)
    cancel(play)
    assert play.status == Status.CANCELLED


def test_mergers_that_wait_for_silence_are_not_late(start, consents, cancel, chain, reverts):
    play = start(3, rounds=3, min_hospitals=1)
    play.submit_all()
    for index in (0, 2):
        consents.revoke(play.consent_ids[index], {"from": play.members[index].admin})
    tx = play.merge(1)
    play.submit(1)
    chain.mine(timestamp=tx.timestamp + play.phases.check + play.phases.merge - 10)
    with reverts("NotYoursToCancel", play.job_id):
        cancel(play)
    chain.mine(timestamp=tx.timestamp + play.phases.check + play.phases.merge)
    cancel(play)


def test_anyone_cancels_after_too_long_a_pause(play, cancel, refund, chain, reverts):
    play.submit(0)
    play.sleep(play.phases.submit)
    play.open()
    with reverts("NotYoursToCancel", play.job_id):
        cancel(play)
    chain.mine(timestamp=play.job["since"] + play.phases.pause)
    cancel(play)
    assert refund() == REWARD


def test_not_when_it_could_go_on(play, cancel, jobs, reverts):
    play.submit(0)
    play.sleep(play.phases.submit)
    play.open()
    jobs.rejoin(play.job_id, {"from": play.members[1].operator})
    play.sleep(play.phases.pause)
    with reverts("NotYoursToCancel", play.job_id):
        cancel(play)
    play.open()
    assert play.status == Status.RUNNING


@pytest.fixture
def disputed(start):
    """The merge of round 1 is rejected by one of four, and nobody attests it."""
    play = start(4, rounds=2)
    play.play_round()
    play.reject(0)
    return play


def test_anyone_cancels_a_dispute_that_nobody_settles(disputed, cancel, refund, reverts):
    with reverts("NotYoursToCancel", disputed.job_id):
        cancel(disputed)
    disputed.sleep(disputed.phases.check)
    tx = cancel(disputed)
    assert tx.events["JobCancelled"]["finalRounds"] == 0
    assert refund() == REWARD


def test_a_settled_dispute_is_none(disputed, cancel, reverts):
    disputed.attest(2)
    disputed.attest(3)
    disputed.sleep(disputed.phases.check)
    with reverts("NotYoursToCancel", disputed.job_id):
        cancel(disputed)


def test_a_dispute_over_the_last_merge(start, cancel, researcher, refund, reverts):
    play = start(4, rounds=1)
    play.play_all()
    play.reject(0)
    for account in (researcher, play.members[0].operator):
        with reverts("NotYoursToCancel", play.job_id):
            cancel(play, account)
    play.sleep(play.phases.check + play.phases.report)
    with reverts("NotFinal", play.job_id, 1):
        play.finish()
    cancel(play)
    assert refund() == REWARD


def test_nobody_cancels_a_job_that_can_finish(start, cancel, researcher, reverts):
    play = start(2, rounds=1)
    play.play_all()
    play.sleep(play.phases.check + play.phases.report + play.phases.pause)
    for account in (researcher, play.members[0].operator):
        with reverts("NotYoursToCancel", play.job_id):
            cancel(play, account)
    play.finish()


def test_cancelled_is_cancelled(play, cancel, researcher, reverts):
    cancel(play, researcher)
    with reverts("WrongJobStatus", play.job_id, Status.CANCELLED):
        cancel(play, researcher)
    with reverts("WrongJobStatus", play.job_id, Status.CANCELLED):
        play.open()
    with reverts("WrongJobStatus", play.job_id, Status.CANCELLED):
        play.submit(0)
