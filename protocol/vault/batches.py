"""Batches: encrypted Parquet files of instances, written once.

    batches/000001.parquet    one row an instance; SCHEMA says which columns
    batches/changes           a mark that is another one after every change

Each file has a key of its own, derived from the vault's by its name, and its name is authenticated (Parquet modular
encryption, AES-GCM): none passes for another. Row groups are small, so that reading a few instances takes little
memory, and the columns of the index are read without those of the pixels. Beside the rows lies for each device its
signature over them.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from protocol.content import canonical
from protocol.errors import InvalidInput, VaultError
from protocol.vault import disk, parquet
from protocol.vault.sealed import Sealer

log = logging.getLogger(__name__)

#: Signs for a device: (its name, the message) -> the signature. Raises InvalidInput for one that it does not know, as
#: after a vault was restored elsewhere: the batch is then without a signature of that one.
Sign = Callable[[str, bytes], bytes]

SCHEMA = pa.schema(
    [
        ("uid", pa.string()), ("patient", pa.string()), ("device", pa.string()), ("modality", pa.string()),
        ("body_part", pa.string()), ("model", pa.string()), ("rows", pa.int32()), ("columns", pa.int32()),
        ("frames", pa.int32()), ("received_at", pa.int64()), ("sha256", pa.string()), ("report", pa.string()),
        ("content", pa.large_binary()),
    ]
)  # fmt: skip
INDEX_COLUMNS = [name for name in SCHEMA.names if name != "content"]
_SIGNATURES = b"salus/signatures"
_GROUP_BYTES, _GROUP_ROWS = 4 << 20, 256
#: One row group each at worst.
MAX_ROWS = parquet.MAX_GROUPS


@dataclass(frozen=True)
class Signature:
    """What a device's key signed of a batch: canonical JSON {batch, device, digest, instances}, the digest being
    SHA-256 over the SHA-256 of each of its DICOM files, in the batch's order."""

    message: bytes
    signature: bytes


class Batches:
    """The batches of a vault."""

    def __init__(self, folder: Path, sealer: Sealer) -> None:
        self.folder, self._sealer = folder, sealer

    def path(self, number: int) -> Path:
        return self.folder / f"{number:06d}.parquet"

    def states(self) -> dict[int, tuple[int, ...]]:
        """Each batch and what tells whether its file was replaced, by number. Raises VaultError."""
        found = {}
        if not self.folder.is_dir():
            raise VaultError(f"There is no {self.folder}.", "Restore the vault from a back-up.")
        with disk.reading(self.folder), os.scandir(self.folder) as entries:
            for entry in entries:
                name, _, kind = entry.name.partition(".")
                if name.isdecimal() and kind == "parquet":
                    state = entry.stat()
                    found[int(name)] = (state.st_ino, state.st_mtime_ns, state.st_size)
        return dict(sorted(found.items()))

    def mark(self) -> bytes:
        """Another one after every change, for whoever holds the vault's lock."""
        path = self.folder / "changes"
        return path.read_bytes() if path.exists() else b""

    def write(self, number: int, records: Iterable[Mapping[str, Any]], sign: Sign | None = None) -> None:
        """Writes a batch from rows with all of SCHEMA's columns, whole or not at all; few are in memory at a time.
        One that is there is replaced. Raises `OSError`."""
        digests: dict[str, list[bytes]] = {}

        def counted() -> Iterator[Mapping[str, Any]]:
            for record in records:
                digests.setdefault(record["device"], []).append(bytes.fromhex(record["sha256"]))
                yield record

        with self._writer(number) as writer:
            for group in _grouped(counted()):
                writer.write_table(pa.Table.from_pylist(group, schema=SCHEMA))
            _add_signatures(writer, _signed(number, digests, sign))

    def rewrite(self, number: int, without: Collection[str], sign: Sign | None = None) -> None:
        """Replaces a batch by one that lacks some instances, perhaps all. The devices that lose some sign anew, and
        without `sign` have no signature any more. Raises `OSError`."""
        kept = self.signatures(number)
        digests: dict[str, list[bytes]] = {}
        with self._opened(number) as file, self._writer(number) as writer:
            for group in range(file.metadata.num_row_groups):
                table = self._read(file, group, SCHEMA.names)
                gone = [uid in without for uid in table["uid"].to_pylist()]
                for device, out in zip(table["device"].to_pylist(), gone, strict=True):
                    if out:
                        kept.pop(device, None)
                table = table.filter(pa.array([not each for each in gone]))
                for device, digest in zip(
                    *(table[name].to_pylist() for name in ("device", "sha256")), strict=True
                ):
                    digests.setdefault(device, []).append(bytes.fromhex(digest))
                if len(table):
                    writer.write_table(table)
            lacking = {device: each for device, each in digests.items() if device not in kept}
            _add_signatures(writer, kept | _signed(number, lacking, sign))

    def index(self, number: int) -> pa.Table:
        """The rows of a batch without their content, with `group`, the row group that each is in. Raises VaultError,
        and FileNotFoundError."""
        with self._opened(number) as file:
            groups = [
                group
                for group in range(file.metadata.num_row_groups)
                for _ in range(file.metadata.row_group(group).num_rows)
            ]
            table = self._read(file, None, INDEX_COLUMNS)
        return table.append_column("group", pa.array(groups, pa.int32()))

    def contents(self, number: int, wanted: Mapping[str, int]) -> Iterator[tuple[str, bytes]]:
        """Those of the `wanted` (uid: row group) that are there, in the batch's order, a row group in memory at a time.
        Raises VaultError, and FileNotFoundError."""
        with self._opened(number) as file:
            groups = range(file.metadata.num_row_groups)
            for group in sorted(set(wanted.values()) & set(groups)):
                table = self._read(file, group, ["uid", "content"])
                for place, uid in enumerate(table["uid"].to_pylist()):
                    if uid in wanted:
                        yield uid, table["content"][place].as_py()

    def signatures(self, number: int) -> dict[str, Signature]:
        """Those of a batch, by device. Raises VaultError, and FileNotFoundError."""
        with self._opened(number) as file:
            stated = json.loads((file.metadata.metadata or {}).get(_SIGNATURES, b"{}"))
        return {
            device: Signature(message.encode("utf-8"), bytes.fromhex(signature))
            for device, (message, signature) in stated.items()
        }

    def verify(self, number: int) -> int:
        """Reads a batch, and checks each file against its SHA-256, and what the devices signed against those; how many
        files there are. Raises VaultError."""
        path = self.path(number)
        found = self.index(number).select(["uid", "group", "sha256", "device"]).to_pylist()
        digests = {each["uid"]: each["sha256"] for each in found}
        count = 0
        for uid, content in self.contents(number, {each["uid"]: each["group"] for each in found}):
            check_digest(content, digests[uid], path)
            count += 1
        if count != len(found):
            raise VaultError(f"{path} holds {count} files for {len(found)} rows.", parquet.RESTORE)
        for device, signature in self.signatures(number).items():
            own = (bytes.fromhex(each["sha256"]) for each in found if each["device"] == device)
            if json.loads(signature.message)["digest"] != digest_of(own):
                raise VaultError(f"{path}: what a device signed is not what is there.", parquet.RESTORE)
        return count

    @contextmanager
    def _writer(self, number: int) -> Iterator[pq.ParquetWriter]:
        # Before the change: who sees the mark of before has not seen the change either.
        mark = partial((self.folder / "changes").write_bytes, os.urandom(16))
        with parquet.writing(self.path(number), SCHEMA, self._key(number), ready=mark) as writer:
            yield writer

    @contextmanager
    def _opened(self, number: int) -> Iterator[pq.ParquetFile]:
        path = self.path(number)
        with parquet.intact(path), parquet.open_file(path, SCHEMA, self._key(number)) as file:
            yield file

    def _read(self, file: pq.ParquetFile, group: int | None, columns: list[str]) -> pa.Table:
        if group is None:
            return file.read(columns=columns, use_threads=False)
        return file.read_row_group(group, columns=columns, use_threads=False)

    def _key(self, number: int) -> bytes:
        return self._sealer.derive(f"vault/batch/{number}")


def _grouped(records: Iterable[Mapping[str, Any]]) -> Iterator[list[Mapping[str, Any]]]:
    group: list[Mapping[str, Any]] = []
    size = 0
    for record in records:
        if group and (size + len(record["content"]) > _GROUP_BYTES or len(group) == _GROUP_ROWS):
            yield group
            group, size = [], 0
        group.append(record)
        size += len(record["content"])
    if group:
        yield group


def digest_of(digests: Iterable[bytes]) -> str:
    """What a device signs: hexadecimal SHA-256 over those of its files."""
    return hashlib.sha256(b"".join(digests)).hexdigest()


def check_digest(content: bytes, sha256: str, path: Path) -> None:
    """Raises VaultError when a file (in ``path``) has another SHA-256 (hexadecimal)."""
    if hashlib.sha256(content).hexdigest() != sha256:
        raise VaultError(f"{path} holds a file that is not as it was.", parquet.RESTORE)


def _signed(number: int, digests: Mapping[str, list[bytes]], sign: Sign | None) -> dict[str, Signature]:
    """By device; none without a key."""
    signed = {}
    for device, each in sorted(digests.items()):
        message = canonical.dumps(
            {"batch": number, "device": device, "instances": len(each), "digest": digest_of(each)}
        )
        try:
            if sign is not None:
                signed[device] = Signature(message, sign(device, message))
        except InvalidInput as error:
            log.warning("batch %s is without a device's signature: %s", number, error)
    return signed


def _add_signatures(writer: pq.ParquetWriter, signatures: Mapping[str, Signature]) -> None:
    stated = {
        device: (each.message.decode("utf-8"), each.signature.hex()) for device, each in signatures.items()
    }
    writer.add_key_value_metadata({_SIGNATURES: json.dumps(stated)})
