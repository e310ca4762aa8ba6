"""Which pins a hospital still owes: updates and states stay until ``retain_until`` of their job's spec."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Retained:
    """The content of one job: digests of its updates and states, to be kept until ``until`` (unix seconds)."""

    until: int
    digests: frozenset[bytes]


def releasable(jobs: dict[int, Retained], now: int, under_way: Iterable[bytes] = ()) -> set[bytes]:
    """Digests that no job needs any longer, ``under_way`` those of jobs that have not ended. The same vector may belong
    to several jobs; the last one decides."""
    expired: set[bytes] = set()
    needed = set(under_way)
    for job in jobs.values():
        (needed if now <= job.until else expired).update(job.digests)
    return expired - needed
