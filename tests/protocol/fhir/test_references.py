from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from protocol.fhir import synthetic
from tests.protocol.fhir.made import (
    PSEUDONYMS,
    bundle,
    cleaned,
    condition,
    imported,
    ndjson,
    observation,
    one,
    parted,
    patient,
    write,
)

OWN = f"Patient/{PSEUDONYMS.patient('p1', 'fhir')}"
ENCOUNTER = {
    "resourceType": "Encounter",
    "id": "e1",
    "status": "finished",
    "subject": {"reference": "Patient/p1"},
}
DOCTOR = {
    "resourceType": "Practitioner",
    "id": "d1",
    "identifier": [{"system": "urn:rpps", "value": "10001"}],
}


def references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("reference"), str):
            yield value["reference"]
        for each in value.values():
            yield from references(each)
    elif isinstance(value, list):
        for each in value:
            yield from references(each)


def test_references_resolve_after_import(tmp_path):
    """Every reference of whole bundles leads to a resource that came out."""
    for number, each in enumerate(synthetic.patients(12, 3)):
        write(tmp_path / f"{number:02}.json", each)
    clean, refused = parted(imported(tmp_path))
    assert not refused
    there = {f"{each.type}/{each.content['id']}" for each in clean}
    assert len(there) == len(clean)
    stated = [each for one in clean for each in references(one.content)]
    assert len(stated) > 600 and set(stated) <= there
    for each in clean:
        named = {to for to in references(each.content) if to.startswith("Patient/")}
        assert named <= {f"Patient/{each.patient}"}


@pytest.mark.parametrize(
    "stated",
    [
        "Encounter/e1",
        "Encounter/e1/_history/3",
        "https://fhir.example/r4/Encounter/e1",
        "https://fhir.example/r4/Encounter/e1/_history/2",
    ],
)
def test_one_resource_is_named_in_several_ways(tmp_path, stated):
    plain = one(tmp_path, observation(encounter={"reference": "Encounter/e1"}))["encounter"]["reference"]
    given = observation(encounter={"reference": stated, "display": "Dr Zorvane"})
    document = bundle(
        patient(),
        ENCOUNTER,
        given,
        urls=["https://fhir.example/r4/Patient/p1", "https://fhir.example/r4/Encounter/e1"],
    )
    clean, _ = parted(imported(write(tmp_path / "a.json", document)))
    assert clean[2].content["encounter"] == {"reference": plain}
    assert plain == f"Encounter/{clean[1].content['id']}"


def test_full_urls_name_entries_with_and_without_ids(tmp_path):
    nameless = {name: value for name, value in ENCOUNTER.items() if name != "id"}
    nameless["subject"] = {"reference": "urn:uuid:aaa"}
    given = observation(of="urn:uuid:aaa", encounter={"reference": "urn:uuid:bbb"})
    document = bundle(patient(), nameless, given, urls=["urn:uuid:aaa", "urn:uuid:bbb", "urn:uuid:ccc"])
    clean, refused = parted(imported(write(tmp_path / "a.json", document)))
    assert not refused
    assert {each.patient for each in clean} == {PSEUDONYMS.patient("p1", "fhir")}
    assert clean[2].content["encounter"]["reference"] == f"Encounter/{clean[1].content['id']}"


def test_entries_of_one_bundle_are_named_from_another_file(tmp_path):
    write(tmp_path / "a.json", bundle(observation(of="urn:uuid:aaa")))
    write(tmp_path / "b.json", bundle(patient(), urls=["urn:uuid:aaa"]))
    clean, refused = parted(imported(tmp_path))
    assert not refused and clean[0].patient == clean[1].patient


@pytest.mark.parametrize(
    "reference",
    [
        {"identifier": {"system": "urn:rpps", "value": "10001"}},
        {"identifier": {"system": "urn:rpps", "value": "10001"}, "type": "Practitioner"},
        {"reference": "Practitioner?identifier=urn:rpps|10001"},
        {"reference": "Practitioner?identifier=urn%3Arpps|10001"},
    ],
)
def test_logical_references_are_resolved_where_one_resource_has_the_identifier(tmp_path, reference):
    items = cleaned(tmp_path, patient(), DOCTOR, observation(performer=[reference]))
    assert items[2].content["performer"] == [{"reference": f"Practitioner/{items[1].content['id']}"}]


def test_a_patient_may_be_named_by_identifier(tmp_path):
    own = patient(identifier=[{"system": "urn:ipp", "value": "42424"}])
    given = observation(subject={"identifier": {"system": "urn:ipp", "value": "42424"}})
    assert one(tmp_path, given, own)["subject"] == {"reference": OWN}


@pytest.mark.parametrize(
    "reference",
    [
        {"identifier": {"system": "urn:rpps", "value": "99999"}},
        {"identifier": {"value": "10001"}},
        {"identifier": {"system": "urn:rpps", "value": "10001"}, "type": "Organization"},
        {"reference": "Practitioner?identifier=urn:rpps|99999"},
        {"reference": "Practitioner?name=Zorvane"},
        {"reference": "urn:uuid:unknown"},
        {"reference": "https://elsewhere.example/Practitioner/d1"},
        {"reference": "#inside"},
        {"reference": "Zorvane/d1"},
        {"reference": "Practitioner/Dr Zorvane"},
        {"reference": "Practitioner/d1\n"},
        {"reference": "x" * 5_000},
        {"display": "Dr Zorvane"},
    ],
)
def test_what_a_reference_means_must_be_told(tmp_path, reference):
    assert (
        "performer" not in cleaned(tmp_path, patient(), DOCTOR, observation(performer=[reference]))[2].content
    )


def test_two_resources_with_one_identifier_are_named_by_none(tmp_path):
    given = observation(performer=[{"identifier": {"system": "urn:rpps", "value": "10001"}}])
    items = cleaned(tmp_path, patient(), DOCTOR, DOCTOR | {"id": "d2"}, given)
    assert "performer" not in items[3].content


def test_a_full_url_of_two_resources_names_none(tmp_path):
    write(tmp_path / "a.json", bundle(patient("p1"), observation(of="urn:uuid:1"), urls=["urn:uuid:1"]))
    write(tmp_path / "b.json", bundle(patient("p2"), urls=["urn:uuid:1"]))
    _, refused = parted(imported(tmp_path))
    assert [(each.file, each.number) for each in refused] == [("a.json", 2)]


def test_dangling_references_stay_as_pseudonyms(tmp_path):
    given = observation(
        encounter={"reference": "Encounter/gone"}, performer=[{"reference": "urn:uuid:x", "type": "Group"}]
    )
    content = one(tmp_path, given)
    kind, _, own = content["encounter"]["reference"].partition("/")
    assert kind == "Encounter" and len(own) == 32 and "gone" not in own
    assert content["performer"][0]["reference"].startswith("Group/")


def test_references_in_a_circle_do_no_harm(tmp_path):
    first = observation("a", hasMember=[{"reference": "Observation/b"}])
    second = observation("b", hasMember=[{"reference": "Observation/a"}, {"reference": "Observation/b"}])
    items = cleaned(tmp_path, patient(), first, second)
    own = [f"Observation/{each.content['id']}" for each in items[1:]]
    assert items[1].content["hasMember"] == [{"reference": own[1]}]
    assert items[2].content["hasMember"] == [{"reference": own[0]}, {"reference": own[1]}]


def test_other_patients_are_not_named(tmp_path):
    given = observation(performer=[{"reference": "Patient/p2"}, {"reference": "Patient/p1"}])
    content = one(tmp_path, given, patient(), patient("p2"))
    assert content["performer"] == [{"reference": OWN}]


def test_what_is_another_patients_is_not_named_either(tmp_path):
    others = observation("theirs", of="Patient/p2")
    own = observation("own", hasMember=[{"reference": "Observation/own"}])
    given = observation(
        hasMember=[{"reference": "Observation/theirs"}, {"reference": "Observation/own"}],
        encounter={"reference": "Encounter/e1"},
        focus=[{"reference": "https://fhir.example/Observation/theirs"}],
    )
    encounter = ENCOUNTER | {"subject": {"reference": "urn:uuid:two"}}
    path = write(
        tmp_path / "a.json",
        bundle(
            given, own, others, encounter, patient(), patient("p2"), urls=["", "", "", "", "", "urn:uuid:two"]
        ),
    )
    clean, refused = parted(imported(path, servers=["https://fhir.example"]))
    assert not refused
    assert clean[0].content["hasMember"] == [{"reference": f"Observation/{clean[1].content['id']}"}]
    assert not {"encounter", "focus"} & set(clean[0].content)


def test_an_id_at_the_end_of_a_full_url_is_not_the_urls(tmp_path):
    """A URL that ends in a letter of the id still names the resource by its id."""
    url = "urn:uuid:00000000-0000-0000-0000-000000000001"
    document = bundle(patient("1"), observation("a", of=url), observation("b", of="Patient/1"), urls=[url])
    clean, refused = parted(imported(write(tmp_path / "a.json", document)))
    assert not refused and {each.patient for each in clean} == {PSEUDONYMS.patient("1", "fhir")}


def test_the_same_individual_under_another_id_is_named(tmp_path):
    given = patient(link=[{"other": {"reference": "Patient/p2"}, "type": "seealso"}])
    content = one(tmp_path, given, given, patient("p2"))
    other = f"Patient/{PSEUDONYMS.patient('p2', 'fhir')}"
    assert content["link"] == [{"other": {"reference": other}, "type": "seealso"}]


def test_servers_that_are_named_are_the_sources_own(tmp_path):
    given = observation(of="https://fhir.example/r4/Patient/p1")
    path = ndjson(tmp_path, patient(), given)
    _, refused = parted(imported(path))
    assert len(refused) == 1
    clean, refused = parted(imported(path, servers=["https://fhir.example/r4"]))
    assert not refused and clean[1].patient == clean[0].patient


def test_no_id_survives(tmp_path):
    text = json.dumps(
        [each.content for each in cleaned(tmp_path, patient("zorvane-1"), condition(of="Patient/zorvane-1"))]
    )
    assert "zorvane" not in text
