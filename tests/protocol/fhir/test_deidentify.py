from __future__ import annotations

import base64
import json

import pytest

from tests.protocol.fhir.made import (
    LOINC,
    PSEUDONYMS,
    SNOMED,
    KnownOnly,
    Nothing,
    cleaned,
    condition,
    imported,
    ndjson,
    observation,
    one,
    parted,
    patient,
    text_of,
)

UCUM = "http://unitsofmeasure.org"
#: Invented, and in no word of FHIR.
FAMILY, GIVEN, PHONE, NUMBER = "Zorvane", "Quilto", "0687654321", "80012345"
NAMED = patient(
    name=[{"family": FAMILY, "given": [GIVEN], "text": f"{GIVEN} {FAMILY}"}],
    telecom=[
        {"system": "phone", "value": "06 87 65 43 21"},
        {"system": "email", "value": "quilto@zorvane.example"},
    ],
    address=[{"line": ["7 rue Plimsolle"], "city": "Brindelac", "postalCode": "75011"}],
    identifier=[{"system": "urn:ipp", "value": NUMBER}],
    contact=[{"name": {"family": "Ombrasse"}, "telecom": [{"value": "0611223344"}]}],
    photo=[{"url": "http://photos.example/zorvane.jpg"}],
    communication=[{"language": {"text": "Zorvanian"}}],
    text={"status": "generated", "div": f"<div>{GIVEN} {FAMILY}</div>"},
)


def test_of_a_patient_sex_and_year_of_birth_stay(tmp_path):
    content = one(tmp_path, NAMED, NAMED)
    assert content == {
        "resourceType": "Patient",
        "id": PSEUDONYMS.patient("p1", "fhir"),
        "gender": "female",
        "birthDate": content["birthDate"],
    }


def test_a_patient_is_found_by_each_identifier_with_and_without_system(tmp_path):
    (clean,) = cleaned(tmp_path, NAMED)
    assert clean.patient == PSEUDONYMS.patient("p1", "fhir")
    assert set(clean.aliases) == {
        PSEUDONYMS.patient(NUMBER, "urn:ipp"),
        PSEUDONYMS.patient(NUMBER),
    }
    assert clean.key == PSEUDONYMS.resource("Patient", "p1")


def test_a_logical_id_is_no_alias_of_whom_an_identifier_of_the_same_value_names(tmp_path):
    first, second = cleaned(
        tmp_path,
        patient("4711", identifier=[{"system": "fhir", "value": "4712"}]),
        patient("4712", identifier=[{"system": "urn:ipp", "value": "4711"}]),
    )
    assert not {first.patient, *first.aliases} & {second.patient, *second.aliases}


def test_what_is_measured_stays(tmp_path):
    category = "http://terminology.hl7.org/CodeSystem/observation-category"
    given = observation(
        category=[{"coding": [{"system": category, "code": "exam"}]}],
        valueQuantity={"value": 179.23347621031567, "unit": "cm", "system": UCUM, "code": "cm"},
        component=[
            {
                "code": {"coding": [{"system": LOINC, "code": "8462-4"}]},
                "valueQuantity": {"value": 74, "unit": "mm[Hg]"},
            }
        ],
    )
    content = one(tmp_path, given)
    assert content["valueQuantity"] == given["valueQuantity"]
    assert content["component"] == given["component"]
    assert content["category"] == given["category"]
    assert content["status"] == "final"
    assert content["code"] == {"coding": [{"system": LOINC, "code": "8302-2"}]}


def test_displays_and_texts_of_codes_go(tmp_path):
    code = {
        "coding": [{"system": SNOMED, "code": "44054006", "display": FAMILY, "version": FAMILY}],
        "text": FAMILY,
    }
    content = one(tmp_path, condition() | {"code": code})
    assert content["code"] == {"coding": [{"system": SNOMED, "code": "44054006"}]}


@pytest.mark.parametrize(
    "coding",
    [
        {"system": "http://codes.example/own", "code": "A1"},
        {"code": "44054006"},
        {"system": SNOMED},
        {"system": SNOMED, "code": FAMILY},
        {"system": SNOMED, "code": "44054007"},
        {"system": SNOMED, "code": 44054006},
        {"system": [SNOMED], "code": ["44054006"]},
        {"system": {"a": 1}, "code": "44054006"},
        [{"system": SNOMED, "code": "44054006"}],
        "44054006",
        None,
    ],
)
def test_codes_of_unknown_systems_and_no_codes_go(tmp_path, coding):
    items = imported(ndjson(tmp_path, patient(), condition() | {"code": {"coding": [coding], "text": "x"}}))
    clean, _ = parted(items)
    assert "code" not in clean[1].content


def test_unknown_systems_are_counted_and_not_quoted(tmp_path):
    code = {"coding": [{"system": f"http://{FAMILY}.example", "code": "A1"}]}
    items = imported(ndjson(tmp_path, patient(), condition() | {"code": code}))
    parted(items)
    removed = items.report["removed"]
    assert removed["of a code system that the rules do not list"] == 1
    assert FAMILY.lower() not in json.dumps(items.report).lower()


@pytest.mark.parametrize(
    ("element", "value"),
    [
        ("status", FAMILY), ("status", ["final"]), ("status", {"final": 1}), ("valueBoolean", "true"),
        ("valueBoolean", 1), ("valueQuantity", [{"value": 5}]), ("effectivePeriod", [{"start": "2020-01-01"}]),
        ("valueInteger", 1.5), ("valueInteger", "5"), ("valueInteger", True), ("valueInteger", 2**31),
        ("effectiveDateTime", 20200101), ("effectiveDateTime", {"a": 1}), ("valueQuantity", "5 kg"),
        ("valueQuantity", {"value": "5"}), ("valueQuantity", {"value": 6e11}), ("valueQuantity", {"unit": "kg"}),
        ("valueRange", {"low": FAMILY}), ("encounter", FAMILY), ("encounter", {"display": FAMILY}),
        ("bodySite", [[[]]]), ("effectiveDateTime", ["2020-01-01"]),
        ("component", [[{"valueInteger": 1}]]), ("issued", "2020-01-01"), ("note", FAMILY), ("interpretation", {}),
    ],
)  # fmt: skip
def test_what_is_not_of_its_type_is_removed(tmp_path, element, value):
    assert element not in one(tmp_path, observation(**{element: value}))


def test_units_that_are_none_go_and_the_number_stays(tmp_path):
    given = observation(valueQuantity={"value": 5, "unit": FAMILY, "system": UCUM, "code": FAMILY})
    assert one(tmp_path, given)["valueQuantity"] == {"value": 5}


def test_extensions_go_however_deep(tmp_path):
    inner = {
        "url": "http://x.example",
        "extension": [{"url": "y", "valueString": FAMILY}],
        "valueString": FAMILY,
    }
    given = observation(
        extension=[inner],
        _status={"extension": [inner]},
        _effectiveDateTime={"extension": [{"url": "z", "valueDateTime": "2020-02-03"}]},
        effectiveDateTime="2020-02-03",
        valueQuantity={"value": 5, "extension": [inner], "_value": {"extension": [inner]}},
        code={"extension": [inner], "coding": [{"system": LOINC, "code": "8302-2", "extension": [inner]}]},
        meta={"tag": [{"display": FAMILY}], "source": FAMILY, "extension": [inner]},
        nickname=FAMILY,
        unknown={"status": FAMILY},
    )
    text = text_of(cleaned(tmp_path, patient(), given))
    assert FAMILY not in text and "extension" not in text and "2020-02-03" not in text


@pytest.mark.parametrize("element", ["modifierExtension", "implicitRules"])
def test_what_changes_the_meaning_of_the_rest_is_refused(tmp_path, element):
    _, refused = parted(imported(ndjson(tmp_path, patient(), observation(**{element: []}))))
    assert [each.reason for each in refused] == [f"it has {element}, which changes what it means"]


def test_contained_resources_are_cleaned_by_their_own_rules(tmp_path):
    given = {
        "resourceType": "MedicationRequest",
        "id": "m1",
        "status": "active",
        "intent": "order",
        "subject": {"reference": "Patient/p1"},
        "medicationReference": {"reference": "#med Zorvane"},
        "contained": [
            {
                "resourceType": "Medication",
                "id": "med Zorvane",
                "code": {
                    "coding": [{"system": "http://www.whocc.no/atc", "code": "A10BA02"}],
                    "text": FAMILY,
                },
                "batch": {"lotNumber": FAMILY},
                "contained": [{"resourceType": "Practitioner", "id": "x", "name": [{"family": FAMILY}]}],
            },
            {"resourceType": "Patient", "id": "p", "name": [{"family": FAMILY}]},
            {"resourceType": "Unknown", "id": "u", "name": FAMILY},
            FAMILY,
        ],
    }
    content = one(tmp_path, given)
    assert content["medicationReference"] == {"reference": "#c1"}
    assert content["contained"] == [
        {
            "resourceType": "Medication",
            "id": "c1",
            "code": {"coding": [{"system": "http://www.whocc.no/atc", "code": "A10BA02"}]},
        }
    ]


def test_narratives_go(tmp_path):
    given = observation(text={"status": "generated", "div": f"<div><b>{FAMILY}</b></div>"})
    assert "text" not in one(tmp_path, given, NAMED, notes=KnownOnly())


# --- texts ---


def attached(text: str, kind: str = "text/plain") -> dict:
    return {
        "resourceType": "DocumentReference",
        "id": "d1",
        "status": "current",
        "subject": {"reference": "Patient/p1"},
        "description": f"Note on {FAMILY}",
        "content": [
            {
                "attachment": {
                    "contentType": kind,
                    "data": base64.b64encode(text.encode()).decode(),
                    "title": FAMILY,
                    "url": f"http://x.example/{FAMILY}",
                }
            }
        ],
    }


def test_without_notes_no_text_stays(tmp_path):
    given = attached("Nothing of note.")
    content = one(tmp_path, given)
    assert "content" not in content and "description" not in content
    assert "valueString" not in one(tmp_path, observation(valueString="pale"))


def test_notes_are_cleaned_with_the_patients_names(tmp_path):
    content = one(
        tmp_path, attached(f"{GIVEN} {FAMILY} is well. Téléphone 06 87 65 43 21."), NAMED, notes=KnownOnly()
    )
    (attachment,) = [each["attachment"] for each in content["content"]]
    assert set(attachment) == {"contentType", "data"}
    text = base64.b64decode(attachment["data"]).decode()
    assert "is well" in text and FAMILY not in text and "87" not in text
    assert content["description"] == "Note on [KNOWN]"


def test_html_is_cleaned_as_text(tmp_path):
    given = attached(f"<p>{FAMILY} is <b>well</b></p>", "text/html; charset=utf-8")
    content = one(tmp_path, given, NAMED, notes=KnownOnly())
    text = base64.b64decode(content["content"][0]["attachment"]["data"]).decode()
    assert content["content"][0]["attachment"]["contentType"] == "text/plain"
    assert "well" in text and "<" not in text and FAMILY not in text


@pytest.mark.parametrize("kind", ["application/pdf", "image/jpeg", "text/rtf", ""])
def test_attachments_that_are_no_text_go(tmp_path, kind):
    assert "content" not in one(tmp_path, attached("x", kind), NAMED, notes=KnownOnly())


@pytest.mark.parametrize("data", ["!!!", "/////w==", 3, None])
def test_attachments_that_cannot_be_read_go(tmp_path, data):
    given = attached("x")
    given["content"][0]["attachment"]["data"] = data
    assert "content" not in one(tmp_path, given, NAMED, notes=KnownOnly())


def test_of_patients_who_are_not_in_the_source_no_text_stays(tmp_path):
    (clean,) = cleaned(tmp_path, observation(of="Patient/elsewhere", valueString="pale"), notes=KnownOnly())
    assert "valueString" not in clean.content


@pytest.mark.parametrize(
    "text",
    [
        "seen: ZORVANE", "zorvané came", "tel. 06.87.65.43.21", "call 0687654321", "IPP 80 012 345", "né le 03/02/1980",
        "1980-02-03", "lives rue Plimsolle", "of Brindelac", "quilto@zorvane.example", "with Ombrasse",
    ],
)  # fmt: skip
def test_a_second_look_removes_what_notes_leave(tmp_path, text):
    given = observation(valueString=text)
    items = imported(ndjson(tmp_path, NAMED, given), notes=Nothing())
    clean, _ = parted(items)
    assert "valueString" not in clean[1].content
    assert items.report["removed"]["found again by name, number or day of birth"] == 1


@pytest.mark.parametrize(
    "text", ["pale", "rue du Bac", "[NAME] is well", "03/02/1981", "12345", "the zorva test"]
)
def test_a_second_look_leaves_other_texts(tmp_path, text):
    assert one(tmp_path, observation(valueString=text), NAMED, notes=Nothing())["valueString"] == text


def test_a_second_look_at_codes_and_numbers(tmp_path):
    own = patient(identifier=[{"value": "44054006"}, {"value": "687654"}])
    items = cleaned(
        tmp_path, own, condition(), observation(valueInteger=687654, valueQuantity={"value": 687654.0})
    )
    assert "code" not in items[1].content
    assert "valueInteger" not in items[2].content and "valueQuantity" not in items[2].content
    others = cleaned(tmp_path, patient(), condition(), observation(valueInteger=687654))
    assert "code" in others[1].content and others[2].content["valueInteger"] == 687654


@pytest.mark.parametrize(
    "value", [6876.54321, 687654.321, -687654321, 0.687654321, 0.0000687654321, 687654321.5]
)
def test_digits_are_compared_without_point_and_sign(tmp_path, value):
    own = patient(identifier=[{"value": "687654321"}])
    given = observation(valueQuantity={"value": value})
    assert "valueQuantity" not in one(tmp_path, given, own)
    assert one(tmp_path, given, patient())["valueQuantity"] == {"value": value}


def test_of_who_is_not_in_the_source_no_long_whole_number_stays(tmp_path):
    given = observation(
        of="Patient/elsewhere", valueInteger=12_345_678, component=[{"valueQuantity": {"value": 12345678.0}}]
    )
    (clean,) = cleaned(tmp_path, given)
    assert "valueInteger" not in clean.content and "component" not in clean.content
    device = {
        "resourceType": "Device",
        "id": "d",
        "property": [
            {
                "type": {"coding": [{"system": SNOMED, "code": "44054006"}]},
                "valueQuantity": {"value": value},
            }
            for value in (12_345_678, 1_234_567, 12_345_678.5)
        ],
    }
    (clean,) = cleaned(tmp_path, device)
    kept = [each.get("valueQuantity") for each in clean.content["property"]]
    assert kept == [None, {"value": 1_234_567}, {"value": 12_345_678.5}]


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ({"value": 89, "system": UCUM, "code": "a"}, 89),
        ({"value": 97, "system": UCUM, "code": "a"}, 90),
        ({"value": 1_164, "system": UCUM, "code": "mo"}, 1_080),
        ({"value": 5_061, "system": UCUM, "code": "wk"}, 4_696),
        ({"value": 35_429, "system": UCUM, "code": "d"}, 32_872),
        ({"value": 97, "unit": "a"}, 90),
        ({"value": 97, "unit": "years"}, None),
        ({"value": 30, "system": UCUM, "code": "kg"}, None),
        ({"value": 97, "system": UCUM, "code": "da"}, None),
        ({"value": 30}, None),
    ],
)
def test_ages_are_limited_by_their_unit(tmp_path, given, kept):
    assert one(tmp_path, condition(onsetAge=given)).get("onsetAge", {}).get("value") == kept


def test_ranges_of_ages_go(tmp_path):
    ages = {"low": {"value": 97, "unit": "a"}, "high": {"value": 98, "unit": "a"}}
    content = one(
        tmp_path,
        observation(referenceRange=[{"age": ages, "low": {"value": 5}}], component=[{"valueInteger": 1}]),
    )
    assert content["referenceRange"] == [{"low": {"value": 5}}]
    assert "onsetRange" not in one(tmp_path, condition(onsetRange=ages, abatementRange=ages))


def test_a_postal_code_within_a_code_is_by_chance(tmp_path):
    own = patient(address=[{"postalCode": "10001"}])
    code = "428191000124101"
    items = cleaned(
        tmp_path, own, condition(code=code), observation(valueString="10001, 710001 x"), notes=Nothing()
    )
    assert items[1].content["code"]["coding"][0]["code"] == code
    assert "valueString" not in items[2].content
    assert "valueString" in one(tmp_path, observation(valueString="710001 x"), own, notes=Nothing())


def test_practitioners_are_masked_where_they_are_named(tmp_path):
    doctor = {"resourceType": "Practitioner", "id": "d", "active": True, "name": [{"family": "Vandrecourt"}]}
    given = observation(valueString="Seen by Vandrecourt")
    items = cleaned(tmp_path, patient(), doctor, given, notes=KnownOnly())
    assert items[2].content["valueString"] == "Seen by [KNOWN]"
    assert items[1].content == {"resourceType": "Practitioner", "id": items[1].content["id"], "active": True}
    assert items[1].patient == ""


def test_compositions_keep_their_sections_texts(tmp_path):
    section = {
        "title": FAMILY,
        "code": {"coding": [{"system": LOINC, "code": "34109-9"}]},
        "text": {"status": "generated", "div": f"<div>{FAMILY} &amp; co: 3 &lt; 5</div>"},
        "section": [{"text": {"status": "generated", "div": f"<div>within {FAMILY}</div>"}}],
    }
    given = {
        "resourceType": "Composition",
        "id": "x",
        "status": "final",
        "subject": {"reference": "Patient/p1"},
        "section": [section],
    }
    content = one(tmp_path, given, NAMED, notes=KnownOnly())
    (kept,) = content["section"]
    assert "within [KNOWN]" in kept["section"][0]["text"]["div"]
    assert FAMILY not in json.dumps(content)


# --- whose it is ---


@pytest.mark.parametrize(
    "subject",
    [None, {}, "Patient/p1", {"reference": "Group/g1"}, {"reference": "Device/d"}, {"display": "p1"}, [],
     {"reference": "#p1"}, {"reference": "Patient/"}, {"reference": "p1"}, {"reference": 7}, {"reference": ""}],
)  # fmt: skip
def test_what_is_of_no_patient_is_refused(tmp_path, subject):
    given = observation()
    if subject is None:
        del given["subject"]
    else:
        given["subject"] = subject
    _, refused = parted(imported(ndjson(tmp_path, patient(), given)))
    assert [(each.number, each.reason) for each in refused] == [
        (2, "its subject is not one patient who can be told")
    ]


def test_a_device_may_be_nobodys(tmp_path):
    device = {"resourceType": "Device", "id": "d", "status": "active", "serialNumber": NUMBER}
    items = cleaned(tmp_path, patient(), device, device | {"id": "e", "patient": {"reference": "Patient/p1"}})
    assert [each.patient for each in items[1:]] == ["", items[0].patient]
    assert NUMBER not in text_of(items)


def test_a_type_without_rules_is_refused(tmp_path):
    _, refused = parted(
        imported(ndjson(tmp_path, {"resourceType": "Basic", "id": "b"}, {"resourceType": "Binary"}))
    )
    assert [each.reason for each in refused] == ["no rule names Basic", "no rule names Binary"]


@pytest.mark.parametrize("own", [None, "", "a b", "x" * 65, 7, "é", "a/b"])
def test_without_an_id_of_fhir_nothing_is_taken(tmp_path, own):
    given = observation()
    if own is None:
        del given["id"]
    else:
        given["id"] = own
    _, refused = parted(imported(ndjson(tmp_path, patient(), given)))
    assert len(refused) == 1 and "no id" in refused[0].reason


def test_uids_of_images_are_those_of_the_images(tmp_path):
    study = {
        "resourceType": "ImagingStudy",
        "id": "i",
        "status": "available",
        "subject": {"reference": "Patient/p1"},
        "series": [{"uid": "1.2.840.99.1", "instance": [{"uid": "urn:oid:1.2.840.99.1.1"}, {"uid": FAMILY}]}],
    }
    (series,) = one(tmp_path, study)["series"]
    assert series["uid"] == PSEUDONYMS.uid("1.2.840.99.1")
    assert series["instance"] == [{"uid": "urn:oid:" + PSEUDONYMS.uid("1.2.840.99.1.1")}]


def test_the_same_input_gives_the_same(tmp_path):
    first = [(each.key, each.content) for each in cleaned(tmp_path, NAMED, observation(), condition())]
    assert first == [
        (each.key, each.content) for each in cleaned(tmp_path, NAMED, observation(), condition())
    ]
