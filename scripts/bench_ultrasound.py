"""A job on ultrasound: BreastMNIST as DICOM, streamed through the gateways of five hospitals, and trained from their
vaults in the swarm; beside each hospital alone, all in one place, and MedMNIST's published figures.

    python scripts/bench_ultrasound.py

Training, quantisation and merge are the nodes'. The test pictures are the owner's own, and no hospital has any of them.
"""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import numpy as np
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from protocol.content.cid import digest_of
from protocol.content.merkle import chunk_root
from protocol.data import breast_mnist
from protocol.data.breast_mnist import MALIGNANT, Pictures
from protocol.data.images import ImageSchema
from protocol.data.splits import HELD_OUT, TRAIN
from protocol.errors import GatewayError
from protocol.gateway.certificates import own, self_signed
from protocol.gateway.scp import Address
from protocol.gateway.sender import Sender
from protocol.gateway.service import Gateway, devices_of, pseudonyms_of
from protocol.imaging import instances
from protocol.imaging.device import ultrasound
from protocol.learning.metrics import Metrics, evaluate
from protocol.learning.rehearsal import rehearse
from protocol.learning.train import initial_state
from protocol.templates import Template
from protocol.vault.images import ImageDataset
from protocol.vault.store import Vault

SEEDS = (1, 2, 3)
# Yang et al. 2023, ResNet-18 on 28 x 28 pixels.
PUBLISHED = {"auc": 0.901, "accuracy": 0.863}
#: The devices' pixels for one of the set's.
TIMES = 8
DEVICE, AE_TITLE = "room-1", "US_ROOM1"
RETAIN_UNTIL = 2_000_000_000

Arrays = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Hospital:
    """One hospital's dataset, read from its vault. ``masked``: in how many pictures something was taken for text."""

    name: str
    train: Arrays
    held_out: Arrays
    malignant: int
    masked: int


def sent(pictures: Pictures, index: int) -> bytes:
    """What a device sends of one picture, its patient's particulars with it."""
    enlarged = np.kron(pictures.pictures[index], np.ones((TIMES, TIMES), np.uint8))
    return ultrasound(
        enlarged,
        patient_id=f"BM-{index:04}",
        patient_name=f"PATIENT^{index:04}",
        born="19610704",
        examined="20240229",
    )


def hospital(name: str, home: Path, pictures: Pictures, chosen: np.ndarray, schema: ImageSchema) -> Hospital:
    """Streams pictures through a hospital's gateway, makes a dataset of what is in its vault then, and reads it."""
    vault = Vault.create(home, "bench")
    pseudonyms = pseudonyms_of(home, vault)
    files = [sent(pictures, index) for index in chosen.tolist()]
    uids = [pseudonyms.uid(str(instances.read(content).SOPInstanceUID)) for content in files]
    vault.label(dict(zip(uids, map(int, pictures.labels[chosen]), strict=True)))
    stream(home, vault, files)
    dataset = ImageDataset.create(
        home / "datasets" / "breast", schema, vault, "modality = 'US' AND body_part = 'BREAST'",
        breast_mnist.held_out_share(len(chosen)),
    )  # fmt: skip
    malignant = int((pictures.labels[chosen] == MALIGNANT).sum())
    masked = sum(bool(row.report["masked"]) for row in vault.index())
    return Hospital(name, dataset.arrays(TRAIN), dataset.arrays(HELD_OUT), malignant, masked)


def stream(home: Path, vault: Vault, files: list[bytes]) -> None:
    """A device's files over TLS into a gateway, until all are in the vault's batches."""
    devices = devices_of(home, vault)
    for path, content in zip((home / "device.pem", home / "device.key"), self_signed(DEVICE), strict=True):
        path.write_bytes(content)
    devices.register(DEVICE, (home / "device.pem").read_bytes(), AE_TITLE)
    certificate, key = own(home / "gateway", "SALUS", ["127.0.0.1"])
    gateway, stop = Gateway(home, vault, Address(port=0, certificate=certificate, key=key)), threading.Event()
    running = threading.Thread(target=gateway.run, args=(stop,))
    running.start()
    try:
        sender = Sender(
            "127.0.0.1", gateway.port, AE_TITLE, home / "device.pem", home / "device.key", certificate
        )
        if refused := [status for status in sender.send(files) if status]:
            raise GatewayError(f"{len(refused)} of {len(files)} pictures were refused.")
        while gateway.quarantine.arrived():
            time.sleep(0.1)
    finally:
        stop.set()
        running.join()
    if held := gateway.quarantine.held():
        raise GatewayError(f"{len(held)} of {len(files)} pictures were kept back: {held[0].reason}")
    vault.flush(devices.sign)


def trained(schema: ImageSchema, seed: int, parties: Sequence[Arrays], test: Arrays) -> Metrics:
    """The template's job on these parties, from the base state of ``seed``; figures on the test pictures."""
    template = Template.load(breast_mnist.SCHEMA_NAME)
    base = initial_state(template.model, template.state, seed)
    spec = template.complete(
        base_cid=digest_of(base.tobytes()),
        base_root=chunk_root(base),
        schema=schema.to_dict(),
        retain_until=RETAIN_UNTIL,
        training={**template.document["training"], "seed": seed},
    )
    *_, last = rehearse(spec, base, parties, range(len(parties)))
    return evaluate(spec, last, *test)


def run() -> dict[str, Any]:
    """All figures of the bench. Raises DataUnavailable."""
    parts, schema = breast_mnist.load(), breast_mnist.schema()
    theirs, test = parts["train"] + parts["val"], parts["test"].encoded(schema)
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="salus-bench-") as folder:
        hospitals = [
            hospital(name, Path(folder) / name, theirs, chosen, schema)
            for name, chosen in breast_mnist.split(theirs.labels).items()
        ]
    taken_in = time.monotonic() - began
    train = [each.train for each in hospitals]
    pooled = tuple(np.concatenate(arrays) for arrays in zip(*train, strict=True))
    owners = parts["train"].encoded(schema)
    result = {
        "seeds": list(SEEDS),
        "swarm": _summary([trained(schema, seed, train, test) for seed in SEEDS]),
        "central": _summary([trained(schema, seed, [pooled], test) for seed in SEEDS]),
        "owners_split": _summary([trained(schema, seed, [owners], test) for seed in SEEDS]),
        "alone": {
            each.name: _summary([trained(schema, seed, [each.train], test) for seed in SEEDS])
            for each in hospitals
        },
        "published": PUBLISHED,
        "hospitals": {
            each.name: {
                "train": len(each.train[1]),
                "held_out": len(each.held_out[1]),
                "malignant": each.malignant,
                "masked": each.masked,
            }
            for each in hospitals
        },
        "test": len(test[1]),
        "owners_training": len(owners[1]),
        "intake_seconds": round(taken_in, 1),
    }
    result["of_central"] = result["swarm"]["auc"] / result["central"]["auc"]
    return result


def _summary(figures: list[Metrics]) -> dict[str, Any]:
    """Means over seeds, and each seed's AUC."""
    areas = [float(each.auc) for each in figures]
    return {
        "auc": fmean(areas),
        "deviation": stdev(areas),
        "by_seed": areas,
        "accuracy": fmean(each.accuracy for each in figures),
    }


def show(result: dict[str, Any], console: Console) -> None:
    """Prints the figures as a table."""
    title = f"BreastMNIST: {result['test']} test pictures, mean of {len(result['seeds'])} seeds"
    table = Table(title=title, box=SIMPLE)
    table.add_column("trained on", no_wrap=True)
    for column in ("pictures", "malignant", "AUC", "±", "accuracy"):
        table.add_column(column, justify="right")
    hospitals = result["hospitals"]
    everywhere = sum(each["train"] for each in hospitals.values())
    rows = [
        ("five hospitals in the swarm", everywhere, "", result["swarm"]),
        ("their pictures in one place", everywhere, "", result["central"]),
        ("the owner's training part", result["owners_training"], "", result["owners_split"]),
    ]
    for name, each in hospitals.items():
        share = each["malignant"] / (each["train"] + each["held_out"])
        rows.append((f"{name} alone", each["train"], f"{share:.0%}", result["alone"][name]))
    for label, count, share, summary in rows:
        cells = (f"{summary['auc']:.3f}", f"{summary['deviation']:.3f}", f"{summary['accuracy']:.3f}")
        table.add_row(label, str(count), share, *cells)
    table.add_section()
    published = result["published"]
    table.add_row(
        "MedMNIST's ResNet-18", "546", "", f"{published['auc']:.3f}", "", f"{published['accuracy']:.3f}"
    )
    console.print(table)
    masked = sum(each["masked"] for each in hospitals.values())
    count = sum(each["train"] + each["held_out"] for each in hospitals.values())
    console.print(
        f"The swarm reaches {result['of_central']:.1%} of the AUC in one place. {count} pictures over TLS through"
        f" five gateways into vaults and read back: {result['intake_seconds']} s; in {masked} of them something was"
        " taken for text and masked."
    )


if __name__ == "__main__":
    show(run(), Console())
