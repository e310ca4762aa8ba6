"""A job under way, the steps that its hospitals take, and the digests that the chain should come to."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, NamedTuple

import eth_abi
from brownie import chain

DAY = 86_400
TOKEN = 10**18
HMB = 2
ZERO = b"\0" * 32
REWARD = 12_000 * TOKEN


class Status(IntEnum):
    """``ITrainingJobs.Status``."""

    NONE = 0
    ENROLLING = 1
    RUNNING = 2
    PAUSED = 3
    REPORTING = 4
    FINISHED = 5
    CANCELLED = 6


class Phases(NamedTuple):
    """``ITrainingJobs.Phases``, in seconds; all different, so that a mix-up shows."""

    enrol: int = 1_000
    submit: int = 2_000
    merge: int = 300
    check: int = 5_000
    report: int = 4_000
    pause: int = 7_000


class Split(NamedTuple):
    """``IRewardPool.Split``."""

    hospitals_bps: int = 6_000
    caregivers_bps: int = 1_500
    patients_bps: int = 1_000
    merger_bps: int = 1_000
    dao_bps: int = 500


class MergeRule(NamedTuple):
    """``ITrainingJobs.MergeRule``: one unmasked group, its sum."""

    lanes: int = 1_000
    server_step: int = 65_536
    rule: int = 0
    groups: int = 1
    masked: bool = False


class Proposal(NamedTuple):
    """``ITrainingJobs.Proposal``."""

    spec_digest: bytes
    model_id: int
    base_version: int
    purpose: tuple
    irb_approval: bytes
    rounds: int
    min_hospitals: int
    max_hospitals: int
    gate_bps: int
    merge: MergeRule
    phases: Phases
    reward_token: str
    reward_amount: int
    split: Split


def digest_of(*words: Any) -> bytes:
    """Thirty-two bytes that stand for a content."""
    return hashlib.sha256(repr(words).encode()).digest()


def vector(*words: Any) -> tuple[bytes, bytes]:
    """``IModelRegistry.Vector``: a content id and a chunk root."""
    return digest_of("cid", *words), digest_of("root", *words)


def sha256_abi(types: list[str], values: list[Any]) -> bytes:
    """What `Digests` hashes."""
    return hashlib.sha256(eth_abi.encode(types, values)).digest()


def first_accumulator(job_id: int, round_: int, attempt: int, labels: int = 0) -> bytes:
    """The accumulator of an attempt before any update."""
    return sha256_abi(["uint32", "uint16", "uint8", "uint192"], [job_id, round_, attempt, labels])


def next_accumulator(accumulator: bytes, index: int, update: tuple[bytes, bytes]) -> bytes:
    """The accumulator after one more update, of the hospital with this bit."""
    return sha256_abi(["bytes32", "uint8", "bytes32", "bytes32"], [accumulator, index, *update])


def mask_key(index: int) -> bytes:
    """A hospital's public key for a masked job."""
    return digest_of("mask key", index)


def merge_digest(
    job_id: int, round_: int, attempt: int, accumulator: bytes, state: tuple[bytes, bytes]
) -> bytes:
    """What a merge is named by."""
    return sha256_abi(
        ["uint32", "uint16", "uint8", "bytes32", "bytes32", "bytes32"],
        [job_id, round_, attempt, accumulator, *state],
    )


def bits(*indices: int) -> int:
    """A set of hospitals."""
    return sum(1 << i for i in indices)


@dataclass
class Play:
    """A job and its hospitals, in the order of their bits. It keeps nothing: all state is on the chain."""

    jobs: Any
    job_id: int
    members: list[Any]
    consent_ids: list[int]
    researcher: Any
    phases: Phases

    @property
    def job(self) -> Any:
        """The job as it stands."""
        return self.jobs.job(self.job_id)

    @property
    def status(self) -> Status:
        """Its status."""
        return Status(self.job["status"])

    @property
    def round(self) -> int:
        """The open round."""
        return self.job["round"]

    def slot(self, round_: int | None = None) -> Any:
        """A round's record; of the open one when not named."""
        return self.jobs.roundOf(self.job_id, self.round if round_ is None else round_)

    def standing(self, round_: int | None = None) -> bytes:
        """The merge digest of a round; of the last merge when not named."""
        return bytes(self.jobs.mergeDigest(self.job_id, self.round - 1 if round_ is None else round_))

    def submission(self, index: int, **changes: Any) -> tuple:
        """What a hospital would send now."""
        opened = self.round
        round_ = changes.get("round", opened)
        attempt = changes.get("attempt", self.slot(opened)["attempt"])
        return (
            round_,
            attempt,
            changes.get("attests", self.standing(max(opened - 1, 0))),
            changes.get("update", vector("update", index, round_, attempt)),
            changes.get("epsilon", 0),
        )

    def submit(self, index: int, **changes: Any) -> Any:
        """One hospital's update."""
        operator = self.members[index].operator
        return self.jobs.submit(self.job_id, self.submission(index, **changes), {"from": operator})

    def submit_all(self, indices: Iterable[int] | None = None) -> list[Any]:
        """The updates of all who take part in the attempt, or of some."""
        mask = self.slot()["participants"]
        chosen = [i for i in range(len(self.members)) if mask >> i & 1] if indices is None else indices
        return [self.submit(i) for i in chosen]

    def next_merger(self, turn: int = 0) -> int:
        """Who is in line at a turn, by the rule in words: the ring of submitters that are present, from round + voids
        on."""
        job = self.job
        round_ = job["round"]
        slot = self.slot(round_)
        ring = [i for i in range(len(self.members)) if (slot["submitted"] & job["present"]) >> i & 1]
        return ring[(round_ + slot["voids"] + turn) % len(ring)]

    def merge(self, index: int | None = None, state: tuple[bytes, bytes] | None = None) -> Any:
        """The merge of the open round, by who is first in line when not named."""
        round_ = self.round
        attempt = self.slot(round_)["attempt"]
        index = self.next_merger() if index is None else index
        return self.jobs.merge(
            self.job_id,
            round_,
            attempt,
            self.state(round_) if state is None else state,
            {"from": self.members[index].operator},
        )

    def state(self, round_: int) -> tuple[bytes, bytes]:
        """The honest state after a round."""
        return vector("state", round_)

    def attest(self, index: int, **changes: Any) -> Any:
        """Attests the last merge."""
        return self._judge(self.jobs.attest, index, **changes)

    def reject(self, index: int, **changes: Any) -> Any:
        """Rejects the last merge."""
        return self._judge(self.jobs.reject, index, **changes)

    def _judge(self, step: Any, index: int, **changes: Any) -> Any:
        round_ = changes.get("round", self.round - 1)
        digest = changes.get("digest", self.standing(round_))
        return step(self.job_id, round_, digest, {"from": self.members[index].operator})

    def report(self, index: int, correct: int = 80, total: int = 100, **changes: Any) -> Any:
        """One hospital's metrics on the final state."""
        return self.jobs.report(
            self.job_id,
            changes.get("attests", self.standing()),
            correct,
            total,
            changes.get("metrics", digest_of("metrics", index)),
            {"from": self.members[index].operator},
        )

    def decide(self, by: Any, challenger: int, proven: bool, round_: int, accumulator: bytes) -> Any:
        """A ruling of the challenges contract, ``by``."""
        ruling = (self.job_id, round_, accumulator, self.members[challenger].id, proven)
        return self.jobs.decide(ruling, {"from": by})

    def doubt(self, index: int, accused: int, round_: int | None = None, attempt: int | None = None) -> Any:
        """One hospital's doubt about another's update."""
        round_ = self.round if round_ is None else round_
        attempt = self.slot(round_)["attempt"] if attempt is None else attempt
        operator = self.members[index].operator
        return self.jobs.doubt(self.job_id, round_, attempt, self.members[accused].id, {"from": operator})

    def rejoin(self, index: int) -> Any:
        """Comes back."""
        return self.jobs.rejoin(self.job_id, {"from": self.members[index].operator})

    def draw(self) -> Any:
        """Draws the groups, once the block after the one that decides is there; anyone may."""
        while chain.height < self.jobs.drawOf(self.job_id)["blockNumber"]:
            chain.mine()
        return self.jobs.draw(self.job_id, {"from": self.researcher})

    def open(self, by: Any = None) -> Any:
        """Opens what can be opened; anyone may."""
        return self.jobs.open(self.job_id, {"from": by or self.researcher})

    def finish(self, by: Any = None, state: tuple[bytes, bytes] | None = None, at_once: bool = False) -> Any:
        """Ends the job, once fraud can no longer be proved unless ``at_once``; anyone may."""
        free = self.job["since"] + self.phases.check
        if not at_once and chain.time() < free:
            chain.mine(timestamp=free)
        last = self.state(self.job["rounds"]) if state is None else state
        return self.jobs.finish(self.job_id, last, {"from": by or self.researcher})

    def play_round(self) -> Any:
        """All updates and the merge."""
        self.submit_all()
        return self.merge()

    def play_all(self) -> None:
        """Every round that is left."""
        while self.status == Status.RUNNING:
            self.play_round()

    def sleep(self, seconds: int) -> None:
        """Lets time pass, for transactions and views."""
        chain.sleep(seconds)
        chain.mine()
