"""Ultrasound instances with identifiers, of which is known where they were planted: in attributes, in private ones and
nested sequences, and burned into pixels. All is drawn from a seed, so a recall can be measured, and measured again.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import matplotlib
import numpy as np
from numpy.random import Generator
from PIL import Image, ImageDraw, ImageFont
from pydicom.datadict import DicomDictionary
from pydicom.dataset import Dataset
from pydicom.pixels import pixel_array
from pydicom.sequence import Sequence
from pydicom.tag import BaseTag, Tag

from protocol.imaging.deidentify import Clean
from protocol.imaging.text import Box
from tests.protocol.imaging.made import instance, opened, region

_FAMILIES = (
    "Duchemin", "Lefèvre", "Müller", "Nguyen", "O'Brien", "Kowalczyk", "García Márquez", "Yamada", "Öztürk", "Li",
    "Smith-Jones", "Novák", "Sørensen", "Iyer", "van den Berg", "Abdullah", "Rossi", "Petrova", "Okonkwo", "Bianchi",
)  # fmt: skip
_GIVEN = (
    "Armelle", "Zoé", "Jürgen", "Thi Mai", "Sean", "Agnieszka", "José", "Taro", "Ayşe", "Mary Ann", "Wei", "Jiří",
    "Bjørn", "Lakshmi", "Pieter", "Fatima", "Giulia", "Olga", "Chidi", "Carla",
)  # fmt: skip
_TOWNS = ("Lyon", "Basel", "Cleveland", "Osaka", "Kraków", "Ibadan", "Bergen", "Porto")
_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")


@dataclass(frozen=True)
class Person:
    """A patient, as the naming attributes of an instance have it. Days: YYYYMMDD."""

    family: str
    given: str
    number: str
    accession: str
    phone: str
    hospital: str
    born: str
    examined: str

    @classmethod
    def drawn(cls, draw: Generator) -> Person:
        def digits(count: int) -> str:
            return "".join(map(str, draw.integers(1, 10, count)))

        born, examined = (
            f"{draw.integers(*years)}{draw.integers(1, 13):02}{draw.integers(1, 29):02}"
            for years in ((1920, 2011), (2012, 2026))
        )
        prefix = str(draw.choice(["", "HOSP-", "P", "MRN "]))
        return cls(
            str(draw.choice(_FAMILIES)), str(draw.choice(_GIVEN)), prefix + digits(int(draw.integers(5, 10))),
            f"ACC{digits(7)}", f"+33 {digits(3)} {digits(3)} {digits(3)}", f"Clinic of {draw.choice(_TOWNS)}",
            born, examined,
        )  # fmt: skip

    def names(self) -> list[str]:
        return [
            f"{self.family}^{self.given}", f"{self.family.upper()}, {self.given}", f"{self.given} {self.family}",
            f"{self.family} {self.given[0]}.", self.family.upper(),
        ]  # fmt: skip

    def numbers(self) -> list[str]:
        return [self.number, self.accession, self.phone]

    def days(self) -> list[str]:
        return [written for day in (self.born, self.examined) for written in _written(day)]

    def own(self) -> dict[str, str]:
        """The naming attributes."""
        return {
            "PatientName": f"{self.family}^{self.given}",
            "PatientID": self.number,
            "PatientBirthDate": self.born,
            "AccessionNumber": self.accession,
            "PatientTelephoneNumbers": self.phone,
            "InstitutionName": self.hospital,
            "StudyDate": self.examined,
            "SpecificCharacterSet": "ISO_IR 192",
        }


def _written(day: str) -> list[str]:
    """A day in the orders in which people and devices write it."""
    year, month, of_month = day[:4], day[4:6], day[6:]
    return [
        day, f"{of_month}.{month}.{year}", f"{of_month}/{month}/{year[2:]}", f"{month}/{of_month}/{year}",
        f"{year}-{month}-{of_month}", f"{of_month}-{_MONTHS[int(month) - 1]}-{year}",
        f"{_MONTHS[int(month) - 1].title()} {int(of_month)}, {year}",
    ]  # fmt: skip


# --- attributes ---

#: Text in every form; UIDs, days, whole numbers, and bytes of which nobody says what they are.
_VRS = {"AE", "CS", "DA", "DS", "DT", "IS", "LO", "LT", "OB", "PN", "SH", "ST", "UC", "UI", "UN", "UR", "UT"}
#: Without which it is no ultrasound image, or which say whose it is.
_NEEDED = {
    Tag(keyword)
    for keyword in (
        "Modality", "PhotometricInterpretation", "SpecificCharacterSet", "SOPClassUID", "SOPInstanceUID", "PixelData",
        "DeidentificationMethod", "NumberOfFrames", "PatientName", "PatientID", "PatientBirthDate", "AccessionNumber",
        "PatientTelephoneNumbers", "InstitutionName", "StudyDate",
    )
}  # fmt: skip
_PLACES = [
    (Tag(tag), vr)
    for tag, (vr, _, _, _, keyword) in sorted(DicomDictionary.items())
    if vr in _VRS and keyword and Tag(tag).group not in (0, 2) and Tag(tag) not in _NEEDED
]
#: Of those that are looked into, those that are emptied, and those that go.
_SEQUENCES = [
    Tag(keyword)
    for keyword in (
        "SourceImageSequence", "ReferencedImageSequence", "AnatomicRegionSequence", "ViewCodeSequence", "UDISequence",
        "TransducerIdentificationSequence", "PurposeOfReferenceCodeSequence", "ReferencedPatientPhotoSequence",
        "RequestAttributesSequence", "PerformedProtocolCodeSequence",
    )
]  # fmt: skip
#: Of those that the profile keeps: here only a second look finds somebody's name.
_KEPT = [
    (Tag(keyword), vr)
    for keyword, vr in (
        ("Manufacturer", "LO"), ("ManufacturerModelName", "LO"), ("SoftwareVersions", "LO"), ("ViewName", "SH"),
        ("StageName", "SH"), ("CodeMeaning", "LO"), ("CodingSchemeVersion", "SH"), ("DeviceSerialNumber", "LO"),
        ("StationName", "SH"), ("DeviceDescription", "LO"), ("TransducerData", "LO"), ("ProcessingFunction", "LO"),
        ("InstanceNumber", "IS"), ("SeriesNumber", "IS"), ("HeartRate", "IS"), ("DepthOfScanField", "IS"),
        ("FocusDepth", "DS"), ("DeviceUID", "UI"), ("BodyPartExamined", "CS"), ("OutputPower", "CS"),
    )
]  # fmt: skip
Steps = tuple[BaseTag | int, ...]


@dataclass(frozen=True)
class Tagged:
    """An identifier in an attribute. ``path``: tags, and numbers of items between them."""

    kind: str
    path: Steps
    text: str

    def survives(self, dataset: Dataset) -> bool:
        """Whether the same attribute of a result still holds it."""
        here: Any = dataset
        for step in self.path:
            try:
                here = here[step]
                here = here.value if isinstance(step, BaseTag) else here
            except (KeyError, IndexError, TypeError):
                return False
        said = here.decode("utf-8", "replace") if isinstance(here, bytes) else str(here)
        return self.text.casefold() in said.casefold()


def tagged(
    draw: Generator, person: Person, *, top: int = 80, private: int = 20, nested: int = 60
) -> tuple[Dataset, list[Tagged]]:
    """An instance of few pixels with identifiers of a person in as many attributes: of the dictionary, those that the
    profile keeps more often than others; private ones; and both in sequences up to four deep."""
    small = instance(np.zeros((1, 8, 8), np.uint8), **person.own())
    small.SequenceOfUltrasoundRegions = [region(Box(1, 1, 7, 7))]
    planted = list(_plant(draw, small, person, "tags", (), top))
    planted += _plant_private(draw, small, person, (), private)
    while sum(each.kind == "nested" for each in planted) < nested:
        here, path = small, ()
        for _ in range(int(draw.integers(1, 5))):
            tag = _SEQUENCES[draw.integers(len(_SEQUENCES))]
            if tag not in here:
                here.add_new(tag, "SQ", Sequence([Dataset(), Dataset()]))
            number = int(draw.integers(2))
            path, here = (*path, tag, number), here[tag].value[number]
        planted += _plant(draw, here, person, "nested", path, 6)
        planted += _plant_private(draw, here, person, path, 2)
    return small, planted


def _plant(
    draw: Generator, dataset: Dataset, person: Person, kind: str, path: Steps, count: int
) -> Iterator[Tagged]:
    for _ in range(count):
        places = _KEPT if draw.random() < 0.3 else _PLACES
        tag, vr = places[draw.integers(len(places))]
        if tag not in dataset:
            text = _value(draw, vr, person)
            _put(dataset, tag, vr, text)
            yield Tagged(kind, (*path, tag), text)


def _plant_private(
    draw: Generator, dataset: Dataset, person: Person, path: Steps, count: int
) -> Iterator[Tagged]:
    group = int(draw.choice([0x0009, 0x0019, 0x0029, 0x7FE1]))
    block = dataset.private_block(group, f"MAKER {draw.integers(1000)}", create=True)
    for place in range(count):
        vr = str(draw.choice(["LO", "SH", "UN", "OB", "ST", "DA", "PN"]))
        tag, text = block.get_tag(place), _value(draw, vr, person)
        _put(dataset, tag, vr, text)
        yield Tagged("nested" if path else "private", (*path, tag), text)


def _put(dataset: Dataset, tag: BaseTag, vr: str, text: str) -> None:
    raw = text.encode("utf-8")
    dataset.add_new(tag, vr, raw + bytes(len(raw) % 2) if vr in ("OB", "UN") else text)


def _value(draw: Generator, vr: str, person: Person) -> str:
    day = str(draw.choice([person.born, person.examined]))
    digits = "".join(each for each in str(draw.choice(person.numbers())) if each.isdigit())
    if vr in ("DA", "DT"):
        return day + ("101112.5" if vr == "DT" else "")
    if vr in ("IS", "DS"):
        return digits
    if vr == "UI":
        return f"1.2.840.{digits}"
    forms = [*person.names(), *person.numbers(), *person.days(), person.hospital]
    if vr == "PN":
        forms = person.names()
    elif vr in ("AE", "CS", "SH"):
        forms = [each for each in forms if len(each) <= 16]
    if vr in ("AE", "CS", "UR"):
        forms = [each for each in forms if each.isascii()]
    text = str(draw.choice(forms))
    if vr in ("LO", "LT", "ST", "UT", "UC") and draw.random() < 0.3:
        text = f"seen {text} again"
    return text


# --- pixels ---

#: Grey levels between the luminance (BT.601) of text and the mean of what lies beneath it. Speckle is what a device
#: shows at a dynamic range of 60 dB: a deviation of some 20 levels.
CONTRAST = 96
DYNAMIC_RANGE_DB = 60
HEIGHTS = (10, 40)
#: What text reaches beyond its ink for a box to count as around it: half a line's height.
ALLOWANCE = 0.5
ENOUGH = 0.97
_FONTS_AT = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
_TRUETYPE = (
    "DejaVuSans", "DejaVuSans-Bold", "DejaVuSans-Oblique", "DejaVuSansMono", "DejaVuSansMono-Bold", "DejaVuSerif",
    "DejaVuSerif-Bold",
)  # fmt: skip
#: OpenCV 5 draws what it calls Hershey fonts with outlines of its own.
_OPENCV = {"OpenCV": cv2.FONT_HERSHEY_SIMPLEX, "OpenCV bold": cv2.FONT_HERSHEY_DUPLEX}
#: As on old devices: 6 pixels high, and enlarged without smoothing.
_BITMAP, _BITMAP_HEIGHT = "Pillow's bitmap", 6
FONTS = (*_TRUETYPE, *_OPENCV, _BITMAP)
_COLOURS = (
    (255, 255, 255), (255, 255, 0), (0, 255, 255), (0, 255, 0), (255, 165, 0), (255, 128, 255), (200, 200, 200),
    (0, 0, 0), (128, 0, 0), (0, 0, 128),
)  # fmt: skip
PHOTOMETRICS = ("MONOCHROME2", "MONOCHROME1", "RGB", "YBR_FULL", "PALETTE COLOR")
#: What may stay: nothing of it is anybody's.
_MEASUREMENTS = ("4.5 cm", "12", "19 fps", "5.0 MHz", "98%", "-40", "7.2 mm", "60 dB")


@dataclass(frozen=True)
class Burned:
    """An identifier in pixels. ``ink``: its pixels, bool[rows, columns]; ``height``: of a capital, pixels; ``frames``:
    those that show it."""

    text: str
    font: str
    height: int
    colour: tuple[int, ...]
    frames: tuple[int, ...]
    ink: np.ndarray = field(repr=False)

    @property
    def box(self) -> Box:
        down, across = np.nonzero(self.ink)
        return Box(int(across.min()), int(down.min()), int(across.max()) + 1, int(down.max()) + 1)


@dataclass(frozen=True)
class Picture:
    """Frames as somebody sees them, uint8[frames, rows, columns, 3], and what was burned in."""

    frames: np.ndarray
    region: Box
    inside: list[Burned]
    outside: list[Burned]

    def dataset(self, photometric: str, **attributes: Any) -> Dataset:
        """An instance of it. Grey comes from its luminance; a palette has 240 greys and the colours of the text."""
        frames, colours = self.frames, {}
        if photometric == "PALETTE COLOR":
            frames, colours = _indexed(frames)
        elif photometric.startswith("MONOCHROME"):
            frames = _light(frames).astype(np.uint8)
            frames = 255 - frames if photometric == "MONOCHROME1" else frames
        elif photometric == "YBR_FULL":
            frames = np.stack([np.asarray(Image.fromarray(each).convert("YCbCr")) for each in frames])
        return instance(
            frames,
            PhotometricInterpretation=photometric,
            SequenceOfUltrasoundRegions=[region(self.region)],
            **colours,
            **attributes,
        )


def picture(
    draw: Generator,
    rows: int = 480,
    columns: int = 640,
    frames: int = 1,
    texts: int = 5,
    *,
    alone: bool = False,
    grey: bool = False,
) -> Picture:
    """Speckle with echoes, cysts, a scale and measurements, and identifiers inside of the region and outside. Those of
    a cine stand in all frames, or each in one when it is ``alone``."""
    margin = rows // 8
    inside = Box(columns // 16, margin, columns - columns // 16, rows - rows // 16)
    canvas = np.zeros((frames, rows, columns, 3), np.uint8)
    tissue = _tissue(draw, rows, columns)
    for frame in canvas:
        frame[inside.rows, inside.columns] = _speckle(draw, tissue)[inside.rows, inside.columns, None]
    taken = np.zeros((rows, columns), bool)
    _decorate(draw, canvas, inside, taken)
    person, burned, margins = Person.drawn(draw), [], []
    forms = [*person.names(), *person.numbers(), *person.days(), person.hospital, f"ID: {person.number}"]
    forms = [each.replace("^", " ") for each in forms]
    for _ in range(texts):
        shown = (int(draw.integers(frames)),) if alone else tuple(range(frames))
        text = str(draw.choice(forms))
        burned += _burn(draw, canvas, text, inside, taken, shown, HEIGHTS, grey=grey)
        above = Box(0, 0, columns, margin - 2)
        margins += _burn(draw, canvas, text, above, taken, shown, (10, margin // 2), grey=grey)
    return Picture(canvas, inside, burned, margins)


def _tissue(draw: Generator, rows: int, columns: int) -> np.ndarray:
    """Mean brightness, float[rows, columns]: slow changes, a few bright layers and dark cysts."""
    coarse = draw.uniform(10, 110, (6, 8)).astype(np.float32)
    tissue = cv2.resize(coarse, (columns, rows), interpolation=cv2.INTER_CUBIC)
    for _ in range(4):
        centre = (int(draw.integers(columns)), int(draw.integers(rows)))
        axes = (int(draw.integers(10, columns // 8)), int(draw.integers(8, rows // 8)))
        cv2.ellipse(tissue, centre, axes, float(draw.uniform(0, 180)), 0, 360, float(draw.uniform(0, 15)), -1)
        axes = (int(draw.integers(columns // 6, columns)), int(draw.integers(rows // 10, rows)))
        cv2.ellipse(
            tissue, centre, axes, 0, 200, 340, float(draw.uniform(120, 200)), int(draw.integers(1, 5))
        )
    return cv2.GaussianBlur(np.clip(tissue, 0, 255), (0, 0), 1.0)


def _speckle(draw: Generator, tissue: np.ndarray) -> np.ndarray:
    """One frame, uint8[rows, columns]: the logarithm of the envelope of Gaussian echoes, blurred as by a beam."""
    echoes = [
        cv2.GaussianBlur(draw.normal(size=tissue.shape), (0, 0), sigmaX=1.6, sigmaY=0.9) for _ in range(2)
    ]
    envelope = np.hypot(*echoes)
    decibels = 20 * np.log10(envelope / envelope.mean() + 1e-3)
    return np.clip(tissue + decibels * 255 / DYNAMIC_RANGE_DB, 0, 255).astype(np.uint8)


def _decorate(draw: Generator, canvas: np.ndarray, inside: Box, taken: np.ndarray) -> None:
    """A scale of ticks, crosses of callipers, a line between them, and measurements, in all frames."""
    light = (220, 220, 220)
    edge = inside.right - 6
    for frame in canvas:
        for number, down in enumerate(range(inside.top + 10, inside.bottom - 4, 20)):
            cv2.line(frame, (edge - (5 if number % 5 else 10), down), (edge, down), light, 1)
    taken[:, edge - 12 :] = True
    ends = [
        (
            int(draw.integers(inside.left + 20, edge - 40)),
            int(draw.integers(inside.top + 20, inside.bottom - 20)),
        )
        for _ in range(2)
    ]
    for frame in canvas:
        for end in ends:
            cv2.drawMarker(frame, end, light, cv2.MARKER_CROSS, 9, 1)
        cv2.line(frame, *ends, (200, 200, 0), 1, cv2.LINE_4)
    line = np.zeros(taken.shape, np.uint8)
    cv2.line(line, *ends, 255, 15)
    taken |= line > 0
    for _ in range(2):
        text = str(draw.choice(_MEASUREMENTS))
        # Three times its height apart from all else: whoever stands beside a name goes with it.
        for each in _burn(draw, canvas, text, inside, taken, tuple(range(len(canvas))), (12, 20), grey=True):
            box, apart = each.box, 3 * each.height
            taken[
                max(0, box.top - apart) : box.bottom + apart, max(0, box.left - apart) : box.right + apart
            ] = True


def _burn(
    draw: Generator,
    canvas: np.ndarray,
    text: str,
    where: Box,
    taken: np.ndarray,
    frames: tuple[int, ...],
    heights: tuple[int, int],
    *,
    grey: bool,
) -> list[Burned]:
    """Writes a text where there is room within a box, and takes the room; nothing when there is none."""
    font = str(draw.choice(FONTS))
    if font not in _TRUETYPE and not text.isascii():
        font = _TRUETYPE[0]
    height = int(draw.integers(heights[0], heights[1] + 1))
    stamp = _stamp(font, text, height)
    while (
        stamp.shape[0] > where.bottom - where.top or stamp.shape[1] > where.right - where.left
    ) and height > 10:
        height = max(10, height * 3 // 4)
        stamp = _stamp(font, text, height)
    down, across = where.bottom - where.top - stamp.shape[0], where.right - where.left - stamp.shape[1]
    if down < 0 or across < 0:
        return []
    for _ in range(60):
        top, left = where.top + int(draw.integers(down + 1)), where.left + int(draw.integers(across + 1))
        place = (slice(top, top + stamp.shape[0]), slice(left, left + stamp.shape[1]))
        if not taken[place].any():
            break
    else:
        return []
    colour = _colour(draw, float(_light(canvas[:, *place]).mean()), grey=grey)
    for number in frames:
        part, cover = canvas[number][place], stamp[..., None] / 255
        part[...] = np.round(part * (1 - cover) + np.array(colour) * cover).astype(np.uint8)
    ink = np.zeros(taken.shape, bool)
    ink[place] = stamp >= 128
    room = height // 2 + 2
    taken[
        max(0, top - room) : top + stamp.shape[0] + room, max(0, left - room) : left + stamp.shape[1] + room
    ] = True
    return [Burned(text, font, height, colour, frames, ink)]


def _stamp(font: str, text: str, height: int) -> np.ndarray:
    """How much of each pixel a text covers, uint8[rows, columns], in capitals of a height."""
    if font in _OPENCV:
        thickness = 1 + height // 16
        scale = cv2.getFontScaleFromHeight(_OPENCV[font], height, thickness)
        (width, _), below = cv2.getTextSize(text, _OPENCV[font], scale, thickness)
        stamp = np.zeros((3 * height + below, width + 2 * height), np.uint8)
        cv2.putText(stamp, text, (height, 2 * height), _OPENCV[font], scale, 255, thickness, cv2.LINE_AA)
    elif font == _BITMAP:
        drawn = ImageFont.load_default_imagefont().getmask(text, "L")
        stamp = np.array(drawn).reshape(drawn.size[::-1])
        stamp = stamp.repeat(-(-height // _BITMAP_HEIGHT), axis=0).repeat(
            -(-height // _BITMAP_HEIGHT), axis=1
        )
    else:
        size = height
        while _capital(loaded := ImageFont.truetype(_FONTS_AT / f"{font}.ttf", size)) < height:
            size += 1
        left, top, right, bottom = loaded.getbbox(text)
        drawn = Image.new("L", (int(right - left) + 4, int(bottom - top) + 4))
        ImageDraw.Draw(drawn).text((2 - left, 2 - top), text, fill=255, font=loaded)
        stamp = np.asarray(drawn)
    down, across = np.nonzero(stamp)
    return stamp[down.min() : down.max() + 1, across.min() : across.max() + 1]


def _capital(font: ImageFont.FreeTypeFont) -> int:
    _, top, _, bottom = font.getbbox("H")
    return int(bottom - top)


def _colour(draw: Generator, beneath: float, *, grey: bool) -> tuple[int, int, int]:
    if grey:
        levels = [level for level in range(256) if abs(level - beneath) >= CONTRAST]
        return (int(draw.choice(levels)),) * 3
    colours = [each for each in _COLOURS if abs(_light(np.array(each)) - beneath) >= CONTRAST]
    return colours[draw.integers(len(colours))]


def _light(colours: np.ndarray) -> np.ndarray:
    """Luminance, BT.601."""
    return colours @ np.array([0.299, 0.587, 0.114])


def _indexed(frames: np.ndarray) -> tuple[np.ndarray, dict[str, Any]]:
    """Indices into 240 greys, and 16 colours for what is coloured."""
    greys = np.linspace(0, 255, 240).astype(np.uint8)
    table = np.concatenate([np.repeat(greys[:, None], 3, axis=1), np.array(_COLOURS, np.uint8)])
    table = np.concatenate([table, np.zeros((256 - len(table), 3), np.uint8)])
    spread = frames.max(-1).astype(int) - frames.min(-1)
    indices = np.round(_light(frames) * 239 / 255).astype(np.uint8)
    coloured = frames[spread > 24].astype(int)
    nearest = np.abs(coloured[:, None] - np.array(_COLOURS)[None]).sum(-1).argmin(-1) if len(coloured) else []
    indices[spread > 24] = 240 + np.array(nearest, np.uint8)
    tables = {}
    for number, name in enumerate(("Red", "Green", "Blue")):
        tables[f"{name}PaletteColorLookupTableDescriptor"] = [256, 0, 16]
        tables[f"{name}PaletteColorLookupTableData"] = (table[:, number].astype("<u2") * 257).tobytes()
    return indices, tables


#: As it is stored, by photometric interpretation. The first colour of our palettes is black.
_BLACK = {"MONOCHROME1": 255, "YBR_FULL": (0, 128, 128)}


@dataclass
class Score:
    """What became of pictures; sums of many. ``missed``: identifiers of which more than 3 % of the ink stayed;
    ``in_vain``: pixels of regions that are masked further than half a line from any identifier, of ``pixels``;
    ``outside_left``: pixels outside of regions that are not black in all frames, of ``outside``."""

    planted: int = 0
    missed: list[Burned] = field(default_factory=list)
    pixels: int = 0
    in_vain: int = 0
    outside: int = 0
    outside_left: int = 0

    @property
    def recall(self) -> float:
        return 1 - len(self.missed) / max(1, self.planted)

    @property
    def share_in_vain(self) -> float:
        return self.in_vain / max(1, self.pixels)

    def add(self, picture: Picture, cleaned: Clean) -> None:
        black = _black(opened(cleaned.content))
        inside, masked, around = (np.zeros(black.shape, bool) for _ in range(3))
        inside[picture.region.rows, picture.region.columns] = True
        for box in cleaned.pixels.masked:
            masked[box.rows, box.columns] = True
        for each in picture.inside:
            self.planted += 1
            if (masked & black)[each.ink].mean() < ENOUGH:
                self.missed.append(each)
            _take(around, each.box, max(3, round(ALLOWANCE * each.height)))
        self.pixels += int(inside.sum())
        self.in_vain += int((masked & inside & ~around).sum())
        self.outside += int((~inside).sum())
        self.outside_left += int((~black & ~inside).sum())


def _black(dataset: Dataset) -> np.ndarray:
    """Which pixels are black in all frames, bool[rows, columns]."""
    stored = pixel_array(dataset, raw=True)
    frames = stored.reshape(-1, dataset.Rows, dataset.Columns, dataset.SamplesPerPixel)
    return (frames == _BLACK.get(dataset.PhotometricInterpretation, 0)).all(axis=(0, 3))


def _take(taken: np.ndarray, box: Box, more: int) -> None:
    """Marks a box, and as many pixels around it."""
    larger = Box(box.left - more, box.top - more, box.right + more, box.bottom + more).within(taken.shape)
    taken[larger.rows, larger.columns] = True
