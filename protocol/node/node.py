"""The hospital's daemon: finds jobs that its policy and consents allow, enrols, and works on them until they end.

It opens no port and needs outbound connections only: to a chain node and an IPFS daemon. After a crash at any point it
is simply started again: it reads chain and IPFS and goes on.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import threading
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout
from platformdirs import user_state_path

from protocol.chain.accounts import Signer
from protocol.chain.client import Chain
from protocol.chain.enums import JobStatus, Role
from protocol.chain.events import events
from protocol.chain.hospitals import Hospitals
from protocol.chain.jobs import Job, Jobs
from protocol.content import canonical
from protocol.content.cid import to_cid
from protocol.content.ipfs import Ipfs
from protocol.content.spool import Spool
from protocol.content.unhurried import Unhurried
from protocol.errors import (
    AlreadyRunning,
    ChainError,
    ChainUnreachable,
    ContentError,
    ContentUnavailable,
    InsufficientFunds,
    InvalidInput,
    LearningError,
    NodeError,
    Refused,
    SalusError,
    StillComing,
    VaultError,
    WrongChain,
)
from protocol.learning import zoo
from protocol.node.content import JobContent, made_here
from protocol.node.job_keys import JobKeys
from protocol.node.joining import SPOOL, Joining
from protocol.node.journal import Journal
from protocol.node.places import JobPlace
from protocol.node.policy import Policy
from protocol.node.retention import Retained, releasable
from protocol.node.steps import Action
from protocol.node.watch import ChainWatch
from protocol.node.worker import JobWorker
from protocol.record import JobRecord
from protocol.spec import JobSpec

if TYPE_CHECKING:
    from protocol.vault.store import Vault

log = logging.getLogger(__name__)

POLL_SECONDS = 0.05
LOOK_SECONDS = 1.0
BACKOFF_SECONDS = 2.0
RECONSIDER_SECONDS = 15.0
LONGEST_SECONDS = 240.0
# A spec is one block: who serves it answers soon.
SPEC_SECONDS = 5.0
SEARCH_SECONDS = 1.0
# Tries at content that nobody serves once its job has ended, each after twice as long as the one before.
KEEP_TRIES = 8
JOURNAL = "journal"
ENDED = (JobStatus.FINISHED, JobStatus.CANCELLED)


@dataclass
class NodeStatus:
    """What a node tells its operator; written to ``status.json`` in its home. ``chain``: the last reorganisation that
    took back blocks which the node had read."""

    hospital_id: int
    pid: int
    since: float
    doing: str = "starting"
    chain: str = ""
    jobs: dict[int, dict] = field(default_factory=dict)
    refused: dict[int, str] = field(default_factory=dict)


class Node:
    """One hospital's node. ``home`` holds its journal with the mask keys, its datasets and status; nothing else of it
    must last. ``vault``: opened; without it the node trains on no images."""

    def __init__(
        self, chain: Chain, ipfs: Ipfs, home: Path, policy: Policy, vault: Vault | None = None
    ) -> None:
        if not isinstance(chain.signer, Signer):
            raise NodeError(
                "A node needs its hospital's operator account.", "Give --account and its password."
            )
        hospital_id, role = Hospitals(chain).role_of(chain.signer.address)
        if role != Role.OPERATOR:
            raise NodeError(
                f"Account {chain.signer.address} is not the operator of any hospital.",
                "Use the operator account with which the hospital was admitted (`salus hospital list`).",
            )
        self.chain, self.ipfs, self.home, self.policy, self.vault = chain, ipfs, home, policy, vault
        self.hospital_id = hospital_id
        self.jobs = Jobs(chain)
        self.watch = ChainWatch(chain)
        # Apart, so that what strangers propose never stands before jobs that this hospital is in.
        specs = Ipfs(ipfs.api, SPEC_SECONDS)
        self._specs, self._new_specs = Unhurried(specs), Unhurried(specs)
        self.keys = JobKeys(home / JOURNAL, chain.signer)
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.workers: dict[int, JobWorker] = {}
        self._ended: set[int] = set()
        # Jobs that were joined, and of which the mask key is still here.
        self._holding_keys: set[int] = set()
        self._reorganisations = 0
        self._again_at: dict[int, float] = {}
        self._tries: Counter[int] = Counter()
        self._searched = 0
        self._retained: dict[int, Retained] = {}
        self._keeping: dict[int, JobContent] = {}
        self._head, self._look_again_at, self._search_at, self._rest_until = -1, 0.0, 0.0, 0.0
        self._lock = FileLock(_lock_path(chain, hospital_id), mode=0o600)
        self.status = NodeStatus(hospital_id, os.getpid(), time.time())
        self.refusals = self.status.refused
        # For whoever watches: see `metrics`.
        self.turned_at, self.trouble = time.time(), ""
        self.steps: Counter[str] = Counter()

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
            self.journal = Journal(self.home / JOURNAL)
            self.joining = Joining(
                self.jobs,
                self.ipfs,
                self.home,
                self.policy,
                self.hospital_id,
                self.journal,
                self.keys,
                self.vault,
            )
            self.policy.bound_memory()
            self._say("looking for jobs")
            joined = False
            while not stop.is_set():
                busy = self._turn()
                joined = joined or bool(self.workers)
                if until_idle and joined and not (self.workers or self._holding_keys or self._pinning):
                    return
                stop.wait(0.0 if busy else POLL_SECONDS)
        finally:
            self._say("stopped")
            self._lock.release()

    @property
    def _pinning(self) -> bool:
        """Whether there is a job that has ended, of which not all that is owed was tried once."""
        return any(not self._tries[job_id] for job_id in self._keeping)

    def _turn(self) -> bool:
        """One look at every job; whether any step was taken. Between blocks only time passes: then a look a second."""
        if time.monotonic() < self._rest_until:
            return False
        try:
            head = self.chain.head()
            if head == self._head and time.monotonic() < self._look_again_at:
                return False
            self._head, self._look_again_at = head, time.monotonic() + LOOK_SECONDS
            self._notice_reorganisations()
            busy = any([self._work(worker) for worker in self._due(self.workers.values())])
            if not busy and time.monotonic() >= self._search_at:
                self._search_at = time.monotonic() + LOOK_SECONDS
                self._look_for_jobs()
                if self._retained:
                    self._release_pins()
            self.turned_at, self.trouble = time.time(), ""
            return busy
        except (ChainError, ContentError) as error:
            if error.message != self.trouble:
                log.warning("%s", error)
            self.turned_at, self.trouble = time.time(), error.message
            self._say(f"waiting: {error.message}")
            self._head, self._rest_until = -1, time.monotonic() + BACKOFF_SECONDS
            return False

    def _notice_reorganisations(self) -> None:
        """After one that took back what was read, no job is what it seemed: all are looked at again."""
        self.watch.head()
        if len(self.watch.reorganisations) > self._reorganisations:
            self._reorganisations = len(self.watch.reorganisations)
            self.status.chain = str(self.watch.reorganisations[-1])
            self._ended.clear()
            self._again_at.clear()
            self._tries.clear()
            self._keeping.clear()
            self._say(self.status.chain)

    def _due(self, workers: Iterable[JobWorker]) -> list[JobWorker]:
        return [worker for worker in workers if time.monotonic() >= self._again_at.get(worker.job_id, 0.0)]

    def _look_for_jobs(self) -> None:
        """Joins what can be joined. One job's missing spec or data holds up no other, and is tried again later,
        content each time after twice as long. Anybody may propose: a look goes on where the last one ended, and
        takes no longer than it must, so that strangers' jobs keep this hospital from none of its own."""
        count, began = self.jobs.job_count(), time.monotonic()
        for _ in range(count):
            job_id = self._searched % count + 1
            self._searched = job_id
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
                self._tries.pop(job_id, None)
            except StillComing as error:
                self._put_off(job_id, error, BACKOFF_SECONDS)
            except ContentError as error:
                self._tries[job_id] += 1
                self._put_off(
                    job_id, error, min(RECONSIDER_SECONDS * 2 ** (self._tries[job_id] - 1), LONGEST_SECONDS)
                )
            except (Refused, InvalidInput, NodeError, VaultError) as error:
                self._put_off(job_id, error, RECONSIDER_SECONDS)
            if time.monotonic() - began > SEARCH_SECONDS:
                return

    def _put_off(self, job_id: int, error: SalusError, seconds: float) -> None:
        """Leaves a job alone for a while, and says why: once, not at every try; what is still coming is no reason."""
        self._again_at[job_id] = time.monotonic() + seconds
        if isinstance(error, StillComing):
            self._say(f"job {job_id}: {error.message}")
            return
        if self.refusals.get(job_id) != error.message:
            self.refusals[job_id] = error.message
            log.warning("job %s: %s", job_id, error)
            self._say(f"job {job_id}: {error.message}")

    def _retain(self, job_id: int, job: Job) -> None:
        """Forgets what must not outlive a job that has ended (its mask key first), pins what this hospital still owes
        of it, and notes until when. While its end is not confirmed, nothing is forgotten. Raises ContentError when
        content cannot be had or kept now."""
        place = JobPlace.on(self.chain, job_id)
        spool = place.folder(self.home / SPOOL)
        took_part = self.jobs.participant(job_id, self.hospital_id).exists
        if took_part or place.folder(self.home / JOURNAL).exists():
            record = JobRecord(job_id)
            record.apply(events(self.chain, "TrainingJobs", jobId=job_id))
            if record.ended is None:
                return
            self.journal.forget(place)
            self._holding_keys.discard(job_id)
        if took_part:
            spec = JobSpec.parse(self._specs.fetch(job.spec_digest, canonical.MAX_DOCUMENT_BYTES))
            digests = frozenset(ref.cid for ref in record.vectors())
            for digest in made_here(spool) - digests:
                self.ipfs.unpin(digest)
            self._retained[job_id] = Retained(spec.retain_until, digests)
            if self.chain.now() <= spec.retain_until:
                if job_id not in self._keeping:
                    lanes = zoo.layout(spec.model, spec.state).lanes
                    self._keeping[job_id] = JobContent(self.ipfs, Spool(spool), lanes, job_id)
                missing = self._keeping[job_id].pin_all(record.vectors())
                if missing and self._tries[job_id] < KEEP_TRIES:
                    raise ContentUnavailable(
                        f"{len(missing)} vectors that this hospital is to keep cannot be had, "
                        f"{to_cid(missing[0].cid)} the first: nobody serves them.",
                        "The node tries again by itself.",
                    )
        self._keeping.pop(job_id, None)
        shutil.rmtree(spool, ignore_errors=True)
        self._ended.add(job_id)

    def _release_pins(self) -> None:
        """Lets go of content that no job needs any longer."""
        under_way = {ref.cid for worker in self.workers.values() for ref in worker.record.vectors()}
        released = releasable(self._retained, self.chain.now(), under_way)
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
            self._holding_keys.discard(job_id)
            return
        if not place.exists and len(self.workers) >= self.policy.max_jobs:
            raise NodeError(
                f"This hospital is in {len(self.workers)} jobs, and its policy allows no more at once.",
                "It enrols when one has ended; `max_jobs` says how many.",
            )
        specs = self._specs if place.exists else self._new_specs
        spec = JobSpec.parse(specs.fetch(job.spec_digest, canonical.MAX_DOCUMENT_BYTES))
        if not spec.masked:
            log.warning(
                "job %s: privacy: none. This hospital's updates are published unmasked on IPFS.", job_id
            )
        worker = self.joining.join(self.watch, job_id, job, spec, place if place.exists else None)
        self.ipfs.pin(job.spec_digest)
        self.workers[job_id] = worker
        self._holding_keys.add(job_id)

    def _work(self, worker: JobWorker) -> bool:
        try:
            step = worker.tick()
        except Refused as refusal:
            # The chain moved between our look and our step; the next look finds what is to be done now.
            log.info("job %s: %s", worker.job_id, refusal)
            self._say(f"job {worker.job_id}: {refusal.message}")
            return False
        except (ChainUnreachable, WrongChain, InsufficientFunds):
            raise
        except (ChainError, ContentError, LearningError) as error:
            # Also a vector of another length than the model's: a stranger posted it, and the job's deadlines still run.
            self._put_off(worker.job_id, error, BACKOFF_SECONDS)
            return False
        except (InvalidInput, NodeError, VaultError) as error:
            # A full disk may be freed; nothing has left the hospital, and its bond is still in the job.
            self._put_off(worker.job_id, error, RECONSIDER_SECONDS)
            return False
        self.refusals.pop(worker.job_id, None)
        self._say(f"job {worker.job_id}: {step.why}", worker)
        if step.action == Action.DONE or step.action == Action.ENROL:
            del self.workers[worker.job_id]
            self._search_at = 0.0
        if step.action != Action.WAIT:
            self.steps[step.action.value] += 1
        return step.action not in (Action.WAIT, Action.ENROL)

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
            try:
                # It tells this hospital's own loss and accuracy: for its operator's eyes.
                part.touch(mode=0o600)
                part.write_text(text, encoding="utf-8")
                part.replace(self.home / "status.json")
            except OSError as error:
                log.warning("%s cannot be written: %s", self.home / "status.json", error.strerror)


def _lock_path(chain: Chain, hospital_id: int) -> Path:
    """One lock a hospital and chain, whatever the home: a second home of the same user does not help."""
    folder = user_state_path("salus") / "locks"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return folder / f"node-{chain.deployment.genesis_hash[2:18]}-{hospital_id}.lock"
