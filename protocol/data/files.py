"""Files that only their owner may read, written whole or not at all."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from protocol.errors import DataError


def write_new(path: Path, content: bytes) -> None:
    """Writes a new file (mode 0600) to the disk itself. Raises `OSError`, `FileExistsError` among them."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def replace(path: Path, content: bytes) -> None:
    """Puts a file in the place of one, in one step. Raises `OSError`; the old one is still there then."""
    part = path.with_name(f".{path.name}.part")
    part.unlink(missing_ok=True)
    try:
        write_new(part, content)
        part.replace(path)
    except OSError:
        part.unlink(missing_ok=True)
        raise


def read(path: Path) -> bytes:
    """The content of a file. Raises `DataError` when it cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}.", "Restore it from a back-up.") from error


def read_small(path: Path, limit: int) -> bytes:
    """The content of a file that somebody names, of at most `limit` bytes. Raises `DataError`, also for a device or a
    pipe, of which nothing is read."""
    try:
        with open(path, "rb", opener=_without_waiting) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise DataError(f"{path.name} is not a regular file.")
            content = file.read(limit + 1)
    except OSError as error:
        raise DataError(f"{path.name} cannot be read: {error.strerror}.") from error
    if len(content) > limit:
        raise DataError(f"{path.name} is larger than {limit:,} bytes.")
    return content


def _without_waiting(path: str, flags: int) -> int:
    # A pipe would not open before somebody writes to it.
    return os.open(path, flags | os.O_NONBLOCK)
