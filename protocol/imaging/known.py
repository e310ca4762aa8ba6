"""A second look, which the standard does not ask for: what names the patient is collected before it goes, and whatever
text still holds it goes too. So a name in a device's label does not survive its tag."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

#: Shorter names and numbers are found as whole words only, for they are part of many.
LONG_NAME, LONG_NUMBER = 5, 4
_SHORTEST = 2
_SPLIT = re.compile(r"[\W_]+")
_DIGITS = re.compile(r"\d+")
_MONTHS = {
    name: f" {number:02} "
    for number, names in enumerate(
        (
            "jan january", "feb february", "mar march", "apr april", "may", "jun june", "jul july", "aug august",
            "sep sept september", "oct october", "nov november", "dec december",
        ),
        start=1,
    )
    for name in names.split()
}  # fmt: skip
#: English, and not within a word.
_MONTH = re.compile(rf"(?<![a-z])(?:{'|'.join(_MONTHS)})(?![a-z])")


class Known:
    """Names, numbers and days of one instance, compared without case, accents and separators."""

    def __init__(self) -> None:
        self._anywhere: set[str] = set()
        self._words: set[str] = set()
        self._days: set[str] = set()

    def add(self, text: str) -> None:
        """Adds each word of a name or number, and the whole of it."""
        words = _words(text)
        for word in [*words, "".join(words)]:
            if len(word) >= (LONG_NUMBER if word.isdigit() or not word.isascii() else LONG_NAME):
                self._anywhere.add(word)
            elif len(word) >= _SHORTEST:
                self._words.add(word)
            self._anywhere.update(
                each.lstrip("0") for each in _DIGITS.findall(word) if len(each.lstrip("0")) >= LONG_NUMBER
            )

    def add_day(self, year: str, month: str, day: str) -> None:
        """Adds a day, four, two and two digits, in the orders in which people write it."""
        for orders in ((year, month, day), (day, month, year), (month, day, year)):
            self._anywhere.add("".join(orders))
        for short_year in (year, year[2:]):
            for of_month in (month, month.lstrip("0")):
                for of_day in (day, day.lstrip("0")):
                    self._days.add(f"{of_day} {of_month} {short_year}")
                    self._days.add(f"{of_month} {of_day} {short_year}")
                    self._days.add(f"{short_year} {of_month} {of_day}")

    def is_in(self, text: str) -> bool:
        """Whether a text holds any of it."""
        plain = _plain(text)
        words = _split(plain)
        spaced, joined = f" {' '.join(words)} ", "".join(words)
        dated = _dated(plain, spaced)
        return (
            any(each in joined for each in self._anywhere)
            or any(f" {each} " in spaced for each in self._words)
            or any(f" {each} " in dated for each in self._days)
        )


def _dated(plain: str, spaced: str) -> str:
    """Words with the numbers of months for their names."""
    numbered, changes = _MONTH.subn(lambda found: _MONTHS[found[0]], plain)
    return f" {' '.join(_split(numbered))} " if changes else spaced


def _words(text: str) -> list[str]:
    return _split(_plain(text))


def _plain(text: str) -> str:
    """Without case and accents."""
    if text.isascii():
        return text.casefold()
    apart = unicodedata.normalize("NFKD", text)
    return "".join(each for each in apart if not unicodedata.combining(each)).casefold()


def _split(plain: str) -> list[str]:
    return [word for word in _SPLIT.split(plain) if word]


def known_of(texts: Iterable[str], days: Iterable[tuple[str, str, str]]) -> Known:
    """What is known of one instance."""
    known = Known()
    for text in texts:
        known.add(text)
    for day in days:
        known.add_day(*day)
    return known
