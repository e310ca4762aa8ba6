"""The folder of a dataset while it is made or changed: by one process at a time, and whole or not at all."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from filelock import FileLock


def sweep(folder: Path) -> None:
    """Removes what a process that was killed while it made this folder left beside it."""
    # Eight characters are what tempfile adds.
    left = re.compile(rf"\.{re.escape(folder.name)}-[a-z0-9_]{{8}}")
    for path in folder.parent.iterdir():
        if left.fullmatch(path.name):
            shutil.rmtree(path, ignore_errors=True)


def locked(folder: Path) -> FileLock:
    """Held by whoever changes the dataset."""
    return FileLock(folder / ".lock", mode=0o600)
