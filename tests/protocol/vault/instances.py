"""Instances for tests of the vault: small, and as the gateway hands them in."""

from __future__ import annotations

import numpy as np

from protocol.vault.store import Instance
from tests.protocol.imaging import made

SIDE = 16


def of(number: int, patient: str = "", device: str = "probe", **attributes: object) -> Instance:
    """Instance `number`; without a patient, of one of four. The same arguments make the same bytes."""
    patient = patient or f"PATIENT{number % 4}"
    uid = f"2.25.{number}"
    pixels = np.random.default_rng(number).integers(0, 255, (1, SIDE, SIDE), np.uint8)
    dataset = made.instance(
        pixels,
        SOPInstanceUID=uid,
        StudyInstanceUID="2.25.7",
        SeriesInstanceUID="2.25.8",
        PatientID=patient,
        **attributes,
    )
    return Instance(uid, patient, device, made.file(dataset), {"frames": 1}, 1_700_000_000 + number)
