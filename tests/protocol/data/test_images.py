"""Schemas of pictures: what they refuse, and the numbers that a picture becomes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from protocol.content import canonical
from protocol.content.cid import digest_of
from protocol.data.images import ImageSchema, packaged, schema_of
from protocol.data.schema import DataSchema
from protocol.errors import DataError

DOCUMENT: dict[str, Any] = {
    "kind": "image",
    "name": "small-pictures",
    "rows": 8,
    "columns": 12,
    "channels": 1,
    "centre": 0.5,
    "scale": 0.25,
    "label": {"name": "finding", "positive": "== 0"},
}
SCHEMA = ImageSchema.parse(DOCUMENT)
COLOUR = ImageSchema.parse({**DOCUMENT, "channels": 3})


def test_a_document_and_its_schema_are_one():
    assert SCHEMA.to_dict() == DOCUMENT
    assert ImageSchema.parse(SCHEMA.to_dict()) == SCHEMA
    assert SCHEMA.digest() == digest_of(canonical.dumps(DOCUMENT))
    assert (SCHEMA.shape, SCHEMA.names) == ((1, 8, 12), ["picture", "finding"])


def test_a_schema_of_either_kind_is_read_by_its_kind():
    assert schema_of(DOCUMENT) == SCHEMA
    assert isinstance(schema_of(DataSchema.packaged("uci-heart-disease").to_dict()), DataSchema)
    assert isinstance(packaged("breast-ultrasound"), ImageSchema)


@pytest.mark.parametrize("document", [None, [], {}, {"kind": "film"}, {"kind": ["image"]}, {"kind": None}])
def test_what_is_of_no_kind_is_refused(document):
    with pytest.raises(DataError):
        schema_of(document)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"kind": "tabular"}, "kind is 'tabular', not 'image'"),
        ({"name": ""}, "name: must be a text"),
        ({"rows": 7}, "rows: must be a whole number from 8 to 512"),
        ({"rows": True}, "rows"),
        ({"columns": 513}, "columns"),
        ({"columns": 28.0}, "columns"),
        ({"channels": 2}, "channels: must be 1"),
        ({"channels": [1]}, "channels"),
        ({"centre": "0.5"}, "centre"),
        ({"centre": float("nan")}, "centre"),
        ({"scale": 0}, "scale: must be above zero"),
        ({"scale": float("inf")}, "scale"),
        ({"label": {"name": "finding"}}, "label: lacks 'positive'"),
        ({"label": {"name": "finding", "positive": "malignant"}}, "label.positive"),
        ({"label": {"name": "patient_id", "positive": "== 1"}}, "identifiers have no place"),
        ({"crop": True}, "unknown field 'crop'"),
    ],
)
def test_a_schema_is_refused_with_place_and_reason(change, reason):
    with pytest.raises(DataError, match="Schema") as refused:
        ImageSchema.parse({**DOCUMENT, **change})
    assert reason in str(refused.value)


def test_a_schema_without_a_field_is_refused():
    for name in DOCUMENT:
        with pytest.raises(DataError, match=name):
            ImageSchema.parse({key: value for key, value in DOCUMENT.items() if key != name})


def test_samples_are_centred_and_scaled():
    black, white = np.zeros((8, 12), np.uint8), np.full((8, 12), 255, np.uint8)
    assert SCHEMA.encode(black).dtype == np.float32
    assert (SCHEMA.encode(black) == -2).all() and (SCHEMA.encode(white) == 2).all()


def test_a_picture_of_the_schemas_size_keeps_its_pixels():
    picture = np.arange(96, dtype=np.uint8).reshape(8, 12)
    assert np.array_equal(SCHEMA.encode(picture)[0], ((picture / 255 - 0.5) / 0.25).astype(np.float32))


@pytest.mark.parametrize("times", [2, 3, 8])
def test_a_picture_that_was_enlarged_becomes_what_it_was(times):
    picture = np.random.default_rng(1).integers(0, 256, (8, 12), np.uint8)
    enlarged = np.kron(picture, np.ones((times, times), np.uint8))
    assert np.array_equal(SCHEMA.encode(enlarged), SCHEMA.encode(picture))


def test_colours_become_grey_and_grey_becomes_colours():
    picture = np.random.default_rng(2).integers(0, 256, (8, 12), np.uint8)
    grey = np.repeat(picture[..., None], 3, axis=2)
    assert np.array_equal(SCHEMA.encode(grey), SCHEMA.encode(picture))
    assert np.array_equal(COLOUR.encode(picture), COLOUR.encode(grey))
    assert np.array_equal(COLOUR.encode(grey)[1:2], SCHEMA.encode(picture))


def test_each_colour_is_a_channel():
    red = np.zeros((8, 12, 3), np.uint8)
    red[..., 0] = 255
    assert COLOUR.encode(red).mean(axis=(1, 2)).tolist() == [2, -2, -2]
    assert np.allclose(SCHEMA.encode(red), (76 / 255 - 0.5) / 0.25)


@given(arrays.arrays(np.uint8, st.tuples(st.integers(1, 40), st.integers(1, 40))))
def test_a_picture_of_any_size_is_encoded_within_bounds(picture):
    encoded = SCHEMA.encode(picture)
    assert encoded.shape == SCHEMA.shape
    assert np.abs(encoded).max() <= 2
    assert np.array_equal(encoded, SCHEMA.encode(np.asfortranarray(picture)))


@pytest.mark.parametrize(
    "picture",
    [
        np.zeros((8, 12), np.float32),
        np.zeros((8, 12), np.uint16),
        np.zeros(96, np.uint8),
        np.zeros((8, 12, 4), np.uint8),
        np.zeros((2, 8, 12, 3), np.uint8),
        np.zeros((0, 12), np.uint8),
    ],
)
def test_what_is_no_picture_is_refused(picture):
    with pytest.raises(DataError, match="picture"):
        SCHEMA.encode(picture)


def test_labels_are_what_the_comparison_says():
    assert SCHEMA.labels([0, 1, 2, 0]).tolist() == [1, 0, 0, 1]
    assert SCHEMA.labels([]).shape == (0,)
    assert SCHEMA.is_positive({"sha256": "00", "label": 0})
    graded = ImageSchema.parse({**DOCUMENT, "label": {"name": "birads", "positive": ">= 4"}})
    assert graded.labels([3, 4, 5]).tolist() == [0, 1, 1]


def test_a_schema_that_is_not_packaged_is_refused_with_those_there_are():
    with pytest.raises(DataError, match="breast-ultrasound"):
        ImageSchema.packaged("other")
    with pytest.raises(DataError, match="image"):
        ImageSchema.packaged("uci-heart-disease")
