"""Rows by the thousand, beside what canonical JSON and the schema make of each by itself."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.content import canonical
from protocol.data.schema import Column, DataSchema
from protocol.errors import DataError
from protocol.vault.rows import Rows
from tests.protocol.vault.tables import SCHEMA, record

NUMBERS = st.one_of(
    st.integers(-(2**53) + 1, 2**53 - 1),
    st.floats(-(2.0**53), 2.0**53, allow_nan=False),
    st.floats(-1e-3, 1e-3, allow_nan=False),
    st.sampled_from(
        [0.0, -0.0, 1e-6, 9.999e-7, 1e-7, 5e-324, 0.1, 1 / 3, 123456789.5, 2.0**53, -(2.0**53), 1e15]
    ),
)
RECORDS = st.lists(
    st.fixed_dictionaries(
        {
            "systolic": NUMBERS,
            "hba1c %": NUMBERS,
            "âge": st.sampled_from([0, 1, 2, 0.0, 1.0, 2.0]),
            "event": NUMBERS,
        }
    ),
    min_size=1,
    max_size=12,
)


@settings(max_examples=300, deadline=None)
@given(RECORDS)
def test_lines_are_canonical_json_and_records_come_back(records: list[dict[str, Any]]) -> None:
    made = Rows(SCHEMA)
    values = made.values(records, 0)
    assert made.lines(values) == [canonical.dumps(each) for each in records]
    assert made.records(values) == records


@settings(max_examples=100, deadline=None)
@given(RECORDS)
def test_it_encodes_as_the_schema_does(records: list[dict[str, Any]]) -> None:
    made = Rows(SCHEMA)
    for ours, own in zip(made.encode(made.values(records, 0)), SCHEMA.encode(records), strict=True):
        assert ours.dtype == own.dtype == np.float32
        assert np.array_equal(ours, own)


@given(
    st.lists(
        st.text(st.characters(blacklist_categories=["Cs"]), min_size=1, max_size=6),
        min_size=2,
        max_size=5,
        unique=True,
    )
)
def test_names_stand_in_the_order_and_the_words_of_canonical_json(names: list[str]) -> None:
    columns = tuple(Column(name, (), (0.0,), (1.0,)) for name in names[1:])
    made = Rows(DataSchema("any", columns, names[0], "> 0"))
    each = {name: place + 0.5 for place, name in enumerate(names)}
    assert made.lines(made.values([each], 0)) == [canonical.dumps(each)]


WRONG = {
    "missing": lambda one: one.pop("âge"),
    "too many": lambda one: one.update(other=1),
    "text": lambda one: one.update(systolic="120"),
    "truth": lambda one: one.update(event=True),
    "nothing": lambda one: one.update(systolic=None),
    "not a number": lambda one: one.update(systolic=math.nan),
    "infinite": lambda one: one.update(systolic=math.inf),
    "another level": lambda one: one.update(âge=3),
    "beyond": lambda one: one.update(systolic=2**53 + 1),
    "far beyond": lambda one: one.update(systolic=10**400),
    "a list": lambda one: one.update(systolic=[1]),
}


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
def test_a_record_that_does_not_fit_is_named_by_its_place_alone(wrong: Any) -> None:
    records = [record(number) for number in range(5)]
    wrong(records[3])
    with pytest.raises(DataError, match=r"Record 103") as refused:
        Rows(SCHEMA).values(records, 100)
    assert "120" not in str(refused.value)
    assert refused.value.__cause__ is None


def test_numpy_numbers_that_the_schema_takes_are_taken() -> None:
    each = {name: np.float64(value) for name, value in record(4).items()}
    made = Rows(SCHEMA)
    assert made.records(made.values([each], 0)) == [record(4)]


def test_what_is_kept_of_texts_is_bounded() -> None:
    made = Rows(SCHEMA)
    for start in range(0, 200_000, 20_000):
        made.lines(np.arange(start, start + 20_000).reshape(-1, 4) + 0.5)
    assert len(made._texts) <= 1 << 16
