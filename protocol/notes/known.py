"""Names and numbers of the patient, known from elsewhere: found however they are written.

Compared without case, accents and separators: "GARCÍA-MÁRQUEZ" is found as "garcia marquez", "1 85 05 78" as
"18505 78".
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from protocol.notes.folding import plain
from protocol.notes.spans import KNOWN, Span
from protocol.notes.words import PARTICLES

#: Shorter words and numbers would be found in every line.
SHORTEST_WORD, SHORTEST_NUMBER = 2, 3
_LONGEST = 200
_NUMBERED_NAME = re.compile(r"(?<!\w)([A-ZÀ-Þ][a-zß-ÿ]{2,40})\d{1,4}(?!\w)")
_PART = re.compile(r"[^\W\d_]+|\d+")


def known(bare: str, values: Iterable[str]) -> Iterator[Span]:
    """Every place of a text, given without case and accents, where one of the values stands.

    Of a name each word counts; of what has digits the whole of it, with or without separators, and each number of four
    digits and more. Words of fewer than four letters count with their neighbours alone.
    """
    wanted = {pattern for value in values for pattern in _patterns(value)}
    if not wanted:
        return
    # Longer ones first: an alternation takes the first that fits.
    ordered = sorted(wanted, key=lambda each: (-len(each), each))
    pattern = re.compile(rf"(?<![^\W_])(?:{'|'.join(ordered)})(?![^\W_])")
    for found in pattern.finditer(bare):
        yield Span(found.start(), found.end(), KNOWN)


def _patterns(value: str) -> Iterator[str]:
    parts = _PART.findall(plain(str(value))[:_LONGEST])
    if not parts:
        return
    if any(part.isdigit() for part in parts):
        letters = list("".join(parts))
        if len(letters) >= SHORTEST_NUMBER:
            yield r"[\W_]{0,3}".join(map(re.escape, letters))
        yield from (part for part in parts if part.isdigit() and len(part) >= 4)
        # "Aaron697": the name without its number.
        yield from (re.escape(plain(found[1])) for found in _NUMBERED_NAME.finditer(str(value)[:_LONGEST]))
        return
    if len("".join(parts)) >= SHORTEST_WORD + 1:
        yield r"[\W_]{0,3}".join(map(re.escape, parts))
    if len(parts) == 1 and len(parts[0]) >= SHORTEST_WORD:
        yield re.escape(parts[0])
    yield from (re.escape(part) for part in parts if len(part) >= SHORTEST_WORD + 1 and part not in PARTICLES)
