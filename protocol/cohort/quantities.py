"""Numbers from Observations and their components, in one UCUM unit."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from protocol.cohort.history import Code, Element, Event, History, parse_codes
from protocol.cohort.place import Place

UCUM = "http://unitsofmeasure.org"
MAX_UNITS = 64


@dataclass(frozen=True)
class Quantities:
    """Which Quantities are meant, and how their units become one; also for a label that compares."""

    codes: frozenset[Code]
    unit: str
    convert: Mapping[str, tuple[float, float]]
    low: float
    high: float

    FIELDS: ClassVar[str] = "element of unit range"

    @classmethod
    def parse(cls, place: Place, read: Mapping[str, Place]) -> Self:
        """From fields `FIELDS` and perhaps ``convert``. Raises `DataError`."""
        element = Element.parse(read["element"])
        if element != Element("Observation", ("value",)):
            read["element"].wrong("must be Observation.value, which stands for that of components too")
        unit = _unit(read["unit"])
        given = read.get("convert", Place({}, place.path))
        if not isinstance(given.value, dict) or len(given.value) > MAX_UNITS:
            given.wrong("must be an object of units")
        convert = {}
        for name, each in given.fields("", " ".join(map(str, given.value))).items():
            pair = each.items(2, 2) if isinstance(each.value, list) else [each, Place(0, each.path)]
            convert[name] = (pair[0].number(), pair[1].number())
            if name == unit or not convert[name][0]:
                each.wrong("must be of another unit, by a factor other than zero")
        low, high = read["range"].span()
        return cls(parse_codes(read["of"]), unit, {unit: (1, 0), **convert}, low, high)

    def dated(self, name: str, history: History) -> Iterator[tuple[Event, float]]:
        """Values in time that are in a listed unit, exact and in range; of others ``unread`` says so."""
        for event, part in history.measured(self.codes):
            if not isinstance(part.get("valueQuantity"), dict):
                continue
            value, reason = self._read(part["valueQuantity"])
            if reason:
                history.unread.add(f"{name}: {reason}")
            else:
                yield event, value

    def _read(self, quantity: Mapping[str, Any]) -> tuple[float, str]:
        value = quantity.get("value")
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            return 0.0, "no number"
        if quantity.get("comparator"):
            return 0.0, "not exact"
        unit = quantity.get("code") if quantity.get("system") == UCUM else None
        if not isinstance(unit, str) or unit not in self.convert:
            return 0.0, "unit not listed"
        factor, offset = self.convert[unit]
        value = value * factor + offset
        return (value, "") if self.low <= value <= self.high else (0.0, "not plausible")


def _unit(place: Place) -> str:
    unit = place.text(64)
    if " " in unit:
        place.wrong("must be a UCUM code, which has no blanks")
    return unit
