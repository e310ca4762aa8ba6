"""Real ultrasound: deid-data has patients' particulars burned in, pydicom's files have many encodings."""

from __future__ import annotations

import re
import zipfile
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from pydicom.data import get_testdata_file
from pydicom.pixels import pixel_array
from pydicom.tag import Tag

from protocol.errors import Unclean
from protocol.imaging.deidentify import deidentify
from protocol.imaging.text import RapidOcr
from tests.protocol.imaging.made import PSEUDONYMS, opened

PIXELS = Tag("PixelData")
FOLDER = Path(find_spec("deid_data").origin).parent / "data" / "ultrasounds"
#: What their makers planted, in tags and pixels alike, and where the pixels are: left, top, right, bottom.
BURNED = {
    "GREYSCALE_IMAGE.dcm": [
        "TEST PATIENTFIVE",
        "PATIENTFI",
        "00079241539",
        "2020202020202",
        "19510829",
        "DOB",
        "CLEVEL",
    ],
    "RGB_IMAGE.dcm": [
        "ZZZDOWNTIME",
        "MARY",
        "120907058",
        "00047431395",
        "40404040404",
        "CLEVELAND",
        "4/14/2020",
    ],
    "ultrasound-multiframe.dcm": ["abcd", "20220930"],
    "RGB_CINE.zip": ["ADL", "3030303030", "19860130", "20161007"],
    "GREYSCALE_CINE.zip": ["PATIENTFIVE", "10101010101", "19510829", "20170302"],
}


@pytest.fixture(scope="module")
def ocr() -> RapidOcr:
    return RapidOcr()


def content_of(name: str) -> bytes:
    path = FOLDER / name
    if path.suffix != ".zip":
        return path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        (inside,) = [each for each in archive.namelist() if each.endswith(".dcm") and "__MACOSX" not in each]
        return archive.read(inside)


@pytest.mark.parametrize("name", list(BURNED))
def test_nothing_burned_or_tagged_survives(ocr: RapidOcr, name: str) -> None:
    content = content_of(name)
    original = opened(content)
    cleaned = deidentify(content, PSEUDONYMS, ocr)
    result = opened(cleaned.content)
    said = " ".join(str(element.value) for element in result.iterall() if element.tag != PIXELS).upper()
    assert not [word for word in BURNED[name] if re.search(rf"\b{re.escape(word.upper())}", said)]
    before, after = pixel_array(original, raw=True), pixel_array(result, raw=True)
    kept = np.zeros(before.shape[-3:-1] if original.SamplesPerPixel == 3 else before.shape[-2:], bool)
    for box in cleaned.pixels.regions:
        kept[box.rows, box.columns] = True
    for box in cleaned.pixels.masked:
        kept[box.rows, box.columns] = False
    many = cleaned.pixels.frames > 1
    before, after = (before, after) if many else (before[None], after[None])
    assert not after[:, ~kept].any(), "outside and under the boxes all frames are black"
    assert np.array_equal(after[:, kept], before[:, kept]), "and inside nothing has changed"
    read = " ".join(found.text for found in ocr.find(_shown(after[len(after) // 2])))
    assert not [word for word in BURNED[name] if word.upper() in read.upper()], "nor does anybody read it"


def _shown(frame: np.ndarray) -> np.ndarray:
    return frame if frame.ndim == 3 else np.repeat(frame[..., None], 3, axis=2)


NO_REGION = "It declares no ultrasound region, so nobody knows where its picture ends and text begins."


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("examples_palette.dcm", "YES"),
        ("examples_ybr_color.dcm", "YES"),
        ("examples_rgb_color.dcm", NO_REGION),
        ("examples_jpeg2k.dcm", NO_REGION),
        ("OBXXXX1A_rle_2frame.dcm", "YES"),
        ("OBXXXX1A_expb.dcm", "YES"),
        ("gdcm-US-ALOKA-16_big.dcm", "Its table of colours is missing, segmented, or cannot be read."),
        ("color3d_jpeg_baseline.dcm", "YES"),
        ("US1_J2KR.dcm", NO_REGION),
        ("JPGLosslessP14SV1_1s_1f_8b.dcm", "It has no patient id, so it cannot be told whose it is."),
    ],
)
def test_files_of_pydicom_are_clean_or_kept_back_with_a_reason(
    ocr: RapidOcr, name: str, expected: str
) -> None:
    path = get_testdata_file(name, download=False)
    try:
        cleaned = deidentify(Path(path).read_bytes(), PSEUDONYMS, ocr)
    except Unclean as error:
        reason = error.message
    else:
        reason = opened(cleaned.content).PatientIdentityRemoved
    assert reason == expected
