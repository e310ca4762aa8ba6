"""Parts of a text that go, and what they are."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

NAME, PLACE, DATE, AGE, ADDRESS = "NAME", "PLACE", "DATE", "AGE", "ADDRESS"
PHONE, EMAIL, URL, IP = "PHONE", "EMAIL", "URL", "IP"
NIR, RPPS, ADELI, FINESS, ID = "NIR", "RPPS", "ADELI", "FINESS", "ID"
PASSPORT, IBAN, SSN, NHS, KNOWN = "PASSPORT", "IBAN", "SSN", "NHS", "KNOWN"

#: Where two overlap, both go, under the name of the first of these.
ORDER = (
    KNOWN, EMAIL, URL, IBAN, NIR, SSN, NHS, RPPS, FINESS, ADELI, PASSPORT, IP, PHONE, ADDRESS, DATE, ID, AGE, NAME,
    PLACE,
)  # fmt: skip
_WIDEST_GAP = 3
_RANK = {kind: rank for rank, kind in enumerate(ORDER)}
#: What stands in place of a part. A text that was cleaned once is not cleaned again there.
MARK = re.compile(rf"\[(?:{'|'.join(ORDER)})\]")


@dataclass(frozen=True, order=True)
class Span:
    """``text[start:end]`` is of this kind."""

    start: int
    end: int
    kind: str


def joined(spans: Iterable[Span], text: str) -> list[Span]:
    """In order and apart from each other: overlapping ones become one, and so do parts of one name or address."""
    found: list[Span] = []
    for span in sorted(spans):
        if found and span.start < found[-1].end:
            last = found[-1]
            kind = min(last.kind, span.kind, key=_RANK.__getitem__)
            found[-1] = Span(last.start, max(last.end, span.end), kind)
        elif found and span.kind == found[-1].kind and _is_one(text, found[-1], span):
            found[-1] = Span(found[-1].start, span.end, span.kind)
        else:
            found.append(span)
    return found


def _is_one(text: str, first: Span, second: Span) -> bool:
    """Words of one name, lines of one address; of other kinds, what touches."""
    if first.end == second.start:
        return True
    if first.kind not in (NAME, ADDRESS) or second.start - first.end > _WIDEST_GAP:
        return False
    return not text[first.end : second.start].strip(" -" if first.kind == NAME else " -,\n")


def every(pattern: re.Pattern[str], text: str) -> Iterator[re.Match[str]]:
    """Matches that may overlap: the next is sought one character after the last one began."""
    at = 0
    while found := pattern.search(text, at):
        yield found
        at = found.start() + 1


def accepted(
    pattern: re.Pattern[str], text: str, test: Callable[[re.Match[str]], bool]
) -> Iterator[re.Match[str]]:
    """Matches that pass a test; the next is sought behind one that did, and right after the beginning of one that
    did not. Linear as long as what the pattern matches has a greatest length."""
    at = 0
    while found := pattern.search(text, at):
        if test(found):
            yield found
            at = max(found.end(), found.start() + 1)
        else:
            at = found.start() + 1
