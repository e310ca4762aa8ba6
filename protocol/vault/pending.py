"""Instances that wait for their batch: one sealed file each.

pending/UID.sealed    uint32be(length of the head) || sealed head || sealed content; the head is what the index keeps
damaged/UID.sealed    one that does not open, set aside: it holds no other up
"""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

from protocol.errors import VaultError
from protocol.vault import disk
from protocol.vault.instances import Pending as Waiting
from protocol.vault.instances import check_uid
from protocol.vault.sealed import Sealer

log = logging.getLogger(__name__)

_SUFFIX = ".sealed"
_LENGTH_BYTES = 4


class Damaged(VaultError):
    """A pending file that was altered or cut."""


class Pending:
    """The instances of a vault that are in no batch yet."""

    def __init__(self, folder: Path, sealer: Sealer) -> None:
        self.folder, self._sealer = folder, Sealer(sealer.derive("vault/pending"))
        self._damaged = folder.with_name("damaged")
        self._heads: dict[str, dict[str, Any]] = {}

    def put(self, record: dict[str, Any], content: bytes) -> None:
        """Keeps an instance; it is on the disk when this returns. Raises `OSError`."""
        uid = record["uid"]
        head = self._sealer.seal(json.dumps(record).encode("utf-8"), _about(uid, "head"))
        length = len(head).to_bytes(_LENGTH_BYTES, "big")
        disk.put(self._path(uid), length + head + self._sealer.seal(content, _about(uid, "content")))

    def uids(self) -> list[str]:
        return [path.name.removesuffix(_SUFFIX) for path in self.folder.glob(f"[0-9]*{_SUFFIX}")]

    def heads(self, *, aside: bool = False) -> list[dict[str, Any]]:
        """What is known of each but its content, first come first. Damaged ones are left out, and with `aside`, for
        whoever holds the vault's lock, set aside. Raises VaultError."""
        found = {}
        for uid in self.uids():
            try:
                head = self._heads.get(uid) or self.head(uid)
            except Damaged:
                if aside:
                    self.set_aside(uid)
                continue
            if head is not None:
                found[uid] = head
        self._heads = found
        return sorted(found.values(), key=lambda head: (head["received_at"], head["uid"]))

    def head(self, uid: str) -> dict[str, Any] | None:
        """What is known of an instance but its content; None when it is not here. Raises VaultError, Damaged."""
        path = self._path(uid)
        try:
            with disk.reading(path), path.open("rb") as file:
                length = int.from_bytes(file.read(_LENGTH_BYTES), "big")
                # A length that was altered takes in the content, and opens as nothing.
                return json.loads(self._open(file.read(length), uid, "head"))
        except FileNotFoundError:
            return None

    def content(self, uid: str) -> bytes | None:
        """The DICOM file of an instance; None when it is not here. Raises VaultError, Damaged."""
        try:
            data = disk.read(self._path(uid))
        except FileNotFoundError:
            return None
        start = _LENGTH_BYTES + int.from_bytes(data[:_LENGTH_BYTES], "big")
        return self._open(data[start:], uid, "content")

    def remove(self, uids: list[str]) -> None:
        """Removes instances, and what of them was set aside. Raises `OSError`."""
        disk.remove(self._path(uid) for uid in uids)
        if self._damaged.is_dir():
            disk.remove(self._damaged / self._path(uid).name for uid in uids)

    def set_aside(self, uid: str) -> None:
        """Puts a damaged file where nobody reads it. Raises `OSError`."""
        self._damaged.mkdir(exist_ok=True, mode=0o700)
        self._path(uid).replace(self._damaged / self._path(uid).name)
        for folder in (self._damaged, self.folder):
            disk.sync(folder)
        self._heads.pop(uid, None)
        log.warning("a pending instance was altered, and is set aside in %s", self._damaged)

    def damaged(self) -> int:
        """How many were set aside."""
        return sum(1 for _ in self._damaged.glob(f"*{_SUFFIX}"))

    def _open(self, sealed: bytes, uid: str, part: str) -> bytes:
        try:
            return self._sealer.open(sealed, _about(uid, part))
        except VaultError as error:
            raise Damaged(error.message, error.hint) from error

    def _path(self, uid: str) -> Path:
        return self.folder / f"{check_uid(uid)}{_SUFFIX}"


def waiting(head: dict[str, Any]) -> Waiting:
    return Waiting(head["uid"], head["patient"], head["device"], head["received_at"])


def _about(uid: str, part: str) -> bytes:
    return f"{uid}/{part}".encode()
