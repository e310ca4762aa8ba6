"""Who is known by name: what is collected of people, and where it is found again."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from protocol.fhir.known import Known, Words, names_in
from protocol.notes.deidentify import Deidentifier
from tests.protocol.fhir.made import Nothing, cleaned, imported, observation, parted, patient

NOTES = Deidentifier()
NAMED = patient(name=[{"family": "Zorvane", "given": ["Quilto"]}], identifier=[{"value": "8001234"}])


def document(content: bytes, kind: str = "text/plain") -> dict[str, Any]:
    return {
        "resourceType": "DocumentReference",
        "id": "d1",
        "status": "current",
        "subject": {"reference": "Patient/p1"},
        "content": [{"attachment": {"contentType": kind, "data": base64.b64encode(content).decode()}}],
    }


def read(folder, content: bytes, kind: str = "text/plain") -> str | None:
    """What stays of an attachment."""
    made = cleaned(folder, NAMED, document(content, kind), notes=NOTES)[1].content
    if "content" not in made:
        return None
    return base64.b64decode(made["content"][0]["attachment"]["data"]).decode()


def of_text(folder, text: str, *others: Any, notes: Any = NOTES) -> str | None:
    """What stays of a text of the patient's."""
    made = cleaned(folder, NAMED, *others, observation(valueString=text), notes=notes)
    return made[-1].content.get("valueString")


# --- texts and attachments ---


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32", "utf-8-sig", "utf-8"])
def test_attachments_are_read_in_their_encoding(tmp_path, encoding):
    assert read(tmp_path, "seen: zorvane, well".encode(encoding)) == "seen: [KNOWN], well"


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32-le"])
def test_attachments_in_another_encoding_than_they_say_go(tmp_path, encoding):
    assert read(tmp_path, "seen: zorvane, well".encode(encoding)) is None
    kind = f"text/plain; charset={encoding[:6]}{encoding[-2:]}"
    assert read(tmp_path, "seen: zorvane, well".encode(encoding), kind) == "seen: [KNOWN], well"


def test_texts_with_nul_go(tmp_path):
    assert read(tmp_path, b"z\0orvane") is None


@pytest.mark.parametrize("html", [False, True])
def test_names_behind_markup_go(tmp_path, html):
    kind = "text/html" if html else "text/plain"
    text = read(tmp_path, b"Seen: zor<b>v</b>ane, Qu&#105;lto, q&amp;#117;ilto.", kind)
    assert text == "Seen: [KNOWN], [KNOWN], [KNOWN]."


def test_staff_behind_markup_go(tmp_path):
    doctor = {"resourceType": "Practitioner", "id": "d", "name": [{"family": "Vandrecourt"}]}
    text = of_text(tmp_path, "vu avec Vandre<b>court</b> et vandrecourt&nbsp;ensuite", doctor)
    assert text is not None and "court" not in text.lower()


# --- the second look ---


@pytest.mark.parametrize(
    "text",
    [
        "z\x01orvane", "zor\u200bvane", "z\u00adorvane", "Z O R V A N E", "M. Z.O.R.V.A.N.E", "z=6Frvane",
        "z%6frvane", "a\x1ezorvane\x1eb",
        "80 01 234", "800/1234",
    ],
)  # fmt: skip
def test_what_is_hidden_is_found_again(tmp_path, text):
    assert of_text(tmp_path, text, notes=Nothing()) is None


@pytest.mark.parametrize(
    "text",
    [
        "500412", "120450", "041250", "12/04/50", "12.4.50", "12.IV.1950", "12-iv-50", "12 avril 1950",
        "April 12, 1950",
        "12th of Apr 50", "1950.4.12", "le 12/04/1950 2 fois",
    ],
)  # fmt: skip
def test_the_day_of_birth_is_found_again(text):
    assert Known((), "1950-04-12").in_text(f"born {text} here")


@pytest.mark.parametrize(
    "text", ["12/05/50", "112/04/50", "12.04.51", "avril 1950", "1500412", "12 04", "stade iv 50"]
)
def test_other_days_are_left(text):
    assert not Known((), "1950-04-12").in_text(f"born {text} here")


def test_codes_with_separators_and_names_within():
    known = Known(("Zorvane", "8001234", "12345"), "1950-04-12")
    for code in ("8001234", "800-1234", "80.012.34", "{zorvane}", "xZORVANEx", "12345"):
        assert known.in_code(code)
    for code in ("123-45", "8001235", "mmol/L", "120450", "I21.4", "zorva"):
        assert not known.in_code(code)


# --- what is collected ---


def test_names_come_before_what_else_there_is(tmp_path):
    own = patient(
        identifier=[{"value": f"ID{each:06}"} for each in range(400)],
        address=[{"line": [f"{each} Lane"]} for each in range(400)],
        name=[{"family": "Zorvane"}],
        contact=[{"telecom": [{"value": "0611223344"}], "name": {"family": "Ombrasse"}}],
    )
    assert list(names_in(own))[:2] == ["Zorvane", "Ombrasse"]
    made = cleaned(tmp_path, own, observation(valueString="with zorvane and ombrasse"), notes=NOTES)
    assert made[1].content["valueString"] == "with [KNOWN] and [KNOWN]"


US_RACE = "http://hl7.org/fhir/us/core/StructureDefinition/us-core-race"


def test_extensions_are_collected_but_categories():
    own = patient(
        name=[
            {
                "family": "Zorvane",
                "_family": {"extension": [{"url": "mothers-family", "valueString": "Plimsolle"}]},
                "given": ["Quilto", "B"],
                "_given": [None, {"extension": [{"url": "x", "valueString": "Brindelac"}]}],
            }
        ],
        extension=[
            {"url": US_RACE, "extension": [{"url": "text", "valueString": "White"}]},
            {"url": "http://x.example/terrace", "valueString": "Vandrecourt"},
            {"url": "http://x.example/own", "extension": [{"url": "text", "valueMarkdown": "Ketelbuters"}]},
            {"url": "http://x.example/code", "valueCode": "OMBRASSE7"},
            {"url": "http://x.example/sex", "valueCode": "female"},
        ],
    )
    assert set(names_in(own)) == {
        "Zorvane", "Plimsolle", "Quilto", "B", "Brindelac", "Vandrecourt", "Ketelbuters", "OMBRASSE7"
    }  # fmt: skip


@pytest.mark.parametrize("reference", ["Patient/p1", "urn:uuid:p1", "http://h.example/fhir/Patient/p1"])
def test_who_belongs_to_a_patient_is_known_in_their_notes(tmp_path, reference):
    related = {
        "resourceType": "RelatedPerson",
        "id": "r",
        "patient": {"reference": reference},
        "name": [{"family": "Ombrasse", "given": ["Ana"]}],
        "telecom": [{"value": "77 88 91"}],
        "identifier": [{"value": "KX4471"}],
    }
    other = patient("p2")
    given = [
        observation(f"o{each}", f"Patient/p{each}", valueString="ombrasse, ana: 77-8891, kx 4471")
        for each in (1, 2)
    ]
    made = cleaned(tmp_path, NAMED, other, related, *given, notes=NOTES, servers=["http://h.example/fhir/"])
    assert made[3].content["valueString"] == "[KNOWN], [KNOWN]: [KNOWN], [KNOWN]"
    # In another's notes the name alone, which is no word.
    assert "77-8891" in made[4].content["valueString"] and "ombrasse" not in made[4].content["valueString"]


@pytest.mark.parametrize(
    "reference",
    [
        {"performer": [{"reference": "Practitioner/x", "display": "Docteur Vandrecourt"}]},
        {"performer": [{"display": "Vandrecourt Ana"}]},
        {"focus": [{"type": "Person", "display": "Vandrecourt"}]},
        {"focus": [{"reference": "http://h.example/fhir/RelatedPerson/7", "display": "Vandrecourt"}]},
        {"focus": [{"reference": "urn:uuid:d", "display": "Vandrecourt"}]},
        {"contained": [{"resourceType": "Practitioner", "id": "c", "name": [{"family": "Vandrecourt"}]}]},
    ],
)
def test_whom_references_name_is_known_in_all_notes(tmp_path, reference):
    doctor = {"resourceType": "Practitioner", "id": "d"}
    document = {
        "resourceType": "Bundle",
        "type": "collection",
        "entry": [
            {"fullUrl": f"urn:uuid:{each['id']}", "resource": each}
            for each in (
                NAMED,
                observation("o2", **reference),
                doctor,
                observation(valueString="vandrecourt says"),
            )
        ],
    }
    path = tmp_path / "bundle.json"
    path.write_text(json.dumps(document))
    clean, _ = parted(imported(path, notes=NOTES))
    assert clean[-1].content["valueString"] == "[KNOWN] says"


def test_displays_of_codes_and_places_are_no_names(tmp_path):
    given = observation(
        code={"coding": [{"system": "http://loinc.org", "code": "8302-2", "display": "Height"}]},
        encounter={"reference": "Encounter/1", "display": "Visit"},
        valueString="Height at Visit: tall",
    )
    assert of_text(tmp_path, "Height at Visit: tall", given | {"id": "o2"}) == "Height at Visit: tall"


def test_words_that_are_names_as_well_want_a_capital():
    words = Words(100)
    words.add(["Docteur Rose Vandrecourt", "Long Martin"], shown=True)
    assert set(words.in_text("a rose, long; vandrecourt and martin. Docteur")) == {"vandrecourt", "martin"}
    assert set(words.in_text("with Rose and Long")) == {"Rose", "Long"}
