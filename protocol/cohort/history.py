"""A patient's de-identified resources in time; elements and codes as FHIR R4 names them.

An element is addressed as in FHIR's own tables, ``Type.element`` without the type that a choice element ends with:
``Observation.value``, ``MedicationRequest.medication``, ``Patient.gender``. It is looked up and nothing is executed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

from protocol.cohort.place import Place

if TYPE_CHECKING:
    from protocol.fhir.resource import Clean

#: The elements that date a resource, by type. All that are there count: a condition that was recorded long after its
#: onset was not known before.
DATES: Mapping[str, tuple[str, ...]] = {
    "AllergyIntolerance": ("onsetDateTime", "onsetPeriod", "recordedDate"),
    "CarePlan": ("period", "created"),
    "Condition": ("onsetDateTime", "onsetPeriod", "recordedDate"),
    "DeviceUseStatement": ("timingDateTime", "timingPeriod", "recordedOn"),
    "DiagnosticReport": ("effectiveDateTime", "effectivePeriod", "issued"),
    "Encounter": ("period",),
    "EpisodeOfCare": ("period",),
    "Goal": ("startDate", "statusDate"),
    "ImagingStudy": ("started",),
    "Immunization": ("occurrenceDateTime", "recorded"),
    "MedicationAdministration": ("effectiveDateTime", "effectivePeriod"),
    "MedicationDispense": ("whenPrepared", "whenHandedOver"),
    "MedicationRequest": ("authoredOn",),
    "MedicationStatement": ("effectiveDateTime", "effectivePeriod", "dateAsserted"),
    "Observation": ("effectiveDateTime", "effectivePeriod", "effectiveInstant", "issued"),
    "Procedure": ("performedDateTime", "performedPeriod"),
    "ServiceRequest": ("occurrenceDateTime", "occurrencePeriod", "authoredOn"),
    "Specimen": ("receivedTime",),
}
#: What is not so, was not done, or is only meant to be.
_NOT_SO = {
    "entered-in-error", "cancelled", "not-done", "nullified",
    "planned", "proposed", "preparation", "draft", "registered",
}  # fmt: skip
_ONLY_MEANT = {"proposal", "plan", "option"}

_ELEMENT = re.compile(r"([A-Z][A-Za-z]{2,39})((?:\.[a-z][A-Za-z]{0,39}){0,4})")
_CHOICES = ("", "CodeableConcept", "Coding", "Code")
_DATE = re.compile(r"(\d{4})(-\d\d)?(-\d\d)?")


@dataclass(frozen=True)
class Moment:
    """When something was: not before ``earliest`` and not after ``latest``, naive UTC."""

    earliest: datetime
    latest: datetime

    @classmethod
    def read(cls, value: Any) -> Self | None:
        """A FHIR date, dateTime, instant or Period. None where it says nothing."""
        if isinstance(value, dict):
            ends = [cls.read(value.get(name)) for name in ("start", "end")]
            return cls.hull(end for end in ends if end is not None)
        if not isinstance(value, str):
            return None
        try:
            if parts := _DATE.fullmatch(value):
                return cls._of_date(*(int(part.strip("-")) if part else None for part in parts.groups()))
            at = datetime.fromisoformat(value)
            at = at.astimezone(UTC).replace(tzinfo=None) if at.tzinfo else at
        except (ValueError, OverflowError):
            return None
        return cls(at, at)

    @classmethod
    def hull(cls, moments: Iterable[Self]) -> Self | None:
        """From the first to the last of them; None of none."""
        known = list(moments)
        if not known:
            return None
        return cls(min(each.earliest for each in known), max(each.latest for each in known))

    @classmethod
    def _of_date(cls, year: int, month: int | None, day: int | None) -> Self:
        start = datetime(year, month or 1, day or 1)
        # De-identification moves a dateTime by up to a day more than a date.
        days = 2 if day else 32 if month else 367
        return cls(start, start + timedelta(days=days))


@dataclass(frozen=True)
class Code:
    """A code of a system; the system of a plain ``code`` element is empty."""

    system: str
    code: str

    @classmethod
    def parse(cls, place: Place) -> Self:
        read = place.fields("code", "system display")
        if "display" in read:
            read["display"].text(512)
        return cls(read["system"].text(512) if "system" in read else "", read["code"].text())


def parse_codes(place: Place) -> frozenset[Code]:
    """A list of codes, each once. Raises `DataError`."""
    codes = [Code.parse(each) for each in place.items()]
    place.once(codes)
    return frozenset(codes)


@dataclass(frozen=True)
class Element:
    """``Type.element``, or a type alone."""

    type: str
    path: tuple[str, ...]

    @classmethod
    def parse(cls, place: Place, *, bare: bool = False) -> Self:
        """With ``bare`` a type alone will do. Raises `DataError`."""
        found = _ELEMENT.fullmatch(place.text())
        if not found:
            place.wrong("must be an element as FHIR names it, such as Observation.value")
        if found[1] != "Patient" and found[1] not in DATES:
            place.wrong(f"is of a type that has no place in a cohort; there are Patient, {', '.join(DATES)}")
        if not found[2] and not bare:
            place.wrong("names no element of the resource")
        return cls(found[1], tuple(found[2].split(".")[1:]))

    def codes(self, content: Mapping[str, Any]) -> Iterator[Code]:
        """The codes at this element of a resource: CodeableConcept, Coding or code, one or many."""
        for value in _at(content, self.path):
            if isinstance(value, str):
                yield Code("", value)
            elif isinstance(value, dict):
                for coding in _listed(value["coding"]) if "coding" in value else [value]:
                    if isinstance(coding, dict) and isinstance(coding.get("code"), str):
                        system = coding.get("system")
                        yield Code(system if isinstance(system, str) else "", coding["code"])

    def has(self, content: Mapping[str, Any], codes: frozenset[Code]) -> bool:
        """Whether one of these codes is there; without codes, always."""
        return not codes or any(code in codes for code in self.codes(content))


#: What an Observation, or a component of it, is of.
OBSERVED = Element("Observation", ("code",))
_VERIFIED = Element("Condition", ("verificationStatus",))


@dataclass(frozen=True)
class Event:
    """A resource of a patient that counts, and when it was."""

    content: Mapping[str, Any]
    when: Moment | None
    key: bytes


@dataclass
class History:
    """What the records hold about one patient. ``unread``: features some of whose values could not be read, and why."""

    resources: Iterable[Clean]
    unread: set[str] = field(default_factory=set)

    @cached_property
    def events(self) -> dict[str, list[Event]]:
        """By type, each list in time; what has no date comes first."""
        made: dict[str, list[Event]] = {}
        for each in self.resources:
            if each.type == "Patient" or (each.type in DATES and is_so(each.content)):
                when = Moment.hull(_moments(each.type, each.content))
                made.setdefault(each.type, []).append(Event(each.content, when, each.key))
        for events in made.values():
            events.sort(key=_order)
        return made

    def of(self, resource_type: str) -> list[Event]:
        """Those of a type."""
        return self.events.get(resource_type, [])

    @property
    def person(self) -> Mapping[str, Any] | None:
        """The Patient resource."""
        return next((event.content for event in self.of("Patient")), None)

    def measured(self, codes: frozenset[Code]) -> list[tuple[Event, Mapping[str, Any]]]:
        """Observations, and components of them, that have one of these codes, in time."""
        found = {place for code in codes for place in self._by_code.get(code, ())}
        return [self._parts[place] for place in sorted(found)]

    @cached_property
    def _parts(self) -> list[tuple[Event, Mapping[str, Any]]]:
        return [
            (event, part)
            for event in self.of("Observation")
            for part in (event.content, *_listed(event.content.get("component", [])))
            if isinstance(part, dict)
        ]

    @cached_property
    def _by_code(self) -> dict[Code, list[int]]:
        found: dict[Code, list[int]] = {}
        for place, (_, part) in enumerate(self._parts):
            for code in OBSERVED.codes(part):
                found.setdefault(code, []).append(place)
        return found

    def within(self, before: datetime | None, until: datetime | None) -> History:
        """What was over before one moment, and had begun by another one; without a date it is not of it."""
        kept = History((), self.unread)
        kept.__dict__["events"] = {
            resource_type: [
                event for event in events if resource_type == "Patient" or _inside(event.when, before, until)
            ]
            for resource_type, events in self.events.items()
        }
        return kept


def is_so(content: Mapping[str, Any]) -> bool:
    """Whether a resource says that something is so: not entered in error, refuted, suspected, planned or not done."""
    verified = [code.code for code in _VERIFIED.codes(content)]
    return (
        str(content.get("status")) not in _NOT_SO
        and str(content.get("intent")) not in _ONLY_MEANT
        and content.get("doNotPerform") is not True
        and (not verified or "confirmed" in verified)
    )


def is_replaced(person: Mapping[str, Any]) -> bool:
    """Whether a Patient says that another one stands for the same person: a row each would count them twice."""
    links = person.get("link")
    return isinstance(links, list) and any(
        isinstance(link, dict) and link.get("type") == "replaced-by" for link in links
    )


def date_of(value: Any) -> date | None:
    """A day for a FHIR date; the middle of the year where it says no day."""
    when = Moment.read(value)
    if when is None:
        return None
    return (when.earliest if len(value) > len("2000-01") else datetime(when.earliest.year, 7, 1)).date()


def _moments(resource_type: str, content: Mapping[str, Any]) -> Iterator[Moment]:
    for name in DATES.get(resource_type, ()):
        if (when := Moment.read(content.get(name))) is not None:
            yield when


def _inside(when: Moment | None, before: datetime | None, until: datetime | None) -> bool:
    if when is None:
        return before is None and until is None
    return (before is None or when.latest < before) and (until is None or when.earliest <= until)


def _order(event: Event) -> tuple[datetime, bytes]:
    return (event.when.earliest if event.when else datetime.min, event.key)


def _at(content: Any, path: tuple[str, ...]) -> Iterator[Any]:
    """The values at the end of a path, through lists."""
    if isinstance(content, list):
        for each in content:
            yield from _at(each, path)
    elif not path:
        yield content
    elif isinstance(content, dict):
        for ending in _CHOICES:
            if (name := path[0] + ending) in content:
                yield from _at(content[name], path[1:])


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
