"""Pixels: nothing stays outside of the regions, nothing changes inside but for boxes around text."""

from __future__ import annotations

import sys

import cv2
import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.pixels import pixel_array
from pydicom.uid import ExplicitVRBigEndian, ImplicitVRLittleEndian, JPEG2000Lossless, RLELossless

from protocol.errors import MissingLibrary, Unclean
from protocol.imaging.deidentify import Clean, deidentify
from protocol.imaging.text import Box, Found, RapidOcr
from tests.protocol.imaging.made import (
    COLUMNS,
    PSEUDONYMS,
    REGION,
    ROWS,
    file,
    instance,
    jpeg2000,
    opened,
    region,
    speckle,
    write_on,
)


class Says:
    """Finds what a test says, wherever it looks."""

    def __init__(self, *found: Found) -> None:
        self.found, self.pictures = list(found), []

    def find(self, picture: np.ndarray) -> list[Found]:
        self.pictures.append(picture)
        return self.found


@pytest.fixture(scope="module")
def ocr() -> RapidOcr:
    return RapidOcr()


def outside() -> np.ndarray:
    mask = np.ones((ROWS, COLUMNS), bool)
    mask[REGION.rows, REGION.columns] = False
    return mask


def stored(cleaned: Clean) -> np.ndarray:
    """Frames as they are stored, [frames, rows, columns(, samples)]."""
    dataset = opened(cleaned.content)
    array = pixel_array(dataset, raw=True)
    many = dataset.get("NumberOfFrames") is not None
    return array if many else array[None]


@pytest.mark.parametrize("samples", [1, 3])
@pytest.mark.parametrize("frames", [1, 4])
def test_outside_is_black_and_inside_as_it_was(frames: int, samples: int) -> None:
    pixels = speckle(frames, samples)
    cleaned = deidentify(file(instance(pixels)), PSEUDONYMS, Says())
    result = stored(cleaned)
    assert not result[:, outside()].any()
    assert np.array_equal(result[:, ~outside()], pixels[:, ~outside()])
    assert cleaned.pixels.blanked == pytest.approx(outside().mean())


def test_planes_and_big_endians() -> None:
    pixels = speckle(2, 3)
    planes = instance(pixels, PlanarConfiguration=1, PixelData=np.moveaxis(pixels, 3, 1).tobytes())
    planes.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    assert np.array_equal(
        stored(deidentify(file(planes), PSEUDONYMS, Says()))[:, ~outside()], pixels[:, ~outside()]
    )
    deep = speckle(dtype=np.uint16) * 37
    swapped = _with_palette(instance(deep, PhotometricInterpretation="PALETTE COLOR"))
    swapped.PixelData = deep.byteswap().tobytes()
    swapped.file_meta.TransferSyntaxUID = ExplicitVRBigEndian
    assert np.array_equal(
        stored(deidentify(file(swapped), PSEUDONYMS, Says()))[:, ~outside()], deep[:, ~outside()]
    )


@pytest.mark.parametrize("syntax", [RLELossless, JPEG2000Lossless])
@pytest.mark.parametrize("samples", [1, 3])
def test_lossless_encodings_come_back_bit_for_bit(syntax: str, samples: int) -> None:
    pixels = speckle(3, samples)
    dataset = instance(pixels)
    dataset["PixelData"].VR = "OB"
    if syntax == RLELossless:
        dataset.compress(RLELossless, generate_instance_uid=False)
    else:
        dataset.PixelData = jpeg2000(pixels)
        dataset.file_meta.TransferSyntaxUID = JPEG2000Lossless
    cleaned = deidentify(file(dataset), PSEUDONYMS, Says())
    assert np.array_equal(stored(cleaned)[:, ~outside()], pixels[:, ~outside()])
    assert not stored(cleaned)[:, outside()].any()


def test_black_is_black_in_every_photometric_interpretation() -> None:
    grey = instance(PhotometricInterpretation="MONOCHROME1")
    assert (stored(deidentify(file(grey), PSEUDONYMS, Says()))[:, outside()] == 255).all()
    luminance = instance(speckle(1, 3), PhotometricInterpretation="YBR_FULL")
    result = stored(deidentify(file(luminance), PSEUDONYMS, Says()))[:, outside()]
    assert (result == [0, 128, 128]).all()
    palette = instance(PhotometricInterpretation="PALETTE COLOR")
    assert (stored(deidentify(file(_with_palette(palette)), PSEUDONYMS, Says()))[:, outside()] == 7).all()


def _with_palette(dataset: Dataset) -> Dataset:
    """Colours of which the darkest has index 7."""
    for colour in ("Red", "Green", "Blue"):
        setattr(dataset, f"{colour}PaletteColorLookupTableDescriptor", [256, 0, 16])
        table = np.roll(np.arange(256, dtype=np.uint16) * 257, 7)
        setattr(dataset, f"{colour}PaletteColorLookupTableData", table.tobytes())
    return dataset


def test_text_inside_is_masked_in_all_frames_and_measurements_stay() -> None:
    pixels = speckle(5)
    name, depth = Box(100, 100, 150, 120), Box(200, 100, 230, 120)
    finder = Says(Found(name, "DUCHEMIN"), Found(depth, "4.5 cm"), Found(Box(-9, -9, 9, 9), "out"))
    cleaned = deidentify(file(instance(pixels)), PSEUDONYMS, finder)
    result = stored(cleaned)
    assert not result[:, name.rows, name.columns].any()
    assert np.array_equal(result[:, depth.rows, depth.columns], pixels[:, depth.rows, depth.columns])
    assert cleaned.pixels.masked == [name] and cleaned.to_dict()["masked"] == [[100, 100, 150, 120]]
    assert len(finder.pictures) == 5, "the brightest and the darkest of all, and three frames"


@pytest.mark.parametrize(
    "regions",
    [[], [region(spatial_format=5)], [region(Box(500, 500, 600, 600))], [region(Box(90, 90, 80, 80))]],
)
def test_without_a_region_of_a_picture_it_is_kept_back(regions: list[Dataset]) -> None:
    with pytest.raises(Unclean, match="region"):
        deidentify(file(instance(SequenceOfUltrasoundRegions=regions)), PSEUDONYMS, Says())


def test_reviewed_regions_go_before_declared_ones() -> None:
    pixels, reviewed = speckle(2), Box(50, 70, 90, 100)
    for declared in ([], [region()]):
        content = file(instance(pixels, SequenceOfUltrasoundRegions=declared))
        cleaned = deidentify(content, PSEUDONYMS, Says(), [reviewed])
        result = stored(cleaned)
        assert np.array_equal(
            result[:, reviewed.rows, reviewed.columns], pixels[:, reviewed.rows, reviewed.columns]
        )
        result[:, reviewed.rows, reviewed.columns] = 0
        assert not result.any() and cleaned.pixels.regions == [reviewed]
    with pytest.raises(Unclean, match="outside"):
        deidentify(content, PSEUDONYMS, Says(), [Box(COLUMNS, 0, COLUMNS + 9, 9)])


@pytest.mark.parametrize("size", [12, 16, 24, 36])
@pytest.mark.parametrize("place", [(60, 80), (120, 140), (70, 195)])
def test_planted_text_is_found(ocr: RapidOcr, size: int, place: tuple[int, int]) -> None:
    """White or yellow on speckle, which is at most 90 of 255 bright."""
    pixels = speckle(1, 3, seed=size)
    plain = pixels.copy()
    write_on(pixels[0], "DUCHEMIN A", place, size, colour=(255, 255, 0))
    result = stored(deidentify(file(instance(pixels)), PSEUDONYMS, ocr))
    text = (pixels != plain).any(axis=(0, 3)) & ~outside()
    assert text.any()
    left = (result[0] == pixels[0]).all(-1) & text
    assert left.sum() <= 0.03 * text.sum()


def test_text_in_one_frame_is_found_by_the_brightest_of_all(ocr: RapidOcr) -> None:
    pixels = speckle(9)
    plain = pixels.copy()
    write_on(pixels[2], "DUCHEMIN ARMELLE", (80, 120), 20)
    text = (pixels != plain).any(0)
    result = stored(deidentify(file(instance(pixels)), PSEUDONYMS, ocr))
    assert not result[2][text].any()


def test_speckle_is_not_blanked_in_vain(ocr: RapidOcr) -> None:
    masked = sum(
        box.area
        for seed in range(4)
        for box in deidentify(file(instance(speckle(seed=seed))), PSEUDONYMS, ocr).pixels.masked
    )
    assert masked <= 0.01 * 4 * REGION.area


def test_text_across_an_edge_is_masked_though_a_part_looks_like_a_number() -> None:
    box = Box(REGION.left - 20, 100, REGION.left + 30, 115)
    result = stored(deidentify(file(instance()), PSEUDONYMS, Says(Found(box, "108"))))
    assert not result[:, box.rows, box.columns].any()


def test_a_number_in_a_line_of_text_is_of_the_text() -> None:
    day, month, scale = Box(100, 100, 118, 115), Box(124, 100, 190, 115), Box(250, 100, 270, 115)
    found = Says(Found(day, "29"), Found(month, "FEB 2024"), Found(scale, "5 cm"))
    assert deidentify(file(instance()), PSEUDONYMS, found).pixels.masked == [day, month]


def test_graphics_inside_of_a_picture_go() -> None:
    inner = Box(100, 100, 150, 120)
    cleaned = deidentify(
        file(instance(SequenceOfUltrasoundRegions=[region(), region(inner, 5)])), PSEUDONYMS, Says()
    )
    assert not stored(cleaned)[:, inner.rows, inner.columns].any()


def test_unused_bits_hold_nothing() -> None:
    pixels = speckle() | 0x80
    cleaned = deidentify(file(instance(pixels, BitsStored=7, HighBit=6)), PSEUDONYMS, Says())
    result = np.frombuffer(opened(cleaned.content).PixelData, np.uint8).reshape(pixels.shape)
    assert np.array_equal(result[:, ~outside()], pixels[:, ~outside()] & 0x7F)


def test_dark_text_in_one_bright_frame_is_found_by_the_darkest_of_all(ocr: RapidOcr) -> None:
    pixels = 255 - speckle(9)
    write_on(pixels[2], "DUCHEMIN ARMELLE", (80, 120), 20, colour=0)
    text = pixels[2] == 0
    result = stored(deidentify(file(instance(pixels)), PSEUDONYMS, ocr))
    masked = (result == 0).all(axis=0)
    assert text.sum() > 200 and masked[text & ~outside()].all()


@pytest.mark.parametrize("text", ["4.5 cm", "12", "-3,2", "19 fps", "5.0 MHz", "98%", "120 bpm"])
def test_measurements(text: str) -> None:
    assert Found(Box(0, 0, 1, 1), text).is_measurement


@pytest.mark.parametrize(
    "text",
    [
        "",
        "DUCHEMIN",
        "19610704",
        "1961",
        "4/7/1961",
        "4711008",
        "12:30",
        "A 4.5 cm",
        "4.5 cm B",
        "29.02",
        "04.07",
        "1961 s",
        "4711 ms",
    ],
)
def test_what_is_no_measurement(text: str) -> None:
    assert not Found(Box(0, 0, 1, 1), text).is_measurement


class Engine:
    """Answers as RapidOCR's engine does."""

    def __init__(self, corners: list[list[float]], text: str) -> None:
        self.answer = [[corners, text, 0.9]]

    def __call__(self, _: np.ndarray) -> tuple[list, None]:
        return self.answer, None


def found(
    ocr: RapidOcr, corners: list[list[float]], text: str, monkeypatch: pytest.MonkeyPatch
) -> list[Found]:
    monkeypatch.setattr(ocr, "_engine", Engine(corners, text))
    return ocr.find(speckle()[0])


@pytest.mark.parametrize("degrees", [0, 3, 20, 45, 80, 90])
def test_slanted_text_is_covered_by_boxes_along_it(
    ocr: RapidOcr, degrees: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    corners = cv2.boxPoints(((160, 120), (120, 20), degrees)).astype(int)
    boxes = [each.box for each in found(ocr, corners.tolist(), "DUCHEMIN", monkeypatch)]
    quad = np.zeros((ROWS, COLUMNS), np.uint8)
    cv2.fillPoly(quad, [corners], 1)
    covered = np.zeros(quad.shape, bool)
    for box in boxes:
        covered[box.rows, box.columns] = True
    assert covered[quad > 0].all()
    assert covered.sum() <= 3 * quad.sum()


def test_a_large_lone_letter_is_a_shape(ocr: RapidOcr, monkeypatch: pytest.MonkeyPatch) -> None:
    large = [[50, 50], [150, 50], [150, 160], [50, 160]]
    assert found(ocr, large, "T", monkeypatch) == []
    assert found(ocr, large, "LI", monkeypatch) != []
    assert found(ocr, [[50, 50], [60, 50], [60, 70], [50, 70]], "T", monkeypatch) != []


def test_a_missing_library_of_the_system_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rapidocr_onnxruntime", None)
    with pytest.raises(MissingLibrary, match="libgl1"):
        RapidOcr()
