"""Rows of patients, as tests of datasets of records need them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from protocol.data.schema import DataSchema
from protocol.vault import segments
from protocol.vault.next_records import sealer_of
from protocol.vault.record_dataset import RecordDataset
from protocol.vault.store import Vault

PATIENTS = 60
#: Of 60 patients the draw leaves each side its ten records, but once in millions of times.
SHARE = 0.5
#: Three segments and a piece of a fourth.
SEGMENT = 16

SCHEMA = DataSchema.parse(
    {
        "kind": "tabular",
        "name": "blood-pressure",
        "columns": [
            {"name": "systolic", "type": "number", "centre": 130.0, "scale": 15.0},
            {"name": "hba1c %", "type": "number", "centre": 5.5, "scale": 0.7},
            {"name": "âge", "type": "category", "levels": [0, 1, 2], "centre": [0.3, 0.3], "scale": [0.5, 0.5]},
        ],
        "label": {"name": "event", "positive": "> 0"},
    }
)  # fmt: skip

Row = tuple[str, dict[str, Any]]


def record(number: int) -> dict[str, Any]:
    """Of any whole number one record, mostly another than of the next."""
    return {
        "event": number % 2,
        "systolic": 100 + number % 61,
        "âge": number % 3,
        "hba1c %": 4 + number / 128,
    }


def rows(patients: Iterable[int], each: int = 1) -> Iterator[Row]:
    """``each`` records of every patient."""
    for patient in patients:
        for number in range(each):
            yield pseudonym(patient), record(7 * patient + number)


def pseudonym(patient: int) -> str:
    return f"patient-{patient}"


def made(home: Path, vault: Vault, some: Any, **changes: Any) -> RecordDataset:
    given = {"held_out": SHARE, "source": {"rows": 60}, "segment_records": SEGMENT, **changes}
    return RecordDataset.create(home / "datasets" / "cohort", SCHEMA, some, vault, **given)


def again(dataset: RecordDataset, vault: Vault, version: int | None = None) -> RecordDataset:
    return RecordDataset.open(dataset.folder, version, vault=vault)


def files_of(dataset: RecordDataset) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (dataset.folder / segments.FOLDER).iterdir()}


def salts_on_disk(dataset: RecordDataset, vault: Vault) -> set[bytes]:
    """Every salt that whoever has the vault's key could still read."""
    found: set[bytes] = set()
    for name in files_of(dataset):
        path = dataset.folder / segments.FOLDER / name
        content = path.read_bytes()
        body = content[4 + int.from_bytes(content[:4], "big") :]
        body = sealer_of(vault).open(body, f"{name}/body".encode())
        count = int.from_bytes(body[:4], "big")
        found |= {body[8 + 32 * place : 40 + 32 * place] for place in range(count)}
    return found
