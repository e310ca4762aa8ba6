"""What a hospital owes a job next, from the record alone."""

from __future__ import annotations

from dataclasses import replace

import pytest

from protocol.chain.consents import Permission, Purpose
from protocol.chain.enums import JobStatus, Rule
from protocol.chain.jobs import Draw, Job, MergeRule, Participant, Phases, Round
from protocol.node.steps import TURN_SECONDS, Action, FalseMerge, View, is_final, next_step

PHASES = Phases(enrol=100, submit=60, merge=30, check=40, report=50, pause=200)
ALL = 0b1111
ONE_GROUP = MergeRule(10, 65_536, Rule.MEAN, 1, True)
GROUPS = replace(ONE_GROUP, groups=2)
DRAWN = Draw(2, True, 7, 0b0001_0000_0000_0000)


def a_job(**changes: object) -> Job:
    job = Job(
        JobStatus.RUNNING, 2, 1, 4, ALL, 1_000, 3, 3, 4, 0, 1, 1, ONE_GROUP, PHASES,
        Purpose("0x" + "11" * 20, Permission.HMB, 0, 0, 0), bytes(32), bytes(32), bytes(32),
    )  # fmt: skip
    return replace(job, **changes)


def a_view(index: int = 0, **changes: object) -> View:
    """Round 2 just opened; round 1's merge is attested by its merger (bit 3) alone, yet final by the job's count."""
    view = View(
        now=2_000,
        job=a_job(),
        round=Round(ALL, 0, ALL, ALL, 0, 1, 0, 2_000),
        merged_at=2_000,
        me=Participant(True, index, 1, 1, 1, 100, 50),
        in_line=0,
        rejecting=0,
        live=0b1111,
        hospitals=(11, 12, 13, 14),
        moved_at=2_000,
    )
    return replace(view, **changes)


def why(view: View) -> str:
    return next_step(view).why


def action(view: View) -> Action:
    return next_step(view).action


def test_a_missing_update_is_submitted_first() -> None:
    assert action(a_view()) == Action.SUBMIT


def test_a_dead_consent_submits_nothing() -> None:
    """Invariant 2: the attempt is opened again without this hospital instead."""
    assert action(a_view(live=0b1110)) == Action.OPEN


def test_whoever_has_submitted_waits_for_the_others() -> None:
    assert action(a_view(round=Round(ALL, 0b0001, ALL, ALL, 0, 1, 0, 2_000))) == Action.WAIT


def test_the_one_in_line_merges() -> None:
    everything_in = Round(ALL, ALL, ALL, ALL, 0, 1, 0, 2_000)
    assert action(a_view(index=2, round=everything_in, in_line=0b0100)) == Action.MERGE
    assert action(a_view(index=1, round=everything_in, in_line=0b0100)) == Action.WAIT


def test_a_leaver_still_attests_and_still_merges() -> None:
    """DESIGN, "A round", step 4: merging and attesting need no consent."""
    left = Round(0b1110, 0, ALL, 0b1000, 0, 1, 0, 2_000)
    assert action(a_view(round=left, live=0b1110)) == Action.ATTEST
    settled = Round(ALL, ALL, ALL, ALL, 0, 1, 0, 2_000)
    assert action(a_view(round=settled, live=0b1110, in_line=0b0001)) == Action.MERGE


def test_an_update_past_its_deadline_opens_a_new_attempt_one_hospital_after_another() -> None:
    late = Round(ALL, 0b0111, ALL, ALL, 0, 1, 0, 2_000)
    deadline = 2_000 + PHASES.submit
    assert action(a_view(round=late, now=deadline - 1)) == Action.WAIT
    assert action(a_view(round=late, now=deadline)) == Action.OPEN
    assert action(a_view(index=1, round=late, now=deadline)) == Action.WAIT
    assert action(a_view(index=1, round=late, now=deadline + TURN_SECONDS)) == Action.OPEN


def test_an_update_that_can_never_come_is_not_waited_for() -> None:
    assert action(a_view(round=Round(ALL, 0b0111, ALL, ALL, 0, 1, 0, 2_000), live=0b0111)) == Action.OPEN


def test_no_merger_came() -> None:
    waiting = Round(ALL, ALL, ALL, ALL, 0, 1, 0, 2_000)
    view = a_view(round=waiting, in_line=0b1110, now=2_000 + 4 * PHASES.merge)
    assert action(view) == Action.CANCEL


def test_whoever_rejected_the_merge_does_not_build_on_it() -> None:
    assert action(a_view(rejecting=1, round=Round(ALL, 0, ALL, 0b1000, 0, 1, 0, 2_000))) == Action.WAIT


def test_a_dispute_that_stays_ends_the_job() -> None:
    disputed = Round(ALL, 0b0011, ALL, 0b1000, 0, 1, 0, 2_000)
    view = a_view(round=disputed, rejecting=1, merged_at=2_000, now=2_000 + PHASES.check)
    assert action(view) == Action.CANCEL


@pytest.mark.parametrize(
    ("enrolled", "now", "expected"),
    [
        (2, 1_050, Action.WAIT),
        (4, 1_050, Action.OPEN),
        (3, 1_050, Action.WAIT),
        (3, 1_100, Action.OPEN),
        (2, 1_100, Action.CANCEL),
    ],
)
def test_enrolment(enrolled: int, now: int, expected: Action) -> None:
    everybody = (1 << enrolled) - 1
    job = a_job(status=JobStatus.ENROLLING, round=0, final_rounds=0, enrolled=enrolled, present=everybody)
    assert action(a_view(job=job, round=Round.empty(), now=now, moved_at=now, live=everybody)) == expected


def test_enrolment_ends_by_a_cancel_when_too_few_consents_live() -> None:
    job = a_job(status=JobStatus.ENROLLING, round=0, final_rounds=0, enrolled=4, present=0b1111)
    view = a_view(job=job, round=Round.empty(), now=1_100, moved_at=1_100, live=0b0011)
    assert action(view) == Action.CANCEL


def test_a_false_merge_is_challenged_out_of_turn_before_the_window_passes() -> None:
    false = FalseMerge(1, posted_at=1_000, provable=True)
    check = a_view().job.phases.check
    acting = {
        now: [action(a_view(index=i, now=now, false=false)) for i in range(4)].count(Action.CHALLENGE)
        for now in (1_000, 1_000 + check // 2)
    }
    assert acting == {1_000: 1, 1_000 + check // 2: 4}


def test_while_paused_an_absent_hospital_rejoins_and_a_long_pause_ends_the_job() -> None:
    paused = a_job(status=JobStatus.PAUSED, present=0b1110, since=2_000)
    nothing_open = Round(0, 0, ALL, ALL, 0, 1, 0, 2_000)
    assert action(a_view(job=paused, round=nothing_open, live=0b0011)) == Action.REJOIN
    assert action(a_view(index=1, job=paused, round=nothing_open, live=0b0011)) == Action.WAIT
    over = 2_000 + PHASES.pause + TURN_SECONDS
    assert action(a_view(index=1, job=paused, round=nothing_open, live=0b0011, now=over)) == Action.CANCEL


def test_a_pause_ends_when_enough_are_live_again() -> None:
    paused = a_job(status=JobStatus.PAUSED, since=2_000)
    assert action(a_view(job=paused, round=Round(0, 0, ALL, ALL, 0, 1, 0, 2_000), live=ALL)) == Action.OPEN


def test_reports_then_finish() -> None:
    reporting = a_job(status=JobStatus.REPORTING, round=4, final_rounds=3, since=2_000)
    assert action(a_view(job=reporting)) == Action.REPORT
    one_missing = Round(ALL, 0b0111, ALL, ALL, 0, 1, 0, 2_000)
    assert action(a_view(job=reporting, round=one_missing)) == Action.WAIT
    assert action(a_view(job=reporting, round=one_missing, now=2_000 + PHASES.report)) == Action.FINISH
    all_in = Round(ALL, ALL, ALL, ALL, 0, 1, 0, 2_000)
    closes = 2_000 + PHASES.check
    assert action(a_view(job=reporting, round=all_in, now=closes - 1)) == Action.WAIT
    assert "fraud can still be proved" in why(a_view(job=reporting, round=all_in, now=closes - 1))
    assert action(a_view(job=reporting, round=all_in, now=closes)) == Action.FINISH


@pytest.mark.parametrize("status", [JobStatus.FINISHED, JobStatus.CANCELLED])
def test_an_ended_job_asks_for_nothing(status: JobStatus) -> None:
    assert action(a_view(job=a_job(status=status))) == Action.DONE


@pytest.mark.parametrize(
    ("participants", "attested", "final"),
    [
        (0b111, 0b011, True),
        (0b111, 0b001, False),
        (0b1111, 0b0111, True),
        (0b1111, 0b0011, False),
        (0b11, 0b11, True),
    ],
)
def test_two_thirds_rounded_up(participants: int, attested: int, final: bool) -> None:
    assert is_final(Round(0, 0, participants, attested, 0, 1, 0, 0)) is final


def test_lost_content_holds_up_no_deadline() -> None:
    """An update or state that nobody can get: the step that needs it waits, what ends the wait is still done."""
    assert action(a_view(lost=True)) == Action.WAIT
    assert action(a_view(lost=True, now=2_000 + PHASES.submit)) == Action.OPEN
    everything_in = Round(ALL, ALL, ALL, ALL, 0, 1, 0, 2_000)
    stuck = a_view(round=everything_in, in_line=ALL, lost=True)
    assert action(stuck) == Action.WAIT
    assert action(replace(stuck, now=2_000 + 4 * PHASES.merge)) == Action.CANCEL
    assert action(replace(stuck, now=2_000 + 4 * PHASES.merge, lost=False)) == Action.MERGE
    reporting = a_view(job=a_job(status=JobStatus.REPORTING, round=4, final_rounds=3, since=2_000), lost=True)
    assert action(reporting) == Action.WAIT
    assert action(replace(reporting, now=2_000 + PHASES.report)) == Action.FINISH


def test_steps_that_anyone_may_take_are_taken_in_turn() -> None:
    """Each turn is one hospital's alone, so that no two nodes pay for the same transaction however late they look."""
    late = Round(ALL, 0b0111, ALL, ALL, 0, 1, 0, 2_000)
    for now in range(2_000 + PHASES.submit, 2_000 + PHASES.submit + 9 * TURN_SECONDS):
        acting = [
            index for index in range(4) if action(a_view(index=index, round=late, now=now)) == Action.OPEN
        ]
        assert len(acting) <= 1, now


def test_a_turn_says_how_long_it_lasts_and_what_is_nobody_elses_has_no_end() -> None:
    late = Round(ALL, 0b0111, ALL, ALL, 0, 1, 0, 2_000)
    deadline = 2_000 + PHASES.submit
    at_first, later = (next_step(a_view(round=late, now=deadline + passed)) for passed in (0, 2))
    assert 0 < later.seconds_left < at_first.seconds_left < TURN_SECONDS
    assert next_step(a_view()).seconds_left == 0


def test_turns_grow_until_slow_machines_have_time_for_theirs() -> None:
    late = Round(ALL, 0b0111, ALL, ALL, 0, 1, 0, 2_000)
    second_round = 2_000 + PHASES.submit + 4 * TURN_SECONDS
    step = next_step(a_view(index=1, round=late, now=second_round + 2 * TURN_SECONDS))
    assert step.action == Action.OPEN and step.seconds_left > TURN_SECONDS


def test_turns_stay_short_enough_after_an_outage() -> None:
    late = Round(ALL, 0b0111, ALL, ALL, 0, 1, 0, 2_000)
    back = 2_000 + PHASES.submit + 30 * 86_400
    times = range(back, back + 8 * 4 * TURN_SECONDS)
    for index in range(3):
        assert Action.OPEN in {action(a_view(index=index, round=late, now=now)) for now in times}


def test_a_pause_that_nobody_can_end_is_cancelled() -> None:
    """Whoever rejected a merge that became final cannot build on it; the contract opens nothing with it."""
    job = a_job(status=JobStatus.PAUSED, since=2_000, min_hospitals=4)
    agreed = Round(0, 0, ALL, 0b1110, 0, 1, 0, 2_000)
    assert action(a_view(index=1, job=job, round=agreed, now=2_000 + TURN_SECONDS)) == Action.OPEN
    outvoted = a_view(index=1, job=job, round=agreed, rejecting=0b0001)
    assert action(outvoted) == Action.WAIT
    assert "waits for hospital 11" in why(outvoted)
    over = 2_000 + PHASES.pause
    ends = [action(replace(outvoted, now=now)) for now in range(over, over + 4 * TURN_SECONDS)]
    assert set(ends) == {Action.CANCEL, Action.WAIT}


def test_the_words_name_hospitals_and_deadline() -> None:
    waiting = a_view(round=Round(ALL, 0b0101, ALL, ALL, 0, 1, 0, 2_000))
    assert why(waiting) == "round 2: waits for the update of hospitals 12 and 14, until 00:34:20 UTC"
    merging = a_view(round=Round(ALL, ALL, ALL, ALL, 0, 1, 0, 2_000), in_line=0b0100)
    assert why(merging) == "round 2: all updates are in; waits for hospital 13 to merge, until 00:33:50 UTC"
    paused = a_view(
        job=a_job(status=JobStatus.PAUSED, present=0b0011, since=2_000),
        round=Round(0, 0, ALL, ALL, 0, 1, 0, 2_000),
    )
    assert "waits for hospitals 13 and 14 until 00:36:40 UTC" in why(paused)


# -- groups ----------------------------------------------------------------------------------------------------------


def test_groups_are_drawn_before_anyone_submits() -> None:
    grouped = a_job(merge=GROUPS)
    assert action(a_view(job=grouped)) == Action.DRAW
    assert action(a_view(index=1, job=grouped)) == Action.WAIT
    assert action(a_view(index=1, job=grouped, now=2_000 + TURN_SECONDS)) == Action.DRAW
    assert action(a_view(job=grouped, draw=DRAWN)) == Action.SUBMIT


def test_a_round_whose_merge_was_voided_is_merged_again_as_it_was_drawn() -> None:
    settled = Round(ALL, ALL, ALL, ALL, 0, 1, 1, 2_000)
    assert action(a_view(job=a_job(merge=GROUPS), round=settled, in_line=0b0001)) == Action.MERGE


def test_a_leaver_attests_while_groups_are_to_be_drawn() -> None:
    left = Round(0b1110, 0, ALL, 0b1000, 0, 1, 0, 2_000)
    assert action(a_view(job=a_job(merge=GROUPS), round=left, live=0b1110)) == Action.ATTEST


# -- doubts ----------------------------------------------------------------------------------------------------------


def test_an_update_that_cannot_be_had_is_doubted_before_more_is_built_on_it() -> None:
    step = next_step(a_view(round=Round(ALL, 0b0110, ALL, ALL, 0, 1, 0, 2_000), doubtful=0b0110))
    assert (step.action, step.about) == (Action.DOUBT, 0b0010)
    assert "hospital 12" in step.why


def test_whoever_is_not_in_the_attempt_doubts_nobody() -> None:
    view = a_view(round=Round(0b1110, 0b0110, ALL, ALL, 0, 1, 0, 2_000), doubtful=0b0110)
    assert action(view) != Action.DOUBT


# -- false merges ----------------------------------------------------------------------------------------------------

PROVABLE, UNPROVABLE = FalseMerge(1, 2_000, True), FalseMerge(1, 2_000, False)


def test_a_false_merge_is_challenged_and_nothing_is_built_on_it() -> None:
    """DESIGN, "A round", 5."""
    step = next_step(a_view(false=PROVABLE))
    assert (step.action, step.about) == (Action.CHALLENGE, 1)
    assert action(a_view(index=1, false=PROVABLE)) == Action.WAIT
    assert action(a_view(index=1, false=PROVABLE, now=2_000 + TURN_SECONDS)) == Action.CHALLENGE


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (JobStatus.PAUSED, Action.CHALLENGE),
        (JobStatus.REPORTING, Action.CHALLENGE),
        (JobStatus.FINISHED, Action.DONE),
    ],
)
def test_a_merge_that_others_made_final_is_challenged_until_the_job_ends(
    status: JobStatus, expected: Action
) -> None:
    job = a_job(status=status, round=4, final_rounds=3, since=2_000)
    assert action(a_view(job=job, false=PROVABLE)) == expected


def test_after_a_cancel_a_false_merge_is_challenged_within_the_window() -> None:
    cancelled = a_view(job=a_job(status=JobStatus.CANCELLED, since=2_000), false=PROVABLE)
    assert action(cancelled) == Action.CHALLENGE
    assert action(replace(cancelled, now=2_000 + PHASES.check)) == Action.DONE


def test_while_a_false_state_is_being_fetched_it_is_neither_rejected_nor_built_on() -> None:
    """Rejected by two thirds it would cost its merger less than proved by one."""
    unattested = Round(ALL, 0, ALL, 0b1000, 0, 1, 0, 2_000)
    coming = replace(UNPROVABLE, coming=True)
    assert action(a_view(round=unattested, false=UNPROVABLE)) == Action.REJECT
    assert action(a_view(round=unattested, false=coming)) == Action.WAIT


def test_a_false_merge_whose_state_cannot_be_had_is_rejected_once() -> None:
    unattested = Round(ALL, 0, ALL, 0b1000, 0, 1, 0, 2_000)
    view = a_view(round=unattested, false=UNPROVABLE)
    assert action(view) == Action.REJECT
    assert action(replace(view, rejecting=1)) == Action.WAIT
    assert action(a_view(round=unattested, false=PROVABLE, bonded=False)) == Action.REJECT
    older = replace(UNPROVABLE, round=1)
    assert action(a_view(job=a_job(round=3), round=unattested, false=older)) == Action.WAIT


def test_nobody_merges_on_what_is_false() -> None:
    settled = Round(ALL, ALL, ALL, ALL, 0, 1, 0, 2_000)
    view = a_view(index=2, round=settled, in_line=0b0100, false=replace(UNPROVABLE, round=0))
    assert action(view) == Action.WAIT


# -- hospitals that cannot send ----------------------------------------------------------------------------------------


def test_whoever_cannot_mask_sits_out_and_says_why_but_still_merges_and_reports() -> None:
    unable = a_view(unable="its mask key for this job is not in its home")
    assert action(unable) == Action.WAIT
    assert "sits the attempt out: its mask key" in why(unable)
    settled = Round(ALL, ALL, ALL, ALL, 0, 1, 0, 2_000)
    assert action(replace(unable, round=settled, in_line=0b0001)) == Action.MERGE
    left = Round(0b1110, 0, ALL, 0b1000, 0, 1, 0, 2_000)
    assert action(replace(unable, round=left)) == Action.ATTEST
    reporting = a_job(status=JobStatus.REPORTING, round=4, final_rounds=3, since=2_000)
    assert action(replace(unable, job=reporting)) == Action.REPORT


def test_whoever_was_away_rejoins_unless_it_could_send_nothing() -> None:
    away = a_view(job=a_job(present=0b1110), round=Round(0b1110, 0b0110, ALL, ALL, 0, 2, 0, 2_000))
    assert action(away) == Action.REJOIN
    assert action(replace(away, unable="its mask key is gone")) == Action.WAIT
    assert "this hospital is out: its mask key is gone" in why(replace(away, unable="its mask key is gone"))


def test_whoever_lost_its_bond_rejoins_only_if_its_policy_posts_another() -> None:
    slashed = a_view(
        job=a_job(present=0b1110), round=Round(0b1110, 0b0110, ALL, ALL, 0, 2, 0, 2_000), bonded=False
    )
    assert action(replace(slashed, may_rejoin=False)) == Action.WAIT
    assert "lost its bond" in why(replace(slashed, may_rejoin=False))
    assert action(slashed) == Action.REJOIN
