"""E-mail, web addresses, network addresses and telephone numbers."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from functools import lru_cache

import phonenumbers

from protocol.notes.spans import EMAIL, IP, PHONE, URL, Span, accepted

#: Where a number without a country's code may be of.
REGIONS = ("FR", "GB", "US", "BE", "CH")
_CACHED = 8_192

_LOCAL = re.compile(r"[\w.+%'\-]{1,64}(?: ?\.\n?)?$")
_DOMAIN = re.compile(r"\s?(?:[\w-]{1,63}\s?\.\n?){1,5}[a-z]{2,18}(?![\w])")
_AT_IN_WORDS = re.compile(
    r"[\w.+-]{1,64}\s?(?:\[at\]|\(at\)|\(a\)|\[a\]|\{at\}|<at>|\[arobase\]|\(arobase\)"
    r"| arobase )\s?[\w-]{1,63}"
    r"(?:\s?(?:\.|\[dot\]|\(dot\)|\(point\)|\[point\]| dot | point )\s?[\w-]{2,63}){1,4}"
)
_URL = re.compile(
    r"(?<![a-z])(?:https?|ftps?|sftp|file)://[^\s<>\"]{1,2000}|(?<![\w@.])www\.[^\s<>\"]{3,2000}"
)
_SITE = re.compile(
    r"(?<![\w@.-])(?:[a-z0-9][a-z0-9-]{0,62}\.){1,4}"
    r"(?:(?:fr|com|org|net|eu|co\.uk|nhs\.uk|ac\.uk|edu|gov)(?![\w-])(?!\.\w)(?:/[^\s<>\"]{0,500})?"
    r"|[a-z]{2,6}/[^\s<>\"]{1,500})"
)
_IPV4 = re.compile(r"(?<![\d.])(?:\d{1,3}\.){3}\d{1,3}(?![\d]|\.\d)(?:/\d{1,2})?")
_IPV6 = re.compile(r"(?<![0-9a-z:.])[0-9a-f:]{2,39}(?![0-9a-z:])")
_MAC = re.compile(r"(?<![0-9a-z])(?:[0-9a-f]{2}[:-]){5}[0-9a-f]{2}(?![0-9a-z])")

_S = r"[ .\-/_\n\t]{0,2}"
_DIALLED = r"[^\d\n+(]{0,12}+\n?[^\d\n+(]{0,8}+(?P<n>\+?\(?\d(?:[ .\-/()_\t]{0,3}\d)"
_CUE = re.compile(
    r"(?<![a-z])(?:tel|tels|telephone|phone|ph|mobile|cell|cellphone|fax|telecopie|portable|gsm|pager"
    r"|beeper|num(?:ero)? de tel)s?\b" + _DIALLED + r"{5,16})(?!\d)"
)
_CUE_OF_LONG = re.compile(
    r"(?<![a-z])(?:call(?:ed|back)?|contact(?:er|ed)?|joindre|joignable|appeler|rappeler|reached"
    r"|reachable|ligne directe|standard|secretariat)\b" + _DIALLED + r"{7,16})(?!\d)"
)
_EXTENSION = re.compile(
    r"(?<![a-z])(?:poste|ext|extension|bip|pager|beeper|dect)\b[ .:n°#-]{0,5}(?P<n>\d{3,6})(?![\d/.,])"
)
_INTERNATIONAL = re.compile(rf"(?<![\d\w])(?:\+|00){_S}[1-9](?:[ .\-/()_\n\t]{{0,3}}\d){{6,14}}(?!\d)")
_FRENCH = re.compile(rf"(?<![\d.,/+-])0[1-9](?:{_S}\d\d){{4}}(?!\d)(?![.,]\d)")
_AMERICAN = re.compile(
    r"(?<![\d.,/-])(?:1[ .-]?)?(?:\([2-9]\d\d\)[ \n]{0,2}"
    r"|[2-9]\d\d[ .\-/\n])[2-9]\d\d[ .\-\n]\d{4}(?!\d)(?![.,]\d)"
    r"(?:\s?(?:x|ext\.?)\s?\d{1,6})?"
)
_AMERICAN_SHORT = re.compile(r"(?<![\d.,/-])[2-9]\d\d-\d{4}(?![\d-])(?![.,]\d)")
_ANY = re.compile(r"(?<![\d.,/+-])\(?0\d(?:\)?[ .\-/()\n]{0,2}\d){7,9}(?!\d)(?![.,]\d)")


def contacts(bare: str) -> Iterator[Span]:
    """All of a text that is given without case and accents."""
    yield from _emails(bare)
    for pattern, kind in ((_AT_IN_WORDS, EMAIL), (_URL, URL), (_SITE, URL), (_MAC, IP)):
        for found in pattern.finditer(bare):
            # The point of a sentence is not the address's.
            whole = found[0].rstrip(".,;:!?)'\"") if kind == URL else found[0]
            yield Span(found.start(), found.start() + len(whole), kind)
    for pattern in (_IPV4, _IPV6):
        for found in accepted(pattern, bare, lambda each: _is_address(each[0])):
            yield Span(found.start(), found.end(), IP)
    yield from _phones(bare)


def _emails(bare: str) -> Iterator[Span]:
    at = bare.find("@")
    while at >= 0:
        after = _DOMAIN.match(bare, at + 1)
        before = bare[max(0, at - 66) : at]
        name = _LOCAL.search(before.rstrip(" \n")) if before else None
        if after and name:
            gone = len(before) - len(before.rstrip(" \n"))
            if gone <= 1:
                yield Span(at - gone - len(name[0]), after.end(), EMAIL)
        at = bare.find("@", at + 1)


def _is_address(text: str) -> bool:
    text = text.partition("/")[0]
    if ":" in text and (text.count(":") < 2 or len(text) < 6):
        return False
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _phones(bare: str) -> Iterator[Span]:
    for pattern in (_CUE, _CUE_OF_LONG, _EXTENSION):
        for found in pattern.finditer(bare):
            yield Span(*found.span("n"), PHONE)
    for pattern in (_INTERNATIONAL, _FRENCH, _AMERICAN, _AMERICAN_SHORT):
        for found in pattern.finditer(bare):
            yield Span(found.start(), found.end(), PHONE)
    for found in accepted(_ANY, bare, lambda each: is_phone(re.sub(r"\D", "", each[0]))):
        yield Span(found.start(), found.end(), PHONE)


@lru_cache(maxsize=_CACHED)
def is_phone(digits: str) -> bool:
    """Whether these digits are a number that can be dialled in one of the regions."""
    for region in REGIONS:
        try:
            if phonenumbers.is_valid_number(phonenumbers.parse(digits, region)):
                return True
        except phonenumbers.NumberParseException:
            continue
    return False
