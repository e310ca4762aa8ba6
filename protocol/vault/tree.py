"""A Merkle tree on the disk that grows: of the shape of `content.merkle`, without reading it all for each new leaf.

    00, 01, …    level files: the nodes (32 bytes each) of whole subtrees of 2^level leaves, from the left

A whole subtree stays as it is while leaves are appended after it; what a count of leaves has at its right edge beyond
whole subtrees is put together from them when it is asked for. So every count up to the latest has its root and proofs,
and whoever uses the tree says which count is meant: nodes beyond it are as good as none, as after a crash.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from protocol.content import merkle
from protocol.errors import InvalidInput, VaultError
from protocol.vault import disk

HASH_BYTES = 32


class GrowingTree:
    """The tree in a folder, which is made when it is first appended to. The count of leaves is the caller's to keep."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def append(self, count: int, leaves: Sequence[bytes]) -> None:
        """Puts leaves (32 bytes each) after the first `count`; whatever was there is overwritten. They are on the disk
        when this returns; until then `count` leaves are as they were, and it can be done again. O(leaves + log count).
        Raises VaultError."""
        if count < 0 or any(len(leaf) != HASH_BYTES for leaf in leaves):
            raise InvalidInput(f"Leaves have {HASH_BYTES} bytes each.")
        with disk.writing(str(self.folder)):
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            level, first, nodes = 0, count, list(leaves)
            while nodes:
                self._write(level, first, nodes)
                if first & 1:
                    nodes.insert(0, self._stored(level, first - 1))
                pairs = iter(nodes)
                nodes = [merkle.root((left, right)) for left, right in zip(pairs, pairs, strict=False)]
                level, first = level + 1, first >> 1
            disk.sync(self.folder)

    def replace(self, count: int, index: int, leaf: bytes) -> None:
        """Puts another leaf in the place of one of `count`, the latest. O(log count). After a crash half-way the root
        is neither the old nor the new one: done again, it is the new one. Raises InvalidInput, VaultError."""
        _check(count, index)
        if len(leaf) != HASH_BYTES:
            raise InvalidInput(f"A leaf has {HASH_BYTES} bytes, not {len(leaf)}.")
        with disk.writing(str(self.folder)):
            level, place, changed = 0, index, leaf
            while place < count >> level:
                self._write(level, place, [changed])
                if (place | 1) >= count >> level:
                    return
                sibling = self._stored(level, place ^ 1)
                changed = merkle.root((sibling, changed) if place & 1 else (changed, sibling))
                level, place = level + 1, place >> 1

    def leaf(self, index: int) -> bytes:
        """The leaf of a number. Raises VaultError when there is none."""
        return self._stored(0, index)

    def root(self, count: int) -> bytes:
        """The root (32 bytes) of the first `count` leaves. Raises InvalidInput for none, and VaultError when there are
        fewer."""
        _check(count, 0)
        return self._edge(count)[-1]

    def proof(self, count: int, index: int) -> list[bytes]:
        """The siblings of leaf `index` of `count`, from the leaves up, as `merkle.verify` takes them. Raises
        InvalidInput, VaultError."""
        _check(count, index)
        edge = self._edge(count)
        siblings = []
        for level in range(len(edge) - 1):
            if (place := index >> level ^ 1) < _width(count, level):
                last = place == _width(count, level) - 1
                siblings.append(edge[level] if last else self._stored(level, place))
        return siblings

    def _edge(self, count: int) -> list[bytes]:
        """The last node of each level, the root being the last of all."""
        last = self._stored(0, count - 1)
        edge = [last]
        for level in range((count - 1).bit_length()):
            # The last node has a sibling to its left, or moves up alone.
            width = _width(count, level)
            if not width & 1:
                last = merkle.root((self._stored(level, width - 2), last))
            edge.append(last)
        return edge

    def _stored(self, level: int, place: int) -> bytes:
        path = self._path(level)
        try:
            descriptor = os.open(path, os.O_RDONLY)
            try:
                found = os.pread(descriptor, HASH_BYTES, place * HASH_BYTES)
            finally:
                os.close(descriptor)
        except FileNotFoundError:
            found = b""
        if len(found) != HASH_BYTES:
            raise VaultError(
                f"{path} has no node {place}.", "Restore the tree from a back-up, or make it anew."
            )
        return found

    def _write(self, level: int, first: int, nodes: Sequence[bytes]) -> None:
        path = self._path(level)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            if file.seek(0, os.SEEK_END) < first * HASH_BYTES:
                raise VaultError(
                    f"{path} ends before node {first}.", "Restore the tree from a back-up, or make it anew."
                )
            file.seek(first * HASH_BYTES)
            file.write(b"".join(nodes))
            file.flush()
            os.fsync(file.fileno())

    def _path(self, level: int) -> Path:
        return self.folder / f"{level:02d}"


def _width(count: int, level: int) -> int:
    """Nodes of a level above `count` leaves."""
    return (count + (1 << level) - 1) >> level


def _check(count: int, index: int) -> None:
    if not 0 <= index < count:
        raise InvalidInput(f"There is no leaf {index}: the tree has {count}.")
