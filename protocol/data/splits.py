"""Which records train and which are held out."""

from __future__ import annotations

import hashlib
import hmac
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from protocol.errors import DataError

TRAIN = 0
HELD_OUT = 1
#: A figure over fewer records could speak about one patient.
MIN_RECORDS = 10
KEY_BYTES = 32
# Of 20 patients a draw gives each side its ten once in six times.
_DRAWS = 1_000


@dataclass(frozen=True)
class HospitalRecords:
    """One hospital's records, and for each its split: `splits` is uint8[n], 0 for training and 1 for held out."""

    name: str
    records: list[dict[str, Any]]
    splits: np.ndarray


def random_split(labels: Sequence[int], held_out: float, seed: int) -> np.ndarray:
    """Splits uint8[n] drawn at random, `held_out` a share between 0 and 1; stratified by label where each occurs often
    enough (more than twice, as in FLamby's Fed-Heart-Disease). Raises `DataError` when a side would be empty."""
    from sklearn.model_selection import train_test_split

    classes, counts = np.unique(np.asarray(labels), return_counts=True)
    stratify = np.asarray(labels) if len(classes) > 1 and (counts > 2).all() else None
    try:
        _, kept_back = train_test_split(
            np.arange(len(labels)),
            test_size=held_out,
            train_size=1.0 - held_out,
            random_state=seed,
            shuffle=True,
            stratify=stratify,
        )
    except ValueError as error:
        raise DataError(
            f"{len(labels)} records cannot be split so that {held_out:.0%} are held out.",
            f"Both sides need at least {MIN_RECORDS} records.",
        ) from error
    splits = np.full(len(labels), TRAIN, np.uint8)
    splits[kept_back] = HELD_OUT
    return splits


def patient_split(patients: Sequence[str], held_out: float, key: bytes) -> np.ndarray:
    """Splits uint8[n] by patient: a keyed hash of the patient's pseudonym decides, so that records that come later
    fall on the side of the earlier ones although no pseudonym is kept. `key` is the hospital's secret (32 bytes)."""
    below = int(held_out * 2**64)
    draws = (hmac.new(key, patient.encode("utf-8"), hashlib.sha256).digest() for patient in patients)
    return np.array(
        [HELD_OUT if int.from_bytes(draw[:8], "big") < below else TRAIN for draw in draws], np.uint8
    )


def split_key(patients: Sequence[str], held_out: float) -> bytes:
    """A secret for `patient_split` (32 bytes) from the system's generator, drawn again while it gives these few
    patients a side of fewer than `MIN_RECORDS`; the last one drawn where that cannot be had."""
    for _ in range(_DRAWS):
        key = os.urandom(KEY_BYTES)
        kept_back = int(patient_split(patients, held_out, key).sum())
        enough = min(kept_back, len(patients) - kept_back) >= MIN_RECORDS
        if enough or not 2 * MIN_RECORDS <= len(patients) < 100 * MIN_RECORDS:
            break
    return key
