"""What the vault keeps of one picture: its file, whose it is by pseudonym, and what its header says."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import pydicom

from protocol.errors import DataError
from protocol.imaging.instances import in_silence

_UID = re.compile(r"[0-9.]{1,64}")
_KEYWORDS = [
    "SOPInstanceUID", "PatientID", "Modality", "BodyPartExamined", "ManufacturerModelName", "Rows", "Columns",
    "NumberOfFrames",
]  # fmt: skip


@dataclass(frozen=True)
class Instance:
    """A de-identified instance. ``content``: its DICOM file; ``uid`` and ``patient``: the pseudonyms that it holds;
    ``report``: what de-identification did; ``received_at``: unix seconds."""

    uid: str
    patient: str
    device: str
    content: bytes
    report: Mapping[str, Any]
    received_at: int


@dataclass(frozen=True)
class Pending:
    """An instance that is in no batch yet."""

    uid: str
    patient: str
    device: str
    received_at: int


@dataclass(frozen=True)
class Row:
    """One instance in the index. ``batch``: the number of its batch; ``sha256``: 32 bytes, of its DICOM file;
    ``label``: None when nobody gave one."""

    uid: str
    patient: str
    device: str
    modality: str
    body_part: str
    model: str
    rows: int
    columns: int
    frames: int
    received_at: int
    batch: int
    sha256: bytes
    report: dict[str, Any]
    label: int | None


def check_uid(uid: str) -> str:
    """Raises DataError for what is no UID (PS3.5, 9.1), and would be no name of a file."""
    if not _UID.fullmatch(uid):
        raise DataError("This is not the UID of an instance: digits and dots, 64 at most.")
    return uid


def record_of(instance: Instance) -> dict[str, Any]:
    """All that a batch keeps of an instance but its content. Raises DataError when the content is no DICOM file, or
    another one's."""
    check_uid(instance.uid)
    with in_silence():
        try:
            header = pydicom.dcmread(
                BytesIO(instance.content), stop_before_pixels=True, specific_tags=_KEYWORDS
            )
            found = {keyword: header.get(keyword) for keyword in _KEYWORDS}
            record = {
                "uid": instance.uid,
                "patient": instance.patient,
                "device": instance.device,
                "modality": str(found["Modality"] or ""),
                "body_part": str(found["BodyPartExamined"] or ""),
                "model": str(found["ManufacturerModelName"] or ""),
                "rows": int(found["Rows"]),
                "columns": int(found["Columns"]),
                "frames": int(found["NumberOfFrames"] or 1),
                "received_at": instance.received_at,
                "sha256": hashlib.sha256(instance.content).hexdigest(),
                "report": json.dumps(instance.report, sort_keys=True, separators=(",", ":")),
            }
        except Exception as error:  # noqa: BLE001 - a dozen kinds, some with what the file holds in their words
            raise DataError(
                f"The instance has no header that can be read ({type(error).__name__})."
            ) from None
    if (found["SOPInstanceUID"], found["PatientID"]) != (instance.uid, instance.patient):
        raise DataError("The instance's file holds another UID or patient than it is said to.")
    return record
