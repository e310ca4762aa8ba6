"""A hospital's records in the bench of scale: drawn, and committed to in a process that does nothing else.

python scripts/scale_hospital.py commit|verify     orders as JSON on standard input, figures as JSON on standard output

Its own file, because what measures chain and training brings in libraries of hundreds of megabytes.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np

from protocol.data.schema import DataSchema
from protocol.vault.record_dataset import RecordDataset
from protocol.vault.segments import SEGMENT_RECORDS
from protocol.vault.store import Vault, folder_of

MB = 2**20
COMMITTED, APPENDED = 43, 44  # seeds

Row = tuple[str, dict[str, Any]]
_COLUMNS = ("age_band", "sex", "smoker", "bmi", "systolic", "diastolic", "hba1c", "diabetes")
_WARM_UP = 200
_PIECE = 4_096

SCHEMA = DataSchema.parse(
    {
        "kind": "tabular",
        "name": "scale",
        "columns": [
            {"name": "age_band", "type": "category", "levels": list(range(9)), "centre": [0.1] * 8, "scale": [0.3] * 8},
            {"name": "sex", "type": "category", "levels": [0, 1], "centre": [0.5], "scale": [0.5]},
            {"name": "smoker", "type": "category", "levels": [0, 1], "centre": [0.2], "scale": [0.4]},
            {"name": "bmi", "type": "number", "centre": 27.0, "scale": 5.0},
            {"name": "systolic", "type": "number", "centre": 130.0, "scale": 17.0},
            {"name": "diastolic", "type": "number", "centre": 78.0, "scale": 11.0},
            {"name": "hba1c", "type": "number", "centre": 5.7, "scale": 0.9},
        ],
        "label": {"name": "diabetes", "positive": "== 1"},
    }
)  # fmt: skip


@dataclass(frozen=True)
class Order:
    """A dataset to be made: of ``records`` records, in ``home``, sealed under ``key`` (hexadecimal)."""

    home: str
    key: str
    number: int
    records: int
    segment_records: int = SEGMENT_RECORDS

    @classmethod
    def read(cls, document: dict[str, Any]) -> Self:
        return cls(**document)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @property
    def folder(self) -> Path:
        return Path(self.home) / "datasets" / "scale"

    @property
    def vault(self) -> Vault:
        # Under a key that was drawn: a password would take each process a third of a second.
        return Vault(folder_of(Path(self.home)), bytes.fromhex(self.key))

    def dataset(self) -> RecordDataset:
        """As it is on the disk now."""
        return RecordDataset.open(self.folder, vault=self.vault)


def pseudonym(patient: int) -> str:
    """As long as a real one."""
    return f"{patient:032x}"


def rows(count: int, seed: Sequence[int], first: int = 0) -> Iterator[Row]:
    """Drawn records of one patient each, the patients numbered from ``first``."""
    draw = np.random.default_rng(seed)
    for start in range(0, count, _PIECE):
        size = min(_PIECE, count - start)
        age = draw.integers(0, 9, size)
        bmi = np.round(draw.normal(24 + age / 2, 4, size), 1)
        hba1c = np.round(draw.normal(5.2 + age / 15, 0.6, size), 2)
        columns = (
            age, draw.integers(0, 2, size), draw.integers(0, 2, size), bmi, draw.integers(95, 190, size),
            draw.integers(55, 110, size), hba1c, (hba1c > 6.4).astype(int),
        )  # fmt: skip
        lists = (column.tolist() for column in columns)
        for place, values in enumerate(zip(*lists, strict=True), start=first + start):
            yield pseudonym(place), dict(zip(_COLUMNS, values, strict=True))


def commit(orders: Sequence[Order]) -> dict[str, float]:
    """Makes datasets one after the other. Seconds by the wall and of a core, and memory at most, before and while."""
    with tempfile.TemporaryDirectory(prefix="salus-scale-") as home:
        _create(Order(home, orders[0].key, 0, _WARM_UP))
    before, began, worked = _peak_mb(), time.perf_counter(), time.process_time()
    for order in orders:
        _create(order)
    return {
        "seconds": time.perf_counter() - began,
        "core_seconds": time.process_time() - worked,
        "before_mb": before,
        "peak_mb": _peak_mb(),
    }


def verify(orders: Sequence[Order]) -> dict[str, float]:
    """Recomputes the root of each. Seconds by the wall and of a core."""
    began, worked = time.perf_counter(), time.process_time()
    for order in orders:
        order.dataset().verify()
    return {"seconds": time.perf_counter() - began, "core_seconds": time.process_time() - worked}


def _create(order: Order) -> None:
    RecordDataset.create(
        order.folder,
        SCHEMA,
        rows(order.records, [COMMITTED, order.number]),
        order.vault,
        source={"cohort": "scale", "rows": order.records},
        segment_records=order.segment_records,
    )


def _peak_mb() -> float:
    """The most memory that this process has had. getrusage would count its parent's at the fork too."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) * 1024 / MB


def main() -> None:
    orders = [Order.read(each) for each in json.load(sys.stdin)]
    print(json.dumps({"commit": commit, "verify": verify}[sys.argv[1]](orders)))


if __name__ == "__main__":
    main()
