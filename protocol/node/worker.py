"""One job, worked on by one hospital's node: takes the step that `steps.next_step` names.

All that the worker knows of a job it reads from chain and IPFS, and may forget; only the journal and the job's mask key
must last. Bytes from IPFS are used after both their digests match, and a merge is believed only after it was computed
again here.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field, replace

import numpy as np

from protocol.chain.bonds import Bonds
from protocol.chain.challenges import Challenges
from protocol.chain.client import Chain
from protocol.chain.enums import JobStatus
from protocol.chain.jobs import Jobs, Look
from protocol.content import canonical
from protocol.content.cid import to_cid
from protocol.data.splits import HELD_OUT
from protocol.errors import (
    BudgetSpent,
    ContentError,
    DataError,
    JobKeyError,
    JournalError,
    LearningError,
    SalusError,
    VaultError,
    WrongLength,
)
from protocol.learning import metrics
from protocol.node.checks import Checks
from protocol.node.content import JobContent
from protocol.node.history import JobHistory
from protocol.node.places import JobPlace
from protocol.node.steps import SLOW_TURN_SECONDS, TURN_SECONDS, Action, Step, View, next_step
from protocol.node.updates import Updates
from protocol.record import JobRecord
from protocol.spec import PROTOCOL

log = logging.getLogger(__name__)

# While only others' updates are missing, deadlines and consents are looked at this often.
LOOK_SECONDS = 1.0


@dataclass
class Progress:
    """What this hospital may show of a round to its own operator; nothing of it leaves the hospital."""

    privacy: str
    doing: str = ""
    round: int = 0
    loss: float | None = None
    accuracy: float | None = None
    train_seconds: float = 0.0
    gas_used: int = 0
    history: list[dict[str, float | int | None]] = field(default_factory=list)


class JobWorker:
    """Takes one hospital through one job. ``bond_again``: whether it may post a second bond after it lost one."""

    def __init__(
        self, jobs: Jobs, history: JobHistory, content: JobContent, updates: Updates, *, bond_again: bool
    ) -> None:
        self.jobs, self.chain = jobs, jobs.chain
        self.history, self.content, self.updates = history, content, updates
        self.job_id, self.hospital_id, self.spec = history.job_id, updates.hospital_id, updates.spec
        self.checks = Checks(history, content, self.spec, self.hospital_id)
        self.bond_again = bond_again
        self.progress = Progress(self.spec.privacy.mechanism)
        self._open_round, self._begun, self._now = 0, 0, 0
        self._looked_at, self._look_again_at = 0.0, 0.0
        self._waiting = Step(Action.WAIT, "has not looked at the job yet")
        self._sat_out: dict[str, str] = {}
        self._lost = False
        self._held_out: tuple[np.ndarray, np.ndarray] | None = None

    @property
    def record(self) -> JobRecord:
        return self.history.record

    def tick(self) -> Step:
        """Looks at the job, takes one step and returns it."""
        step = self._next()
        self.progress.doing = step.why
        return step

    def _next(self) -> Step:
        self.history.read()
        if self._awaits_updates() and time.monotonic() < self._look_again_at:
            self._idle()
            return self._waiting
        if self._is_another_job():
            return Step(Action.ENROL, "a reorganisation of the chain took back this hospital's enrolment")
        view = self._view()
        if view is None:
            return Step(Action.WAIT, "the newest blocks are not confirmed yet")
        self._look_again_at = time.monotonic() + LOOK_SECONDS
        # What cannot be had now is tried again at every other look; at those between, deadlines are still kept.
        lost, self._lost = self._lost, False
        step = next_step(replace(view, lost=lost))
        if step.action == Action.WAIT:
            self._waiting = step
            self._idle()
            return step
        try:
            return self._take(step, view)
        except (ContentError, LearningError):
            self._lost = True
            raise

    def _take(self, step: Step, view: View) -> Step:
        number = view.job.round
        builds_on_merge = step.action in (Action.SUBMIT, Action.ATTEST, Action.MERGE, Action.REPORT)
        if builds_on_merge and number > 1 and not self.checks.holds(number - 1):
            return Step(Action.WAIT, f"round {number - 1}: the merge is not the one computed here")
        match step.action:
            case Action.SUBMIT:
                return self._submit(view, step)
            case Action.DOUBT:
                accused = view.hospitals[step.about.bit_length() - 1]
                self._send("doubt", number, view.round.attempt, accused)
            case Action.MERGE:
                self._merge(view)
            case Action.ATTEST:
                self._send("attest", number - 1, self.checks.standing(number - 1).digest)
            case Action.CHALLENGE:
                receipt = Challenges(self._in_time(step)).challenge(self.checks.claim(step.about))
                self._paid("challenge", receipt.gas_used)
            case Action.REJECT:
                self._send("reject", step.about, self.checks.standing(step.about).digest)
            case Action.REPORT:
                self._report(view)
            case Action.FINISH:
                self._send("finish", self.checks.standing(view.job.rounds).state, step=step)
            case Action.OPEN | Action.DRAW | Action.CANCEL | Action.REJOIN:
                self._send(step.action.value, step=step)
        return step

    # -- reading -----------------------------------------------------------------------------------------------------

    def _view(self) -> View | None:
        """The job as the chain has it now; None while its events lag behind its state, as unconfirmed ones do."""
        if self.hospital_id not in self.record.participants:
            return None
        consents = [self.record.participants[each].consent_id for each in self.record.hospital_ids]
        look = self.jobs.look(self.job_id, self._open_round, consents)
        job, self._open_round = look.job, look.job.round
        self.history.read()
        # A reorganisation that came meanwhile may have taken anything back.
        if self.hospital_id not in self.record.participants:
            return None
        last = self.record.round(job.round - 1).merge if job.round > 1 else None
        if (job.round > 1 and last is None) or not self._has_events_of(look):
            return None
        self._begin(job.round)
        self._looked_at, self._now = time.monotonic(), self.chain.now()
        me = self.record.participants[self.hospital_id]
        present = bool(job.present >> me.index & 1)
        false = self.checks.false_merge() or self.checks.uncheckable(
            job.round - 1, job.phases.check // 2, self._now
        )
        bonded = (present and not false) or Bonds(self.chain).bond_of(self.job_id, self.hospital_id).exists
        return View(
            now=self._now,
            job=job,
            round=look.round,
            merged_at=self.chain.timestamp(last.event.block) if last else 0,
            me=me,
            in_line=look.in_line if job.status == JobStatus.RUNNING else 0,
            rejecting=sum(1 << self.record.participants[each].index for each in last.rejected) if last else 0,
            live=look.live,
            hospitals=tuple(self.record.hospital_ids),
            draw=look.draw,
            doubtful=self.checks.doubtful(look, self._now),
            false=false,
            bonded=bonded,
            may_rejoin=present or bonded or self.bond_again,
            unable=self.updates.unable(self.record)
            or self._sat_out.get(self._opening(job.round, look.round.attempt), ""),
            moved_at=self.chain.timestamp(self.history.newest_block),
            turn_seconds=SLOW_TURN_SECONDS if self.chain.confirmations else TURN_SECONDS,
        )

    def _has_events_of(self, look: Look) -> bool:
        """Whether the events show the open attempt, its groups, and every update that its record counts."""
        if look.job.status != JobStatus.RUNNING:
            return True
        attempt = self.record.round(look.job.round).attempts.get(look.round.attempt)
        if attempt is None or (look.draw.drawn and attempt.drawing is None):
            return False
        return len(attempt.updates) >= look.round.submitted.bit_count()

    def _is_another_job(self) -> bool:
        """Whether a reorganisation put another proposal under this id, or took this hospital out of it."""
        if self.record.proposal and self.record.proposal.spec_digest != self.updates.spec_digest:
            return True
        if self.hospital_id in self.record.participants:
            return False
        return not self.jobs.participant(self.job_id, self.hospital_id).exists

    def _awaits_updates(self) -> bool:
        """Whether the events show this hospital's update of the newest attempt, and that others are still missing: then
        a block has nothing for it to do, and a look, which costs more than the events, can wait for its second."""
        attempt = self.record.round(self._open_round).newest
        if attempt is None:
            return False
        came = {update.hospital_id for update in attempt.updates}
        return self.hospital_id in came and not came >= set(self.record.members(attempt.participants))

    def _begin(self, number: int) -> None:
        """When a round opens: frees disk and journal of what is not to be asked for again soon."""
        if number == self._begun:
            return
        self._begun = number
        near = [self.record.round(each) for each in (number - 1, number) if each > 0]
        refs = {update.ref for each in near for update in each.updates()}
        refs |= {self.checks.state_ref(each) for each in (number - 2, number - 1) if each >= 0}
        self.content.keep_only(refs)
        self.updates.journal.trim(JobPlace.on(self.chain, self.job_id), number)

    def _opening(self, number: int, attempt: int) -> str:
        """The transaction that opened an attempt: after a reorganisation it may be another attempt."""
        found = self.record.round(number).attempts.get(attempt)
        return found.opened.tx_hash if found else ""

    # -- while waiting -----------------------------------------------------------------------------------------------

    def _idle(self) -> None:
        """While nothing else is to be done: fetches what others have sent, checks older merges, keeps pins; until a
        block comes."""
        attempt = self.record.round(self._open_round).newest
        refs = [update.ref for update in attempt.updates] if attempt else []
        if not self.content.collect(refs, self._now) or self._block_came():
            return
        try:
            self.checks.check_older(self._open_round)
        except (ContentError, WrongLength) as error:
            log.info("job %s: an older merge cannot be checked now: %s", self.job_id, error)
        self.content.pin_some(self.record.vectors(), enough=self._block_came)

    def _block_came(self) -> bool:
        return self.chain.head() != self.history.read_to

    # -- steps -------------------------------------------------------------------------------------------------------

    def _submit(self, view: View, step: Step) -> Step:
        number, attempt = view.job.round, view.round.attempt
        base = self.checks.state(number - 1)
        context = self.updates.context(self.record, number, attempt, base)

        def note(loss: float | None, seconds: float) -> None:
            self._note(number, loss, seconds, base)

        try:
            journalled = self.updates.journal.read(context)
        except JournalError as error:
            return self._sit_out(number, attempt, error)
        try:
            outgoing = self.updates.outgoing(context, self.record, base, journalled, note)
        except (JobKeyError, BudgetSpent, LearningError, DataError, VaultError) as error:
            # Also a training that diverged, or took too long, and a patient of the pinned version who withdrew: all
            # other steps are still this hospital's.
            return self._sit_out(number, attempt, error)
        ref = self.content.put(outgoing.update)
        attests = self.checks.standing(number - 1).digest if number > 1 else bytes(32)
        self._send("submit", number, attempt, attests, ref, outgoing.epsilon_total_micro)
        return step

    def _sit_out(self, number: int, attempt: int, error: SalusError) -> Step:
        log.error("job %s: %s", self.job_id, error)
        self._sat_out[self._opening(number, attempt)] = error.message
        return Step(Action.WAIT, f"round {number}: this hospital sits the attempt out: {error.message}")

    def _merge(self, view: View) -> None:
        ref = self.content.put(self.checks.merged(view.job.round), is_state=True)
        self._send("merge", view.job.round, view.round.attempt, ref)

    def _report(self, view: View) -> None:
        posted = self.checks.standing(view.job.rounds)
        state = self.checks.state(view.job.rounds)
        measured = metrics.evaluate(self.spec, state, *self._held_out_arrays())
        document = canonical.dumps(
            {
                "protocol": PROTOCOL,
                "job": self.job_id,
                "hospital": self.hospital_id,
                "state": to_cid(posted.state.cid),
                **measured.to_dict(),
            }
        )
        digest = self.content.ipfs.add(document)
        self._note(view.job.round, measured.loss, 0.0, state)
        self._send("report", posted.digest, measured.correct, measured.total, digest)

    def _in_time(self, step: Step) -> Chain:
        """The chain, which takes nothing more once this hospital's turn is over."""
        return self.chain.until(self._looked_at + step.seconds_left) if step.seconds_left else self.chain

    def _send(self, function: str, *args: object, step: Step | None = None) -> None:
        jobs = Jobs(self._in_time(step)) if step else self.jobs
        receipt = getattr(jobs, function)(self.job_id, *args)
        self._paid(function, receipt.gas_used)

    def _paid(self, function: str, gas_used: int) -> None:
        self.progress.gas_used += gas_used
        log.info("%s: job %s, gas %s", function, self.job_id, gas_used)

    def _held_out_arrays(self) -> tuple[np.ndarray, np.ndarray]:
        if self._held_out is None:
            self._held_out = self.updates.dataset.arrays(HELD_OUT)
        return self._held_out

    def _note(self, number: int, loss: float | None, seconds: float, state: np.ndarray) -> None:
        """Keeps loss and held-out accuracy of the state that the round starts from, for this hospital's own eyes."""
        measured = metrics.evaluate(self.spec, state, *self._held_out_arrays())
        self.progress.round, self.progress.loss = number, loss
        self.progress.accuracy = measured.correct / measured.total
        self.progress.train_seconds = seconds
        self.progress.history.append(
            {"round": number - 1, "loss": loss, "correct": measured.correct, "total": measured.total}
        )
