"""What the folders of all datasets have in common: a manifest that states versions, and how it is read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, ClassVar

from protocol.data import files
from protocol.errors import DataError

MANIFEST = "manifest.json"
RESTORE = "Restore the folder from a back-up; an altered dataset cannot train."


class Versioned:
    """One version of a dataset folder, as its manifest states it: ``version`` from 1."""

    #: Whether its records are sealed under the key of the hospital's vault, or lie there.
    needs_vault: ClassVar[bool] = False

    def __init__(self, folder: Path, manifest: dict[str, Any], version: int) -> None:
        self.folder, self.version = folder, version
        self._manifest = manifest
        self._stated = manifest["versions"][version - 1]

    @property
    def root(self) -> bytes:
        """What the chain gets (32 bytes): the Merkle root over the salted leaves, with their number where the vault
        seals the records."""
        return bytes.fromhex(self._stated["root"])

    @property
    def train_records(self) -> int:
        return self._stated["train_records"]

    @property
    def held_out_records(self) -> int:
        return self._stated["held_out_records"]

    @property
    def profile(self) -> str:
        """Name of the de-identification profile."""
        return self._manifest["profile"]

    @property
    def dataset_id(self) -> int | None:
        """Its id on the chain; None before it was registered."""
        return self._manifest["dataset_id"]

    def _with_id(self, dataset_id: int) -> dict[str, Any]:
        """The manifest with the id that the registry gave. Raises `DataError` when it has another."""
        if self.dataset_id not in (None, dataset_id):
            raise DataError(f"{self.folder} is dataset {self.dataset_id}, not {dataset_id}.")
        return {**self._manifest, "dataset_id": dataset_id}


def read_manifest(folder: Path, form: str, version: int | None) -> tuple[dict[str, Any], int]:
    """The manifest of a folder of this format, and the number of its latest version, or of the one asked for. Raises
    `DataError` when there is none."""
    manifest = read_json(folder / MANIFEST)
    if manifest.get("format") != form:
        raise DataError(f"{folder} is not a dataset folder of the format {form}.")
    stated = manifest.get("versions")
    if not isinstance(stated, list) or not stated or not all(isinstance(each, dict) for each in stated):
        raise DataError(f"{folder / MANIFEST} states no versions.", RESTORE)
    count = len(stated)
    if version is not None and not 1 <= version <= count:
        raise DataError(f"{folder} has {count} version(s), not {version}.")
    return manifest, version or count


def read_json(path: Path) -> dict[str, Any]:
    """The JSON object in a file. Raises `DataError`."""
    try:
        document = json.loads(files.read(path))
    except ValueError as error:
        raise DataError(f"{path} is not JSON.", RESTORE) from error
    if not isinstance(document, dict):
        raise DataError(f"{path} is not a JSON object.", RESTORE)
    return document


def unwritten(folder: Path, error: OSError) -> DataError:
    """For what an operating system would not write."""
    return DataError(f"{folder} cannot be written: {error.strerror}.", "Is the disk full?")
