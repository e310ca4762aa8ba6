"""The second act: a device streams ultrasound into a hospital's gateway, and a dataset grows on the chain meanwhile.

Read `UltrasoundAct.run` from top to bottom. Run again, the same device sends the next pictures to the same vault.
"""

from __future__ import annotations

import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.image import imread

from protocol.chain.datasets import Datasets
from protocol.client import is_newest, register_dataset
from protocol.data import breast_mnist
from protocol.demo.stage import MIN_PATIENTS, HospitalActor, Stage
from protocol.errors import DataError, DataUnavailable, DevnetError
from protocol.gateway import pictures
from protocol.gateway.certificates import self_signed
from protocol.gateway.sender import Sender
from protocol.gateway.service import devices_of, pseudonyms_of, quarantine_of
from protocol.imaging import instances
from protocol.imaging.device import ultrasound
from protocol.vault import disk, evidence
from protocol.vault.images import ImageDataset
from protocol.vault.store import Vault, folder_of

DEVICE, AE_TITLE, NAME = "room-1", "US_ROOM1", "breast"
#: Pictures of the first version, then those that come while it grows.
FIRST, MORE = 60, 30
HELD_OUT_SHARE = 0.5
WAIT_SECONDS = 300
POLL_SECONDS = 0.2

Say = Callable[[str], None]


@dataclass
class UltrasoundResult:
    """What became of one stream. ``kept_back``: reasons, by how many instances have each."""

    hospital: str
    sent: int
    clean: int
    kept_back: dict[str, int]
    dataset_id: int
    versions: list[int]
    evidence: str
    consent_id: int
    pictures: str | None


class UltrasoundAct:
    """``step`` announces what comes, ``say`` tells of it; ``mint`` mints a consent for a dataset and returns its id."""

    def __init__(
        self, stage: Stage, actor: HospitalActor, out: Path, step: Callable[[int, str], None], say: Say,
        mint: Callable[[HospitalActor, int], int],
    ) -> None:  # fmt: skip
        self.stage, self.actor, self.out, self._step, self._say, self._mint = (
            stage,
            actor,
            out,
            step,
            say,
            mint,
        )
        self.chain, self.ipfs = stage.chain, stage.ipfs

    def run(self) -> UltrasoundResult:
        """All of it, with the gateway in a process of its own."""
        self._step(
            12, f"Ultrasound: {self.actor.name} opens its gateway, and registers a device by its certificate"
        )
        self.vault = self._vault()
        sender = self._sender()
        self._step(13, "The device sends over TLS what has names and dates in tags and pixels")
        burned = list(_burned(self._say))
        self._send(sender, burned)
        shown = self._draw(burned)
        self._step(14, "It streams pictures, which become a dataset on the chain")
        stream = self._stream()
        self._send(sender, stream[:FIRST])
        dataset = self._dataset()
        before = dataset.version
        self._say(f"version {before}: {dataset.train_records} + {dataset.held_out_records} held out")
        self._send(sender, stream[FIRST:])
        dataset = self._grown(dataset)
        self._say(
            f"version {dataset.version}, appended by the gateway: {dataset.train_records} +"
            f" {dataset.held_out_records} held out"
        )
        self._step(15, "The hospital mints a consent token for it, and repeats its evidence")
        consent_id = self._mint(self.actor, dataset.dataset_id)
        stated = self._audited(dataset)
        items = quarantine_of(self.actor.home, self.vault).held()
        reasons = [item.reason for item in items]
        return UltrasoundResult(
            hospital=self.actor.name,
            sent=len(burned) + len(stream),
            clean=len(self.vault.index()),
            kept_back={reason: reasons.count(reason) for reason in sorted(set(reasons))},
            dataset_id=dataset.dataset_id,
            versions=[before, dataset.version],
            evidence=stated.hex(),
            consent_id=consent_id,
            pictures=str(shown) if shown else None,
        )

    def _vault(self) -> Vault:
        password = self.stage.devnet.accounts.password
        home = self.actor.home
        make = Vault.open if folder_of(home).exists() else Vault.create
        return make(home, password)

    def _sender(self) -> Sender:
        """The device, once the gateway listens."""
        own = self.stage.home / "devices" / DEVICE
        certificate, key = own / "certificate.pem", own / "key.pem"
        if not certificate.exists():
            own.mkdir(parents=True, exist_ok=True, mode=0o700)
            for path, content in zip((certificate, key), self_signed(DEVICE), strict=True):
                disk.put(path, content)
        devices = devices_of(self.actor.home, self.vault)
        if DEVICE not in {each.name for each in devices.list()}:
            devices.register(DEVICE, certificate.read_bytes(), AE_TITLE)
        status = self.stage.start_gateway(self.actor)
        self._say(f"{DEVICE} may send to port {status['port']}, over TLS, as {AE_TITLE}")
        trusted = self.actor.home / "gateway" / "certificate.pem"
        return Sender("127.0.0.1", status["port"], AE_TITLE, certificate, key, trusted)

    def _send(self, sender: Sender, contents: list[bytes]) -> None:
        """Sends, and waits until each is clean or kept back."""
        failed = [status for status in sender.send(contents) if status != 0]
        if failed:
            raise DevnetError(f"{len(failed)} of {len(contents)} instances were refused (0x{failed[0]:04X}).")
        quarantine = quarantine_of(self.actor.home, self.vault)
        self._wait(lambda: not quarantine.arrived(), "everything to be looked at")
        self._say(f"{len(contents)} acknowledged, and looked at")

    def _stream(self) -> list[bytes]:
        """The next pictures as a device would send them; their labels are in the vault before."""
        try:
            all_pictures = breast_mnist.load()["train"]
        except DataUnavailable as missing:
            self._say(f"[yellow]BreastMNIST cannot be had: {missing} Phantoms are sent instead.[/yellow]")
            all_pictures = _phantoms()
        start = sum(row.label is not None for row in self.vault.index()) % len(all_pictures)
        chosen = np.arange(start, start + FIRST + MORE) % len(all_pictures)
        stream, labels, pseudonyms = [], {}, pseudonyms_of(self.actor.home, self.vault)
        for number in chosen.tolist():
            content = ultrasound(
                all_pictures.pictures[number],
                patient_id=f"DEMO-{number}",
                patient_name=f"Demo^{number}",
                born="19700101",
                examined="20250312",
            )
            stream.append(content)
            uid = str(instances.read(content).SOPInstanceUID)
            labels[pseudonyms.uid(uid)] = int(all_pictures.labels[number])
        self.vault.label(labels)
        return stream

    def _dataset(self) -> ImageDataset:
        """The dataset of the first pictures; where it is there already, the gateway has seen to it."""
        folder = self.actor.home / "datasets" / NAME
        if folder.exists():
            return self._grown(ImageDataset.open(folder, vault=self.vault))
        self.vault.flush(devices_of(self.actor.home, self.vault).sign)
        dataset = ImageDataset.create(
            folder, breast_mnist.schema(), self.vault, "body_part = 'BREAST'", HELD_OUT_SHARE
        )
        register_dataset(self.chain.with_signer(self.actor.operator), self.ipfs, dataset)
        self._say(f"dataset {dataset.dataset_id}, root {dataset.root.hex()[:12]}…")
        return dataset

    def _grown(self, dataset: ImageDataset) -> ImageDataset:
        """The dataset once it holds what came, and the chain knows. Those of a few patients wait for others."""

        def newest() -> ImageDataset:
            return ImageDataset.open(dataset.folder, vault=self.vault)

        self._wait(lambda: len(self.vault.pending()) < MIN_PATIENTS, "what arrived to be batched")
        self._wait(lambda: len(newest().fresh(self.vault)) < MIN_PATIENTS, "the dataset to grow")
        self._wait(lambda: is_newest(self.chain, newest()), "its newest version on the chain")
        if waiting := len(self.vault.pending()):
            self._say(f"{waiting} wait for others: no version is of fewer than {MIN_PATIENTS} patients")
        return newest()

    def _audited(self, dataset: ImageDataset) -> bytes:
        """The evidence's digest: on the chain, and made again from all that the vault holds."""
        audit = evidence.audit(self.vault, dataset)
        registered = Datasets(self.chain).latest(dataset.dataset_id).evidence_digest
        if not audit.same or registered != audit.found:
            raise DevnetError(f"The evidence of dataset {dataset.dataset_id} cannot be repeated.")
        self._say(
            f"evidence {audit.found.hex()[:12]}… made again from the vault: the chain has the same digest"
        )
        return audit.found

    def _draw(self, contents: list[bytes]) -> Path | None:
        """A frame of each, as it was sent and as it rests in the vault."""
        pseudonyms = pseudonyms_of(self.actor.home, self.vault)
        pairs = []
        for content in contents:
            sent = instances.read(content)
            uid, middle = pseudonyms.uid(str(sent.SOPInstanceUID)), int(sent.get("NumberOfFrames") or 1) // 2
            try:
                pairs.append((pictures.png(content, middle), pictures.png(self.vault.content(uid), middle)))
            except DataError:
                continue
        if not pairs:
            return None
        path = self.out / "ultrasound-before-after.png"
        figure = Figure(figsize=(10, 3.6 * len(pairs)), layout="constrained")
        for axes, pair in zip(figure.subplots(len(pairs), 2, squeeze=False), pairs, strict=True):
            for each, image, title in zip(
                axes, pair, ("as the device sent it", "as it rests in the vault"), strict=True
            ):
                each.imshow(imread(BytesIO(image)), cmap="gray")
                each.set_title(title, fontsize=9)
                each.axis("off")
        figure.savefig(path, dpi=100)
        self._say(f"before and after: {path}")
        return path

    def _wait(self, ready: Callable[[], bool], what: str) -> None:
        until = time.monotonic() + WAIT_SECONDS
        while not ready():
            self.stage.require_running(self.actor)
            if time.monotonic() > until:
                raise DevnetError(
                    f"Waited {WAIT_SECONDS} s for {what}.",
                    f"The gateway's log: {self.actor.home / 'gateway.log'}.",
                )
            time.sleep(POLL_SECONDS)


def _burned(say: Say) -> Iterator[bytes]:
    """The ultrasound files of deid-data, made to be hard: names, ids and dates of nobody in tags and pixels."""
    found = find_spec("deid_data")
    if found is None or found.origin is None:
        say("[yellow]deid-data is not installed: its files are left out. `pip install deid-data`[/yellow]")
        return
    for path in sorted((Path(found.origin).parent / "data" / "ultrasounds").iterdir()):
        if path.suffix != ".zip":
            yield path.read_bytes()
            continue
        with zipfile.ZipFile(path) as archive:
            names = [each for each in archive.namelist() if each.endswith(".dcm") and "__MACOSX" not in each]
            yield from (archive.read(name) for name in names)


def _phantoms(count: int = 300, seed: int = 43) -> breast_mnist.Pictures:
    """Speckle with a dark cyst in every third: for where the pictures of patients cannot be had."""
    draw = np.random.default_rng(seed)
    side = breast_mnist.SIDE
    grey = draw.rayleigh(60, (count, side, side))
    labels = (np.arange(count) % 3 != 0).astype(np.uint8)
    across, down = np.mgrid[:side, :side] - side // 2
    grey[np.ix_(labels == 0)] *= np.where(across**2 + down**2 < 49, 0.2, 1.0)
    return breast_mnist.Pictures(grey.clip(0, 255).astype(np.uint8), labels)
