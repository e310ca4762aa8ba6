from __future__ import annotations

import copy
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tables import DOCUMENT, SCHEMA, records

from protocol.content import canonical
from protocol.content.cid import digest_of
from protocol.data.images import packaged
from protocol.data.schema import DataSchema, fitted, packaged_names
from protocol.errors import DataError


def changed(path: str, value: object) -> dict:
    document = copy.deepcopy(DOCUMENT)
    *outer, last = path.split(".")
    place = document
    for name in outer:
        place = place[int(name)] if name.isdigit() else place[name]
    last = int(last) if last.isdigit() else last
    if value is ...:
        del place[last]
    else:
        place[last] = value
    return document


def test_a_schema_survives_its_document():
    assert SCHEMA.to_dict() == DOCUMENT
    assert DataSchema.parse(SCHEMA.to_dict()) == SCHEMA
    assert SCHEMA.digest() == digest_of(canonical.dumps(DOCUMENT))
    assert DataSchema.parse(canonical.loads(canonical.dumps(DOCUMENT))).digest() == SCHEMA.digest()


def test_packaged_schemas_parse():
    assert packaged_names() == ["breast-ultrasound", "uci-heart-disease", "wisconsin-breast-cancer"]
    for name in packaged_names():
        assert packaged(name).name == name
    with pytest.raises(DataError, match="no packaged schema 'other'"):
        DataSchema.packaged("other")


def test_numbers_are_centred_and_categories_are_indicators():
    encoded, labels = SCHEMA.encode(
        [{"age": 63, "cp": 1, "num": 0}, {"age": 45, "cp": 2, "num": 3}, {"age": 54, "cp": 3, "num": 1}]
    )
    assert encoded.dtype == labels.dtype == np.float32
    assert encoded.tolist() == [[1, -0.5, -2], [-1, 1.5, -2], [0, -0.5, 2]]
    assert labels.tolist() == [0, 1, 1]


def test_no_records_have_no_rows():
    encoded, labels = SCHEMA.encode([])
    assert encoded.shape == (0, 3)
    assert labels.shape == (0,)


@pytest.mark.parametrize(
    ("positive", "expected"),
    [("> 0", [0, 1, 1]), (">= 1", [0, 1, 1]), ("== 2", [0, 0, 1]), ("< 1", [1, 0, 0]), ("<= 1", [1, 1, 0])],
)
def test_a_label_is_positive_by_comparison(positive, expected):
    schema = DataSchema.parse(changed("label.positive", positive))
    rows = [{"age": 1, "cp": 1, "num": label} for label in (0, 1, 2)]
    assert schema.encode(rows)[1].tolist() == expected
    assert [schema.is_positive(row) for row in rows] == [bool(each) for each in expected]


@given(st.lists(st.floats(0, 100, width=32), min_size=3, max_size=30).filter(lambda v: np.std(v) > 0.1))
def test_fitted_constants_make_mean_zero_and_deviation_one(ages):
    rows = [{"age": age, "cp": 1 + i % 2, "num": 0} for i, age in enumerate(ages)]
    schema = fitted("fitted", {"age": (), "cp": (1, 2)}, "num", "> 0", rows)
    encoded, _ = schema.encode(rows)
    assert np.allclose(encoded.mean(axis=0), 0, atol=1e-2)
    assert np.allclose(encoded.std(axis=0, ddof=1), 1, atol=1e-2)
    assert DataSchema.parse(schema.to_dict()) == schema


def test_a_constant_column_has_scale_one():
    rows = [{"age": 5, "cp": 1, "num": 0}] * 3
    assert fitted("fitted", {"age": ()}, "num", "> 0", rows).columns[0].scale == (1.0,)


@pytest.mark.parametrize(
    ("path", "value", "reason"),
    [
        ("kind", "image", "kind is 'image'"),
        ("kind", ..., "lacks 'kind'"),
        ("extra", 1, "unknown field 'extra'"),
        ("columns", [], "list of 1 to"),
        ("columns", {}, "list of 1 to"),
        ("columns.0", 5, "columns.0: must be an object"),
        ("columns.0.type", "text", "columns.0: must be an object whose type"),
        ("columns.0.name", "", "columns.0.name"),
        ("columns.0.name", "a\nb", "columns.0.name"),
        ("columns.0.name", "num", "two have the same name"),
        ("columns.0.name", "patient_id", "column 'patient_id': its name is that of an identifier"),
        ("columns.0.scale", 0, "columns.0.scale: must be above zero"),
        ("columns.0.scale", -1, "above zero"),
        ("columns.0.centre", math.nan, "columns.0.centre: must hold finite"),
        ("columns.0.centre", True, "finite numbers"),
        ("columns.0.centre", "5", "finite numbers"),
        ("columns.0.levels", [1, 2], "unknown field 'levels'"),
        ("columns.1.levels", [1], "columns.1.levels: must be 2 to"),
        ("columns.1.levels", [2, 1, 3], "rising"),
        ("columns.1.levels", [1, 1, 2], "rising"),
        ("columns.1.levels", [1, 2, 3, 4], "each level but the first"),
        ("columns.1.scale", [1], "each level but the first"),
        ("columns.1.scale", [1, math.inf], "finite"),
        ("label", 5, "label: must be an object"),
        ("label.positive", "yes", "label.positive"),
        ("label.positive", "> 0; import os", "label.positive"),
        ("label.name", 5, "label.name"),
        ("name", ..., "lacks 'name'"),
    ],
)
def test_a_malformed_schema_is_refused_where_it_is_wrong(path, value, reason):
    with pytest.raises(DataError, match=reason):
        DataSchema.parse(changed(path, value))


@pytest.mark.parametrize("document", [None, [], "schema", 5])
def test_what_is_no_object_is_no_schema(document):
    with pytest.raises(DataError, match="must be an object"):
        DataSchema.parse(document)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"age": math.nan}, "column 'age': not a finite number"),
        ({"age": math.inf}, "not a finite number"),
        ({"age": "71.25"}, "not a finite number"),
        ({"age": None}, "not a finite number"),
        ({"age": True}, "not a finite number"),
        ({"age": 1e17}, "beyond 2"),
        ({"cp": 71.25}, "column 'cp': not one of the schema's levels"),
        ({"other": 1}, "columns that the schema three-columns does not name"),
    ],
)
def test_a_record_that_does_not_fit_is_refused_without_its_value(change, reason):
    with pytest.raises(DataError, match=reason) as refusal:
        SCHEMA.encode([*records(2), {**records(1)[0], **change}])
    assert str(refusal.value).startswith("Record 2")
    assert "71.25" not in str(refusal.value)


def test_a_record_that_lacks_a_column_is_refused():
    with pytest.raises(DataError, match="column 'cp' is missing"):
        SCHEMA.encode([{"age": 1, "num": 0}])
