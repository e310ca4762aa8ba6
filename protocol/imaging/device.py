"""What an ultrasound device would send: pictures that lie in no DICOM file yet, as DICOM files."""

from __future__ import annotations

import hashlib
import uuid
from io import BytesIO

import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, UltrasoundImageStorage

from protocol.imaging import instances

#: RegionSpatialFormat and RegionDataType: a two-dimensional picture of tissue (PS3.3, C.8.5.5.1).
_TWO_DIMENSIONAL, _TISSUE = 1, 1


def ultrasound(
    picture: np.ndarray,
    *,
    patient_id: str,
    patient_name: str = "",
    born: str = "",
    examined: str = "",
    body_part: str = "BREAST",
    manufacturer: str = "Salus",
    model: str = "made",
) -> bytes:
    """A DICOM file (PS3.10) of one frame, uint8[rows, columns], all of it one ultrasound region.

    Its UIDs follow from the patient's id and the pixels, so that the same picture makes the same file. ``born`` and
    ``examined`` are dates as YYYYMMDD.
    """
    rows, columns = picture.shape
    pixels = np.ascontiguousarray(picture, np.uint8).tobytes()
    instance, series, study = (_uid(level, patient_id, pixels) for level in ("instance", "series", "study"))
    dataset = Dataset()
    dataset.SOPClassUID, dataset.SOPInstanceUID = UltrasoundImageStorage, instance
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = study, series
    dataset.StudyID, dataset.SeriesNumber, dataset.InstanceNumber = "1", 1, 1
    dataset.Modality, dataset.BodyPartExamined = "US", body_part
    dataset.Manufacturer, dataset.ManufacturerModelName = manufacturer, model
    dataset.PatientName, dataset.PatientID, dataset.PatientBirthDate = patient_name, patient_id, born
    dataset.PatientSex, dataset.AccessionNumber, dataset.ReferringPhysicianName = "", "", ""
    dataset.StudyDate, dataset.StudyTime = examined, ""
    dataset.ImageType = ["ORIGINAL", "PRIMARY"]
    dataset.SequenceOfUltrasoundRegions = [_region(rows, columns)]
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.Rows, dataset.Columns = rows, columns
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 8, 8, 7
    dataset.PixelRepresentation = 0
    dataset.PixelData = pixels + bytes(len(pixels) % 2)
    dataset["PixelData"].VR = "OB"
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    out = BytesIO()
    with instances.in_silence():
        pydicom.dcmwrite(out, dataset, enforce_file_format=True)
    return out.getvalue()


def _uid(level: str, patient_id: str, pixels: bytes) -> str:
    """Under the root of UUIDs (PS3.5, B.2)."""
    digest = hashlib.sha256(f"salus/device/{level}/{patient_id}/".encode() + pixels).digest()
    return f"2.25.{uuid.UUID(bytes=digest[:16], version=5).int}"


def _region(rows: int, columns: int) -> Dataset:
    region = Dataset()
    region.RegionSpatialFormat, region.RegionDataType, region.RegionFlags = _TWO_DIMENSIONAL, _TISSUE, 0
    region.RegionLocationMinX0, region.RegionLocationMinY0 = 0, 0
    region.RegionLocationMaxX1, region.RegionLocationMaxY1 = columns - 1, rows - 1
    region.PhysicalUnitsXDirection, region.PhysicalUnitsYDirection = 3, 3
    region.PhysicalDeltaX, region.PhysicalDeltaY = 0.1, 0.1
    return region
