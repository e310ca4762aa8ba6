"""Patients who never lived, as FHIR R4 transaction Bundles in the shape of Synthea's: for tests, demo and benchmarks.

Age, weight and blood pressure are drawn, and prediabetes and diabetes follow from them by a logistic model, so that a
model has something to learn. Names are made of syllables. The same seed gives the same patients.
"""

from __future__ import annotations

import base64
import math
import random
import uuid
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

LOINC, SNOMED, UCUM = "http://loinc.org", "http://snomed.info/sct", "http://unitsofmeasure.org"
_TERMS = "http://terminology.hl7.org/CodeSystem"
PREDIABETES, DIABETES = ("15777000", "Prediabetes"), ("44054006", "Diabetes mellitus type 2 (disorder)")
HYPERTENSION = ("59621000", "Essential hypertension (disorder)")
#: All visits are before this day.
NOW = date(2025, 1, 1)
YEARS = 10

_FIRST = (
    "ba",
    "de",
    "fi",
    "go",
    "ka",
    "le",
    "mi",
    "no",
    "pa",
    "re",
    "sa",
    "te",
    "vi",
    "zo",
    "bru",
    "tra",
    "kle",
)
_LAST = ("lin", "ndo", "ra", "vek", "mus", "tal", "sol", "nne", "ric", "dar", "bel", "go", "min", "zet")
_STREETS = ("Lane", "Road", "Street", "Avenue")
_IPP = "urn:oid:1.2.250.1.71.4.2.7.1"
_NOTES = (
    "{name} was seen on {day}. Reports no chest pain. Blood pressure {systolic}/{diastolic} mmHg, weight stable.",
    "Follow-up of {name}, born {born}. Telephone {phone}. Diet discussed; next visit in six months.",
    "Le {day}, {name} est venu pour un contrôle. Tension {systolic}/{diastolic}. Pas de plainte nouvelle.",
    "Call {phone} with the results. BMI {bmi}. Advised to walk half an hour a day.",
)


def patients(count: int, seed: int = 0) -> Iterator[dict[str, Any]]:
    """A Bundle for each of `count` patients, JSON-ready."""
    for number in range(count):
        yield _Patient(random.Random(f"{seed}/{number}")).bundle()


def risk(age: float, bmi: float, systolic: float) -> float:
    """The probability of prediabetes or diabetes."""
    score = -1.1 + 0.055 * (age - 50) + 0.16 * (bmi - 27) + 0.03 * (systolic - 125)
    return 1 / (1 + math.exp(-score))


class _Patient:
    """One patient, and what the records say."""

    def __init__(self, draw: random.Random) -> None:
        self._draw = draw
        self._entries: list[dict[str, Any]] = []
        age = min(max(draw.gauss(48, 22), 1), 97)
        self._born = NOW - timedelta(days=int(age * 365.25) + draw.randrange(365))
        self._age = (NOW - self._born).days / 365.25
        self._female = draw.random() < 0.5
        self._given, self._family = self._name(_FIRST, 2), self._name(_FIRST + _LAST, 3)
        self._phone = f"555-{draw.randrange(100, 1000)}-{draw.randrange(10_000):04}"
        grown = min(self._age / 18, 1)
        self._height = (85 + grown * 85) * draw.gauss(0.97 if self._female else 1.03, 0.03)
        self._bmi = max(draw.gauss(16 + 11 * grown, 1 + 4 * grown), 13)
        self._systolic = max(draw.gauss(98 + 0.45 * self._age + 0.5 * (self._bmi - 25), 11), 80)
        self._zone = draw.choice(("+00:00", "+01:00", "-05:00"))

    def bundle(self) -> dict[str, Any]:
        patient, self._doctor, self._place = self._patient(), self._practitioner(), self._organisation()
        self._subject = {"reference": patient}
        sick = self._draw.random() < risk(self._age, self._bmi, self._systolic) and self._age > 18
        diabetes = sick and self._draw.random() < 0.4
        visits = sorted(self._draw.randrange(1, YEARS * 365) for _ in range(self._draw.randint(3, 9)))
        began = self._draw.randrange(len(visits))
        for number, days in enumerate(visits):
            when = NOW - timedelta(days=YEARS * 365 - days)
            if when <= self._born:
                continue
            moment = datetime(
                when.year,
                when.month,
                when.day,
                self._draw.randrange(8, 18),
                self._draw.randrange(60),
                tzinfo=UTC,
            )
            encounter = self._encounter(moment)
            self._measure(encounter, moment, sick, diabetes)
            if number == began:
                if sick:
                    self._condition(encounter, moment, DIABETES if diabetes else PREDIABETES)
                if self._systolic > 145:
                    self._condition(encounter, moment, HYPERTENSION)
            if diabetes and number > began:
                self._prescribe(encounter, moment)
            if self._draw.random() < 0.4:
                self._immunise(encounter, moment)
            if self._draw.random() < 0.5:
                self._note(encounter, moment)
        return {"resourceType": "Bundle", "type": "transaction", "entry": self._entries}

    # --- people and places ---

    def _patient(self) -> str:
        number = f"{self._draw.randrange(10**8, 10**9)}"
        country = self._draw.choice(("US", "FR"))
        name = {"use": "official", "family": self._family, "given": [self._given]}
        return self._add(
            {
                "resourceType": "Patient",
                "text": {
                    "status": "generated",
                    "div": f'<div xmlns="http://www.w3.org/1999/xhtml">{self._given} {self._family}</div>',
                },
                "extension": [
                    {
                        "url": "http://hl7.org/fhir/StructureDefinition/patient-mothersMaidenName",
                        "valueString": self._name(_FIRST + _LAST, 3),
                    }
                ],
                "identifier": [
                    {"system": _IPP, "value": number},
                    {
                        "type": {"coding": [{"system": f"{_TERMS}/v2-0203", "code": "MR"}]},
                        "system": "http://hospital.example.org",
                        "value": f"MRN{self._draw.randrange(10**6, 10**7)}",
                    },
                ],
                "name": [name],
                "telecom": [{"system": "phone", "value": self._phone, "use": "home"}],
                "gender": "female" if self._female else "male",
                "birthDate": self._born.isoformat(),
                "address": [
                    {
                        "line": [
                            f"{self._draw.randrange(1, 999)} {self._name(_LAST, 2)} {self._draw.choice(_STREETS)}"
                        ],
                        "city": self._name(_LAST, 3),
                        "postalCode": f"{self._draw.randrange(10_000, 99_999)}",
                        "country": country,
                    }
                ],
                "maritalStatus": {
                    "coding": [{"system": f"{_TERMS}/v3-MaritalStatus", "code": self._draw.choice("MS")}]
                },
            }
        )

    def _practitioner(self) -> str:
        name = {"family": self._name(_LAST, 3), "given": [self._name(_FIRST, 2)], "prefix": ["Dr."]}
        number = f"{self._draw.randrange(10**10, 10**11)}"
        return self._add(
            {
                "resourceType": "Practitioner",
                "identifier": [{"system": "urn:oid:1.2.250.1.71.4.2.1", "value": number}],
                "active": True,
                "name": [name],
            }
        )

    def _organisation(self) -> str:
        kind = {"coding": [{"system": f"{_TERMS}/organization-type", "code": "prov"}]}
        return self._add(
            {
                "resourceType": "Organization",
                "active": True,
                "type": [kind],
                "name": f"{self._name(_LAST, 2)} HOSPITAL",
            }
        )

    # --- what was found and done ---

    def _encounter(self, moment: datetime) -> str:
        return self._add(
            {
                "resourceType": "Encounter",
                "status": "finished",
                "class": {"system": f"{_TERMS}/v3-ActCode", "code": "AMB"},
                "type": [_concept(SNOMED, "185349003", "Encounter for check up (procedure)")],
                "subject": self._subject,
                "participant": [{"individual": {"reference": self._doctor}}],
                "period": {"start": self._said(moment), "end": self._said(moment + timedelta(minutes=20))},
                "serviceProvider": {"reference": self._place},
            }
        )

    def _measure(self, encounter: str, moment: datetime, sick: bool, diabetes: bool) -> None:
        draw = self._draw
        bmi = self._bmi + draw.gauss(0, 0.5)
        metres = self._height / 100
        self._observe(
            encounter, moment, ("8302-2", "Body Height"), "vital-signs", round(self._height, 1), "cm"
        )
        self._observe(
            encounter, moment, ("29463-7", "Body Weight"), "vital-signs", round(bmi * metres**2, 1), "kg"
        )
        self._observe(
            encounter, moment, ("39156-5", "Body Mass Index"), "vital-signs", round(bmi, 2), "kg/m2"
        )
        systolic = self._systolic + draw.gauss(0, 6)
        diastolic = 0.45 * systolic + 25 + draw.gauss(0, 5)
        parts = [
            {"code": _concept(LOINC, *code), "valueQuantity": _quantity(round(value), "mm[Hg]")}
            for code, value in (
                (("8462-4", "Diastolic Blood Pressure"), diastolic),
                (("8480-6", "Systolic Blood Pressure"), systolic),
            )
        ]
        panel = draw.choice((("85354-9", "Blood pressure panel"), ("55284-4", "Blood Pressure")))
        self._observation(encounter, moment, panel, "vital-signs", {"component": parts})
        if draw.random() < 0.6:
            cholesterol = max(draw.gauss(175 + 0.4 * min(self._age, 70) + 12 * sick, 28), 90)
            self._observe(
                encounter, moment, ("2093-3", "Total Cholesterol"), "laboratory", round(cholesterol), "mg/dL"
            )
        if sick or draw.random() < 0.2:
            share = max(draw.gauss(7.4 if diabetes else 6.0 if sick else 5.3, 0.4), 4)
            code = ("4548-4", "Hemoglobin A1c/Hemoglobin.total in Blood")
            self._observe(encounter, moment, code, "laboratory", round(share, 1), "%")

    def _observe(
        self, encounter: str, moment: datetime, code: tuple[str, str], category: str, value: float, unit: str
    ) -> None:
        self._observation(encounter, moment, code, category, {"valueQuantity": _quantity(value, unit)})

    def _observation(
        self, encounter: str, moment: datetime, code: tuple[str, str], category: str, value: dict[str, Any]
    ) -> None:
        self._add(
            {
                "resourceType": "Observation",
                "status": "final",
                "category": [{"coding": [{"system": f"{_TERMS}/observation-category", "code": category}]}],
                "code": _concept(LOINC, *code),
                "subject": self._subject,
                "encounter": {"reference": encounter},
                "effectiveDateTime": self._said(moment),
                "issued": moment.isoformat(timespec="milliseconds"),
                **value,
            }
        )

    def _condition(self, encounter: str, moment: datetime, code: tuple[str, str]) -> None:
        self._add(
            {
                "resourceType": "Condition",
                "clinicalStatus": {"coding": [{"system": f"{_TERMS}/condition-clinical", "code": "active"}]},
                "verificationStatus": {
                    "coding": [{"system": f"{_TERMS}/condition-ver-status", "code": "confirmed"}]
                },
                "code": _concept(SNOMED, *code),
                "subject": self._subject,
                "encounter": {"reference": encounter},
                "onsetDateTime": self._said(moment),
                "recordedDate": self._said(moment),
            }
        )

    def _prescribe(self, encounter: str, moment: datetime) -> None:
        drug = _concept("http://www.nlm.nih.gov/research/umls/rxnorm", "860975", "Metformin 500 MG")
        self._add(
            {
                "resourceType": "MedicationRequest",
                "status": "active",
                "intent": "order",
                "medicationCodeableConcept": drug,
                "subject": self._subject,
                "encounter": {"reference": encounter},
                "authoredOn": self._said(moment),
                "requester": {"reference": self._doctor, "display": "the practitioner"},
            }
        )

    def _immunise(self, encounter: str, moment: datetime) -> None:
        self._add(
            {
                "resourceType": "Immunization",
                "status": "completed",
                "vaccineCode": _concept("http://hl7.org/fhir/sid/cvx", "140", "Influenza, seasonal"),
                "patient": self._subject,
                "encounter": {"reference": encounter},
                "occurrenceDateTime": self._said(moment),
                "primarySource": True,
            }
        )

    def _note(self, encounter: str, moment: datetime) -> None:
        text = self._draw.choice(_NOTES).format(
            name=f"{self._given} {self._family}",
            day=moment.strftime("%d/%m/%Y"),
            born=self._born.isoformat(),
            phone=self._phone,
            systolic=round(self._systolic),
            diastolic=round(0.45 * self._systolic + 25),
            bmi=round(self._bmi),
        )
        data = base64.b64encode(text.encode()).decode("ascii")
        self._add(
            {
                "resourceType": "DocumentReference",
                "status": "current",
                "type": _concept(LOINC, "34109-9", "Note"),
                "subject": self._subject,
                "date": moment.isoformat(timespec="milliseconds"),
                "author": [{"reference": self._doctor}],
                "content": [{"attachment": {"contentType": "text/plain", "data": data}}],
                "context": {"encounter": [{"reference": encounter}]},
            }
        )

    # --- parts ---

    def _add(self, resource: dict[str, Any]) -> str:
        """Adds a resource with an id, and returns its full URL."""
        own = str(uuid.UUID(int=self._draw.getrandbits(128), version=4))
        kind = resource["resourceType"]
        self._entries.append(
            {
                "fullUrl": f"urn:uuid:{own}",
                "resource": {"resourceType": kind, "id": own, **resource},
                "request": {"method": "POST", "url": kind},
            }
        )
        return f"urn:uuid:{own}"

    def _said(self, moment: datetime) -> str:
        """A moment in the hospital's zone."""
        return moment.astimezone(
            datetime.fromisoformat(f"2000-01-01T00:00:00{self._zone}").tzinfo
        ).isoformat()

    def _name(self, syllables: tuple[str, ...], length: int) -> str:
        return "".join(self._draw.choice(syllables) for _ in range(length)).capitalize()


def _concept(system: str, code: str, display: str) -> dict[str, Any]:
    return {"coding": [{"system": system, "code": code, "display": display}], "text": display}


def _quantity(value: float, unit: str) -> dict[str, Any]:
    return {"value": value, "unit": unit, "system": UCUM, "code": unit}
