"""Sorted tables made one: in order, complete, and no more of them open than overlap."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.vault.merging import Input, Place, merged, most_overlapping

SCHEMA = pa.schema([("patient", pa.string()), ("key", pa.binary(16))])


def table(rows: list[Place]) -> pa.Table:
    patients, keys = zip(*rows, strict=True) if rows else ((), ())
    return pa.table({"patient": patients, "key": keys}, schema=SCHEMA)


def place(number: int) -> Place:
    return "" if number < 5 else f"P{number // 5:03}", number.to_bytes(16, "big")


def rows_of(tables: Iterator[pa.Table]) -> list[Place]:
    return [
        row for each in tables for row in zip(*(each[name].to_pylist() for name in SCHEMA.names), strict=True)
    ]


@given(st.lists(st.tuples(st.sets(st.integers(0, 60)), st.integers(1, 5)), max_size=6))
def test_all_rows_come_in_order(given_: list[tuple[set[int], int]]) -> None:
    inputs, expected = [], []
    for numbers, size in given_:
        rows = [place(number) for number in sorted(numbers)]
        # Tables without rows, as a selection leaves them, are no end.
        pieces = [
            table([]),
            *(table(rows[start : start + size]) for start in range(0, len(rows), size)),
            table([]),
        ]
        first = rows[0] if rows else ("", b"")
        inputs.append(Input(first, lambda pieces=pieces: (each for each in pieces)))
        expected += rows
    assert rows_of(merged(inputs)) == sorted(expected)


def test_an_input_is_opened_when_its_turn_comes_and_closed_behind_it() -> None:
    events = []

    def tables(name: int) -> Iterator[pa.Table]:
        events.append(f"open {name}")
        try:
            for start in range(0, 10, 5):
                yield table([place(10 * name + start + each) for each in range(5)])
        finally:
            events.append(f"close {name}")

    inputs = [Input(place(10 * name), lambda name=name: tables(name)) for name in range(3)]
    assert len(rows_of(merged(inputs))) == 30
    assert events == [f"{what} {name}" for name in range(3) for what in ("open", "close")]
    events.clear()
    some = merged(inputs)
    next(some)
    some.close()
    assert events == ["open 0", "close 0"], "whoever stops reading leaves nothing open"


@pytest.mark.parametrize(
    ("ranges", "most"),
    [
        ([], 0),
        ([(0, 9)], 1),
        ([(0, 4), (5, 9)], 1),
        ([(0, 5), (5, 9)], 2),
        ([(0, 9), (2, 3), (4, 5), (5, 5)], 3),
    ],
)
def test_how_many_overlap(ranges: list[tuple[int, int]], most: int) -> None:
    assert most_overlapping((place(first), place(last)) for first, last in ranges) == most
