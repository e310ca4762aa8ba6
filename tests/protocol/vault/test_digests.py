"""Which content each key has: found by all of the key, whatever was put when."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.vault import digests
from protocol.vault.digests import Digests, Known


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(digests, "_RECENT", 3)


# Few first halves, so that many keys share one.
keys = st.builds(
    lambda first, last: bytes([first] * 8 + [last] * 8), st.integers(254, 255), st.integers(0, 40)
)
puts = st.lists(st.tuples(keys, st.integers(0, 2**64 - 1), st.integers(0, 2**32 - 1)))


@given(st.dictionaries(keys, st.integers(0, 2**64 - 1)), puts, st.lists(keys))
def test_it_is_what_a_dictionary_would_be(
    before: dict[bytes, int], put: list[tuple[bytes, int, int]], asked: list[bytes]
) -> None:
    known = Digests()
    known.add_many(pa.array(before, pa.binary(16)), np.array(list(before.values()), np.uint64), 0)
    model = {each: Known(mark, 0) for each, mark in before.items()}
    for each, mark, run in put:
        known.put(each, mark, run)
        model[each] = Known(mark, run)
    assert [known.find(each) for each in asked] == [model.get(each) for each in asked]
    found = known.runs(pa.array([*asked, *asked], pa.binary(16)).slice(len(asked)))
    assert found.tolist() == [model[each].run if each in model else -1 for each in asked]
    assert len(known) == len(model)
