"""Wisconsin diagnostic breast cancer (569 patients, 30 measurements), split over four hospitals.

Real clinical data that scikit-learn carries, so always there. The hospitals are made up: a seeded shuffle, cut into
parts of unequal size. https://doi.org/10.24432/C5DW2B
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from protocol.data.schema import DataSchema, fitted
from protocol.data.splits import TRAIN, HospitalRecords, random_split

SCHEMA_NAME = "wisconsin-breast-cancer"
RANDOM_STATE = 43
HELD_OUT_SHARE = 0.34
#: Patients of each hospital; the first publishes the constants.
SIZES = {"north": 209, "east": 160, "south": 120, "west": 80}
_LABEL = "malignant"


def load(random_state: int = RANDOM_STATE) -> list[HospitalRecords]:
    """The four hospitals."""
    names, values, malignant = _patients()
    order = np.random.RandomState(random_state).permutation(len(values))
    hospitals, start = [], 0
    for hospital, size in SIZES.items():
        part = order[start : start + size]
        start += size
        records = [
            {**dict(zip(names, values[i].tolist(), strict=True)), _LABEL: int(malignant[i])} for i in part
        ]
        splits = random_split([record[_LABEL] for record in records], HELD_OUT_SHARE, random_state)
        hospitals.append(HospitalRecords(hospital, records, splits))
    return hospitals


def schema(hospitals: Sequence[HospitalRecords] | None = None) -> DataSchema:
    """The packaged schema; or one with constants of the first of `hospitals`, its training records only."""
    if hospitals is None:
        return DataSchema.packaged(SCHEMA_NAME)
    reference = hospitals[0]
    training = [
        record for record, split in zip(reference.records, reference.splits, strict=True) if split == TRAIN
    ]
    names, _, _ = _patients()
    return fitted(SCHEMA_NAME, dict.fromkeys(names, ()), _LABEL, "> 0", training)


def _patients() -> tuple[list[str], np.ndarray, np.ndarray]:
    from sklearn.datasets import load_breast_cancer

    data = load_breast_cancer()
    return [str(name) for name in data.feature_names], data.data, data.target == 0
