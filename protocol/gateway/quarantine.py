"""Where instances rest until they are clean: sealed, each of them once.

    arrived/ID.sealed       still to be looked at
    held/ID.sealed          kept back; held/ID.reason says why
    regions/ID.sealed       what a person said to keep of it
    regions/models.sealed   and of all instances of a device's model that declare no regions
    done.sqlite             ids of those that were dealt with, and the SOP classes under which instances came
    lock                    of whoever decides about an item

An item is uint32be(length of head) || sealed head || sealed content: the head alone tells what it is. An id is half a
keyed digest of the SOP instance UID, half one of the content: it tells nothing to others, the same bytes twice are one
item, and two contents under one UID are two.
"""

from __future__ import annotations

import hashlib
import hmac
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock

from protocol.content import canonical
from protocol.errors import GatewayError, InvalidInput, VaultError
from protocol.gateway import pictures
from protocol.gateway.part10 import header
from protocol.imaging.deidentify import Model
from protocol.imaging.text import Box
from protocol.vault import disk
from protocol.vault.sealed import Sealer

_ARRIVED, _HELD, _REGIONS = "arrived", "held", "regions"
_DONE, _LOCK = "done.sqlite", "lock"
_MODELS = "models"
_SEALED, _REASON = ".sealed", ".reason"
_UID_DIGITS, _CONTENT_DIGITS = 16, 32
_LENGTH_BYTES = 4
_LOCKS = 64
_SHOWS = "`salus quarantine list` shows those there are."


@dataclass(frozen=True)
class Item:
    """What arrived. ``device`` by name; ``received_at`` in unix seconds; ``size`` in bytes; ``reason``: why it is kept
    back, empty while nobody has looked."""

    id: str
    device: str
    received_at: int
    sop_class: str
    sop_instance: str
    transfer_syntax: str
    size: int
    reason: str = ""


class Quarantine:
    """The quarantine of one hospital, in a folder, for several threads and processes. ``sealer``: under a key that is
    derived from the vault's for this."""

    def __init__(self, folder: Path, sealer: Sealer) -> None:
        self._folder, self._sealer = folder, sealer
        self._uid_key, self._content_key = sealer.derive("uid"), sealer.derive("content")
        self._writing = [threading.Lock() for _ in range(_LOCKS)]
        for name in (_ARRIVED, _HELD, _REGIONS):
            (folder / name).mkdir(parents=True, exist_ok=True, mode=0o700)
        self._ledger = _Ledger(folder / _DONE)
        self._lock = FileLock(folder / _LOCK, mode=0o600)

    # -- arriving ----------------------------------------------------------------------------------------------------

    def arrive(self, content: bytes, device: str, received_at: int) -> str:
        """Keeps what a device sent, a DICOM file, and returns its id; it is on the disk by then. Raises Unclean when it
        has no header, and `OSError`."""
        found = header(content)
        keyed = hmac.new(self._content_key, content, hashlib.sha256).hexdigest()[:_CONTENT_DIGITS]
        id = self._uid_digits(found.sop_instance) + keyed
        # Whoever sends the same at the same time waits until it is there.
        with self._writing[int(keyed[:2], 16) % _LOCKS]:
            if not any(self._path(folder, id).exists() for folder in (_ARRIVED, _HELD)):
                head = {"device": device, "received_at": received_at, "size": len(content), **asdict(found)}
                disk.put(self._path(_ARRIVED, id), self._sealed(id, canonical.dumps(head), content))
        self._ledger.add_class(id[:_UID_DIGITS], found.sop_class)
        return id

    def arrived(self) -> list[str]:
        """Ids still to be looked at, the oldest first."""
        return [id for _, id in sorted(self._listed(_ARRIVED))]

    def holds(self, sop_instances: Iterable[str]) -> set[str]:
        """Which of these SOP instance UIDs are here, looked at or not."""
        here = {id[:_UID_DIGITS] for folder in (_ARRIVED, _HELD) for _, id in self._listed(folder)}
        return {uid for uid in sop_instances if self._uid_digits(uid) in here}

    def sop_classes(self, sop_instances: Iterable[str]) -> dict[str, set[str]]:
        """Under which SOP classes these SOP instance UIDs came, for as far as that is known."""
        return {uid: self._ledger.classes(self._uid_digits(uid)) for uid in sop_instances}

    # -- looking -----------------------------------------------------------------------------------------------------

    def item(self, id: str) -> Item:
        """What is known of an item. Raises InvalidInput when it is not here, and VaultError when it was altered."""
        with self._existing(id).open("rb") as file:
            length = int.from_bytes(file.read(_LENGTH_BYTES), "big")
            # A length that was altered takes in the content, and opens as nothing.
            document = canonical.loads(self._sealer.open(file.read(length), _about(id, "head")))
        return Item(id=id, reason=self._reason(id), **document)

    def content(self, id: str) -> bytes:
        """An item's DICOM file. Raises InvalidInput when it is not here, and VaultError when it was altered."""
        sealed = self._existing(id).read_bytes()
        start = _LENGTH_BYTES + int.from_bytes(sealed[:_LENGTH_BYTES], "big")
        return self._sealer.open(sealed[start:], _about(id, "content"))

    def picture(self, id: str, frame: int = 0) -> bytes:
        """A frame as PNG, as the device sent it: for the hospital's own eyes. Raises Unclean when it has no picture
        that can be shown, and InvalidInput when it has fewer frames."""
        return pictures.png(self.content(id), frame)

    def held(self) -> list[Item]:
        """What is kept back, the oldest first. What was altered on the disk is among them, and nothing known of it."""
        items = []
        for _, id in self._listed(_HELD):
            try:
                items.append(self.item(id))
            except VaultError as error:
                items.append(Item(id, "", 0, "", "", "", 0, error.message))
            except (InvalidInput, FileNotFoundError):  # Gone since it was listed.
                continue
        return sorted(items, key=lambda each: (each.received_at, each.id))

    def find(self, beginning: str) -> str:
        """The id of the one item kept back that begins like this. Raises InvalidInput when there is none, or more."""
        found = [id for _, id in self._listed(_HELD) if id.startswith(beginning)]
        if len(found) == 1:
            return found[0]
        many = f"{len(found)} items that are kept back begin" if found else "No item that is kept back begins"
        raise InvalidInput(f"{many} with {beginning!r}.", _SHOWS)

    # -- deciding ----------------------------------------------------------------------------------------------------

    @contextmanager
    def deciding(self, id: str) -> Iterator[None]:
        """Nobody else decides about an item meanwhile, no other process either. Raises InvalidInput when it is not here
        any more."""
        with self._lock:
            self._existing(id)
            yield

    def hold(self, id: str, reason: str) -> None:
        """Keeps an item back, or gives another reason. Raises InvalidInput when it is not here any more, and
        `OSError`."""
        sealed = self._sealer.seal(reason.encode("utf-8"), _about(id, "reason"))
        with self.deciding(id):
            disk.put(self._path(_HELD, id, _REASON), sealed)
            if self._path(_ARRIVED, id).exists():
                self._path(_ARRIVED, id).replace(self._path(_HELD, id))
                disk.sync(self._folder / _HELD)
                disk.sync(self._folder / _ARRIVED)

    def reject(self, id: str) -> None:
        """Removes an item that is kept back, for good. Raises InvalidInput when it is not, and `OSError`."""
        with self._lock:
            if not self._path(_HELD, id).exists():
                raise InvalidInput("This item is not kept back.", _SHOWS)
            self._remove(id)

    def done(self, id: str) -> None:
        """Removes an item that rests in the vault. Raises `OSError`."""
        self._ledger.add(id)
        self._remove(id)

    def was_done(self, id: str) -> bool:
        """Whether these very bytes went into the vault before."""
        return self._ledger.has(id)

    # -- regions that a person gave ----------------------------------------------------------------------------------

    def regions(self, id: str) -> tuple[Box, ...]:
        """What to keep of an item."""
        return _boxes(self._kept(id, []))

    def review(self, id: str, regions: Sequence[Box]) -> None:
        """Says what to keep of an item, in place of the regions that it declares. Raises InvalidInput when it is not
        here any more, and `OSError`."""
        with self.deciding(id):
            self._keep(id, _rows(regions))

    def remembered(self, model: Model) -> tuple[Box, ...]:
        """What to keep of instances of a device's model that declare no regions."""
        return _boxes(self._kept(_MODELS, {}).get(model.key, []))

    def remember(self, model: Model, regions: Sequence[Box]) -> None:
        """Says what to keep of them. Raises `OSError`."""
        self._keep(_MODELS, {**self._kept(_MODELS, {}), model.key: _rows(regions)})

    # -- files -------------------------------------------------------------------------------------------------------

    def _uid_digits(self, uid: str) -> str:
        return hmac.new(self._uid_key, uid.encode("utf-8"), hashlib.sha256).hexdigest()[:_UID_DIGITS]

    def _sealed(self, id: str, head: bytes, content: bytes) -> bytes:
        sealed = self._sealer.seal(head, _about(id, "head"))
        length = len(sealed).to_bytes(_LENGTH_BYTES, "big")
        return b"".join([length, sealed, self._sealer.seal(content, _about(id, "content"))])

    def _path(self, folder: str, id: str, suffix: str = _SEALED) -> Path:
        return self._folder / folder / f"{id}{suffix}"

    def _existing(self, id: str) -> Path:
        # It moves one way: who looks in this order finds it.
        for path in (self._path(_ARRIVED, id), self._path(_HELD, id)):
            if path.exists():
                return path
        raise InvalidInput("This item is not in quarantine any more.", _SHOWS)

    def _listed(self, folder: str) -> Iterator[tuple[int, str]]:
        """When each item in a folder came, and its id."""
        for path in (self._folder / folder).glob(f"[0-9a-f]*{_SEALED}"):
            try:
                yield path.stat().st_mtime_ns, path.name.removesuffix(_SEALED)
            except FileNotFoundError:  # Gone since it was listed.
                continue

    def _reason(self, id: str) -> str:
        path = self._path(_HELD, id, _REASON)
        if not path.exists():
            return ""
        return self._sealer.open(path.read_bytes(), _about(id, "reason")).decode("utf-8")

    def _kept(self, name: str, otherwise: Any) -> Any:
        path = self._path(_REGIONS, name)
        if not path.exists():
            return otherwise
        return canonical.loads(self._sealer.open(path.read_bytes(), _about(name, "regions")))

    def _keep(self, name: str, document: Any) -> None:
        sealed = self._sealer.seal(canonical.dumps(document), _about(name, "regions"))
        disk.put(self._path(_REGIONS, name), sealed)

    def _remove(self, id: str) -> None:
        disk.remove(
            [
                self._path(_ARRIVED, id),
                self._path(_HELD, id),
                self._path(_HELD, id, _REASON),
                self._path(_REGIONS, id),
            ]
        )


class _Ledger:
    """Ids in a SQLite file. What the last second added may be lost with the power: then it is looked at once more."""

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        try:
            self._connection = sqlite3.connect(
                path, timeout=60, check_same_thread=False, isolation_level=None
            )
            path.chmod(0o600)
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.execute("PRAGMA synchronous = NORMAL")
            self._connection.execute("CREATE TABLE IF NOT EXISTS done (id TEXT PRIMARY KEY) WITHOUT ROWID")
            self._connection.execute(
                "CREATE TABLE IF NOT EXISTS came (uid TEXT, class TEXT, PRIMARY KEY (uid, class)) WITHOUT ROWID"
            )
        except sqlite3.Error as error:
            raise GatewayError(f"{path} cannot be opened: {error}.", "Restore it from a back-up.") from error

    def add(self, id: str) -> None:
        self._ask("INSERT OR IGNORE INTO done VALUES (?)", id)

    def has(self, id: str) -> bool:
        return bool(self._ask("SELECT 1 FROM done WHERE id = ?", id))

    def add_class(self, uid: str, sop_class: str) -> None:
        self._ask("INSERT OR IGNORE INTO came VALUES (?, ?)", uid, sop_class)

    def classes(self, uid: str) -> set[str]:
        return {sop_class for (sop_class,) in self._ask("SELECT class FROM came WHERE uid = ?", uid)}

    def _ask(self, statement: str, *values: str) -> list[tuple[Any, ...]]:
        with self._lock:
            try:
                return self._connection.execute(statement, values).fetchall()
            except sqlite3.Error as error:
                raise GatewayError(
                    f"What was dealt with cannot be kept: {error}.", "Is the disk full?"
                ) from error


def _about(id: str, part: str) -> bytes:
    return f"{id}/{part}".encode("ascii")


def _rows(regions: Sequence[Box]) -> list[list[int]]:
    return [[box.left, box.top, box.right, box.bottom] for box in regions]


def _boxes(rows: list[list[int]]) -> tuple[Box, ...]:
    return tuple(Box(*row) for row in rows)
