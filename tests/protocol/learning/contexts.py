"""Contexts and job keys for tests."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from hashlib import sha256
from typing import Any

from protocol.learning.context import RoundContext
from protocol.learning.masks import JobKey


def job_key(hospital_id: int) -> JobKey:
    """The key that the test vectors give this hospital."""
    return JobKey.from_bytes(sha256(f"mask key {hospital_id}".encode()).digest())


def context(hospitals: tuple[int, ...] = (4, 9, 17), lanes: int = 40, **changes: Any) -> RoundContext:
    """A masked round of these hospitals, or the same with something changed."""
    shares = [Fraction(each, sum(hospitals)) for each in hospitals]
    made = RoundContext(
        chain_id=1337,
        genesis="0x" + sha256(b"genesis").hexdigest(),
        contract="0x" + sha256(b"contract").hexdigest()[:40],
        job_id=7,
        spec=sha256(b"spec").digest(),
        round=3,
        attempt=1,
        base=sha256(b"base").digest(),
        hospitals=hospitals,
        weights=tuple((share.numerator, share.denominator) for share in shares),
        mask_keys=tuple(job_key(each).public for each in hospitals),
        lanes=lanes,
    )
    return replace(made, **changes)
