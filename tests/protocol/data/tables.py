"""A small schema and tables for tests."""

from __future__ import annotations

from typing import Any

import numpy as np

from protocol.data.schema import DataSchema

DOCUMENT: dict[str, Any] = {
    "kind": "tabular",
    "name": "three-columns",
    "columns": [
        {"name": "age", "type": "number", "centre": 54, "scale": 9},
        {"name": "cp", "type": "category", "levels": [1, 2, 3], "centre": [0.25, 0.5], "scale": [0.5, 0.25]},
    ],
    "label": {"name": "num", "positive": "> 0"},
}
SCHEMA = DataSchema.parse(DOCUMENT)


def records(count: int, start: int = 0) -> list[dict[str, float]]:
    return [{"age": 30 + i / 8, "cp": 1 + i % 3, "num": i % 2} for i in range(start, start + count)]


def splits(count: int, held_out: int) -> np.ndarray:
    return np.array([0] * (count - held_out) + [1] * held_out, np.uint8)


def csv_of(rows: list[dict[str, Any]], **also: list[Any]) -> str:
    columns = [*rows[0], *also]
    lines = [",".join(columns)]
    for index, row in enumerate(rows):
        lines.append(
            ",".join(str(cell) for cell in [*row.values(), *(cells[index] for cells in also.values())])
        )
    return "\n".join(lines) + "\n"
