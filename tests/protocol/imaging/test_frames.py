"""One frame, as people see it."""

from __future__ import annotations

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian

from protocol.imaging.frames import shown


def grey(values: list[int], photometric: str = "MONOCHROME2", stored: int = 12) -> Dataset:
    """One row of 16-bit samples."""
    dataset = Dataset()
    dataset.file_meta = Dataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.Rows, dataset.Columns, dataset.SamplesPerPixel = 1, len(values), 1
    dataset.PhotometricInterpretation = photometric
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, stored, stored - 1
    dataset.PixelRepresentation = 0
    dataset.PixelData = np.array(values, "<u2").tobytes()
    return dataset


@pytest.mark.parametrize(
    ("dataset", "expected"),
    [
        (grey([0, 2048, 4095]), [0, 127, 255]),
        (grey([0, 2048, 4095], "MONOCHROME1"), [255, 128, 0]),
        (grey([0, 128, 255], stored=8), [0, 128, 255]),
    ],
)
def test_grey_is_brought_to_eight_bits(dataset: Dataset, expected: list[int]) -> None:
    assert shown(dataset, 0).tolist() == [expected]


def test_a_palette_gives_its_colours() -> None:
    dataset = grey([0, 1, 2], "PALETTE COLOR", stored=8)
    for name, values in (("Red", [0, 0xFF00, 0]), ("Green", [0, 0, 0x8000]), ("Blue", [0x0100, 0, 0])):
        setattr(dataset, f"{name}PaletteColorLookupTableDescriptor", [3, 0, 16])
        setattr(dataset, f"{name}PaletteColorLookupTableData", np.array(values, "<u2").tobytes())
    assert shown(dataset, 0).tolist() == [[[0, 0, 1], [255, 0, 0], [0, 128, 0]]]
