"""Reading a schema's JSON document: fields, texts, numbers, the label. Every refusal says where and why."""

from __future__ import annotations

import math
import operator
import re
from typing import Any, NoReturn

from protocol.data.identifiers import reason_against_name
from protocol.errors import DataError

_COMPARISONS = {">": operator.gt, ">=": operator.ge, "<": operator.lt, "<=": operator.le, "==": operator.eq}
_POSITIVE = re.compile(r"(>=|<=|==|>|<) (-?\d+(?:\.\d+)?)")


def fields(document: Any, path: str, *names: str) -> dict[str, Any]:
    """The object at ``path``. Raises `DataError` unless it has these fields and no other."""
    if not isinstance(document, dict):
        wrong(path, "must be an object")
    if missing := [name for name in names if name not in document]:
        wrong(path, f"lacks {missing[0]!r}")
    if unknown := sorted(set(document) - set(names)):
        wrong(path, f"has an unknown field {unknown[0]!r}")
    return document


def of_kind(document: Any, kind: str, *names: str) -> dict[str, Any]:
    """A schema's document. Raises `DataError` unless it is of this kind, and has these fields and no other."""
    if isinstance(document, dict) and document.get("kind", kind) != kind:
        raise DataError(
            f"Schema: kind is {document['kind']!r}, not {kind!r}.",
            'A table\'s is "tabular", that of pictures "image".',
        )
    return fields(document, "schema", "kind", *names)


def text(value: Any, path: str) -> str:
    """A name. Raises `DataError` unless it is 1 to 128 printable characters."""
    if (
        not isinstance(value, str)
        or not 0 < len(value) <= 128
        or not value.isprintable()
        or value != value.strip()
    ):
        wrong(path, "must be a text of 1 to 128 printable characters")
    return value


def numbers(values: Any, path: str) -> tuple[float, ...]:
    """A list of finite numbers. Raises `DataError`."""
    good = isinstance(values, list) and all(
        isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
        for value in values
    )
    if not good:
        wrong(path, "must hold finite numbers only")
    return tuple(values)


def whole(value: Any, path: str, least: int, most: int) -> int:
    """A whole number from ``least`` to ``most``. Raises `DataError`."""
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        wrong(path, f"must be a whole number from {least} to {most}")
    return value


def label(document: Any) -> tuple[str, str]:
    """The label's name, and the comparison of its value that is true of positives. Raises `DataError`."""
    read = fields(document, "label", "name", "positive")
    if not isinstance(read["positive"], str) or not _POSITIVE.fullmatch(read["positive"]):
        wrong("label.positive", 'must be a comparison with a number, such as "> 0"')
    return text(read["name"], "label.name"), read["positive"]


def holds(comparison: str, value: float) -> bool:
    """Whether a comparison that `label` gave is true of a value."""
    sign, bound = comparison.split(" ")
    return bool(_COMPARISONS[sign](value, float(bound)))


def refuse_identifiers(names: list[str]) -> None:
    """Raises `DataError` when a column's name looks like that of an identifier."""
    for name in names:
        if reason := reason_against_name(name):
            wrong(f"column {name!r}", f"{reason}, and identifiers have no place in a schema")


def wrong(path: str, reason: str) -> NoReturn:
    """Raises `DataError` with the place and the reason."""
    raise DataError(f"Schema, {path}: {reason}.")
