"""Canonical JSON (RFC 8785): one document, one sequence of bytes, one digest."""

from __future__ import annotations

import json
from typing import Any, NoReturn

import rfc8785

from protocol.errors import InvalidInput

#: A document is one IPFS block at most, so that its CID is the hash of one block.
MAX_DOCUMENT_BYTES = 262_144

_HINT = "Write the document with `protocol.content.canonical.dumps`, or any RFC 8785 tool."


def dumps(document: Any) -> bytes:
    """The canonical bytes of a JSON value.

    Raises `InvalidInput` for what JSON cannot hold (NaN, infinity, integers beyond 2^53, lone surrogates, other types)
    and for documents over `MAX_DOCUMENT_BYTES`.
    """
    try:
        data = rfc8785.dumps(document)
    except rfc8785.CanonicalizationError as error:
        raise InvalidInput(
            f"This value has no canonical JSON: {error}.", "Use finite numbers and plain text."
        ) from error
    except UnicodeEncodeError as error:
        raise InvalidInput("This value has no canonical JSON: half a surrogate pair in a text.") from error
    except RecursionError as error:
        raise InvalidInput("This value has no canonical JSON: it is nested too deeply.") from error
    if len(data) > MAX_DOCUMENT_BYTES:
        raise InvalidInput(
            f"The document has {len(data):,} bytes; {MAX_DOCUMENT_BYTES:,} are allowed.",
            "Documents name large content by its digest instead of holding it.",
        )
    return data


def loads(data: bytes) -> Any:
    """The JSON value of canonical bytes.

    Raises `InvalidInput` naming the reason when the bytes are too many, not UTF-8, not JSON, repeat a key, hold NaN or
    infinity, or are JSON written otherwise than RFC 8785 writes it.
    """
    if len(data) > MAX_DOCUMENT_BYTES:
        raise InvalidInput(f"The document has {len(data):,} bytes; {MAX_DOCUMENT_BYTES:,} are allowed.")
    try:
        document = json.loads(
            data.decode("utf-8"), object_pairs_hook=_unique, parse_int=_number, parse_constant=_no_constant
        )
    except UnicodeDecodeError as error:
        raise InvalidInput(f"The document is not UTF-8 (byte {error.start}).", _HINT) from error
    except json.JSONDecodeError as error:
        raise InvalidInput(
            f"The document is not JSON: {error.msg} (character {error.pos}).", _HINT
        ) from error
    except RecursionError as error:
        raise InvalidInput("The document is nested too deeply.") from error
    if dumps(document) != data:
        raise InvalidInput(
            "The document is not canonical JSON: spaces, the order of keys, or how a number or text is written.",
            _HINT,
        )
    return document


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) != len(pairs):
        seen: set[str] = set()
        repeated = next(key for key, _ in pairs if key in seen or seen.add(key))
        raise InvalidInput(f"The document repeats the key {repeated!r}.", _HINT)
    return document


def _number(text: str) -> int | float:
    # To RFC 8785 every number is a double; integers are those that a double holds without doubt.
    value = float(text)
    return int(text) if abs(value) < 2**53 else value


def _no_constant(name: str) -> NoReturn:
    raise InvalidInput(f"The document holds {name}, which is not a JSON number.")
