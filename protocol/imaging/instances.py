"""Reads what a device sent: within bounds, of the kinds that can be cleaned, and honest about its own size."""

from __future__ import annotations

import logging
import threading
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from io import BytesIO

import numpy as np
import pydicom
from pydicom import config
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.filereader import data_element_generator, read_dataset
from pydicom.tag import Tag
from pydicom.uid import (
    JPEG2000,
    UID,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
    UltrasoundImageStorage,
    UltrasoundMultiFrameImageStorage,
)

from protocol.errors import Unclean

#: Decoded. A cine of 51 colour frames of 672 x 1016 has 104 MB.
MAX_PIXEL_BYTES = 1 << 30
MAX_FILE_BYTES = 1 << 30
#: Those inside of sequences too. A cine has a few hundred; each takes some hundred bytes of memory, and its time.
MAX_ELEMENTS = 100_000
# Retired, and still sent: PS3.6, Annex A.
_RETIRED = (UID("1.2.840.10008.5.1.4.1.1.6"), UID("1.2.840.10008.5.1.4.1.1.3"))
SOP_CLASSES = frozenset({UltrasoundImageStorage, UltrasoundMultiFrameImageStorage, *_RETIRED})
#: Without the deflated ones, which nobody can bound before they are whole, and without video.
TRANSFER_SYNTAXES = frozenset(
    {
        ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian, RLELossless, JPEGBaseline8Bit,
        JPEGExtended12Bit, JPEGLossless, JPEGLosslessSV1, JPEGLSLossless, JPEGLSNearLossless, JPEG2000,
        JPEG2000Lossless,
    }
)  # fmt: skip
#: Samples a pixel that go with each photometric interpretation.
_SAMPLES = {
    "MONOCHROME1": 1, "MONOCHROME2": 1, "PALETTE COLOR": 1, "RGB": 3, "YBR_FULL": 3, "YBR_FULL_422": 3, "YBR_ICT": 3,
    "YBR_RCT": 3,
}  # fmt: skip
_MODALITIES = {"US", "IVUS"}
_PREAMBLE_BYTES, _MAGIC = 128, b"DICM"
# Of an element or an item: PS3.5, 7.1.
_HEAD_BYTES = 8
_PIXELS, _UNDEFINED = Tag("PixelData"), 0xFFFFFFFF

# What pydicom and its decoders log quotes values of patients.
_logger = logging.getLogger("pydicom")
_logger.propagate = False
_logger.handlers = [logging.NullHandler()]


class _Silence:
    """pydicom's settings and the filters of warnings are the process's own: the first to come changes them, the last to
    leave puts them back."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._before = ExitStack()

    def enter(self) -> None:
        with self._lock:
            if not self._inside:
                self._before.enter_context(warnings.catch_warnings())
                self._before.enter_context(config.disable_value_validation())
                warnings.simplefilter("ignore")
            self._inside += 1

    def leave(self) -> None:
        with self._lock:
            self._inside -= 1
            if not self._inside:
                self._before.close()


_silence = _Silence()


@contextmanager
def in_silence() -> Iterator[None]:
    """Lets pydicom take values as they are, and say nothing of them: its warnings quote what they warn of.

    For the whole process while any thread is in it; none waits for another."""
    _silence.enter()
    try:
        yield
    finally:
        _silence.leave()


class _Bounded(BytesIO):
    """A file that is not read on after too many elements."""

    elements = 0

    def read(self, size: int | None = -1, /) -> bytes:
        # pydicom reads the head of each element and item at once.
        if size == _HEAD_BYTES:
            self.elements += 1
            self.check()
        return super().read(size)

    def check(self) -> None:
        if self.elements > MAX_ELEMENTS:
            raise Unclean(f"It has more than {MAX_ELEMENTS} elements.")


def read(content: bytes) -> FileDataset:
    """Parses a DICOM file (PS3.10). Its values are read later, one by one.

    Raises Unclean for whatever cannot be cleaned: no DICOM, truncated, another kind of object, a bomb.
    """
    if len(content) > MAX_FILE_BYTES:
        raise Unclean(f"It has {len(content)} bytes, more than the {MAX_FILE_BYTES} allowed.")
    stream = _Bounded(content)
    try:
        with in_silence():
            if _transfer_syntax(content) not in TRANSFER_SYNTAXES:
                raise Unclean("Its transfer syntax is none of those that can be cleaned.")
            dataset = pydicom.dcmread(stream)
            _check(dataset)
    except Unclean:
        raise
    except Exception as error:  # noqa: BLE001 - a dozen kinds, some with what the file holds in their words
        stream.check()  # Inside of a sequence pydicom makes another error of it.
        raise Unclean(f"It cannot be read as DICOM ({type(error).__name__}).") from None
    return dataset


def is_whole(content: bytes, syntax: str) -> bool:
    """Whether a DICOM file in this transfer syntax has its pixels and does not end before its last element. Its values
    are not looked at."""
    stream = _Bounded(content)
    stream.seek(_PREAMBLE_BYTES + len(_MAGIC))
    end, pixels = 0, False
    try:
        with in_silence():
            _read_header(stream)
            elements = data_element_generator(
                stream,
                syntax == ImplicitVRLittleEndian,
                syntax != ExplicitVRBigEndian,
                defer_size=_HEAD_BYTES,
            )
            for element in elements:
                pixels |= element.tag == _PIXELS
                if isinstance(element, RawDataElement) and element.length != _UNDEFINED:
                    end = element.value_tell + element.length
    except Exception:  # noqa: BLE001 - a dozen kinds: it ends too early, or is something else
        return False
    return pixels and end <= len(content)


def _transfer_syntax(content: bytes) -> str:
    """From the file header alone: nothing is inflated before it is known."""
    stream = _Bounded(content)
    stream.seek(_PREAMBLE_BYTES)
    if stream.read(len(_MAGIC)) != _MAGIC:
        raise Unclean("It is no DICOM file.")
    return str(_read_header(stream).get("TransferSyntaxUID", ""))


def _read_header(stream: BytesIO) -> Dataset:
    return read_dataset(
        stream,
        is_implicit_VR=False,
        is_little_endian=True,
        stop_when=lambda tag, vr, length: tag >> 16 != 2,  # noqa: ARG005
    )


def _check(dataset: FileDataset) -> None:
    kind = UID(str(dataset.get("SOPClassUID", "")))
    if kind not in SOP_CLASSES:
        # Only the standard's own name: what the file says there may be anything.
        named = kind.name if kind.name != str(kind) else "unknown"
        raise Unclean(f"It is no ultrasound image (SOP class: {named}).")
    if dataset.file_meta.get("MediaStorageSOPClassUID") != kind:
        raise Unclean("Its file header names another SOP class than the object itself.")
    if str(dataset.get("Modality", "")) not in _MODALITIES:
        raise Unclean("It claims to be of another modality than ultrasound.")
    if not isinstance(uid := dataset.get("SOPInstanceUID"), UID) or not uid:
        raise Unclean("It has no SOP instance UID, or several.")
    if "PixelData" not in dataset:
        raise Unclean("It has no pixels.")
    photometric, bits = str(dataset.PhotometricInterpretation), int(dataset.BitsAllocated)
    if _SAMPLES.get(photometric) != int(dataset.SamplesPerPixel):
        raise Unclean("Its colours are none that can be cleaned.")
    # PS3.3, C.8.5.6.1: 8 bits and unsigned, in ultrasound; palettes may have 16.
    if int(dataset.get("PixelRepresentation") or 0) or not (
        bits == 8 or (bits == 16 and photometric == "PALETTE COLOR")
    ):
        raise Unclean("Its samples are none of ultrasound's: 8 bits, or 16 of a palette, and unsigned.")
    if not 0 < int(dataset.BitsStored) <= int(dataset.HighBit) + 1 <= bits:
        raise Unclean("Its samples have more bits than there is room for.")
    _check_size(dataset, bits)


def _check_size(dataset: FileDataset, bits: int) -> None:
    frames = int(dataset.get("NumberOfFrames") or 1)
    size = int(dataset.Rows) * int(dataset.Columns) * int(dataset.SamplesPerPixel) * bits // 8 * frames
    if frames < 1 or size < 1:
        raise Unclean("Its pixels have no size.")
    if size > MAX_PIXEL_BYTES:
        raise Unclean(f"Its pixels take {size} bytes, more than the {MAX_PIXEL_BYTES} allowed.")
    if dataset.file_meta.TransferSyntaxUID.is_encapsulated:
        return
    # Too few bytes are no picture; more than a padded picture hide something.
    expected = size * 2 // 3 if str(dataset.PhotometricInterpretation) == "YBR_FULL_422" else size
    if len(dataset.PixelData) not in (expected, expected + expected % 2):
        raise Unclean("Its pixels are not as many as its rows, columns and frames ask for.")


def write(dataset: FileDataset) -> bytes:
    """A DICOM file of an instance, explicit VR little endian, with a file header of its own and an empty preamble. All
    of its values have been read before, but for binary numbers."""
    if not dataset.original_encoding[1]:
        _turn_bytes(dataset)
    fresh = Dataset(dataset)
    fresh.set_original_encoding(*dataset.original_encoding, dataset.original_character_set)
    fresh.file_meta = FileMetaDataset()
    fresh.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    fresh.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    fresh.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    out = BytesIO()
    with in_silence():
        pydicom.dcmwrite(out, fresh, enforce_file_format=True)
    return out.getvalue()


def _turn_bytes(dataset: FileDataset) -> None:
    """Words of 16 bits that came big endian, but for the pixels, which were decoded."""
    for element in dataset.iterall():
        if element.VR == "OW" and element.tag != Tag("PixelData"):
            element.value = np.frombuffer(element.value, ">u2").astype("<u2").tobytes()
