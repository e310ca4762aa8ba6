"""Many sorted tables made one, block by block: as many blocks are in memory as inputs overlap."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

import pyarrow as pa

#: What rows are sorted by: patient, then key.
Place = tuple[str, bytes]


class Input(NamedTuple):
    """Sorted tables that begin at ``first`` or later."""

    first: Place
    tables: Callable[[], Iterator[pa.Table]]


def place(table: pa.Table, row: int) -> Place:
    """Where a row stands."""
    return table["patient"][row].as_py(), table["key"][row].as_py()


def merged(inputs: Iterable[Input]) -> Iterator[pa.Table]:
    """All rows, in order. An input is opened when its first row may be the next, and closed behind its last."""
    waiting = sorted(inputs, key=lambda each: each.first, reverse=True)
    running: list[_Running] = []
    try:
        while waiting or running:
            while waiting and (not running or waiting[-1].first <= min(each.last for each in running)):
                begun = _Running(waiting.pop().tables())
                if begun.advance():
                    running.append(begun)
            if not running:
                continue
            # Nobody has a row before this one that is not loaded.
            end = min(each.last for each in running)
            pieces = [each.take(end) for each in running]
            running = [each for each in running if each.ready()]
            yield _sorted([piece for piece in pieces if len(piece)])
    finally:
        for each in running:
            each.tables.close()


def most_overlapping(ranges: Iterable[tuple[Place, Place]]) -> int:
    """How many of some ranges, both ends in them, are at one place at most."""
    # Where one ends and another begins, both are.
    ends = sorted(end for first, last in ranges for end in ((first, 0), (last, 1)))
    most = now = 0
    for _, end in ends:
        now += -1 if end else 1
        most = max(most, now)
    return most


class _Running:
    """An input that is being read: the rows of it that were not taken yet."""

    def __init__(self, tables: Iterator[pa.Table]) -> None:
        self.tables = tables
        self.table: pa.Table | None = None
        self.last: Place = ("", b"")

    def advance(self) -> bool:
        """Loads the next table with rows in it; False at the end."""
        self.table = None
        for table in self.tables:
            if len(table):
                self.table, self.last = table, place(table, len(table) - 1)
                return True
        return False

    def ready(self) -> bool:
        return self.table is not None or self.advance()

    def take(self, end: Place) -> pa.Table:
        """The rows up to ``end``, which are gone here then."""
        table = self.table
        assert table is not None
        if self.last <= end:
            self.table = None
            return table
        cut = bisect_right(range(len(table)), end, key=lambda row: place(table, row))
        self.table = table.slice(cut)
        return table.slice(0, cut)


def _sorted(pieces: Sequence[pa.Table]) -> pa.Table:
    table = pa.concat_tables(pieces)
    if len(pieces) == 1:
        return table
    return table.sort_by([("patient", "ascending"), ("key", "ascending")])
