"""What a hospital owes a job next: a pure reading of the chain's record.

Nothing here acts. Given what the chain says now, `next_step` names one step and why, so that the whole life of a node
can be tested without a chain, and so that a node killed at any point finds its next step by looking.

Steps that anyone may take (open, finish, cancel) are taken in turn: the hospital with index i waits i x STAGGER_SECONDS
longer, so that four nodes do not pay for the same transaction.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from protocol.chain.enums import JobStatus
from protocol.chain.jobs import Job, Participant, Round

STAGGER_SECONDS = 3


class Action(Enum):
    """One transaction, or none."""

    OPEN = "open"
    SUBMIT = "submit"
    MERGE = "merge"
    ATTEST = "attest"
    REPORT = "report"
    FINISH = "finish"
    REJOIN = "rejoin"
    CANCEL = "cancel"
    WAIT = "wait"
    DONE = "done"


@dataclass(frozen=True)
class Step:
    """What to do next, and why, in words that an operator reads."""

    action: Action
    why: str


@dataclass(frozen=True)
class View:
    """The chain's record of one job as one hospital sees it.

    ``now``: the chain's time, unix seconds. ``round``: the record of the open round. ``merged_at``: when the last merge
    was posted (0 in round 1). ``disputed``: somebody rejected it; ``rejected``: this hospital did. ``in_line``: bits of
    those who may merge now. ``live``: bits of those whose consent is live. ``lost``: this hospital just failed to get
    what its step builds on; then it does what needs no content, as deadlines ask, before it tries again.
    """

    now: int
    job: Job
    round: Round
    merged_at: int
    me: Participant
    in_line: int
    rejected: bool
    disputed: bool
    live: int
    lost: bool = False


def next_step(view: View) -> Step:
    """The one thing this hospital should do now."""
    status = view.job.status
    if status in (JobStatus.FINISHED, JobStatus.CANCELLED):
        return Step(Action.DONE, "the job has ended")
    if status == JobStatus.ENROLLING:
        return _while_enrolling(view)
    if status == JobStatus.PAUSED:
        return _owed_attestation(view) or _while_paused(view)
    if status == JobStatus.REPORTING:
        return _while_reporting(view)
    return _while_running(view)


def _while_enrolling(view: View) -> Step:
    job = view.job
    over = view.now >= job.since + job.phases.enrol
    if job.enrolled == job.max_hospitals or (over and job.enrolled >= job.min_hospitals):
        started = job.since + job.phases.enrol if over and job.enrolled < job.max_hospitals else 0
        return _in_turn(view, started, Step(Action.OPEN, "enrolment is over"))
    if over:
        return _in_turn(
            view, job.since + job.phases.enrol, Step(Action.CANCEL, "too few hospitals enrolled in time")
        )
    return Step(Action.WAIT, f"{job.enrolled} of at most {job.max_hospitals} hospitals have enrolled")


def _while_paused(view: View) -> Step:
    job = view.job
    if not view.job.present & _bit(view) and _consent_live(view):
        return Step(Action.REJOIN, "this hospital missed an attempt")
    if (job.present & view.live).bit_count() >= job.min_hospitals:
        return _in_turn(view, 0, Step(Action.OPEN, "enough hospitals are live again"))
    if view.now >= job.since + job.phases.pause:
        return _in_turn(
            view, job.since + job.phases.pause, Step(Action.CANCEL, "the pause has lasted too long")
        )
    return Step(
        Action.WAIT, f"fewer than {job.min_hospitals} hospitals are live; paused in round {job.round}"
    )


def _while_running(view: View) -> Step:
    job, record, bit = view.job, view.round, _bit(view)
    owes_update = record.participants & bit and not record.submitted & bit and _consent_live(view)
    if owes_update and not view.rejected and not view.lost:
        return Step(
            Action.SUBMIT,
            f"round {job.round}, attempt {record.attempt}: this hospital's update is missing",
        )
    if owed := _owed_attestation(view):
        return owed
    missing = record.participants & ~record.submitted
    if missing:
        deadline = record.since + job.phases.submit
        if view.now >= deadline:
            return _in_turn(
                view, deadline, Step(Action.OPEN, f"{missing.bit_count()} updates missed their deadline")
            )
        if missing & ~view.live:
            return _in_turn(
                view, 0, Step(Action.OPEN, "a missing update can never come: its consent is dead")
            )
        if stuck := _dispute_over(view):
            return stuck
        return Step(Action.WAIT, f"round {job.round}: {missing.bit_count()} updates are still to come")
    if view.in_line & bit and not view.lost:
        return Step(
            Action.MERGE, f"round {job.round}: all updates are in, and it is this hospital's turn to merge"
        )
    if stuck := _dispute_over(view):
        return stuck
    over = max(record.since, view.merged_at) + record.submitted.bit_count() * job.phases.merge
    if view.in_line and view.now >= over:
        return _in_turn(view, over, Step(Action.CANCEL, "no merger came"))
    if not job.present & bit and _consent_live(view):
        return Step(Action.REJOIN, "this hospital missed an attempt")
    return Step(Action.WAIT, f"round {job.round}: another hospital merges")


def _while_reporting(view: View) -> Step:
    job, record, bit = view.job, view.round, _bit(view)
    owes_report = record.participants & bit and not record.submitted & bit
    if owes_report and not view.rejected and not view.lost:
        return Step(Action.REPORT, "the last merge is posted: this hospital's report is missing")
    if owed := _owed_attestation(view):
        return owed
    if stuck := _dispute_over(view):
        return stuck
    missing = record.participants & ~record.submitted
    deadline = record.since + job.phases.report
    if not _last_is_final(view):
        return Step(Action.WAIT, "the last merge is not final yet")
    if not missing:
        return _in_turn(view, 0, Step(Action.FINISH, "every report is in"))
    if view.now >= deadline:
        return _in_turn(
            view, deadline, Step(Action.FINISH, f"{missing.bit_count()} reports missed their deadline")
        )
    return Step(Action.WAIT, f"{missing.bit_count()} reports are still to come")


def _owed_attestation(view: View) -> Step | None:
    """Stand-alone attestation: this hospital took part in the last merge, and sends nothing else that attests it."""
    record, bit = view.round, _bit(view)
    owes_word = record.previous & bit and not record.attested & bit
    if owes_word and not view.rejected and not view.lost:
        return Step(Action.ATTEST, f"round {view.job.round - 1} was merged: this hospital checks it")
    return None


def _dispute_over(view: View) -> Step | None:
    """A merge that too few attest and too few reject ends the job once its check window has passed."""
    over = view.merged_at + view.job.phases.check
    if view.disputed and view.now >= over and not is_final(view.round):
        return _in_turn(view, over, Step(Action.CANCEL, "the last merge stays disputed"))
    return None


def _last_is_final(view: View) -> bool:
    """The last merge is final by attestations, or because its check window passed in silence."""
    if view.job.final_rounds >= view.job.round - 1 or is_final(view.round):
        return True
    return not view.disputed and view.now >= view.merged_at + view.job.phases.check


def is_final(record: Round) -> bool:
    """Two thirds, rounded up, of the participants of the round before attest its merge."""
    participants = record.previous.bit_count()
    return (record.attested & record.previous).bit_count() >= -(-2 * participants // 3)


def _in_turn(view: View, since: int, step: Step) -> Step:
    """`step`, once the hospitals with a lower index have had their time; `since` 0: from when the record last moved."""
    start = since or max(view.round.since, view.job.since)
    if view.now >= start + view.me.index * STAGGER_SECONDS:
        return step
    return Step(Action.WAIT, f"{step.why}; a hospital before this one in line acts first")


def _consent_live(view: View) -> bool:
    return bool(view.live & _bit(view))


def _bit(view: View) -> int:
    return 1 << view.me.index
