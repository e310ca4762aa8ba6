"""Blanks what an ultrasound device burns in: all pixels outside of the regions that it declares, and text inside.

The regions are SequenceOfUltrasoundRegions (PS3.3, C.8.5.5). Pixels inside of them keep their values bit for bit, but
for the boxes around text; a lossy encoding is decoded once, and never encoded again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from pydicom.dataset import FileDataset
from pydicom.pixels import convert_color_space, pixel_array
from pydicom.pixels.processing import apply_color_lut

from protocol.errors import Unclean
from protocol.imaging.frames import coloured
from protocol.imaging.text import Box, Found, TextFinder, to_mask

#: RegionSpatialFormat: 2D, M-mode, spectral, wave. Others are text and graphics of the device's own.
PICTURE_FORMATS = {1, 2, 3, 4}
#: Frames of a cine in which text is looked for, beside the brightest of all frames at each place: evenly spread.
SAMPLED_FRAMES = 3
_GREY = {"MONOCHROME1", "MONOCHROME2"}
_YBR = {"YBR_FULL", "YBR_FULL_422"}


@dataclass(frozen=True)
class PixelReport:
    """``regions`` and ``masked`` in pixels, right and lower edges not included; ``blanked``: share of each frame that
    is black now; ``kept_text``: how often a measurement was found that stays."""

    frames: int
    regions: list[Box]
    masked: list[Box]
    blanked: float
    kept_text: int


def clean(dataset: FileDataset, finder: TextFinder, reviewed: Sequence[Box] = ()) -> PixelReport:
    """Blanks an instance's pixels in place, and stores them unencoded. Regions that somebody ``reviewed`` go before
    those that it declares.

    Raises Unclean when it has no region, or its pixels cannot be decoded.
    """
    inside, regions = _reviewed(dataset, reviewed) if reviewed else _inside(dataset)
    _check_palette(dataset)
    frames = _decoded(dataset)
    photometric = str(dataset.PhotometricInterpretation)
    # Looked for before anything is blanked: text that is cut at an edge cannot be read.
    masked, kept = set(), 0
    for picture in _pictures(dataset, frames, photometric, inside):
        found = [_whole(each, inside) for each in finder.find(picture)]
        boxes = to_mask(found)
        kept += len(found) - len(boxes)
        masked |= {box.within(inside.shape) for box in boxes}
    masked = {box for box in masked if inside[box.rows, box.columns].any()}

    black = _black(dataset, photometric, frames.dtype)
    for box in masked:
        inside[box.rows, box.columns] = False
    frames[:, ~inside] = black
    _store(dataset, frames)
    return PixelReport(len(frames), regions, sorted(masked), float(1 - inside.mean()), kept_text=kept)


def _whole(found: Found, inside: np.ndarray) -> Found:
    """Text that reaches out of the regions is no measurement, whatever of it could be read."""
    box = found.box.within(inside.shape)
    return found if inside[box.rows, box.columns].all() else Found(box, "")


def _reviewed(dataset: FileDataset, regions: Sequence[Box]) -> tuple[np.ndarray, list[Box]]:
    """As `_inside`, of regions that a person gave."""
    inside = np.zeros((int(dataset.Rows), int(dataset.Columns)), bool)
    boxes = sorted(box.within(inside.shape) for box in regions)
    for box in boxes:
        inside[box.rows, box.columns] = True
    if not inside.any():
        raise Unclean("The regions given for it lie outside of its pixels.")
    return inside, boxes


def _inside(dataset: FileDataset) -> tuple[np.ndarray, list[Box]]:
    """Which pixels may stay, bool[rows, columns]: those of a picture's region, and of no region of text or graphics."""
    shape = (int(dataset.Rows), int(dataset.Columns))
    pictures, others = [], []
    try:
        for item in dataset.get("SequenceOfUltrasoundRegions") or []:
            box = Box(
                int(item.RegionLocationMinX0),
                int(item.RegionLocationMinY0),
                int(item.RegionLocationMaxX1) + 1,
                int(item.RegionLocationMaxY1) + 1,
            ).within(shape)
            if box.area:
                (pictures if int(item.RegionSpatialFormat) in PICTURE_FORMATS else others).append(box)
    except (AttributeError, TypeError, ValueError):
        raise Unclean("One of its ultrasound regions has no place.") from None
    inside = np.zeros(shape, bool)
    for box in pictures:
        inside[box.rows, box.columns] = True
    for box in others:
        inside[box.rows, box.columns] = False
    if not inside.any():
        raise Unclean(
            "It declares no ultrasound region, so nobody knows where its picture ends and text begins."
        )
    return inside, sorted(pictures)


def _check_palette(dataset: FileDataset) -> None:
    """A table of colours belongs to a palette, and has as many bytes as it says: more could be anything."""
    for colour in ("Red", "Green", "Blue"):
        name = f"{colour}PaletteColorLookupTable"
        if str(dataset.PhotometricInterpretation) != "PALETTE COLOR":
            for part in (f"{name}Descriptor", f"{name}Data"):
                if part in dataset:
                    delattr(dataset, part)
            continue
        try:
            entries, _, bits = map(int, dataset[f"{name}Descriptor"].value)
            length = len(dataset[f"{name}Data"].value)
        except (KeyError, TypeError, ValueError):
            raise Unclean("Its table of colours is missing, segmented, or cannot be read.") from None
        size = (entries or 1 << 16) * (2 if bits > 8 else 1)
        # Tables of 8 bits come one to a byte or one to a word (PS3.3, C.7.6.3.1.6).
        if length not in (size, size + size % 2, 2 * size if bits <= 8 else size):
            raise Unclean("Its table of colours has another length than it says.")


def _decoded(dataset: FileDataset) -> np.ndarray:
    """Frames as they are stored, [frames, rows, columns] or [frames, rows, columns, samples]. Encapsulated colour comes
    as RGB."""
    encapsulated = dataset.file_meta.TransferSyntaxUID.is_encapsulated
    try:
        array = pixel_array(dataset, raw=not encapsulated)
    except Exception as error:  # noqa: BLE001 - decoders raise whatever they like for damaged streams
        raise Unclean(f"Its pixels cannot be decoded ({type(error).__name__}).") from None
    frames = int(dataset.get("NumberOfFrames") or 1)
    shape = (frames, int(dataset.Rows), int(dataset.Columns))
    if int(dataset.SamplesPerPixel) > 1:
        shape = (*shape, int(dataset.SamplesPerPixel))
    if array.size != np.prod(shape):
        raise Unclean("It holds another number of frames than it says.")
    if encapsulated and len(shape) == 4:
        dataset.PhotometricInterpretation = "RGB"
    elif str(dataset.PhotometricInterpretation) == "YBR_FULL_422":
        dataset.PhotometricInterpretation = "YBR_FULL"
    return _used_bits(dataset, np.array(array.reshape(shape)))


def _used_bits(dataset: FileDataset, frames: np.ndarray) -> np.ndarray:
    """Without the bits that a sample does not use: overlays lay there once, and anything can."""
    stored, high = int(dataset.BitsStored), int(dataset.HighBit)
    frames &= np.array(((1 << stored) - 1) << (high + 1 - stored), frames.dtype)
    return frames


def _black(dataset: FileDataset, photometric: str, dtype: np.dtype) -> np.ndarray:
    """The darkest value that a pixel can have."""
    if photometric == "MONOCHROME1":
        return np.array((1 << int(dataset.BitsStored)) - 1, dtype)
    if photometric == "MONOCHROME2":
        return np.array(0, dtype)
    if photometric == "RGB":
        return np.zeros(3, dtype)
    if photometric in _YBR:
        return np.array([0, 128, 128], dtype)
    if photometric == "PALETTE COLOR":
        indices = np.arange(1 << min(int(dataset.BitsStored), 16), dtype=dtype)
        return indices[apply_color_lut(indices, dataset).astype(np.int64).sum(-1).argmin()]
    raise Unclean(f"Its colours are {photometric}, which cannot be cleaned.")


def _pictures(
    dataset: FileDataset, frames: np.ndarray, photometric: str, inside: np.ndarray
) -> list[np.ndarray]:
    """What text is looked for in, uint8[rows, columns, 3].

    Of a cine the brightest and the darkest of all frames at each place, and some of the frames. Of a palette also its
    indices, which tell more than its colours show.
    """
    chosen = [frames[0]]
    if len(frames) > 1:
        places = np.linspace(0, len(frames) - 1, SAMPLED_FRAMES).astype(int)
        chosen = [*_extremes(frames, photometric), *(frames[place] for place in sorted(set(places.tolist())))]
    if photometric in _GREY:
        return [_stretched(each, inside) for each in chosen]
    if photometric == "PALETTE COLOR":
        return [
            *(coloured(dataset, each) for each in chosen),
            *(_stretched(each, inside) for each in chosen),
        ]
    return [convert_color_space(each, "YBR_FULL", "RGB") if photometric in _YBR else each for each in chosen]


def _extremes(frames: np.ndarray, photometric: str) -> list[np.ndarray]:
    if photometric not in _YBR:
        return [frames.max(axis=0), frames.min(axis=0)]
    light = frames[..., 0]
    places = (light.argmax(axis=0), light.argmin(axis=0))
    return [np.take_along_axis(frames, place[None, ..., None], axis=0)[0] for place in places]


def _stretched(frame: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """A frame of one sample in grey: the least value inside of the regions black, the greatest white."""
    low, high = int(frame[inside].min()), int(frame[inside].max())
    grey = np.clip((frame.astype(np.int32) - low) * 255 // max(1, high - low), 0, 255).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=2)


def _store(dataset: FileDataset, frames: np.ndarray) -> None:
    stored = np.ascontiguousarray(frames, dtype=frames.dtype.newbyteorder("<")).tobytes()
    dataset.PixelData = stored + bytes(len(stored) % 2)
    dataset["PixelData"].VR = "OB" if frames.dtype.itemsize == 1 else "OW"
    dataset["PixelData"].is_undefined_length = False
    if frames.ndim == 4:
        dataset.PlanarConfiguration = 0
