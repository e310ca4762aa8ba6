"""The integer state: layout, and the way to floats and back."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.errors import LearningError, NotFinite, WrongLength
from protocol.learning.fixed_point import (
    INT32_MAX,
    INT32_MIN,
    MAX_LANES,
    Layout,
    from_floats,
    from_safetensors,
    to_floats,
    to_safetensors,
)

VECTORS = json.loads((Path(__file__).parents[2] / "vectors" / "fixed_point.json").read_text())
PAIR = Layout.of({"b.weight": (2, 3), "a.bias": (2,)}, 24, {"a.bias": 16})

int32s = st.integers(INT32_MIN, INT32_MAX)


def scalar(bits: int) -> Layout:
    return Layout.of({"w": (1,)}, bits)


def test_layout_orders_tensors_by_their_names_bytes():
    layout = Layout.of({"é": (1,), "z": (2,), "10": (1,), "2": (1,)}, 24)
    assert layout.names == ("10", "2", "z", "é")
    assert layout.lanes == 5


def test_layout_gives_each_tensor_its_own_bits_and_place():
    assert [(name, shape, bits, place) for name, shape, bits, place in PAIR.slices()] == [
        ("a.bias", (2,), 16, slice(0, 2)),
        ("b.weight", (2, 3), 24, slice(2, 8)),
    ]


def test_layout_refuses_a_tensor_that_the_model_lacks():
    with pytest.raises(LearningError, match="no tensor 'c'"):
        Layout.of({"a": (1,)}, 24, {"c": 16})


@pytest.mark.parametrize("shapes", [{}, {"a": (0,)}, {"a": (MAX_LANES + 1,)}])
def test_layout_refuses_nothing_and_too_much(shapes):
    with pytest.raises(LearningError, match="outside 1 to"):
        Layout.of(shapes)


@pytest.mark.parametrize("bits", [-1, 31])
def test_layout_refuses_other_fraction_bits(bits):
    with pytest.raises(LearningError, match="between 0 and 30"):
        Layout.of({"a": (1,)}, bits)


@pytest.mark.parametrize("case", VECTORS["to_float"], ids=lambda case: f"{case['x']}/2^{case['bits']}")
def test_to_floats_matches_the_vectors(case):
    value = to_floats(np.array([case["x"]], np.int32), scalar(case["bits"]))["w"]
    assert value.dtype == np.float32
    assert struct.pack(">f", value[0]).hex() == case["float32"]


@pytest.mark.parametrize("case", VECTORS["from_float"], ids=lambda case: f"{case['float']}*2^{case['bits']}")
def test_from_floats_matches_the_vectors(case):
    value = float.fromhex(case["float"])
    bits = case["bits"]
    if not INT32_MIN <= case["x"] <= INT32_MAX:
        pytest.fail("a vector outside int32 has no place here")
    assert from_floats({"w": np.array([value])}, scalar(bits)).tolist() == [case["x"]]


@given(st.lists(st.integers(-(2**24), 2**24), min_size=8, max_size=8))
def test_a_state_of_24_bits_survives_floats(numbers):
    x = np.array(numbers, np.int32)
    assert np.array_equal(from_floats(to_floats(x, PAIR), PAIR), x)


@given(int32s, st.integers(8, 30))
def test_any_state_survives_floats_within_their_rounding(number, bits):
    # The largest int32 round up to 2**31 as float32, which no int32 holds.
    if float(np.float32(number)) > INT32_MAX:
        return
    back = from_floats(to_floats(np.array([number], np.int32), scalar(bits)), scalar(bits))
    assert abs(int(back[0]) - number) <= 64


@given(st.lists(int32s, min_size=8, max_size=8))
def test_safetensors_hold_the_float32_weights(numbers):
    x = np.array(numbers, np.int32)
    x[x > INT32_MAX - 64] = INT32_MAX - 127
    again = from_safetensors(to_safetensors(x, PAIR, {"job": "1"}), PAIR)
    before, after = to_floats(x, PAIR), to_floats(again, PAIR)
    assert all(np.array_equal(before[name], after[name]) for name in PAIR.names)


@pytest.mark.parametrize("data", [b"", b"not safetensors", b"\xff" * 100])
def test_safetensors_that_are_none_are_refused(data):
    with pytest.raises(LearningError, match="no safetensors"):
        from_safetensors(data, PAIR)


def test_safetensors_of_another_model_are_refused():
    other = Layout.of({"c": (8,)})
    with pytest.raises(WrongLength, match="not the model's"):
        from_safetensors(to_safetensors(np.zeros(8, np.int32), other), PAIR)


def test_to_floats_refuses_another_length():
    with pytest.raises(WrongLength, match=r"\(7,\).*\(8,\)"):
        to_floats(np.zeros(7, np.int32), PAIR)


def test_to_floats_refuses_another_dtype():
    with pytest.raises(LearningError, match="int64"):
        to_floats(np.zeros(8, np.int64), PAIR)


def test_from_floats_refuses_another_shape():
    with pytest.raises(WrongLength, match=r"b\.weight"):
        from_floats({"a.bias": np.zeros(2), "b.weight": np.zeros((3, 2))}, PAIR)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_from_floats_refuses_what_is_not_finite(bad):
    with pytest.raises(NotFinite, match=r"a\.bias"):
        from_floats({"a.bias": np.array([0, bad]), "b.weight": np.zeros((2, 3))}, PAIR)


def test_from_floats_holds_the_edges_and_refuses_what_lies_beyond():
    assert from_floats({"w": np.array([-128.0])}, scalar(24)).tolist() == [INT32_MIN]
    assert from_floats({"w": np.array([128.0 - 2.0**-24])}, scalar(24)).tolist() == [INT32_MAX]
    for beyond in (128.0, -128.0 - 2.0**-24):
        with pytest.raises(LearningError, match="24 fraction bits"):
            from_floats({"w": np.array([beyond])}, scalar(24))
