"""Merkle trees over SHA-256, as the contracts check them.

    leaf  = sha256(0x00 || …)                what a leaf binds is its owner's: see `chunk_leaf` and `data.dataset`
    node  = sha256(0x01 || left || right)    an odd node moves up unchanged

The two tags keep a node from passing for a leaf; leaves bind their index and count, so that the shape of the tree is
bound as well. A proof lists the siblings from leaf to root; a level at which the node moves up alone adds none.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

from protocol.errors import InvalidInput

CHUNK_LANES = 256
CHUNK_BYTES = 4 * CHUNK_LANES
LEAF_TAG = b"\x00"
NODE_TAG = b"\x01"

_LEAF_HEAD = 9  # tag, lanes, index
_BATCH = 256  # chunks hashed from one buffer: 258 KiB, which stays in cache


class Tree:
    """A Merkle tree over leaf hashes (32 bytes each, at least one)."""

    def __init__(self, leaves: Sequence[bytes]) -> None:
        if not leaves:
            raise InvalidInput("A Merkle tree needs at least one leaf.")
        self._levels = [list(leaves)]
        while len(self._levels[-1]) > 1:
            self._levels.append(_level_above(self._levels[-1]))

    @property
    def root(self) -> bytes:
        return self._levels[-1][0]

    def proof(self, index: int) -> list[bytes]:
        """Siblings of leaf `index`, from the leaves up. Raises `InvalidInput` when there is no such leaf."""
        if not 0 <= index < len(self._levels[0]):
            raise InvalidInput(f"There is no leaf {index}: the tree has {len(self._levels[0])}.")
        siblings = []
        for level in self._levels[:-1]:
            if index ^ 1 < len(level):
                siblings.append(level[index ^ 1])
            index >>= 1
        return siblings


def root(leaves: Sequence[bytes]) -> bytes:
    """The Merkle root of leaf hashes, without keeping the tree."""
    if not leaves:
        raise InvalidInput("A Merkle tree needs at least one leaf.")
    level = leaves
    while len(level) > 1:
        level = _level_above(level)
    return level[0]


def verify(expected_root: bytes, leaf: bytes, index: int, count: int, proof: Sequence[bytes]) -> bool:
    """Whether `leaf` is number `index` of `count` leaves under `expected_root`."""
    if not 0 <= index < count:
        return False
    node, siblings = leaf, iter(proof)
    while count > 1:
        if index ^ 1 < count:
            sibling = next(siblings, None)
            if sibling is None or len(sibling) != 32:
                return False
            node = _node(sibling, node) if index & 1 else _node(node, sibling)
        index, count = index >> 1, (count + 1) >> 1
    return next(siblings, None) is None and node == expected_root


def chunk_count(lanes: int) -> int:
    """How many chunks a vector of `lanes` numbers has."""
    return (lanes + CHUNK_LANES - 1) // CHUNK_LANES


def chunk_leaf(lanes: int, index: int, chunk: bytes) -> bytes:
    """The leaf of chunk `index` (1,024 bytes, zero-padded) of a vector of `lanes` numbers."""
    return hashlib.sha256(LEAF_TAG + lanes.to_bytes(4, "big") + index.to_bytes(4, "big") + chunk).digest()


def chunk_bytes(vector: np.ndarray, index: int) -> bytes:
    """Chunk `index` of a vector: 256 little-endian int32, the last chunk zero-padded."""
    piece = _lanes(vector)[index * CHUNK_LANES : (index + 1) * CHUNK_LANES].tobytes()
    return piece.ljust(CHUNK_BYTES, b"\x00")


def chunk_root(vector: np.ndarray) -> bytes:
    """The chunk root (32 bytes) of an int32 vector of at least one lane."""
    return root(_chunk_leaves(vector))


def chunk_proof(vector: np.ndarray, index: int) -> list[bytes]:
    """The siblings that prove chunk `index` of an int32 vector."""
    return Tree(_chunk_leaves(vector)).proof(index)


def verify_chunk(expected_root: bytes, lanes: int, index: int, chunk: bytes, proof: Sequence[bytes]) -> bool:
    """Whether `chunk` (1,024 bytes) is number `index` of the vector of `lanes` numbers under `expected_root`."""
    if len(chunk) != CHUNK_BYTES or not 0 <= index < chunk_count(lanes):
        return False
    return verify(expected_root, chunk_leaf(lanes, index, chunk), index, chunk_count(lanes), proof)


def _chunk_leaves(vector: np.ndarray) -> list[bytes]:
    # Heads and chunks are laid side by side, a batch at a time, because a call of hashlib for each head and another
    # for each chunk would take as long again as the hashing.
    raw = _lanes(vector).view(np.uint8)
    lanes, chunks = len(vector), chunk_count(len(vector))
    width = _LEAF_HEAD + CHUNK_BYTES
    batch = np.zeros((min(_BATCH, chunks), width), np.uint8)
    batch[:, 1:5] = np.frombuffer(lanes.to_bytes(4, "big"), np.uint8)
    view = memoryview(batch.reshape(-1))
    rows = [view[start : start + width] for start in range(0, len(view), width)]
    leaves: list[bytes] = []
    for start in range(0, chunks, _BATCH):
        end = min(start + _BATCH, chunks)
        batch[: end - start, 5:9] = np.arange(start, end, dtype=">u4").view(np.uint8).reshape(-1, 4)
        piece = raw[start * CHUNK_BYTES : end * CHUNK_BYTES]
        if len(piece) < (end - start) * CHUNK_BYTES:
            piece = np.pad(piece, (0, (end - start) * CHUNK_BYTES - len(piece)))
        batch[: end - start, _LEAF_HEAD:] = piece.reshape(-1, CHUNK_BYTES)
        leaves += [hashlib.sha256(row).digest() for row in rows[: end - start]]
    return leaves


def _lanes(vector: np.ndarray) -> np.ndarray:
    if vector.dtype.kind != "i" or vector.dtype.itemsize != 4 or vector.ndim != 1 or not vector.size:
        raise InvalidInput("A vector is a non-empty, one-dimensional array of int32.")
    return np.ascontiguousarray(vector, dtype="<i4")


def _level_above(level: Sequence[bytes]) -> list[bytes]:
    pairs = iter(level)
    above = [_node(left, right) for left, right in zip(pairs, pairs, strict=False)]
    if len(level) & 1:
        above.append(level[-1])
    return above


def _node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(NODE_TAG + left + right).digest()
