"""When to try again what has failed: each time after twice as long, so that what is lost for good holds nothing up."""

from __future__ import annotations

import time

FIRST_SECONDS = 30.0
LONGEST_SECONDS = 3_600.0


class Patience:
    """By key, such as a digest: whether another try is due."""

    def __init__(self) -> None:
        self._waits: dict[bytes, tuple[float, float]] = {}

    def may_try(self, key: bytes) -> bool:
        """Whether nothing failed yet, or long enough ago."""
        return time.monotonic() >= self._waits.get(key, (0.0, 0.0))[0]

    def failed(self, key: bytes) -> None:
        """Waits, the first time ``FIRST_SECONDS``."""
        seconds = min(2 * self._waits[key][1], LONGEST_SECONDS) if key in self._waits else FIRST_SECONDS
        self._waits[key] = (time.monotonic() + seconds, seconds)

    def succeeded(self, key: bytes) -> None:
        """The next failure is the first again."""
        self._waits.pop(key, None)
