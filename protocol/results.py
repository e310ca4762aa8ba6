"""What became of jobs, read from chain and IPFS: specs, records, what hospitals report."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from protocol.chain.bonds import Bond, Bonds
from protocol.chain.client import Chain
from protocol.chain.events import Event, events
from protocol.chain.jobs import Job, Jobs
from protocol.content import canonical
from protocol.content.ipfs import Ipfs
from protocol.errors import ContentError, InvalidInput
from protocol.record import JobRecord, Report
from protocol.spec import JobSpec

POLL_SECONDS = 0.5


@dataclass(frozen=True)
class Reported:
    """What one hospital reports of a job's final state. ``metrics`` is its document; empty when it cannot be had or
    read, and ``problem`` says why."""

    hospital_id: int
    correct: int
    total: int
    metrics: dict[str, Any]
    problem: str = ""

    @property
    def accuracy(self) -> float:
        return self.correct / self.total if self.total else 0.0


@dataclass(frozen=True)
class JobOverview:
    """A job as it stands. ``spec`` is None when it cannot be had, and ``problem`` says why. ``bonds``: by hospital."""

    job_id: int
    job: Job
    record: JobRecord
    spec: JobSpec | None
    problem: str = ""
    reports: list[Reported] = field(default_factory=list)
    bonds: dict[int, Bond] = field(default_factory=dict)


def job_spec(chain: Chain, ipfs: Ipfs, job_id: int) -> JobSpec:
    """The spec that a job names. Raises Refused for an unknown job, ContentError when the spec cannot be had."""
    return JobSpec.parse(ipfs.fetch(Jobs(chain).job(job_id).spec_digest, canonical.MAX_DOCUMENT_BYTES))


def job_record(chain: Chain, job_id: int) -> JobRecord:
    """A job's history, challenges included. Raises Refused for an unknown job."""
    Jobs(chain).job(job_id)
    record = JobRecord(job_id)
    found = [
        *events(chain, "TrainingJobs", jobId=job_id),
        *events(chain, "Challenges", jobs=chain.address("TrainingJobs"), jobId=job_id),
    ]
    record.apply(sorted(found, key=lambda event: event.place))
    return record


def job_overview(chain: Chain, ipfs: Ipfs, job_id: int) -> JobOverview:
    """A job with its history and what was reported. Raises Refused for an unknown job."""
    job = Jobs(chain).job(job_id)
    record = job_record(chain, job_id)
    spec, problem = _spec_or_problem(ipfs, job)
    bonds = Bonds(chain)
    locked = {each: bonds.bond_of(job_id, each) for each in record.hospital_ids}
    return JobOverview(job_id, job, record, spec, problem, reported(ipfs, record), locked)


def job_summaries(chain: Chain, ipfs: Ipfs) -> list[JobOverview]:
    """Every job, the newest first, without what was reported."""
    jobs = Jobs(chain)
    found = []
    for job_id in range(jobs.job_count(), 0, -1):
        job = jobs.job(job_id)
        spec, problem = _spec_or_problem(ipfs, job)
        record = JobRecord(job_id)
        record.apply(events(chain, "TrainingJobs", ["JobProposed"], jobId=job_id))
        found.append(JobOverview(job_id, job, record, spec, problem))
    return found


def reported(ipfs: Ipfs, record: JobRecord) -> list[Reported]:
    """What each hospital reports, the worst accuracy first."""
    return sorted((_reported(ipfs, each) for each in record.reports.values()), key=lambda each: each.accuracy)


def follow(
    chain: Chain, job_id: int, timeout_seconds: float | None
) -> Iterator[tuple[JobRecord, list[Event]]]:
    """A job's record and the events that are new in it, each time there are some, until it ends or time is over."""
    started = time.monotonic()
    record, read_to = JobRecord(job_id), None
    while record.ended is None and (timeout_seconds is None or time.monotonic() - started < timeout_seconds):
        head = chain.head()
        if head != read_to:
            start = chain.deployment.block if read_to is None else read_to + 1
            news = list(events(chain, "TrainingJobs", from_block=start, to_block=head, jobId=job_id))
            record.apply(news)
            read_to = head
            yield record, news
        if record.ended is None:
            time.sleep(POLL_SECONDS)


def _spec_or_problem(ipfs: Ipfs, job: Job) -> tuple[JobSpec | None, str]:
    try:
        return JobSpec.parse(ipfs.fetch(job.spec_digest, canonical.MAX_DOCUMENT_BYTES)), ""
    except (ContentError, InvalidInput) as error:
        return None, error.message


def _reported(ipfs: Ipfs, report: Report) -> Reported:
    try:
        document = canonical.loads(ipfs.fetch(report.metrics, canonical.MAX_DOCUMENT_BYTES))
        if not isinstance(document, dict):
            raise InvalidInput("The metrics document is not a JSON object.")
    except (ContentError, InvalidInput) as error:
        return Reported(report.hospital_id, report.correct, report.total, {}, error.message)
    return Reported(report.hospital_id, report.correct, report.total, document)
