"""A Merkle tree on the disk that grows: of the shape of `content.merkle`, without reading it all for each new leaf.

    00, 01, …    level files: the nodes (32 bytes each) of whole subtrees of 2^level leaves, from the left

A whole subtree stays as it is while leaves are appended after it; what a count of leaves has at its right edge beyond
whole subtrees is put together from them when it is asked for. So every count up to the latest has its root and proofs,
and whoever uses the tree says which count is meant: nodes beyond it are as good as none, as after a crash.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
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
        with self.appending(count) as put:
            put(leaves)

    @contextmanager
    def appending(self, count: int) -> Iterator[Callable[[Sequence[bytes]], None]]:
        """As `append`, for leaves that come in pieces: gives what takes them, piece by piece, and has all of them on
        the disk when the block ends. Memory is of the size of a piece."""
        if count < 0:
            raise InvalidInput("Leaves come after none or more.")
        written = count

        def put(leaves: Sequence[bytes]) -> None:
            nonlocal written
            if any(len(leaf) != HASH_BYTES for leaf in leaves):
                raise InvalidInput(f"Leaves have {HASH_BYTES} bytes each.")
            level, first, nodes = 0, written, list(leaves)
            written += len(nodes)
            with disk.writing(str(self.folder)):
                while nodes:
                    self._write(level, first, nodes)
                    if first & 1:
                        nodes.insert(0, self._stored(level, first - 1))
                    nodes, level, first = level_above(nodes), level + 1, first >> 1

        with disk.writing(str(self.folder)):
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        yield put
        with disk.writing(str(self.folder)):
            if written > count:
                self._settle(written.bit_length())
            disk.sync(self.folder)

    def replace(self, count: int, index: int, leaf: bytes) -> None:
        """Puts another leaf in the place of one of `count`, the latest. O(log count). After a crash half-way the root
        is neither the old nor the new one: done again, it is the new one. Raises InvalidInput, VaultError."""
        self.replace_all(count, {index: leaf})

    def replace_all(self, count: int, leaves: Mapping[int, bytes]) -> None:
        """As `replace`, for several leaves by index. O(leaves x log count)."""
        for index, leaf in leaves.items():
            _check(count, index)
            if len(leaf) != HASH_BYTES:
                raise InvalidInput(f"A leaf has {HASH_BYTES} bytes, not {len(leaf)}.")
        with disk.writing(str(self.folder)):
            level, changed = 0, dict(leaves)
            while changed:
                for place, node in changed.items():
                    self._write(level, place, [node])
                above: dict[int, bytes] = {}
                for place, node in changed.items():
                    # The last node of a level may have no sibling yet; what is above it is put together when asked for.
                    if (place | 1) < count >> level and place >> 1 not in above:
                        sibling = changed.get(place ^ 1) or self._stored(level, place ^ 1)
                        [above[place >> 1]] = level_above([sibling, node] if place & 1 else [node, sibling])
                changed, level = above, level + 1
            self._settle(level)

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
                [last] = level_above([self._stored(level, width - 2), last])
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

    def _settle(self, levels: int) -> None:
        """Puts level files on the disk itself: once, however many pieces were written."""
        for level in range(levels):
            descriptor = os.open(self._path(level), os.O_RDWR)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)

    def _path(self, level: int) -> Path:
        return self.folder / f"{level:02d}"


class RunningRoot:
    """The Merkle root of leaves that come in pieces; of them a node a level is kept."""

    def __init__(self) -> None:
        self.count = 0
        self._waiting: list[bytes | None] = []

    def add(self, leaves: Sequence[bytes]) -> None:
        """The next leaves (32 bytes each)."""
        self.count += len(leaves)
        level, nodes = 0, list(leaves)
        while nodes:
            if level == len(self._waiting):
                self._waiting.append(None)
            if (left := self._waiting[level]) is not None:
                nodes.insert(0, left)
            self._waiting[level] = nodes[-1] if len(nodes) & 1 else None
            nodes, level = level_above(nodes), level + 1

    @property
    def top(self) -> bytes:
        """The root (32 bytes), as `merkle.root` gives it. Raises InvalidInput for no leaves."""
        found = None
        for node in self._waiting:
            if node is not None:
                found = node if found is None else level_above([node, found])[0]
        if found is None:
            raise InvalidInput("A Merkle tree needs at least one leaf.")
        return found


def level_above(nodes: Sequence[bytes]) -> list[bytes]:
    """The nodes above pairs of nodes; of an odd one at the end nothing."""
    pairs, sha256, tag = iter(nodes), hashlib.sha256, merkle.NODE_TAG
    return [sha256(tag + left + right).digest() for left, right in zip(pairs, pairs, strict=False)]


def _width(count: int, level: int) -> int:
    """Nodes of a level above `count` leaves."""
    return (count + (1 << level) - 1) >> level


def _check(count: int, index: int) -> None:
    if not 0 <= index < count:
        raise InvalidInput(f"There is no leaf {index}: the tree has {count}.")
