"""Using a model version: from a table to probabilities."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from protocol.data.schema import DataSchema
from protocol.data.table import read_csv
from protocol.errors import InvalidInput
from protocol.learning import metrics, zoo
from protocol.spec import JobSpec


def predictions(spec: JobSpec, state: np.ndarray, table: Path) -> np.ndarray:
    """Probabilities float64[n] (or float64[n, classes]) for the rows of a CSV table; it may lack the label column.

    ``state`` is int32[lanes]. The spec's schema encodes the table with the constants that every hospital used. Raises
    DataError, InvalidInput for a model of pictures, WrongLength.
    """
    if not isinstance(spec.schema, DataSchema):
        raise InvalidInput(
            f"The model takes pictures ({spec.schema.name}), not a table.",
            "Encode them with the spec's schema for `protocol.learning.metrics.predict`.",
        )
    records = read_csv(table, spec.schema, labelled=False).records
    encoded, _ = spec.schema.encode(records)
    return metrics.predict(spec, state, encoded)


def require_layout(spec: JobSpec, state: np.ndarray, what: str) -> None:
    """Raises InvalidInput unless a state int32[lanes] is as long as the spec's model."""
    lanes = zoo.layout(spec.model, spec.state).lanes
    if len(state) != lanes:
        raise InvalidInput(
            f"{what} holds {len(state):,} numbers; the spec's {spec.model.architecture} has {lanes:,}.",
            "Name the spec of a job on this model.",
        )
