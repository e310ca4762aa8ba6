"""The evidence of a version of a dataset of records: counts, what was checked, and where the rows come from.

    {"kind": "salus/evidence", "profile": "salus-fhir-1", "schema": its CID, "root": in hex, "columns": n,
     "train_records": n, "held_out_records": n, "withdrawn": places without a record,
     "source": what the cohort says of itself, "checks": […], "tools": {"python": version, …}}

Counts alone: nothing in it is one patient's. Where sums would differ from an earlier version's by the records of too
few patients, as after a withdrawal, the source is {"sums": false}.
"""

from __future__ import annotations

import platform
from collections.abc import Mapping
from importlib import metadata
from typing import TYPE_CHECKING, Any

import numpy as np

from protocol.content import canonical
from protocol.content.cid import digest_of, to_cid
from protocol.data.schema import DataSchema
from protocol.data.splits import HELD_OUT, TRAIN
from protocol.errors import DataError, InvalidInput

if TYPE_CHECKING:
    from protocol.vault.evidence import Audit
    from protocol.vault.record_dataset import RecordDataset

#: De-identified FHIR, made into a table by a reviewed mapping.
PROFILE = "salus-fhir-1"
NO_SUMS = {"sums": False}
CHECKS = ["finite-numbers", "category-levels", "complete-records", "split-by-patient"]
# What the rest of a document takes of the one block that it may have.
_REST_BYTES = 4_096


def check_source(source: Mapping[str, Any]) -> None:
    """Raises `DataError` for what cannot go into a document."""
    try:
        size = len(canonical.dumps(dict(source)))
    except InvalidInput as error:
        raise DataError(f"The report of the cohort cannot go into the evidence: {error.message}") from None
    if size > canonical.MAX_DOCUMENT_BYTES - _REST_BYTES:
        raise DataError(
            f"The report of the cohort has {size:,} bytes, too many for the evidence.",
            f"It must leave {_REST_BYTES:,} bytes of {canonical.MAX_DOCUMENT_BYTES:,}.",
        )


def make(schema: DataSchema, profile: str, *, root: bytes, leaves: int, sides: tuple[int, int],
         source: Mapping[str, Any] | None) -> bytes:  # fmt: skip
    """The document of a version, as canonical JSON. ``leaves``: how many there are, of withdrawn records too;
    ``sides``: records by split; ``source``: None where it may say nothing."""
    return canonical.dumps(
        {
            "kind": "salus/evidence",
            "profile": profile,
            "schema": to_cid(schema.digest()),
            "root": root.hex(),
            "columns": len(schema.names),
            "train_records": sides[TRAIN],
            "held_out_records": sides[HELD_OUT],
            "withdrawn": leaves - sum(sides),
            "source": NO_SUMS if source is None else dict(source),
            "checks": CHECKS,
            "tools": {"python": platform.python_version(), "numpy": np.__version__, "salus": _own_version()},
        }
    )


def audit(dataset: RecordDataset) -> Audit:
    """Makes the evidence of a version again: root and counts held against the records that are there, the source as it
    was stated. Raises `DataError` as `RecordDataset.verify` does, VaultError."""
    from protocol.vault.evidence import Audit  # its libraries for images take half a second to import

    before = canonical.loads(stated := dataset.evidence())
    dataset.verify()
    source = None if before["source"] == NO_SUMS else before["source"]
    found = make(
        dataset.schema,
        dataset.profile,
        root=dataset.root,
        leaves=dataset.leaves,
        sides=(dataset.train_records, dataset.held_out_records),
        source=source,
    )
    now = canonical.loads(found)
    differing = [name for name in sorted(before | now) if before.get(name) != now.get(name)]
    return Audit(digest_of(stated), digest_of(found), differing, now)


def _own_version() -> str:
    try:
        return metadata.version("salus")
    except metadata.PackageNotFoundError:
        return "checkout"
