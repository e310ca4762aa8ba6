"""Names and numbers of the patient, known from elsewhere: found however they are written.

Compared without case, accents and separators: "GARCÍA-MÁRQUEZ" is found as "garcia marquez", "1 85 05 78" as
"18505 78", "DUPONT" as "D U P O N T".
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import lru_cache

from protocol.notes.folding import plain
from protocol.notes.spans import KNOWN, Span
from protocol.notes.words import PARTICLES

#: Shorter words and numbers would be found in every line.
SHORTEST_WORD, SHORTEST_NUMBER = 2, 3
#: From so many letters on a name is found beside digits, and with its letters apart.
_LONG_WORD = 4
_LONGEST = 200
_WIDEST_GAP = 3
_CACHED = 16_384
_NUMBERED_NAME = re.compile(r"(?<!\w)([A-ZÀ-Þ][a-zß-ÿ]{2,40})\d{1,4}(?!\w)")
_PART = re.compile(r"[^\W\d_]+|\d+")
_TOKEN = re.compile(r"[^\W_]+")
_LETTERS = re.compile(r"[^\W\d_]+")


def known(bare: str, values: Iterable[str]) -> Iterator[Span]:
    """Every place of a text, given without case and accents, where one of the values stands.

    Of a name each word counts; of what has digits the whole of it, with or without separators, and each number of four
    digits and more. Words of fewer than four letters count with their neighbours alone.
    """
    words: set[str] = set()
    wholes: set[str] = set()
    for value in values:
        of_value = _sought(str(value))
        words |= of_value[0]
        wholes |= of_value[1]
    if not words and not wholes:
        return
    tokens = [found.span() for found in _TOKEN.finditer(bare)]
    for start, end in tokens:
        token = bare[start:end]
        if token in words:
            yield Span(start, end, KNOWN)
        elif end - start > _LONG_WORD and not token.isalpha():
            for found in _LETTERS.finditer(bare, start, end):
                if len(found[0]) >= _LONG_WORD and found[0] in words:
                    yield Span(*found.span(), KNOWN)
    yield from _whole(bare, tokens, wholes, words)


def _whole(bare: str, tokens: list[tuple[int, int]], wholes: set[str], words: set[str]) -> Iterator[Span]:
    """Values that begin and end where words do, with little between their letters."""
    row = "".join(bare[start:end] for start, end in tokens)
    #: Of each place in the row where a word begins or ends, which one; and how many wide gaps are before each.
    begins: dict[int, int] = {}
    ends: dict[int, int] = {}
    wide, size = [0], 0
    for number, (start, end) in enumerate(tokens):
        begins[size] = number
        size += end - start
        ends[size] = number
        if number:
            wide.append(wide[-1] + (start - tokens[number - 1][1] > _WIDEST_GAP))
    for values, spelled in ((wholes, False), ({each for each in words if len(each) >= _LONG_WORD}, True)):
        if spelled:
            # Only where letters stand alone can a name be spelled.
            values = values if any(end - start == 1 for start, end in tokens) else set()
        for value in values:
            at = row.find(value)
            while at >= 0:
                first, last = begins.get(at), ends.get(at + len(value))
                if (
                    first is not None
                    and last is not None
                    and wide[first] == wide[last]
                    and (not spelled or last - first + 1 == len(value))
                ):
                    yield Span(tokens[first][0], tokens[last][1], KNOWN)
                    at = row.find(value, at + len(value))
                else:
                    at = row.find(value, at + 1)


@lru_cache(maxsize=_CACHED)
def _sought(value: str) -> tuple[frozenset[str], frozenset[str]]:
    """The words of a value that count alone, and what counts as a whole, in one piece."""
    parts = _PART.findall(plain(value)[:_LONGEST])
    whole = "".join(parts)
    if any(part.isdigit() for part in parts):
        words = {part for part in parts if part.isdigit() and len(part) >= 4}
        # "Aaron697": the name without its number.
        words.update(plain(found[1]) for found in _NUMBERED_NAME.finditer(value[:_LONGEST]))
        return frozenset(words), frozenset([whole] if len(whole) >= SHORTEST_NUMBER else ())
    words = {part for part in parts if len(part) >= SHORTEST_WORD + 1 and part not in PARTICLES}
    if len(parts) == 1 and len(whole) >= SHORTEST_WORD:
        words.add(whole)
    return frozenset(words), frozenset([whole] if len(parts) > 1 and len(whole) > SHORTEST_WORD else ())
