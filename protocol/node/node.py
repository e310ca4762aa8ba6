"""The hospital's daemon: finds jobs that its policy and consents allow, enrols, and works on them until they end.

It opens no port and needs outbound connections only: to a chain node and an IPFS daemon. After a crash at any point it
is simply started again: it reads chain and IPFS and goes on.
"""

from __future__ import annotations

import json
import logging
import os
import threading
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path

from filelock import FileLock, Timeout
from platformdirs import user_state_path

from protocol.chain.client import Chain
from protocol.chain.consents import Consents
from protocol.chain.datasets import Datasets
from protocol.chain.enums import JobStatus, Role
from protocol.chain.events import events
from protocol.chain.hospitals import Hospitals
from protocol.chain.jobs import Job, Jobs, Participant
from protocol.chain.models import Models
from protocol.content import canonical, vectors
from protocol.content.ipfs import Ipfs
from protocol.content.vectors import VectorRef
from protocol.data.dataset import Dataset
from protocol.errors import (
    AdmissionRefused,
    AlreadyRunning,
    ChainError,
    ContentError,
    InvalidInput,
    JournalError,
    NodeError,
    Refused,
    SalusError,
    WrongLength,
)
from protocol.learning import zoo
from protocol.node.journal import Journal
from protocol.node.policy import Policy
from protocol.node.retention import Retained, releasable
from protocol.node.steps import Action
from protocol.node.worker import JobWorker
from protocol.proposal import differences
from protocol.record import JobRecord
from protocol.spec import JobSpec

log = logging.getLogger(__name__)

POLL_SECONDS = 0.05
LOOK_SECONDS = 1.0
BACKOFF_SECONDS = 2.0
RECONSIDER_SECONDS = 15.0
ENDED = (JobStatus.FINISHED, JobStatus.CANCELLED)


@dataclass
class NodeStatus:
    """What a node tells its operator; written to ``status.json`` in its home."""

    hospital_id: int
    pid: int
    since: float
    doing: str = "starting"
    jobs: dict[int, dict] = field(default_factory=dict)
    refused: dict[int, str] = field(default_factory=dict)


class Node:
    """One hospital's node. ``home`` holds its journal, datasets and status; nothing else of it must last."""

    def __init__(self, chain: Chain, ipfs: Ipfs, home: Path, policy: Policy) -> None:
        if chain.signer is None:
            raise NodeError(
                "A node needs its hospital's operator account.", "Give --account and its password."
            )
        hospital_id, role = Hospitals(chain).role_of(chain.signer.address)
        if role != Role.OPERATOR:
            raise NodeError(
                f"Account {chain.signer.address} is not the operator of any hospital.",
                "Use the operator account with which the hospital was admitted (`salus hospital list`).",
            )
        self.chain, self.ipfs, self.home, self.policy = chain, ipfs, home, policy
        self.hospital_id = hospital_id
        self.jobs = Jobs(chain)
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.workers: dict[int, JobWorker] = {}
        self._ended: set[int] = set()
        self._again_at: dict[int, float] = {}
        self._retained: dict[int, Retained] = {}
        self._head, self._look_again_at, self._search_at = -1, 0.0, 0.0
        self._lock = FileLock(_lock_path(chain, hospital_id), mode=0o600)
        self.status = NodeStatus(hospital_id, os.getpid(), time.time())
        self.refusals = self.status.refused

    def run(self, stop: threading.Event, *, until_idle: bool = False) -> None:
        """Works until ``stop`` is set; with ``until_idle`` until every job that it joined has ended.

        Raises AlreadyRunning when another process is this hospital's node. An unreachable chain or daemon is waited
        for, with a line in the log; a refusal by the chain or policy is logged once and the job left alone.
        """
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            raise AlreadyRunning(
                f"Another process is already the node of hospital {self.hospital_id}.",
                "Two nodes for one hospital could send two updates; stop the other one first.",
            ) from None
        try:
            # Not before: to open a journal sweeps up what a crash left half-written, and another node may be writing.
            self.journal = Journal(self.home / "journal")
            self.policy.bound_memory()
            self._say("looking for jobs")
            joined = False
            while not stop.is_set():
                busy = self._turn()
                joined = joined or bool(self.workers)
                if until_idle and joined and not self.workers:
                    return
                stop.wait(0.0 if busy else POLL_SECONDS)
        finally:
            self._say("stopped")
            self._lock.release()

    def _turn(self) -> bool:
        """One look at every job; whether any step was taken. Between blocks only time passes: then a look a second."""
        try:
            head = self.chain.head()
            if head == self._head and time.monotonic() < self._look_again_at:
                return False
            self._head, self._look_again_at = head, time.monotonic() + LOOK_SECONDS
            busy = any([self._work(worker) for worker in self._due(self.workers.values())])
            if not busy and time.monotonic() >= self._search_at:
                self._search_at = time.monotonic() + LOOK_SECONDS
                self._look_for_jobs()
            if self._retained and not self.workers:
                self._release_pins()
            return busy
        except (ChainError, ContentError) as error:
            log.warning("%s", error)
            self._say(f"waiting: {error.message}")
            self._look_again_at = time.monotonic() + BACKOFF_SECONDS
            return False

    def _due(self, workers: Iterable[JobWorker]) -> list[JobWorker]:
        return [worker for worker in workers if time.monotonic() >= self._again_at.get(worker.job_id, 0.0)]

    def _look_for_jobs(self) -> None:
        """Joins what can be joined. One job's missing spec or data holds up no other, and is tried again later."""
        for job_id in range(1, self.jobs.job_count() + 1):
            known = job_id in self.workers or job_id in self._ended
            if known or time.monotonic() < self._again_at.get(job_id, 0.0):
                continue
            job = self.jobs.job(job_id)
            try:
                if job.status in ENDED:
                    self._retain(job_id, job)
                else:
                    self._join(job_id, job)
                self.refusals.pop(job_id, None)
            except (Refused, InvalidInput, NodeError, ContentError) as error:
                self._put_off(job_id, error, RECONSIDER_SECONDS)

    def _put_off(self, job_id: int, error: SalusError, seconds: float) -> None:
        """Leaves a job alone for a while, and says why: once, not at every try."""
        self._again_at[job_id] = time.monotonic() + seconds
        if self.refusals.get(job_id) != error.message:
            self.refusals[job_id] = error.message
            log.warning("job %s: %s", job_id, error)
            self._say(f"job {job_id}: {error.message}")

    def _retain(self, job_id: int, job: Job) -> None:
        """Notes until when this hospital keeps the content of a job that has ended, and clears its journal."""
        self.journal.forget(self.chain.deployment.genesis_hash, self.chain.address("TrainingJobs"), job_id)
        self._ended.add(job_id)
        if not self.jobs.participant(job_id, self.hospital_id).exists:
            return
        spec = JobSpec.parse(self.ipfs.fetch(job.spec_digest, canonical.MAX_DOCUMENT_BYTES))
        record = JobRecord(job_id)
        record.apply(events(self.chain, "TrainingJobs", jobId=job_id))
        self._retained[job_id] = Retained(spec.retain_until, frozenset(ref.cid for ref in record.vectors()))

    def _release_pins(self) -> None:
        """Lets go of content that no job needs any longer; content of jobs under way was never noted here."""
        released = releasable(self._retained, self.chain.now())
        if not released:
            return
        for digest in released & self.ipfs.pins():
            self.ipfs.unpin(digest)
        log.info("%s pins released: their jobs' time to keep them is over", len(released))
        now = self.chain.now()
        self._retained = {job_id: kept for job_id, kept in self._retained.items() if now <= kept.until}

    def _join(self, job_id: int, job: Job) -> None:
        """Enrols in a job if policy and consents allow it, or takes up one that this hospital is already in."""
        place = self.jobs.participant(job_id, self.hospital_id)
        if not place.exists and job.status != JobStatus.ENROLLING:
            self._ended.add(job_id)
            return
        spec = JobSpec.parse(self.ipfs.fetch(job.spec_digest, canonical.MAX_DOCUMENT_BYTES))
        dataset = self._dataset_for(spec, place if place.exists else None)
        if not place.exists:
            self.policy.admit(spec, job.purpose.researcher, dataset.train_records, job_id)
            self._check_spec(spec, job_id)
            self._enrol(job_id, job, dataset)
        if spec.privacy.mechanism == "none":
            log.warning(
                "job %s: privacy: none. This hospital's updates are published unmasked on IPFS.", job_id
            )
        self.ipfs.pin(job.spec_digest)
        self.workers[job_id] = JobWorker(
            self.jobs,
            self.ipfs,
            self.journal,
            self.hospital_id,
            job_id,
            spec,
            dataset,
            self.policy.max_round_seconds,
        )

    def _check_spec(self, spec: JobSpec, job_id: int) -> None:
        """That the spec says what the chain says, and that its model can start from the base that it names."""
        proposal = self.jobs.proposal(job_id)
        base = Models(self.chain).version(proposal.model_id, proposal.base_version).state
        if differing := differences(spec, proposal, base):
            raise AdmissionRefused(
                f"The spec of job {job_id} says other things than the chain: {'; '.join(differing)}.",
                "Ask the researcher to cancel it and propose it again.",
            )
        # Before it enrols: a hospital that cannot even begin would only hold the others up.
        lanes = zoo.layout(spec.model, spec.state).lanes
        vectors.get_vector(self.ipfs, VectorRef(base.cid, base.root), lanes)

    def _dataset_for(self, spec: JobSpec, place: Participant | None) -> Dataset:
        """This hospital's dataset with the spec's schema: its newest version, or the one pinned at enrolment."""
        for manifest in sorted((self.home / "datasets").glob("*/manifest.json")):
            dataset = Dataset.open(manifest.parent)
            if dataset.dataset_id is None or dataset.schema.digest() != spec.schema_digest:
                continue
            if place is None:
                return dataset
            if dataset.dataset_id == place.dataset_id:
                return self._pinned_version(dataset, place)
        raise AdmissionRefused(
            "No registered dataset of this hospital has the schema that the job asks for.",
            "Register one with `salus dataset register`, made with the schema of the spec.",
        )

    def _pinned_version(self, dataset: Dataset, place: Participant) -> Dataset:
        """The version that the chain pinned when this hospital enrolled, however many were appended since."""
        root = Datasets(self.chain).versions(place.dataset_id)[place.dataset_version - 1].version.root
        for number in range(dataset.version, 0, -1):
            version = Dataset.open(dataset.folder, number)
            if version.root == root:
                return version
        raise NodeError(
            f"{dataset.folder} does not hold version {place.dataset_version} of dataset {place.dataset_id}.",
            "Restore the folder from a back-up: the job pinned that version when this hospital enrolled.",
        )

    def _enrol(self, job_id: int, job: Job, dataset: Dataset) -> None:
        """Enrols with the first of this hospital's consents for the dataset that allows the job."""
        version = Datasets(self.chain).version_with_root(dataset.dataset_id, dataset.root)
        consents = Consents(self.chain)
        reasons = []
        for consent_id in consents.ids_of_dataset(dataset.dataset_id):
            try:
                consents.check(consent_id, self.hospital_id, job.purpose)
            except Refused as refusal:
                reasons.append(refusal.message)
                continue
            receipt = self.jobs.enrol(job_id, consent_id, version)
            log.info("enrolled in job %s with consent %s, gas %s", job_id, consent_id, receipt.gas_used)
            return
        raise AdmissionRefused(
            f"No consent of this hospital allows job {job_id}: {' '.join(reasons) or 'none was minted.'}",
            "The hospital's admin mints one with `salus consent mint`.",
        )

    def _work(self, worker: JobWorker) -> bool:
        try:
            step = worker.tick()
        except Refused as refusal:
            # The chain moved between our look and our step; the next look finds what is to be done now.
            log.info("job %s: %s", worker.job_id, refusal)
            self._say(f"job {worker.job_id}: {refusal.message}")
            return False
        except (ContentError, WrongLength) as error:
            # Also a vector of another length than the model's: a stranger posted it, and the job's deadlines still run.
            self._put_off(worker.job_id, error, BACKOFF_SECONDS)
            return False
        except JournalError as error:
            # A full disk may be freed; nothing has left the hospital.
            self._put_off(worker.job_id, error, RECONSIDER_SECONDS)
            return False
        except (InvalidInput, NodeError) as error:
            log.error("job %s: %s", worker.job_id, error)
            self.refusals[worker.job_id] = error.message
            self._say(f"left job {worker.job_id}: {error.message}", worker)
            self._ended.add(worker.job_id)
            del self.workers[worker.job_id]
            return False
        self.refusals.pop(worker.job_id, None)
        self._say(f"job {worker.job_id}: {step.why}", worker)
        if step.action == Action.DONE:
            worker.close()
            del self.workers[worker.job_id]
        return step.action != Action.WAIT

    def _say(self, doing: str, worker: JobWorker | None = None) -> None:
        """Writes the status file, whole or not at all, when it says something new."""
        if doing == self.status.doing and worker is None:
            return
        before = json.dumps(asdict(self.status))
        self.status.doing = doing
        if worker is not None:
            self.status.jobs[worker.job_id] = asdict(worker.progress)
        text = json.dumps(asdict(self.status))
        if text != before:
            part = self.home / "status.json.part"
            part.write_text(text, encoding="utf-8")
            part.replace(self.home / "status.json")


def _lock_path(chain: Chain, hospital_id: int) -> Path:
    """One lock a hospital and chain, whatever the home: a second home of the same user does not help."""
    folder = user_state_path("salus") / "locks"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return folder / f"node-{chain.deployment.genesis_hash[2:18]}-{hospital_id}.lock"
