"""Attributes: PS3.15's profile, and no planted identifier left anywhere in the file."""

from __future__ import annotations

import traceback
from datetime import datetime

import pytest
from pydicom.datadict import DicomDictionary
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.tag import Tag
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from protocol.data.pseudonyms import Pseudonyms
from protocol.errors import Unclean
from protocol.imaging.deidentify import deidentify
from protocol.imaging.profile import Action, action
from tests.protocol.imaging.made import BORN, EXAMINED, PATIENT, PSEUDONYMS, file, instance, opened, region

# What the tests plant, they plant by pydicom, which warns of it.
pytestmark = pytest.mark.filterwarnings("ignore")
TEXT = {"AE", "LO", "LT", "PN", "SH", "ST", "UC", "UT"}
PLANTED = ("DUCHEMIN", "ARMELLE", "4711008", BORN, EXAMINED)


class NoText:
    """No text in any picture."""

    def find(self, _: object) -> list:
        return []


def cleaned(dataset: Dataset, pseudonyms: Pseudonyms = PSEUDONYMS) -> Dataset:
    return opened(deidentify(file(dataset), pseudonyms, NoText()).content)


def traces(content: bytes) -> list[str]:
    """What of the planted identifiers the bytes of a file hold, in UTF-8, Latin-1 or UTF-16."""
    capitals = content.upper()
    return [word for word in PLANTED if word.encode() in capitals or word.encode("utf-16-le") in capitals]


def test_every_attribute_of_the_dictionary_can_hold_an_identifier() -> None:
    """Planted in each attribute that can hold text or a date, at the top and in a nested sequence that is kept: over
    2,000 places, and none survives."""
    sentence, planted, left = "DUCHEMIN^ARMELLE 4711008", 0, []
    places = [
        (tag, vr)
        for tag, (vr, _, _, _, keyword) in sorted(DicomDictionary.items())
        if vr in TEXT | {"AS", "CS", "DA", "DT", "UI", "UN", "UR"}
        and keyword
        and Tag(tag).group not in (0x0000, 0x0002)
    ]
    needed = {
        Tag(keyword)
        for keyword in ("Modality", "PhotometricInterpretation", "SpecificCharacterSet", "SOPClassUID")
    }
    for chunk in range(0, len(places), 200):
        dataset, item = instance(), Dataset()
        for tag, vr in places[chunk : chunk + 200]:
            said = {"DA": EXAMINED, "DT": EXAMINED + "101112", "UN": sentence.encode(), "SH": sentence[:16]}
            value = said.get(vr, "1.2.840.10008.4711008" if vr == "UI" else sentence)
            for where in (dataset, item) if Tag(tag) not in needed else (item,):
                where.add_new(tag, vr, value)
                planted += 1
        dataset.PatientID, item.PatientID = PATIENT, PATIENT
        dataset.DeidentificationMethod = ""
        if "SpecificCharacterSet" in item:
            del item.SpecificCharacterSet
        dataset.SourceImageSequence = [item]
        left += traces(deidentify(file(dataset), PSEUDONYMS, NoText()).content)
    assert planted > 2_000
    assert left == []


@pytest.mark.parametrize(
    ("keyword", "vr", "value"),
    [
        ("InstanceNumber", "IS", "RUE X 5"),
        ("InstanceNumber", "IS", "4711008"),
        ("FocusDepth", "DS", "4711008.0"),
        ("HeartRate", "IS", "DUCHEMIN"),
        ("MechanicalIndex", "DS", "DUCHEMIN"),
        ("Manufacturer", "AS", "DUCHEMIN"),
        ("Manufacturer", "LT", "lives at rue X"),
        ("PixelAspectRatio", "LT", "lives at rue X"),
        ("LUTData", "OB", b"DUCHEMIN"),
        ("RedPaletteColorLookupTableData", "OW", b"DUCHEMIN"),
        ("FillerOrderNumberProcedure", "SH", "F-998877"),
        ("PatientBodyMassIndex", "DS", "31.4"),
        ("OwnerID", "SH", "rue X"),
    ],
)
def test_what_is_not_what_it_should_be_goes(keyword: str, vr: str, value: str | bytes) -> None:
    dataset = instance()
    _plant(dataset, keyword, vr, value)
    result = deidentify(file(dataset), PSEUDONYMS, NoText()).content
    assert (value if isinstance(value, bytes) else value.encode()) not in result
    assert not opened(result).get(keyword)


def _plant(dataset: Dataset, keyword: str, vr: str, value: str | bytes) -> None:
    """As a device would write it that knows no rules: under any value representation, and unchecked."""
    raw = value if isinstance(value, bytes) else value.encode()
    raw += b" " * (len(raw) % 2)
    dataset[Tag(keyword)] = RawDataElement(Tag(keyword), vr, len(raw), raw, 0, False, True)


@pytest.mark.parametrize(
    "text",
    ["HOSP 4711008", "hosp-4711008", "04711008", "4711-008", "29.02.2024", "29/02/24", "2024 02 29", "29.2.2024",
     "Lefe\u0301vre", "LEFEVRE", "for Zoe", "4 July 1961 or 04/07/1961", "4 July 1961", "Feb 29, 2024", "04JUL61",
     "29-Feb-2024"],
)  # fmt: skip
def test_the_second_look_reads_as_people_write(text: str) -> None:
    dataset = instance(PatientName="LEFÈVRE^ZOÉ", SpecificCharacterSet="ISO_IR 192", SoftwareVersions=text)
    assert not cleaned(dataset).get("SoftwareVersions")


@pytest.mark.parametrize(
    "text", ["HEART", "Carotid artery", "Zoetrope 7.1", "471", "July 1961", "Marble 29 2024"]
)
def test_and_leaves_what_only_looks_like_it(text: str) -> None:
    dataset = instance(PatientName="ART^ZOÉ", SpecificCharacterSet="ISO_IR 192", SoftwareVersions=text)
    assert cleaned(dataset).SoftwareVersions == text


def test_a_pseudonym_is_no_name() -> None:
    """Chance puts letters of a name into a pseudonym."""
    pseudonym = PSEUDONYMS.patient("X1234")
    result = cleaned(instance(PatientID="X1234", PatientName=f"{pseudonym[:3]}^{pseudonym[3:9]}^ANONYMIZED"))
    assert result.PatientID == result.PatientName == pseudonym


def test_what_is_clean_is_not_cleaned_twice() -> None:
    once = deidentify(file(instance()), PSEUDONYMS, NoText()).content
    with pytest.raises(Unclean, match="before"):
        deidentify(once, PSEUDONYMS, NoText())


def test_image_types_directions_and_character_sets_are_the_standards() -> None:
    result = cleaned(instance(ImageType=["ORIGINAL", "PRIMARY", "DUCHEMIN", "0001"]))
    assert list(result.ImageType) == ["ORIGINAL", "PRIMARY", "", "0001"]
    assert list(cleaned(instance(PatientOrientation=["PL", "RUE X"])).PatientOrientation) == ["PL", ""]
    dataset = instance()
    _plant(dataset, "SpecificCharacterSet", "CS", "DUCHEMIN")
    with pytest.raises(Unclean, match="character set"):
        deidentify(file(dataset), PSEUDONYMS, NoText())


def test_file_header_attributes_inside_go() -> None:
    item = Dataset()
    item.add_new(0x00020013, "SH", "lives at rue X")
    assert (
        b"rue X" not in deidentify(file(instance(SourceImageSequence=[item])), PSEUDONYMS, NoText()).content
    )


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian])
def test_binary_numbers_stay_in_every_encoding(syntax: str) -> None:
    item = region()
    item.PhysicalDeltaX, item.TransducerFrequency, item.ReferencePixelX0 = 0.25, 5_000, -7
    dataset = instance(SequenceOfUltrasoundRegions=[item], FocusDepth="4.5", RecommendedDisplayFrameRate="19")
    dataset.add_new("PixelAspectRatio", "IS", ["1", "2"])
    dataset.file_meta.TransferSyntaxUID = syntax
    result = cleaned(dataset)
    kept = result.SequenceOfUltrasoundRegions[0]
    assert (kept.PhysicalDeltaX, kept.TransducerFrequency, kept.ReferencePixelX0) == (0.25, 5_000, -7)
    assert (result.Rows, result.Columns, result.BitsStored, list(result.PixelAspectRatio)) == (
        240,
        320,
        8,
        [1, 2],
    )


def test_numbers_that_are_not_whole_are_kept_back() -> None:
    dataset = instance()
    _plant(dataset, "PhysicalDeltaX", "FD", b"DUCHEM")
    dataset.set_original_encoding(False, True, "iso8859")
    with pytest.raises(Unclean, match="read"):
        deidentify(file(dataset), PSEUDONYMS, NoText())


def test_private_attributes_go() -> None:
    dataset = instance()
    block = dataset.private_block(0x0019, "MAKER 1.0", create=True)
    block.add_new(0x01, "LO", "DUCHEMIN")
    block.add_new(0x02, "OB", b"4711008 ")
    found = deidentify(file(dataset), PSEUDONYMS, NoText())
    assert traces(found.content) == []
    assert not [element for element in opened(found.content).iterall() if element.tag.is_private]


def test_what_names_the_patient_is_searched_in_what_stays() -> None:
    """A manufacturer, a code's meaning: kept by the profile, but not with the patient's name in it."""
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = "1", "99LOCAL", "Duchemin's thyroid"
    dataset = instance(Manufacturer="Maker for Armelle", ViewCodeSequence=[code], SoftwareVersions="7.1")
    found = deidentify(file(dataset), PSEUDONYMS, NoText())
    assert traces(found.content) == []
    assert found.headers.found_again == 2
    assert opened(found.content).SoftwareVersions == "7.1"


@pytest.mark.parametrize(
    ("characters", "name"),
    [
        ("ISO_IR 100", "LEFÈVRE^ZOÉ"),
        ("ISO_IR 192", "Nguyễn^Thị"),
        ("\\ISO 2022 IR 87", "YAMADA^TAROU=山田^太郎=やまだ^たろう"),
    ],
)
def test_names_of_any_character_set(characters: str, name: str) -> None:
    dataset = instance(
        PatientName=name, SpecificCharacterSet=characters.split("\\"), PerformedProcedureStepID="7"
    )
    dataset.ViewName = f"of {name.split('=')[-1].split('^')[0]}"
    result = cleaned(dataset)
    words = {word for group in name.split("=") for word in group.split("^")}
    said = " ".join(str(element.value) for element in result.iterall() if element.VR != "OB")
    assert not [word for word in words if word.upper() in said.upper()]


def test_dates_move_together_and_birth_dates_go() -> None:
    first = cleaned(instance(SeriesDate="20240302", AcquisitionDateTime="20240229101112.5+0100"))
    days = [datetime.strptime(value, "%Y%m%d") for value in (first.StudyDate, first.SeriesDate)]
    assert (days[1] - days[0]).days == 2, "29 February is 2 days before 2 March"
    assert first.AcquisitionDateTime == first.StudyDate + "101112.5+0100"
    assert first.StudyTime == "101112"
    assert not first.PatientBirthDate
    assert (datetime(2024, 2, 29) - days[0]).days >= 366
    again = cleaned(instance(StudyDate="20240301"))
    assert (datetime.strptime(again.StudyDate, "%Y%m%d") - days[0]).days == 1, "one shift for a patient"
    other = cleaned(instance(PatientID="HOSP-1"))
    assert other.StudyDate != first.StudyDate, "and another for others"


@pytest.mark.parametrize("value", ["00010101", "2024", "20241399", "not a da", "ARMELLE"])
def test_dates_that_cannot_be_moved_are_emptied(value: str) -> None:
    dataset = instance()
    dataset.add_new(0x00080021, "DA", value)
    found = deidentify(file(dataset), PSEUDONYMS, NoText())
    assert not opened(found.content).SeriesDate
    assert found.headers.unreadable == 1


def test_the_year_9999_is_a_date() -> None:
    assert cleaned(instance(SeriesDate="99991231")).SeriesDate < "9999"


def test_uids_are_replaced_alike_and_those_of_the_standard_stay() -> None:
    dataset = instance()
    reference = Dataset()
    reference.ReferencedSOPClassUID, reference.ReferencedSOPInstanceUID = (
        dataset.SOPClassUID,
        dataset.SOPInstanceUID,
    )
    dataset.SourceImageSequence = [reference]
    result = cleaned(dataset)
    assert result.SOPClassUID == dataset.SOPClassUID
    assert result.SOPInstanceUID == result.file_meta.MediaStorageSOPInstanceUID != dataset.SOPInstanceUID
    assert result.SourceImageSequence[0].ReferencedSOPInstanceUID == result.SOPInstanceUID
    assert result.SOPInstanceUID.is_valid and len(result.SOPInstanceUID) <= 64
    assert result.SOPInstanceUID != cleaned(dataset, Pseudonyms(bytes(32))).SOPInstanceUID, (
        "another hospital's secret"
    )


def test_pseudonyms_are_one_a_patient_and_issuer() -> None:
    one = [cleaned(instance(PatientName=name)).PatientID for name in ("A^B", "B^A")]
    assert one[0] == one[1]
    assert cleaned(instance(IssuerOfPatientID="Lyon")).PatientID != one[0]
    assert cleaned(instance()).PatientName == one[0]


def test_the_method_is_said_as_the_standard_asks() -> None:
    result = cleaned(instance())
    assert result.PatientIdentityRemoved == "YES" and result.BurnedInAnnotation == "NO"
    assert [each.CodeValue for each in result.DeidentificationMethodCodeSequence] == [
        "113100", "113101", "113107", "113109",
    ]  # fmt: skip
    assert result.LongitudinalTemporalInformationModified == "MODIFIED"


def test_devices_stay_as_the_option_asks_and_their_network_names_go() -> None:
    result = cleaned(
        instance(DeviceSerialNumber="S-123", StationName="US-3", ScheduledStationAETitle="WARD3")
    )
    assert (result.DeviceSerialNumber, result.StationName) == ("S-123", "US-3")
    assert "ScheduledStationAETitle" not in result


@pytest.mark.parametrize("patient", ["", " "])
def test_without_a_patient_id_it_is_kept_back(patient: str) -> None:
    with pytest.raises(Unclean, match="no patient id"):
        deidentify(file(instance(PatientID=patient)), PSEUDONYMS, NoText())


def test_a_picture_in_a_sequence_goes() -> None:
    icon = Dataset()
    icon.Rows = icon.Columns = 2
    icon.add_new(0x7FE00010, "OB", b"\x01\x02\x03\x04")
    reference = Dataset()
    reference.add_new(0x00081140, "SQ", Sequence([icon]))
    result = cleaned(instance(SourceImageSequence=[reference]))
    assert len([element for element in result.iterall() if element.tag == 0x7FE00010]) == 1


def test_sequences_nested_to_absurd_depth_are_kept_back() -> None:
    inner = Dataset()
    for _ in range(60):
        outer = Dataset()
        outer.add_new(0x00082112, "SQ", Sequence([inner]))
        inner = outer
    with pytest.raises(Unclean, match="nested"):
        deidentify(file(instance(SourceImageSequence=[inner])), PSEUDONYMS, NoText())


@pytest.mark.parametrize(
    ("keyword", "vr"),
    [("Modality", "CS"), ("Rows", "US"), ("SOPClassUID", "UI"), ("PhotometricInterpretation", "CS")],
)
def test_the_errors_say_no_value(keyword: str, vr: str, caplog: pytest.LogCaptureFixture) -> None:
    dataset = instance()
    _plant(dataset, keyword, vr, "DUCHEMIN ARMELLE 5")
    content = file(dataset)
    caplog.clear()
    with pytest.raises(Unclean) as caught:
        deidentify(content, PSEUDONYMS, NoText())
    said = "".join(traceback.format_exception(caught.value)) + caplog.text
    assert "DUCHEMIN" not in said


def test_unknown_attributes_go() -> None:
    assert action(Tag(0x00100FFF), "LO", nested=False) == Action.REMOVE
    assert action(Tag("PatientBirthDate"), "DA", nested=False) == Action.EMPTY
