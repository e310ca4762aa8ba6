from __future__ import annotations

import copy
import json

import pytest

from protocol.errors import DataError
from protocol.fhir.elements import resources
from protocol.fhir.rules import Rules
from tests.protocol.fhir.made import RULES, one, patient

SMALL = {
    "kind": "salus/fhir-rules",
    "name": "small",
    "fhir": "4.0.1",
    "description": "Of patients the sex.",
    "systems": {"http://loinc.org": {"title": "LOINC", "pattern": "[0-9]{1,6}-[0-9]", "check": "loinc"}},
    "types": {"Coding": {"keep": "system code"}, "CodeableConcept": {"as-type": "coding"}},
    "resources": {"Patient": {"keep": "gender", "redact": "name"}},
}


def changed(*path: str, to: object) -> dict:
    document = copy.deepcopy(SMALL)
    place = document
    for name in path[:-1]:
        place = place[name]
    if to is None:
        del place[path[-1]]
    else:
        place[path[-1]] = to
    return document


def test_the_packaged_rules_speak_of_every_element_of_what_they_keep():
    for kind, rules in RULES.resources.items():
        named = set(rules)
        for path in resources()[kind].elements:
            parts = path.split(".")
            assert any(".".join(parts[:end]) in named for end in range(1, len(parts) + 1)), f"{kind}.{path}"


def test_a_row_for_each_rule():
    rows = Rules.parse(SMALL).describe()
    assert ("Patient.gender", "keep") in rows and ("Patient.name", "redact") in rows
    assert ("Patient.birthDate", "generalise year") in RULES.describe()


def test_the_digest_is_of_the_rules_not_of_how_they_are_written():
    turned = json.dumps(dict(reversed(SMALL.items())), indent=3).encode()
    assert Rules.read(turned).digest() == Rules.parse(SMALL).digest()
    other = changed("resources", "Patient", to={"keep": "gender active"})
    assert Rules.parse(other).digest() != Rules.parse(SMALL).digest()


BAD = [
    (("kind",), "salus/other", "kind"),
    (("fhir",), "5.0.0", "kind"),
    (("name",), "With Space", "name"),
    (("name",), None, "name is missing"),
    (("more",), 1, "'more'"),
    (("systems",), {}, "systems"),
    (("systems", "http://loinc.org"), {"title": "LOINC"}, "neither codes"),
    (("systems", "http://loinc.org"), {"title": "LOINC", "pattern": "("}, "regular expression"),
    (("systems", "http://loinc.org"), {"title": "LOINC", "pattern": ".", "check": "luhn"}, "no check"),
    (("systems", "http://loinc.org"), {"title": "LOINC", "check": "loinc"}, "needs a pattern"),
    (("resources", "Patiant"), {"keep": "gender"}, "resources.Patiant"),
    (("resources", "Patient"), {"keep": "sex"}, "resources.Patient.sex"),
    (("resources", "Patient"), {"burn": "gender"}, "no action 'burn'"),
    (("resources", "Patient"), {"keep": "gender", "redact": "gender"}, "two rules"),
    (("resources", "Patient"), {"keep": "gender contact.gender", "redact": "contact"}, "part of"),
    (("resources", "Patient"), {"keep": "name"}, "can hold anything"),
    (("resources", "Patient"), {"keep": "name.family"}, "no such element"),
    (("resources", "Patient"), {"keep": ["gender"]}, "one text"),
    (("resources", "Patient"), {"keep now": "gender"}, "no parameter"),
    (("resources", "Patient"), {"date-shift": "gender"}, "not for a code"),
    (("resources", "Patient"), {"text": "birthDate"}, "not for a date"),
    (("resources", "Patient"), {"generalise 10": "birthDate"}, "not generalised"),
    (("resources", "Patient"), {"pseudonymise": "gender"}, "not for a code"),
    (("resources", "Patient"), {"as-type": "address"}, "no rules for its type, Address"),
    (("resources", "Observation"), {"keep": "valueString"}, "can hold anything"),
    (("resources",), [], "resources"),
    (("resources", "Observation"), {"text": "valueBase64Binary"}, "no such element"),
    (("types", "Attachment"), {"text": "data"}, "not for a base64Binary"),
    (("types", "Age"), {"keep": "value system code"}, "generalise 90"),
    (("resources", "Procedure"), {"as-type": "performedRange"}, "ages in a Range"),
    (("resources", "Observation"), {"as-type": "component.referenceRange.age"}, "ages in a Range"),
    *(
        (("resources", kind), {"date-shift": "birthDate"}, "a day of birth is not moved")
        for kind in ("Patient", "Person", "RelatedPerson", "Practitioner")
    ),
    (("resources", "FamilyMemberHistory"), {"date-shift": "bornDate"}, "a day of birth is not moved"),
    *(
        (("systems", "urn:own"), {"title": "Own", "pattern": pattern}, "would pass for codes")
        for pattern in (
            "[A-Z][a-z]{5}",
            "[a-z]{1,200}",
            "[0-9]{8}",
            "[0-9]{15}",
            "6[0-9]{7}",
            "[A-Z]{0,3}",
            "[A-Z]{200}",
            ".{6}",
            r"\w{8}",
        )
    ),
    *(
        (("systems", "urn:own"), {"title": "Own", "pattern": pattern}, "repeats")
        for pattern in (
            "(?:[A-Z]+)+",
            "[A-Z]*",
            "A(?:[0-9]{1,9}){1,9}Z",
            "(?:A?){30}",
            "(?:A|[A-B]C){30}",
            "A(?=B)B",
            r"(A)\1",
            "A{1,90}A{1,90}A{1,90}A{1,90}9",
            "A+?9",
        )
    ),
]


@pytest.mark.parametrize(("path", "to", "said"), BAD, ids=range(len(BAD)))
def test_rules_that_are_wrong_are_refused_with_the_place(path, to, said):
    with pytest.raises(DataError, match=r"^Rules[,:] ") as raised:
        Rules.parse(changed(*path, to=to))
    assert said in raised.value.message


@pytest.mark.parametrize("content", [b"", b"{", b"[" * 100_000, b"\xff", b"3", b"null"])
def test_what_is_no_json_object_is_no_rules(content):
    with pytest.raises(DataError):
        Rules.read(content)


@pytest.mark.parametrize("name", ["no-such", "r4-elements", "../rules"])
def test_unknown_packaged_rules(name):
    with pytest.raises(DataError, match="no packaged rules"):
        Rules.packaged(name)


def test_what_no_rule_names_is_removed_and_a_type_without_rules_refused(tmp_path):
    rules = Rules.parse(SMALL)
    given = patient(active=True, maritalStatus={"text": "x"}, name=[{"family": "Zorvane"}])
    content = one(tmp_path, given, given, rules=rules)
    assert set(content) == {"resourceType", "id", "gender"}


@pytest.mark.parametrize("code", ["75", "7", " 7 5 ", "7-5", ""])
def test_a_start_that_is_the_whole_goes(tmp_path, code):
    rules = Rules.parse(
        changed("types", "Address", to={"generalise 2": "postalCode"})
        | {"resources": {"Patient": {"as-type": "address"}}}
    )
    given = patient(address=[{"postalCode": code}])
    assert "address" not in one(tmp_path, given, given, rules=rules)


def test_postal_codes_keep_their_beginning_where_rules_say_so(tmp_path):
    rules = Rules.parse(
        changed("types", "Address", to={"generalise 2": "postalCode"})
        | {"resources": {"Patient": {"as-type": "address", "pseudonymise": "identifier"}}}
    )
    given = patient(
        address=[{"postalCode": "75 011", "city": "Zorvane", "line": ["1 rue"]}],
        identifier=[{"system": "urn:ipp", "value": "80012345"}],
    )
    content = one(tmp_path, given, given, rules=rules)
    assert content["address"] == [{"postalCode": "75"}]
    (identifier,) = content["identifier"]
    assert set(identifier) == {"value"} and "80012345" not in identifier["value"]
