"""What de-identification of ultrasound finds of what was planted, and how fast it is; headers beside dicognito.

python scripts/bench_imaging.py

dicognito de-identifies attributes by a shorter list than PS3.15's profile, and searches nothing in what stays; it lives
in an environment of its own, ``build/dicognito``, made here from ``scripts/dicognito/requirements.lock``. All times are
processor seconds of one thread.
"""

from __future__ import annotations

import sys
import tempfile
import time
import zipfile
from collections.abc import Callable
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np
import pydicom
from bench_peer import ROOT, Peer
from pydicom.data import get_testdata_file
from pydicom.uid import ExplicitVRLittleEndian
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from protocol.data.pseudonyms import Pseudonyms
from protocol.imaging import headers, instances
from protocol.imaging.deidentify import deidentify
from protocol.imaging.text import RapidOcr

if TYPE_CHECKING:
    from tests.protocol.imaging import planted

DICOGNITO = Peer("dicognito", "dicognito")

PSEUDONYMS = Pseudonyms(bytes(range(32)))
INSTANCES, PICTURES, CINES, FRAMES = 300, 150, 20, 8
#: Apart from the seeds that the tests draw from.
FIRST_SEED = 1_000
RUNS, PASSES = 5, 20
OF_PYDICOM = (
    "examples_palette.dcm", "examples_ybr_color.dcm", "examples_rgb_color.dcm", "examples_jpeg2k.dcm",
    "OBXXXX1A_rle_2frame.dcm", "color3d_jpeg_baseline.dcm", "US1_J2KR.dcm",
)  # fmt: skip
GOALS = {"tags": 0.999, "inside": 0.97, "in_vain": 0.01, "times_dicognito": 1.2, "single_off": 100}


class NoText:
    """Finds nothing: de-identification without OCR."""

    def find(self, _: np.ndarray) -> list:
        return []


def run(say: Callable[[str], None]) -> dict[str, Any]:
    """All figures. Raises DevnetError when dicognito cannot be installed or fails, with the end of what it said."""
    ocr = RapidOcr()
    say("Headers beside dicognito's")
    speed = _headers(say)
    say("Pictures and cines")
    speed |= _pictures(ocr)
    say("Recall of what is planted (four minutes)")
    return {"speed": speed, "tags": _tags(), "pixels": _pixels(ocr), "goals": GOALS}


# --- recall ---


def _planted() -> Any:
    """The tests' generator: beside the package, and no part of it."""
    if str(ROOT) not in sys.path:
        sys.path.append(str(ROOT))
    from tests.protocol.imaging import made, planted

    return made, planted


def _tags() -> dict[str, Any]:
    made, planted = _planted()
    count, left = 0, 0
    for seed in range(FIRST_SEED, FIRST_SEED + INSTANCES):
        draw = np.random.default_rng(seed)
        with instances.in_silence():
            dataset, places = planted.tagged(draw, planted.Person.drawn(draw))
            result = made.opened(deidentify(made.file(dataset), PSEUDONYMS, NoText()).content)
            left += sum(each.survives(result) for each in places)
        count += len(places)
    return {"instances": INSTANCES, "planted": count, "left": left, "recall": 1 - left / count}


def _pixels(ocr: RapidOcr) -> dict[str, Any]:
    made, planted = _planted()
    kinds = {
        "single frames": (PICTURES, 1, False),
        "cines, in all frames": (CINES // 2, FRAMES, False),
        "cines, in one frame": (CINES - CINES // 2, FRAMES, True),
    }
    result, seed = {}, FIRST_SEED
    for kind, (count, frames, alone) in kinds.items():
        score: planted.Score = planted.Score()
        for _ in range(count):
            photometric = planted.PHOTOMETRICS[seed % len(planted.PHOTOMETRICS)]
            grey = photometric.startswith("MONOCHROME")
            picture = planted.picture(np.random.default_rng(seed), frames=frames, alone=alone, grey=grey)
            score.add(picture, deidentify(made.file(picture.dataset(photometric)), PSEUDONYMS, ocr))
            seed += 1
        result[kind] = {
            "pictures": count,
            "planted": score.planted,
            "missed": [
                {"font": each.font, "height": each.height, "letters": len(each.text)} for each in score.missed
            ],
            "recall": score.recall,
            "in_vain": score.share_in_vain,
            "outside": score.outside,
            "outside_left": score.outside_left,
        }
    return result


# --- speed ---


def _headers(say: Callable[[str], None]) -> dict[str, Any]:
    """The very same files, in turns."""
    DICOGNITO.install(say)
    contents = _header_files()
    ours, theirs = [], []
    with tempfile.TemporaryDirectory(prefix="salus-headers-") as folder:
        for number, content in enumerate(contents):
            (Path(folder) / f"{number:02}.dcm").write_bytes(content)
        for each in contents:
            _clean_headers(each)
        for _ in range(RUNS):
            said = DICOGNITO.run(folder, str(PASSES))
            theirs.append(PASSES * len(contents) / float(said))
            ours.append(
                PASSES * len(contents) / _seconds(lambda: [_clean_headers(c) for c in contents], PASSES)
            )
    return {
        "headers": {"files": len(contents), "ours": median(ours), "dicognito": median(theirs)},
        "times_dicognito": median(ours) / median(theirs),
    }


def _clean_headers(content: bytes) -> None:
    with instances.in_silence():
        dataset = instances.read(content)
        headers.clean(dataset, PSEUDONYMS)
        instances.write(dataset)


def _header_files() -> list[bytes]:
    """Ultrasound of deid-data and pydicom, all of its attributes and four pixels."""
    folder = Path(find_spec("deid_data").origin).parent / "data" / "ultrasounds"
    contents = [path.read_bytes() for path in sorted(folder.glob("*.dcm"))]
    for path in sorted(folder.glob("*.zip")):
        with zipfile.ZipFile(path) as archive:
            contents += [
                archive.read(name)
                for name in archive.namelist()
                if name.endswith(".dcm") and "__MACOSX" not in name
            ]
    contents += [Path(get_testdata_file(name, download=False)).read_bytes() for name in OF_PYDICOM]
    return [_of_four_pixels(each) for each in contents]


def _of_four_pixels(content: bytes) -> bytes:
    dataset = pydicom.dcmread(BytesIO(content))
    dataset.Rows = dataset.Columns = 2
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated = dataset.BitsStored = 8
    dataset.HighBit = 7
    if "NumberOfFrames" in dataset:
        dataset.NumberOfFrames = 1
    dataset.PixelData = bytes(4)
    dataset["PixelData"].VR, dataset["PixelData"].is_undefined_length = "OB", False
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    out = BytesIO()
    dataset.save_as(out, enforce_file_format=True)
    return out.getvalue()


def _pictures(ocr: RapidOcr) -> dict[str, Any]:
    """Instances and frames a second, 640 x 480, RGB, with text inside of the region: whole de-identifications."""
    made, planted = _planted()
    single, cine = (
        made.file(planted.picture(np.random.default_rng(1), frames=frames).dataset("RGB"))
        for frames in (1, 30)
    )
    times = {
        "single_off": _seconds(lambda: deidentify(single, PSEUDONYMS, NoText()), 50) / 50,
        "single_on": _seconds(lambda: deidentify(single, PSEUDONYMS, ocr), 8) / 8,
        "cine_off": _seconds(lambda: deidentify(cine, PSEUDONYMS, NoText()), 4) / 4 / 30,
        "cine_on": _seconds(lambda: deidentify(cine, PSEUDONYMS, ocr), 2) / 2 / 30,
    }
    return {name: 1 / seconds for name, seconds in times.items()}


def _seconds(work: Callable[[], object], times: int) -> float:
    work()
    began = time.process_time()
    for _ in range(times):
        work()
    return time.process_time() - began


def show(result: dict[str, Any], console: Console) -> None:
    """Prints recall, and speed."""
    _show_recall(result, console)
    _show_speed(result["speed"], console)


def _show_recall(result: dict[str, Any], console: Console) -> None:
    table = Table(
        title="Identifiers planted in ultrasound: text of 10 to 40 pixels, 96 grey levels and more from its background",
        box=SIMPLE,
    )
    for column in ("where", "instances", "planted", "recall", "goal", "masked in vain"):
        table.add_column(column, justify="left" if column == "where" else "right")
    tags, pixels = result["tags"], result["pixels"]
    table.add_row(
        "attributes, private, nested",
        f"{tags['instances']}",
        f"{tags['planted']:,}",
        f"{tags['recall']:.2%}",
        "99.9%",
        "",
    )
    outside, left = (sum(each[name] for each in pixels.values()) for name in ("outside", "outside_left"))
    pictures = sum(each["pictures"] for each in pixels.values())
    table.add_row(
        "pixels outside of regions",
        f"{pictures}",
        f"{outside:,} pixels",
        f"{1 - left / outside:.2%}",
        "100%",
        "",
    )
    for kind, each in pixels.items():
        table.add_row(
            f"inside, {kind}",
            f"{each['pictures']}",
            f"{each['planted']}",
            f"{each['recall']:.2%}",
            "97%",
            f"{each['in_vain']:.2%}",
        )
    console.print(table)
    console.print(
        "Masked in vain: of the regions' pixels, at most 1 %. Measurements that were taken for text count."
    )


def _show_speed(speed: dict[str, Any], console: Console) -> None:
    table = Table(title="De-identification a second and core", box=SIMPLE)
    for column in ("", "ours", "dicognito", "goal"):
        table.add_column(column, justify="right" if column else "left")
    each = speed["headers"]
    table.add_row(
        f"headers, {each['files']} files in turns",
        f"{each['ours']:.0f}",
        f"{each['dicognito']:.0f}",
        f"1.2 times dicognito: {speed['times_dicognito']:.2f}",
    )
    table.add_row("single frames of 640 x 480, OCR off", f"{speed['single_off']:.0f}", "", "100")
    table.add_row("single frames of 640 x 480, OCR on", f"{speed['single_on']:.1f}", "", "")
    table.add_row("frames of a cine of 30, OCR off", f"{speed['cine_off']:.0f}", "", "")
    table.add_row("frames of a cine of 30, OCR on", f"{speed['cine_on']:.1f}", "", "")
    console.print(table)


if __name__ == "__main__":
    out = Console()
    show(run(lambda line: out.print(f"[dim]{line}[/dim]")), out)
