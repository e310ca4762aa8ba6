"""Bundles too large to be read whole: an entry at a time, in memory for one entry (ijson, on yajl)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from io import BytesIO
from typing import Any, BinaryIO

import ijson
import orjson

from protocol.fhir.limited import Limited, TooLarge
from protocol.fhir.strict import DEEP, NOT_JSON, TWICE, Unreadable

_BUFFER = 1 << 16
_END = object()
_TOO_LARGE = "an entry is too large, and what follows was not read"


class _Object(dict):
    """An object of a stream, and whether one of its members was named twice."""

    twice = False
    #: Whether any object was so: else nobody has to look. One for all streams: once is enough to look.
    any_twice = False

    def __setitem__(self, name: str, value: Any) -> None:
        if name in self:
            self.twice = _Object.any_twice = True
        super().__setitem__(name, value)


def _names_twice(entry: _Object) -> bool:
    level: list[Any] = [entry]
    while level:
        below: list[Any] = []
        for each in level:
            if type(each) is _Object:
                if each.twice:
                    return True
                below += each.values()
            elif type(each) is list:
                below += each
        level = below
    return False


def _compact(entry: _Object) -> bytes:
    try:
        return orjson.dumps(entry)
    except TypeError:
        # Deep, or with integers beyond 64 bits: who reads it next tells.
        return json.dumps(entry, ensure_ascii=False, separators=(",", ":")).encode("utf-8")


def header(head: bytes) -> dict[str, str]:
    """The texts that a Bundle's first bytes give before its entries: resourceType, type."""
    found: dict[str, str] = {}
    try:
        for prefix, event, value in ijson.parse(BytesIO(head)):
            if prefix == "entry":
                break
            if event == "string" and "." not in prefix:
                found.setdefault(prefix, value)
    except (ijson.JSONError, UnicodeDecodeError):
        pass
    return found


def entries(file: BinaryIO, most: int) -> Iterator[tuple[bytes, str]]:
    """Each entry in compact JSON, with the reason not to take it, or none. `most`: bytes of one entry.

    Raises `Unreadable` where the rest cannot be read.
    """
    limited = Limited(file, most + _BUFFER)
    items = ijson.items(limited, "entry.item", buf_size=_BUFFER, use_float=True, map_type=_Object)
    while True:
        try:
            entry = next(items, _END)
        except TooLarge:
            raise Unreadable(_TOO_LARGE) from None
        except (ijson.JSONError, UnicodeDecodeError, OverflowError, ValueError, RecursionError):
            raise Unreadable(f"{NOT_JSON}, and what follows was not read") from None
        if entry is _END:
            return
        limited.again()
        if type(entry) is not _Object:
            yield b"", "it is not an entry of a Bundle"
            continue
        try:
            compact = _compact(entry)
        except RecursionError:
            yield b"", DEEP
            continue
        except ValueError:
            yield b"", NOT_JSON
            continue
        yield compact, TWICE if _Object.any_twice and _names_twice(entry) else ""
