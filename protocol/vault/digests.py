"""Which content each key has: 28 bytes a resource in memory, as sorted arrays.

A key is found by its first eight bytes and told by all sixteen. Of what it holds, eight bytes of a digest are kept:
they tell an unchanged resource from another content under the same key.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pyarrow as pa

_ROW = np.dtype([("low", "<u8"), ("mark", "<u8"), ("run", "<u4")])
_U8 = np.dtype(">u8")
#: Keys of a dictionary are put into an array at this number.
_RECENT = 1 << 14


class Known(NamedTuple):
    """What is known of a key: the mark of its newest content, and the number of the run that brought it."""

    mark: int
    run: int


class _Sorted(NamedTuple):
    """``high``: uint64[n], ascending; ``rows``: `_ROW`[n] beside it."""

    high: np.ndarray
    rows: np.ndarray


class Digests:
    """Keys of 16 bytes, each with a mark (uint64) and the number of the run that brought it last (uint32)."""

    def __init__(self) -> None:
        self._levels: list[_Sorted] = []
        self._recent: dict[bytes, Known] = {}

    def __len__(self) -> int:
        return len(self._recent) + sum(len(level.high) for level in self._levels)

    def add_many(self, keys: pa.Array, marks: np.ndarray, run: int) -> None:
        """Adds keys (binary[16]) that are not here yet, with their marks, uint64[n]."""
        high, low = _split(keys)
        rows = np.empty(len(high), _ROW)
        rows["low"], rows["mark"], rows["run"] = low, marks, run
        self._push(high, rows)

    def find(self, key: bytes) -> Known | None:
        """What is known of a key."""
        if (known := self._recent.get(key)) is not None:
            return known
        place = self._place(key)
        if place is None:
            return None
        row = place[0][place[1]]
        return Known(int(row["mark"]), int(row["run"]))

    def put(self, key: bytes, mark: int, run: int) -> None:
        """Says what a key holds now."""
        place = None if key in self._recent else self._place(key)
        if place is not None:
            place[0][place[1]] = (place[0][place[1]]["low"], mark, run)
            return
        self._recent[key] = Known(mark, run)
        if len(self._recent) >= _RECENT:
            self._fold()

    def runs(self, keys: pa.Array) -> np.ndarray:
        """int64[n]: the run that brought each key (binary[16]) last; -1 for one that is not here."""
        self._fold()
        high, low = _split(keys)
        found = np.full(len(high), -1, np.int64)
        for level in self._levels:
            start = np.searchsorted(level.high, high)
            todo = np.arange(len(high))
            # Two keys may share their first half; hardly ever three.
            while todo.size:
                at = start[todo]
                todo, at = todo[at < len(level.high)], at[at < len(level.high)]
                same = level.high[at] == high[todo]
                todo, at = todo[same], at[same]
                hit = level.rows["low"][at] == low[todo]
                found[todo[hit]] = level.rows["run"][at[hit]]
                todo = todo[~hit]
                start[todo] += 1
        return found

    def _place(self, key: bytes) -> tuple[np.ndarray, int] | None:
        """The rows that hold a key, and where in them."""
        high, low = int.from_bytes(key[:8], "big"), int.from_bytes(key[8:], "big")
        for level in self._levels:
            at = int(level.high.searchsorted(np.uint64(high)))
            while at < len(level.high) and int(level.high[at]) == high:
                if int(level.rows[at]["low"]) == low:
                    return level.rows, at
                at += 1
        return None

    def _fold(self) -> None:
        if not self._recent:
            return
        keys = np.frombuffer(b"".join(self._recent), _U8).reshape(-1, 2)
        rows = np.empty(len(keys), _ROW)
        rows["low"] = keys[:, 1]
        rows["mark"] = [known.mark for known in self._recent.values()]
        rows["run"] = [known.run for known in self._recent.values()]
        self._recent = {}
        self._push(keys[:, 0].astype(np.uint64), rows)

    def _push(self, high: np.ndarray, rows: np.ndarray) -> None:
        # Levels at least halve in size, so that a key is looked for in few of them.
        while self._levels and len(self._levels[-1].high) < 2 * len(high):
            last = self._levels.pop()
            high, rows = np.concatenate([last.high, high]), np.concatenate([last.rows, rows])
        order = np.argsort(high, kind="stable")
        self._levels.append(_Sorted(high[order], rows[order]))


def _split(keys: pa.Array) -> tuple[np.ndarray, np.ndarray]:
    """Both halves of keys (binary[16]): uint64[n] each."""
    if isinstance(keys, pa.ChunkedArray):
        keys = keys.combine_chunks()
    data = np.frombuffer(keys.buffers()[1] or b"", np.uint8)
    own = data[16 * keys.offset : 16 * (keys.offset + len(keys))].view(_U8).reshape(-1, 2)
    return own[:, 0].astype(np.uint64), own[:, 1].astype(np.uint64)
