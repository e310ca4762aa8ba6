"""Pictures of what is in quarantine, for the eyes of the hospital that took them."""

from __future__ import annotations

from io import BytesIO

import numpy as np
from PIL import Image
from pydicom.dataset import FileDataset
from pydicom.pixels import pixel_array
from pydicom.pixels.processing import apply_color_lut

from protocol.errors import InvalidInput, Unclean
from protocol.imaging import deidentify, instances

_GREY = {"MONOCHROME1", "MONOCHROME2"}


def png(content: bytes, frame: int = 0) -> bytes:
    """A frame of a DICOM file as PNG, at its own size. Raises Unclean when it cannot be shown, and InvalidInput when
    there are fewer frames."""
    with instances.in_silence():
        dataset = instances.read(content)
        frames = int(dataset.get("NumberOfFrames") or 1)
        if not 0 <= frame < frames:
            raise InvalidInput(f"It has {frames} frames: there is no frame {frame}.", "The first is 0.")
        try:
            shown = _shown(dataset, frame)
        except Exception as error:  # noqa: BLE001 - decoders raise whatever they like for damaged streams
            raise Unclean(f"Its pixels cannot be shown ({type(error).__name__}).") from None
    out = BytesIO()
    Image.fromarray(shown).save(out, "PNG")
    return out.getvalue()


def model_without_regions(content: bytes) -> deidentify.Model | None:
    """As `deidentify.model_without_regions`, of a DICOM file. Raises Unclean."""
    with instances.in_silence():
        return deidentify.model_without_regions(instances.read(content))


def _shown(dataset: FileDataset, frame: int) -> np.ndarray:
    """uint8[rows, columns] or uint8[rows, columns, 3]."""
    picture = pixel_array(dataset, index=frame)
    photometric = str(dataset.PhotometricInterpretation)
    if photometric in _GREY:
        grey = (picture.astype(np.uint32) * 255 // ((1 << int(dataset.BitsStored)) - 1)).clip(0, 255)
        return (255 - grey if photometric == "MONOCHROME1" else grey).astype(np.uint8)
    if photometric == "PALETTE COLOR":
        picture = apply_color_lut(picture, dataset)[..., :3]
        return (picture >> 8).astype(np.uint8) if picture.dtype == np.uint16 else picture
    return picture
