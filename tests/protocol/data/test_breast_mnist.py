"""BreastMNIST and its five hospitals. What needs the pictures is skipped where they cannot be had."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from protocol.data import breast_mnist, catalogue
from protocol.data.breast_mnist import FEWEST, HOSPITALS, MALIGNANT, PARTS, Pictures
from protocol.data.images import ImageSchema
from protocol.data.splits import MIN_RECORDS
from protocol.errors import DataError, DataUnavailable

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def parts() -> dict[str, Pictures]:
    try:
        return breast_mnist.load()
    except DataUnavailable as missing:
        pytest.skip(str(missing))


def made(seed: int = 1) -> dict[str, np.ndarray]:
    """Arrays of the set's own shape."""
    draw = np.random.default_rng(seed)
    arrays = {}
    for part, count in PARTS.items():
        arrays[f"{part}_images"] = draw.integers(0, 256, (count, 28, 28), np.uint8)
        arrays[f"{part}_labels"] = draw.integers(0, 2, (count, 1), np.uint8)
    return arrays


def loaded(monkeypatch: pytest.MonkeyPatch, folder: Path, **arrays: np.ndarray) -> dict[str, Pictures]:
    np.savez_compressed(folder / breast_mnist.FILE, **arrays)
    monkeypatch.setattr(catalogue, "find", lambda _name: folder)
    return breast_mnist.load()


def test_parts_and_findings_are_those_that_were_published(parts):
    assert {name: len(part) for name, part in parts.items()} == PARTS
    assert {name: int((part.labels == MALIGNANT).sum()) for name, part in parts.items()} == {
        "train": 147, "val": 21, "test": 42,
    }  # fmt: skip


def test_the_packaged_schema_is_what_the_training_pictures_give(parts):
    schema = breast_mnist.schema(parts["train"])
    assert schema == breast_mnist.schema() == ImageSchema.packaged(breast_mnist.SCHEMA_NAME)
    written = json.loads((ROOT / "protocol/data/schemas/breast-ultrasound.json").read_text())
    assert written == schema.to_dict(), "run scripts/make_schemas.py"
    pictures, labels = parts["train"].encoded(schema)
    assert pictures.shape == (546, 1, 28, 28) and labels.sum() == 147
    assert abs(pictures.mean()) < 1e-3 and abs(pictures.std() - 1) < 1e-3


def test_labels_of_either_packing_are_read(monkeypatch, tmp_path):
    """The owner's file has them as [n, 1], others as [n]."""
    arrays = made()
    official = loaded(monkeypatch, tmp_path, **arrays)
    flat = {name: array.reshape(-1) if "labels" in name else array for name, array in arrays.items()}
    other = loaded(monkeypatch, tmp_path, **flat)
    for part in PARTS:
        assert np.array_equal(official[part].labels, other[part].labels)
        assert np.array_equal(official[part].pictures, arrays[f"{part}_images"])


def test_pickled_objects_are_not_loaded(monkeypatch, tmp_path):
    with pytest.raises(DataError, match="not the set"):
        loaded(monkeypatch, tmp_path, **{**made(), "val_labels": np.array([{}] * 78, object)})


@pytest.mark.parametrize(
    "change",
    [
        {"train_images": np.zeros((546, 28, 27), np.uint8)},
        {"test_images": np.zeros((156, 28, 28), np.float32)},
        {"val_labels": np.full(78, 2, np.uint8)},
        {"val_labels": np.zeros(77, np.uint8)},
    ],
)
def test_arrays_that_are_not_the_sets_are_refused(monkeypatch, tmp_path, change):
    with pytest.raises(DataError, match="not the set"):
        loaded(monkeypatch, tmp_path, **{**made(), **change})


def test_a_file_that_is_no_archive_is_refused(monkeypatch, tmp_path):
    (tmp_path / breast_mnist.FILE).write_bytes(b"no archive")
    monkeypatch.setattr(catalogue, "find", lambda _name: tmp_path)
    with pytest.raises(DataError, match="not the set"):
        breast_mnist.load()


def labels(count: int = 624, malignant: int = 168) -> np.ndarray:
    drawn = np.ones(count, np.uint8)
    drawn[np.random.default_rng(0).permutation(count)[:malignant]] = MALIGNANT
    return drawn


@pytest.mark.parametrize("seed", range(5))
def test_each_picture_is_at_one_hospital(seed):
    split = breast_mnist.split(labels(), seed)
    assert tuple(split) == HOSPITALS
    assert sorted(np.concatenate(list(split.values())).tolist()) == list(range(624))
    for own in split.values():
        assert len(own) >= FEWEST
        assert set(labels()[own].tolist()) == {0, 1}


def test_a_seed_repeats_its_split_and_another_gives_another():
    first, again, other = (breast_mnist.split(labels(), seed) for seed in (1, 1, 2))
    assert all(np.array_equal(first[name], again[name]) for name in HOSPITALS)
    assert any(not np.array_equal(first[name], other[name]) for name in HOSPITALS)


def test_small_alpha_makes_hospitals_unlike_and_large_alpha_alike():
    def spread(alpha: float) -> float:
        shares = [
            np.mean(labels()[own] == MALIGNANT)
            for seed in range(5)
            for own in breast_mnist.split(labels(), seed, alpha).values()
        ]
        return float(np.std(shares))

    assert spread(0.5) > 3 * spread(1000)


def test_too_few_pictures_are_refused():
    with pytest.raises(DataError, match="50 each"):
        breast_mnist.split(labels(200, 60))


@pytest.mark.parametrize("count", [FEWEST, 100, 160, 624])
def test_a_hospital_holds_out_enough_for_figures_and_trains_on_most(count):
    share = breast_mnist.held_out_share(count)
    assert share * count >= 2 * MIN_RECORDS
    assert share < 0.5
