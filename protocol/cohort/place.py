"""A place in a JSON document that is being read: what is there, or a refusal that names the place."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from protocol.errors import DataError

_MAX_TEXT = 1_024


@dataclass(frozen=True)
class Place:
    """A value and where it stands, as in ``features.2.codes.0``. Every method raises `DataError` that says it."""

    value: Any
    path: str = ""

    def wrong(self, reason: str) -> NoReturn:
        """Raises `DataError` with the place and the reason."""
        raise DataError(f"Mapping, {self.path}: {reason}." if self.path else f"Mapping: {reason}.")

    def fields(self, required: str, optional: str = "") -> dict[str, Place]:
        """An object that has the required fields, perhaps the optional ones, and no other."""
        if not isinstance(self.value, dict):
            self.wrong("must be an object")
        names, allowed = required.split(), {*required.split(), *optional.split()}
        if missing := [name for name in names if name not in self.value]:
            self.wrong(f"lacks {missing[0]!r}")
        if unknown := sorted(str(name) for name in self.value if name not in allowed):
            self.wrong(f"has an unknown field {unknown[0][:64]!r}")
        return {name: self._inside(name, each) for name, each in self.value.items()}

    def items(self, least: int = 1, most: int = 1_024) -> list[Place]:
        """A list of so many."""
        if not isinstance(self.value, list) or not least <= len(self.value) <= most:
            self.wrong(f"must be a list of {least} to {most}")
        return [self._inside(index, each) for index, each in enumerate(self.value)]

    def text(self, most: int = 128) -> str:
        """Printable characters without a blank at either end."""
        value = self.value
        good = isinstance(value, str) and 0 < len(value) <= most and value.isprintable()
        if not good or value != value.strip():
            self.wrong(f"must be a text of 1 to {most} printable characters")
        return value

    def choice(self, *options: str) -> str:
        """One of these texts."""
        if self.value not in options or not isinstance(self.value, str):
            self.wrong(f"must be one of {', '.join(options)}")
        return self.value

    def truth(self) -> bool:
        """True or false."""
        if not isinstance(self.value, bool):
            self.wrong("must be true or false")
        return self.value

    def number(self, *, above: float = -math.inf) -> float:
        """A finite number."""
        value = self.value
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            self.wrong("must be a finite number")
        if value <= above or abs(value) > 2**53:
            self.wrong(f"must be above {above:g}" if value <= above else "is beyond 2^53")
        return value

    def whole(self, least: int, most: int) -> int:
        """A whole number between two others."""
        if isinstance(self.value, bool) or not isinstance(self.value, int) or not least <= self.value <= most:
            self.wrong(f"must be a whole number from {least} to {most}")
        return self.value

    def span(self) -> tuple[float, float]:
        """Two numbers, the second one larger."""
        low, high = (each.number() for each in self.items(2, 2))
        if low >= high:
            self.wrong("must rise")
        return low, high

    def once(self, names: Sequence[object]) -> None:
        """Refuses a name that comes twice."""
        if len(set(names)) != len(names):
            self.wrong("two have the same name")

    def _inside(self, name: str | int, value: Any) -> Place:
        return Place(value, f"{self.path}.{str(name)[:_MAX_TEXT]}" if self.path else str(name))
