"""An IPFS daemon in memory, that can lie and be down."""

from __future__ import annotations

from protocol.content.cid import digest_of
from protocol.errors import ContentUnavailable, DigestMismatch, IpfsUnreachable


class Daemon:
    """What an IPFS daemon holds; ``lies``: it serves other bytes; ``down``: it does not answer."""

    def __init__(self) -> None:
        self.held: dict[bytes, bytes] = {}
        self.pinned: set[bytes] = set()
        self.lies = self.down = False

    def add(self, data: bytes) -> bytes:
        digest = digest_of(data)
        self.held[digest] = data
        self.pinned.add(digest)
        return digest

    def fetch(self, digest: bytes, _max_bytes: int | None = None) -> bytes:
        if self.down:
            raise IpfsUnreachable("no daemon")
        if digest not in self.held:
            raise ContentUnavailable("nobody serves it")
        if self.lies:
            raise DigestMismatch("other bytes")
        return self.held[digest]

    def pin(self, digest: bytes) -> None:
        if digest not in self.held:
            raise ContentUnavailable("not there")
        self.pinned.add(digest)

    def is_pinned(self, digest: bytes) -> bool:
        return digest in self.pinned

    def pins(self) -> set[bytes]:
        return set(self.pinned)
