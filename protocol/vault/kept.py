"""A JSON object in a sealed file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from protocol.vault import disk
from protocol.vault.sealed import Sealer


class Kept:
    """The object in a file, an empty one when there is no file, read again when it was replaced."""

    def __init__(self, path: Path, sealer: Sealer) -> None:
        self._path, self._sealer = path, Sealer(sealer.derive(f"vault/{path.name}"))
        self._read: tuple[tuple[int, ...] | None, dict[str, Any]] = (None, {})

    @property
    def value(self) -> dict[str, Any]:
        """Not to be changed in place: give another one. Raises VaultError when it was altered."""
        try:
            found = self._path.stat()
        except FileNotFoundError:
            return {}
        state = (found.st_ino, found.st_mtime_ns, found.st_size)
        if self._read[0] != state:
            sealed = disk.read(self._path)
            self._read = (state, json.loads(self._sealer.open(sealed, self._path.name.encode())))
        return self._read[1]

    @value.setter
    def value(self, value: dict[str, Any]) -> None:
        content = json.dumps(value, sort_keys=True).encode("utf-8")
        disk.put(self._path, self._sealer.seal(content, self._path.name.encode()))
