"""One job, worked on by one hospital's node: takes the step that `steps.next_step` names.

All that the worker knows of a job it reads from chain and IPFS, and may forget; only the journal must last. Bytes from
IPFS are used after both their digests match, and a merge is believed only after it was computed again here.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np

from protocol.chain.enums import JobStatus
from protocol.chain.events import events
from protocol.chain.jobs import Job, Jobs, Round
from protocol.chain.models import Models
from protocol.content import canonical, vectors
from protocol.content.cid import to_cid
from protocol.content.ipfs import Ipfs
from protocol.content.vectors import VectorRef
from protocol.data.dataset import Dataset
from protocol.data.splits import HELD_OUT, TRAIN
from protocol.errors import ChainError, ContentError, JournalError, LearningError, WrongLength
from protocol.learning import metrics, train, zoo
from protocol.learning.merge import merge, quantise, weights
from protocol.node.journal import Context, Journal
from protocol.node.steps import Action, Step, View, next_step
from protocol.record import Attempt, JobRecord, Merge, RoundRecord
from protocol.spec import PROTOCOL, JobSpec

log = logging.getLogger(__name__)

RETRY_SECONDS = 30.0
# While only others' updates are missing, deadlines and consents are looked at this often.
LOOK_SECONDS = 1.0


@dataclass
class Progress:
    """What this hospital may show of a round to its own operator; nothing of it leaves the hospital."""

    privacy: str
    round: int = 0
    loss: float | None = None
    accuracy: float | None = None
    train_seconds: float = 0.0
    gas_used: int = 0
    history: list[dict[str, float | int | None]] = field(default_factory=list)


class JobWorker:
    """Takes one hospital through one job."""

    def __init__(
        self,
        jobs: Jobs,
        ipfs: Ipfs,
        journal: Journal,
        hospital_id: int,
        job_id: int,
        spec: JobSpec,
        dataset: Dataset,
        max_round_seconds: float,
    ) -> None:
        self.jobs, self.chain, self.ipfs = jobs, jobs.chain, ipfs
        self.journal, self.hospital_id, self.job_id = journal, hospital_id, job_id
        self.spec, self.dataset, self.max_round_seconds = spec, dataset, max_round_seconds
        self.layout = zoo.layout(spec.model, spec.state)
        self.progress = Progress(spec.privacy.mechanism)
        self._record = JobRecord(job_id)
        self._read_to = jobs.chain.deployment.block - 1
        self._open_round, self._look_again_at = 0, 0.0
        self._pinned: set[bytes] | None = None
        self._retry_at: dict[bytes, float] = {}
        self._sat_out: tuple[int, int] | None = None
        self._lost = False
        self._states: dict[int, np.ndarray] = {}
        self._updates: dict[VectorRef, np.ndarray] = {}
        self._verdicts: dict[bytes, bool] = {}
        self._arrays: dict[int, tuple[np.ndarray, np.ndarray]] = {}

    def tick(self) -> Step:
        """Looks at the job, takes one step and returns it."""
        self._read_events()
        if self._awaits_updates() and time.monotonic() < self._look_again_at:
            self._idle()
            return Step(Action.WAIT, f"round {self._open_round}: updates are still to come")
        view = self._view()
        if view is None:
            return Step(Action.WAIT, "the newest blocks are not confirmed yet")
        self._look_again_at = time.monotonic() + LOOK_SECONDS
        # What cannot be had now is tried again at every other look; at those between, deadlines are still kept.
        lost, self._lost = self._lost, False
        step = next_step(replace(view, lost=lost))
        if step.action == Action.WAIT:
            self._idle()
            return step
        try:
            return self._take(step, view)
        except (ContentError, WrongLength):
            self._lost = True
            raise

    def _take(self, step: Step, view: View) -> Step:
        builds_on_merge = step.action in (Action.SUBMIT, Action.ATTEST, Action.REPORT) and view.job.round > 1
        if builds_on_merge and not self._last_merge_holds(view.job.round - 1):
            self._send("reject", view.job.round - 1, self._standing(view.job.round - 1).digest)
            return Step(
                Action.WAIT, f"round {view.job.round - 1}: the merge is false; this hospital rejected it"
            )
        match step.action:
            case Action.SUBMIT:
                if self._sat_out == (view.job.round, view.round.attempt):
                    return Step(
                        Action.WAIT,
                        "this hospital sits the attempt out: its journal does not hold the update",
                    )
                self._submit(view)
            case Action.MERGE:
                self._merge(view)
            case Action.ATTEST:
                self._send("attest", view.job.round - 1, self._standing(view.job.round - 1).digest)
            case Action.REPORT:
                self._report(view)
            case Action.FINISH:
                self._send("finish", self._standing(view.job.rounds).state)
            case Action.OPEN | Action.CANCEL | Action.REJOIN:
                self._send(step.action.value)
        return step

    def close(self) -> None:
        """Keeps every pin that this hospital owes, and lets go of the rest."""
        for ref in self._owed_pins():
            self._try(self._pin, ref)
        self._updates.clear()
        self._states.clear()

    # -- reading -----------------------------------------------------------------------------------------------------

    def _view(self) -> View | None:
        """The job as the chain has it now; None while its events lag behind its state, as unconfirmed ones do."""
        if self.hospital_id not in self._record.participants:
            return None
        consents = [self._record.participants[each].consent_id for each in self._record.hospital_ids]
        job, record, in_line, live = self.jobs.look(self.job_id, self._open_round, consents)
        self._open_round = job.round
        self._read_events()
        last = self._round(job.round - 1).merge if job.round > 1 else None
        if (job.round > 1 and last is None) or not self._has_updates_of(job, record):
            return None
        return View(
            now=self.chain.now(),
            job=job,
            round=record,
            merged_at=self.chain.timestamp(last.event.block) if last else 0,
            me=self._record.participants[self.hospital_id],
            in_line=in_line if job.status == JobStatus.RUNNING else 0,
            rejected=bool(last and self.hospital_id in last.rejected),
            disputed=bool(last and last.rejected),
            live=live,
        )

    def _has_updates_of(self, job: Job, record: Round) -> bool:
        """Whether the events show every update that the open attempt's record counts."""
        if job.status != JobStatus.RUNNING:
            return True
        attempt = self._round(job.round).attempts.get(record.attempt)
        return attempt is not None and len(attempt.updates) >= record.submitted.bit_count()

    def _newest_attempt(self) -> Attempt | None:
        """The newest attempt of the round that was open at the last look."""
        attempts = self._round(self._open_round).attempts
        return attempts[max(attempts)] if attempts else None

    def _awaits_updates(self) -> bool:
        """Whether the events show this hospital's update of the newest attempt, and that others are still missing: then
        a block has nothing for it to do, and a look, which costs more than the events, can wait for its second."""
        attempt = self._newest_attempt()
        if attempt is None:
            return False
        came = {update.hospital_id for update in attempt.updates}
        return self.hospital_id in came and not came >= set(self._record.members(attempt.participants))

    def _read_events(self) -> None:
        head = self.chain.head()
        if head <= self._read_to:
            return
        # All of them before the first is applied: an event that is applied twice counts an update twice.
        news = list(
            events(self.chain, "TrainingJobs", from_block=self._read_to + 1, to_block=head, jobId=self.job_id)
        )
        try:
            self._record.apply(news)
        except ChainError:
            self._record, self._read_to = JobRecord(self.job_id), self.chain.deployment.block - 1
            raise
        self._read_to = head

    def _round(self, number: int) -> RoundRecord:
        return self._record.round(number)

    def _standing(self, number: int) -> Merge | None:
        return self._round(number).merge

    # -- states and updates ------------------------------------------------------------------------------------------

    def _state(self, number: int) -> np.ndarray:
        """The state after round ``number`` (0: the base), int32[lanes]."""
        if number not in self._states:
            if number == 0:
                job = self.jobs.job(self.job_id)
                state = Models(self.chain).version(job.model_id, job.base_version).state
                ref = VectorRef(state.cid, state.root)
            else:
                ref = self._standing(number).state
            self._keep(number, vectors.get_vector(self.ipfs, ref, self.layout.lanes))
        return self._states[number]

    def _keep(self, number: int, state: np.ndarray) -> None:
        self._states[number] = state
        for old in [each for each in self._states if each < number - 1]:
            del self._states[old]
        last_two = {update.ref for each in (number, number + 1) for update in self._round(each).updates()}
        self._updates = {ref: x for ref, x in self._updates.items() if ref in last_two}

    def _update(self, ref: VectorRef) -> np.ndarray:
        if ref not in self._updates:
            self._updates[ref] = vectors.get_vector(self.ipfs, ref, self.layout.lanes)
        return self._updates[ref]

    def _idle(self) -> None:
        """While nothing else is to be done: fetches what others have sent, then keeps pins until a block comes."""
        attempt = self._newest_attempt()
        for update in attempt.updates if attempt else []:
            self._try(self._update, update.ref)
        for ref in self._owed_pins():
            if self.chain.head() > self._read_to:
                return
            self._try(self._pin, ref)

    def _try(self, task: Callable[[VectorRef], object], ref: VectorRef) -> None:
        """Does what can wait; after a failure waits ``RETRY_SECONDS``, so that one lost vector holds nothing up."""
        if time.monotonic() < self._retry_at.get(ref.cid, 0.0):
            return
        try:
            task(ref)
        except (ContentError, LearningError) as error:
            self._retry_at[ref.cid] = time.monotonic() + RETRY_SECONDS
            log.warning("job %s: %s", self.job_id, error)

    def _owed_pins(self) -> list[VectorRef]:
        """Updates and states of the job that this hospital has not pinned yet; every participant keeps all of them."""
        if self._pinned is None:
            self._pinned = self.ipfs.pins()
        return [ref for ref in self._record.vectors() if ref.cid not in self._pinned]

    def _pin(self, ref: VectorRef) -> None:
        """Pins a vector: from memory where it is still there, so that its bytes are kept even if nobody serves them."""
        if self.ipfs.is_pinned(ref.cid):
            self._kept(ref)
            return
        number = next(
            (n for n in self._states if n and self._round(n).merge and self._round(n).merge.state == ref),
            None,
        )
        known = self._updates.get(ref) if number is None else self._states[number]
        if known is not None:
            vectors.put_vector(self.ipfs, known)
        else:
            self.ipfs.pin(ref.cid)
        self._kept(ref)

    def _kept(self, ref: VectorRef) -> None:
        """Notes that this hospital has just pinned a vector."""
        if self._pinned is not None:
            self._pinned.add(ref.cid)

    def _merged(self, number: int) -> np.ndarray:
        """The merge of round ``number``, computed here from the updates of its standing or open attempt."""
        rounds = self._round(number)
        attempt = rounds.merge.attempt if rounds.merge else max(rounds.attempts)
        updates = (self._update(update.ref) for update in rounds.attempts[attempt].updates)
        return merge(self._state(number - 1), updates, self.spec.merge.server_step)

    def _last_merge_holds(self, number: int) -> bool:
        """Whether the merge of round ``number`` is the one this hospital computes."""
        posted = self._standing(number)
        if posted.digest not in self._verdicts:
            computed = self._merged(number)
            holds = vectors.reference(computed) == posted.state
            if holds:
                self._keep(number, computed)
            self._verdicts[posted.digest] = holds
        return self._verdicts[posted.digest]

    # -- steps -------------------------------------------------------------------------------------------------------

    def _submit(self, view: View) -> None:
        job, record = view.job, view.round
        base = self._state(job.round - 1)
        members = self._record.members(record.participants)
        counts = [self._record.participants[each].train_records for each in members]
        shares = weights(counts, self.spec.merge.max_weight_bps)
        context = Context(
            genesis=self.chain.deployment.genesis_hash,
            contract=self.chain.address("TrainingJobs"),
            job_id=self.job_id,
            round=job.round,
            attempt=record.attempt,
            base=vectors.reference(base).root,
            hospitals=tuple(members),
            weights=tuple((share.numerator, share.denominator) for share in shares),
        )
        try:
            update = self.journal.read(context)
        except JournalError as error:
            log.error("job %s: %s", self.job_id, error)
            self._sat_out = (job.round, record.attempt)
            return
        if update is None:
            result = train.train(
                self.spec,
                base,
                *self._data(TRAIN),
                round=job.round,
                seed=self._seed(),
                max_seconds=self.max_round_seconds,
            )
            self._note(job.round, result.loss, result.seconds, base)
            share = shares[members.index(self.hospital_id)]
            update = quantise(result.delta, share, len(members), self.layout, self.spec.merge.clip_norm)
            self.journal.write(context, update)
        ref = vectors.put_vector(self.ipfs, update)
        self._updates[ref] = update
        self._kept(ref)
        attests = self._standing(job.round - 1).digest if job.round > 1 else bytes(32)
        self._send("submit", job.round, record.attempt, attests, ref)

    def _merge(self, view: View) -> None:
        number = view.job.round
        if number > 1 and not self._last_merge_holds(number - 1):
            return
        computed = self._merged(number)
        ref = vectors.put_vector(self.ipfs, computed)
        self._kept(ref)
        self._keep(number, computed)
        self._send("merge", number, view.round.attempt, ref)

    def _report(self, view: View) -> None:
        posted = self._standing(view.job.rounds)
        measured = metrics.evaluate(self.spec, self._state(view.job.rounds), *self._data(HELD_OUT))
        document = canonical.dumps(
            {
                "protocol": PROTOCOL,
                "job": self.job_id,
                "hospital": self.hospital_id,
                "state": to_cid(posted.state.cid),
                **measured.to_dict(),
            }
        )
        digest = self.ipfs.add(document)
        self._note(view.job.round, measured.loss, 0.0, self._state(view.job.rounds))
        self._send("report", posted.digest, measured.correct, measured.total, digest)

    def _send(self, function: str, *args: object) -> None:
        receipt = getattr(self.jobs, function)(self.job_id, *args)
        self.progress.gas_used += receipt.gas_used
        log.info("%s: job %s, gas %s", function, self.job_id, receipt.gas_used)

    def _data(self, split: int) -> tuple[np.ndarray, np.ndarray]:
        if split not in self._arrays:
            self._arrays[split] = self.dataset.arrays(split)
        return self._arrays[split]

    def _seed(self) -> int:
        return self.spec.training.seed * 1_000_003 + self.hospital_id

    def _note(self, number: int, loss: float, seconds: float, state: np.ndarray) -> None:
        """Keeps loss and held-out accuracy of the state that the round starts from, for this hospital's own eyes."""
        measured = metrics.evaluate(self.spec, state, *self._data(HELD_OUT))
        self.progress.round, self.progress.loss = number, loss
        self.progress.accuracy = measured.correct / measured.total
        self.progress.train_seconds = seconds
        self.progress.history.append(
            {"round": number - 1, "loss": loss, "correct": measured.correct, "total": measured.total}
        )
