"""A job's history, rebuilt from its events: what was submitted, doubted, merged, attested, voided, reported.

Events alone are enough (no archive node). The node reads a job's updates here, the verifier all of it, and both in the
same way. A merge that is voided takes every merge after it with it; what they merged stays in the history.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import reduce
from typing import Any

from protocol.chain.events import Event
from protocol.chain.jobs import Participant, Proposal
from protocol.content import digests
from protocol.content.vectors import VectorRef
from protocol.errors import ChainError
from protocol.learning import groups


@dataclass(frozen=True)
class Update:
    """An accepted update of one hospital."""

    hospital_id: int
    ref: VectorRef
    epsilon_total_micro: int
    event: Event


@dataclass(frozen=True)
class Drawing:
    """The groups of a round. ``seed``: the hash of the block that decided, 32 bytes; ``labels``: four bits for each bit
    of a participant; ``participants``: the bits that were drawn."""

    seed: bytes
    labels: int
    participants: int
    event: Event


@dataclass
class Attempt:
    """One attempt of a round: who may submit (bits), and what came, in the order of the chain.

    ``drawing``: its groups, which an attempt takes over from the one before; None in a job with one group, or before
    they are drawn. ``doubts``: who doubts each hospital's update; ``dropped``: whose update two thirds doubt.
    """

    participants: int
    opened: Event
    updates: list[Update] = field(default_factory=list)
    drawing: Drawing | None = None
    doubts: dict[int, set[int]] = field(default_factory=dict)
    dropped: dict[int, Event] = field(default_factory=dict)

    @property
    def labels(self) -> int:
        """The groups' labels; zero with one group."""
        return self.drawing.labels if self.drawing else 0


@dataclass
class Merge:
    """A posted merge, and what the others said of it."""

    hospital_id: int
    attempt: int
    state: VectorRef
    digest: bytes
    event: Event
    attested: set[int] = field(default_factory=set)
    rejected: set[int] = field(default_factory=set)
    void: Event | None = None
    final: Event | None = None

    @property
    def voided(self) -> bool:
        """Whether it was taken back, or a merge that it was built on."""
        return self.void is not None


@dataclass
class RoundRecord:
    """A round: its attempts by number, and every merge posted for it, the voided ones too."""

    attempts: dict[int, Attempt] = field(default_factory=dict)
    merges: list[Merge] = field(default_factory=list)
    drawing: Drawing | None = None

    @property
    def newest(self) -> Attempt | None:
        """The newest attempt; None before the first opens."""
        return self.attempts[max(self.attempts)] if self.attempts else None

    @property
    def merge(self) -> Merge | None:
        """The merge that stands."""
        return self.merges[-1] if self.merges and not self.merges[-1].voided else None

    def updates(self) -> list[Update]:
        """The updates of all attempts."""
        return [update for attempt in self.attempts.values() for update in attempt.updates]

    @property
    def merged_updates(self) -> list[Update]:
        """The updates that the standing merge sums, in the order of the chain; empty before it is merged."""
        return self.attempts[self.merge.attempt].updates if self.merge else []


@dataclass(frozen=True)
class Report:
    """What one hospital reported of the final state on its held-out records."""

    hospital_id: int
    correct: int
    total: int
    metrics: bytes
    event: Event


@dataclass(frozen=True)
class Challenge:
    """A challenge of the merge that stood for a round then, in one chunk."""

    round: int
    challenger_id: int
    chunk_index: int
    proven: bool
    event: Event


@dataclass
class JobRecord:
    """All that the chain's events say of one job.

    ``mask_keys``: the X25519 public keys of those who enrolled, 32 bytes; in a job without masks there is none.
    ``open_round``: the round that opened or was voided last. ``challenges`` are events of another contract, and known
    only to whoever applies those too.
    """

    job_id: int
    proposal: Proposal | None = None
    proposed: Event | None = None
    participants: dict[int, Participant] = field(default_factory=dict)
    enrolments: dict[int, Event] = field(default_factory=dict)
    mask_keys: dict[int, bytes] = field(default_factory=dict)
    open_round: int = 0
    rounds: dict[int, RoundRecord] = field(default_factory=dict)
    reports: dict[int, Report] = field(default_factory=dict)
    challenges: list[Challenge] = field(default_factory=list)
    reporting: Event | None = None
    ended: Event | None = None

    @property
    def hospital_ids(self) -> list[int]:
        """The hospitals that enrolled, in the order of their bits."""
        return sorted(self.participants, key=lambda hospital_id: self.participants[hospital_id].index)

    def members(self, mask: int) -> list[int]:
        """The ids of the hospitals whose bits are set."""
        return [
            hospital_id
            for hospital_id in self.hospital_ids
            if mask >> self.participants[hospital_id].index & 1
        ]

    def groups(self, attempt: Attempt) -> list[list[int]]:
        """The ids of an attempt's participants, group by group, each in the order of their bits."""
        indices = [self.participants[each].index for each in self.members(attempt.participants)]
        by_index = {place.index: each for each, place in self.participants.items()}
        return [[by_index[index] for index in group] for group in groups.split(attempt.labels, indices)]

    def updates_by_group(self, attempt: Attempt) -> list[list[Update]]:
        """An attempt's updates, group by group: what a merge sums. Groups of which nothing came are left out."""
        by_index = {self.participants[update.hospital_id].index: update for update in attempt.updates}
        return [
            [by_index[index] for index in group] for group in groups.split(attempt.labels, list(by_index))
        ]

    def accumulator(self, number: int, attempt: int) -> bytes:
        """The accumulator of an attempt's updates, 32 bytes, computed here."""
        found = self._attempt(number, attempt)
        start = digests.accumulator_start(self.job_id, number, attempt, found.labels)
        return reduce(
            lambda a, update: digests.accumulate(
                a, self.participants[update.hospital_id].index, update.ref.cid, update.ref.root
            ),
            found.updates,
            start,
        )

    def vectors(self) -> list[VectorRef]:
        """Every update and state of the job that was published, the voided ones too."""
        return [
            ref
            for record in self.rounds.values()
            for ref in [
                *(update.ref for update in record.updates()),
                *(merge.state for merge in record.merges),
            ]
        ]

    def round(self, number: int) -> RoundRecord:
        return self.rounds.setdefault(number, RoundRecord())

    def apply(self, events: Iterable[Event]) -> None:
        """Adds events of this job, in the order of the chain.

        Raises ChainError when one before them is missing; the record is then of no more use.
        """
        for event in events:
            self._apply(event, event.args)

    def _attempt(self, number: int, attempt: int) -> Attempt:
        if attempt not in self.round(number).attempts:
            raise self._gap(f"nothing opened attempt {attempt} of round {number}")
        return self.round(number).attempts[attempt]

    def _newest(self, number: int) -> Attempt:
        newest = self.round(number).newest
        if newest is None:
            raise self._gap(f"nothing opened round {number}")
        return newest

    def _last_merge(self, number: int) -> Merge:
        if not self.round(number).merges:
            raise self._gap(f"nothing merged round {number}")
        return self.round(number).merges[-1]

    def _gap(self, missing: str) -> ChainError:
        return ChainError(
            f"The chain node left out events of job {self.job_id}: {missing}.", "Ask another chain node."
        )

    def _apply(self, event: Event, args: Mapping[str, Any]) -> None:
        match event.name:
            case "JobProposed":
                self.proposal, self.proposed = Proposal.of(args["proposal"]), event
            case "Enrolled":
                self.participants[args["hospitalId"]] = Participant.of(args["participant"])
                self.enrolments[args["hospitalId"]] = event
                if any(args["maskKey"]):
                    self.mask_keys[args["hospitalId"]] = args["maskKey"]
            case "AttemptOpened":
                opened = self.round(args["round"])
                opened.attempts[args["attempt"]] = Attempt(
                    args["participants"], event, drawing=opened.drawing
                )
                self.open_round = args["round"]
            case "GroupsDrawn":
                drawn = self._newest(args["round"])
                drawn.drawing = Drawing(args["seed"], args["labels"], drawn.participants, event)
                self.round(args["round"]).drawing = drawn.drawing
            case "JobPaused":
                # After it the groups are drawn anew.
                self.round(args["round"]).drawing = None
            case "Doubted":
                doubts = self._attempt(args["round"], args["attempt"]).doubts
                doubts.setdefault(args["hospitalId"], set()).add(args["by"])
            case "Dropped":
                self._attempt(args["round"], args["attempt"]).dropped[args["hospitalId"]] = event
            case "UpdateSubmitted":
                update = Update(args["hospitalId"], _vector(args["update"]), args["epsilonTotalMicro"], event)
                self._attempt(args["round"], args["attempt"]).updates.append(update)
            case "Merged":
                merger, state = args["hospitalId"], _vector(args["state"])
                self._attempt(args["round"], args["attempt"])
                merge = Merge(merger, args["attempt"], state, args["mergeDigest"], event, {merger})
                self.round(args["round"]).merges.append(merge)
            case "Attested":
                self._last_merge(args["round"]).attested.add(args["hospitalId"])
            case "Rejected":
                self._last_merge(args["round"]).rejected.add(args["hospitalId"])
            case "MergeVoided":
                self._void(args["round"], event)
            case "RoundFinal":
                self._last_merge(args["round"]).final = event
            case "ReportingOpened":
                self.reporting = event
            case "Reported":
                report = Report(
                    args["hospitalId"], args["correct"], args["total"], args["metricsDigest"], event
                )
                self.reports[report.hospital_id] = report
            case "Challenged":
                self.challenges.append(
                    Challenge(args["round"], args["challengerId"], args["chunkIndex"], args["proven"], event)
                )
            case "JobFinished" | "JobCancelled":
                self.ended = event

    def _void(self, number: int, event: Event) -> None:
        """Takes back the merge of a round, and every merge after it; those of the rounds after it may be none."""
        self._last_merge(number).void = event
        for later in self.rounds:
            if later > number and (standing := self.rounds[later].merge):
                standing.void = event
            if later >= number:
                # An attempt that opens after it is drawn anew.
                self.rounds[later].drawing = None
        self.open_round = number
        self.reports.clear()
        self.reporting = None


def _vector(digests: Mapping[str, bytes]) -> VectorRef:
    return VectorRef(digests["cid"], digests["root"])
