from __future__ import annotations

import json
import runpy
from pathlib import Path

import numpy as np
import pytest

from protocol.data import breast_cancer, catalogue, heart_disease
from protocol.data.schema import DataSchema
from protocol.data.splits import HELD_OUT, TRAIN
from protocol.errors import DataUnavailable

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def hospitals():
    try:
        return heart_disease.load()
    except DataUnavailable as missing:
        pytest.skip(str(missing))


# Records for training and held out, as FLamby's Fed-Heart-Disease has them.
PUBLISHED = {"cleveland": (199, 104), "hungary": (172, 89), "switzerland": (30, 16), "long-beach": (85, 45)}
# Indices of their first held-out rows, from a run of FLamby's own preprocessing.
FLAMBY_HELD_OUT = {
    "cleveland": [5, 13, 16, 24, 26, 34, 40, 42, 43, 46, 47, 48],
    "hungary": [3, 7, 16, 21, 25, 26, 27, 28, 29, 32, 34, 35],
    "switzerland": [5, 6, 7, 8, 13, 14, 18, 19, 20, 22, 24, 28],
    "long-beach": [1, 5, 6, 9, 12, 26, 29, 33, 35, 36, 38, 39],
}


def test_hospitals_and_counts_are_those_of_flamby(hospitals):
    assert {
        each.name: ((each.splits == TRAIN).sum(), (each.splits == HELD_OUT).sum()) for each in hospitals
    } == PUBLISHED


def test_held_out_rows_are_those_of_flamby(hospitals):
    for each in hospitals:
        assert np.flatnonzero(each.splits == HELD_OUT)[:12].tolist() == FLAMBY_HELD_OUT[each.name]


def test_encoded_columns_are_those_of_flamby(hospitals):
    """Numbers in the file's order, then indicators for columns 2 and 6 without their first level."""
    schema = heart_disease.schema()
    assert schema.inputs == 13
    assert [column.name for column in schema.columns] == [
        "age", "sex", "trestbps", "chol", "fbs", "thalach", "exang", "oldpeak", "cp", "restecg",
    ]  # fmt: skip
    assert {column.name: column.levels for column in schema.columns if column.levels} == {
        "cp": (1, 2, 3, 4),
        "restecg": (0, 1, 2),
    }
    for column in ("cp", "restecg"):
        levels = {record[column] for each in hospitals for record in each.records}
        assert levels == set(next(each.levels for each in schema.columns if each.name == column))


def test_clevelands_training_records_are_centred(hospitals):
    cleveland = hospitals[0]
    encoded, labels = heart_disease.schema().encode(cleveland.records)
    training = encoded[cleveland.splits == TRAIN]
    assert np.allclose(training.mean(axis=0), 0, atol=1e-4)
    assert np.allclose(training.std(axis=0, ddof=1), 1, atol=1e-4)
    assert set(labels.tolist()) == {0.0, 1.0}


def test_packaged_schemas_are_what_the_script_computes(hospitals):
    try:
        documents = runpy.run_path(str(ROOT / "scripts" / "make_schemas.py"))["documents"]()
    except DataUnavailable as missing:
        pytest.skip(str(missing))
    assert hospitals
    for name, text in documents.items():
        assert (ROOT / "protocol" / "data" / "schemas" / name).read_text() == text, (
            "run scripts/make_schemas.py"
        )


def test_another_random_state_is_another_split_of_the_same_rows(hospitals):
    for one, other in zip(hospitals, heart_disease.load(random_state=1), strict=True):
        assert one.records == other.records
        assert (one.splits != other.splits).any()
        assert one.splits.sum() == other.splits.sum()


def test_without_files_it_is_unavailable(monkeypatch):
    monkeypatch.setattr(catalogue, "folders_for", lambda _: [])
    monkeypatch.setattr(catalogue, "_download", lambda *_: "no network here")
    with pytest.raises(DataUnavailable, match="no network here"):
        heart_disease.load()


def test_the_set_that_is_always_there_has_four_hospitals():
    hospitals = breast_cancer.load()
    assert [len(each.records) for each in hospitals] == list(breast_cancer.SIZES.values())
    assert sum(len(each.records) for each in hospitals) == 569
    texts = {json.dumps(record) for each in hospitals for record in each.records}
    assert len(texts) == 569, "no patient is at two hospitals"
    schema = breast_cancer.schema()
    for each in hospitals:
        records, labels = schema.encode(each.records)
        assert records.shape == (len(each.records), 30)
        for split in (TRAIN, HELD_OUT):
            assert set(labels[each.splits == split].tolist()) == {0.0, 1.0}
    assert schema == DataSchema.packaged("wisconsin-breast-cancer")
    assert [each.splits.tolist() for each in breast_cancer.load()] == [
        each.splits.tolist() for each in hospitals
    ]
