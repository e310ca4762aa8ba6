"""JSON without its ambiguities: what two readers could read in two ways is refused.

orjson reads UTF-8 alone, no NaN, no infinity, and floats as the nearest double: of a decimal's digits the first 15 are
kept. It takes the last of two members of one name; here they are found, and so are NUL characters and deep nesting.
"""

from __future__ import annotations

import json
from typing import Any

import orjson

MAX_DEPTH = 64
NOT_UTF8, NUL, TWICE, DEEP, NOT_JSON = (
    "it is not UTF-8",
    "it holds a NUL character",
    "an object names a member twice",
    f"it is nested deeper than {MAX_DEPTH}",
    "it is not JSON",
)
_LONGEST_INTEGER = 20
#: What stands before a colon when the plain count of `":` would not count members.
_BEFORE_COLON = (b" :", b"\t:", b"\r:", b"\n:", b'\\":')


class Unreadable(Exception):
    """Not JSON that may be read; the message is the reason, and quotes nothing."""


class Twice(dict):
    """An object that names a member twice."""


def parse(content: bytes) -> tuple[Any, bytes, bool]:
    """The value of a document, its compact form, and whether `reason_against` has to look at its parts, beside what
    `is_deep` tells. Objects that name a member twice come as `Twice`. Raises `Unreadable`.
    """
    try:
        value = orjson.loads(content)
    except orjson.JSONDecodeError:
        raise Unreadable(_reason(content)) from None
    try:
        compact = orjson.dumps(value)
    except TypeError:
        # It writes 254 levels, and reads 1,024: `reason_against` tells.
        compact = b""
    # The same bytes: no member was lost. Else their number tells, where it can be counted.
    sure = bool(compact) and (compact == content or _same_count(content, compact))
    if not sure:
        try:
            value = json.loads(content, object_pairs_hook=_paired, parse_int=_integer)
        except RecursionError:
            raise Unreadable(DEEP) from None
    return value, compact, not sure or b"\\u0000" in compact


def is_deep(value: Any, compact: bytes) -> bool:
    """Whether a value, given in compact form too, is nested deeper than `MAX_DEPTH`."""
    if compact.count(b"{") + compact.count(b"[") <= MAX_DEPTH:
        return False
    level = [value]
    for _ in range(MAX_DEPTH):
        if not level:
            return False
        level = [
            member
            for each in level
            for member in (each.values() if type(each) is dict else each)
            if type(member) is dict or type(member) is list
        ]
    return bool(level)


def reason_against(value: Any) -> str:
    """Why a value is not read: a member named twice, NUL characters, deep nesting; or nothing."""
    if not isinstance(value, dict | list):
        return NUL if type(value) is str and "\0" in value else ""
    level: list[Any] = [value]
    deep = 0
    while level:
        deep += 1
        if deep > MAX_DEPTH:
            return DEEP
        below: list[Any] = []
        for each in level:
            if type(each) is list:
                inside = each
            else:
                if type(each) is Twice:
                    return TWICE
                if "\0" in "".join(each):
                    return NUL
                inside = each.values()
            for member in inside:
                kind = type(member)
                if kind is str:
                    if "\0" in member:
                        return NUL
                elif kind is dict or kind is list or kind is Twice:
                    below.append(member)
        level = below
    return ""


def _same_count(content: bytes, compact: bytes) -> bool:
    """Whether document and compact form surely have the same number of members."""
    if any(mark in content for mark in _BEFORE_COLON) or b'\\":' in compact:
        return False
    return content.count(b'":') == compact.count(b'":')


def _integer(digits: str) -> int | float:
    """As orjson reads them: beyond 64 bits as the nearest double."""
    number = int(digits) if len(digits) <= _LONGEST_INTEGER else None
    return number if number is not None and -(2**63) <= number < 2**64 else float(digits)


def _paired(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    return members if len(members) == len(pairs) else Twice(members)


def _reason(content: bytes) -> str:
    try:
        content.decode("utf-8")
    except UnicodeDecodeError:
        return NOT_UTF8
    if b"\0" in content:
        return NUL
    try:
        json.loads(content)
    except RecursionError:
        return DEEP
    except ValueError:
        pass
    return NOT_JSON
