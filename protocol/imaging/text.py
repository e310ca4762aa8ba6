"""Finds text in pictures, and tells measurements from what could name somebody.

rapidocr-onnxruntime carries its models (PP-OCRv4) in its package. What recognition reads decides only what may stay: a
box whose text is not wholly a scale or a measurement is masked, whether it could be read or not.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

import numpy as np

from protocol.errors import MissingLibrary

#: Around what the detector finds: glyphs reach a little beyond it.
MARGIN_PIXELS = 3
#: A line of text is not higher.
LARGEST_PIXELS = 80
#: Boxes for one slanted line of text.
MAX_PARTS = 32
#: Three digits at most, and a unit or the look of a scale: four digits could be a year, two decimals a day and month.
_MEASUREMENT = re.compile(
    r"[-+]?\d{1,3}(?:[.,]\d{1,3})?\s*(?:%|cm|mm|m/s|cm/s|ms|k?[Hh][Zz]|M[Hh][Zz]|d[Bb]|bpm|fps|mmHg|cm2|cm²)"
    r"|[-+]?(?:0|[1-9]\d{0,2})(?:[.,]\d)?"
)


@dataclass(frozen=True, order=True)
class Box:
    """A rectangle in pixels; right and bottom are not in it."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def rows(self) -> slice:
        return slice(self.top, self.bottom)

    @property
    def columns(self) -> slice:
        return slice(self.left, self.right)

    @property
    def area(self) -> int:
        return max(0, self.right - self.left) * max(0, self.bottom - self.top)

    def within(self, shape: tuple[int, ...]) -> Box:
        """Cut to a picture of [rows, columns]."""
        rows, columns = shape
        left, right = (min(max(0, each), columns) for each in (self.left, self.right))
        top, bottom = (min(max(0, each), rows) for each in (self.top, self.bottom))
        return Box(left, top, right, bottom)

    def is_beside(self, other: Box) -> bool:
        """Whether both could be parts of one line: they share rows, and no more than a character lies between them."""
        if min(self.bottom, other.bottom) <= max(self.top, other.top):
            return False
        gap = max(self.left, other.left) - min(self.right, other.right)
        return gap <= max(self.bottom - self.top, other.bottom - other.top)


@dataclass(frozen=True)
class Found:
    """Text at a place. What it says is for this process alone."""

    box: Box
    text: str

    @property
    def is_measurement(self) -> bool:
        return _MEASUREMENT.fullmatch(self.text.strip()) is not None


def to_mask(found: list[Found]) -> list[Box]:
    """The boxes that may not stay: all but measurements that stand by themselves."""
    masked = [each.box for each in found if not each.is_measurement]
    # A day beside its month, a number's end beside its beginning: whoever stands in a line of text is of the text.
    numbers = [each.box for each in found if each.is_measurement]
    while near := [box for box in numbers if any(box.is_beside(other) for other in masked)]:
        masked += near
        numbers = [box for box in numbers if box not in near]
    return masked


class TextFinder(Protocol):
    """Finds text in a picture, uint8[rows, columns, 3] in RGB."""

    def find(self, picture: np.ndarray) -> list[Found]: ...


class RapidOcr:
    """By rapidocr-onnxruntime. ``threads``: of the processor, for one picture. Raises MissingLibrary."""

    def __init__(self, threads: int = 1) -> None:
        try:
            from rapidocr_onnxruntime import RapidOCR
        except ImportError as error:
            # OpenCV's package leaves OpenGL to the system.
            raise MissingLibrary(
                f"What finds text in pictures cannot be loaded: {error}.",
                "If it names libGL.so.1, install that (on Debian and Ubuntu the package libgl1).",
            ) from error
        self._engine = RapidOCR(intra_op_num_threads=threads, text_score=0.0)

    def find(self, picture: np.ndarray) -> list[Found]:
        answer, _ = self._engine(picture)
        return [
            Found(box, text)
            for corners, text, _ in answer or []
            if not _is_shape(corners, text)
            for box in _around(corners)
        ]


def _is_shape(corners: list[list[float]], text: str) -> bool:
    """Whether this is a cyst or a bone that looks like a letter: larger than a device writes, and alone."""
    first, second, third, _ = np.array(corners, float)
    size = min(np.linalg.norm(second - first), np.linalg.norm(third - second))
    return size > LARGEST_PIXELS and len(text.strip()) <= 1


def _around(corners: list[list[float]]) -> list[Box]:
    """Boxes that cover a quadrilateral (corners clockwise) and a margin: one where it is straight, several along it
    where it is slanted, whose one box would be much larger than itself."""
    ends = np.array(corners, float)[[[0, 3], [1, 2]]]
    if np.linalg.norm(ends[0, 0] - ends[0, 1]) > np.linalg.norm(ends[0, 0] - ends[1, 0]):
        ends = ends.swapaxes(0, 1)
    (first, last), height = ends, np.linalg.norm(ends[0, 0] - ends[0, 1])
    rise = np.abs(last - first).mean(axis=0).min()
    parts = int(np.clip(np.ceil(4 * rise / max(1.0, height)), 1, MAX_PARTS))
    cuts = [first + (last - first) * number / parts for number in range(parts + 1)]
    return [_box(np.concatenate(both)) for both in pairwise(cuts)]


def _box(points: np.ndarray) -> Box:
    across, down = points.T
    return Box(
        int(across.min()) - MARGIN_PIXELS,
        int(down.min()) - MARGIN_PIXELS,
        int(np.ceil(across.max())) + 1 + MARGIN_PIXELS,
        int(np.ceil(down.max())) + 1 + MARGIN_PIXELS,
    )
