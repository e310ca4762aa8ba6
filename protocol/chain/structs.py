"""Solidity structs as frozen dataclasses: the same fields in the same order, in snake_case."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from enum import IntEnum
from functools import cache
from typing import Any, Self, get_type_hints


def camel(name: str) -> str:
    """``train_records`` as Solidity spells it: ``trainRecords``."""
    head, *rest = name.split("_")
    return head + "".join(part.capitalize() for part in rest)


@dataclass(frozen=True)
class Struct:
    """Base of every mirrored struct."""

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Self:
        """From values by Solidity's names, as calls and events return them; structs and enums inside are built too."""
        types = _types(cls)
        return cls(**{each.name: _build(types[each.name], values[camel(each.name)]) for each in fields(cls)})


def _build(kind: Any, value: Any) -> Any:
    if isinstance(kind, type) and issubclass(kind, Struct):
        return kind.of(value)
    if isinstance(kind, type) and issubclass(kind, IntEnum):
        return kind(value)
    return value


@cache
def _types(cls: type) -> dict[str, Any]:
    return get_type_hints(cls)
