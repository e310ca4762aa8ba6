"""Days, in the ways in which English and French notes write them, and ages over 89.

A year alone stays, and so does a time of day. Day and month without a year look like a blood pressure or a score
("12/8", "3/10"): they go where a word says that a day follows, or where they are written with a zero ("12/03").
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from protocol.notes.spans import AGE, DATE, Span, accepted

_MONTH = (
    r"(?:january|february|march|april|may|june|july|august|september|october|november|december|janvier"
    r"|fevrier|mars"
    r"|avril|mai|juin|juillet|aout|septembre|octobre|novembre|decembre|(?:jan|janv|feb|fev|fevr|mar|apr"
    r"|avr|jun|jul|juil|aug"
    r"|sep|sept|oct|nov|dec)(?:\.(?=[\s\d,-]))?)(?![a-z])"
)
_DAY = r"(?:0?[1-9]|[12]\d|3[01])"
_YEAR = r"(?:(?:19|20)\d\d)"
_NO_YEAR = (
    r"(?![\d/.,:%h])(?!\s?(?:mg|g|ml|cm|mm|kg|ug|mcg|cp|ui|iu|am|pm|heures?|h|x|ans|years?|days?|jours?"
    r"|hours?)\b)"
)
_SHORT_YEAR = rf"(?:{_YEAR}(?!\d)|'?\d\d{_NO_YEAR})"
# Possessive: a run of blanks is read in one way only.
_GAP = r"\s{0,4}+"
_ORDINAL = r"(?: ?(?:st|nd|rd|th|er|ere|e|eme)(?![a-z]))?"
_MORE_DAYS = rf"(?:{_GAP}(?:-|/|,|au|et|to|and|&|ou|or){_GAP}{_DAY}(?![\d/]){_ORDINAL}){{0,4}}"

_NUMERIC = re.compile(
    r"(?<![\d])(?<!\d[.,/-])(?P<a>\d{1,2})(?P<s>\s{0,2}[/.-]\s{0,2}|\s)(?P<b>\d{1,2})"
    rf"(?:\s{{0,2}}[/.-]\s{{0,2}}|(?<=\d)\s)(?P<y>{_YEAR}|\d\d)(?![\d])(?![/.,-]\d)"
)
_ISO = re.compile(
    rf"(?<![\d.,/-])(?P<y>{_YEAR})\s{{0,2}}[-/. ]{_GAP}(?P<a>\d{{1,2}})\s{{0,2}}[-/. ]{_GAP}"
    r"(?P<b>\d{1,2})(?!\d)"
)
_COMPACT = re.compile(rf"(?<![\d.,/-])(?P<y>{_YEAR})(?P<a>\d\d)(?P<b>\d\d)(?=t?\d{{6}}(?!\d)|(?!\d)|t\d)")
_MONTH_YEAR = re.compile(rf"(?<![\d.,/-])(?P<a>0?[1-9]|1[0-2])\s?[/.-]\s?{_YEAR}(?![\d])(?![/.,-]\d)")
_DAY_MONTH = re.compile(
    rf"(?<![\d.,/]){_DAY}{_ORDINAL}{_MORE_DAYS}{_GAP}(?:of |de |d')?[-./]?{_GAP}"
    rf"{_MONTH}(?:{_GAP}[-,./]?{_GAP}{_SHORT_YEAR})?"
)
_MONTH_DAY = re.compile(
    rf"(?<![a-z0-9]){_MONTH}{_GAP}[-/]?(?:the )?{_GAP}{_DAY}(?!\d){_ORDINAL}(?![\d/:%]|[.,]\d|{_GAP}(?:mg"
    rf"|ml|g|kg|cm|mm|x)\b)"
    rf"{_MORE_DAYS}(?:{_GAP},?{_GAP}(?:of )?{_YEAR}(?!\d)|{_GAP},{_GAP}'?\d\d(?![\d:]))?"
)
_MONTH_OF_YEAR = re.compile(
    rf"(?<![a-z0-9]){_MONTH}{_GAP}[-,/']?(?:of |de )?{_GAP}(?:{_YEAR}|(?<=[-'/])\d\d)(?!\d)"
)
#: "12.IV.1950".
_ROMAN = re.compile(
    rf"(?<![\d.,/]){_DAY}(?P<s>\s?[./-]\s?|\s)(?P<m>x?i{{1,3}}|x|i?[vx]|vi{{1,3}})(?:\s?[./-]\s?|\s)"
    rf"(?P<y>{_YEAR}|\d\d)(?![\d])(?![.,]\d)"
)
_WEEKDAY = re.compile(
    r"(?<![a-z])(?:monday|tuesday|wednesday|thursday|friday|saturday|sunday|lundi|mardi|mercredi|jeudi"
    r"|vendredi|samedi"
    rf"|dimanche),?{_GAP}(?:the |le )?{_DAY}(?:{_ORDINAL}(?![\d/:h.]| ?(?:h|am|pm|heures?)\b)|/(?:0?[1-9]"
    rf"|1[0-2])(?!\d))"
)
_CUED_SHORT = re.compile(
    r"(?<![a-z])(?:le|du|au|on|since|until|till|from|to|dated|date|before|after|depuis le|jusqu'au|rdv"
    r"|prevue?|due|vers le|avant le|seen"
    rf"|dob|ddn|admitted|admis|sortie?|vue?|reviewed?|en date du|appointment"
    rf"|entree)\.?{_GAP}:?{_GAP}(?P<d>(?P<a>\d{{1,2}})\s?[/.]\s?(?P<b>\d{{1,2}}))"
    r"(?![\d])(?!\s?(?:/|mmhg|mm|cm|mg|ml|%|pain|kg|mois|months?|weeks?|semaines?|j\b|ans|years?)|[.,]\d)"
)
_BARE_SHORT = re.compile(r"(?<![\d.,/])(?P<a>\d\d)/(?P<b>\d\d)(?![\d])(?!\s?/|[.,]\d|\s?(?:mmhg|mm|cm))")
_ORDINAL_DAY = re.compile(
    r"(?<![a-z])(?:on|since|until|by|from) the (?P<d>(?:[12]?\d|3[01])(?:st|nd|rd"
    r"|th))(?![a-z])(?! [a-z]+ile)"
)
_COMPACT_CUED = re.compile(r"(?:nee? le|dob|ddn|born|naissance|birth|date)\W{0,4}(?P<d>\d{6}(?:\d\d)?)(?!\d)")
_PRESSURE = re.compile(
    r"(?:\bta|\bpa|\bbp|tension|pressure|blood|eva|pain|score|glasgow|vision|acuity|acuite|av|od|og|sat"
    r"|/)\W{0,12}(?:[a-z]{1,9}\W{0,3}){0,2}$"
)

_AGE = re.compile(
    r"(?<![\d.,/-])(?P<n>9\d|1[0-2]\d)(?:[ -]?(?:ans?|yrs?|years?)\b(?!\W{0,2}(?:of smoking|of work|ago"
    r"|de tabac))|[ -]?(?:yo|y\.o\.?|y/o)(?![a-z]))"
)
_AGE_CUED = re.compile(
    r"(?<![a-z])(?:aged?|agee?s?(?: de)?|age de)(?:\s{0,2}:)?\s{1,3}(?P<n>9\d|1[0-2]\d)(?![\d/%]|[.,]\d)"
)
_AGE_IN_WORDS = re.compile(
    r"(?<![a-z])(?P<n>quatre[- ]vingt[- ](?:dix(?:[- ](?:sept|huit|neuf))?|onze|douze|treize|quatorze"
    r"|quinze|seize)|nonante(?:[- ][a-z]{2,6})?"
    r"|cent(?: (?:un|deux|trois|quatre|cinq|six|sept|huit))?|ninety(?:[- ][a-z]{3,5})?|(?:one "
    r"|a )hundred(?: and [a-z]{3,5})?)(?=[- ](?:ans|years?|year-old)\b)"
    r"|(?<![a-z])(?P<c>centenaire|centenarian)(?![a-z])"
)  # fmt: skip


def dates(bare: str, text: str) -> Iterator[Span]:
    """Dates in a text, given without case and accents, and as it is."""
    for found in accepted(_NUMERIC, bare, _is_day):
        yield Span(found.start(), found.end(), DATE)
    for found in accepted(_ISO, bare, lambda each: _month_day(each["a"], each["b"])):
        yield Span(found.start(), found.end(), DATE)
    for found in accepted(_COMPACT, bare, lambda each: _month_day(each["a"], each["b"])):
        yield Span(found.start(), found.end(), DATE)
    for pattern in (_MONTH_YEAR, _DAY_MONTH, _MONTH_OF_YEAR, _WEEKDAY):
        for found in pattern.finditer(bare):
            yield Span(found.start(), found.end(), DATE)
    for found in accepted(_ROMAN, bare, lambda each: _is_roman(each, text)):
        yield Span(found.start(), found.end(), DATE)
    # "may 5 mg", "mars 10": with a capital only.
    for found in accepted(_MONTH_DAY, bare, lambda each: text[each.start()].isupper()):
        yield Span(found.start(), found.end(), DATE)
    for found in accepted(_CUED_SHORT, bare, _after_a_word):
        yield Span(*found.span("d"), DATE)
    for found in accepted(_BARE_SHORT, bare, lambda each: _written_with_zero(each, bare)):
        yield Span(found.start(), found.end(), DATE)
    for pattern in (_ORDINAL_DAY, _COMPACT_CUED):
        for found in pattern.finditer(bare):
            yield Span(*found.span("d"), DATE)


def ages(bare: str) -> Iterator[Span]:
    """Ages over 89, the number alone."""
    for pattern in (_AGE, _AGE_CUED, _AGE_IN_WORDS):
        for found in pattern.finditer(bare):
            group = "n" if found["n"] else "c"
            yield Span(*found.span(group), AGE)


def _month_day(month: str, day: str) -> bool:
    return 1 <= int(month) <= 12 and 1 <= int(day) <= 31


def _is_roman(found: re.Match[str], text: str) -> bool:
    """Month xiii is none; a year of two digits wants capitals and points."""
    if found["m"] == "xiii":
        return False
    return len(found["y"]) == 4 or (
        text[found.start("m") : found.end("m")].isupper() and not found["s"].isspace()
    )


def _either(a: str, b: str) -> bool:
    return _month_day(a, b) or _month_day(b, a)


def _is_day(found: re.Match[str]) -> bool:
    """Whether three numbers are a day: blanks between them want a whole year, and points two digits each."""
    if not _either(found["a"], found["b"]):
        return False
    whole = len(found["y"]) == 4
    if "." in found["s"] and not whole:
        return len(found["a"]) == len(found["b"]) == 2
    if "-" in found["s"] and not whole:
        return len(found["a"]) == len(found["b"]) == 2
    return whole or not found["s"].isspace()


def _after_a_word(found: re.Match[str]) -> bool:
    """After "from", "to", "du" and "au" a score can follow as well."""
    score = (
        found["b"] in ("4", "5", "6", "10", "15", "20")
        and int(found["a"]) <= int(found["b"])
        and re.match("(?:from|to|du|au|after|before)\\b", found[0])
    )
    return _either(found["a"], found["b"]) and not score


def _written_with_zero(found: re.Match[str], bare: str) -> bool:
    if not _either(found["a"], found["b"]) or not (found["a"][0] == "0" or found["b"][0] == "0"):
        return False
    if found["b"] in ("10", "20", "30") and found["a"][0] == "0":
        return False
    return not _PRESSURE.search(bare, max(0, found.start() - 40), found.start())
