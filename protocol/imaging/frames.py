"""A frame of a DICOM file as people see it: in grey, or in red, green and blue, eight bits each."""

from __future__ import annotations

import numpy as np
from pydicom.dataset import Dataset
from pydicom.pixels import pixel_array
from pydicom.pixels.processing import apply_color_lut


def shown(dataset: Dataset, index: int) -> np.ndarray:
    """uint8[rows, columns] in grey, or uint8[rows, columns, 3] in RGB. Grey is as stored, black low: no window is
    applied. What a decoder raises for a damaged stream goes through."""
    frame = pixel_array(dataset, index=index)
    photometric = str(dataset.PhotometricInterpretation)
    if photometric == "PALETTE COLOR":
        return coloured(dataset, frame)
    if frame.ndim == 3:
        return frame
    # HighBit is one less than BitsStored (PS3.5, 8.1.1).
    grey = frame.astype(np.uint32) * 255 // ((1 << int(dataset.BitsStored)) - 1)
    grey = grey.clip(0, 255).astype(np.uint8)
    return 255 - grey if photometric == "MONOCHROME1" else grey


def coloured(dataset: Dataset, frame: np.ndarray) -> np.ndarray:
    """The colours of a palette, uint8[rows, columns, 3], for a frame of its numbers."""
    found = apply_color_lut(frame, dataset)[..., :3]
    return (found >> 8).astype(np.uint8) if found.dtype == np.uint16 else found
