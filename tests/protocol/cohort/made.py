"""De-identified resources and small mappings, as tests of cohorts need them. All of it is invented."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from protocol.cohort.history import History
from protocol.cohort.mapping import CohortMapping
from protocol.fhir.resource import Clean

LOINC, SNOMED, UCUM = "http://loinc.org", "http://snomed.info/sct", "http://unitsofmeasure.org"
GLUCOSE, SYSTOLIC, PANEL = "2339-0", "8480-6", "85354-9"
DIABETES, FLU = "44054006", "6142004"

DOCUMENT: dict[str, Any] = {
    "kind": "cohort",
    "name": "small",
    "purpose": "HRESCH",
    "consent": "opt-out",
    "index": "last-contact",
    "window": {"before_label": True},
    "features": [
        {"name": "age", "kind": "age", "years": 5, "from": 20, "to": 90, "centre": 55, "scale": 20},
        {
            "name": "sex",
            "kind": "code",
            "element": "Patient.gender",
            "levels": [
                {"level": 0, "name": "not stated"},
                {"level": 1, "name": "female", "codes": [{"code": "female"}]},
                {"level": 2, "name": "male", "codes": [{"code": "male"}]},
            ],
            "centre": [0.5, 0.5],
            "scale": [0.5, 0.5],
        },
        {
            "name": "systolic",
            "kind": "value",
            "element": "Observation.value",
            "of": [{"system": LOINC, "code": SYSTOLIC}],
            "unit": "mm[Hg]",
            "range": [50, 280],
            "take": "last",
            "missing": "drop",
            "centre": 120,
            "scale": 20,
        },
    ],
    "label": {
        "name": "diabetes",
        "kind": "has",
        "element": "Condition.code",
        "codes": [{"system": SNOMED, "code": DIABETES}],
    },
    "anonymity": {
        "k": 2,
        "max_suppressed": 0.2,
        "quasi_identifiers": [
            {"name": "age", "bands": [10, 20, "all"]},
            {"name": "sex", "steps": [{"*": "not stated"}]},
        ],
    },
}


def document(**changes: Any) -> dict[str, Any]:
    """`DOCUMENT` with other fields at its top."""
    return {**copy.deepcopy(DOCUMENT), **copy.deepcopy(changes)}


def mapping(**changes: Any) -> CohortMapping:
    return CohortMapping.parse(document(**changes))


def clean(content: dict[str, Any], patient: str = "P") -> Clean:
    made = {"id": "x", **content}
    return Clean(
        hashlib.sha256(repr(sorted(made.items())).encode()).digest()[:16], made["resourceType"], patient, made
    )


def person(born: str | None = "1960-05-01", sex: str | None = "female", **more: Any) -> dict[str, Any]:
    found = {"resourceType": "Patient", "birthDate": born, "gender": sex, **more}
    return {name: value for name, value in found.items() if value is not None}


def concept(system: str, *codes: str) -> dict[str, Any]:
    return {"coding": [{"system": system, "code": code} for code in codes]}


def quantity(value: Any, unit: str | None = "mm[Hg]", **more: Any) -> dict[str, Any]:
    return {"value": value, "system": UCUM, **({"code": unit} if unit else {}), **more}


def observation(
    code: str, value: Any, at: str | None = "2019-03-01T10:00:00Z", **more: Any
) -> dict[str, Any]:
    found = {
        "resourceType": "Observation",
        "status": "final",
        "code": concept(LOINC, code),
        "effectiveDateTime": at,
        "valueQuantity": value if isinstance(value, dict) else quantity(value),
        **more,
    }
    return {name: each for name, each in found.items() if each is not None}


def pressure(value: float, at: str = "2019-03-01T10:00:00Z", unit: str | None = "mm[Hg]") -> dict[str, Any]:
    """A panel, with the systolic pressure as a component."""
    component = [
        {"code": concept(LOINC, "8462-4"), "valueQuantity": quantity(70)},
        {"code": concept(LOINC, SYSTOLIC), "valueQuantity": quantity(value, unit)},
    ]
    return {
        "resourceType": "Observation",
        "status": "final",
        "code": concept(LOINC, PANEL),
        "effectiveDateTime": at,
        "component": component,
    }


def condition(code: str = DIABETES, at: str | None = "2020-01-01T00:00:00Z", **more: Any) -> dict[str, Any]:
    found = {
        "resourceType": "Condition",
        "code": concept(SNOMED, code),
        "onsetDateTime": at,
        "verificationStatus": concept("x", "confirmed"),
        **more,
    }
    return {name: each for name, each in found.items() if each is not None}


def encounter(at: str, **more: Any) -> dict[str, Any]:
    return {"resourceType": "Encounter", "status": "finished", "period": {"start": at, "end": at}, **more}


def consent(kind: str) -> dict[str, Any]:
    """An active FHIR Consent for research that permits or denies."""
    research = {"system": "http://terminology.hl7.org/CodeSystem/v3-ActReason", "code": "HRESCH"}
    return {
        "resourceType": "Consent",
        "status": "active",
        "scope": concept("http://terminology.hl7.org/CodeSystem/consentscope", "research"),
        "category": [concept("http://terminology.hl7.org/CodeSystem/consentcategorycodes", "research")],
        "dateTime": "2015-01-01",
        "provision": {"type": kind, "purpose": [research]},
    }


def history(*contents: dict[str, Any]) -> History:
    return History([clean(each) for each in contents])


@dataclass
class FakeRecords:
    """Records of a few patients, by pseudonym."""

    of: dict[str, list[dict[str, Any]]]
    asked: list[Collection[str]] = field(default_factory=list)
    groups: dict[str, frozenset[str]] = field(default_factory=dict)

    def rules(self) -> list[str]:
        return ["ab" * 32]

    def individuals(self) -> dict[str, frozenset[str]]:
        return self.groups

    def scan(self, types: Collection[str], patients: Collection[str]) -> Iterator[Clean]:
        for patient, resources in self.by_patient(types):
            if patient in patients:
                yield from resources

    def by_patient(self, types: Iterable[str]) -> Iterator[tuple[str, list[Clean]]]:
        wanted = set(types)
        self.asked.append(wanted)
        for patient, contents in sorted(self.of.items()):
            if found := [clean(each, patient) for each in contents if each["resourceType"] in wanted]:
                yield patient, found


def today(patient: str) -> date:  # noqa: ARG001
    return date(2020, 6, 1)
