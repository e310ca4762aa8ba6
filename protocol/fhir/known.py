"""A second look: what names a person is collected from the records before it goes, and whatever text still holds one of
these names, numbers or days goes too.

Words are compared whole, without case and accents; numbers without what separates their digits.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterable, Iterator
from functools import lru_cache
from typing import Any

#: Shorter words and numbers are in too much. From eight digits on a number is looked for within others.
SHORTEST_WORD, SHORTEST_NUMBER, LONG_NUMBER = 4, 5, 8
_WORD = re.compile(r"[^\W\d_]+")
_NUMBER = re.compile(r"\d(?:[\s./()+-]{0,3}\d)*")
_MARK = re.compile(r"\[[A-Z][A-Z_ -]*\]")
_DAY = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})")
#: Words of addresses and titles that are in every text.
_COMMON = frozenset(
    {
        "rue", "avenue", "boulevard", "street", "road", "lane", "drive", "court", "place", "square", "allee", "chemin",
        "impasse", "quai", "unit", "suite", "apartment", "appartement", "batiment", "floor", "etage", "north", "south",
        "east", "west", "saint", "sainte", "john.doe", "home", "work", "http", "https", "mail", "email",
    }
)  # fmt: skip


@lru_cache(maxsize=4096)
def plain(text: str) -> str:
    """Without case and accents."""
    if text.isascii():
        return text.casefold()
    apart = unicodedata.normalize("NFKD", text)
    return "".join(each for each in apart if not unicodedata.combining(each)).casefold()


def digits_of(text: str) -> str:
    """The digits of a text, in a row."""
    return "".join(each for each in text if each.isdigit())


class Known:
    """Names, numbers and day of birth of a person."""

    def __init__(self, texts: Iterable[str], born: str = "") -> None:
        """``born``: YYYY-MM-DD, or nothing."""
        self.texts = tuple(texts)
        words: set[str] = set()
        numbers: set[str] = set()
        for text in self.texts:
            words.update(each for each in _WORD.findall(plain(text)) if len(each) >= SHORTEST_WORD)
            # Numbers lose their leading zeros where they stand as numbers.
            digits = digits_of(text)
            numbers.update(each for each in (digits, digits.lstrip("0")) if len(each) >= SHORTEST_NUMBER)
        if day := _DAY.fullmatch(born):
            year, month, day_of_month = day.groups()
            numbers.update(
                {year + month + day_of_month, day_of_month + month + year, month + day_of_month + year}
            )
        self._words = frozenset(words - _COMMON)
        self._numbers = frozenset(numbers)
        self._long = tuple(sorted(each for each in numbers if len(each) >= LONG_NUMBER))

    def in_text(self, text: str) -> bool:
        """Whether a text, outside of the marks that stand for what went, holds any of it."""
        bare = plain(_MARK.sub(" ", text))
        if not self._words.isdisjoint(_WORD.findall(bare)):
            return True
        return bool(self._numbers) and any(self.in_code(digits_of(each)) for each in _NUMBER.findall(bare))

    def in_code(self, code: str) -> bool:
        """Whether a code or number is one of the numbers, or holds a long one."""
        if code in self._numbers:
            return True
        for each in self._long:  # noqa: SIM110 - asked of every code
            if each in code:
                return True
        return False


def names_in(resource: dict[str, Any]) -> Iterator[str]:
    """What names the person of a Patient, Practitioner or RelatedPerson, and those who are named in it: names, ways to
    reach them, addresses, identifiers, and texts and addresses of extensions."""
    for name, value in resource.items():
        if name in ("name", "telecom", "address", "identifier", "contact"):
            yield from _texts(value)
        elif name == "extension":
            yield from _extended(value)


#: Of names, addresses, telecom and identifiers: what does not name anybody.
_FORMAL = frozenset(
    {
        "use", "system", "period", "type", "country", "prefix", "suffix", "state", "relationship", "gender", "rank",
        "url", "assigner",
    }
)  # fmt: skip


def _texts(value: Any) -> Iterator[str]:
    if type(value) is str:
        if value:
            yield value
    elif type(value) is list:
        for each in value:
            yield from _texts(each)
    elif type(value) is dict:
        for name, each in value.items():
            if name == "extension":
                yield from _extended(value[name])
            elif name not in _FORMAL and not name.startswith("_"):
                yield from _texts(each)


_EXTENDED = frozenset(
    {"valueString", "valueAddress", "valueHumanName", "valueContactPoint", "valueIdentifier"}
)


def _extended(value: Any) -> Iterator[str]:
    """Of extensions: the mother's maiden name, the place of birth. Categories such as a race's text are no names, but
    name no symptom either."""
    if type(value) is list:
        for each in value:
            yield from _extended(each)
    elif type(value) is dict:
        for name, each in value.items():
            if name in _EXTENDED and "race" not in str(value.get("url")) and value.get("url") != "text":
                yield from _texts(each)
            elif name == "extension":
                yield from _extended(each)


class Words:
    """Names of many people, a word at a time: of the practitioners in the records."""

    def __init__(self, most: int) -> None:
        self._words: set[str] = set()
        self._most = most

    def add(self, texts: Iterable[str]) -> None:
        """Beyond `most` words nothing is added."""
        for text in texts:
            if len(self._words) < self._most:
                self._words.update(each for each in _WORD.findall(plain(text)) if len(each) >= SHORTEST_WORD)

    def in_text(self, text: str) -> Collection[str]:
        """Those that a text has, written with a capital letter as names are."""
        if not self._words:
            return ()
        return {each for each in _WORD.findall(text) if each[0].isupper() and plain(each) in self._words}
