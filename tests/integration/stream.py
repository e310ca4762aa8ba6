"""A gateway that is killed while a device streams into it: when is drawn from a seed.

    make stream SEED=7           or: python -m tests.integration.stream --seed 7 --instances 500 --kills 10

Each kill is a SIGKILL, and the gateway is started again at once. The device does what devices do: what was not
acknowledged it sends again. Meanwhile the gateway appends versions of a dataset to the chain.
"""

from __future__ import annotations

import argparse
import random
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from protocol.chain.datasets import Datasets
from protocol.client import is_newest, register_dataset
from protocol.data.images import ImageSchema
from protocol.errors import GatewayError
from protocol.gateway.certificates import self_signed
from protocol.gateway.sender import Sender
from protocol.gateway.service import devices_of, pseudonyms_of, quarantine_of
from protocol.imaging import instances
from protocol.imaging.device import ultrasound
from protocol.vault import evidence
from protocol.vault.images import ImageDataset
from protocol.vault.store import Vault
from tests.integration.chaos_checks import Check
from tests.integration.kept import kept_unless_it_holds
from tests.integration.stage import ROOT, Actor, Stage

DEVICE, AE_TITLE, NAME = "room-1", "US_ROOM1", "stream"
SIDE = 24
#: Instances before the dataset is made; then it grows.
FIRST = 60
#: Instances an association.
BURST = 25
BATCH_INSTANCES, BATCH_SECONDS, MIN_PATIENTS = 20, 3, 5
SCHEMA = ImageSchema.parse(
    {
        **{"kind": "image", "name": "stream", "rows": SIDE, "columns": SIDE, "channels": 1},
        **{"centre": 0.3, "scale": 0.2, "label": {"name": "finding", "positive": "== 1"}},
    }
)


@dataclass
class Acknowledged:
    """SOP instance UIDs that the gateway said it has, and how often the device had to begin anew."""

    uids: set[str]
    failures: int = 0


class Stream:
    """One hospital's gateway in ``home``, its device, and who kills. As a context it leaves nothing running."""

    def __init__(self, stage: Stage, actor: Actor, home: Path, seed: int, say: Callable[[str], None]) -> None:
        self.stage, self.actor, self.home, self._say = stage, actor, home, say
        self.chance = random.Random(seed)
        home.mkdir(parents=True)
        self.vault = Vault.create(home, stage.devnet.accounts.password)
        for name, content in zip(("device.pem", "device.key"), self_signed(DEVICE), strict=True):
            (home / name).write_bytes(content)
        devices_of(home, self.vault).register(DEVICE, (home / "device.pem").read_bytes(), AE_TITLE)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.kills = 0
        self.acknowledged = Acknowledged(set())
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Stream:
        self._start()
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()

    def pictures(self, count: int) -> dict[str, bytes]:
        """DICOM files by SOP instance UID, each of a patient of its own; their labels are in the vault."""
        draw = np.random.default_rng(self.chance.randrange(2**32))
        files = {}
        for number in range(count):
            grey = draw.rayleigh(50, (SIDE, SIDE)).clip(0, 255).astype(np.uint8)
            content = ultrasound(grey, patient_id=f"STREAM-{number}", patient_name="Stream^Patient")
            files[str(instances.read(content).SOPInstanceUID)] = content
        pseudonyms = pseudonyms_of(self.home, self.vault)
        self.vault.label({pseudonyms.uid(uid): place % 2 for place, uid in enumerate(files)})
        return files

    def send(self, files: dict[str, bytes], kills: int) -> None:
        """Sends all of them, while the gateway is killed so often."""
        at = sorted(self.chance.sample(range(1, len(files)), kills))
        before = len(self.acknowledged.uids)
        done = threading.Event()
        killer = threading.Thread(target=self._kill, args=([before + each for each in at], done))
        killer.start()
        try:
            while missing := [uid for uid in files if uid not in self.acknowledged.uids]:
                self._burst([(uid, files[uid]) for uid in missing[:BURST]])
        finally:
            done.set()
            killer.join()

    def settle(self) -> None:
        """Waits until the gateway has looked at everything and batched what it may."""
        quarantine = quarantine_of(self.home, self.vault)
        self.stage.wait_until(lambda: not quarantine.arrived(), 240, "everything to be looked at")

    def register(self) -> None:
        """Makes the dataset of what is there, and registers it; from here on the gateway sees to it."""
        self.vault.flush(devices_of(self.home, self.vault).sign)
        dataset = ImageDataset.create(self._folder, SCHEMA, self.vault, "", 0.5)
        register_dataset(self.stage.chain.with_signer(self.actor.operator), self.stage.ipfs, dataset)
        self._say(f"dataset {dataset.dataset_id}: {dataset.leaves} instances")

    def dataset(self) -> ImageDataset:
        return ImageDataset.open(self._folder, vault=self.vault)

    def grown(self) -> None:
        """Waits until the chain has all but what waits for other patients."""
        self.stage.wait_until(lambda: len(self.vault.pending()) < MIN_PATIENTS, 60, "batches")
        self.stage.wait_until(lambda: len(self.dataset().fresh(self.vault)) < MIN_PATIENTS, 120, "a version")
        self.stage.wait_until(lambda: is_newest(self.stage.chain, self.dataset()), 120, "it on the chain")

    def checks(self, files: dict[str, bytes]) -> list[Check]:
        """What must hold at the end."""
        pseudonyms, quarantine = pseudonyms_of(self.home, self.vault), quarantine_of(self.home, self.vault)
        wanted = sorted(pseudonyms.uid(uid) for uid in files)
        found = sorted(each.uid for each in [*self.vault.index(), *self.vault.pending()])
        dataset = self.dataset()
        members = [each.uid for each in dataset.members()]
        newest = Datasets(self.stage.chain).versions(dataset.dataset_id)[-1]
        held = quarantine.held()
        audit = evidence.audit(self.vault, dataset)
        return [
            Check("each was acknowledged", self.acknowledged.uids == set(files), f"{len(files)}"),
            Check("each is in the vault once", found == wanted, f"{len(found)}"),
            Check("nothing is left in quarantine", not held and not quarantine.arrived(), f"{len(held)}"),
            Check("the vault is sound", self.vault.verify() == len(found), f"{self.vault.verify()} hashed"),
            Check(
                "each is in the dataset once, but those who wait",
                len(set(members)) == len(members) > len(wanted) - MIN_PATIENTS,
                f"{len(members)}",
            ),
            Check("the chain has its root", newest.version.root == dataset.root, dataset.root.hex()[:12]),
            Check(
                "versions of the chain are those of the folder",
                newest.number == dataset.version,
                f"{newest.number}",
            ),
            Check("the evidence can be repeated", audit.same, audit.found.hex()[:12]),
        ]

    @property
    def _folder(self) -> Path:
        return self.home / "datasets" / NAME

    def _start(self) -> None:
        accounts = self.stage.devnet.accounts
        command = [
            *(sys.executable, "-m", "protocol.cli", *self.stage.options(self.home)),
            *("gateway", "run", "--port", str(self.port), "--account", f"{self.actor.name}-operator"),
            *("--vault-password-file", str(accounts.password_file), "--min-patients", str(MIN_PATIENTS)),
            *("--batch-instances", str(BATCH_INSTANCES), "--batch-seconds", str(BATCH_SECONDS)),
        ]
        with (self.home / "gateway.log").open("ab") as log:
            self._process = subprocess.Popen(
                command,
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self.stage.environment,
            )

    def _kill(self, at: Sequence[int], done: threading.Event) -> None:
        for count in at:
            while len(self.acknowledged.uids) < count and not done.is_set():
                time.sleep(0.005)
            time.sleep(self.chance.uniform(0, 0.5))
            self._process.kill()
            self._process.wait()
            self.kills += 1
            self._say(f"kill {self.kills}: {len(self.acknowledged.uids)} were acknowledged")
            self._start()

    def _burst(self, files: Sequence[tuple[str, bytes]]) -> None:
        trusted = self.home / "gateway" / "certificate.pem"
        sender = Sender(
            "127.0.0.1", self.port, AE_TITLE, self.home / "device.pem", self.home / "device.key", trusted
        )
        try:
            for (uid, _), status in zip(files, sender.send([each for _, each in files]), strict=True):
                assert status == 0, f"refused with 0x{status:04X}"
                self.acknowledged.uids.add(uid)
        except (GatewayError, OSError):
            self.acknowledged.failures += 1
            time.sleep(0.2)


def unleash(
    stage: Stage, actor: Actor, home: Path, seed: int, count: int, kills: int, say: Callable[[str], None]
) -> list[Check]:
    """Streams ``count`` instances under ``kills`` kills, and checks everything."""
    with Stream(stage, actor, home, seed, say) as stream:
        files = stream.pictures(count)
        first = dict(list(files.items())[:FIRST])
        early = round(kills * FIRST / count)
        stream.send(first, early)
        stream.settle()
        stream.register()
        stream.send(files, kills - early)
        stream.settle()
        stream.grown()
        return [
            Check(
                "kills", stream.kills == kills, f"{stream.kills}, {stream.acknowledged.failures} broken sends"
            ),
            *stream.checks(files),
        ]


def main() -> int:
    """One run on a network of its own. Exit status 0 only if every check holds; otherwise the folder is kept."""
    arguments = argparse.ArgumentParser(description="A stream of images into a gateway that is killed.")
    arguments.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1_000_000))
    arguments.add_argument("--instances", type=int, default=500)
    arguments.add_argument("--kills", type=int, default=10)
    given = arguments.parse_args()
    print(f"seed {given.seed}", flush=True)
    with kept_unless_it_holds("stream") as run:
        stage = Stage(run.devnet, run.folder / "hospitals", size=1)
        found = unleash(
            stage, stage.hospitals[0], run.folder / "gateway", given.seed, given.instances, given.kills,
            lambda line: print(line, flush=True),
        )  # fmt: skip
        table = Table("check", "holds", "seen", title=f"{given.instances} instances, {given.kills} kills")
        for check in found:
            table.add_row(check.name, "yes" if check.holds else "[red]NO", check.seen)
        Console(width=None if sys.stdout.isatty() else 120).print(table)
        run.holds = bool(found) and all(check.holds for check in found)
    return 0 if run.holds else 1


if __name__ == "__main__":
    sys.exit(main())
