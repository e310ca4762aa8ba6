"""An IPFS daemon in memory, that can lie and be down."""

from __future__ import annotations

import threading

from protocol.content.cid import digest_of
from protocol.errors import ContentUnavailable, DigestMismatch, IpfsUnreachable


class Daemon:
    """What an IPFS daemon holds; ``lies``: it serves other bytes; ``down``: it does not answer; ``searched``: digests
    that it looks for among its peers until `found` says how that ended."""

    def __init__(self) -> None:
        self.held: dict[bytes, bytes] = {}
        self.pinned: set[bytes] = set()
        self.lies = self.down = False
        self.searched: dict[bytes, threading.Event] = {}

    def add(self, data: bytes) -> bytes:
        digest = digest_of(data)
        self.held[digest] = data
        self.pinned.add(digest)
        return digest

    def fetch(self, digest: bytes, _max_bytes: int | None = None) -> bytes:
        if self.down:
            raise IpfsUnreachable("no daemon")
        self._search(digest)
        if digest not in self.held:
            raise ContentUnavailable("nobody serves it")
        if self.lies:
            raise DigestMismatch("other bytes")
        return self.held[digest]

    def pin(self, digest: bytes) -> None:
        self._search(digest)
        if digest not in self.held:
            raise ContentUnavailable("not there")
        self.pinned.add(digest)

    def search(self, digest: bytes) -> None:
        """From now on it looks for this among its peers."""
        self.searched[digest] = threading.Event()

    def found(self, digest: bytes) -> None:
        """The search is over: the bytes are there if it holds them."""
        self.searched.pop(digest).set()

    def _search(self, digest: bytes) -> None:
        if digest in self.searched:
            assert self.searched[digest].wait(60)

    def is_pinned(self, digest: bytes) -> bool:
        return digest in self.pinned

    def pins(self) -> set[bytes]:
        return set(self.pinned)
