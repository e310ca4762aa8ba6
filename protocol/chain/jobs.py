"""TrainingJobs: jobs and their rounds. Participants are bits: bit i is the i-th hospital that enrolled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from protocol.chain.client import Chain, Receipt
from protocol.chain.consents import Purpose
from protocol.chain.enums import JobStatus, Rule
from protocol.chain.events import events
from protocol.chain.models import Vector, VectorDigests
from protocol.chain.rewards import Split
from protocol.chain.structs import Struct
from protocol.errors import ChainError

CONTRACT = "TrainingJobs"
NO_KEY = bytes(32)
#: What `Jobs.bonds_free_at` answers of a job that has not ended: the largest time that the chain can tell.
NEVER = 2**40 - 1


@dataclass(frozen=True)
class Phases(Struct):
    """How long each phase may take, in seconds (see ITrainingJobs.Phases)."""

    enrol: int
    submit: int
    merge: int
    check: int
    report: int
    pause: int

    @classmethod
    def of_seconds(cls, seconds: int) -> Self:
        """The same for every phase."""
        return cls(seconds, seconds, seconds, seconds, seconds, seconds)


@dataclass(frozen=True)
class MergeRule(Struct):
    """How updates become the next state. ``lanes``: numbers in the state; ``server_step`` has 16 fraction bits;
    ``groups``: most groups of a round; ``masked``: updates are masked pairwise."""

    lanes: int
    server_step: int
    rule: Rule
    groups: int
    masked: bool


@dataclass(frozen=True)
class Proposal(Struct):
    """What a researcher proposes. Digests are 32 bytes; ``reward_amount`` in the token's smallest unit."""

    spec_digest: bytes
    model_id: int
    base_version: int
    purpose: Purpose
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


@dataclass(frozen=True)
class Job(Struct):
    """A job as it stands. ``round``: the open one, from 1; rounds + 1 while reporting. ``since``: unix seconds."""

    status: JobStatus
    round: int
    final_rounds: int
    enrolled: int
    present: int
    since: int
    rounds: int
    min_hospitals: int
    max_hospitals: int
    gate_bps: int
    model_id: int
    base_version: int
    merge: MergeRule
    phases: Phases
    purpose: Purpose
    spec_digest: bytes
    irb_approval: bytes
    accumulator: bytes


@dataclass(frozen=True)
class Round(Struct):
    """A round's record. ``participants`` to ``attested`` are bits; ``merger``: index plus one, zero before the merge;
    ``since``: unix seconds."""

    participants: int
    submitted: int
    previous: int
    attested: int
    merger: int
    attempt: int
    voids: int
    since: int

    @classmethod
    def empty(cls) -> Self:
        """A round that has not opened."""
        return cls(0, 0, 0, 0, 0, 0, 0, 0)

    @staticmethod
    def members(mask: int, hospitals: Sequence[int]) -> list[int]:
        """Ids of the hospitals whose bits are set. ``hospitals``: all that enrolled, in the order of their bits."""
        return [hospital_id for bit, hospital_id in enumerate(hospitals) if mask >> bit & 1]


@dataclass(frozen=True)
class Participant(Struct):
    """A hospital in a job, pinned at enrolment. ``index`` is its bit; ``exists`` is false when it never enrolled."""

    exists: bool
    index: int
    consent_id: int
    dataset_id: int
    dataset_version: int
    train_records: int
    held_out_records: int


@dataclass(frozen=True)
class Draw(Struct):
    """The draw of the open round's groups; all zero where the job has one group.

    ``block_number``: the block whose hash decides. ``labels``: four bits for each bit of a participant, once ``drawn``.
    """

    round: int
    drawn: bool
    block_number: int
    labels: int

    @classmethod
    def empty(cls) -> Self:
        """No draw."""
        return cls(0, False, 0, 0)


@dataclass(frozen=True)
class Submission(Struct):
    """An update. ``attests``: the merge digest of the round before, zero in round 1."""

    round: int
    attempt: int
    attests: bytes
    update: Vector
    epsilon_total_micro: int


@dataclass(frozen=True)
class Look:
    """A job at one moment. ``round``: the record of its open round; ``in_line``: who may merge now, and ``live``: whose
    consents are live, both as bits; ``draw``: of the open round's groups."""

    job: Job
    round: Round
    in_line: int
    live: int
    draw: Draw


class Jobs:
    """Typed calls of TrainingJobs. Every function that changes something returns the receipt."""

    def __init__(self, chain: Chain) -> None:
        self.chain = chain

    # -- reading -----------------------------------------------------------------------------------------------------

    def job(self, job_id: int) -> Job:
        """Raises Refused (UnknownJob)."""
        return Job.of(self.chain.call(CONTRACT, "job", job_id))

    def job_and_round(self, job_id: int) -> tuple[Job, Round]:
        """A job and the record of its open round; the empty one before the first opens."""
        job = self.job(job_id)
        return job, self.round_of(job_id, job.round) if job.round else Round.empty()

    def look(self, job_id: int, round: int, consent_ids: Sequence[int]) -> Look:
        """A job as it stands, in one round trip. ``round``: the open round as last seen; when another is open by now,
        its record is asked for too. ``consent_ids``: of those who enrolled, in the order of their bits."""
        found, record, in_line, live, draw = self.chain.call_many(
            [
                (CONTRACT, "job", (job_id,)),
                (CONTRACT, "roundOf", (job_id, round)),
                (CONTRACT, "mergersInLine", (job_id,)),
                ("ConsentToken", "live", (list(consent_ids),)),
                (CONTRACT, "drawOf", (job_id,)),
            ]
        )
        job = Job.of(found)
        open_round = Round.of(record) if job.round == round else self.round_of(job_id, job.round)
        return Look(job, open_round, in_line, live, Draw.of(draw))

    def job_count(self) -> int:
        """How many jobs there are: ids run from 1 to this."""
        return int(self.chain.call(CONTRACT, "jobCount"))

    def round_of(self, job_id: int, number: int) -> Round:
        """A round's record; all zero before it opened."""
        return Round.of(self.chain.call(CONTRACT, "roundOf", job_id, number))

    def draw_of(self, job_id: int) -> Draw:
        """The draw of the open round's groups."""
        return Draw.of(self.chain.call(CONTRACT, "drawOf", job_id))

    def bonds_free_at(self, job_id: int) -> int:
        """Unix seconds from which the bonds of a job are free; `NEVER` while it runs."""
        return int(self.chain.call(CONTRACT, "bondsFreeAt", job_id))

    def merge_digest(self, job_id: int, number: int) -> bytes:
        """The digest of the merge that stands for a round; zero before it is merged."""
        return bytes(self.chain.call(CONTRACT, "mergeDigest", job_id, number))

    def participant(self, job_id: int, hospital_id: int) -> Participant:
        """A hospital's place in a job."""
        return Participant.of(self.chain.call(CONTRACT, "participant", job_id, hospital_id))

    def hospitals_of(self, job_id: int) -> list[int]:
        """Ids of the hospitals that enrolled, in the order of their bits."""
        return list(self.chain.call(CONTRACT, "hospitalsOf", job_id))

    def mergers_in_line(self, job_id: int) -> int:
        """Participants that may merge the open round now, as bits; zero while updates are missing."""
        return int(self.chain.call(CONTRACT, "mergersInLine", job_id))

    def proposal(self, job_id: int) -> Proposal:
        """What was proposed, from the event. Raises Refused (UnknownJob)."""
        for event in events(self.chain, CONTRACT, ["JobProposed"], jobId=job_id):
            return Proposal.of(event.args["proposal"])
        self.job(job_id)
        raise ChainError(f"Job {job_id} was proposed too recently.", "Wait for its block to be confirmed.")

    # -- changing ----------------------------------------------------------------------------------------------------

    def propose(self, proposal: Proposal) -> Receipt:
        """Proposes a job and moves its reward, which the signer has approved, into escrow."""
        return self.chain.send(CONTRACT, "propose", proposal)

    def enrol(self, job_id: int, consent_id: int, dataset_version: int, mask_key: bytes = NO_KEY) -> Receipt:
        """Enrols the signing operator's hospital and locks its bond. ``mask_key``: in a masked job, the X25519 public
        key (32 bytes) that was made for this job alone."""
        return self.chain.send(CONTRACT, "enrol", job_id, consent_id, dataset_version, mask_key)

    def open(self, job_id: int) -> Receipt:
        """Opens the attempt that can be opened; anyone may."""
        return self.chain.send(CONTRACT, "open", job_id)

    def draw(self, job_id: int) -> Receipt:
        """Draws the open round's groups; anyone may, once the block that decides is mined."""
        return self.chain.send(CONTRACT, "draw", job_id)

    def doubt(self, job_id: int, round: int, attempt: int, hospital_id: int) -> Receipt:
        """Votes that the bytes of a hospital's update cannot be had or do not match."""
        return self.chain.send(CONTRACT, "doubt", job_id, round, attempt, hospital_id)

    def submit(
        self,
        job_id: int,
        round: int,
        attempt: int,
        attests: bytes,
        update: VectorDigests,
        epsilon_total_micro: int = 0,
    ) -> Receipt:
        """Sends the hospital's update, and attests the merge that it was trained on (zero digest in round 1)."""
        submission = Submission(round, attempt, attests, Vector(update.cid, update.root), epsilon_total_micro)
        return self.chain.send(CONTRACT, "submit", job_id, submission)

    def merge(self, job_id: int, round: int, attempt: int, state: VectorDigests) -> Receipt:
        """Posts the merge of a round."""
        return self.chain.send(CONTRACT, "merge", job_id, round, attempt, state)

    def attest(self, job_id: int, round: int, merge_digest: bytes) -> Receipt:
        """Attests the last merge."""
        return self.chain.send(CONTRACT, "attest", job_id, round, merge_digest)

    def reject(self, job_id: int, round: int, merge_digest: bytes) -> Receipt:
        """Rejects the last merge, whose state cannot be had."""
        return self.chain.send(CONTRACT, "reject", job_id, round, merge_digest)

    def report(self, job_id: int, attests: bytes, correct: int, total: int, metrics_digest: bytes) -> Receipt:
        """Reports metrics of the final state on held-out records, and attests the last merge."""
        return self.chain.send(CONTRACT, "report", job_id, attests, correct, total, metrics_digest)

    def rejoin(self, job_id: int) -> Receipt:
        """Comes back after a missed attempt, from the next round on."""
        return self.chain.send(CONTRACT, "rejoin", job_id)

    def finish(self, job_id: int, state: VectorDigests) -> Receipt:
        """Ends a job whose reports are in or late; ``state`` is the final one."""
        return self.chain.send(CONTRACT, "finish", job_id, state)

    def cancel(self, job_id: int) -> Receipt:
        """Ends a job before its time."""
        return self.chain.send(CONTRACT, "cancel", job_id)
