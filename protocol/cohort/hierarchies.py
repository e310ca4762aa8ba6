"""How a quasi-identifier is generalised, level by level, without leaving the schema.

Level 0 is the feature as the mapping makes it. A band is written as its middle, a merged code as one of the schema's
levels: every hospital has the same columns, however far its own patients make it generalise.

What a value loses is its NCP (normalised certainty penalty; Xu et al., KDD 2006): width of its band over the width of
the domain; levels that it may stand for over all levels, or 0 where it stands for itself. 0 is exact, 1 says nothing.
A quasi-identifier that the model needs more than others has a ``weight`` above theirs, as there.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, Self

import numpy as np

from protocol.cohort.features import Age, Coded, Feature, Occurrence, Value
from protocol.cohort.place import Place

ALL = "all"
MAX_STEPS = 16


class Hierarchy(Protocol):
    """Generalises one column."""

    @property
    def name(self) -> str: ...

    @property
    def weight(self) -> float:
        """How much what it loses counts beside the others."""

    @property
    def height(self) -> int:
        """The highest level; from 0."""

    def at(self, values: np.ndarray, level: int) -> tuple[np.ndarray, np.ndarray]:
        """What stands for values float64[n], and the NCP of each, float64[n]."""

    def words(self, level: int) -> str:
        """A level for people."""


@dataclass(frozen=True)
class Bands:
    """Numbers in bands that begin at ``low``; ``widths`` by level, 0 where they stay as they are, infinity for all."""

    name: str
    low: float
    high: float
    widths: tuple[float, ...]
    weight: float = 1.0

    @classmethod
    def parse(cls, place: Place, feature: Age | Value | Occurrence) -> Self:
        """``{"name": …, "bands": [10, 20, "all"]}``. Each width is a multiple of the one before, so that every band
        lies in one of the next level. Raises `DataError`."""
        read = place.fields("name bands", "weight")
        given = read["bands"]
        base = float(feature.years) if isinstance(feature, Age) else 0.0
        if isinstance(feature, Occurrence):
            low, high = 0.0, float(feature.most)
        elif isinstance(feature, Age):
            low, high = float(feature.low), float(feature.high)
        else:
            low, high = float(feature.quantities.low), float(feature.quantities.high)
        widths = [base]
        for each in given.items(1, MAX_STEPS):
            if widths[-1] == math.inf:
                each.wrong(f"nothing is more general than {ALL!r}")
            width = math.inf if each.value == ALL else float(each.number(above=widths[-1]))
            ratio = width / widths[-1] if width < math.inf and widths[-1] else 1.0
            if abs(ratio - round(ratio)) > 1e-9:
                each.wrong("must be a multiple of the width before")
            if high - low <= width < math.inf:
                each.wrong(f"is the whole range: write {ALL!r}")
            widths.append(width)
        return cls(feature.name, low, high, tuple(widths), _weight(read))

    @property
    def height(self) -> int:
        return len(self.widths) - 1

    def at(self, values: np.ndarray, level: int) -> tuple[np.ndarray, np.ndarray]:
        width, span = self.widths[level], self.high - self.low
        if not width:
            return values.copy(), np.zeros(len(values))
        if width == math.inf:
            return np.full(len(values), (self.low + self.high) / 2), np.ones(len(values))
        # Bands of the first width, then so many of them together: floors of two quotients would not always nest.
        first = next(filter(None, self.widths))
        last = math.ceil(span / first) - 1
        number = np.clip(np.floor((values - self.low) / first), 0, last) // round(width / first)
        start = self.low + number * width
        end = np.minimum(start + width, self.high)
        return (start + end) / 2, (end - start) / span

    def words(self, level: int) -> str:
        width = self.widths[level]
        return "as it is" if not width else "all alike" if width == math.inf else f"bands of {width:g}"


@dataclass(frozen=True)
class Merges:
    """Levels of a code, merged step by step: ``maps[level]`` takes each level of the schema to what stands for it."""

    name: str
    maps: tuple[Mapping[float, float], ...]
    names: Mapping[float, str]
    weight: float = 1.0

    @classmethod
    def parse(cls, place: Place, feature: Coded) -> Self:
        """``{"name": …, "steps": [{"former": "ever", "current": "ever"}, {"*": "not stated"}]}``: names of levels, and
        what stands for each; ``*`` is every level that the step does not name, without it those stay. Raises
        `DataError`."""
        read = place.fields("name steps", "weight")
        given = read["steps"]
        numbers = dict(zip(feature.names, feature.plan.levels, strict=True))
        maps: list[dict[float, float]] = [{level: level for level in numbers.values()}]
        for each in given.items(1, MAX_STEPS):
            if not isinstance(each.value, dict) or not each.value:
                each.wrong("must be an object of levels")
            step = _step(each, numbers)
            following = {
                level: step.get(stands, step.get(None, stands)) for level, stands in maps[-1].items()
            }
            if len(set(following.values())) >= len(set(maps[-1].values())):
                each.wrong("merges no levels")
            maps.append(following)
        return cls(
            feature.name, tuple(maps), {number: name for name, number in numbers.items()}, _weight(read)
        )

    @property
    def height(self) -> int:
        return len(self.maps) - 1

    def at(self, values: np.ndarray, level: int) -> tuple[np.ndarray, np.ndarray]:
        stands = self.maps[level]
        domain = np.array(sorted(stands))
        made = np.array([stands[each] for each in domain])
        size = {each: int((made == each).sum()) for each in made}
        loss = np.array([size[each] / len(domain) if size[each] > 1 else 0.0 for each in made])
        places = np.searchsorted(domain, values)
        return made[places], loss[places]

    def words(self, level: int) -> str:
        merged: dict[float, list[str]] = {}
        for each, stands in self.maps[level].items():
            merged.setdefault(stands, []).append(self.names[each])
        changed = [f"{', '.join(each)} → {self.names[to]}" for to, each in merged.items() if len(each) > 1]
        return "; ".join(changed) or "as it is"


def _weight(read: Mapping[str, Place]) -> float:
    return float(read["weight"].number(above=0)) if "weight" in read else 1.0


def _step(place: Place, numbers: Mapping[str, float]) -> dict[float | None, float]:
    """What stands for each level that a step names; under None, for every other one."""
    read = {name: Place(to, f"{place.path}.{name[:64]}") for name, to in place.value.items()}
    for name, to in read.items():
        if name != "*" and name not in numbers:
            to.wrong("is no level of the feature")
    return {None if name == "*" else numbers[name]: numbers[to.choice(*numbers)] for name, to in read.items()}


def parse_hierarchy(place: Place, features: Mapping[str, Feature]) -> Hierarchy:
    """The hierarchy of a quasi-identifier, which is one of the features. Raises `DataError`."""
    read = place.fields("name", "bands steps weight")
    feature = features.get(name := read["name"].text())
    if feature is None:
        read["name"].wrong("is no feature of this mapping")
    if isinstance(feature, Coded):
        return Merges.parse(place, feature)
    if feature.missing is not None and feature.missing.indicator is not None:
        read["name"].wrong(f"has an indicator, which would tell {name!r} apart")
    return Bands.parse(place, feature)
