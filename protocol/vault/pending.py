"""Instances that wait for their batch: one sealed file each.

pending/UID.sealed    uint32be(length of the head) || sealed head || sealed content; the head is what the index keeps
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from protocol.vault import disk
from protocol.vault.instances import Pending as Waiting
from protocol.vault.instances import check_uid
from protocol.vault.sealed import Sealer

_SUFFIX = ".sealed"
_LENGTH_BYTES = 4


class Pending:
    """The instances of a vault that are in no batch yet."""

    def __init__(self, folder: Path, sealer: Sealer) -> None:
        self.folder, self._sealer = folder, Sealer(sealer.derive("vault/pending"))
        self._heads: dict[str, dict[str, Any]] = {}

    def put(self, record: dict[str, Any], content: bytes) -> None:
        """Keeps an instance; it is on the disk when this returns. Raises `OSError`."""
        uid = record["uid"]
        head = self._sealer.seal(json.dumps(record).encode("utf-8"), _about(uid, "head"))
        length = len(head).to_bytes(_LENGTH_BYTES, "big")
        disk.put(self._path(uid), length + head + self._sealer.seal(content, _about(uid, "content")))

    def uids(self) -> list[str]:
        return [path.name.removesuffix(_SUFFIX) for path in self.folder.glob(f"[0-9]*{_SUFFIX}")]

    def heads(self) -> list[dict[str, Any]]:
        """What is known of each but its content, first come first. Raises VaultError."""
        found = {}
        for uid in self.uids():
            head = self._heads.get(uid) or self.head(uid)
            if head is not None:
                found[uid] = head
        self._heads = found
        return sorted(found.values(), key=lambda head: (head["received_at"], head["uid"]))

    def head(self, uid: str) -> dict[str, Any] | None:
        """What is known of an instance but its content; None when it is not here. Raises VaultError."""
        path = self._path(uid)
        try:
            with disk.reading(path), path.open("rb") as file:
                length = int.from_bytes(file.read(_LENGTH_BYTES), "big")
                # A length that was altered takes in the content, and opens as nothing.
                return json.loads(self._sealer.open(file.read(length), _about(uid, "head")))
        except FileNotFoundError:
            return None

    def content(self, uid: str) -> bytes | None:
        """The DICOM file of an instance; None when it is not here. Raises VaultError."""
        try:
            data = disk.read(self._path(uid))
        except FileNotFoundError:
            return None
        start = _LENGTH_BYTES + int.from_bytes(data[:_LENGTH_BYTES], "big")
        return self._sealer.open(data[start:], _about(uid, "content"))

    def remove(self, uids: list[str]) -> None:
        """Raises `OSError`."""
        disk.remove(self._path(uid) for uid in uids)

    def _path(self, uid: str) -> Path:
        return self.folder / f"{check_uid(uid)}{_SUFFIX}"


def waiting(head: dict[str, Any]) -> Waiting:
    return Waiting(head["uid"], head["patient"], head["device"], head["received_at"])


def _about(uid: str, part: str) -> bytes:
    return f"{uid}/{part}".encode()
