"""The vault: a hospital's anonymised instances, encrypted at rest, added one by one and anchored in batches.

    key.json            the key, which a password opens: `key`
    pending/            instances that wait for their batch: `pending`
    batches/            encrypted Parquet files: `batches`
    records/            de-identified FHIR resources, in encrypted Parquet files of their own: `records`
    labels.sealed       {uid: label}
    withdrawn.sealed    {pseudonym: [uid]} of patients who withdrew: nothing of theirs comes in again, image or record
    pseudonyms.sealed   {"check": hex}, which tells the secret that all pseudonyms are of from others
    damaged/            pending files that do not open
    access.log          one JSON object a line: time, action, counts; nothing of a patient

One process writes at a time, behind `lock`; readers wait for nobody.
"""

from __future__ import annotations

import hmac
import json
import os
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Any, Self

from filelock import FileLock

from protocol.errors import DataError, VaultError
from protocol.vault import disk
from protocol.vault.batches import MAX_ROWS, Batches, Sign, Signature, check_digest
from protocol.vault.index import Index
from protocol.vault.instances import Instance, Pending, Row, check_uid, record_of
from protocol.vault.kept import Kept
from protocol.vault.key import make_key, open_key, sealed_key
from protocol.vault.pending import Damaged, waiting
from protocol.vault.pending import Pending as PendingFiles
from protocol.vault.sealed import Sealer

__all__ = ["Instance", "Pending", "Row", "Vault", "folder_of"]

KEY = "key.json"
LOG = "access.log"
RECORDS = "records"
LABELS, WITHDRAWN, PSEUDONYMS = "labels.sealed", "withdrawn.sealed", "pseudonyms.sealed"
_TRIES = 5


def folder_of(home: Path) -> Path:
    """Where the vault of a home is, or would be."""
    return home / "vault"


class Vault:
    """The vault of one hospital, for several threads and processes. Get one with `create` or `open`."""

    def __init__(self, folder: Path, key: bytes) -> None:
        self.folder = folder
        self._key = key
        #: Seals what belongs to the same hospital, under keys derived for it: `Sealer(vault.sealer.derive(purpose))`.
        self.sealer = Sealer(key)
        self._batches = Batches(folder / "batches", self.sealer)
        self._pending = PendingFiles(folder / "pending", self.sealer)
        self._index = Index(self._batches)
        self._labels = Kept(folder / LABELS, self.sealer)
        self._withdrawn = Kept(folder / WITHDRAWN, self.sealer)
        self._pseudonyms = Kept(folder / PSEUDONYMS, self.sealer)
        self._lock = FileLock(folder / "lock")
        self._mark: bytes | None = None

    @classmethod
    def create(cls, home: Path, password: str) -> Self:
        """A new vault in a home. Raises VaultError when there is one, AccountError for an empty password."""
        folder = folder_of(home)
        with disk.writing(str(folder)):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            key = make_key(folder / KEY, password)
            for name in ("pending", "batches"):
                (folder / name).mkdir(exist_ok=True, mode=0o700)
            disk.sync(folder)
        vault = cls(folder, key)
        vault.log("create")
        return vault

    @classmethod
    def open(cls, home: Path, password: str) -> Self:
        """The vault of a home. Raises VaultError when there is none, AccountError for a wrong password."""
        folder = folder_of(home)
        if not (folder / KEY).is_file():
            raise VaultError(f"There is no vault in {home}.", "Make one: `salus vault init`.")
        vault = cls(folder, open_key(folder / KEY, password))
        vault.log("open")
        return vault

    def bind(self, check: bytes) -> None:
        """From now on takes the pseudonyms of one secret alone, told by its `Pseudonyms.check`: under another one a
        patient who withdrew would come back. Raises VaultError for another than the first."""
        with self.writing():
            known = self._pseudonyms.value.get("check")
            if known is None:
                self._pseudonyms.value = {"check": check.hex()}
            elif not hmac.compare_digest(known, check.hex()):
                raise VaultError(
                    "The vault's pseudonyms were made with another pseudonyms.key than this one.",
                    "Restore pseudonyms.key from its back-up: with another one, patients who withdrew would come back.",
                )

    def is_unused(self) -> bool:
        """Whether nothing was ever in it, so that no pseudonym is known yet."""
        kept = (self._pseudonyms, self._labels, self._withdrawn)
        records = any(
            chain.from_iterable((self.folder / RECORDS).glob(each) for each in ("*.sealed", "*.parquet"))
        )
        return not (
            any(each.value for each in kept) or self._batches.states() or self._pending.uids() or records
        )

    def add(self, instance: Instance) -> bool:
        """Keeps an instance: it is on the disk when this returns. False when the very same is here already.

        Raises DataError for another content under the same UID, a file that is not what it is said to be, and a patient
        who withdrew; VaultError when nothing can be written.
        """
        record = record_of(instance)
        with self.writing():
            if instance.patient in self._withdrawn.value:
                raise DataError("The patient of this instance has withdrawn.", "Nothing of theirs is kept.")
            place = self._index.find(instance.uid)
            head = None if place else self._intact_head(instance.uid)
            known = place.sha256 if place else head and head["sha256"]
            if known == record["sha256"]:
                return False
            if known:
                raise DataError("Another instance with this UID and other content is in the vault.")
            self._pending.put(record, instance.content)
        return True

    def holds(self, uid: str) -> bool:
        """Whether an instance is here, pending or in a batch. Raises VaultError."""
        try:
            self._find([uid])
        except (DataError, Damaged):
            return False
        return True

    def damaged(self) -> int:
        """How many pending files were set aside because they do not open."""
        return self._pending.damaged()

    def pending(self) -> list[Pending]:
        """What is in no batch yet and opens, first come first. Raises VaultError."""
        heads = self._pending.heads()
        self._index.refresh()
        return [waiting(head) for head in heads if self._waits(head)]

    def flush(self, sign: Sign | None = None) -> int | None:
        """Puts what is pending into the next batch; its number, or None when nothing is pending.

        `sign(device, message)` signs for each device what came from it. A batch is written whole or not at all; more
        than 32,767 instances take several, and the number is the last one's. What was altered is set aside. Raises
        VaultError.
        """
        number = None
        with self.writing():
            self._erase(sign)
            heads = self._pending.heads(aside=True)
            while todo := [head for head in heads if self._waits(head)][:MAX_ROWS]:
                records = self._records(todo)
                if (first := next(records, None)) is not None:
                    number = max(self._batches.states(), default=0) + 1
                    self._batches.write(number, chain([first], records), sign)
                    self._refresh()
                # What was set aside is no longer among them.
                left = set(self._pending.uids())
                heads = [head for head in heads if head["uid"] in left]
                if first is not None:
                    instances = sum(head["uid"] in left for head in todo)
                    self.log("flush", batch=number, instances=instances)
            self._pending.remove([head["uid"] for head in heads])
        return number

    def index(self, where: str = "") -> list[Row]:
        """Instances of all batches for which an SQL condition holds, in the order they came in; reads no pixels.

        The condition may name uid, patient, device, modality, body_part, model, rows, columns, frames, received_at,
        batch and label. Raises InvalidInput for one that is none, or that looks at anything else.
        """
        found = self._index.query(where, self._labels.value, self._withdrawn.value)
        self.log("query", instances=len(found))
        return found

    def content(self, uid: str) -> bytes:
        """The DICOM file of an instance, pending or in a batch. Raises DataError when it is not here, and VaultError
        when it was altered."""
        return next(self.contents([uid]))[1]

    def contents(self, uids: Iterable[str]) -> Iterator[tuple[str, bytes]]:
        """DICOM files, each once, in the vault's order: batch by batch, a few in memory at a time.

        Raises DataError when one is not here, before any is read, and VaultError when one was altered.
        """
        todo = dict.fromkeys(uids)
        self._find(todo)
        self.log("read", instances=len(todo))
        return self._stream(todo)

    def label(self, values: Mapping[str, int]) -> int:
        """Gives instances a label each, those too that are still to come; how many are new or changed. Raises
        InvalidInput, VaultError."""
        for uid, value in values.items():
            check_uid(uid)
            if type(value) is not int or not -(2**31) <= value < 2**31:
                raise DataError("A label is a whole number.")
        with self.writing():
            known, gone = self._labels.value, set().union(*self._withdrawn.value.values())
            changed = {
                uid: value for uid, value in values.items() if known.get(uid) != value and uid not in gone
            }
            if changed:
                self._labels.value = {**known, **changed}
            self.log("label", instances=len(changed))
        return len(changed)

    def withdraw(self, patient: str, sign: Sign | None = None) -> list[str]:
        """Removes all instances of a pseudonym and their labels, and refuses what comes of it later. The UIDs of all
        that were here; the same when it is asked again. Back-ups and what was copied elsewhere remain.

        Devices that lose instances sign their batch anew with `sign`, or have no signature over it any more. Raises
        VaultError: asked again, or at the next flush, it goes on where it stopped.
        """
        with self.writing():
            # First of all: whatever happens next, it is known and nobody reads or adds to it.
            self._withdrawn.value = {patient: [], **self._withdrawn.value}
            self._erase(sign)
            uids = self._withdrawn.value[patient]
            self.log("withdraw", instances=len(uids))
            # A batch that does not open may hold more of them.
            self._index.check()
        return uids

    def withdrawn(self, patient: str) -> bool:
        """Whether a pseudonym has withdrawn."""
        return patient in self._withdrawn.value

    def refuse(self, patients: Collection[str]) -> None:
        """From now on nothing of these pseudonyms comes in, image or record, and nobody is given what is here; it goes
        with `withdraw` here and in `Records`. Raises VaultError."""
        if new := {patient: [] for patient in patients if not self.withdrawn(patient)}:
            with self.writing():
                self._withdrawn.value = {**new, **self._withdrawn.value}

    def refused(self) -> Collection[str]:
        """All pseudonyms that have withdrawn."""
        return self._withdrawn.value.keys()

    def batches(self) -> list[int]:
        """Numbers of all batches."""
        return list(self._batches.states())

    def signatures(self, batch: int) -> dict[str, Signature]:
        """What the devices' keys signed of a batch, by device. Raises VaultError."""
        return self._batches.signatures(batch)

    def verify(self) -> int:
        """Reads everything, and checks each file and each record against its SHA-256; how many instances there are.
        Raises VaultError for the first that is not as it was."""
        from protocol.vault.records import Records

        self._index.refresh()
        self.log("verify")
        count = 0
        for number in self._batches.states():
            with self.writing():
                count += self._batches.verify(number)
        for uid in self._pending.uids():
            head, content = self._pending.head(uid), self._pending.content(uid)
            if head is not None and content is not None:
                check_digest(content, head["sha256"], self._pending.folder)
                count += self._waits(head)
        _ = self._labels.value, self._withdrawn.value, self._pseudonyms.value
        Records(self).verify()
        return count

    def sealed_key(self, password: str) -> bytes:
        """The content of a key file that another password opens. Raises AccountError for an empty one."""
        return sealed_key(self._key, password)

    def log(self, action: str, **counts: int) -> None:
        """Adds a line to access.log. Raises VaultError."""
        line = json.dumps({"time": int(time.time()), "action": action, **counts}) + "\n"
        with disk.writing(str(self.folder / LOG)):
            descriptor = os.open(self.folder / LOG, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            try:
                os.write(descriptor, line.encode("utf-8"))
            finally:
                os.close(descriptor)

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Nobody else writes meanwhile, and what others wrote is known. Raises VaultError, for `OSError` within too."""
        with disk.writing(str(self.folder)):
            held = disk.taken(self._lock, self.folder)
            with held:
                if self._batches.mark() != self._mark or not self._index.is_whole:
                    self._refresh()
                yield

    def _refresh(self) -> None:
        mark = self._batches.mark()
        self._index.refresh()
        self._mark = mark

    def _waits(self, head: Mapping[str, Any]) -> bool:
        """Whether a pending file is the only place of its instance: a crash may leave it behind a batch."""
        return self._index.find(head["uid"]) is None and head["patient"] not in self._withdrawn.value

    def _intact_head(self, uid: str) -> dict[str, Any] | None:
        """As `head` of what is pending, but that a damaged one is set aside."""
        try:
            return self._pending.head(uid)
        except Damaged:
            self._pending.set_aside(uid)
            return None

    def _records(self, heads: Iterable[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
        """What a batch keeps of pending instances; damaged ones are set aside."""
        for head in heads:
            try:
                content = self._pending.content(head["uid"])
            except Damaged:
                self._pending.set_aside(head["uid"])
            else:
                yield {**head, "content": content}

    def _erase(self, sign: Sign | None) -> None:
        """Removes whatever is left of patients who withdrew, and notes the UIDs before."""
        withdrawn = {patient: set(uids) for patient, uids in self._withdrawn.value.items()}
        if not withdrawn:
            return
        found = self._index.uids(withdrawn)
        waiting = [head for head in self._pending.heads(aside=True) if head["patient"] in withdrawn]
        for uid in chain.from_iterable(found.values()):
            withdrawn[self._index.find(uid).patient].add(uid)
        for head in waiting:
            withdrawn[head["patient"]].add(head["uid"])
        if any(len(uids) > len(self._withdrawn.value[patient]) for patient, uids in withdrawn.items()):
            self._withdrawn.value = {patient: sorted(uids) for patient, uids in withdrawn.items()}
        for number, uids in found.items():
            self._batches.rewrite(number, set(uids), sign)
            self._refresh()
        self._pending.remove([head["uid"] for head in waiting])
        labels = self._labels.value
        if gone := labels.keys() & {uid for uids in withdrawn.values() for uid in uids}:
            self._labels.value = {uid: value for uid, value in labels.items() if uid not in gone}

    def _find(self, uids: Iterable[str]) -> tuple[dict[int, dict[str, int]], list[str]]:
        """Where instances lie: by batch the row group of each, and those that are pending. Raises DataError."""
        batches: dict[int, dict[str, int]] = {}
        pending = []
        refreshed = False
        for uid in uids:
            place = self._index.find(uid)
            if place is None and not refreshed:
                self._index.refresh()
                place, refreshed = self._index.find(uid), True
            if place is not None:
                patient = place.patient
                batches.setdefault(place.batch, {})[uid] = place.group
            else:
                head = self._pending.head(uid)
                patient = head and head["patient"]
                pending.append(uid)
            if patient is None or patient in self._withdrawn.value:
                raise DataError("There is no such instance in the vault.", "It may have been withdrawn.")
        return dict(sorted(batches.items())), pending

    def _stream(self, todo: dict[str, None]) -> Iterator[tuple[str, bytes]]:
        # What is flushed or rewritten meanwhile lies elsewhere: it is looked for again.
        for _ in range(_TRIES):
            batches, pending = self._find(todo)
            for number, wanted in batches.items():
                for uid, content in self._batches.contents(number, wanted):
                    del todo[uid]
                    yield uid, content
            for uid in pending:
                if (content := self._pending.content(uid)) is not None:
                    del todo[uid]
                    yield uid, content
            if not todo:
                return
            self._index.refresh()
        raise VaultError("Instances are not where the index says.", "Run `salus vault status --verify`.")
