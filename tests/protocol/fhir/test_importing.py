from __future__ import annotations

import json

from protocol.fhir import synthetic
from tests.protocol.fhir.made import bundle, imported, ndjson, observation, parted, patient, write

SHARED = "another Patient has one of its identifiers"
TWO = "another resource has its type and id, and another content"


def reasons(items) -> dict[int, str]:
    return {each.number: each.reason for each in parted(items)[1]}


def test_two_patients_with_one_identifier_are_refused_with_all_that_is_theirs(tmp_path):
    same = [{"system": "urn:ipp", "value": "4711"}]
    path = ndjson(
        tmp_path,
        observation("before"),
        patient("p1", identifier=same),
        patient("p2", identifier=[{"system": "urn:other", "value": "1"}, *same]),
        patient("p3", identifier=[{"system": "urn:other", "value": "4711"}]),
        observation("after", of="Patient/p2"),
        observation("third", of="Patient/p3"),
    )
    clean, refused = parted(imported(path))
    assert {each.number: each.reason for each in refused} == {
        1: f"of its patient: {SHARED}",
        2: SHARED,
        3: SHARED,
        5: f"of its patient: {SHARED}",
    }
    assert [each.type for each in clean] == ["Patient", "Observation"]


def test_one_patient_twice_the_same_is_one_whatever_the_order_of_members(tmp_path):
    own = patient(identifier=[{"system": "urn:ipp", "value": "4711"}])
    clean, refused = parted(imported(ndjson(tmp_path, own, dict(reversed(own.items())), observation())))
    assert len(clean) == 2 and not refused


def test_a_resource_that_comes_again_the_same_is_taken_once(tmp_path):
    items = imported(ndjson(tmp_path, patient(), patient(), observation(), patient(), observation()))
    clean, refused = parted(items)
    assert [each.type for each in clean] == ["Patient", "Observation"] and not refused
    assert items.report["repeated"] == 3


def test_a_resource_with_two_contents_is_refused_each_time(tmp_path):
    path = ndjson(tmp_path, patient(), observation(), observation(valueInteger=3), observation("o2"))
    clean, refused = parted(imported(path))
    assert {each.number: each.reason for each in refused} == {2: TWO, 3: TWO}
    assert len(clean) == 2


def test_a_patient_with_two_contents_is_refused_with_all_that_is_theirs(tmp_path):
    path = ndjson(tmp_path, patient(), observation(), patient(gender="male"))
    assert reasons(imported(path)) == {1: TWO, 2: f"of its patient: {TWO}", 3: TWO}


def test_refused_lines_are_said_once_and_the_rest_is_taken(tmp_path):
    path = ndjson(tmp_path, patient(), observation())
    with path.open("a") as file:
        file.write("{nonsense\n" + json.dumps(observation("o2")) + "\n")
    clean, refused = parted(imported(path))
    assert [(each.file, each.number, each.reason) for each in refused] == [
        ("resources.ndjson", 3, "it is not JSON")
    ]
    assert len(clean) == 3


def test_the_report_counts_and_names_the_rules(tmp_path):
    given = observation(
        effectiveDateTime="2020-01-01",
        extension=[{"url": "x"}],
        code={
            "coding": [
                {"system": "http://own.example", "code": "1"},
                {"system": "http://loinc.org", "code": "1-1"},
            ]
        },
        encounter={"display": "x"},
        issued="x",
        valueString="text",
    )
    items = imported(ndjson(tmp_path, patient(), given, {"resourceType": "Basic", "id": "b"}))
    parted(items)
    report = items.report
    assert report["rules"] == "salus-fhir-1" and len(report["rules_digest"]) == 64
    assert report["resources"] == {"Observation": 1, "Patient": 1}
    assert report["refused"] == {"no rule names Basic": 1}
    assert report["elements"] == {"kept": 2, "date-shift": 1, "generalise": 1, "pseudonymise": 1, "text": 0}
    assert report["removed"] == {
        "named by no rule": 5,
        "not of its type": 1,
        "of a code system that the rules do not list": 1,
        "no code of its system": 1,
        "reference to what cannot be told": 1,
        "date before the year of birth as shown": 0,
        "text that nobody de-identifies": 1,
        "found again by name, number or day of birth": 0,
    }


def test_patients_may_come_after_what_is_theirs(tmp_path):
    own = patient(identifier=[{"value": "687654"}])
    clean, _ = parted(imported(ndjson(tmp_path, observation(valueInteger=687654), own)))
    assert "valueInteger" not in clean[0].content and clean[0].patient == clean[1].patient


def test_the_same_source_gives_the_same(tmp_path):
    for number, each in enumerate(synthetic.patients(3, 1)):
        write(tmp_path / f"{number}.json", each)
    first, again = (list(imported(tmp_path)) for _ in range(2))
    assert first == again and len(first) > 60


def test_one_file_or_many_give_the_same(tmp_path):
    bundles = list(synthetic.patients(4, 2))
    folder = tmp_path / "many"
    folder.mkdir()
    for number, each in enumerate(bundles):
        write(folder / f"{number}.json", each)
    entries = [entry for each in bundles for entry in each["entry"]]
    whole = write(tmp_path / "whole.json", bundle() | {"entry": entries})
    assert [each.content for each in parted(imported(folder))[0]] == [
        each.content for each in parted(imported(whole))[0]
    ]
