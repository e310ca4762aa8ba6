"""What comes out is DICOM as the standard has it, by the word of others: David Clunie's dciodvfy, and DCMTK."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset
from pydicom.pixels import pixel_array
from pydicom.uid import JPEG2000Lossless, RLELossless

from protocol.imaging.deidentify import deidentify
from protocol.imaging.text import Box, Found
from tests.protocol.imaging import planted
from tests.protocol.imaging.made import PSEUDONYMS, file, instance, jpeg2000, opened, region
from tests.protocol.imaging.test_pixels import Says
from tests.protocol.imaging.test_public import BURNED, content_of

OF_PYDICOM = (
    "examples_palette.dcm", "examples_ybr_color.dcm", "OBXXXX1A_rle_2frame.dcm", "OBXXXX1A_expb.dcm",
    "color3d_jpeg_baseline.dcm",
)  # fmt: skip
NAME = Found(Box(60, 70, 300, 90), "DUCHEMIN")


@pytest.fixture(params=[*BURNED, *OF_PYDICOM, "made"])
def content(request: pytest.FixtureRequest) -> bytes:
    if request.param == "made":
        return file(conformant())
    if request.param in BURNED:
        return content_of(request.param)
    return Path(get_testdata_file(request.param, download=False)).read_bytes()


def conformant() -> Dataset:
    """An instance in which dciodvfy finds nothing."""
    calibrated = region()
    calibrated.PhysicalUnitsXDirection = calibrated.PhysicalUnitsYDirection = 3
    calibrated.PhysicalDeltaX = calibrated.PhysicalDeltaY = 0.01
    calibrated.RegionFlags = 0
    return instance(
        SequenceOfUltrasoundRegions=[calibrated],
        ImageType=["ORIGINAL", "PRIMARY", "ABDOMINAL", "0001"],
        PatientSex="F",
        ReferringPhysicianName="OKONKWO^CHIDI",
        StudyID="S-1",
        AccessionNumber="ACC4711",
        SeriesNumber="1",
        InstanceNumber="1",
        Laterality="",
        PatientOrientation="",
        LossyImageCompression="00",
    )


def errors(content: bytes, folder: Path) -> set[str]:
    """What dciodvfy calls an error."""
    path = folder / "instance.dcm"
    path.write_bytes(content)
    said = run("dciodvfy", "-new", path).stderr
    return {line for line in said.splitlines() if line.startswith("Error")}


def run(tool: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    if shutil.which(tool) is None:
        pytest.skip(f"{tool} is not installed (Debian: dicom3tools, dcmtk)")
    return subprocess.run(
        [tool, *map(str, arguments)],
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
        timeout=120,
    )


def test_no_error_is_new_to_dciodvfy(content: bytes, tmp_path: Path) -> None:
    result = deidentify(content, PSEUDONYMS, Says(NAME)).content
    assert errors(result, tmp_path) - errors(content, tmp_path) == set()


def test_an_instance_without_error_stays_so(tmp_path: Path) -> None:
    content = file(conformant())
    assert errors(content, tmp_path) == set()
    assert errors(deidentify(content, PSEUDONYMS, Says(NAME)).content, tmp_path) == set()


def test_and_dciodvfy_finds_errors_where_there_are_some(tmp_path: Path) -> None:
    assert errors(file(instance()), tmp_path)


def test_dcmtk_opens_it(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "instance.dcm"
    cleaned = deidentify(content, PSEUDONYMS, Says(NAME))
    path.write_bytes(cleaned.content)
    shown = run("dcmdump", "+P", "SOPInstanceUID", "+P", "PatientIdentityRemoved", path)
    assert shown.returncode == 0 and shown.stderr == ""
    assert cleaned.uid in shown.stdout and "YES" in shown.stdout


@pytest.mark.parametrize("encoding", ["native", "RLE", "JPEG 2000"])
@pytest.mark.parametrize("photometric", ["MONOCHROME2", "MONOCHROME1", "RGB", "PALETTE COLOR"])
def test_pixels_stay_bit_for_bit_but_for_the_masked_boxes(photometric: str, encoding: str) -> None:
    picture = planted.picture(np.random.default_rng(3), 240, 320, frames=2, texts=3)
    dataset = picture.dataset(photometric)
    stored = pixel_array(dataset, raw=True)
    dataset["PixelData"].VR = "OB"
    if encoding == "RLE":
        dataset.compress(RLELossless, generate_instance_uid=False)
    elif encoding == "JPEG 2000":
        dataset.PixelData = jpeg2000(stored)
        dataset.file_meta.TransferSyntaxUID = JPEG2000Lossless
    finder = Says(*(Found(each.box, each.text) for each in picture.inside))
    cleaned = deidentify(file(dataset), PSEUDONYMS, finder)
    result = pixel_array(opened(cleaned.content), raw=True)
    kept = np.zeros(result.shape[1:3], bool)
    kept[picture.region.rows, picture.region.columns] = True
    for box in cleaned.pixels.masked:
        kept[box.rows, box.columns] = False
    assert len(cleaned.pixels.masked) == len(picture.inside) > 0
    assert np.array_equal(result[:, kept], stored[:, kept])
    assert len(np.unique(result[:, ~kept].reshape(-1, *result.shape[3:]), axis=0)) == 1, "all else is black"
