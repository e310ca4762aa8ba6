"""What one hospital finds true and false in a job: merges computed again, updates that are not what they should be.

A merge that is found false stays in sight until the job ends, however many rounds were built on it, and whether or not
others made it final: it can be proved on the chain for as long as bonds are locked.
"""

from __future__ import annotations

import logging

import numpy as np

from protocol.chain.challenges import Challenges, Claim
from protocol.chain.enums import JobStatus
from protocol.chain.jobs import Look
from protocol.challenge import claim_of, first_difference, state_before
from protocol.content import vectors
from protocol.content.vectors import VectorRef
from protocol.errors import (
    ChainError,
    ContentError,
    IpfsUnreachable,
    NodeError,
    StillComing,
    WrongLength,
)
from protocol.learning.merge import merge
from protocol.node.content import JobContent
from protocol.node.history import JobHistory
from protocol.node.patience import Patience
from protocol.node.steps import FalseMerge
from protocol.record import JobRecord, Merge
from protocol.spec import JobSpec

log = logging.getLogger(__name__)

# How many rounds before the open one a node checks again after it was started: what was merged while it was away. What
# is merged while it runs it checks anyway.
CHECKED_AGAIN = 8


class Checks:
    """The checks of one hospital in one job."""

    def __init__(self, history: JobHistory, content: JobContent, spec: JobSpec, hospital_id: int) -> None:
        self.history, self.content, self.spec, self.hospital_id = history, content, spec, hospital_id
        self.chain = history.watch.chain
        self._holds: dict[bytes, bool] = {}
        self._unchecked_since: dict[bytes, int] = {}
        self._coming: set[bytes] = set()
        self._patience = Patience()
        self._base: VectorRef | None = None
        self._oldest = 0

    @property
    def record(self) -> JobRecord:
        return self.history.record

    def standing(self, number: int) -> Merge:
        """The merge that stands for a round."""
        merged = self.record.round(number).merge
        if merged is None:
            raise ChainError(
                f"No merge of round {number} of job {self.history.job_id} stands.", "The node looks again."
            )
        return merged

    def state_ref(self, number: int) -> VectorRef:
        """The state after a round (0: the base)."""
        if number:
            return self.standing(number).state
        if self._base is None:
            self._base = state_before(self.chain, self.record, 1)
        return self._base

    def state(self, number: int) -> np.ndarray:
        """The state after a round, int32[lanes]."""
        return self.content.state(self.state_ref(number))

    # -- merges ------------------------------------------------------------------------------------------------------

    def merged(self, number: int) -> np.ndarray:
        """The merge of a round, int32[lanes], computed here from the updates of its standing or open attempt. They are
        read from files, block by block."""
        rounds = self.record.round(number)
        attempt = rounds.attempts[rounds.merge.attempt] if rounds.merge else rounds.newest
        groups = [
            [self.content.update(update.ref) for update in group]
            for group in self.record.updates_by_group(attempt)
        ]
        return merge(self.state(number - 1), groups, self.spec.merge.server_step, self.spec.merge.rule)

    def holds(self, number: int) -> bool:
        """Whether the standing merge of a round is the one this hospital computes; found out once.

        Raises ContentError or WrongLength while what it takes cannot be had.
        """
        posted = self.standing(number)
        if posted.digest not in self._holds:
            try:
                computed = self.merged(number)
            except StillComing:
                self._coming.add(posted.digest)
                raise
            except (ContentError, WrongLength) as error:
                self._coming.discard(posted.digest)
                if not isinstance(error, IpfsUnreachable):
                    self._unchecked_since.setdefault(posted.digest, self.chain.now())
                raise
            same = vectors.reference(computed) == posted.state
            if same:
                self.content.hold(posted.state, computed)
            else:
                log.error(
                    "job %s: the merge of round %s by hospital %s is false",
                    self.history.job_id,
                    number,
                    posted.hospital_id,
                )
            self._holds[posted.digest] = same
        return self._holds[posted.digest]

    def check_older(self, open_round: int) -> None:
        """Checks one merge that was made while this hospital was away, the newest first."""
        self._oldest = self._oldest or max(1, open_round - CHECKED_AGAIN)
        for number in range(open_round - 1, self._oldest - 1, -1):
            posted = self.record.round(number).merge
            if posted is None or posted.digest in self._holds:
                continue
            if self._patience.may_try(posted.digest):
                # Should it fail; else it is not asked for again.
                self._patience.failed(posted.digest)
                try:
                    self.holds(number)
                except StillComing:
                    self._patience.succeeded(posted.digest)
                return

    def false_merge(self) -> FalseMerge | None:
        """The earliest standing merge of another hospital that was found false."""
        for number in sorted(self.record.rounds):
            posted = self.record.rounds[number].merge
            if posted and posted.hospital_id != self.hospital_id and not self._holds.get(posted.digest, True):
                posted_at = self.chain.timestamp(posted.event.block)
                self.content.collect([posted.state], posted_at)
                here = self.content.has(posted.state)
                coming = not here and not self.content.given_up(posted.state)
                return FalseMerge(number, posted_at, provable=here, coming=coming)
        return None

    def uncheckable(self, number: int, patience: int, now: int) -> FalseMerge | None:
        """The merge of a round, where for ``patience`` seconds nobody could be found who serves what it was made of:
        nobody can say that it is true. Where no other hospital's update can be had, the fault is here."""
        posted = self.record.round(number).merge if number else None
        if posted is None or posted.hospital_id == self.hospital_id or posted.digest in self._holds:
            return None
        since = self._unchecked_since.get(posted.digest)
        if since is None or now - since < patience or posted.digest in self._coming:
            return None
        others = [
            update.ref
            for update in self.record.round(number).merged_updates
            if update.hospital_id != self.hospital_id
        ]
        self.content.collect(others, now)
        if not any(self.content.has(ref) for ref in others):
            return None
        return FalseMerge(number, self.chain.timestamp(posted.event.block), provable=False)

    def claim(self, number: int) -> Claim:
        """What proves that the merge of a round is false; a call that costs nothing has said that it will.

        Raises NodeError when the chain computes what was posted: then this machine is wrong, and would lose its bond.
        """
        computed, posted = self.merged(number), self.state(number)
        updates = {
            update.ref: self.content.update(update.ref) for update in self.record.round(number).merged_updates
        }
        chunk = first_difference(computed, posted)
        claim = claim_of(self.record, number, chunk or 0, self.state(number - 1), updates, posted)
        if chunk is None or not Challenges(self.chain).check(claim):
            raise NodeError(
                f"This machine computes another merge of round {number} than the chain does.",
                "It challenges nothing. Check its memory and the installed version, then start the node again.",
            )
        return claim

    # -- updates -----------------------------------------------------------------------------------------------------

    def doubtful(self, look: Look, now: int) -> int:
        """Bits of those in the open attempt whose update is not what its digests say, or cannot be had for half of the
        phase, and whom this hospital has not doubted yet. Where none of the others' can be had, the fault is here."""
        attempt = self.record.round(look.job.round).attempts.get(look.round.attempt)
        me = self.record.participants[self.hospital_id].index
        if look.job.status != JobStatus.RUNNING or attempt is None or not look.round.participants >> me & 1:
            return 0
        missing = look.round.participants & ~look.round.submitted
        patience = (look.job.phases.submit if missing else look.job.phases.merge) // 2
        others = [update for update in attempt.updates if update.hospital_id != self.hospital_id]
        connected = any(self.content.has(update.ref) for update in others)
        bits = 0
        for update in others:
            if self.hospital_id in attempt.doubts.get(update.hospital_id, ()):
                continue
            since = self.content.missing_since.get(update.ref)
            late = connected and since is not None and now - since >= patience
            if update.ref in self.content.wrong or (late and self.content.still_missing(update.ref)):
                bits |= 1 << self.record.participants[update.hospital_id].index
        return bits & look.round.submitted
