"""Proofs of single records as files. A proof holds the record and its salt: for the hospital's auditor alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from protocol.data import files
from protocol.data.dataset import RecordProof
from protocol.errors import DataError

KIND = "salus/record-proof"


def save(path: Path, dataset_id: int, proof: RecordProof) -> None:
    """Writes a proof to a new file that only its owner may read. Raises DataError when it cannot."""
    document = {
        "kind": KIND,
        "dataset_id": dataset_id,
        "index": proof.index,
        "count": proof.count,
        "split": proof.split,
        "salt": proof.salt.hex(),
        "record": proof.record,
        "siblings": [each.hex() for each in proof.siblings],
    }
    try:
        files.write_new(path, json.dumps(document, indent=2).encode("utf-8"))
    except OSError as error:
        raise DataError(f"{path} cannot be written: {error.strerror}.", "Choose another file.") from error


def load(path: Path) -> tuple[int, RecordProof]:
    """The dataset that a proof file speaks of, and the proof. Raises DataError when it holds none."""
    try:
        document: dict[str, Any] = json.loads(files.read(path))
        if document["kind"] != KIND:
            raise ValueError(f"its kind is {document['kind']!r}")
        return int(document["dataset_id"]), RecordProof(
            index=int(document["index"]),
            count=int(document["count"]),
            split=int(document["split"]),
            salt=bytes.fromhex(document["salt"]),
            record=dict(document["record"]),
            siblings=[bytes.fromhex(each) for each in document["siblings"]],
        )
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{path} is not a proof of a record: {error}.", "`salus dataset verify --prove` makes one."
        ) from error
