"""What a hospital owes a job next: a pure reading of the chain's record.

Nothing here acts. Given what the chain says now, `next_step` names one step and why, so that the whole life of a node
can be tested without a chain, and so that a node killed at any point finds its next step by looking.

Steps that anyone may take (open, draw, challenge, finish, cancel) are taken in turn: from the moment when one is due,
the chain's time is cut into turns of `View.turn_seconds`, and each belongs to one hospital alone, in the order of their
indices and round again, longer each time. So no two nodes pay for the same transaction, however late they look, and one
that is down is passed over.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import Enum

from protocol.chain.enums import JobStatus
from protocol.chain.jobs import Draw, Job, Participant, Round

# Longer than it takes until all see a transaction that is sent now: on a chain that mines at once, and on others.
TURN_SECONDS = 6
SLOW_TURN_SECONDS = 36
LONGEST_TURN = 8
# How far the time of the newest block may be from that of the others' newest.
VAGUE_SECONDS = 2
NO_DRAW = Draw.empty()


class Action(Enum):
    """One transaction, or none."""

    ENROL = "enrol"
    OPEN = "open"
    DRAW = "draw"
    SUBMIT = "submit"
    DOUBT = "doubt"
    MERGE = "merge"
    ATTEST = "attest"
    CHALLENGE = "challenge"
    REJECT = "reject"
    REPORT = "report"
    FINISH = "finish"
    REJOIN = "rejoin"
    CANCEL = "cancel"
    WAIT = "wait"
    DONE = "done"


@dataclass(frozen=True)
class Step:
    """What to do next, and why, in words that an operator reads. ``about``: the bit of a doubted hospital, or the round
    of a challenged merge. ``seconds_left``: of this hospital's turn, after which the step is another's; 0: it takes no
    turns."""

    action: Action
    why: str
    about: int = 0
    seconds_left: float = 0.0


@dataclass(frozen=True)
class FalseMerge:
    """The earliest standing merge that is not the one this hospital computes, or the last where that cannot be told.
    ``posted_at``: unix seconds. ``provable``: its bytes are here, so that the chain can be shown where it differs.
    ``coming``: they may be soon."""

    round: int
    posted_at: int
    provable: bool
    coming: bool = False


@dataclass(frozen=True)
class View:
    """The chain's record of one job as one hospital sees it.

    ``now``: the chain's time, unix seconds. ``round``: the record of the open round. ``merged_at``: when the last merge
    was posted (0 in round 1). ``rejecting``: bits of those who rejected it. ``in_line``: bits of those who may merge
    now. ``live``: bits of those whose consent is live. ``hospitals``: ids in the order of the bits.
    ``doubtful``: bits of those whose updates this hospital should doubt. ``false``: a merge that is.
    ``bonded``: this hospital's bond is in place. ``may_rejoin``: its policy lets it come back. ``unable``: why it
    cannot send an update in this attempt; empty when it can. ``lost``: this hospital just failed to get what its step
    builds on; then it does what needs no content, as deadlines ask, before it tries again.
    ``moved_at``: when the newest event of the job came, unix seconds. ``turn_seconds``: see above.
    """

    now: int
    job: Job
    round: Round
    merged_at: int
    me: Participant
    in_line: int
    rejecting: int
    live: int
    hospitals: tuple[int, ...] = ()
    draw: Draw = NO_DRAW
    doubtful: int = 0
    false: FalseMerge | None = None
    bonded: bool = True
    may_rejoin: bool = True
    unable: str = ""
    lost: bool = False
    moved_at: int = 0
    turn_seconds: int = TURN_SECONDS

    @property
    def bit(self) -> int:
        return 1 << self.me.index

    @property
    def undrawn(self) -> bool:
        """Whether the groups of the open round are still to be drawn. Updates that are all in were drawn before: a
        round whose merge was voided is merged again as it was."""
        missing = self.round.participants & ~self.round.submitted
        return bool(self.job.merge.groups > 1 and missing and not self.draw.drawn)

    @property
    def rejected(self) -> bool:
        """Whether this hospital rejected the last merge."""
        return bool(self.rejecting & self.bit)

    @property
    def able(self) -> int:
        """Bits of those who could take part in a new attempt. Whoever rejected a merge that became final cannot."""
        agreed = self.job.final_rounds >= self.job.round - 1 or is_final(self.round)
        return self.job.present & self.live & ~(self.rejecting if agreed else 0)

    @property
    def holds_back(self) -> bool:
        """Whether this hospital builds nothing on the last merge now."""
        return self.lost or self.rejected or self.false is not None

    def names(self, bits: int) -> str:
        """``hospital 4`` or ``hospitals 2 and 5``: those whose bits are set."""
        chosen = [
            str(self.hospitals[bit] if bit < len(self.hospitals) else f"#{bit}")
            for bit in range(bits.bit_length())
            if bits >> bit & 1
        ]
        if len(chosen) == 1:
            return f"hospital {chosen[0]}"
        return f"hospitals {', '.join(chosen[:-1])} and {chosen[-1]}" if chosen else "no hospital"


def next_step(view: View) -> Step:
    """The one thing this hospital should do now."""
    status = view.job.status
    if status in (JobStatus.FINISHED, JobStatus.CANCELLED):
        return _after_the_end(view)
    if status == JobStatus.ENROLLING:
        return _while_enrolling(view)
    if accused := _accusation(view):
        return accused
    if status == JobStatus.PAUSED:
        return _owed_attestation(view) or _while_paused(view)
    if status == JobStatus.REPORTING:
        return _while_reporting(view)
    return _while_running(view)


def _after_the_end(view: View) -> Step:
    window = view.job.since + view.job.phases.check
    if view.job.status == JobStatus.CANCELLED and view.false and view.now < window:
        return _accusation(view) or Step(Action.DONE, "the job was cancelled")
    ended = "was cancelled" if view.job.status == JobStatus.CANCELLED else "is finished"
    return Step(Action.DONE, f"the job {ended}")


def _accusation(view: View) -> Step | None:
    """A false merge is proved where its bytes are here, else rejected while it is the last one."""
    false = view.false
    if false is None or false.coming:
        return None
    if false.provable and view.bonded:
        why = f"round {false.round}: the merge is false, and this hospital can prove it"
        step = Step(Action.CHALLENGE, why, false.round)
        # The window must not pass while turns go round; a claim that comes second is refused at its estimate.
        late = view.now >= false.posted_at + view.job.phases.check // 2
        return step if late else _in_turn(view, false.posted_at, step)
    judges = view.round.previous & view.bit and not view.round.attested & view.bit
    is_open = view.job.status in (JobStatus.RUNNING, JobStatus.PAUSED, JobStatus.REPORTING)
    if is_open and false.round == view.job.round - 1 and judges and not view.rejected:
        why = f"round {false.round}: the merge is false or cannot be checked, and its bytes cannot be had"
        return Step(Action.REJECT, why, false.round)
    return None


def _while_enrolling(view: View) -> Step:
    job = view.job
    closes = job.since + job.phases.enrol
    full = job.enrolled == job.max_hospitals
    if full or view.now >= closes:
        enough = (job.present & view.live).bit_count() >= job.min_hospitals
        step = (
            Step(Action.OPEN, "enrolment is over")
            if enough
            else Step(Action.CANCEL, f"fewer than {job.min_hospitals} hospitals enrolled with a live consent")
        )
        return _in_turn(view, 0 if full else closes, step)
    return Step(
        Action.WAIT,
        f"{job.enrolled} of at most {job.max_hospitals} hospitals have enrolled; enrolment closes {at(closes)}",
    )


def _while_paused(view: View) -> Step:
    job = view.job
    ends = job.since + job.phases.pause
    if rejoin := _rejoining(view):
        return rejoin
    if view.able.bit_count() >= job.min_hospitals:
        return _in_turn(view, 0, Step(Action.OPEN, "enough hospitals are live again"))
    if view.now >= ends:
        return _in_turn(view, ends, Step(Action.CANCEL, "the pause has lasted too long"))
    away = ((1 << job.enrolled) - 1) & ~view.able
    return Step(
        Action.WAIT,
        f"paused in round {job.round}: fewer than {job.min_hospitals} hospitals can go on; waits for"
        f" {view.names(away)} until {at(ends)}{_absence(view)}",
    )


def _while_running(view: View) -> Step:
    job, record, bit = view.job, view.round, view.bit
    where = f"round {job.round}, attempt {record.attempt}"
    if view.doubtful and record.participants & bit:
        accused = view.doubtful & -view.doubtful
        why = f"{where}: the update of {view.names(accused)} cannot be had, or is not what its digests say"
        return Step(Action.DOUBT, why, accused)
    owes = bool(record.participants & ~record.submitted & bit and _consent_live(view))
    sends = owes and not view.unable and not view.holds_back
    if sends and not view.undrawn:
        return Step(Action.SUBMIT, f"{where}: this hospital's update is missing")
    if not sends and (owed := _owed_attestation(view)):
        return owed
    if view.undrawn:
        return _in_turn(view, 0, Step(Action.DRAW, f"round {job.round}: its groups are to be drawn"))
    missing = record.participants & ~record.submitted
    if missing:
        return _while_updates_are_missing(view, missing)
    if view.in_line & bit and not view.lost and not view.false:
        return Step(
            Action.MERGE, f"round {job.round}: all updates are in, and it is this hospital's turn to merge"
        )
    if stuck := _dispute_over(view):
        return stuck
    began = max(record.since, view.merged_at)
    over = began + record.submitted.bit_count() * job.phases.merge
    if view.in_line and view.now >= over:
        return _in_turn(view, over, Step(Action.CANCEL, "no merger came"))
    if rejoin := _rejoining(view):
        return rejoin
    if not view.in_line:
        judges = record.previous & ~record.attested
        return Step(
            Action.WAIT,
            f"round {job.round}: all updates are in; the merge of round {job.round - 1} waits for"
            f" {view.names(judges)} to check it, until {at(view.merged_at + job.phases.check)}",
        )
    turns = -(-(max(view.now - began, 0) + 1) // job.phases.merge)
    return Step(
        Action.WAIT,
        f"round {job.round}: all updates are in; waits for {view.names(view.in_line)} to merge, until"
        f" {at(min(began + turns * job.phases.merge, over))}{_absence(view)}",
    )


def _while_updates_are_missing(view: View, missing: int) -> Step:
    job, record = view.job, view.round
    deadline = record.since + job.phases.submit
    if view.now >= deadline:
        why = f"round {job.round}: {view.names(missing)} missed the deadline"
        return _in_turn(view, deadline, Step(Action.OPEN, why))
    if dead := missing & ~view.live:
        why = f"round {job.round}: the update of {view.names(dead)} can never come: the consent is dead"
        return _in_turn(view, 0, Step(Action.OPEN, why))
    if stuck := _dispute_over(view):
        return stuck
    if view.unable and missing & view.bit:
        return Step(Action.WAIT, f"round {job.round}: this hospital sits the attempt out: {view.unable}")
    if rejoin := _rejoining(view):
        return rejoin
    return Step(
        Action.WAIT,
        f"round {job.round}: waits for the update of {view.names(missing)}, until {at(deadline)}{_absence(view)}",
    )


def _while_reporting(view: View) -> Step:
    job, record, bit = view.job, view.round, view.bit
    owes_report = record.participants & bit and not record.submitted & bit
    if owes_report and not view.holds_back:
        return Step(Action.REPORT, "the last merge is posted: this hospital's report is missing")
    if owed := _owed_attestation(view):
        return owed
    if stuck := _dispute_over(view):
        return stuck
    missing = record.participants & ~record.submitted
    deadline = job.since + job.phases.report
    window = view.merged_at + job.phases.check
    if not _last_is_final(view):
        judges = record.previous & ~record.attested
        return Step(
            Action.WAIT, f"the last merge waits for {view.names(judges)} to check it, until {at(window)}"
        )
    if missing and view.now < deadline:
        return Step(Action.WAIT, f"waits for the report of {view.names(missing)}, until {at(deadline)}")
    if view.now < window:
        return Step(
            Action.WAIT,
            f"{'every report is in' if not missing else 'the time to report is over'}; fraud can still be proved"
            f" until {at(window)}",
        )
    if not missing:
        return _in_turn(view, window if window > job.since else 0, Step(Action.FINISH, "every report is in"))
    return _in_turn(
        view, max(deadline, window), Step(Action.FINISH, f"{view.names(missing)} did not report in time")
    )


def _rejoining(view: View) -> Step | None:
    """A hospital that was away comes back, unless it could send nothing, or its policy keeps it from it."""
    if view.job.present & view.bit or not _consent_live(view) or view.unable or not view.may_rejoin:
        return None
    return Step(Action.REJOIN, "this hospital missed an attempt, and comes back for the next round")


def _absence(view: View) -> str:
    """Why this hospital itself is not taking part, if it is not."""
    if view.job.present & view.bit:
        return ""
    if view.unable:
        return f"; this hospital is out: {view.unable}"
    if not view.may_rejoin:
        return "; this hospital is out: it lost its bond, and its policy does not post another"
    return "; this hospital is out: its consent is dead" if not _consent_live(view) else ""


def _owed_attestation(view: View) -> Step | None:
    """Stand-alone attestation: this hospital took part in the last merge, and sends nothing else that attests it."""
    record = view.round
    owes_word = record.previous & view.bit and not record.attested & view.bit
    if owes_word and not view.holds_back:
        return Step(Action.ATTEST, f"round {view.job.round - 1} was merged: this hospital checks it")
    return None


def _dispute_over(view: View) -> Step | None:
    """A merge that too few attest and too few reject ends the job once its check window has passed."""
    over = view.merged_at + view.job.phases.check
    if view.rejecting and view.now >= over and not is_final(view.round):
        return _in_turn(view, over, Step(Action.CANCEL, "the last merge stays disputed"))
    return None


def _last_is_final(view: View) -> bool:
    """The last merge is final by attestations, or because its check window passed in silence."""
    if view.job.final_rounds >= view.job.round - 1 or is_final(view.round):
        return True
    return not view.rejecting and view.now >= view.merged_at + view.job.phases.check


def is_final(record: Round) -> bool:
    """Two thirds, rounded up, of the participants of the round before attest its merge."""
    participants = record.previous.bit_count()
    return (record.attested & record.previous).bit_count() >= -(-2 * participants // 3)


def at(seconds: int) -> str:
    """A time of the chain, in words."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%H:%M:%S UTC")


def _in_turn(view: View, since: int, step: Step) -> Step:
    """`step`, if this is this hospital's turn; ``since``: when it was due, 0 for the newest event of the job.

    The second half of a turn is for sending: nothing is begun there, and nothing sent at its very end, which the others
    may see as the turn after it. When all have had theirs, turns of twice the length begin, up to ``LONGEST_TURN``
    times: machines may be slow, and after an outage of days nobody waits days again."""
    elapsed, length = view.now - (since or view.moved_at), view.turn_seconds
    while elapsed >= length * view.job.enrolled and length < LONGEST_TURN * view.turn_seconds:
        elapsed, length = elapsed - length * view.job.enrolled, 2 * length
    turn, into = divmod(elapsed % (length * view.job.enrolled) if elapsed >= 0 else elapsed, length)
    if elapsed >= 0 and turn == view.me.index and into < length / 2:
        return replace(step, seconds_left=length - into - VAGUE_SECONDS)
    return Step(Action.WAIT, f"{step.why}; it is another hospital's turn")


def _consent_live(view: View) -> bool:
    return bool(view.live & view.bit)
