"""BreastMNIST (Yang et al. 2023): breast ultrasound of 28 x 28 pixels, from the BUSI collection, at five hospitals.

The hospitals are made up. How many of the malignant and how many of the other pictures each has is drawn from a
symmetric Dirichlet distribution (Hsu et al. 2019): small alpha, unlike hospitals. The set names no patients, so each
picture stands for one.
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from protocol.data import catalogue
from protocol.data.images import ImageSchema
from protocol.errors import DataError

SCHEMA_NAME = "breast-ultrasound"
FILE = "breastmnist.npz"
SIDE = 28
#: The owner's parts, and how many pictures each has.
PARTS = {"train": 546, "val": 78, "test": 156}
#: Labels as the set has them: 0 malignant, 1 benign or normal.
MALIGNANT = 0

HOSPITALS = ("north", "east", "south", "west", "harbour")
ALPHA = 0.5
SEED = 43
#: A hospital holds out some twenty pictures of its own, and must still have some to train on.
FEWEST = 50
HELD_OUT_SHARE, HELD_OUT_PICTURES = 0.125, 20


@dataclass(frozen=True)
class Pictures:
    """Pictures uint8[n, 28, 28] with their labels uint8[n], 0 (malignant) or 1."""

    pictures: np.ndarray
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, chosen: np.ndarray | slice) -> Pictures:
        return Pictures(self.pictures[chosen], self.labels[chosen])

    def __add__(self, other: Pictures) -> Pictures:
        return Pictures(
            np.concatenate([self.pictures, other.pictures]), np.concatenate([self.labels, other.labels])
        )

    def encoded(self, schema: ImageSchema) -> tuple[np.ndarray, np.ndarray]:
        """As float32[n, 1, 28, 28] and labels float32[n], 1 where the schema's label is positive."""
        return np.stack([schema.encode(each) for each in self.pictures]), schema.labels(self.labels)


def load() -> dict[str, Pictures]:
    """The owner's parts: ``train`` (546), ``val`` (78), ``test`` (156). Raises `DataUnavailable`, `DataError`."""
    path = catalogue.find(catalogue.BREAST_MNIST.name) / FILE
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return {part: _checked(arrays, part, count) for part, count in PARTS.items()}
    except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise DataError(
            f"{path} is not the set that it should be.", "Delete it and fetch it again."
        ) from error


def schema(training: Pictures | None = None) -> ImageSchema:
    """The packaged schema; or one with mean and deviation of the pixels of `training`, to four digits."""
    if training is None:
        return ImageSchema.packaged(SCHEMA_NAME)
    shares = training.pictures / 255
    return ImageSchema(
        name=SCHEMA_NAME,
        rows=SIDE,
        columns=SIDE,
        channels=1,
        centre=float(f"{shares.mean():.4g}"),
        scale=float(f"{shares.std():.4g}"),
        label="finding",
        positive=f"== {MALIGNANT}",
    )


def split(labels: np.ndarray, seed: int = SEED, alpha: float = ALPHA) -> dict[str, np.ndarray]:
    """Indices of each hospital's pictures, by the hospital's name; `labels` are uint8[n].

    Of each label the shares of the five are a draw from Dirichlet(`alpha`). Drawn again until each hospital has at
    least `FEWEST` pictures, and both labels. Raises `DataError` when there are too few pictures for that.
    """
    if len(labels) < FEWEST * len(HOSPITALS):
        raise DataError(f"{len(labels)} pictures do not give {len(HOSPITALS)} hospitals {FEWEST} each.")
    draw = np.random.default_rng(seed)
    classes = np.unique(labels)
    while True:
        dealt: list[list[np.ndarray]] = [[] for _ in HOSPITALS]
        for value in classes:
            own = draw.permutation(np.flatnonzero(labels == value))
            ends = np.cumsum(draw.dirichlet([alpha] * len(HOSPITALS)))[:-1]
            for hospital, part in zip(dealt, np.split(own, (ends * len(own)).astype(int)), strict=True):
                hospital.append(part)
        if all(sum(map(len, each)) >= FEWEST and min(map(len, each)) > 0 for each in dealt):
            return {name: np.sort(np.concatenate(each)) for name, each in zip(HOSPITALS, dealt, strict=True)}


def held_out_share(count: int) -> float:
    """Which share of `count` pictures a hospital keeps from training: enough for figures of its own."""
    return max(HELD_OUT_SHARE, HELD_OUT_PICTURES / count)


def _checked(arrays: Mapping[str, np.ndarray], part: str, count: int) -> Pictures:
    pictures, labels = arrays[f"{part}_images"], arrays[f"{part}_labels"].reshape(-1)
    if (
        pictures.shape != (count, SIDE, SIDE)
        or pictures.dtype != np.uint8
        or labels.shape != (count,)
        or not np.isin(labels, (0, 1)).all()
    ):
        raise ValueError(part)
    return Pictures(pictures, labels.astype(np.uint8))
