"""Vaults full of de-identified ultrasound, as tests of datasets need them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from protocol.data.images import ImageSchema
from protocol.imaging.deidentify import deidentify
from protocol.imaging.text import Found
from protocol.vault.sealed import KEY_BYTES
from protocol.vault.store import Instance, Vault, folder_of
from tests.protocol.imaging import made

SCHEMA = ImageSchema.parse(
    {
        "kind": "image",
        "name": "small-ultrasound",
        "rows": 12,
        "columns": 16,
        "channels": 1,
        "centre": 0.1,
        "scale": 0.2,
        "label": {"name": "finding", "positive": "== 1"},
    }
)
KEY = bytes(range(KEY_BYTES))


@dataclass
class Finder:
    """Finds what it is told to, in every picture."""

    found: tuple[Found, ...] = ()

    def find(self, picture: np.ndarray) -> list[Found]:  # noqa: ARG002
        return list(self.found)


NO_TEXT = Finder()


def vault_in(home: Path) -> Vault:
    """A vault under a known key, which spares each test the seconds that a password takes."""
    folder = folder_of(home)
    for name in ("pending", "batches"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    return Vault(folder, KEY)


def clean(number: int, patient: str, seed: int | None = None, **attributes: object) -> Instance:
    """An instance as the gateway hands it to the vault. ``number`` decides its UID, ``seed`` its pixels."""
    frames = made.speckle(seed=number if seed is None else seed)
    sent = made.instance(frames, SOPInstanceUID=f"1.2.3.4.{number}", PatientID=patient, **attributes)
    cleaned = deidentify(made.file(sent), made.PSEUDONYMS, NO_TEXT)
    return Instance(cleaned.uid, cleaned.patient, "probe", cleaned.content, cleaned.to_dict(), 1_000 + number)


def fill(vault: Vault, patients: Iterable[int], each: int = 2, **attributes: object) -> list[Instance]:
    """Adds ``each`` instances of every patient in one batch, labelled 0 and 1 in turn."""
    added = [
        clean(100 * patient + number, f"HOSP-{patient}", **attributes)
        for patient in patients
        for number in range(each)
    ]
    for place, instance in enumerate(added):
        assert vault.add(instance)
        vault.label({instance.uid: place % 2})
    vault.flush()
    return added
