"""What a row is to predict, and the date that its features are as of."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Self

from protocol.cohort.features import Occurrence
from protocol.cohort.history import Code, Event, History
from protocol.cohort.place import Place
from protocol.cohort.quantities import Quantities
from protocol.data import documents
from protocol.errors import DataError

LAST_CONTACT = "last-contact"
CONTACTS = ("Encounter", "Observation")


@dataclass(frozen=True)
class Label:
    """1 for a patient with an event that makes it so, else 0; with ``unknown_without`` none for one without a value."""

    name: str
    source: Occurrence | Quantities
    positive: str = ""
    unknown_without: bool = False

    @classmethod
    def parse(cls, place: Place) -> Self:
        kind = place.value.get("kind") if isinstance(place.value, dict) else None
        if Place(kind, f"{place.path}.kind").choice("has", "value") == "has":
            source = Occurrence.parse(place)
            if not source.codes or source.plan.centre is not None:
                place.wrong("needs codes, and no centre and scale")
            return cls(source.name, source)
        read = place.fields(f"name kind {Quantities.FIELDS} positive missing", "convert")
        try:
            name, positive = documents.label({"name": read["name"].value, "positive": read["positive"].value})
        except DataError:
            read["positive"].wrong('must be a comparison with a number, such as ">= 6.5"')
        unknown = read["missing"].choice("drop", "negative") == "drop"
        return cls(name, Quantities.parse(place, read), positive, unknown)

    @property
    def type(self) -> str:
        """Of the resources that decide it."""
        return self.source.element.type if isinstance(self.source, Occurrence) else "Observation"

    @property
    def codes(self) -> frozenset[Code]:
        return self.source.codes

    def events(self, history: History) -> list[Event] | None:
        """Those that make it positive, in time; None where it cannot be told."""
        if isinstance(self.source, Occurrence):
            return self.source.found(history)
        values = list(self.source.dated(self.name, history))
        if not values and self.unknown_without:
            return None
        return [event for event, value in values if documents.holds(self.positive, value)]


@dataclass(frozen=True)
class Index:
    """The date that a patient's features are as of: the last contact, or the first or last event with some codes."""

    event: Occurrence | None = None
    first: bool = False

    @classmethod
    def parse(cls, place: Place) -> Self:
        if not isinstance(place.value, dict):
            place.choice(LAST_CONTACT)
            return cls()
        read = place.fields("element codes take")
        first = read["take"].choice("first", "last") == "first"
        document = {
            "name": "index",
            "kind": "has",
            "element": place.value["element"],
            "codes": place.value["codes"],
        }
        return cls(Occurrence.parse(Place(document, place.path)), first)

    @property
    def types(self) -> frozenset[str]:
        return self.event.types if self.event else frozenset(CONTACTS)

    def of(self, history: History) -> datetime | None:
        """The date, naive UTC."""
        events = (
            self.event.found(history) if self.event else [e for each in CONTACTS for e in history.of(each)]
        )
        dates = [event.when.earliest for event in events if event.when is not None]
        return (min if self.first else max)(dates) if dates else None
