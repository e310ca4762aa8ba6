"""Identifiers planted in FHIR: in every element that R4 gives a type, in extensions, siblings and unknown elements.

Each token is of its own letters and digits, so that what survives can be told from everything else. Some are the
patient's own, which the source knows; most are of nobody.
"""

from __future__ import annotations

import base64
import contextlib
import random
import string
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from protocol.fhir.elements import Element, resources
from protocol.fhir.rules import Rules

#: Types of resources that something is planted in.
TYPES = (
    "Patient", "Encounter", "Condition", "Observation", "DiagnosticReport", "Procedure", "MedicationRequest",
    "Immunization", "AllergyIntolerance", "CarePlan", "CareTeam", "Goal", "DocumentReference", "Composition", "Consent",
    "ImagingStudy", "ServiceRequest", "Specimen", "Device", "Organization", "Practitioner", "Location",
    "FamilyMemberHistory", "QuestionnaireResponse", "Coverage", "Claim", "ExplanationOfBenefit",
)  # fmt: skip
SUBJECTS = ("subject", "patient", "beneficiary")
GOOD_CODES = (
    ("http://snomed.info/sct", "44054006"), ("http://loinc.org", "8480-6"), ("http://hl7.org/fhir/sid/icd-10", "E11.9"),
    ("http://www.whocc.no/atc", "A10BA02"), ("http://hl7.org/fhir/sid/cvx", "140"),
    ("http://terminology.hl7.org/CodeSystem/v3-MaritalStatus", "M"),
)  # fmt: skip
KNOWN_SYSTEMS = (
    "http://snomed.info/sct", "http://loinc.org", "http://www.nlm.nih.gov/research/umls/rxnorm",
    "http://hl7.org/fhir/sid/icd-10-cm", "http://unitsofmeasure.org",
    "http://terminology.hl7.org/CodeSystem/v3-ActCode",
)  # fmt: skip
UCUM = "http://unitsofmeasure.org"


@dataclass(frozen=True)
class Plant:
    """A token, and the kind of place where it stands."""

    place: str
    token: str


@dataclass
class Made:
    """A resource with what was planted in it, and what should stay: values by path."""

    resource: dict[str, Any]
    plants: list[Plant] = field(default_factory=list)
    stays: list[tuple[tuple[str, ...], Any]] = field(default_factory=list)


class Person:
    """Somebody's own names and numbers."""

    def __init__(self, draw: random.Random) -> None:
        self.given, self.family = _word(draw), _word(draw)
        self.phone = "06" + _digits(draw, 8)
        self.email = f"{_word(draw).lower()}@{_word(draw).lower()}.example"
        self.nir = draw.choice("12") + _digits(draw, 14)
        self.ipp, self.mrn = _digits(draw, 10), f"MRN{_digits(draw, 8)}"
        self.line, self.city = f"{draw.randrange(1, 99)} rue {_word(draw)}", _word(draw)
        self.born = f"19{draw.randrange(40, 99)}-{draw.randrange(1, 13):02}-{draw.randrange(1, 28):02}"

    def tokens(self) -> list[str]:
        """What must not be found."""
        return [
            self.given,
            self.family,
            self.phone,
            self.email,
            self.nir,
            self.ipp,
            self.mrn,
            self.line,
            self.city,
        ]


def _word(draw: random.Random) -> str:
    return "".join(draw.choice("bdfgklmnprstvz") + draw.choice("aeiou") for _ in range(5)).capitalize()


def _digits(draw: random.Random, count: int) -> str:
    return "".join(draw.choice(string.digits) for _ in range(count))


def token(draw: random.Random) -> str:
    """A name, telephone number, e-mail address, NIR, IPP, MRN, street or URL of nobody."""
    somebody = Person(draw)
    return draw.choice(
        [
            *somebody.tokens(),
            f"{somebody.given} {somebody.family}",
            f"http://{_word(draw).lower()}.example/me",
        ]
    )


def patients(count: int, seed: int, rules: Rules) -> Iterator[list[Made]]:
    """For each of `count` patients a resource of each type, all elements filled."""
    for number in range(count):
        draw = random.Random(f"{seed}/{number}")
        person = Person(draw)
        own = f"p{seed}-{number}-{_digits(draw, 6)}"
        yield [_Planting(draw, person, own, kind, rules).made() for kind in TYPES]


class _Planting:
    def __init__(self, draw: random.Random, person: Person, own: str, kind: str, rules: Rules) -> None:
        self._draw, self._person, self._own, self._kind = draw, person, own, kind
        self._rules = rules.resources[kind]
        self._made = Made({"resourceType": kind, "id": own if kind == "Patient" else f"{kind}-{own}"})

    def made(self) -> Made:
        for path, element in resources()[self._kind].elements.items():
            self._fill(path, element)
        resource = self._made.resource
        resource["text"] = {"status": "generated", "div": f"<div>{self._plant('narratives')}</div>"}
        resource["extension"] = [self._extension()]
        resource["nickname"] = self._plant("unknown elements")
        resource["meta"] = {"source": self._plant("meta"), "tag": [{"display": self._plant("meta")}]}
        resource["contained"] = [
            {
                "resourceType": "Practitioner",
                "id": "x",
                "name": [{"family": self._plant("contained resources")}],
            },
            {
                "resourceType": "Medication",
                "id": self._plant("contained resources"),
                "code": {"text": self._plant("contained resources")},
                "extension": [self._extension()],
            },
        ]
        if self._kind == "Patient":
            self._identity(resource)
        if self._kind == "Consent":
            # Its conditions are of unknown codes: a permit would be refused, a deny becomes one of everything.
            resource["provision"]["type"] = "deny"
            self._made.stays = [each for each in self._made.stays if each[0][0] != "provision"]
        # Some took the place of others.
        text = "\n".join(texts_of(resource))
        self._made.plants = [each for each in self._made.plants if each.token in text]
        return self._made

    def _identity(self, resource: dict[str, Any]) -> None:
        """The patient's own names and numbers, which the source then knows."""
        person = self._person
        resource["name"] = [
            {"family": person.family, "given": [person.given], "text": f"{person.given} {person.family}"}
        ]
        resource["telecom"] = [
            {"system": "phone", "value": person.phone},
            {"system": "email", "value": person.email},
        ]
        resource["identifier"] = [
            {"system": "urn:x", "value": each} for each in (person.nir, person.ipp, person.mrn)
        ]
        resource["address"] = [{"line": [person.line], "city": person.city}]
        resource["birthDate"] = person.born
        for each in (*person.tokens(), person.born):
            self._made.plants.append(Plant("names, telecom, addresses, identifiers", each))

    def _plant(self, place: str, value: str | None = None) -> str:
        value = value or token(self._draw)
        self._made.plants.append(Plant(place, value))
        return value

    def _fill(self, path: str, element: Element) -> None:
        *branches, leaf = path.split(".")
        node = self._made.resource
        for branch in branches:
            if branch not in node:
                inside = {"extension": [self._extension()]} if self._draw.random() < 0.1 else {}
                node[branch] = [inside] if branch == "target" else inside
            node = node[branch][0] if branch == "target" else node[branch]
        if len(branches) == 0 and leaf in SUBJECTS:
            node[leaf] = {"reference": f"Patient/{self._own}", "display": self._plant("references")}
            return
        if leaf == "gender" or (self._kind, path) in (("Patient", "link.other"), ("Person", "link.target")):
            return
        node[leaf] = self._value(element, tuple(path.split(".")))
        if self._draw.random() < 0.2:
            node[f"_{leaf}"] = {"extension": [self._extension()]}

    def _stays(self, path: tuple[str, ...], value: Any) -> Any:
        """Marks what should stay where the rules keep the element."""
        rule = self._rules.get(".".join(path[: self._depth(path)]))
        if rule is not None and rule.action in ("keep", "as-type"):
            self._made.stays.append((path, value))
        return value

    def _depth(self, path: tuple[str, ...]) -> int:
        return next(
            (end for end in range(1, len(path) + 1) if ".".join(path[:end]) in self._rules), len(path)
        )

    def _extension(self, depth: int = 0) -> dict[str, Any]:
        made = {
            "url": "http://x.example/" + self._plant("extensions"),
            self._draw.choice(["valueString", "valueCode", "valueUri", "valueId"]): self._plant("extensions"),
            "valueAddress": {"city": self._plant("extensions")},
        }
        if depth < 2:
            made["extension"] = [self._extension(depth + 1)]
        return made

    def _value(self, element: Element, path: tuple[str, ...]) -> Any:
        maker = getattr(self, f"_of_{element.type}", None)
        if maker is not None:
            return maker(path)
        if element.type == "code":
            if self._draw.random() < 0.5:
                return self._plant("codes")
            return (
                self._stays(path, self._draw.choice(sorted(element.codes)))
                if element.codes
                else self._plant("codes")
            )
        return self._plant({"uri": "URIs", "url": "URIs", "canonical": "URIs"}.get(element.type, "texts"))

    def _of_string(self, path: tuple[str, ...]) -> str:
        rule = self._rules.get(".".join(path))
        if rule is not None and rule.action == "text":
            return self._sentence()
        return self._plant("texts")

    _of_markdown = _of_string

    def _sentence(self) -> str:
        person = self._person
        name = self._plant("free text: the patient's own", person.family)
        number = self._plant(
            "free text: the patient's own", self._draw.choice([person.phone, person.ipp, person.nir])
        )
        return self._draw.choice(
            ["Seen with {} today, call {}.", "Patient {} va bien ({}).", "{}: {}, no complaint"]
        ).format(name, number)

    def _of_boolean(self, path: tuple[str, ...]) -> Any:
        return (
            self._plant("booleans and numbers as texts")
            if self._draw.random() < 0.2
            else self._stays(path, True)
        )

    def _of_integer(self, path: tuple[str, ...]) -> Any:
        if self._draw.random() < 0.2:
            return self._plant("booleans and numbers as texts")
        return self._stays(path, self._draw.randrange(1, 1_000))

    _of_positiveInt = _of_unsignedInt = _of_integer

    def _of_decimal(self, path: tuple[str, ...]) -> Any:
        if self._draw.random() < 0.2:
            return int(self._plant("numbers: the patient's own", self._person.ipp.lstrip("0") or "1"))
        return self._stays(path, self._draw.randrange(1, 10**6) / 1_000)

    def _date(self) -> str:
        """In a year that nothing moves into."""
        return f"2049-{self._draw.randrange(1, 13):02}-{self._draw.randrange(1, 29):02}"

    def _of_date(self, _: tuple[str, ...]) -> str:
        return self._plant("dates", self._date())

    def _of_dateTime(self, _: tuple[str, ...]) -> str:
        return self._plant("dates", self._date()) + "T08:30:00+02:00"

    _of_instant = _of_dateTime

    def _of_time(self, _: tuple[str, ...]) -> str:
        return "08:30:17"

    def _of_uid(self, _: tuple[str, ...]) -> str:
        return "1.2.840." + self._plant("DICOM UIDs", _digits(self._draw, 12).lstrip("0") + "7")

    def _of_base64Binary(self, _: tuple[str, ...]) -> str:
        return self._plant("attachments", base64.b64encode(token(self._draw).encode()).decode())

    def _of_Coding(self, path: tuple[str, ...]) -> dict[str, Any]:
        if self._draw.random() < 0.5:
            return self._bad_coding()
        return self._good_coding(path)

    def _good_coding(self, path: tuple[str, ...]) -> dict[str, Any]:
        system, code = self._draw.choice(GOOD_CODES)
        self._stays((*path, "code"), code)
        return {"system": system, "code": code, "display": self._plant("displays and texts of codes")}

    def _bad_coding(self) -> dict[str, Any]:
        if self._draw.random() < 0.5:
            system = f"http://{_word(self._draw).lower()}.example"
            return {"system": system, "code": self._plant("codes of unknown systems")}
        system = self._draw.choice(KNOWN_SYSTEMS)
        code = self._plant(
            "codes of known systems", self._draw.choice([token(self._draw), *self._person.tokens()])
        )
        return {"system": system, "code": code, "version": self._plant("displays and texts of codes")}

    def _of_CodeableConcept(self, path: tuple[str, ...]) -> dict[str, Any]:
        return {
            "coding": [self._good_coding((*path, "coding")), self._bad_coding()],
            "text": self._plant("displays and texts of codes"),
            "extension": [self._extension(1)],
        }

    def _of_Quantity(self, path: tuple[str, ...]) -> dict[str, Any]:
        value = self._stays((*path, "value"), self._draw.randrange(1, 10**6) / 1_000)
        if self._draw.random() < 0.5:
            return {
                "value": value,
                "unit": self._plant("units"),
                "system": UCUM,
                "code": self._plant("units"),
            }
        return {"value": value, "unit": "kg", "system": UCUM, "code": self._stays((*path, "code"), "kg")}

    def _of_Age(self, _: tuple[str, ...]) -> dict[str, Any]:
        return {"value": 30, "unit": self._plant("units"), "system": UCUM, "code": "a"}

    def _of_Money(self, path: tuple[str, ...]) -> dict[str, Any]:
        value = self._stays((*path, "value"), self._draw.randrange(1, 10**6) / 100)
        return {"value": value, "currency": self._plant("codes")}

    def _of_Period(self, path: tuple[str, ...]) -> dict[str, Any]:
        return {"start": self._of_dateTime(path), "end": self._of_date(path)}

    def _of_Range(self, path: tuple[str, ...]) -> dict[str, Any]:
        return {"low": self._of_Quantity((*path, "low")), "high": self._of_Quantity((*path, "high"))}

    def _of_Ratio(self, path: tuple[str, ...]) -> dict[str, Any]:
        return {"numerator": self._of_Quantity((*path, "numerator")), "denominator": {"value": 1}}

    def _of_SampledData(self, path: tuple[str, ...]) -> dict[str, Any]:
        return {"origin": self._of_Quantity((*path, "origin")), "data": self._plant("texts")}

    def _of_Timing(self, path: tuple[str, ...]) -> dict[str, Any]:
        return {
            "event": [self._of_dateTime(path)],
            "code": {"text": self._plant("displays and texts of codes")},
        }

    def _of_Dosage(self, path: tuple[str, ...]) -> dict[str, Any]:
        return {
            "text": self._sentence(),
            "patientInstruction": self._plant("texts"),
            "timing": self._of_Timing(path),
        }

    def _of_Annotation(self, path: tuple[str, ...]) -> dict[str, Any]:
        return {
            "text": self._sentence(),
            "authorString": self._plant("texts"),
            "time": self._of_dateTime(path),
        }

    def _of_Narrative(self, _: tuple[str, ...]) -> dict[str, Any]:
        return {"status": "generated", "div": f"<div><p>{self._sentence()}</p></div>"}

    def _of_Attachment(self, path: tuple[str, ...]) -> dict[str, Any]:
        rule = self._rules.get(".".join(path))
        text = self._sentence() if rule is not None and rule.action == "text" else self._plant("attachments")
        return {
            "contentType": "text/plain",
            "data": base64.b64encode(text.encode()).decode(),
            "title": self._plant("attachments"),
            "url": self._plant("URIs"),
        }

    def _of_Identifier(self, path: tuple[str, ...]) -> dict[str, Any]:
        place = "names, telecom, addresses, identifiers"
        return {
            "system": self._plant("URIs"),
            "value": self._plant(place),
            "type": {"text": self._plant(place)},
            "period": self._of_Period(path),
            "assigner": {"display": self._plant("references")},
        }

    def _of_HumanName(self, _: tuple[str, ...]) -> dict[str, Any]:
        place = "names, telecom, addresses, identifiers"
        return {"text": self._plant(place), "family": self._plant(place), "given": [self._plant(place)]}

    def _of_ContactPoint(self, _: tuple[str, ...]) -> dict[str, Any]:
        return {"system": "phone", "value": self._plant("names, telecom, addresses, identifiers")}

    def _of_Address(self, _: tuple[str, ...]) -> dict[str, Any]:
        place = "names, telecom, addresses, identifiers"
        return {
            "text": self._plant(place),
            "line": [self._plant(place)],
            "postalCode": _digits(self._draw, 5),
        }

    def _of_Reference(self, _: tuple[str, ...]) -> dict[str, Any]:
        word = self._plant("references", _word(self._draw) + _digits(self._draw, 6))
        stated = self._draw.choice(
            ["Practitioner/{}", "http://x.example/Practitioner/{}", "urn:uuid:{}", "{}", "#{}"]
        )
        return {
            "reference": stated.format(word),
            "type": self._draw.choice(["Practitioner", self._plant("references")]),
            "display": self._plant("references"),
            "identifier": {"system": "urn:x", "value": self._plant("references")},
        }


def at(content: Any, path: tuple[str, ...]) -> Iterator[Any]:
    """Values at the end of a path, through lists."""
    if isinstance(content, list):
        for each in content:
            yield from at(each, path)
    elif not path:
        yield content
    elif isinstance(content, dict) and path[0] in content:
        yield from at(content[path[0]], path[1:])


def texts_of(content: Any) -> Iterator[str]:
    """Every string of a resource, and what those in base64 hold."""
    if isinstance(content, dict):
        for name, each in content.items():
            if name == "data" and isinstance(each, str):
                with contextlib.suppress(ValueError):
                    yield base64.b64decode(each, validate=True).decode("utf-8", "replace")
            yield from texts_of(each)
    elif isinstance(content, list):
        for each in content:
            yield from texts_of(each)
    else:
        yield str(content)
