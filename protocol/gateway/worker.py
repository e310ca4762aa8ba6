"""From quarantine into the vault: one instance after another is de-identified, or kept back with the reason.

It may be killed at any point: an instance leaves quarantine only once it rests in the vault.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from protocol.data.pseudonyms import Pseudonyms
from protocol.errors import DataError, InvalidInput, SalusError, Unclean, VaultError
from protocol.gateway.quarantine import Item, Quarantine
from protocol.imaging.deidentify import Clean, WithoutRegions
from protocol.imaging.text import Box
from protocol.vault.store import Instance, Vault

log = logging.getLogger(__name__)

#: De-identifies a DICOM file, its regions given or its own. Raises Unclean, and WithoutRegions, which names the model:
#: it alone looks into what a device sent.
Cleaning = Callable[[bytes, Sequence[Box]], Clean]

#: What another process puts into quarantine is seen after so long.
POLL_SECONDS = 1.0
#: After the disk was full.
PAUSE_SECONDS = 5.0


@dataclass
class Counts:
    """Since the start: instances that went into the vault, were there already, or were kept back."""

    stored: int = 0
    again: int = 0
    held: int = 0


class Worker:
    """Looks at what arrived. ``cleanings``: as many instances are looked at side by side."""

    def __init__(
        self, quarantine: Quarantine, vault: Vault, pseudonyms: Pseudonyms, cleanings: Sequence[Cleaning]
    ) -> None:
        self.counts = Counts()
        self._quarantine, self._vault, self._pseudonyms = quarantine, vault, pseudonyms
        self._cleanings = cleanings
        self._lock = threading.Lock()
        self._in_hand: set[str] = set()
        self._todo: list[str] = []
        self._news = threading.Event()

    def wake(self) -> None:
        """Something arrived."""
        self._news.set()

    def run(self, stop: threading.Event) -> None:
        """Works until it is stopped, and finishes what is in hand."""
        threads = [
            threading.Thread(target=self._work, args=(cleaning, stop), name="salus-worker", daemon=True)
            for cleaning in self._cleanings
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def look(self, id: str, cleaning: Cleaning) -> str:
        """De-identifies one item and puts it into the vault; why it is kept back, or nothing when it is clean.

        Raises InvalidInput when it is not in quarantine any more; other errors of ours and `OSError` when nothing can
        be cleaned or written now: then it stays where it is.
        """
        try:
            item = self._quarantine.item(id)
            content = self._quarantine.content(id)
        except VaultError as error:
            return self._hold(id, error.message)
        uid = self._pseudonyms.uid(item.sop_instance)
        if self._quarantine.was_done(id) and self._vault.holds(uid):
            self._quarantine.done(id)
            self._count("again")
            return ""
        try:
            clean = self._clean(item, content, cleaning)
            if clean.uid != uid:
                raise Unclean("Its file header names another instance than the object itself.")
        except (Unclean, VaultError) as error:
            return self._hold(id, error.message)
        except (SalusError, OSError):
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, it is no reason to stop before the others
            return self._hold(id, f"It cannot be cleaned ({type(error).__name__}).")
        instance = Instance(
            clean.uid, clean.patient, item.device, clean.content, clean.to_dict(), item.received_at
        )
        try:
            with self._quarantine.deciding(id):
                added = self._vault.add(instance)
                self._quarantine.done(id)
        except DataError as error:
            return self._hold(id, error.message)
        self._count("stored" if added else "again")
        return ""

    def _clean(self, item: Item, content: bytes, cleaning: Cleaning) -> Clean:
        """By the regions that a person gave for it, else by its own, else by those given for its device's model."""
        if regions := self._quarantine.regions(item.id):
            return cleaning(content, regions)
        try:
            return cleaning(content, ())
        except WithoutRegions as error:
            if not (regions := self._quarantine.remembered(error.model)):
                raise
            return cleaning(content, regions)

    def _hold(self, id: str, reason: str) -> str:
        self._quarantine.hold(id, reason)
        self._count("held")
        return reason

    def _count(self, what: str) -> None:
        with self._lock:
            setattr(self.counts, what, getattr(self.counts, what) + 1)

    def _work(self, cleaning: Cleaning, stop: threading.Event) -> None:
        said = ""
        while not stop.is_set():
            id = self._next()
            if id is None:
                self._news.wait(POLL_SECONDS)
                self._news.clear()
                continue
            try:
                if reason := self.look(id, cleaning):
                    log.info("An instance is kept back in quarantine: %s", reason)
                said = ""
            except InvalidInput:  # Somebody else dealt with it.
                pass
            except (SalusError, OSError) as error:
                # It is the disk, the vault or a library: said once, and tried until it goes.
                if (line := in_a_line(error)) != said:
                    log.error("Instances wait in quarantine: %s", line)
                    said = line
                stop.wait(PAUSE_SECONDS)
            finally:
                with self._lock:
                    self._in_hand.discard(id)

    def _next(self) -> str | None:
        """The oldest that nobody has in hand."""
        with self._lock:
            for fresh in (False, True):
                if fresh:
                    self._todo = self._quarantine.arrived()[::-1]
                while self._todo:
                    id = self._todo.pop()
                    if id not in self._in_hand:
                        self._in_hand.add(id)
                        return id
        return None


def in_a_line(error: BaseException) -> str:
    """An error without what a device sent: our own errors quote nothing of it, others may."""
    if isinstance(error, SalusError):
        return error.message
    if isinstance(error, OSError):
        return error.strerror or type(error).__name__
    return type(error).__name__
