from __future__ import annotations

import gzip
import json
from pathlib import Path

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from protocol.errors import DataError
from protocol.fhir import reading
from protocol.fhir.importing import deidentified
from protocol.fhir.reading import Found, Refused, Source
from protocol.fhir.resource import Clean
from tests.protocol.fhir.made import PSEUDONYMS, RULES, TODAY, bundle, observation, patient, write


def read(*paths: Path) -> list[Found | Refused]:
    return list(Source(list(paths)))


def lines(folder: Path, *given: bytes) -> Path:
    path = folder / "resources.ndjson"
    path.write_bytes(b"\n".join(given))
    return path


def refused(items: list[Found | Refused]) -> dict[int, str]:
    return {each.number: each.reason for each in items if isinstance(each, Refused)}


GOOD = json.dumps(patient()).encode()


def test_ndjson_gives_a_resource_a_line(tmp_path):
    path = lines(
        tmp_path, b"\xef\xbb\xbf" + GOOD + b"\r", b"", b"  ", json.dumps(observation()).encode() + b"\r\n"
    )
    found = read(path)
    assert [(each.number, each.resource["resourceType"]) for each in found] == [
        (1, "Patient"),
        (4, "Observation"),
    ]
    assert found[0].file == "resources.ndjson" and found[0].full_url == ""


BAD_LINES = {
    b'{"resourceType":"Patient","id":"x"': "it is not JSON",
    b"nonsense": "it is not JSON",
    b'{"resourceType":"Patient","id":NaN}': "it is not JSON",
    b'{"resourceType":"Patient","id":"x","a":1e999}': "it is not JSON",
    b'{"resourceType":"Patient","id":"\xff"}': "it is not UTF-8",
    b'{"resourceType":"Patient","id":"a\x00b"}': "it holds a NUL character",
    b'{"resourceType":"Patient","id":"a\\u0000b"}': "it holds a NUL character",
    b'{"resourceType":"Patient","a\\u0000":"b"}': "it holds a NUL character",
    b'{"resourceType":"Patient","id":"a","id":"b"}': "an object names a member twice",
    b'{"resourceType":"Patient","id" : "a","id" : "b"}': "an object names a member twice",
    b'{"resourceType":"Patient","name":[{"family":"a", "family":"b"}]}': "an object names a member twice",
    b'{"resourceType":"Patient","\\u0069d":"a","id":"b"}': "an object names a member twice",
    b'{"resourceType":"Patient","id":"a","id":"b","c" :"d"}': "an object names a member twice",
    b'{"resourceType":"Patient","id":"a","id":"b","c":"\\u0022:"}': "an object names a member twice",
    b'{"resourceType":"Patient","a":' + b"[" * 70 + b"]" * 70 + b"}": "it is nested deeper than 64",
    b'{"resourceType":"Patient","a":' + b"[" * 5000 + b"]" * 5000 + b"}": "it is nested deeper than 64",
    b'{"resourceType":"Patient","a":' + b"[" * 300 + b"]" * 300 + b"}": "it is nested deeper than 64",
    b'{"resourceType" : "Patient","a":' + b"[" * 300 + b"]" * 300 + b"}": "it is nested deeper than 64",
    b'{"resourceType":"Patient","a":' + b"1" * 5000 + b"}": "it is not JSON",
    b'"\\u0000"': "it holds a NUL character",
    b'"a\\" : \\u0000"': "it holds a NUL character",
    b'"a\\" : b"': "it is not a FHIR resource",
    b"7": "it is not a FHIR resource",
    b'{"id":"x"}': "not a FHIR resource: without resourceType",
    b'{"resourceType":["Patient"]}': "not a FHIR resource: without resourceType",
    b'[{"resourceType":"Patient"}]': "it is not a FHIR resource",
    b'"Patient"': "it is not a FHIR resource",
    b'{"resourceType":"Patiant","id":"x"}': "its resource type is not of FHIR R4",
    b'{"resourceType":"ProcedureRequest","id":"x"}': "ProcedureRequest is a type of FHIR STU3, not R4",
    b'{"resourceType":"NutritionIntake","id":"x"}': "NutritionIntake is a type of FHIR R5, not R4",
    b'{"resourceType":"Bundle","type":"batch"}': "a Bundle, where NDJSON has one resource a line",
}


@pytest.mark.parametrize(("line", "reason"), BAD_LINES.items(), ids=range(len(BAD_LINES)))
@pytest.mark.parametrize("first", [True, False])
def test_a_bad_line_is_refused_by_number_and_the_others_are_read(tmp_path, line, reason, first):
    given = [line, GOOD, GOOD] if first else [GOOD, line, GOOD]
    found = read(lines(tmp_path, *given))
    assert refused(found) == {1 if first else 2: reason}
    assert sum(isinstance(each, Found) for each in found) == 2


def test_no_reason_quotes_anything_of_the_line(tmp_path):
    found = read(lines(tmp_path, *BAD_LINES, b'{"resourceType":"Dupont"}', GOOD))
    for each in found:
        if isinstance(each, Refused):
            assert "Dupont" not in each.reason and "Patiant" not in each.reason


@pytest.mark.parametrize("text", ['a \\" : b', "deux : trois", '\\": x', "\\\\"])
def test_colons_and_quotes_within_texts_are_no_members(tmp_path, text):
    line = ('{"resourceType":"Patient","id":"a","b":"' + text + '"}').encode()
    assert refused(read(lines(tmp_path, line, GOOD))) == {}


OTHER_VERSIONS = {
    "STU3": [
        {"resourceType": "Condition", "clinicalStatus": "active"},
        {"resourceType": "AllergyIntolerance", "verificationStatus": "confirmed"},
        {"resourceType": "Observation", "context": {"reference": "Encounter/1"}},
        {"resourceType": "Immunization", "notGiven": False},
        {"resourceType": "MedicationRequest", "requester": {"agent": {"reference": "Practitioner/1"}}},
        {
            "resourceType": "Patient",
            "meta": {"profile": ["http://hl7.org/fhir/STU3/StructureDefinition/Patient"]},
        },
    ],
    "R5": [
        {"resourceType": "Encounter", "class": [{"coding": []}]},
        {"resourceType": "MedicationRequest", "medication": {"concept": {}}},
        {"resourceType": "Consent", "decision": "permit"},
        {"resourceType": "Procedure", "occurrenceDateTime": "2024-01-01"},
        {"resourceType": "Patient", "fhirVersion": "5.0.0"},
        {
            "resourceType": "Patient",
            "meta": {"profile": ["http://hl7.org/fhir/StructureDefinition/Patient|5.0.0"]},
        },
    ],
}


@pytest.mark.parametrize(
    ("version", "resource"), [(v, r) for v, each in OTHER_VERSIONS.items() for r in each]
)
def test_a_type_of_r4_in_another_versions_shape_is_refused(tmp_path, version, resource):
    found = read(write(tmp_path / "a.json", resource, patient()))
    assert refused(found) == {1: f"it looks like FHIR {version}, not R4"}


@pytest.mark.parametrize("kind", sorted(reading.BUNDLES))
@pytest.mark.parametrize("indent", [None, 2])
def test_a_bundle_gives_a_resource_an_entry(tmp_path, kind, indent):
    path = tmp_path / "whatever.name"
    path.write_text(
        json.dumps(bundle(patient(), observation(), kind=kind, urls=["urn:uuid:1"]), indent=indent)
    )
    found = read(path)
    assert [(each.number, each.resource["id"], each.full_url) for each in found] == [
        (1, "p1", "urn:uuid:1"),
        (2, "o1", ""),
    ]


@pytest.mark.parametrize("kind", ["history", "message", "transaction-response", None, 3])
def test_a_bundle_of_another_kind_is_refused_as_a_whole(tmp_path, kind):
    document = bundle(patient()) | {"type": kind}
    assert refused(read(write(tmp_path / "a.json", document))).keys() == {0}


def test_entries_without_resources_and_nested_bundles_are_refused_by_number(tmp_path):
    document = bundle(patient(), bundle(patient("p2")), observation())
    document["entry"] += [{"request": {"method": "DELETE", "url": "Patient/1"}}, 7, {"resource": []}]
    found = read(write(tmp_path / "a.json", document))
    assert refused(found) == {
        2: "a Bundle in a Bundle",
        4: "an entry without a resource",
        5: "an entry without a resource",
        6: "an entry without a resource",
    }
    assert sum(isinstance(each, Found) for each in found) == 2


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ('{"resourceType":"Patient","id":"a","id":"b"}', "an object names a member twice"),
        ('{"resourceType":"Patient","id":"a\\u0000"}', "it holds a NUL character"),
        ('{"resourceType":"Patient","a":' + "[" * 70 + "]" * 70 + "}", "it is nested deeper than 64"),
    ],
)
def test_of_a_bundle_only_the_entry_with_something_wrong_is_refused(tmp_path, bad, reason):
    path = tmp_path / "a.json"
    path.write_text(
        f'{{"resourceType":"Bundle","type":"batch","entry":[{{"resource":{GOOD.decode()}}},{{"resource":{bad}}}]}}'
    )
    found = read(path)
    assert refused(found) == {2: reason} and isinstance(found[0], Found)


@pytest.mark.parametrize("blank", ["", " "])
def test_of_a_bundle_null_is_no_entry_and_a_deep_one_is_refused_alone(tmp_path, blank):
    deep = '{"resource":{"resourceType":"Patient","x":' + "[" * 300 + "]" * 300 + "}}"
    path = tmp_path / "a.json"
    path.write_text(
        f'{{"resourceType"{blank}:"Bundle","type":"batch","entry":[null,{deep},"\\u0000",3,{{"resource":null}},'
        f'{{"resource":{GOOD.decode()}}}]}}'
    )
    found = read(path)
    assert refused(found).keys() == {1, 2, 3, 4, 5} and refused(found)[2] == "it is nested deeper than 64"
    assert isinstance(found[-1], Found)


@pytest.mark.parametrize("digits", [str(2**63), str(2**64), f"-{2**63 + 1}", "9" * 300, "-0", "12"])
@pytest.mark.parametrize("blank", ["", " "])
def test_integers_beyond_64_bits_are_read_as_the_nearest_double(tmp_path, digits, blank):
    found = read(lines(tmp_path, f'{{"resourceType"{blank}:"Patient","a":{digits}}}'.encode(), GOOD))
    (first, _) = found
    assert isinstance(first, Found) and first.resource["a"] == float(digits)
    assert json.loads(orjson.dumps(first.resource)) == first.resource


_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8)
    | st.sampled_from(["Patient", "Bundle", "\0", '": ', "urn:uuid:1", "p1"]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                ["resourceType", "id", "entry", "resource", "fullUrl", "type", "meta", "name", "\0"]
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=20,
)
_SEPARATORS = st.sampled_from([(",", ":"), (", ", ": "), (" , ", " : ")])


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(_VALUES, max_size=5), _SEPARATORS, st.booleans(), st.booleans(), st.integers(0, 400))
def test_any_line_and_any_entry_is_found_or_refused(tmp_path, values, separators, in_bundle, streamed, depth):
    for _ in range(depth if depth > 300 else 0):
        values = [values]
    document = {"resourceType": "Bundle", "type": "batch", "entry": values}
    path = tmp_path / "a"
    texts = [document] if in_bundle else [*values, {"resourceType": "Patient"}]
    path.write_text("\n".join(json.dumps(each, separators=separators) for each in texts))
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(reading, "MAX_BYTES", 64 if streamed else reading.MAX_BYTES)
        found = list(deidentified(Source([path]), RULES, PSEUDONYMS, today=TODAY))
    assert all(isinstance(each, Clean | Refused) for each in found)
    assert len(found) <= len(values) + 1


def test_a_single_resource_in_many_lines_is_a_document(tmp_path):
    path = tmp_path / "a.ndjson"
    path.write_text(json.dumps(patient(), indent=1))
    assert [each.number for each in read(path)] == [1]


def test_a_document_that_is_cut_off_is_refused_as_a_whole(tmp_path):
    path = tmp_path / "a.json"
    path.write_text(json.dumps(bundle(patient(), observation()), indent=1)[:-20])
    assert refused(read(path)) == {0: "it is not JSON"}


def test_empty_files_and_bundles_give_nothing(tmp_path):
    (tmp_path / "a.json").write_bytes(b"")
    (tmp_path / "b.ndjson").write_bytes(b"\n \n")
    write(tmp_path / "c.json", {"resourceType": "Bundle", "type": "batch"})
    assert read(tmp_path) == []


def test_a_folder_stands_for_its_files_by_name(tmp_path):
    write(tmp_path / "b.json", patient("second"))
    write(tmp_path / "a.ndjson", patient("first"))
    (tmp_path / "notes.txt").write_text("no FHIR")
    assert [each.resource["id"] for each in read(tmp_path)] == ["first", "second"]


def test_what_is_not_there_is_said(tmp_path):
    with pytest.raises(DataError, match="no file"):
        Source([tmp_path / "missing.json"])
    with pytest.raises(DataError, match="nothing to read"):
        Source([tmp_path])


# --- packed ---


def test_gzip_is_told_by_content(tmp_path):
    path = tmp_path / "a.json"
    path.write_bytes(gzip.compress(GOOD + b"\n" + GOOD))
    assert len(read(path)) == 2


def test_what_unpacks_to_too_much_stops_there(tmp_path, monkeypatch):
    monkeypatch.setattr(reading, "MAX_BYTES", 2_000)
    path = tmp_path / "a.ndjson.gz"
    path.write_bytes(gzip.compress(GOOD + b"\n" + b"\n" * 10_000_000))
    found = read(path)
    assert isinstance(found[-1], Refused) and found[-1].reason.startswith("it unpacks to too much")


def test_damaged_gzip_is_said_where_it_ends(tmp_path):
    path = tmp_path / "a.ndjson.gz"
    many = b"\n".join(json.dumps(patient(f"p{number}")).encode() for number in range(2_000))
    path.write_bytes(gzip.compress(many)[:-2_000])
    found = read(path)
    assert isinstance(found[-1], Refused) and "damaged" in found[-1].reason
    assert found[-1].number == len(found) > 100


# --- large ---


@pytest.fixture
def small(monkeypatch):
    """Bundles are streamed from 4 KiB on."""
    monkeypatch.setattr(reading, "MAX_BYTES", 4_096)


@pytest.mark.parametrize("indent", [None, 1])
@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.usefixtures("small")
def test_a_streamed_bundle_gives_the_same_as_a_whole_one(tmp_path, indent, packed):
    resources = [
        patient(),
        *(observation(f"o{number}", valueQuantity={"value": number / 7}) for number in range(200)),
    ]
    text = json.dumps(bundle(*resources, urls=["urn:uuid:x"]), indent=indent).encode()
    path = tmp_path / "a.json"
    path.write_bytes(gzip.compress(text) if packed else text)
    found = read(path)
    assert [each.resource for each in found] == resources
    assert found[0].full_url == "urn:uuid:x" and found[-1].number == 201


@pytest.mark.usefixtures("small")
def test_a_streamed_bundle_refuses_by_entry(tmp_path):
    entries = [json.dumps({"resource": observation(f"o{number}")}) for number in range(200)]
    entries[50] = '{"resource":{"resourceType":"Patient","id":"a","name":[{"x":1,"x":2}]}}'
    entries[60] = '{"resource":{"resourceType":"Patient","id":"a\\u0000"}}'
    entries[70] = '{"resource":{"resourceType":"Patient","x":' + "[" * 70 + "]" * 70 + "}}"
    entries[80] = "3"
    entries[90] = "null"
    entries[100] = '{"resource":{"resourceType":"Patient","x":' + "[" * 300 + "]" * 300 + "}}"
    entries[110] = '{"resource":{"resourceType":"Patient","x":' + "[" * 2000 + "]" * 2000 + "}}"
    path = tmp_path / "a.json"
    path.write_text('{"resourceType":"Bundle","type":"batch","entry":[' + ",".join(entries) + "]}")
    found = read(path)
    assert refused(found) == {
        51: "an object names a member twice",
        61: "it holds a NUL character",
        71: "it is nested deeper than 64",
        81: "it is not an entry of a Bundle",
        91: "it is not an entry of a Bundle",
        101: "it is nested deeper than 64",
        111: "it is nested deeper than 64",
    }
    assert len(found) == 200


@pytest.mark.usefixtures("small")
def test_a_streamed_bundle_that_is_cut_off_keeps_what_came_before(tmp_path):
    path = tmp_path / "a.json"
    path.write_text(json.dumps(bundle(*(observation(f"o{number}") for number in range(200))))[:-300])
    found = read(path)
    assert isinstance(found[-1], Refused) and "what follows was not read" in found[-1].reason
    assert len(found) > 150


@pytest.mark.usefixtures("small")
def test_a_streamed_bundle_has_its_kind_before_its_entries(tmp_path):
    document = bundle(*(observation(f"o{number}") for number in range(50)))
    turned = {"entry": document["entry"], "type": "collection", "resourceType": "Bundle"}
    assert refused(read(write(tmp_path / "a.json", turned))).keys() <= {0, 1}
    document["type"] = "history"
    assert refused(read(write(tmp_path / "a.json", document))).keys() == {0}


@pytest.mark.usefixtures("small")
def test_a_line_that_is_too_long_is_refused_and_the_next_one_read(tmp_path):
    long = json.dumps(observation("long", note=[{"text": "a" * 10_000}])).encode()
    found = read(lines(tmp_path, GOOD, long, GOOD))
    assert list(refused(found)) == [2] and len(found) == 3
    found = read(lines(tmp_path, long, GOOD))
    assert list(refused(found)) == [1] and len(found) == 2


@pytest.mark.usefixtures("small")
def test_an_entry_that_never_ends_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("protocol.fhir.streaming._BUFFER", 1_024)
    path = tmp_path / "a.json"
    long = observation("long", note=[{"text": "a" * 200_000}])
    path.write_text(json.dumps(bundle(patient(), long, observation())))
    found = read(path)
    assert isinstance(found[-1], Refused) and found[-1].reason.startswith("an entry is too large")
    assert len(found) == 2
