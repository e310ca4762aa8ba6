"""Which pins a hospital still owes: updates and states stay until ``retain_until`` of their job's spec."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Retained:
    """The content of one job: digests of its updates and states, to be kept until ``until`` (unix seconds)."""

    until: int
    digests: frozenset[bytes]


def releasable(jobs: dict[int, Retained], now: int) -> set[bytes]:
    """Digests that no job needs any longer. The same vector may belong to several jobs; the last one decides."""
    expired: set[bytes] = set()
    needed: set[bytes] = set()
    for job in jobs.values():
        (needed if now <= job.until else expired).update(job.digests)
    return expired - needed
