"""UCI Heart Disease at its four hospitals, rows and split as in FLamby's Fed-Heart-Disease (du Terrail et al. 2022).

Columns 10 to 12 are dropped, then rows with a missing value; the split is 66 % training, stratified where possible,
random state 43. Unlike FLamby, every hospital uses the same constants: means and deviations of Cleveland's training
records, which Cleveland publishes in the schema, so that a hospital without data of its own can predict.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from protocol.data import catalogue
from protocol.data.schema import DataSchema, fitted
from protocol.data.splits import TRAIN, HospitalRecords, random_split

SCHEMA_NAME = "uci-heart-disease"
RANDOM_STATE = 43
HELD_OUT_SHARE = 1.0 - 0.66

#: Where each hospital's rows lie; the first publishes the constants.
FILES = {
    "cleveland": "processed.cleveland.data",
    "hungary": "processed.hungarian.data",
    "switzerland": "processed.switzerland.data",
    "long-beach": "processed.va.data",
}
_FILE_COLUMNS = ("age", "sex", "cp", "trestbps", "chol", "fbs", "restecg", "thalach", "exang", "oldpeak",
                 "slope", "ca", "thal", "num")  # fmt: skip
_DROPPED = ("slope", "ca", "thal")
_LABEL = "num"
#: In FLamby's order: numbers first, then the categories with the levels that occur over all hospitals.
_COLUMNS: dict[str, tuple[float, ...]] = {
    "age": (), "sex": (), "trestbps": (), "chol": (), "fbs": (), "thalach": (), "exang": (), "oldpeak": (),
    "cp": (1, 2, 3, 4), "restecg": (0, 1, 2),
}  # fmt: skip


def load(random_state: int = RANDOM_STATE) -> list[HospitalRecords]:
    """The four hospitals. Raises `DataUnavailable`."""
    folder = catalogue.find("heart-disease")
    return [_hospital(name, folder / file, random_state) for name, file in FILES.items()]


def schema(hospitals: Sequence[HospitalRecords] | None = None) -> DataSchema:
    """The packaged schema; or one with constants of the first of `hospitals`, its training records only."""
    if hospitals is None:
        return DataSchema.packaged(SCHEMA_NAME)
    reference = hospitals[0]
    training = [
        record for record, split in zip(reference.records, reference.splits, strict=True) if split == TRAIN
    ]
    return fitted(SCHEMA_NAME, _COLUMNS, _LABEL, "> 0", training)


def _hospital(name: str, path: Path, random_state: int) -> HospitalRecords:
    records = []
    for line in path.read_text(encoding="ascii").splitlines():
        cells = dict(zip(_FILE_COLUMNS, line.split(","), strict=True))
        kept = {column: cell for column, cell in cells.items() if column not in _DROPPED}
        if "?" not in kept.values():
            records.append({column: float(cell) for column, cell in kept.items()})
    labels = [int(record[_LABEL] > 0) for record in records]
    return HospitalRecords(name, records, random_split(labels, HELD_OUT_SHARE, random_state))
