"""Encrypted Parquet files, written whole or not at all.

Parquet modular encryption (AES-GCM, footer too): a file has a key of its own, and its name is authenticated, so none
passes for another.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow.parquet import encryption

from protocol.errors import VaultError
from protocol.vault import disk

#: Row groups are numbered with 15 bits in encrypted files.
MAX_GROUPS = 2**15 - 1
RESTORE = "Restore it from a back-up."


@contextmanager
def writing(
    path: Path,
    schema: pa.Schema,
    key: bytes,
    *,
    statistics: list[str] | bool = False,
    ready: Callable[[], object] = bool,
) -> Iterator[pq.ParquetWriter]:
    """A writer of a file, new or in the place of one, that is on the disk when this ends; `ready` is called just
    before. `statistics` names the columns whose least and greatest values the footer has. Raises `OSError`."""
    part = path.with_name(f".{path.name}.part")
    part.unlink(missing_ok=True)
    properties = encryption.create_encryption_properties(
        key, aad_prefix=path.name.encode(), store_aad_prefix=False
    )
    try:
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            # Statistics of a column of contents would hold whole ones.
            with pq.ParquetWriter(
                file, schema, encryption_properties=properties, compression="zstd", compression_level=1,
                use_dictionary=False, write_statistics=statistics,
            ) as writer:  # fmt: skip
                yield writer
            file.flush()
            os.fsync(file.fileno())
        ready()
        part.replace(path)
        disk.sync(path.parent)
    finally:
        part.unlink(missing_ok=True)


def open_file(path: Path, schema: pa.Schema, key: bytes) -> pq.ParquetFile:
    """A file to read, and to be closed: it stays as it is when another one takes its place. Raises VaultError, and
    FileNotFoundError."""
    properties = encryption.create_decryption_properties(key, aad_prefix=path.name.encode())
    with intact(path):
        file = pq.ParquetFile(path, decryption_properties=properties)
    if file.schema_arrow != schema:
        file.close()
        raise VaultError(f"{path} has other columns than it should.", RESTORE)
    return file


@contextmanager
def intact(path: Path) -> Iterator[None]:
    """Turns what pyarrow says of a damaged file into VaultError."""
    try:
        yield
    except FileNotFoundError:
        raise
    except (OSError, ValueError, pa.ArrowException) as error:
        raise VaultError(f"{path} does not open: it was altered.", RESTORE) from error
