"""Applies the profile to all attributes of an instance, and searches what stays for what went."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

from pydicom.charset import python_encoding
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.tag import BaseTag, Tag
from pydicom.uid import UID_dictionary

from protocol.data.pseudonyms import Pseudonyms, moved
from protocol.errors import Unclean
from protocol.imaging.known import Known, known_of
from protocol.imaging.profile import METHODS, PROFILE, Action, action

MAX_DEPTH = 16
ANONYMISED = "ANONYMIZED"
#: Attributes whose values point to one person, beside names of persons.
_NAMING = {
    Tag(keyword)
    for keyword in (
        "PatientName", "PatientID", "OtherPatientIDs", "AccessionNumber", "PatientAddress", "PatientTelephoneNumbers",
        "MedicalRecordLocator", "AdmissionID", "StudyID", "InstitutionName", "Occupation",
        "FillerOrderNumberImagingServiceRequest", "PlacerOrderNumberImagingServiceRequest",
    )
}  # fmt: skip
_TEXT = {"CS", "LO", "LT", "SH", "ST", "UC", "UT"}
#: Names and days are collected before anything goes, from sequences too.
_TELLING = {"DA", "DT", "PN", "SQ"}
_NUMBERS = {"DS", "IS"}
#: Bytes of a binary number.
_SIZES = {"US": 2, "SS": 2, "UL": 4, "SL": 4, "FL": 4, "FD": 8, "UV": 8, "SV": 8}
_IMAGE_TYPE, _ORIENTATION = Tag("ImageType"), Tag("PatientOrientation")
_DEVICE_UIDS = {Tag("DeviceUID"), Tag("ManufacturerDeviceClassUID")}
#: What a CS says here is looked at by value.
_BY_VALUE = {_IMAGE_TYPE, Tag("SpecificCharacterSet"), Tag("Modality"), Tag("PhotometricInterpretation")}
# PS3.5, 6.2: all that may stand in these. What is read is not validated before.
_FORMS = {
    "DA": re.compile(r"\d{8}"),
    "DT": re.compile(r"\d{8}(?:\d{2}(?:\d{2}(?:\d{2}(?:\.\d{1,6})?)?)?)?(?:[+-]\d{4})?"),
    "TM": re.compile(r"\d{2}(?:\d{2}(?:\d{2}(?:\.\d{1,6})?)?)?"),
    "IS": re.compile(r"[-+]?\d{1,11}"),
    "DS": re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d{1,3})?"),
}
# PS3.3, C.8.5.6.1.1: the first three values of ImageType; the fourth is four hexadecimal digits.
_IMAGE_TYPES = {
    "ORIGINAL", "DERIVED", "PRIMARY", "SECONDARY", "ABDOMINAL", "BREAST", "CHEST", "ENDOCAVITARY", "ENDORECTAL",
    "ENDOVAGINAL", "EPICARDIAL", "FETAL HEART", "GYNECOLOGY", "INTRACARDIAC", "INTRAOPERATIVE", "INTRAVASCULAR",
    "MUSCULOSKELETAL", "NEONATAL HEAD", "OBSTETRICAL", "OPHTHALMIC", "PEDIATRIC", "PELVIC", "RETROPERITONEAL",
    "SCROTAL", "SMALL PARTS", "TEE", "THYROID", "TRANSCRANIAL", "TTE", "US BIOPSY", "VASCULAR",
}  # fmt: skip
_FOURTH = re.compile(r"[0-9A-F]{4}")
# PS3.3, C.7.6.1.1.1: where rows and columns lead, of people.
_DIRECTION = re.compile(r"[APRLHF]{1,3}")


def _code(value: str, meaning: str) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, "DCM", meaning
    return item


_CODES = [_code(*each) for each in METHODS]


@dataclass
class HeaderReport:
    """How often each action was taken, by its code in Table E.1-1a; ``found_again``: text that held what had gone;
    ``unreadable``: dates, times and numbers that were none, and were emptied."""

    actions: Counter[str] = field(default_factory=Counter)
    found_again: int = 0
    unreadable: int = 0


def clean(dataset: Dataset, pseudonyms: Pseudonyms) -> HeaderReport:
    """De-identifies the attributes of an instance in place.

    Raises Unclean when it has no patient id, a value that cannot be read, or was de-identified here before.
    """
    patient_id = _text(dataset, "PatientID")
    if not patient_id:
        raise Unclean("It has no patient id, so it cannot be told whose it is.")
    if PROFILE in _text(dataset, "DeidentificationMethod"):
        raise Unclean("It was de-identified by this profile before.")
    _check_characters(dataset)
    pseudonym = pseudonyms.patient(patient_id, _text(dataset, "IssuerOfPatientID"))
    known = _known(dataset)
    work = _Cleaning(pseudonyms, pseudonyms.shift(pseudonym))
    work.clean(dataset, depth=0)
    work.report.found_again = _remove_known(dataset, known)
    dataset.PatientID = dataset.PatientName = pseudonym
    _say_so(dataset)
    return work.report


class _Cleaning:
    def __init__(self, pseudonyms: Pseudonyms, shift: timedelta) -> None:
        self.pseudonyms, self.shift = pseudonyms, shift
        self.report = HeaderReport()

    def clean(self, dataset: Dataset, depth: int) -> None:
        for tag, vr in _kinds(dataset):
            does = action(tag, vr, nested=depth > 0)
            self.report.actions[does.value] += 1
            if does == Action.REMOVE:
                del dataset[tag]
                continue
            if does == Action.KEEP and vr in _SIZES and _is_unread(dataset, tag, vr):
                continue
            element = _element(dataset, tag)
            if element.VR == "SQ":
                for item in element.value:
                    self.clean(item, depth + 1)
            elif does == Action.EMPTY:
                element.value = None
            elif does == Action.DUMMY:
                _dummy(dataset, element, self.pseudonyms)
            elif does == Action.UID:
                _replace(element, self.pseudonyms.uid)
            elif does == Action.SHIFT and element.VR != "TM":
                _replace(element, lambda value, vr=element.VR: self._moved(value, vr))
            else:
                self._keep(element)

    def _keep(self, element: DataElement) -> None:
        """As it is, if it is what its value representation says."""
        if element.VR in _FORMS:
            form = _FORMS[element.VR]
            _replace(element, lambda value: value if form.fullmatch(value) else self._unreadable())
        elif element.VR == "UI":
            # Attributes that are kept name something of the standard's, or a device.
            of_device = element.tag in _DEVICE_UIDS
            _replace(
                element,
                lambda value: value if of_device or value in UID_dictionary else self.pseudonyms.uid(value),
            )
        elif element.VR == "CS" and element.tag == _IMAGE_TYPE:
            values = [str(value).strip() for value in _values(element)]
            element.value = [
                value if value in _IMAGE_TYPES or (place == 3 and _FOURTH.fullmatch(value)) else ""
                for place, value in enumerate(values)
            ]
        elif element.VR == "CS" and element.tag == _ORIENTATION:
            _replace(element, lambda value: value if _DIRECTION.fullmatch(value) else "")

    def _moved(self, value: str, vr: str) -> str:
        day = _day(value) if _FORMS[vr].fullmatch(value) else None
        there = None if day is None else moved(day, self.shift)
        if there is None:
            return self._unreadable()
        # A date and time keeps its time and its offset from UTC.
        return f"{there.year:04}{there:%m%d}{value[8:]}"

    def _unreadable(self) -> str:
        self.report.unreadable += 1
        return ""


def _dummy(dataset: Dataset, element: DataElement, pseudonyms: Pseudonyms) -> None:
    if element.VR in ("AE", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UT"):
        element.value = ANONYMISED
    elif element.VR in ("DS", "IS", "FD", "FL", "SS", "US", "SL", "UL", "SV", "UV"):
        element.value = 0
    elif element.VR == "UI":
        _replace(element, pseudonyms.uid)
    else:
        # Bytes, ages, addresses: no dummy says as little as nothing.
        del dataset[element.tag]


def _day(value: str) -> date | None:
    try:
        return date(int(value[:4]), int(value[4:6]), int(value[6:8]))
    except ValueError:
        return None


def _replace(element: DataElement, replacement: Callable[[str], str]) -> None:
    before = [_written(value) for value in _values(element)]
    values = [replacement(value) for value in before]
    if values != before:
        element.value = values if len(values) > 1 else values[0]


def _written(value: Any) -> str:
    """A value as the file has it: numbers keep their own text."""
    return str(getattr(value, "original_string", value)).strip()


def _values(element: DataElement) -> list[Any]:
    if element.value is None or element.value == "":
        return []
    return list(element.value) if element.VM > 1 else [element.value]


def _element(dataset: Dataset, tag: BaseTag) -> DataElement:
    try:
        return dataset[tag]
    except Exception:  # noqa: BLE001 - parsers of values raise whatever they like
        raise Unclean(f"The value of {Tag(tag)} cannot be read.") from None


def _kinds(dataset: Dataset) -> list[tuple[BaseTag, str]]:
    """Each attribute's tag and value representation. Values are read only where the file leaves that open."""
    return [
        (held.tag, held.VR if held.VR not in (None, "UN") else _element(dataset, held.tag).VR)
        for held in list(dataset.values())
    ]


def _is_unread(dataset: Dataset, tag: BaseTag, vr: str) -> bool:
    """Whether binary numbers stand as the file has them, and are whole: nothing is to be read in them."""
    held = dataset.get_item(tag)
    return held.is_raw and not len(held.value or b"") % _SIZES[vr]


def _telling(dataset: Dataset, depth: int = 0) -> Iterator[DataElement]:
    """What may name somebody or a day of his, to any depth."""
    if depth > MAX_DEPTH:
        raise Unclean(f"Its sequences are nested more than {MAX_DEPTH} deep.")
    for tag, vr in _kinds(dataset):
        if vr not in _TELLING and tag not in _NAMING:
            continue
        element = _element(dataset, tag)
        yield element
        if element.VR == "SQ":
            for item in element.value:
                yield from _telling(item, depth + 1)


def _known(dataset: Dataset) -> Known:
    texts, days = [], []
    for element in _telling(dataset):
        if element.VR == "PN" or (element.tag in _NAMING and element.VR != "SQ"):
            texts += [str(value) for value in _values(element)]
        elif element.VR in ("DA", "DT"):
            found = [str(value)[:8] for value in _values(element)]
            days += [(each[:4], each[4:6], each[6:]) for each in found if _FORMS["DA"].fullmatch(each)]
    return known_of(texts, days)


def _remove_known(dataset: Dataset, known: Known) -> int:
    removed = 0
    for tag, vr in _kinds(dataset):
        if vr in _SIZES:
            continue
        element = dataset[tag]
        if element.VR == "SQ":
            removed += sum(_remove_known(item, known) for item in element.value)
        elif element.tag in _BY_VALUE or element.value == ANONYMISED:
            continue
        elif (element.VR in _TEXT or element.tag in _DEVICE_UIDS) and known.is_in(
            " ".join(map(str, _values(element)))
        ):
            # Not deleted: some must be there, though empty.
            element.value = None
            removed += 1
        elif element.VR in _NUMBERS and any(
            # What stands after the point was measured.
            known.is_in(_written(value).partition(".")[0])
            for value in _values(element)
        ):
            element.value = None
            removed += 1
    return removed


def _check_characters(dataset: Dataset) -> None:
    for value in _values(dataset["SpecificCharacterSet"]) if "SpecificCharacterSet" in dataset else []:
        if str(value) not in python_encoding:
            raise Unclean("Its character set is none of the standard's.")


def _say_so(dataset: Dataset) -> None:
    """PS3.15, E.1.1, step 6, and E.3.6: that it was de-identified, how, and that dates were moved."""
    dataset.PatientIdentityRemoved, dataset.BurnedInAnnotation = "YES", "NO"
    dataset.DeidentificationMethod = PROFILE
    dataset.DeidentificationMethodCodeSequence = Sequence([Dataset(code) for code in _CODES])
    dataset.LongitudinalTemporalInformationModified = "MODIFIED"


def _text(dataset: Dataset, keyword: str) -> str:
    if keyword not in dataset:
        return ""
    return str(_element(dataset, Tag(keyword)).value or "").strip()
