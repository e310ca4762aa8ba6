"""How fast a gateway takes images in: several devices over TLS at once, nothing lost, memory flat.

    python scripts/bench_gateway.py [--instances 10000]

The gateway runs in a process of its own: it acknowledges what is sealed on the disk, de-identifies it in another
process, puts it into the vault and batches it. Text is not looked for here: `bench_imaging.py` says what that costs.
"""

from __future__ import annotations

import argparse
import json
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from protocol.errors import GatewayError
from protocol.gateway.certificates import own, self_signed
from protocol.gateway.scp import Address
from protocol.gateway.sender import Sender
from protocol.gateway.service import Gateway, devices_of, pseudonyms_of, quarantine_of
from protocol.imaging.deidentify import Clean, deidentify
from protocol.imaging.device import ultrasound
from protocol.imaging.text import Box, Found
from protocol.vault.store import Vault

PASSWORD = "bench"
INSTANCES, ASSOCIATIONS, BURST = 10_000, 4, 250
ROWS, COLUMNS = 240, 320
BATCH = 1_000
#: Memory is compared from here on: the first batches are written, by libraries that take 50 MiB for themselves.
WARM = 0.4


class NoText:
    def find(self, picture: np.ndarray) -> list[Found]:  # noqa: ARG002
        return []


def serve(home: Path) -> None:
    """The gateway, until SIGTERM."""
    vault = Vault.open(home, PASSWORD)
    pseudonyms = pseudonyms_of(home, vault)

    def clean(content: bytes, regions: Sequence[Box]) -> Clean:
        return deidentify(content, pseudonyms, NoText(), regions)

    def anchor() -> None:
        if len(vault.pending()) >= BATCH:
            vault.flush(devices_of(home, vault).sign)

    certificate, key = own(home / "gateway", "SALUS", ["127.0.0.1"])
    gateway = Gateway(
        home, vault, Address(port=0, certificate=certificate, key=key), anchor=anchor, cleanings=[clean]
    )
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    gateway.run(stop)


def run(instances: int = INSTANCES) -> dict[str, Any]:
    """All figures of the bench."""
    with tempfile.TemporaryDirectory(prefix="salus-bench-") as folder:
        home = Path(folder)
        vault = Vault.create(home, PASSWORD)
        senders = list(_senders(home, vault))
        process = subprocess.Popen([sys.executable, __file__, "--serve", str(home)])
        try:
            port = _port(home, process.pid)
            memory = _Memory(process.pid)
            began = time.monotonic()
            with ThreadPoolExecutor(ASSOCIATIONS) as pool:
                shares = [range(number, instances, ASSOCIATIONS) for number in range(ASSOCIATIONS)]
                sent = sum(
                    pool.map(lambda pair: _stream(*pair, port, memory), zip(senders, shares, strict=True))
                )
            acknowledged = time.monotonic() - began
            quarantine = quarantine_of(home, vault)
            while quarantine.arrived():
                memory.look(sent)
                time.sleep(0.2)
            clean = time.monotonic() - began
        finally:
            process.terminate()
            process.wait()
        stored = len(vault.index()) + len(vault.pending())
        if held := quarantine.held():
            raise GatewayError(f"{len(held)} instances were kept back: {held[0].reason}")
    return {
        "instances": instances,
        "bytes_each": ROWS * COLUMNS,
        "associations": ASSOCIATIONS,
        "acknowledged_per_second": sent / acknowledged,
        "clean_per_second": stored / clean,
        "acknowledged": sent,
        "stored": stored,
        "memory_warm_mib": memory.after(WARM * instances),
        "memory_end_mib": memory.last,
    }


class _Memory:
    """Resident memory of a process (MiB), by how many instances it had acknowledged."""

    def __init__(self, pid: int) -> None:
        self._status = Path(f"/proc/{pid}/status")
        self._lock = threading.Lock()
        self._count = 0
        self._seen: list[tuple[int, float]] = []

    def count(self) -> None:
        with self._lock:
            self._count += 1
            if self._count % 100 == 0:
                self.look(self._count)

    def look(self, count: int) -> None:
        line = next(each for each in self._status.read_text().splitlines() if each.startswith("VmRSS"))
        self._seen.append((count, int(line.split()[1]) / 1024))

    def after(self, count: float) -> float:
        """What it was when so many had been acknowledged."""
        return next(mib for number, mib in self._seen if number >= count)

    @property
    def last(self) -> float:
        return self._seen[-1][1]


def _senders(home: Path, vault: Vault) -> Iterator[Sender]:
    """Devices with certificates of their own; the port follows."""
    certificate, _ = own(home / "gateway", "SALUS", ["127.0.0.1"])
    for number in range(ASSOCIATIONS):
        paths = home / f"device-{number}.pem", home / f"device-{number}.key"
        for path, content in zip(paths, self_signed(f"room-{number}"), strict=True):
            path.write_bytes(content)
        devices_of(home, vault).register(f"room-{number}", paths[0].read_bytes(), f"US_{number}")
        yield Sender("127.0.0.1", 0, f"US_{number}", *paths, certificate)


def _stream(sender: Sender, share: range, port: int, memory: _Memory) -> int:
    """Sends its share of the instances, an association for each burst; how many were acknowledged."""
    there, sent = Sender(**{**vars(sender), "port": port}), 0
    for start in range(0, len(share), BURST):
        for status in there.send([_instance(number) for number in share[start : start + BURST]]):
            sent += status == 0
            memory.count()
    return sent


def _instance(number: int) -> bytes:
    grey = np.random.default_rng(number).integers(0, 120, (ROWS, COLUMNS), np.uint8)
    return ultrasound(grey, patient_id=f"BENCH-{number // 10}", patient_name="Bench^Patient")


def _port(home: Path, pid: int) -> int:
    status = home / "gateway" / "status.json"
    while True:
        if status.exists() and (said := json.loads(status.read_text()))["pid"] == pid:
            return int(said["port"])
        time.sleep(0.1)


def show(result: dict[str, Any], console: Console) -> None:
    """Prints the figures as a table."""
    title = f"Gateway: {result['instances']:,} frames of {ROWS} x {COLUMNS}, {result['associations']} devices over TLS"
    table = Table(title=title, box=SIMPLE, show_header=False)
    table.add_row("acknowledged, sealed on the disk", f"{result['acknowledged_per_second']:.0f} a second")
    table.add_row("clean in the vault (no OCR)", f"{result['clean_per_second']:.0f} a second")
    table.add_row("acknowledged, and in the vault", f"{result['acknowledged']:,}, {result['stored']:,}")
    table.add_row(
        f"memory of the gateway after {WARM:.0%}, and at the end",
        f"{result['memory_warm_mib']:.0f}, {result['memory_end_mib']:.0f} MiB",
    )
    console.print(table)


def main() -> None:
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--instances", type=int, default=INSTANCES)
    arguments.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    given = arguments.parse_args()
    if given.serve:
        serve(given.serve)
    else:
        show(run(given.instances), Console())


if __name__ == "__main__":
    main()
