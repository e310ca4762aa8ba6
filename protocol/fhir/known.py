"""A second look: what names a person is collected from the records before it goes, and whatever text still holds one of
these names, numbers or days goes too.

Words are compared whole, without case and accents; numbers without what separates their digits. What shows nothing is
dropped before, letters that stand alone are joined, and what is written as the number of a character is read.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from functools import cached_property, lru_cache
from typing import Any
from urllib.parse import unquote

from protocol.notes.folding import fold
from protocol.notes.vocabulary import Sense, Vocabulary, listed

#: Shorter words and numbers are in too much. From eight digits on a number is looked for within others.
SHORTEST_WORD, SHORTEST_NUMBER, LONG_NUMBER = 4, 5, 8
#: In codes that have separators, shorter ones are there by chance.
_SHORTEST_IN_CODES = 7
_WORD = re.compile(r"[^\W\d_]+")
_NUMBER = re.compile(r"\d(?:[\s./()+-]{0,3}\d)*")
_MARK = re.compile(r"\[[A-Z][A-Z_ -]*\]")
_DAY = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})")
#: "D U P O N T".
_SPELLED = re.compile(r"(?<![^\W_])[^\W\d_](?:[\W_]{1,3}[^\W\d_](?![^\W_])){3,}")
#: "=75" of quoted-printable, "%75" of addresses.
_HEXADECIMAL = re.compile(r"[=%](?=[0-9a-f]{2})", re.IGNORECASE)
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f]")
#: How a month is written: as a Roman number, and in words of both languages.
_MONTHS = (
    "i|jan[a-z]{0,6}", "ii|f[ea][bv][a-z]{0,6}", "iii|mar(?:s|ch)?", "iv|a[pv]r[a-z]{0,3}", "v|ma[iy]", "vi|jui?ne?",
    "vii|jul[a-z]{0,3}|juil[a-z]{0,4}", "viii|aug[a-z]{0,3}|aout", "ix|sep[a-z]{0,6}", "x|oct[a-z]{0,4}",
    "xi|nov[a-z]{0,5}", "xii|dec[a-z]{0,5}",
)  # fmt: skip
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
    """Without case and accents, and without what shows nothing."""
    return fold(text).bare


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
            numbers.update(_written_in_a_row(year, month, day_of_month))
        self._words = frozenset(words - _COMMON)
        self._numbers = frozenset(numbers)
        self._long = tuple(sorted(each for each in numbers if len(each) >= LONG_NUMBER))
        self._short_days: frozenset[str] = frozenset()
        self._born = day.groups() if day else None
        if day:
            year, month, day_of_month = day.groups()
            self._short_days = frozenset(_written_in_a_row(year[2:], month, day_of_month))

    def in_text(self, text: str) -> bool:
        """Whether a text, outside of the marks that stand for what went, holds any of it."""
        return any(self._in_bare(each) for each in _readings(_MARK.sub(" ", text)))

    def _in_bare(self, bare: str) -> bool:
        if not self._words.isdisjoint(_WORD.findall(bare)):
            return True
        for found in _SPELLED.finditer(bare):
            spelled = "".join(_WORD.findall(found[0]))
            if any(each in spelled for each in self._words):
                return True
        if self._numbers and any(self._is_number(digits_of(each)) for each in _NUMBER.findall(bare)):
            return True
        return self._days is not None and bool(self._days.search(bare))

    def in_code(self, code: str) -> bool:
        """Whether a code or number is one of the numbers, with separators or without, or holds a long one or a name."""
        if code in self._numbers:
            return True
        digits = code if code.isdigit() else digits_of(code)
        if len(digits) >= _SHORTEST_IN_CODES and digits in self._numbers:
            return True
        for each in self._long:
            if each in digits:
                return True
        if digits is code or len(code) - len(digits) < SHORTEST_WORD:
            return False
        bare = plain(code)
        return any(each in bare for each in self._words)

    def _is_number(self, digits: str) -> bool:
        if digits in self._numbers or digits in self._short_days:
            return True
        return len(digits) >= LONG_NUMBER and any(each in digits for each in self._long)

    @cached_property
    def _days(self) -> re.Pattern[str] | None:
        """The day of birth, with its parts apart."""
        if not self._born:
            return None
        year, month, day = self._born
        days, years = rf"0?{int(day)}(?:st|nd|rd|th|ere?|eme|e)?", rf"(?:{year}|'?{year[2:]})"
        months = rf"(?:0?{int(month)}|{_MONTHS[(int(month) - 1) % 12]})\.?"
        gap = r"[\s./,-]{1,3}(?:of\s|de\s)?"
        return re.compile(
            rf"(?<![\w.])(?:{days}{gap}{months}{gap}{years}|{months}{gap}{days}{gap}{years}"
            rf"|{years}{gap}{months}{gap}{days})(?!\w)(?!\.\d)"
        )


def _readings(text: str) -> Iterator[str]:
    """A text as it can be read: as it is, with control characters as blanks, with what was encoded."""
    bare = fold(text).bare
    yield bare
    if _CONTROL.search(text):
        yield fold(_CONTROL.sub(" ", text)).bare
    if _HEXADECIMAL.search(bare):
        yield fold(unquote(_HEXADECIMAL.sub("%", text))).bare


def _written_in_a_row(year: str, month: str, day: str) -> set[str]:
    return {year + month + day, day + month + year, month + day + year}


def names_in(resource: dict[str, Any]) -> Iterator[str]:
    """What names the person of a Patient, Practitioner or RelatedPerson, and those who are named in it: names, texts
    and addresses of extensions, ways to reach them, addresses, identifiers, in this order."""
    contacts = resource.get("contact")
    people = [
        resource,
        *(each for each in (contacts if type(contacts) is list else [contacts]) if type(each) is dict),
    ]
    for name in ("name", "extension", "telecom", "address", "identifier"):
        for each in people:
            if name == "extension":
                yield from _extended(each.get(name))
            else:
                yield from _texts(each.get(name))
                yield from _extended(each.get(f"_{name}"))


_PEOPLE = ("Practitioner", "RelatedPerson", "Patient", "Person")
#: Elements that are people or organisations, where a reference is a display alone.
_ACTORS = frozenset(
    {
        "actor", "asserter", "attester", "author", "authenticator", "enterer", "generalPractitioner", "individual",
        "informant", "interpreter", "member", "operator", "party", "performer", "practitioner", "recorder", "requester",
        "resultsInterpreter", "sender", "source",
    }
)  # fmt: skip


def displayed(resource: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Of references to people the texts that name them, each with the reference where its type cannot be told from it;
    and names of people who are contained."""
    waiting: list[tuple[str, Any]] = [("", resource)]
    while waiting:
        element, value = waiting.pop()
        if type(value) is list:
            waiting += [(element, each) for each in value]
        elif type(value) is dict:
            if element == "contained" and value.get("resourceType") in _PEOPLE:
                for each in names_in({"name": value.get("name")}):
                    yield each, ""
            if (
                type(shown := value.get("display")) is str
                and (told := _person_in(element, value)) is not None
            ):
                yield shown, told
            waiting += [
                (name, each)
                for name, each in value.items()
                if type(each) in (dict, list) and name not in _WITHOUT_PEOPLE
            ]


def _person_in(element: str, value: dict[str, Any]) -> str | None:
    """Nothing for a Reference to a person; the reference, where it has to be followed; None for others."""
    stated, kind = value.get("reference"), value.get("type")
    if type(kind) is str and kind in _PEOPLE:
        return ""
    if type(stated) is str:
        if any(f"{each}/" in stated or f"{each}?" in stated for each in _PEOPLE):
            return ""
        if stated[:1] == "#":
            return "" if element in _ACTORS else None
        return stated if ":" in stated and not _TYPED.search(stated[:_LONGEST_REFERENCE]) else None
    return "" if element in _ACTORS and "code" not in value and "system" not in value else None


#: Elements of codes and numbers alone, which are most of all: no reference is in them.
_WITHOUT_PEOPLE = frozenset(
    {
        "coding", "code", "category", "meta", "text", "component", "interpretation", "referenceRange", "valueQuantity",
        "valueCodeableConcept", "class", "clinicalStatus", "verificationStatus", "productOrService", "adjudication",
        "net", "total", "amount", "vaccineCode", "medicationCodeableConcept",
    }
)  # fmt: skip
_LONGEST_REFERENCE = 200
_TYPED = re.compile(r"(?:^|/)[A-Z][A-Za-z]+[/?]|^.{199}", re.DOTALL)

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
            elif name.startswith("_"):
                # The mother's name, of a family name.
                yield from _extended(each)
            elif name not in _FORMAL:
                yield from _texts(each)


_EXTENDED = frozenset(
    {
        "valueString", "valueMarkdown", "valueCode", "valueAddress", "valueHumanName", "valueContactPoint",
        "valueIdentifier",
    }
)  # fmt: skip
_US_CORE = "http://hl7.org/fhir/us/core/StructureDefinition/us-core-"
_CATEGORIES = frozenset(
    {
        f"{_US_CORE}{each}"
        for each in ("race", "ethnicity", "birthsex", "sex", "genderIdentity", "tribal-affiliation")
    }
)
#: Codes of extensions that name nobody.
_CATEGORY_CODES = frozenset(
    {
        "male", "female", "other", "unknown", "asku", "nonbinary", "non-binary", "masculin", "feminin", "homme",
        "femme", "true", "false", "none", "active", "inactive", "verified", "temporary", "permanent",
    }
)  # fmt: skip


def _extended(value: Any) -> Iterator[str]:
    """Of extensions: the mother's maiden name, the place of birth. Categories such as a race's text are no names."""
    if type(value) is list:
        for each in value:
            yield from _extended(each)
    elif type(value) is dict and (type(url := value.get("url")) is not str or url not in _CATEGORIES):
        for name, each in value.items():
            if name == "valueCode" and type(each) is str and plain(each) in _CATEGORY_CODES:
                continue
            if name in _EXTENDED:
                yield from _texts(each)
            elif name == "extension":
                yield from _extended(each)


class Words:
    """Names of many people, a word at a time: of the practitioners in the records, and of whom references name."""

    def __init__(self, most: int) -> None:
        self._words: set[str] = set()
        self._most = most

    def add(self, texts: Iterable[str], *, shown: bool = False) -> None:
        """Beyond `most` words nothing is added. ``shown``: as people are displayed, with their titles."""
        for text in texts:
            if len(self._words) < self._most:
                words = {
                    each for each in _WORD.findall(plain(text[:_LONGEST_NAME])) if len(each) >= SHORTEST_WORD
                }
                self._words |= words - _titles() if shown else words

    def in_text(self, text: str) -> Collection[str]:
        """Those that a text has, written with a capital letter as names are; in small letters, those that are no
        words."""
        if not self._words:
            return ()
        folded = fold(text)
        found: dict[str, str] = {}
        for each in _WORD.finditer(folded.text):
            bare = folded.bare[each.start() : each.end()]
            if bare in self._words and (each[0][0].isupper() or _is_no_word(bare)):
                found[bare] = each[0]
        return found.values()


_LONGEST_NAME = 200


@lru_cache(maxsize=1)
def _titles() -> frozenset[str]:
    return listed("no_one")


@lru_cache(maxsize=1)
def _vocabulary() -> Vocabulary:
    return Vocabulary()


def _is_no_word(bare: str) -> bool:
    return _vocabulary().sense(bare) <= Sense.UNKNOWN
