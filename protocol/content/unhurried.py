"""Fetching and pinning that keep nobody waiting: what does not come soon goes on in a thread of its own.

A node has deadlines to keep while content is on its way, and anybody may post digests of bytes that nobody serves.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, wait
from typing import Any

from protocol.content.cid import to_cid
from protocol.content.ipfs import Ipfs
from protocol.errors import ContentError, StillComing

#: For how long a caller waits, once, for a fetch or a pin.
WAIT_SECONDS = 2.0
#: How many go on at once. Each may hold a whole vector.
AT_ONCE = 4
#: A failure older than this says nothing of now.
STALE_SECONDS = 10.0
#: An answer that nobody came for makes room after this.
UNCLAIMED_SECONDS = 60.0


class _Answer(Future[Any]):
    """What a thread brings, and when it did."""

    until, ended = 0.0, 0.0

    def older_than(self, seconds: float) -> bool:
        return self.done() and time.monotonic() - self.ended > seconds


class Unhurried:
    """`fetch` and `pin` of a daemon, asked again until they have an answer. For one thread.

    Both raise StillComing while there is none, and else what those of `Ipfs` do.
    """

    def __init__(self, ipfs: Ipfs) -> None:
        self._ipfs = ipfs
        self._asked: dict[tuple[object, ...], _Answer] = {}

    def fetch(self, digest: bytes, max_bytes: int | None = None) -> bytes:
        """As `Ipfs.fetch`."""
        return self._ask(("fetch", digest, max_bytes), digest, lambda: self._ipfs.fetch(digest, max_bytes))

    def pin(self, digest: bytes) -> None:
        """As `Ipfs.pin`."""
        self._ask(("pin", digest), digest, lambda: self._ipfs.pin(digest))

    def _ask(self, key: tuple[object, ...], digest: bytes, work: Callable[[], Any]) -> Any:
        old = self._asked.get(key)
        if old is not None and old.older_than(STALE_SECONDS) and old.exception():
            del self._asked[key]
        if key not in self._asked:
            self._make_room(digest)
            self._asked[key] = _in_thread(work)
        answer = self._asked[key]
        wait([answer], max(0.0, answer.until - time.monotonic()))
        if not answer.done():
            raise StillComing(f"{to_cid(digest)} is still being fetched.", "The node asks again by itself.")
        del self._asked[key]
        return answer.result()

    def _make_room(self, digest: bytes) -> None:
        for key in [each for each, answer in self._asked.items() if answer.older_than(UNCLAIMED_SECONDS)]:
            del self._asked[key]
        if len(self._asked) >= AT_ONCE:
            raise StillComing(
                f"{to_cid(digest)} waits until one of {AT_ONCE} others is fetched.",
                "The node asks again by itself.",
            )


def _in_thread(work: Callable[[], Any]) -> _Answer:
    """Runs work in a thread that ends with the process at the latest."""
    answer = _Answer()
    answer.until = time.monotonic() + WAIT_SECONDS

    def run() -> None:
        try:
            result, failure = work(), None
        except BaseException as error:  # noqa: BLE001 - raised to whoever asks
            result, failure = None, error
        answer.ended = time.monotonic()
        if failure is None:
            answer.set_result(result)
        else:
            answer.set_exception(failure)

    try:
        threading.Thread(target=run, daemon=True).start()
    except RuntimeError as error:
        raise ContentError(
            f"No thread can be started: {error}.", "Give the node more memory; it tries again by itself."
        ) from error
    return answer
