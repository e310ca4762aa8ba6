"""Ultrasound instances as tests need them: a patient's particulars in tags and pixels, in any encoding."""

from __future__ import annotations

import itertools
from io import BytesIO
from typing import Any

import numpy as np
import pydicom
from PIL import Image, ImageDraw, ImageFont
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    ExplicitVRLittleEndian,
    UltrasoundImageStorage,
    UltrasoundMultiFrameImageStorage,
)

from protocol.data.pseudonyms import Pseudonyms
from protocol.imaging.text import Box

_COUNT = itertools.count()
ROWS, COLUMNS = 240, 320
REGION = Box(40, 60, 300, 230)
PSEUDONYMS = Pseudonyms(bytes(range(32)))
NAME, PATIENT, BORN, EXAMINED = "DUCHEMIN^ARMELLE", "HOSP-4711008", "19610704", "20240229"


def region(box: Box = REGION, spatial_format: int = 1) -> Dataset:
    item = Dataset()
    item.RegionLocationMinX0, item.RegionLocationMinY0 = box.left, box.top
    item.RegionLocationMaxX1, item.RegionLocationMaxY1 = box.right - 1, box.bottom - 1
    item.RegionSpatialFormat, item.RegionDataType = spatial_format, 1
    return item


def speckle(frames: int = 1, samples: int = 1, seed: int = 5, dtype: Any = np.uint8) -> np.ndarray:
    """Noise as an ultrasound picture has it, dark enough for white text; [frames, rows, columns(, samples)]."""
    draw = np.random.default_rng(seed)
    grey = np.minimum(draw.rayleigh(18, (frames, ROWS, COLUMNS)), 90).astype(dtype)
    return np.repeat(grey[..., None], samples, axis=3) if samples > 1 else grey


def write_on(picture: np.ndarray, text: str, at: tuple[int, int], size: int = 16, colour: Any = 255) -> None:
    """Burns text into one frame, uint8, in place."""
    drawn = Image.fromarray(picture)
    ImageDraw.Draw(drawn).text(at, text, fill=colour, font=ImageFont.load_default(size))
    picture[...] = np.asarray(drawn)


def instance(frames: np.ndarray | None = None, **attributes: Any) -> Dataset:
    """An instance with pixels [frames, rows, columns(, samples)], explicit VR little endian."""
    pixels = speckle() if frames is None else frames
    dataset = Dataset()
    many = len(pixels) > 1
    dataset.SOPClassUID = UltrasoundMultiFrameImageStorage if many else UltrasoundImageStorage
    dataset.SOPInstanceUID, dataset.StudyInstanceUID, dataset.SeriesInstanceUID = (
        f"1.2.3.{next(_COUNT)}" for _ in range(3)
    )
    dataset.Modality, dataset.Manufacturer = "US", "Maker"
    dataset.PatientName, dataset.PatientID, dataset.PatientBirthDate = NAME, PATIENT, BORN
    dataset.StudyDate, dataset.StudyTime = EXAMINED, "101112"
    dataset.SequenceOfUltrasoundRegions = [region()]
    if many:
        dataset.NumberOfFrames = len(pixels)
    colour = pixels.ndim == 4
    dataset.SamplesPerPixel = pixels.shape[3] if colour else 1
    dataset.PhotometricInterpretation = "RGB" if colour else "MONOCHROME2"
    if colour:
        dataset.PlanarConfiguration = 0
    bits = pixels.dtype.itemsize * 8
    dataset.Rows, dataset.Columns = pixels.shape[1:3]
    dataset.BitsAllocated = dataset.BitsStored = bits
    dataset.HighBit, dataset.PixelRepresentation = bits - 1, 0
    dataset.PixelData = pixels.tobytes() + bytes(pixels.nbytes % 2)
    for keyword, value in attributes.items():
        setattr(dataset, keyword, value)
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return dataset


def jpeg2000(frames: np.ndarray) -> bytes:
    """Frames of 8 bits a sample in JPEG 2000 without loss, as PixelData has them."""
    encoded = []
    for frame in frames:
        out = BytesIO()
        Image.fromarray(frame).save(out, "JPEG2000", irreversible=False, no_jp2=True, mct=0)
        encoded.append(out.getvalue())
    return encapsulate(encoded)


def file(dataset: Dataset) -> bytes:
    """As a device would send it."""
    out = BytesIO()
    dataset["PixelData"].VR = "OB" if dataset.BitsAllocated == 8 else "OW"
    pydicom.dcmwrite(out, dataset, enforce_file_format=True)
    return out.getvalue()


def opened(content: bytes) -> pydicom.FileDataset:
    return pydicom.dcmread(BytesIO(content))
