"""Merges of small vectors, and the claims that challenge them: ``IChallenges.Claim`` as Brownie takes it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import eth_abi
import numpy as np

from protocol.content import merkle

ZERO = bytes(32)
NOWHERE = (0, ZERO, (ZERO, ZERO))


class Claim(NamedTuple):
    """``IChallenges.Claim``. A chunk is its bytes and its path."""

    job_id: int
    round: int
    attempt: int
    labels: int
    chunk_index: int
    previous: tuple
    next: tuple[bytes, bytes]
    parts: list[tuple]
    before: tuple[bytes, list[bytes]]
    claimed: tuple[bytes, list[bytes]]


class Vector:
    """A vector of which every chunk can be proved. ``padding`` stands behind its last lane, where zeros belong."""

    def __init__(self, lanes: Sequence[int] | np.ndarray, padding: int = 0) -> None:
        self.lanes = np.asarray(lanes, np.int32)
        full = np.full(256 * merkle.chunk_count(len(self.lanes)), padding, "<i4")
        full[: len(self.lanes)] = self.lanes
        self._chunks = [full[start : start + 256].tobytes() for start in range(0, len(full), 256)]
        count = len(self.lanes)
        self._tree = merkle.Tree([merkle.chunk_leaf(count, i, each) for i, each in enumerate(self._chunks)])

    @property
    def named(self) -> tuple[bytes, bytes]:
        """``IModelRegistry.Vector``: here the content id is only some digest."""
        return hashlib.sha256(b"cid" + self._tree.root).digest(), self._tree.root

    def chunk(self, index: int) -> tuple[bytes, list[bytes]]:
        """A chunk and its path."""
        return self._chunks[index], self._tree.proof(index)


class LoneChunk:
    """One chunk of a vector too large to make: its siblings are any digests."""

    def __init__(self, lanes: int, index: int, chunk: np.ndarray, seed: Any = 0) -> None:
        self.lanes = chunk
        count, place = merkle.chunk_count(lanes), index
        node = merkle.chunk_leaf(lanes, index, chunk.astype("<i4").tobytes())
        path: list[bytes] = []
        while count > 1:
            if place ^ 1 < count:
                path.append(hashlib.sha256(repr((seed, len(path))).encode()).digest())
                pair = path[-1] + node if place & 1 else node + path[-1]
                node = hashlib.sha256(b"\x01" + pair).digest()
            place, count = place >> 1, (count + 1) >> 1
        self.named = hashlib.sha256(b"cid" + node).digest(), node
        self._chunk = chunk.astype("<i4").tobytes(), path

    def chunk(self, _index: int) -> tuple[bytes, list[bytes]]:
        """The chunk and its path: it is the only one."""
        return self._chunk


def digest(types: list[str], values: list[Any]) -> bytes:
    """What the contracts hash."""
    return hashlib.sha256(eth_abi.encode(types, values)).digest()


@dataclass(frozen=True)
class Merge:
    """A merge that was posted: its updates by the bits of their hospitals, in the order of the chain."""

    before: Any
    updates: dict[int, Any]
    next: Any
    round: int = 1
    job_id: int = 5
    attempt: int = 1
    labels: int = 0
    previous: tuple = field(default=NOWHERE)

    @property
    def accumulator(self) -> bytes:
        """The digest over its updates."""
        types = ["uint32", "uint16", "uint8", "uint192"]
        value = digest(types, [self.job_id, self.round, self.attempt, self.labels])
        for index, update in self.updates.items():
            value = digest(["bytes32", "uint8", "bytes32", "bytes32"], [value, index, *update.named])
        return value

    @property
    def digest(self) -> bytes:
        """What it is named by on the chain."""
        return merge_digest(self.job_id, self.round, self.attempt, self.accumulator, self.next.named)

    @property
    def previous_digest(self) -> bytes:
        """What the merge before is named by."""
        attempt, accumulator, state = self.previous
        return merge_digest(self.job_id, self.round - 1, attempt, accumulator, state)

    def claim(self, chunk: int = 0) -> Claim:
        """The claim that challenges it in a chunk."""
        parts = [(index, each.named, each.chunk(chunk)) for index, each in self.updates.items()]
        return Claim(
            self.job_id,
            self.round,
            self.attempt,
            self.labels,
            chunk,
            self.previous,
            self.next.named,
            parts,
            self.before.chunk(chunk),
            self.next.chunk(chunk),
        )

    def but(self, **changes: Any) -> Merge:
        """The same with what the caller changes."""
        return replace(self, **changes)


def merge_digest(job_id: int, round_: int, attempt: int, accumulator: bytes, state: tuple) -> bytes:
    """``Digests.merge``."""
    types = ["uint32", "uint16", "uint8", "bytes32", "bytes32", "bytes32"]
    return digest(types, [job_id, round_, attempt, accumulator, *state])
