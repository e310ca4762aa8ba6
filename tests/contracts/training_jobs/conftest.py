"""A job under way, and the steps that its hospitals take."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, NamedTuple

import eth_abi
import pytest
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


def first_accumulator(job_id: int, round_: int, attempt: int) -> bytes:
    """The accumulator of an attempt before any update."""
    return sha256_abi(["uint32", "uint16", "uint8"], [job_id, round_, attempt])


def next_accumulator(accumulator: bytes, hospital_id: int, update: tuple[bytes, bytes]) -> bytes:
    """The accumulator after one more update."""
    return sha256_abi(["bytes32", "uint32", "bytes32", "bytes32"], [accumulator, hospital_id, *update])


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
    phases: Phases = Phases()

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
        """The index of who is in line at a turn, by the rule in words: the ring of submitters, from round + voids on."""
        round_ = self.round
        slot = self.slot(round_)
        ring = [i for i in range(len(self.members)) if slot["submitted"] >> i & 1]
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

    def open(self, by: Any = None) -> Any:
        """Opens what can be opened; anyone may."""
        return self.jobs.open(self.job_id, {"from": by or self.researcher})

    def finish(self, by: Any = None, state: tuple[bytes, bytes] | None = None) -> Any:
        """Ends the job; anyone may."""
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


@pytest.fixture(scope="module")
def model_id(models, researcher) -> int:
    """A model with a base version."""
    models.create("heart", vector("base"), {"from": researcher})
    return models.modelCount()


@pytest.fixture(scope="module")
def fund(reward_token, rewards, researcher, owner) -> None:
    """The researcher's money, approved."""
    reward_token.mint(researcher, 100 * REWARD, {"from": owner})
    reward_token.approve(rewards, 100 * REWARD, {"from": researcher})


@pytest.fixture(scope="module")
def proposal(model_id, researcher, reward_token, fund) -> Callable[..., Proposal]:
    """A sound proposal of two rounds for two to three hospitals, with what the caller changes."""

    def _proposal(**changes: Any) -> Proposal:
        plain = Proposal(
            spec_digest=digest_of("spec"),
            model_id=model_id,
            base_version=1,
            purpose=(str(researcher), HMB, 0, 0, 0),
            irb_approval=ZERO,
            rounds=2,
            min_hospitals=2,
            max_hospitals=3,
            gate_bps=7_000,
            phases=Phases(),
            reward_token=str(reward_token),
            reward_amount=REWARD,
            split=Split(),
        )
        return plain._replace(**changes)

    return _proposal


@pytest.fixture(scope="module")
def consent_terms() -> Callable[..., tuple]:
    """Consent to any biomedical research for a year, with what the caller changes."""

    def _terms(dataset_id: int, **changes: Any) -> tuple:
        plain = {
            "grantee": "0x" + "00" * 20,
            "permission": HMB,
            "mondo": 0,
            "modifiers": 0,
            "region": 0,
            "expires_at": chain.time() + 365 * DAY,
            "max_rounds": 1_000,
            "epsilon": 0,
        } | changes
        return (dataset_id, *plain.values())

    return _terms


@pytest.fixture(scope="module")
def consenting(admit, datasets, version, consents, consent_terms) -> Callable[..., tuple[list[Any], list[int]]]:
    """Members with a dataset of 100, 200, … training records and a consent each; their ids."""

    def _consenting(count: int, **changes: Any) -> tuple[list[Any], list[int]]:
        members = admit(count)
        consent_ids = []
        for place, one in enumerate(members):
            said = version(train_records=100 * (place + 1), held_out_records=100)
            datasets.register(said, {"from": one.operator})
            consents.mint(consent_terms(datasets.datasetCount(), **changes), {"from": one.admin})
            consent_ids.append(consents.consentCount())
        return members, consent_ids

    return _consenting


@pytest.fixture(scope="module")
def propose(jobs, proposal, researcher) -> Callable[..., int]:
    """Proposes a job and returns its id."""

    def _propose(**changes: Any) -> int:
        jobs.propose(proposal(**changes), {"from": researcher})
        return jobs.jobCount()

    return _propose


@pytest.fixture(scope="module")
def enrolled(jobs, propose, consenting, researcher) -> Callable[..., Play]:
    """A job in which ``count`` hospitals enrolled: all that it takes unless ``max_hospitals`` says otherwise."""

    def _enrolled(count: int = 3, *, terms: dict[str, Any] | None = None, **changes: Any) -> Play:
        members, consent_ids = consenting(count, **(terms or {}))
        changes = {"max_hospitals": count} | changes
        job_id = propose(**changes)
        for one, consent_id in zip(members, consent_ids, strict=True):
            jobs.enrol(job_id, consent_id, 1, {"from": one.operator})
        return Play(jobs, job_id, members, consent_ids, researcher, changes.get("phases", Phases()))

    return _enrolled


@pytest.fixture(scope="module")
def start(enrolled) -> Callable[..., Play]:
    """The same with round 1 open."""

    def _start(count: int = 3, **changes: Any) -> Play:
        play = enrolled(count, **changes)
        play.open()
        return play

    return _start
