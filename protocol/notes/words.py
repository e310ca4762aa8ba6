"""A text as words: where each stands in its sentence and line, and what it can be."""

from __future__ import annotations

import re
from dataclasses import dataclass

from protocol.notes.spans import MARK
from protocol.notes.vocabulary import Sense, Vocabulary, listed

PARTICLES = listed("particles")
_WORD = re.compile(r"[^\W\d_]+(?:['-][^\W\d_]+){0,6}")
_ELIDED = frozenset(
    ("l", "d", "j", "m", "t", "s", "c", "n", "qu", "jusqu", "lorsqu", "puisqu", "quelqu", "presqu")
)
#: An end of a sentence, or a sign after which a capital says nothing.
_NEW = re.compile(r"(?:^|[.!?:;\n\t•●▪■◦*>|=/\[\]{}\"«»“”]|(?:^|\s)-{1,3}|\d[.)]|\(|…)[ \t]*$")
#: After their point no sentence begins.
_SHORT = frozenset(
    (
        "dr",
        "drs",
        "mr",
        "mrs",
        "ms",
        "mme",
        "mmes",
        "mlle",
        "pr",
        "prof",
        "st",
        "ste",
        "vs",
        "mm",
        "sr",
        "jr",
        "cf",
        "no",
    )
)
_ABBREVIATED = re.compile(r"\.[ \t]{0,3}")
#: Names of made patients carry numbers: "Aaron697".
_NUMBERED = re.compile(r"\d{1,4}(?!\w)")
_HEADED, _SHOUTED = 0.75, 0.7
_MOST_IN_HEADING = 12


@dataclass(slots=True)
class Word:
    """Stands from ``start`` to ``end``; ``text`` is it without a number at its end, ``bare`` also without case and
    accents."""

    start: int
    end: int
    text: str
    bare: str
    sense: Sense
    #: First of its sentence, line or clause: its capital says nothing.
    first: bool
    #: Its line is a heading, or in capitals: capitals say nothing there.
    headed: bool
    #: Between letters or digits that are no word ("T12"), or where something was replaced.
    glued: bool
    line: int

    @property
    def capital(self) -> bool:
        """Whether it begins with a capital."""
        return self.text[0].isupper()

    @property
    def capitals(self) -> bool:
        """Whether it is in capitals, and more than an initial."""
        return len(self.text) > 1 and self.text.isupper()

    @property
    def initial(self) -> bool:
        """Whether it is one capital letter."""
        return len(self.text) == 1 and self.capital


def words(text: str, bare: str, vocabulary: Vocabulary) -> list[Word]:
    """The words of a text, in order."""
    masked = [found.span() for found in MARK.finditer(text)]
    found: list[Word] = []
    at_mark, line, line_end = 0, 0, _line_end(text, 0)
    first_of_line = 0
    for match in _WORD.finditer(text):
        start, end = match.span()
        while start >= line_end:
            _settle(found, first_of_line)
            first_of_line = len(found)
            line, line_end = line + 1, _line_end(text, line_end)
        while at_mark < len(masked) and masked[at_mark][1] <= start:
            at_mark += 1
        if at_mark < len(masked) and masked[at_mark][0] < start:
            continue
        for begin, stop in _parts(bare, start, end):
            low = bare[begin:stop]
            first = _is_first(text, begin) and not (
                found and _ABBREVIATED.fullmatch(text, found[-1].end, begin) and _is_short_for(found[-1])
            )
            numbered = (
                _NUMBERED.match(text, stop) if text[begin:stop].istitle() and stop - begin > 2 else None
            )
            found.append(
                Word(
                    begin,
                    numbered.end() if numbered else stop,
                    text[begin:stop],
                    low,
                    _sense(low, text[begin:stop], vocabulary),
                    first,
                    False,
                    _is_glued(text, begin, numbered.end() if numbered else stop),
                    line,
                )
            )
    _settle(found, first_of_line)
    return found


def _is_glued(text: str, begin: int, stop: int) -> bool:
    """Whether digits or signs beside it say that it is a part of something else."""
    before = text[max(0, begin - 2) : begin]
    if before[-1:].isdigit() or before[-1:] in ("_", "%") or text[stop : stop + 1].isdigit():
        return True
    if before[-1:] == "/" and stop - begin < 3:
        return True
    # "CHA2DS2-VASc"; a unit, "1.5 L.".
    return bool(re.search(r"\d-$", before)) or (stop - begin == 1 and bool(re.search(r"\d $", before)))


def _is_short_for(word: Word) -> bool:
    return word.initial or word.bare in _SHORT


def _line_end(text: str, at: int) -> int:
    end = text.find("\n", at)
    return len(text) + 1 if end < 0 else end + 1


def _parts(bare: str, start: int, end: int) -> list[tuple[int, int]]:
    """A word without what was elided before it and the English genitive behind it; long runs are no words."""
    low = bare[start:end]
    while (cut := low.find("'")) > 0 and low[:cut] in _ELIDED:
        start += cut + 1
        low = low[cut + 1 :]
    if low.endswith("'s"):
        end -= 2
    return [(start, end)] if end > start else []


def _sense(low: str, text: str, vocabulary: Vocabulary) -> Sense:
    """Of a word with hyphens: by its parts, unless a list has the whole of it."""
    if len(low) > 60:
        return Sense.WORD
    whole = vocabulary.sense(low)
    if "-" not in low or whole is Sense.TERM:
        if "'" in low and whole is Sense.UNKNOWN:
            return max(whole, vocabulary.sense(low.replace("'", "")))
        return whole
    parts = [(part, shown) for part, shown in zip(low.split("-"), text.split("-"), strict=True) if part]
    if all(vocabulary.is_eponym(part) for part, _ in parts):
        return Sense.TERM
    senses = [vocabulary.sense(part) for part, _ in parts]
    if all(sense in (Sense.NAME, Sense.BOTH) for sense in senses):
        return Sense.NAME
    if not all(shown[0].isupper() or part in PARTICLES for part, shown in parts):
        return Sense.RARE if Sense.NAME in senses else Sense.WORD
    if Sense.NAME in senses:
        return Sense.NAME
    return Sense.UNKNOWN if Sense.UNKNOWN in senses and Sense.TERM not in senses else Sense.WORD


def _is_first(text: str, at: int) -> bool:
    before = text[max(0, at - 8) : at]
    return at == 0 or bool(_NEW.search(before))


def _settle(found: list[Word], start: int) -> None:
    """Says of the words of a line whether it is a heading: short and mostly in capitals, or all of it in capitals."""
    line = found[start:]
    long = [word for word in line if len(word.text) > 3]
    if not long:
        return
    shouted = sum(word.capitals for word in long) >= _SHOUTED * len(long)
    titled = len(line) <= _MOST_IN_HEADING and sum(word.capital for word in long) >= _HEADED * len(long)
    for word in line:
        word.headed = shouted or titled
