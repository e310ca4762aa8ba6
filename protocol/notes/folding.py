"""Text as it is searched: one form for what looks the same, and the way back to where it stood.

Accents composed, compatibility forms (full width, ligatures, superscripts) replaced, every kind of blank a blank, every
dash ``-``, every apostrophe ``'``, digits of all scripts 0 to 9; what has no width is dropped, and so are control
characters other than tabs and line ends.
"""

from __future__ import annotations

import re
import unicodedata
from array import array
from dataclasses import dataclass

#: Marks over one letter that are composed with it; more of them are dropped, for they are ornament.
_MOST_MARKS = 4
_APOSTROPHES = "\u2018\u2019\u201a\u201b\u02bc\u02b9\u02bb\u2032\u00b4\u0060\u055a\uff07"
_DASHES = "\u2212\u2043\u02d7\u00ad"
_LINE_ENDS = "\u2028\u2029\u0085\x0b\x0c"
#: Letters and signs that show nothing.
_FILLERS = "\u115f\u1160\u3164\uffa0\u2800"
_LETTERS = {"œ": "oe", "Œ": "Oe", "æ": "ae", "Æ": "Ae", "ß": "ss"}
_SIMPLE = re.compile("[\t\n\x20-\x7e]+")


def plain(text: str) -> str:
    """Lower case, without accents. Not of the same length."""
    lower = text.lower()
    if lower.isascii():
        return lower
    lower = lower.replace("œ", "oe").replace("æ", "ae").replace("ß", "ss").replace("ø", "o").replace("ł", "l")
    return "".join(each for each in unicodedata.normalize("NFD", lower) if not unicodedata.combining(each))


class _OneToOne(dict[int, str]):
    """For str.translate: fills itself with what it is asked for."""

    def __missing__(self, code: int) -> str:
        self[code] = made = self.one(chr(code))
        return made

    def one(self, character: str) -> str:
        raise NotImplementedError


class _Folding(_OneToOne):
    """A character's own folded form: one character, several, or none."""

    def one(self, character: str) -> str:
        if character in _LINE_ENDS or character == "\n":
            return "\n"
        if character == "\u00ad":
            return ""
        if character in _APOSTROPHES:
            return "'"
        category = unicodedata.category(character)
        if category in ("Zs", "Zl", "Zp") or character in "\t\r":
            return " "
        if category == "Pd" or character in _DASHES:
            return "-"
        if category == "Nd":
            return str(unicodedata.digit(character))
        # Marks that no letter is composed with: variation selectors, joiners.
        if category in ("Cc", "Cf", "Mn", "Me") or character in _FILLERS:
            return ""
        if character in _LETTERS:
            return _LETTERS[character]
        form = unicodedata.normalize("NFKC", character)
        return form if len(form) <= 4 else character


class _Bare(_OneToOne):
    """One character for one: lower case and no accent."""

    def one(self, character: str) -> str:
        bare = plain(character)
        return bare if len(bare) == 1 else character.lower()[:1]


_FOLDING, _BARE = _Folding(), _Bare()


@dataclass(frozen=True)
class Folded:
    """``text`` is searched, ``bare`` is the same without case and accents, letter for letter; ``starts`` and ``ends``
    say where each of its characters stood, or are None where nothing moved."""

    text: str
    bare: str
    starts: array[int] | None
    ends: array[int] | None

    def span(self, start: int, end: int) -> tuple[int, int]:
        """Where a part of ``text`` stood in the original."""
        if self.starts is None or self.ends is None:
            return start, end
        return self.starts[start], self.ends[end - 1]


def fold(text: str) -> Folded:
    """Reads a text once."""
    if not _SIMPLE.fullmatch(text) and text:
        return _fold(text)
    return Folded(text, text.lower(), None, None)


def _fold(text: str) -> Folded:
    pieces: list[str] = []
    starts, ends = array("q"), array("q")
    at, size = 0, len(text)
    while at < size:
        simple = _SIMPLE.match(text, at)
        if simple:
            # The last one may carry a mark.
            stop = simple.end() - (simple.end() < size and unicodedata.combining(text[simple.end()]) > 0)
            if stop > at:
                pieces.append(text[at:stop])
                starts.extend(range(at, stop))
                ends.extend(range(at + 1, stop + 1))
                at = stop
                continue
        begin, base = at, text[at]
        at += 1
        marks = ""
        while at < size and unicodedata.combining(text[at]):
            if len(marks) < _MOST_MARKS:
                marks += text[at]
            at += 1
        form = unicodedata.normalize("NFC", base + marks) if marks else base
        if len(form) > 1:
            # Marks that no letter has.
            form = form[0] + "".join(each for each in form[1:] if not unicodedata.combining(each))
        form = "".join(_FOLDING[ord(each)] for each in form)
        pieces.append(form)
        starts.extend([begin] * len(form))
        ends.extend([at] * len(form))
    folded = "".join(pieces)
    return Folded(folded, folded.translate(_BARE), starts, ends)
