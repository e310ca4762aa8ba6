"""What a record is: columns, and the constants that turn them into numbers, the same for every hospital.

    {"kind": "tabular", "name": "uci-heart-disease",
     "columns": [{"name": "age", "type": "number", "centre": 55.1, "scale": 8.9},
                 {"name": "cp", "type": "category", "levels": [1, 2, 3, 4], "centre": [0.1, …], "scale": [0.3, …]}],
     "label": {"name": "num", "positive": "> 0"}}

A number becomes (value - centre) / scale. A category becomes one indicator for each level but the first, each with its
own centre and scale.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any, Self

import numpy as np

from protocol.content import canonical
from protocol.content.cid import digest_of
from protocol.data import documents
from protocol.errors import DataError

MAX_COLUMNS = 4096
MAX_LEVELS = 256


@dataclass(frozen=True)
class Column:
    """A number (no `levels`; one centre and scale), or a category (a centre and scale for each level but the first)."""

    name: str
    levels: tuple[float, ...]
    centre: tuple[float, ...]
    scale: tuple[float, ...]

    @property
    def inputs(self) -> int:
        return len(self.centre)


@dataclass(frozen=True)
class DataSchema:
    """A tabular schema. Get one with `parse` or `packaged`."""

    name: str
    columns: tuple[Column, ...]
    label: str
    positive: str

    @classmethod
    def parse(cls, document: Any) -> Self:
        """The schema in a JSON document. Raises `DataError` that says where it is wrong."""
        schema = documents.of_kind(document, "tabular", "name", "columns", "label")
        columns = schema["columns"]
        if not isinstance(columns, list) or not 0 < len(columns) <= MAX_COLUMNS:
            documents.wrong("columns", f"must be a list of 1 to {MAX_COLUMNS}")
        label, positive = documents.label(schema["label"])
        parsed = cls(
            name=documents.text(schema["name"], "name"),
            columns=tuple(_column(each, f"columns.{index}") for index, each in enumerate(columns)),
            label=label,
            positive=positive,
        )
        documents.refuse_identifiers(parsed.names)
        if len(set(parsed.names)) != len(parsed.names):
            documents.wrong("columns", "two have the same name")
        return parsed

    @classmethod
    def packaged(cls, name: str) -> Self:
        """The schema of this name that comes with Salus. Raises `DataError` that lists those there are."""
        return cls.parse(packaged_document(name))

    def to_dict(self) -> dict[str, Any]:
        """The document of which `parse` makes the same schema."""
        return {
            "kind": "tabular",
            "name": self.name,
            "columns": [_column_document(column) for column in self.columns],
            "label": {"name": self.label, "positive": self.positive},
        }

    def digest(self) -> bytes:
        """The digest (32 bytes) of the canonical document: `schemaDigest` on the chain."""
        return digest_of(canonical.dumps(self.to_dict()))

    @property
    def names(self) -> list[str]:
        """Names of the columns, the label last."""
        return [*(column.name for column in self.columns), self.label]

    @property
    def inputs(self) -> int:
        """Width of an encoded record."""
        return sum(column.inputs for column in self.columns)

    @property
    def shape(self) -> tuple[int]:
        """Of an encoded record."""
        return (self.inputs,)

    def check(self, record: Mapping[str, Any], where: str) -> None:
        """Raises `DataError` naming `where` and the column, never the value, unless `record` has exactly the schema's
        columns, each a finite number, and of a category one of its levels."""
        if missing := [name for name in self.names if name not in record]:
            raise DataError(f"{where}: column {missing[0]!r} is missing.")
        if len(record) > len(self.names):
            raise DataError(f"{where}: there are columns that the schema {self.name} does not name.")
        for name in self.names:
            value = record[name]
            if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
                raise DataError(f"{where}, column {name!r}: not a finite number.")
            if abs(value) > 2**53:
                raise DataError(f"{where}, column {name!r}: beyond 2^53.")
        for column in self.columns:
            if column.levels and record[column.name] not in column.levels:
                raise DataError(
                    f"{where}, column {column.name!r}: not one of the schema's levels.",
                    f"Levels are {', '.join(f'{level:g}' for level in column.levels)}.",
                )

    def encode(self, records: Sequence[Mapping[str, Any]]) -> tuple[np.ndarray, np.ndarray]:
        """Records as float32[n, inputs] and labels (0 or 1) as float32[n]. Raises `DataError` as `check` does."""
        for index, record in enumerate(records):
            self.check(record, f"Record {index}")
        parts = [self._encoded(column, records) for column in self.columns]
        labels = np.array([self.is_positive(record) for record in records], np.float32)
        encoded = np.concatenate(parts, axis=1) if records else np.empty((0, self.inputs))
        return encoded.astype(np.float32), labels

    def is_positive(self, record: Mapping[str, Any]) -> bool:
        """Whether a record's label is positive."""
        return documents.holds(self.positive, record[self.label])

    @staticmethod
    def _encoded(column: Column, records: Sequence[Mapping[str, Any]]) -> np.ndarray:
        values = np.array([record[column.name] for record in records], np.float64)[:, None]
        if column.levels:
            values = (values == np.array(column.levels[1:])).astype(np.float64)
        return (values - np.array(column.centre)) / np.array(column.scale)


def packaged_document(name: str) -> Any:
    """The document of the schema of this name. Raises `DataError` that lists those there are."""
    if name not in packaged_names():
        raise DataError(
            f"There is no packaged schema {name!r}.", f"There are: {', '.join(packaged_names())}."
        )
    text = resources.files("protocol").joinpath(f"data/schemas/{name}.json").read_text(encoding="utf-8")
    return json.loads(text)


def packaged_names() -> list[str]:
    """Names of the schemas that come with Salus."""
    folder = resources.files("protocol").joinpath("data/schemas")
    return sorted(
        entry.name.removesuffix(".json") for entry in folder.iterdir() if entry.name.endswith(".json")
    )


def fitted(name: str, columns: Mapping[str, Sequence[float]], label: str, positive: str,
           records: Sequence[Mapping[str, Any]]) -> DataSchema:  # fmt: skip
    """A schema whose constants are the means and standard deviations (of a sample) of these records, to six digits.

    `columns` gives each column's levels, none for a number. Means over one hospital's training records, published once,
    make the same numbers everywhere; a constant column gets scale 1.
    """
    made = []
    for column, levels in columns.items():
        values = np.array([record[column] for record in records], np.float64)[:, None]
        if levels:
            values = (values == np.array(levels[1:])).astype(np.float64)
        centre = tuple(float(f"{mean:.6g}") for mean in values.mean(axis=0))
        scale = tuple(float(f"{deviation:.6g}") or 1.0 for deviation in values.std(axis=0, ddof=1))
        made.append(Column(column, tuple(levels), centre, scale))
    return DataSchema(name, tuple(made), label, positive)


def _column(document: Any, path: str) -> Column:
    if not isinstance(document, dict) or document.get("type") not in ("number", "category"):
        documents.wrong(path, 'must be an object whose type is "number" or "category"')
    if document["type"] == "number":
        column = documents.fields(document, path, "name", "type", "centre", "scale")
        levels: tuple[float, ...] = ()
        centre, scale = [column["centre"]], [column["scale"]]
    else:
        column = documents.fields(document, path, "name", "type", "levels", "centre", "scale")
        levels = documents.numbers(column["levels"], f"{path}.levels")
        if not 2 <= len(levels) <= MAX_LEVELS or list(levels) != sorted(set(levels)):
            documents.wrong(f"{path}.levels", f"must be 2 to {MAX_LEVELS} numbers, rising")
        centre, scale = column["centre"], column["scale"]
    made = Column(
        documents.text(column["name"], f"{path}.name"),
        levels,
        documents.numbers(centre, f"{path}.centre"),
        documents.numbers(scale, f"{path}.scale"),
    )
    if len(made.centre) != max(len(levels) - 1, 1) or len(made.scale) != len(made.centre):
        documents.wrong(path, "needs a centre and a scale for each level but the first")
    if min(made.scale) <= 0:
        documents.wrong(f"{path}.scale", "must be above zero")
    return made


def _column_document(column: Column) -> dict[str, Any]:
    if not column.levels:
        return {"name": column.name, "type": "number", "centre": column.centre[0], "scale": column.scale[0]}
    return {
        "name": column.name,
        "type": "category",
        "levels": list(column.levels),
        "centre": list(column.centre),
        "scale": list(column.scale),
    }
