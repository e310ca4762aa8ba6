"""Proofs as files. One of a record holds the record and its salt: for the hospital's auditor alone. One of an erasure
holds places and hashes: it tells of nobody, and may go to whoever asked for it.

    {"kind": "salus/record-proof", "dataset_id", "index", "count", "split", "salt", "record", "siblings"}
    {"kind": "salus/erasure-proof", "dataset_id", "version", "since", "count", "top", "places": {index: siblings}}
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from protocol.data import files
from protocol.data.dataset import RecordProof
from protocol.errors import DataError

KIND = "salus/record-proof"
ERASURE_KIND = "salus/erasure-proof"


@dataclass(frozen=True)
class ErasureProof:
    """Shows that a version holds nothing at some places: at each stands the empty leaf.

    ``version``: its number in the hospital's folder; ``since``: the first version from which all of them are empty, as
    the hospital states it; ``count``: leaves of the version; ``top``: their Merkle root; ``places``: the siblings of
    each index, from the leaves up.
    """

    version: int
    since: int
    count: int
    top: bytes
    places: dict[int, list[bytes]]


def save(path: Path, dataset_id: int, proof: RecordProof) -> None:
    """Writes a proof to a new file that only its owner may read. Raises DataError when it cannot."""
    _write(
        path,
        {
            "kind": KIND,
            "dataset_id": dataset_id,
            "index": proof.index,
            "count": proof.count,
            "split": proof.split,
            "salt": proof.salt.hex(),
            "record": proof.record,
            "siblings": [each.hex() for each in proof.siblings],
        },
    )


def save_erasure(path: Path, dataset_id: int, proof: ErasureProof) -> None:
    """Writes a proof of an erasure to a new file. Raises DataError when it cannot."""
    _write(
        path,
        {
            "kind": ERASURE_KIND,
            "dataset_id": dataset_id,
            "version": proof.version,
            "since": proof.since,
            "count": proof.count,
            "top": proof.top.hex(),
            "places": {
                str(index): [each.hex() for each in siblings] for index, siblings in proof.places.items()
            },
        },
    )


def load(path: Path) -> tuple[int, RecordProof | ErasureProof]:
    """The dataset that a proof file speaks of, and the proof. Raises DataError when it holds none."""
    try:
        document: dict[str, Any] = json.loads(files.read(path))
        if document["kind"] == ERASURE_KIND:
            return _whole(document["dataset_id"]), ErasureProof(
                version=_whole(document["version"]),
                since=_whole(document["since"]),
                count=_whole(document["count"]),
                top=bytes.fromhex(document["top"]),
                places={int(index): _hashes(each) for index, each in document["places"].items()},
            )
        if document["kind"] != KIND:
            raise ValueError(f"its kind is {str(document['kind'])[:40]!r}")
        return _whole(document["dataset_id"]), RecordProof(
            index=_whole(document["index"]),
            count=_whole(document["count"]),
            split=_whole(document["split"]),
            salt=bytes.fromhex(document["salt"]),
            record=dict(document["record"]),
            siblings=_hashes(document["siblings"]),
        )
    except KeyError as error:
        raise DataError(f"{path} is not a proof: {error} is missing.", _HOW) from None
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        # A record's proof holds a record: what the parser says could quote it.
        words = (
            error if type(error) is ValueError and "its kind" in str(error) else "it is not written as one"
        )
        raise DataError(f"{path} is not a proof: {words}.", _HOW) from None


_HOW = "`salus dataset verify --prove` makes one of a record, `--erased` one of an erasure."


def _whole(value: Any) -> int:
    if type(value) is not int:
        raise TypeError
    return value


def _hashes(values: Any) -> list[bytes]:
    return [bytes.fromhex(each) for each in values]


def _write(path: Path, document: dict[str, Any]) -> None:
    try:
        files.write_new(path, json.dumps(document, indent=2).encode("utf-8"))
    except OSError as error:
        raise DataError(f"{path} cannot be written: {error.strerror}.", "Choose another file.") from error
