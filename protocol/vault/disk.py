"""Files that are on the disk when a call returns, their names too."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from protocol.data import files
from protocol.errors import VaultError

#: Large deliveries take minutes to be written.
PATIENCE_SECONDS = 600


def put(path: Path, content: bytes) -> None:
    """Writes a file (mode 0600), new or in the place of one, whole or not at all. Raises `OSError`."""
    files.replace(path, content)
    sync(path.parent)


def read(path: Path) -> bytes:
    """The content of a file. Raises FileNotFoundError, and VaultError when it cannot be read."""
    with reading(path):
        return path.read_bytes()


def remove(paths: Iterable[Path]) -> None:
    """Removes files of one folder; those that are gone are no matter. Raises `OSError`."""
    folders = set()
    for path in paths:
        path.unlink(missing_ok=True)
        folders.add(path.parent)
    for folder in folders:
        sync(folder)


def sync(folder: Path) -> None:
    """Puts the names in a folder on the disk: what was renamed or removed stays so after a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def taken(lock: FileLock, folder: Path) -> AbstractContextManager[object]:
    """The lock of a folder, once whoever writes there has ended. Raises VaultError after ten minutes."""
    try:
        return lock.acquire(timeout=PATIENCE_SECONDS)
    except Timeout as error:
        raise VaultError(
            f"Another process has been writing to {folder} for {PATIENCE_SECONDS} seconds.",
            "Wait for it, or stop it.",
        ) from error


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turns `OSError` into VaultError, but for FileNotFoundError: ``path`` cannot be read."""
    try:
        yield
    except FileNotFoundError:
        raise
    except OSError as error:
        raise VaultError(f"{path} cannot be read: {error.strerror}.", "Restore it from a back-up.") from error


@contextmanager
def writing(what: str) -> Iterator[None]:
    """Turns `OSError` into VaultError: ``what`` cannot be written."""
    try:
        yield
    except OSError as error:
        raise VaultError(
            f"{what} cannot be written: {error.strerror}.",
            "Is the disk full? Nothing that was there is lost.",
        ) from error
