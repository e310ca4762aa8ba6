from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.content import canonical
from protocol.errors import InvalidInput

VECTORS = json.loads((Path(__file__).parents[2] / "vectors" / "canonical_json.json").read_text())

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(blacklist_categories=["Cs"])),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.characters(blacklist_categories=["Cs"]), max_size=4), inner, max_size=4)
    ),
    max_leaves=20,
)


@pytest.mark.parametrize("vector", VECTORS["accepted"], ids=lambda vector: vector["json"][:20])
def test_the_vectors_have_these_bytes(vector):
    data = bytes.fromhex(vector["canonical"])
    assert canonical.dumps(json.loads(vector["json"])) == data
    assert canonical.loads(data) == json.loads(vector["json"])


@pytest.mark.parametrize("text", VECTORS["refused"])
def test_the_refused_vectors_are_refused(text):
    with pytest.raises(InvalidInput):
        canonical.loads(text.encode())


@given(VALUES)
def test_what_is_written_reads_back_the_same(value):
    data = canonical.dumps(value)
    assert canonical.loads(data) == value
    assert canonical.dumps(canonical.loads(data)) == data


@given(VALUES, st.sampled_from([" ", "\n", "\t"]))
def test_space_around_a_document_makes_it_another(value, space):
    with pytest.raises(InvalidInput, match="not canonical"):
        canonical.loads(canonical.dumps(value) + space.encode())


@given(st.binary(max_size=40))
def test_any_bytes_are_read_or_refused(data):
    try:
        value = canonical.loads(data)
    except InvalidInput:
        return
    assert canonical.dumps(value) == data


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b'{"a":1,"a":2}', "repeats the key 'a'"),
        (b"[NaN]", "holds NaN"),
        (b"[-Infinity]", "holds -Infinity"),
        (b"\xff", "not UTF-8"),
        (b"{", "not JSON"),
        (b'{"b":1,"a":1}', "not canonical"),
        (b"[" * 5000 + b"]" * 5000, "nested too deeply"),
        (b"1" * 5000, "no canonical JSON"),
        (b'"\\ud800"', "surrogate|no canonical"),
        (b'"' + b"a" * canonical.MAX_DOCUMENT_BYTES + b'"', "262,144 are allowed"),
    ],
    ids=lambda value: value[:12] if isinstance(value, str) else "",
)
def test_a_refusal_names_the_reason(data, reason):
    with pytest.raises(InvalidInput, match=reason):
        canonical.loads(data)


@pytest.mark.parametrize(
    "value",
    [float("nan"), float("inf"), 2**53 + 1, {1: 2}, {"a": object()}, b"bytes", "\ud800", "a" * 262_144],
)
def test_what_json_cannot_hold_is_not_written(value):
    with pytest.raises(InvalidInput):
        canonical.dumps(value)


def test_a_document_may_fill_one_block():
    text = "a" * (canonical.MAX_DOCUMENT_BYTES - 2)
    assert len(canonical.dumps(text)) == canonical.MAX_DOCUMENT_BYTES
    assert canonical.loads(canonical.dumps(text)) == text
