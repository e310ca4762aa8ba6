"""What each kind of feature reads from a patient's resources: one number, or nothing.

age         whole years at the index date, in bands; the band's middle stands for it
code        a coded element as one of the mapping's levels; the level without codes is "not stated"
value       an Observation's Quantity, or that of a component, by code and UCUM unit
count       resources with one of these codes, at most so many
has         1 where there is one, else 0
days-since  from the latest of them to the index date, at most so many
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, Protocol, Self

from protocol.cohort.history import Code, Element, Event, History, date_of, parse_codes
from protocol.cohort.place import Place
from protocol.cohort.quantities import Quantities
from protocol.data.schema import MAX_LEVELS

MAX_YEARS = 120
MAX_COUNT = 1_000_000

#: By name, for values in time.
TAKES: Mapping[str, Callable[[Sequence[float]], float]] = {
    "last": lambda values: values[-1],
    "first": lambda values: values[0],
    "mean": lambda values: math.fsum(values) / len(values),
    "min": min,
    "max": max,
}


@dataclass(frozen=True)
class ColumnPlan:
    """A column of the schema: levels (none for a number), and its constants where the mapping gives them."""

    name: str
    levels: tuple[float, ...] = ()
    centre: tuple[float, ...] | None = None
    scale: tuple[float, ...] | None = None


class Feature(Protocol):
    """A feature of any kind."""

    kind: ClassVar[str]

    @property
    def name(self) -> str: ...

    @property
    def types(self) -> frozenset[str]:
        """Of the resources that it reads."""

    @property
    def plans(self) -> tuple[ColumnPlan, ...]:
        """Its columns."""

    @property
    def missing(self) -> Missing | None:
        """What becomes of a patient of whom it says nothing; None where it always says something."""

    def of(self, history: History, index: datetime) -> float | None:
        """The feature of a patient at an index date; None where the resources say nothing."""


@dataclass(frozen=True)
class Missing:
    """The patient is left out, or a constant stands in; ``indicator`` names a column that is 1 where it does."""

    fill: float | None = None
    indicator: str | None = None

    @classmethod
    def parse(cls, place: Place) -> Self:
        if not isinstance(place.value, dict):
            place.choice("drop")
            return cls()
        read = place.fields("median", "indicator")
        return cls(read["median"].number(), read["indicator"].text() if "indicator" in read else None)

    @property
    def plans(self) -> tuple[ColumnPlan, ...]:
        return () if self.indicator is None else (ColumnPlan(self.indicator, (0, 1), (0.5,), (0.5,)),)


DROP = Missing()


@dataclass(frozen=True)
class Age:
    """Whole years, from ``low`` on; ``high`` and above are the last band."""

    kind: ClassVar[str] = "age"
    plan: ColumnPlan
    years: int
    low: int
    high: int
    types: ClassVar[frozenset[str]] = frozenset({"Patient"})
    missing: ClassVar[Missing | None] = DROP

    @classmethod
    def parse(cls, place: Place) -> Self:
        read = place.fields("name kind years from to", "centre scale")
        low = read["from"].whole(0, MAX_YEARS)
        high = read["to"].whole(low + 1, MAX_YEARS)
        return cls(_number_plan(read), read["years"].whole(1, high - low), low, high)

    @property
    def name(self) -> str:
        return self.plan.name

    @property
    def plans(self) -> tuple[ColumnPlan, ...]:
        return (self.plan,)

    def of(self, history: History, index: datetime) -> float | None:
        """The years themselves; `middle` stands for them in a row."""
        born = date_of((history.person or {}).get("birthDate"))
        if born is None or born > index.date():
            return None
        return float(index.year - born.year - ((index.month, index.day) < (born.month, born.day)))

    def middle(self, years: float) -> float:
        """The middle of the band that an age of ``low`` or more falls into."""
        last = math.ceil((self.high - self.low) / self.years) - 1
        start = self.low + min(math.floor((years - self.low) / self.years), last) * self.years
        return (start + min(start + self.years, self.high)) / 2


@dataclass(frozen=True)
class Coded:
    """A coded element; of resources other than Patient those whose code is one of ``among``."""

    kind: ClassVar[str] = "code"
    plan: ColumnPlan
    element: Element
    levels: Mapping[Code, float]
    names: tuple[str, ...]
    not_stated: float
    among: frozenset[Code]
    take: str
    missing: ClassVar[Missing | None] = None

    @classmethod
    def parse(cls, place: Place) -> Self:
        read = place.fields("name kind element levels", "of take centre scale")
        element = Element.parse(read["element"])
        if element.type == "Patient" and {"of", "take"} & set(read):
            place.wrong("reads the Patient, of whom there is one: neither of nor take has a meaning")
        steps = read["levels"].items(2, MAX_LEVELS)
        each = [step.fields("level name", "codes") for step in steps]
        values = tuple(level["level"].number() for level in each)
        names = tuple(level["name"].text() for level in each)
        if list(values) != sorted(set(values)):
            read["levels"].wrong("levels must rise")
        read["levels"].once(names)
        without = [value for value, level in zip(values, each, strict=True) if "codes" not in level]
        if len(without) != 1:
            read["levels"].wrong("exactly one must have no codes: it stands for what is not stated")
        pairs = [
            (code, value)
            for value, level in zip(values, each, strict=True)
            if "codes" in level
            for code in parse_codes(level["codes"])
        ]
        if len(dict(pairs)) != len(pairs):
            read["levels"].wrong("a code is in two of them")
        constants = {
            name: _constants(read[name], len(values) - 1) for name in ("centre", "scale") if name in read
        }
        plan = ColumnPlan(read["name"].text(), values, **_whole_pair(place, constants))
        among = parse_codes(read["of"]) if "of" in read else frozenset()
        take = read["take"].choice("first", "last") if "take" in read else "last"
        return cls(plan, element, dict(pairs), names, without[0], among, take)

    @property
    def name(self) -> str:
        return self.plan.name

    @property
    def types(self) -> frozenset[str]:
        return frozenset({self.element.type})

    @property
    def plans(self) -> tuple[ColumnPlan, ...]:
        return (self.plan,)

    def of(self, history: History, index: datetime) -> float | None:  # noqa: ARG002
        own = Element(self.element.type, ("code",))
        stated = [
            self.levels[code]
            for event in history.of(self.element.type)
            if own.has(event.content, self.among)
            for code in self.element.codes(event.content)
            if code in self.levels
        ]
        return TAKES[self.take](stated) if stated else self.not_stated


@dataclass(frozen=True)
class Value:
    """A number from Observations, rounded to a multiple of ``step`` (0: as it is)."""

    kind: ClassVar[str] = "value"
    plan: ColumnPlan
    quantities: Quantities
    take: str
    step: float
    missing: Missing | None
    types: ClassVar[frozenset[str]] = frozenset({"Observation"})

    @classmethod
    def parse(cls, place: Place) -> Self:
        read = place.fields(f"name kind {Quantities.FIELDS} take missing", "convert round centre scale")
        quantities, missing = Quantities.parse(place, read), Missing.parse(read["missing"])
        if missing.fill is not None and not quantities.low <= missing.fill <= quantities.high:
            read["missing"].wrong("the constant is outside of the range")
        step = read["round"].number(above=0) if "round" in read else 0
        return cls(_number_plan(read), quantities, read["take"].choice(*TAKES), step, missing)

    @property
    def name(self) -> str:
        return self.plan.name

    @property
    def plans(self) -> tuple[ColumnPlan, ...]:
        return (self.plan, *self.missing.plans)

    def of(self, history: History, index: datetime) -> float | None:  # noqa: ARG002
        values = [value for _, value in self.quantities.dated(self.name, history)]
        if not values:
            return None
        taken = TAKES[self.take](values)
        # Twelve digits: 61 * 0.1 is 6.1000000000000005.
        return float(f"{round(taken / self.step) * self.step:.12g}") if self.step else taken


@dataclass(frozen=True)
class Occurrence:
    """Count, has and days-since: of resources of a type, with one of some codes."""

    kind: str
    plan: ColumnPlan
    element: Element
    codes: frozenset[Code]
    most: int
    missing: Missing | None

    @classmethod
    def parse(cls, place: Place) -> Self:
        kind = Place(place.value.get("kind"), f"{place.path}.kind").choice("count", "has", "days-since")
        required = (
            "name kind element"
            + (" most" if kind != "has" else "")
            + (" missing" if kind == "days-since" else "")
        )
        read = place.fields(required, "codes centre scale")
        element = Element.parse(read["element"], bare="codes" not in read)
        if element.type == "Patient" or ("codes" not in read and element.path):
            read["element"].wrong("must be a type of events; an element of it goes with codes")
        most = read["most"].whole(1, MAX_COUNT) if "most" in read else 1
        codes = parse_codes(read["codes"]) if "codes" in read else frozenset()
        missing = Missing.parse(read["missing"]) if "missing" in read else None
        return cls(kind, _number_plan(read), element, codes, most, missing)

    @property
    def name(self) -> str:
        return self.plan.name

    @property
    def types(self) -> frozenset[str]:
        return frozenset({self.element.type})

    @property
    def plans(self) -> tuple[ColumnPlan, ...]:
        return (self.plan, *(self.missing.plans if self.missing else ()))

    def found(self, history: History) -> list[Event]:
        """The resources themselves, in time."""
        return [
            event for event in history.of(self.element.type) if self.element.has(event.content, self.codes)
        ]

    def of(self, history: History, index: datetime) -> float | None:
        events = self.found(history)
        if self.kind != "days-since":
            return float(min(len(events), self.most))
        dated = [event.when.earliest for event in events if event.when is not None]
        if not dated:
            return None
        return float(min(max((index.date() - max(dated).date()).days, 0), self.most))


KINDS: Mapping[str, Callable[[Place], Feature]] = {
    "age": Age.parse, "code": Coded.parse, "value": Value.parse,
    "count": Occurrence.parse, "has": Occurrence.parse, "days-since": Occurrence.parse,
}  # fmt: skip


def parse_feature(place: Place) -> Feature:
    """A feature of one of the `KINDS`. Raises `DataError`."""
    if not isinstance(place.value, dict) or "kind" not in place.value:
        place.wrong("must be an object with a kind")
    return KINDS[Place(place.value["kind"], f"{place.path}.kind").choice(*KINDS)](place)


def _number_plan(read: Mapping[str, Place]) -> ColumnPlan:
    constants = {name: (read[name].number(),) for name in ("centre", "scale") if name in read}
    return ColumnPlan(read["name"].text(), (), **_whole_pair(read["name"], constants))


def _constants(place: Place, count: int) -> tuple[float, ...]:
    return tuple(each.number() for each in place.items(count, count))


def _whole_pair(place: Place, constants: dict[str, tuple[float, ...]]) -> dict[str, tuple[float, ...]]:
    if len(constants) == 1:
        place.wrong("a centre goes with a scale")
    if constants and min(constants["scale"]) <= 0:
        place.wrong("the scale must be above zero")
    return constants
