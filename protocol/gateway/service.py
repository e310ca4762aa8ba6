"""The gateway of a hospital: takes in what its devices send, cleans it, and puts it into the vault.

HOME/gateway/status.json   what it is doing, for `salus gateway status`; counts only
HOME/gateway/lock          one gateway a home
HOME/devices, HOME/quarantine, HOME/vault, HOME/pseudonyms.key
"""

from __future__ import annotations

import json
import logging
import os
import threading
import time
import warnings
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from protocol.data import files
from protocol.data.pseudonyms import SECRET, Pseudonyms
from protocol.errors import AlreadyRunning, GatewayError
from protocol.gateway.cleaning import Cleaner
from protocol.gateway.devices import Devices
from protocol.gateway.quarantine import Quarantine
from protocol.gateway.scp import Address, Scp
from protocol.gateway.watch import Watch
from protocol.gateway.worker import Cleaning, Worker, in_a_line
from protocol.vault.sealed import Sealer
from protocol.vault.store import Vault

log = logging.getLogger(__name__)

FOLDER = "gateway"
STATUS = "status.json"
ANCHOR_SECONDS = 1.0


def devices_of(home: Path, vault: Vault | None = None) -> Devices:
    """The devices of a home; with its vault they can be registered and sign."""
    return Devices(home / "devices", None if vault is None else Sealer(vault.sealer.derive("devices")))


def quarantine_of(home: Path, vault: Vault) -> Quarantine:
    """The quarantine of a home."""
    return Quarantine(home / "quarantine", Sealer(vault.sealer.derive("quarantine")))


def pseudonyms_of(home: Path, vault: Vault) -> Pseudonyms:
    """The pseudonyms of a home. Their secret is drawn for a vault that never held anything, and no other one will do
    from then on: raises DataError when it is lost, VaultError when it is another."""
    found = Pseudonyms.open(home / SECRET, make=vault.is_unused())
    vault.bind(found.check)
    return found


class Gateway:
    """One hospital's gateway. ``watch``: a folder to take files from. ``anchor`` is called every second, and may take
    its time: devices do not wait for it. ``cleanings``: what de-identifies, one process of its own when none are given.

    Raises GatewayError when it cannot listen, and AlreadyRunning when the home has another gateway at work.
    """

    def __init__(
        self,
        home: Path,
        vault: Vault,
        address: Address | None = None,
        *,
        anchor: Callable[[], None] | None = None,
        watch: Path | None = None,
        cleanings: Sequence[Cleaning] = (),
    ) -> None:
        self._folder = home / FOLDER
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._lock = FileLock(self._folder / "lock", thread_local=False)
        try:
            self._lock.acquire(timeout=0)
        except Timeout as error:
            raise AlreadyRunning(
                f"Another gateway is at work in {home}.", "Stop it, or give this one a --home of its own."
            ) from error
        try:
            self._open(home, vault, address or Address(), watch, cleanings)
        except BaseException:
            self._lock.release()
            raise
        self._anchor = anchor
        self._said = ""
        self._since = int(time.time())
        self._written: dict[str, Any] = {}

    def _open(
        self, home: Path, vault: Vault, address: Address, watch: Path | None, cleanings: Sequence[Cleaning]
    ) -> None:
        self._address = address
        self.vault = vault
        self.devices = devices_of(home, vault)
        self.quarantine = quarantine_of(home, vault)
        self._pseudonyms = pseudonyms_of(home, vault)
        self._own = [] if cleanings else [Cleaner(home / SECRET)]
        self.worker = Worker(self.quarantine, vault, self._pseudonyms, cleanings or self._own)
        self._watch = None
        if watch is not None:
            if not watch.is_dir():
                raise GatewayError(f"{watch} is no folder to watch.", "Make it, or name another.")
            name = self.devices.watched_folder().name
            self._watch = Watch(
                watch,
                lambda content, received_at: self.arrive(content, name, received_at),
                address.max_instance_bytes,
            )
        self._scp = Scp(address, self.devices, self.arrive, self.committed)

    @property
    def port(self) -> int:
        """The port it listens on."""
        return self._scp.port

    def arrive(self, content: bytes, device: str, received_at: int) -> str:
        """Keeps what a device sent; it is on the disk when this returns. As `Quarantine.arrive`."""
        id = self.quarantine.arrive(content, device, received_at)
        self.worker.wake()
        return id

    def committed(self, sop_instances: Iterable[str]) -> dict[str, set[str]]:
        """Which of these SOP instance UIDs are on the disk, in quarantine or clean in the vault, and under which SOP
        classes they came: none where that is not known."""
        asked = set(sop_instances)
        here = self.quarantine.holds(asked)
        # What leaves quarantine is in the vault by then: looked for in this order, it is found.
        here |= {uid for uid in asked - here if self.vault.holds(self._pseudonyms.uid(uid))}
        return self.quarantine.sop_classes(here)

    def run(self, stop: threading.Event) -> None:
        """Works until it is stopped; what is in hand is finished."""
        silence()
        threads = [threading.Thread(target=self.worker.run, args=(stop,), name="salus-workers")]
        if self._watch is not None:
            threads.append(threading.Thread(target=self._watch.run, args=(stop,), name="salus-watch"))
        for thread in threads:
            thread.start()
        self._scp.start()
        log.info("%s", self._listening())
        if self._address.is_plain:
            log.warning(
                "Plain TCP: whoever reaches this port can read along, and an AE title proves nothing."
                " Use it on a network of your own, or use TLS."
            )
        try:
            while not stop.is_set():
                self._step()
                stop.wait(ANCHOR_SECONDS)
        finally:
            stop.set()
            self.worker.wake()
            self._scp.stop()
            for thread in threads:
                thread.join()
            self.close()

    def close(self) -> None:
        """Ends what it started, and lets another gateway work in its home."""
        for cleaner in self._own:
            cleaner.close()
        self._write("stopped")
        self._lock.release()

    def status(self, doing: str = "listening") -> dict[str, Any]:
        """What it is doing: counts, and nothing of a patient."""
        return {
            "pid": os.getpid(),
            "since": self._since,
            "doing": doing,
            "host": self._address.host,
            "port": self.port,
            "ae_title": self._address.ae_title,
            "tls": not self._address.is_plain,
            "received": self._scp.received,
            "taken": self._watch.taken if self._watch else 0,
            "stored": self.worker.counts.stored,
            "again": self.worker.counts.again,
            "kept_back": self.worker.counts.held,
        }

    def _step(self) -> None:
        self._write("listening")
        if self._anchor is None:
            return
        try:
            self._anchor()
            self._said = ""
        except Exception as error:  # noqa: BLE001 - devices go on sending, whatever becomes of the chain
            if (line := in_a_line(error)) != self._said:
                log.error("Batches wait to be anchored: %s", line)
                self._said = line

    def _listening(self) -> str:
        how = "without TLS" if self._address.is_plain else "with TLS"
        return f"The gateway listens on {self._address.host}:{self.port} as {self._address.ae_title}, {how}."

    def _write(self, doing: str) -> None:
        document = self.status(doing)
        if document == self._written:
            return
        try:
            files.replace(self._folder / STATUS, json.dumps(document).encode("utf-8"))
            self._written = document
        except OSError as error:
            log.warning("%s cannot be written: %s", self._folder / STATUS, error.strerror)


def silence() -> None:
    """From here on this process says nothing of what others sent: warnings quote it, and so do the errors of threads
    that are not ours."""
    warnings.simplefilter("ignore")
    threading.excepthook = lambda given: log.error("A thread ended: %s", given.exc_type.__name__)
