"""One instance: de-identified, or refused with the reason."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pydicom.dataset import Dataset

from protocol.data.pseudonyms import Pseudonyms
from protocol.errors import Unclean
from protocol.imaging import headers, instances, pixels
from protocol.imaging.headers import HeaderReport
from protocol.imaging.pixels import PixelReport
from protocol.imaging.profile import EDITION, PROFILE
from protocol.imaging.text import Box, TextFinder


@dataclass(frozen=True)
class Model:
    """What devices put their pictures in the same places: the same model at the same size."""

    manufacturer: str
    name: str
    rows: int
    columns: int

    @property
    def key(self) -> str:
        return "\n".join([self.manufacturer, self.name, str(self.rows), str(self.columns)])


class WithoutRegions(Unclean):
    """It declares no regions; ``model``: of the device that made it, for which a person may have reviewed some."""

    def __init__(self, message: str, model: Model) -> None:
        super().__init__(message)
        self.model = model


@dataclass(frozen=True)
class Clean:
    """A de-identified instance: its DICOM file and what was done. Neither holds anything of the patient's."""

    content: bytes
    uid: str
    patient: str
    headers: HeaderReport
    pixels: PixelReport

    def to_dict(self) -> dict[str, Any]:
        """What was done, for the evidence."""
        return {
            "profile": PROFILE,
            "edition": EDITION,
            "actions": dict(sorted(self.headers.actions.items())),
            "found_again": self.headers.found_again,
            "unreadable": self.headers.unreadable,
            "frames": self.pixels.frames,
            "blanked": round(self.pixels.blanked, 4),
            "masked": [[box.left, box.top, box.right, box.bottom] for box in self.pixels.masked],
            "kept_text": self.pixels.kept_text,
        }


def deidentify(
    content: bytes, pseudonyms: Pseudonyms, finder: TextFinder, regions: Sequence[Box] = ()
) -> Clean:
    """De-identifies an ultrasound instance, a DICOM file as ``content``: attributes and pixels, all frames.
    ``regions``: places of its pictures that a person reviewed, in place of those that it declares.

    Raises Unclean with the reason for whatever cannot be cleaned with confidence; the reason quotes no value.
    WithoutRegions when it names its device and neither declares regions nor was given any.
    """
    with instances.in_silence():
        dataset = instances.read(content)
        try:
            of_pixels = pixels.clean(dataset, finder, regions)
            of_headers = headers.clean(dataset, pseudonyms)
            return Clean(
                instances.write(dataset),
                str(dataset.SOPInstanceUID),
                str(dataset.PatientID),
                of_headers,
                of_pixels,
            )
        except Unclean as error:
            if not regions and (model := model_without_regions(dataset)):
                raise WithoutRegions(error.message, model) from None
            raise
        except Exception as error:  # noqa: BLE001 - damaged in a way that no check foresaw: kept back
            raise Unclean(f"It cannot be cleaned ({type(error).__name__}).") from None


def model_without_regions(dataset: Dataset) -> Model | None:
    """The model of the device that made an instance which declares no regions; None when it declares some, or does not
    name its device."""
    maker, name = (str(dataset.get(each) or "") for each in ("Manufacturer", "ManufacturerModelName"))
    if dataset.get("SequenceOfUltrasoundRegions") or not maker or not name:
        return None
    return Model(maker, name, int(dataset.Rows), int(dataset.Columns))
