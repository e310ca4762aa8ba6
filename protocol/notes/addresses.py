"""Postal addresses, French and English: street with number, flat, postcode with city, box.

The name of a street ends where its line, its clause or its capitals end.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Callable, Iterator

from protocol.notes.folding import plain
from protocol.notes.spans import ADDRESS, PLACE, Span
from protocol.notes.vocabulary import listed

IsTerm = Callable[[str], bool]

_NUMBER = r"(?<![\w.,/])\d{1,5}(?:[ ,-]{0,2}(?:bis|ter|quater|[a-d])\b)?(?:\s?[-/&]\s?\d{1,4})?"
_FRENCH_TYPE = (
    r"(?:rue|avenue|av|ave|boulevard|boul|bd|bld|bvd|blvd|allees?|impasse|imp|chemin|chem|che|route|rte"
    r"|quai|square|sq|residence|res|lotissement|lot"
    r"|lieu[- ]dit|sentier|sente|ruelle|faubourg|fbg|fg|hameau|esplanade|promenade|rond[- ]point|parvis"
    r"|traverse|venelle|chaussee"
    r"|voie|clos|villa|cite|passage|cours|place|pl|mail|montee|domaine|quartier|galerie|jardins?|rang|cote)"
)
#: Words of medicine and everyday as well: they want a capital in what follows.
_LOOSE_TYPE = re.compile(
    r"(?:voie|clos|villa|cite|passage|cours|place|pl|mail|montee|domaine|quartier|galerie|jardins?|rang"
    r"|cote|av|ave|che|imp|res|lot|sq|traverse|promenade|residence|route|chemin)\b"
)
_FRENCH = re.compile(rf"{_NUMBER}[, ]{{1,3}}(?P<t>{_FRENCH_TYPE})\b\.?(?=[ '\n])")
_FRENCH_BARE = re.compile(
    r"(?<![a-z])(?P<t>rue|avenue|boulevard|bd|impasse|allee|chemin|place|quai|square|route)(?=[ ])"
)
_ENGLISH_TYPE = (
    r"(?:street|st|road|rd|avenue|ave|lane|ln|drive|dr|court|ct|boulevard|blvd|way|place|pl|close"
    r"|crescent|cres|terrace|ter|square|sq"
    r"|gardens|gdns|grove|gr|row|parkway|pkwy|highway|hwy|circle|cir|mews|walk|trail|trl|loop|alley|plaza"
    r"|green|rise|view|vale|hill)"
)
_ENGLISH = re.compile(
    r"(?<![\w.,/])\d{1,5}[a-z]?,?[ \n](?:(?:[nsew]|ne|nw|se|sw|north|south|east|west)\.?[ ])?"
    r"(?P<w>(?:(?:\d{1,3}(?:st|nd|rd|th)|[^\W\d_][\w'.-]{0,24})[ \n]){1,4}?)"
    rf"(?P<t>{_ENGLISH_TYPE})(?![a-z])(?![ ]{_ENGLISH_TYPE}(?![a-z]))\.?(?:[ ](?:[nsew]|ne|nw|se|sw)\b\.?)?"
)
_FLAT = re.compile(
    r"(?<![a-z\d])(?:(?:apt|appt|app|appartement|apartment|flat|suite|ste|unit|bat|batiment|esc|escalier"
    r"|etage|porte|hall|interphone|digicode|room|lgt|logement)\.?"
    r"(?:[ ]{0,2}(?:n°|no|#)?[ ]{0,2}[a-z]?\d{1,4}[a-z]?|[ ][a-z])|\d{1,2}(?:e|er|eme|nd|rd|th"
    r"|st) (?:etage|floor))(?![a-z\d])"
)
_SURE_FLAT = re.compile(r"(?:apt|appt|appartement|apartment|digicode)")
_BOX = re.compile(r"(?<![a-z])(?:p\.? ?o\.? ?box|boite postale|postbus)[ ]{0,3}(?:n°)?[ ]{0,2}\d{1,6}(?!\d)")
_BP = re.compile(r"(?<![a-z])(?:b\.?p\.?|cs|tsa)[ ]{0,2}\d{2,6}(?![\d/])(?! ?/| ?mmhg)")
_CEDEX = re.compile(r"(?<![a-z])cedex(?:[ ]\d{1,2})?(?![a-z\d])")
_POSTCODE = re.compile(
    r"(?<![\d.,/-])(?:f-?|fr-)?(?P<c>(?:0[1-9]|[1-8]\d|9[0-8]|2[ab])[ ]?\d{3})[ ,\n]{1,3}(?=[^\W\d_])"
)
_SHORT_POSTCODE = re.compile(r"(?<![\d.,/a-z])(?P<p>(?:b|ch|l|be|lu)-? ?)?[1-9]\d{3}[ ]{1,2}(?=[^\W\d_])")
_UK_AREAS, _STATES = (
    "|".join(sorted(listed(name))).replace("_", "[ ]") for name in ("uk_areas", "us_states")
)
_UK = re.compile(rf"(?<![a-z\d])(?:{_UK_AREAS})\d[a-z\d]?[ ]?\d[abd-hjlnp-uw-z]{{2}}(?![a-z\d])")
#: Without "T2N0M0", which is a tumour's stage.
_CANADA = re.compile(
    r"(?<![a-z\d])(?!t\d[nabc]\d?m?\d)[abceghj-nprstvxy]\d[abceghj-nprstv-z][ -]?\d[abceghj-nprstv-z]\d(?![a-z\d])"
)
_US = re.compile(
    r"(?P<c>(?:[^\W\d_][\w'.-]{1,20}[ ]){0,2}[^\W\d_][\w'.-]{1,20},[ \n])?"
    rf"(?<![a-z])(?:{_STATES})\.?,?[ \n]{{1,2}}\d{{5}}(?:-\d{{4}})?(?!\d)"
)
_CITY_WORD = re.compile(r"[^\W\d_]+(?:['-][^\W\d_]+){0,6}")
#: Within a city's name.
_PARTICLES = listed("particles") | {"en", "et", "sur", "sous", "aux", "au", "a", "lez"}
_PLACE_CUE = re.compile(
    r"(?<![a-z])(?:habit(?:e|ant|ait)(?: seule?)? (?:a|au|en)|domiciliee? (?:a|au)|resid(?:e|ant) (?:a"
    r"|au)|demeur(?:e|ant) (?:a|au)|originaire (?:de|du)|nee? (?:le [^\n]{4,20} )?a"
    r"|lives (?:alone )?in|living in|resides in|resident of|born in|moved (?:here )?(?:from|to)|native of"
    r"|from the town of|ville ?:|city ?:|lieu de naissance ?:|place of birth ?:"
    r"|(?:chu|chru|ch|ghu|chi|chr|hopital|hopitaux|clinique|polyclinique|ehpad|maternite"
    r"|centre hospitalier(?: universitaire| regional)?|maison de sante|cabinet medical|laboratoire"
    r"|pharmacie)(?: (?:de|du|des|de la|d'|de l'))?)[ ']"
)


def addresses(bare: str, text: str, is_term: IsTerm) -> Iterator[Span]:
    """Addresses in a text, given without case and accents, and as it is; ``is_term`` knows what names no city."""
    for pattern in (_FRENCH, _FRENCH_BARE):
        for found in pattern.finditer(bare):
            end, capital = _street(bare, text, found.end())
            loose = _LOOSE_TYPE.match(found["t"]) or pattern is _FRENCH_BARE
            if end > found.end() and (capital or not loose):
                yield Span(found.start(), end, ADDRESS)
    for found in _ENGLISH.finditer(bare):
        if _is_english_street(text[found.start("w") : found.end("t")], found["t"], found["w"]):
            yield Span(found.start(), _with_city(text, found.end(), is_term), ADDRESS)
    for pattern in (_BOX, _CEDEX):
        for found in pattern.finditer(bare):
            yield Span(found.start(), found.end(), ADDRESS)
    for pattern in (_UK, _CANADA):
        for found in pattern.finditer(bare):
            yield Span(_from_city(text, found.start(), is_term), found.end(), ADDRESS)
    for found in _US.finditer(bare):
        start = found.start()
        if found["c"] and not all(each[:1].isupper() for each in text[start : found.end("c")].split()):
            start = found.start("c") + text[found.start("c") : found.end("c") - 1].rfind(" ", 0, -1) + 1
        yield Span(start, found.end(), ADDRESS)
    for found in _POSTCODE.finditer(bare):
        if end := _city(text, found.end(), is_term):
            yield Span(found.start(), end, ADDRESS)


def beside(bare: str, text: str, found: list[Span], is_term: IsTerm) -> Iterator[Span]:
    """What belongs to an address only where one stands close by: flat, box, four digits and a city."""
    places = sorted((each.start, each.end) for each in found if each.kind == ADDRESS)
    ends = [end for _, end in places]
    for each in _FLAT.finditer(bare):
        if _SURE_FLAT.match(each[0]) or _close(places, ends, each.start(), each.end()):
            yield Span(each.start(), each.end(), ADDRESS)
    for each in _BP.finditer(bare):
        if _close(places, ends, each.start(), each.end()):
            yield Span(each.start(), each.end(), ADDRESS)
    for each in _SHORT_POSTCODE.finditer(bare):
        end = _city(text, each.end(), is_term)
        if end and (each["p"] or _close(places, ends, each.start(), each.end())):
            yield Span(each.start(), end, ADDRESS)


def cities(bare: str, text: str, is_term: IsTerm) -> Iterator[Span]:
    """Places after a word that says so."""
    for found in _PLACE_CUE.finditer(bare):
        if text[found.start() : found.end()].isupper() and text[found.end() : found.end() + 2].isupper():
            continue  # a heading
        if end := _city(text, found.end(), is_term):
            yield Span(found.end(), end, PLACE)


def _close(places: list[tuple[int, int]], ends: list[int], start: int, end: int) -> bool:
    at = bisect_left(ends, start - 60)
    return (
        at < len(places)
        and places[at][0] <= end + 60
        and (places[at][1] <= end + 60 or places[at][0] <= start)
    )


def _street(bare: str, text: str, at: int) -> tuple[int, bool]:
    """Where a street's name ends that begins after its type, and whether it has a capital or is a date."""
    end, capital, words = at, False, 0
    while words < 9:
        gap = re.compile(r"[ '-]{1,2}|\n(?=[^\W\d_])").match(text, at)
        if not gap or (gap[0] == "\n" and words > 0):
            break
        word = re.compile(r"[^\W\d_]+|\d{1,4}(?=[ ])").match(text, gap.end())
        if not word:
            break
        low = bare[word.start() : word.end()]
        if word[0][0].isupper() or (word[0].isdigit() and words < 3):
            end, capital = word.end(), capital or not word[0].isdigit()
        elif low in _PARTICLES:
            if low in ("a", "et", "en", "au") and capital:
                break
        elif not capital and words <= 2:
            # "rue des lilas", "rue du 8 mai 1945"
            end = word.end()
            if not re.match(r"[ ](?:19|20)\d\d", text[end : end + 5]):
                return end, capital
            capital = True
        else:
            break
        at = word.end()
        words += 1
    return end, capital


def _is_english_street(words: str, kind: str, name: str) -> bool:
    """A capital or an ordinal somewhere; what is a word as well ("way", "view", "dr") wants all capitals."""
    parts = words.split()
    capitals = [each[:1].isupper() or each[:1].isdigit() for each in parts]
    if kind in ("street", "road", "avenue", "lane", "boulevard", "drive") and len(name.split()) <= 2:
        return True
    return all(capitals)


def _with_city(text: str, at: int, is_term: IsTerm) -> int:
    """Where a street with its city ends: "…, Leeds"."""
    gap = re.compile(r",[ \n]{1,2}|[ ]-[ ]").match(text, at)
    return (gap and _city(text, gap.end(), is_term)) or at


def _from_city(text: str, at: int, is_term: IsTerm) -> int:
    """Where a city before a postcode begins: up to three words with capitals."""
    for found in reversed([*_CITY_WORD.finditer(text, max(0, at - 50), at)][-3:]):
        behind = text[found.end() : at]
        if not re.fullmatch(r"[ ]|,? ?\n?", behind) or not found[0][0].isupper() or is_term(plain(found[0])):
            break
        at = found.start()
    return at


def _city(text: str, at: int, is_term: IsTerm) -> int:
    """Where a city's name ends that begins here: capitals, with particles between; 0 where there is none."""
    end, words = 0, 0
    while words < 5 and (word := _CITY_WORD.match(text, at)):
        low = word[0].lower()
        if word[0][0].isupper():
            if (len(low) < 3 and low not in _PARTICLES) or is_term(plain(word[0])):
                break
            if words and low in (
                "le",
                "la",
                "les",
                "il",
                "elle",
                "the",
                "he",
                "she",
                "tel",
                "tél",
                "fax",
                "patient",
            ):
                break
            end = word.end()
        elif low not in _PARTICLES or (not end and low not in ("la", "le", "les", "l")):
            break
        words += 1
        if text[word.end() : word.end() + 1] not in (" ", "-", "'", "."):
            break
        at = word.end() + 1
        if text[word.end() : word.end() + 1] == "." and low not in ("st", "ste"):
            break
        if text[at : at + 1] == " " and low in ("st", "ste"):
            at += 1
    return end
