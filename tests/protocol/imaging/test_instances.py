"""What a device may send: damaged, lying or of another kind. Refused with a reason, and never let through."""

from __future__ import annotations

import logging
import random
from io import BytesIO, StringIO

import numpy as np
import pydicom
import pytest
from pydicom.uid import CTImageStorage, DeflatedExplicitVRLittleEndian, JPEGBaseline8Bit

from protocol.errors import Unclean
from protocol.imaging.deidentify import deidentify
from tests.protocol.imaging.made import PATIENT, PSEUDONYMS, file, instance, opened, speckle
from tests.protocol.imaging.test_headers import NoText, traces


def refused(content: bytes) -> str:
    with pytest.raises(Unclean) as caught:
        deidentify(content, PSEUDONYMS, NoText())
    assert PATIENT not in str(caught.value)
    return caught.value.message


@pytest.mark.parametrize("content", [b"", b"DICM", bytes(132), bytes(128) + b"DICM", b"\x89PNG" + bytes(500)])
def test_no_dicom_at_all(content: bytes) -> None:
    assert refused(content)


def test_truncated_anywhere() -> None:
    content = file(instance())
    for end in range(0, len(content) - 2, 997):
        assert refused(content[:end])


def test_flipped_bits_are_refused_or_clean() -> None:
    """Whatever flips: no other error, and no trace of the patient in what is let through."""
    content, draw = file(instance()), random.Random(11)
    header = content.index(b"DUCHEMIN") + 400
    for _ in range(400):
        damaged = bytearray(content)
        for _ in range(draw.randint(1, 4)):
            damaged[draw.randrange(132, header)] ^= 1 << draw.randrange(8)
        try:
            cleaned = deidentify(bytes(damaged), PSEUDONYMS, NoText())
        except Unclean:
            continue
        left = [word for word in traces(cleaned.content) if word.encode() in damaged]
        assert not left


def test_another_kind_of_object() -> None:
    assert "CT Image Storage" in refused(file(instance(SOPClassUID=CTImageStorage)))
    assert "modality" in refused(file(instance(Modality="CT")))


@pytest.mark.parametrize("attributes", [{"Rows": 239}, {"Columns": 321}, {"NumberOfFrames": 2}, {"Rows": 0}])
def test_lengths_that_lie(attributes: dict[str, int]) -> None:
    assert "Its pixels" in refused(file(instance(**attributes)))


def test_bytes_after_the_picture() -> None:
    dataset = instance()
    dataset.PixelData += b"DUCHEMIN"
    assert "not as many" in refused(file(dataset))


def test_a_bomb() -> None:
    assert "more than" in refused(file(instance(Rows=65_535, Columns=65_535, NumberOfFrames=2)))


def test_what_is_deflated_is_not_inflated() -> None:
    """A small file may hold any size: it is refused by its header."""
    dataset = instance(np.zeros((1, 4_000, 4_000), np.uint8))
    dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    assert "transfer syntax" in refused(file(dataset))


@pytest.mark.parametrize(
    "attributes",
    [
        {"BitsAllocated": 16, "BitsStored": 16, "HighBit": 15, "Rows": 120},
        {"PixelRepresentation": 1},
        {"PhotometricInterpretation": "RGB"},
        {"BitsStored": 9},
        {"HighBit": 3},
    ],
)
def test_samples_that_ultrasound_does_not_have(attributes: dict[str, object]) -> None:
    assert refused(file(instance(**attributes)))


def test_grey_of_three_samples() -> None:
    assert "colours" in refused(file(instance(speckle(1, 3), PhotometricInterpretation="MONOCHROME2")))


def test_two_instance_uids() -> None:
    dataset = instance()
    whole = file(dataset)
    several = opened(whole)
    several.SOPInstanceUID = ["1.2.3", "1.2.4"]
    out = BytesIO()
    pydicom.dcmwrite(out, several)
    assert "UID" in refused(out.getvalue())


def test_an_encoded_stream_of_rubbish() -> None:
    dataset = instance(PixelData=b"\xfe\xff\x00\xe0\x00\x00\x00\x00\xfe\xff\x00\xe0\x04\x00\x00\x00rubb")
    dataset.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
    dataset["PixelData"].is_undefined_length = True
    assert "decoded" in refused(file(dataset))


@pytest.mark.parametrize(
    "keyword", ["PixelData", "Rows", "SOPInstanceUID", "SequenceOfUltrasoundRegions", "PatientID"]
)
def test_what_is_missing(keyword: str) -> None:
    content = instance()
    whole = file(content)
    assert deidentify(whole, PSEUDONYMS, NoText())
    dataset = opened(whole)
    del dataset[keyword]
    out = BytesIO()
    dataset.save_as(out)
    assert refused(out.getvalue())


def test_what_pydicom_logs_reaches_no_handler_of_ours() -> None:
    """It quotes values. (Not by caplog, which puts a handler on each logger that keeps to itself.)"""
    said = StringIO()
    handler = logging.StreamHandler(said)
    logging.getLogger().addHandler(handler)
    try:
        logging.getLogger("pydicom.pixels.utils").warning("Invalid value: DUCHEMIN")
    finally:
        logging.getLogger().removeHandler(handler)
    assert not said.getvalue()
