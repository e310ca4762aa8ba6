"""FHIR JSON files, a resource at a time: NDJSON by lines, Bundles by entries. What cannot be read is said by number.

What a file is, its content tells, not its name. A line, an entry, and a Bundle that is read whole have 64 MiB at most;
a larger Bundle is read as a stream, so that memory does not grow with the file.
"""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from protocol.errors import DataError
from protocol.fhir import streaming, strict
from protocol.fhir.limited import Limited, TooLarge
from protocol.fhir.strict import Unreadable
from protocol.fhir.versions import reason_against_shape, reason_against_type

MAX_BYTES = 64 * 1024 * 1024
#: Kinds of Bundle that carry resources as they are now; a history, message or response does not.
BUNDLES = frozenset({"transaction", "batch", "collection", "searchset", "document"})
_BOM = b"\xef\xbb\xbf"
_GZIP = b"\x1f\x8b"
_SUFFIXES = (".json", ".ndjson", ".jsonl", ".json.gz", ".ndjson.gz", ".jsonl.gz")
#: How far a large file is looked into for what it is.
_HEAD_BYTES = 64 * 1024
_IS_BUNDLE = re.compile(rb'"resourceType"\s*:\s*"Bundle"')
#: A file whose first line is bad is NDJSON if one of the next is a resource.
_LINES_TRIED = 20
#: Packed JSON becomes 10 to 40 times as large when it is unpacked.
_MAX_RATIO = 200
_TOO_LONG = f"a line longer than {MAX_BYTES >> 20} MiB"


@dataclass(frozen=True)
class Refused:
    """What was not taken: of ``file``, line or entry ``number`` from 1 (0: the whole file). ``reason`` quotes nothing;
    the file's name is the hospital's own and may name a patient, so it stays out of logs and evidence."""

    file: str
    number: int
    reason: str


@dataclass(frozen=True)
class Found:
    """A resource of FHIR R4, and the full URL of its entry (empty in NDJSON)."""

    file: str
    number: int
    resource: dict[str, Any]
    full_url: str


class Source:
    """Files with FHIR resources, read anew at each iteration; a folder stands for the files in it, by name."""

    def __init__(self, paths: Sequence[Path]) -> None:
        """Raises DataError for a path that is not there, and where there is nothing to read."""
        self.paths: list[Path] = []
        for path in paths:
            if path.is_dir():
                inside = sorted(each for each in path.iterdir() if each.name.lower().endswith(_SUFFIXES))
                self.paths += [each for each in inside if each.is_file()]
            elif path.is_file():
                self.paths.append(path)
            else:
                raise DataError(f"There is no file {path}.")
        if not self.paths:
            raise DataError(
                "There is nothing to read.", "Name FHIR files, or a folder with .json or .ndjson files."
            )

    def __iter__(self) -> Iterator[Found | Refused]:
        """Raises DataError for a file that cannot be opened."""
        for path in self.paths:
            yield from _read(path)


def _read(path: Path) -> Iterator[Found | Refused]:
    name, number = path.name, 0
    try:
        with _opened(path) as file:
            form, content = _form(file)
        if form == "document":
            yield from _document(name, content)
            return
        with _opened(path) as file:
            for each in _streamed(name, content, file) if form == "stream" else _lines(name, file):
                number = each.number
                yield each
    except TooLarge:
        yield Refused(name, number + 1, "it unpacks to too much, and what follows was not read")
    except (EOFError, zlib.error, gzip.BadGzipFile):
        yield Refused(name, number + 1, "its gzip data are damaged, and what follows was not read")
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}.") from None


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """A file's bytes after its byte order mark, unpacked where they are packed with gzip."""
    with path.open("rb") as file:
        packed = file.read(len(_GZIP)) == _GZIP
        file.seek(0)
        if not packed:
            yield _after_mark(file)
            return
        with gzip.open(file) as inside:
            yield Limited(_after_mark(inside), max(MAX_BYTES, _MAX_RATIO * path.stat().st_size))


def _after_mark(file: Any) -> Any:
    if file.read(len(_BOM)) != _BOM:
        file.seek(0)
    return file


def _form(file: Any) -> tuple[str, bytes]:
    """What a file is, and what of its content was read to tell: a whole ``document``, ``lines``, or a Bundle to
    ``stream``."""
    first = b"\n"
    while first and not first.strip():
        first = file.readline(MAX_BYTES + 1)
    if len(first) <= MAX_BYTES and _is_json(first):
        while following := file.readline(MAX_BYTES):
            if following.strip():
                return "lines", b""
        return "document", first
    content = first + file.read(MAX_BYTES + 1 - len(first))
    if len(content) <= MAX_BYTES:
        return ("lines", b"") if _has_lines(content) and not _is_json(content) else ("document", content)
    if _IS_BUNDLE.search(content, 0, _HEAD_BYTES) and not _has_lines(content):
        return "stream", content[:_HEAD_BYTES]
    return "lines", b""


def _is_json(content: bytes) -> bool:
    try:
        orjson.loads(content)
    except orjson.JSONDecodeError:
        return False
    return True


def _has_lines(content: bytes) -> bool:
    """Whether one of the first lines, and not the last, which may be cut, is a resource by itself."""
    for line in content[: _HEAD_BYTES * _LINES_TRIED].split(b"\n")[:_LINES_TRIED]:
        if b'"resourceType"' in line and _is_json(line):
            value = orjson.loads(line)
            if type(value) is dict and "resourceType" in value:
                return True
    return False


def _lines(name: str, file: Any) -> Iterator[Found | Refused]:
    number = 0
    while line := file.readline(MAX_BYTES + 1):
        number += 1
        if len(line) > MAX_BYTES:
            while line and not line.endswith(b"\n"):
                line = file.readline(MAX_BYTES)
            yield Refused(name, number, _TOO_LONG)
            continue
        line = line.strip()
        if not line:
            continue
        try:
            value, compact, suspect = strict.parse(line)
        except Unreadable as error:
            yield Refused(name, number, str(error))
            continue
        reason = strict.reason_against(value) if suspect else ""
        if not reason and type(value) is dict and value.get("resourceType") == "Bundle":
            reason = "a Bundle, where NDJSON has one resource a line"
        yield _resource(name, number, value, "", compact, reason)


def _document(name: str, content: bytes) -> Iterator[Found | Refused]:
    if not content.strip():
        return
    try:
        value, compact, suspect = strict.parse(content.strip())
    except Unreadable as error:
        yield Refused(name, 0, str(error))
        return
    if type(value) is not dict or value.get("resourceType") != "Bundle":
        reason = strict.reason_against(value) if suspect else ""
        yield _resource(name, 1, value, "", compact, reason)
        return
    if reason := _reason_against_bundle(value):
        yield Refused(name, 0, reason)
        return
    entries = value.get("entry", [])
    if type(entries) is not list:
        yield Refused(name, 0, "its entries are not a list")
        return
    for number, entry in enumerate(entries, start=1):
        yield _entry(name, number, entry, strict.reason_against(entry) if suspect else "")


def _streamed(name: str, head: bytes, file: Any) -> Iterator[Found | Refused]:
    header = streaming.header(head)
    if reason := _reason_against_bundle(header):
        yield Refused(name, 0, reason)
        return
    number = 0
    try:
        for number, (compact, reason) in enumerate(streaming.entries(file, MAX_BYTES), start=1):
            if reason:
                yield Refused(name, number, reason)
                continue
            try:
                entry, _, suspect = strict.parse(compact)
            except Unreadable as error:
                yield Refused(name, number, str(error))
                continue
            yield _entry(name, number, entry, strict.reason_against(entry) if suspect else "")
    except Unreadable as error:
        yield Refused(name, number + 1, str(error))


def _reason_against_bundle(bundle: dict[str, Any]) -> str:
    if type(bundle) is strict.Twice:
        return strict.TWICE
    if bundle.get("resourceType") != "Bundle":
        return "it is not a Bundle, or says so only after its entries"
    kind = bundle.get("type")
    if type(kind) is not str or kind not in BUNDLES:
        return f"it is no Bundle of the kinds {', '.join(sorted(BUNDLES))}"
    return ""


def _entry(name: str, number: int, entry: Any, reason: str) -> Found | Refused:
    if type(entry) is not dict or type(entry.get("resource")) is not dict:
        return Refused(name, number, reason or "an entry without a resource")
    value = entry["resource"]
    if not reason and value.get("resourceType") == "Bundle":
        reason = "a Bundle in a Bundle"
    url = entry.get("fullUrl")
    compact = b"" if reason else orjson.dumps(value)
    return _resource(name, number, value, url if type(url) is str else "", compact, reason)


def _resource(name: str, number: int, value: Any, url: str, compact: bytes, reason: str) -> Found | Refused:
    if not reason and type(value) is not dict:
        reason = "it is not a FHIR resource"
    if not reason and strict.is_deep(value, compact):
        reason = strict.DEEP
    if reason:
        return Refused(name, number, reason)
    kind = value.get("resourceType")
    if reason := reason_against_type(kind) or reason_against_shape(kind, value):
        return Refused(name, number, reason)
    return Found(name, number, value, url)
