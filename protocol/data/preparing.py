"""From a hospital's CSV table to its dataset: read, split, salt, commit."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from protocol.data.dataset import Dataset
from protocol.data.schema import DataSchema
from protocol.data.splits import HELD_OUT, TRAIN, patient_split, random_split
from protocol.data.table import SPLIT_COLUMN, Table, read_csv
from protocol.errors import DataError

_SIDES = {"train": TRAIN, "held_out": HELD_OUT}


def prepare(
    folder: Path,
    schema: DataSchema,
    csv: Path,
    *,
    held_out: float = 0.34,
    seed: int = 43,
    patient: str | None = None,
) -> Dataset:
    """A new dataset folder from a CSV table.

    A column named `split` (train, held_out) decides the sides. Else the column `patient` does: a keyed hash puts all
    of a patient's records on one side. Else `held_out` of the records are drawn, stratified by label. The pseudonyms in
    `patient` are not kept; a keyed hash of each is, in the folder, so that a patient can be the unit of differential
    privacy. Raises `DataError`; nothing is written then.
    """
    table = _read(csv, schema, patient)
    key = os.urandom(32)
    splits = _splits(csv, schema, table, held_out, seed, patient, key)
    patients = table.also[patient] if patient is not None else None
    return Dataset.create(
        folder, schema, table.records, splits, source=table.evidence(), split_key=key, patients=patients
    )


def extend(
    folder: Path, csv: Path, *, held_out: float = 0.34, seed: int = 43, patient: str | None = None
) -> Dataset:
    """The next version of a dataset folder, with the records of one more table; all else as in `prepare`."""
    dataset = Dataset.open(folder)
    table = _read(csv, dataset.schema, patient)
    splits = _splits(csv, dataset.schema, table, held_out, seed, patient, dataset.split_key)
    patients = table.also[patient] if patient is not None else None
    return dataset.append(table.records, splits, source=table.evidence(), patients=patients)


def _read(csv: Path, schema: DataSchema, patient: str | None) -> Table:
    if patient is not None and patient in schema.names:
        raise DataError(f"The column {patient!r} is part of the schema and cannot tell patients apart.")
    table = read_csv(csv, schema, also=(SPLIT_COLUMN, *([patient] if patient else [])))
    if patient is not None and patient not in table.also:
        raise DataError(f"{csv.name} has no column {patient!r} to tell patients apart.")
    return table


def _splits(
    csv: Path, schema: DataSchema, table: Table, held_out: float, seed: int, patient: str | None, key: bytes
) -> np.ndarray:
    if SPLIT_COLUMN in table.also:
        sides = table.also[SPLIT_COLUMN]
        wrong = next((row for row, side in enumerate(sides, 1) if side not in _SIDES), None)
        if wrong is not None:
            raise DataError(f"{csv.name}, row {wrong}, column {SPLIT_COLUMN!r}: neither train nor held_out.")
        splits = np.array([_SIDES[side] for side in sides], np.uint8)
        if patient is not None:
            _refuse_split_patients(csv, table.also[patient], splits)
        return splits
    if patient is not None:
        pseudonyms = table.also[patient]
        if "" in pseudonyms:
            raise DataError(f"{csv.name}, row {pseudonyms.index('') + 1}, column {patient!r}: missing.")
        return patient_split(pseudonyms, held_out, key)
    return random_split([int(schema.is_positive(record)) for record in table.records], held_out, seed)


def _refuse_split_patients(csv: Path, patients: list[str], splits: np.ndarray) -> None:
    sides: dict[str, int] = {}
    for row, (patient, side) in enumerate(zip(patients, splits.tolist(), strict=True), start=1):
        if sides.setdefault(patient, side) != side:
            raise DataError(
                f"{csv.name}, row {row}: this patient has records on both sides of the split.",
                "Splits are by patient: put all records of one patient on one side.",
            )
