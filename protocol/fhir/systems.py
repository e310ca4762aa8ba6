"""Codes: kept where their system is known and they are codes of it, so that nothing else passes for one.

A check digit (SNOMED CT, LOINC) or a grammar (UCUM) tells most strings from codes; the rest is told by a pattern or by
the list of a system's codes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from math import inf
from re import _parser  # type: ignore[attr-defined]
from typing import Any

#: Verhoeff (1969): multiplication in the dihedral group of order 10, and the permutation by position.
_PRODUCT = (
    "0123456789", "1234067895", "2340178956", "3401289567", "4012395678",
    "5987604321", "6598710432", "7659821043", "8765932104", "9876543210",
)  # fmt: skip
_PERMUTATION = (
    "0123456789", "1576283094", "5803796142", "8916043527", "9453126870", "4286573901", "2793806415", "7046913258",
)  # fmt: skip
#: SNOMED CT: the two digits before the check digit say that it is a concept, without or with a namespace.
_CONCEPTS = ("00", "10")
_SCTID = re.compile(r"[1-9][0-9]{5,17}", re.ASCII)
_LOINC = re.compile(r"[0-9]{1,7}-[0-9]", re.ASCII)
_LOINC_PART = re.compile(r"L[AP][0-9]{1,7}-[0-9]", re.ASCII)
#: A namespace has seven digits.
_SHORTEST_WITH_NAMESPACE = 11

_PREFIXES = "Y|Z|E|P|T|G|M|k|h|da|d|c|m|u|n|p|f|a"
_METRIC = (
    "m|g|s|L|l|mol|K|A|V|W|J|N|Pa|Hz|C|F|S|Ohm|T|Wb|H|cd|rad|sr|lm|lx|Bq|Gy|Sv|Cel|eq|osm|kat|U|bar|cal|eV|t|u|B|Ci|"
    "R|P|St|G|Mx|\\[iU\\]|\\[IU\\]|m\\[H2O\\]|m\\[Hg\\]|\\[Cal\\]"
)
_OTHER = (
    "%|\\[ppth\\]|\\[ppm\\]|\\[ppb\\]|\\[pptr\\]|min|h|d|wk|mo|mo_j|a|a_j|deg|'|''|\\[degF\\]|\\[in_i\\]|\\[ft_i\\]|"
    "\\[lb_av\\]|\\[oz_av\\]|\\[oz_tr\\]|\\[gal_us\\]|\\[qt_us\\]|\\[foz_us\\]|\\[cup_us\\]|\\[tbs_us\\]|\\[tsp_us\\]|"
    "\\[drp\\]|\\[pH\\]|\\[arb'U\\]|\\[USP'U\\]|\\[CFU\\]|\\[HPF\\]|\\[LPF\\]|\\[diop\\]|\\[D\\]|\\[pack\\]|\\[Ch\\]|"
    "\\[APL'U\\]|\\[GPL'U\\]|\\[MPL'U\\]|\\[hp'_X\\]|\\[TCID_50\\]|\\[PFU\\]|\\[kU\\]|\\[AU\\]|\\[BAU\\]|\\[car_Au\\]|"
    "mm\\[Hg\\]|cm\\[H2O\\]"
)
#: Numbers are factors, and of these a unit has one at most: several would spell other numbers.
_FACTOR = "10\\*-?[0-9]{1,2}|10\\^-?[0-9]{1,2}|100|1000|24|12|8"
#: Annotations are free text in UCUM; these say what is counted.
_COUNTED = (
    "score|T-score|Z-score|count|#|nominal|ratio|index|titer|INR|presence|beats|breaths|cells|copies|events|dose|tbl|"
    "puff|RBC|WBC|CFU|spermatozoa|creat|Creat|creatinine|protein|hb|Hb|plasma|serum|total|1\\.73_m2|percentile|days|"
    "cig|cigarettes|pack|packs|drinks|mutation|genomes|log|pH|units|p24_Ag|FEU|DDU|eGFR|GFR"
)
_NOTE = rf"\{{(?:{_COUNTED})\}}"
_COMPONENT = (
    rf"(?:(?:(?:(?:{_PREFIXES})?(?:{_METRIC})|{_OTHER})(?:[+-]?[1-9])?|{_FACTOR})(?:{_NOTE})?|{_NOTE})"
)
_UNIT = re.compile(rf"/?{_COMPONENT}(?:[./]{_COMPONENT}){{0,4}}")
_FACTORS = re.compile(rf"(?:^|[./])(?:{_FACTOR})(?![0-9_])")
_LONGEST_UNIT = 40


def is_sctid(code: str) -> bool:
    """Whether digits are the id of a SNOMED CT concept: its kind, and Verhoeff's check digit."""
    if not _SCTID.fullmatch(code):
        return False
    if code[-3:-1] not in _CONCEPTS or (code[-3:-1] == "10" and len(code) < _SHORTEST_WITH_NAMESPACE):
        return False
    check = 0
    for position, digit in enumerate(reversed(code)):
        check = int(_PRODUCT[check][int(_PERMUTATION[position % 8][int(digit)])])
    return check == 0


def is_loinc(code: str) -> bool:
    """Whether a code of LOINC has its check digit (modulus 10, Luhn); parts and answers (LP, LA) are not checked."""
    if _LOINC_PART.fullmatch(code):
        return True
    if not _LOINC.fullmatch(code):
        return False
    number, _, check = code.partition("-")
    total = 0
    for position, digit in enumerate(reversed(number)):
        value = int(digit) * (2 - position % 2)
        total += value - 9 if value > 9 else value
    return (10 - total % 10) % 10 == int(check)


def is_ucum(code: str) -> bool:
    """Whether a code is a unit of UCUM, as far as medicine writes them; of annotations a list."""
    if len(code) > _LONGEST_UNIT or not _UNIT.fullmatch(code):
        return False
    return len(_FACTORS.findall(code)) <= 1


CHECKS: dict[str, Callable[[str], bool]] = {"sctid": is_sctid, "loinc": is_loinc, "ucum": is_ucum}


def ways(pattern: str) -> float:
    """In how many ways a pattern can be tried on a text, at most: what is without end takes for ever. Raises
    `re.error`."""
    return _ways(_parser.parse(pattern))


def _ways(items: Iterable[Any]) -> float:
    product = 1.0
    for name, value in items:
        kind = str(name)
        if kind in ("LITERAL", "NOT_LITERAL", "IN", "ANY", "AT"):
            continue
        if kind == "SUBPATTERN":
            product *= _ways(value[-1])
        elif kind == "BRANCH":
            product *= sum(_ways(each) for each in value[1])
        elif kind == "MAX_REPEAT":
            least, most, inside = value
            within = _ways(inside)
            # What can be read in two ways, and is repeated, can be read in a power of them.
            if int(most) >= _parser.MAXREPEAT or (most > 1 and within > 1):
                return inf
            product *= (most - least) * within + 1
        else:
            return inf
    return product


class Codes:
    """The codes of one system: of a list, or of a pattern and a check."""

    def __init__(self, listed: frozenset[str] | None, pattern: str = "", check: str = "") -> None:
        """Raises `re.error` for a bad pattern and `KeyError` for an unknown check."""
        self.listed = listed
        self._pattern = re.compile(pattern, re.ASCII) if pattern else None
        self._check = CHECKS[check] if check else None

    def __contains__(self, code: str) -> bool:
        if self.listed is not None:
            return code in self.listed
        if self._pattern is not None and not self._pattern.fullmatch(code):
            return False
        return self._check is None or self._check(code)
