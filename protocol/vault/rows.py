"""Rows of a table by the thousand: checked, written as canonical JSON, and encoded, column by column.

What comes out is what `DataSchema.check`, `canonical.dumps` and `DataSchema.encode` give of each row by itself; a
million rows would take them minutes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import chain
from operator import itemgetter
from typing import Any

import numpy as np

from protocol.content import canonical
from protocol.data.schema import DataSchema
from protocol.errors import DataError

# Texts of numbers that are kept: columns have few values, or else none of them comes again.
_TEXTS = 1 << 16


class Rows:
    """Rows of one schema, as float64[n, columns], the columns in the order of canonical JSON."""

    def __init__(self, schema: DataSchema) -> None:
        self.schema = schema
        # RFC 8785 sorts names by UTF-16 code units.
        self.names: list[str] = list(json.loads(canonical.dumps(dict.fromkeys(schema.names, 0))))
        keys = (canonical.dumps(name).decode("utf-8").replace("%", "%%") for name in self.names)
        self._line = "{" + ",".join(f"{key}:%s" for key in keys) + "}"
        self._pick = itemgetter(*self.names)
        self._places = {name: place for place, name in enumerate(self.names)}
        self._levels = [
            (self._places[column.name], np.array(column.levels)) for column in schema.columns if column.levels
        ]
        self._texts = _Texts()

    def values(self, records: Sequence[Mapping[str, Any]], first: int) -> np.ndarray:
        """Checked records as numbers. Raises `DataError` as `DataSchema.check` does, naming a record by its place, the
        first being ``first``."""
        try:
            rows = list(map(self._pick, records))
            plain = set(map(type, chain.from_iterable(rows))) <= {int, float}
            values = np.array(rows, np.float64).reshape(len(rows), len(self.names))
            sound = plain and set(map(len, records)) <= {len(self.names)} and self._sound(values)
        except (KeyError, TypeError, ValueError, OverflowError):
            sound = False
        if sound:
            return values
        for place, record in enumerate(records, start=first):
            try:
                self.schema.check(record, f"Record {place}")
            except OverflowError:
                raise DataError(f"Record {place}: a number is beyond 2^53.") from None
        # Numbers of other types than Python's own.
        return np.array([self._pick(record) for record in records], np.float64)

    def lines(self, values: np.ndarray) -> list[bytes]:
        """Canonical JSON of each row."""
        texts = [list(map(self._texts.__getitem__, column)) for column in values.T.tolist()]
        line = self._line
        return [(line % row).encode() for row in zip(*texts, strict=True)]

    def records(self, values: np.ndarray) -> list[dict[str, float]]:
        """Each row as a record."""
        return [json.loads(line) for line in self.lines(values)]

    def encode(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """float32[n, inputs], and labels float32[n]."""
        parts = []
        for column in self.schema.columns:
            part = values[:, [self._places[column.name]]]
            if column.levels:
                part = (part == np.array(column.levels[1:])).astype(np.float64)
            parts.append((part - np.array(column.centre)) / np.array(column.scale))
        seen, which = np.unique(values[:, self._places[self.schema.label]], return_inverse=True)
        positive = [self.schema.is_positive({self.schema.label: value}) for value in seen.tolist()]
        return np.concatenate(parts, axis=1).astype(np.float32), np.array(positive, np.float32)[which]

    def _sound(self, values: np.ndarray) -> bool:
        # Not a number compares as false.
        return bool((np.abs(values) < 2.0**53).all()) and all(
            np.isin(values[:, place], levels).all() for place, levels in self._levels
        )


class _Texts(dict[float, str]):
    """How RFC 8785 writes a finite number of at most 2^53."""

    def __missing__(self, value: float) -> str:
        if len(self) >= _TEXTS:
            self.clear()
        if value.is_integer():
            text = str(int(value))
        else:
            text = repr(value)
            # Python turns to exponents before 1e-6.
            if "e" in text:
                text = canonical.dumps(value).decode("ascii")
        self[value] = text
        return text
