"""A hospital's dataset: a folder that never leaves it, and a Merkle root that does.

    manifest.json   profile, versions (root, counts, evidence), id on the chain
    schema.json     the schema
    records.jsonl   one record a line, canonical JSON
    salts.bin       32 bytes a record
    splits.bin      one byte a record: 0 training, 1 held out
    split.key       decides on which side a patient's records fall
    patients.bin    16 bytes a record, the same for records of one patient; only where a column told patients apart

    record digest = sha256("salus/record" || salt || canonical JSON of the record)
    leaf          = sha256(0x00 || uint32be(n) || uint32be(index) || uint8(split) || record digest)

A salt is 32 random bytes, so a leaf tells nothing about its record; without the salt nobody can prove it. Records only
append. The manifest is written last, and bytes beyond what it counts do not count: a crash leaves the version before.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import platform
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Self

import numpy as np

from protocol.content import canonical, merkle
from protocol.content.cid import to_cid
from protocol.data import files
from protocol.data.schema import DataSchema
from protocol.data.splits import HELD_OUT, MIN_RECORDS, TRAIN
from protocol.data.versions import MANIFEST, Versioned, read_json, read_manifest, unwritten
from protocol.errors import DataError, InvalidInput

__all__ = ["HELD_OUT", "PROFILE", "TRAIN", "Dataset", "RecordProof", "leaf", "record_digest", "verify_record"]

#: Tables that the hospital anonymised, checked for columns and cells that look like identifiers.
PROFILE = "salus-tabular-1"
SALT_BYTES = 32
RECORD_TAG = b"salus/record"
PATIENTS = "patients.bin"
PATIENT_BYTES = 16
FORMAT = "salus/dataset/1"

_MAX_RECORDS = 2**32 - 1


@dataclass(frozen=True)
class RecordProof:
    """Shows that one record is in a version. It reveals the record and its salt: for the hospital's auditor, not the
    public."""

    index: int
    count: int
    split: int
    salt: bytes
    record: Mapping[str, Any]
    siblings: list[bytes]


def record_digest(salt: bytes, record: Mapping[str, Any]) -> bytes:
    """The salted digest of a record."""
    return hashlib.sha256(RECORD_TAG + salt + canonical.dumps(record)).digest()


def leaf(count: int, index: int, split: int, digest: bytes) -> bytes:
    """The leaf of record `index` of `count`."""
    place = count.to_bytes(4, "big") + index.to_bytes(4, "big") + bytes([split])
    return hashlib.sha256(merkle.LEAF_TAG + place + digest).digest()


def verify_record(root: bytes, proof: RecordProof) -> bool:
    """Whether the record of a proof is in the version with this root, at its index and split."""
    if (
        proof.split not in (TRAIN, HELD_OUT)
        or len(proof.salt) != SALT_BYTES
        or not 0 < proof.count <= _MAX_RECORDS
    ):
        return False
    if not 0 <= proof.index < proof.count:
        return False
    try:
        own = leaf(proof.count, proof.index, proof.split, record_digest(proof.salt, proof.record))
    except InvalidInput:
        # NaN, say: it has no canonical JSON, and no dataset took it.
        return False
    return merkle.verify(root, own, proof.index, proof.count, proof.siblings)


class Dataset(Versioned):
    """One version of a dataset folder. Get one with `create` or `open`."""

    def __init__(self, folder: Path, manifest: dict[str, Any], version: int) -> None:
        super().__init__(folder, manifest, version)
        self.schema = DataSchema.parse(read_json(folder / "schema.json"))
        if to_cid(self.schema.digest()) != manifest["schema"]:
            raise DataError(
                f"{folder}: schema.json is not the schema of this dataset.",
                "Restore the folder from a back-up.",
            )

    @classmethod
    def create(
        cls, folder: Path, schema: DataSchema, records: Sequence[Mapping[str, Any]], splits: np.ndarray,
        *, source: Mapping[str, Any] | None = None, split_key: bytes | None = None,
        patients: Sequence[str] | None = None,
    ) -> Self:  # fmt: skip
        """Checks records against the schema, salts them, and writes a new folder, whole or not at all.

        `splits` is uint8[n], 0 or 1. `source` goes into the evidence: how they were read and checked before. `patients`
        are pseudonyms, one a record: not they are kept, but a keyed hash of each, here alone.
        Raises `DataError`: the folder exists, a record does not fit, or a side has fewer than `MIN_RECORDS`.
        """
        if folder.exists():
            raise DataError(f"{folder} exists already.", "Append to that dataset, or choose another name.")
        lines, sides = _checked(schema, records, splits, 0)
        salts = os.urandom(SALT_BYTES * len(lines))
        key = split_key or os.urandom(32)
        manifest = {
            "format": FORMAT,
            "schema": to_cid(schema.digest()),
            "profile": PROFILE,
            "dataset_id": None,
            "versions": [_version(schema, lines, salts, sides, source)],
        }
        part: Path | None = None
        try:
            folder.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            part = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}-"))
            files.write_new(part / "schema.json", canonical.dumps(schema.to_dict()))
            files.write_new(part / "records.jsonl", b"".join(line + b"\n" for line in lines))
            files.write_new(part / "salts.bin", salts)
            files.write_new(part / "splits.bin", sides)
            files.write_new(part / "split.key", key)
            if patients is not None:
                files.write_new(part / PATIENTS, _patient_codes(patients, key, len(lines)))
            files.write_new(part / MANIFEST, json.dumps(manifest, indent=2).encode())
            part.rename(folder)
        except OSError as error:
            raise unwritten(folder, error) from error
        finally:
            if part is not None and part.exists():
                shutil.rmtree(part, ignore_errors=True)
        return cls.open(folder)

    @classmethod
    def open(cls, folder: Path, version: int | None = None) -> Self:
        """The latest version in a folder, or an earlier one (from 1). Raises `DataError` when there is none."""
        return cls(folder, *read_manifest(folder, FORMAT, version))

    def append(
        self,
        records: Sequence[Mapping[str, Any]],
        splits: np.ndarray,
        *,
        source: Mapping[str, Any] | None = None,
        patients: Sequence[str] | None = None,
    ) -> Self:
        """The next version: all records so far and these. Raises `DataError` as `create` does; nothing changed then.

        A dataset whose patients can be told apart needs `patients` for the new records too.
        """
        if self.version != len(self._manifest["versions"]):
            raise DataError(
                f"{self.folder}: version {self.version} is not the latest.", "Append to the latest version."
            )
        held, salts, sides = self._load()
        lines, new_sides = _checked(self.schema, records, splits, len(held))
        codes = self._patient_codes(len(held))
        if codes is not None:
            if patients is None:
                raise DataError(
                    f"{self.folder.name} tells patients apart; the new records do not.",
                    "Name the column of the pseudonyms, as when the dataset was made: --patient COLUMN.",
                )
            codes += _patient_codes(patients, self.split_key, len(lines))
        held, sides, salts = held + lines, sides + new_sides, salts + os.urandom(SALT_BYTES * len(lines))
        stated = _version(self.schema, held, salts, sides, source)
        manifest = {**self._manifest, "versions": [*self._manifest["versions"], stated]}
        try:
            for name, data in (
                ("records.jsonl", b"".join(line + b"\n" for line in held)), ("salts.bin", salts), ("splits.bin", sides),
                *([(PATIENTS, codes)] if codes is not None else []),
            ):  # fmt: skip
                files.replace(self.folder / name, data)
            files.replace(self.folder / MANIFEST, json.dumps(manifest, indent=2).encode())
        except OSError as error:
            raise unwritten(self.folder, error) from error
        return type(self).open(self.folder)

    def newest(self) -> Self:
        """The latest version in its folder now."""
        return type(self).open(self.folder)

    @property
    def split_key(self) -> bytes:
        """The secret that decides on which side a patient's records fall."""
        return files.read(self.folder / "split.key")

    def remember_id(self, dataset_id: int) -> None:
        """Notes the id that the registry gave."""
        manifest = self._with_id(dataset_id)
        try:
            files.replace(self.folder / MANIFEST, json.dumps(manifest, indent=2).encode())
        except OSError as error:
            raise unwritten(self.folder, error) from error
        self._manifest = manifest

    def evidence(self) -> bytes:
        """The evidence document of this version: how it was prepared, counts and tools; nothing about one patient."""
        return canonical.dumps(self._stated["evidence"])

    def arrays(self, split: int) -> tuple[np.ndarray, np.ndarray]:
        """Records of one split, encoded: float32[n, inputs] and labels float32[n]. Verifies the commitment first."""
        lines, _, sides = self.verify()
        chosen = [json.loads(line) for line, side in zip(lines, sides, strict=True) if side == split]
        return self.schema.encode(chosen)

    def patients(self, split: int) -> np.ndarray | None:
        """int64[n] for the records of one split in the order of `arrays`: the same number for records of one patient.
        None when nothing tells patients apart. The commitment does not bind it. Raises `DataError`."""
        count = self.train_records + self.held_out_records
        codes = self._patient_codes(count)
        if codes is None:
            return None
        sides = np.frombuffer(self._load()[2], np.uint8)
        each = np.frombuffer(codes, np.dtype((np.void, PATIENT_BYTES)))
        return np.unique(each[sides == split], return_inverse=True)[1]

    def verify(self) -> tuple[list[bytes], bytes, bytes]:
        """Recomputes the root; returns records (canonical JSON), salts, splits. Raises `DataError` when it differs."""
        lines, salts, sides = self._load()
        if merkle.root(_leaves(lines, salts, sides)) != self.root:
            raise DataError(
                f"{self.folder}: records, salts or splits are not those that version {self.version} committed to.",
                "Restore the folder from a back-up; an altered dataset cannot train.",
            )
        return lines, salts, sides

    def prove(self, index: int) -> RecordProof:
        """The proof of one record. Raises `DataError` when there is none."""
        lines, salts, sides = self.verify()
        if not 0 <= index < len(lines):
            raise DataError(f"There is no record {index}: version {self.version} has {len(lines)}.")
        siblings = merkle.Tree(_leaves(lines, salts, sides)).proof(index)
        return RecordProof(
            index, len(lines), sides[index], _salt(salts, index), json.loads(lines[index]), siblings
        )

    def _patient_codes(self, count: int) -> bytes | None:
        path = self.folder / PATIENTS
        if not path.exists():
            return None
        codes = files.read(path)[: count * PATIENT_BYTES]
        if len(codes) != count * PATIENT_BYTES:
            raise DataError(f"{path} is cut short.", "Restore the folder from a back-up.")
        return codes

    def _load(self) -> tuple[list[bytes], bytes, bytes]:
        count = self.train_records + self.held_out_records
        lines = files.read(self.folder / "records.jsonl").split(b"\n")[:-1][:count]
        salts = files.read(self.folder / "salts.bin")[: count * SALT_BYTES]
        sides = files.read(self.folder / "splits.bin")[:count]
        if len(lines) != count or len(salts) != count * SALT_BYTES or len(sides) != count:
            raise DataError(
                f"{self.folder}: records, salts or splits are cut short.",
                "Restore the folder from a back-up.",
            )
        return lines, salts, sides


def _checked(
    schema: DataSchema, records: Sequence[Mapping[str, Any]], splits: np.ndarray, before: int
) -> tuple[list[bytes], bytes]:
    if len(splits) != len(records) or not np.isin(splits, (TRAIN, HELD_OUT)).all():
        raise DataError("Each record needs a split: 0 for training or 1 for held out.")
    if before + len(records) > _MAX_RECORDS:
        raise DataError(f"A dataset holds at most {_MAX_RECORDS:,} records.")
    for index, record in enumerate(records, start=before):
        schema.check(record, f"Record {index}")
    return [canonical.dumps(dict(record)) for record in records], np.asarray(splits, np.uint8).tobytes()


def _patient_codes(patients: Sequence[str], key: bytes, count: int) -> bytes:
    if len(patients) != count or "" in patients:
        raise DataError("Each record needs the pseudonym of its patient.")
    return b"".join(
        hmac.new(key, b"salus/patient" + each.encode("utf-8"), hashlib.sha256).digest()[:PATIENT_BYTES]
        for each in patients
    )


def _version(
    schema: DataSchema, lines: list[bytes], salts: bytes, sides: bytes, source: Mapping[str, Any] | None
) -> dict[str, Any]:
    held_out = sum(sides)
    train = len(sides) - held_out
    if min(train, held_out) < MIN_RECORDS:
        raise DataError(
            f"{train} records for training and {held_out} held out: each needs at least {MIN_RECORDS}.",
            "A figure over fewer records could speak about one patient.",
        )
    return {
        "root": merkle.root(_leaves(lines, salts, sides)).hex(),
        "train_records": train,
        "held_out_records": held_out,
        "evidence": {
            "kind": "salus/evidence",
            "profile": PROFILE,
            "schema": to_cid(schema.digest()),
            "train_records": train,
            "held_out_records": held_out,
            "columns": len(schema.names),
            "source": dict(source or {}),
            "checks": [
                "identifier-names",
                "identifier-cells",
                "finite-numbers",
                "category-levels",
                "complete-records",
            ],
            "tools": {"python": platform.python_version(), "numpy": np.__version__, "salus": _own_version()},
        },
    }


def _leaves(lines: list[bytes], salts: bytes, sides: bytes) -> list[bytes]:
    # The lines are canonical JSON already: hashed as they are, they give what `record_digest` gives.
    count = len(lines)
    return [
        leaf(count, index, sides[index], hashlib.sha256(RECORD_TAG + _salt(salts, index) + line).digest())
        for index, line in enumerate(lines)
    ]


def _salt(salts: bytes, index: int) -> bytes:
    return salts[index * SALT_BYTES : (index + 1) * SALT_BYTES]


def _own_version() -> str:
    try:
        return metadata.version("salus")
    except metadata.PackageNotFoundError:
        return "checkout"
