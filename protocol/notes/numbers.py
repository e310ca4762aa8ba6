"""Numbers of persons, of those who treat them, and of places of care.

Where a number has check digits, they decide (python-stdnum), unless a word before it says what it is: then it goes
whatever its digits are, for a slip of the pen names its owner all the same.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from stdnum import iban, luhn
from stdnum.fr import nir
from stdnum.gb import nhs
from stdnum.us import ssn

from protocol.notes.spans import ADELI, FINESS, IBAN, ID, NHS, NIR, PASSPORT, RPPS, SSN, Span, accepted

_S = r"[ .\-/_\n\t]{0,2}+"
#: From a word to its number: "IPP n° : 123".
_TO = (
    r"(?:[ .]{0,2}(?:n|no|nr|num|numero|number|id|#)\b)?[ .:=°#\t\-]{0,6}+\n?[ .:=°#\t\-]{0,6}+"
    r"(?:est |is |: )?(?:le |the )?[ :]{0,2}+"
)
#: Letters and digits, a few letters together before a digit comes; its end may stand on the next line.
_VALUE = (
    r"(?:[a-z]{1,4}[\-/.]?|[a-z] )?\d[\da-z]{0,24}(?:[ .\-/][\da-z]{0,3}\d[\da-z]{0,14}){0,8}"
    r"(?:\n\d{3,10}(?![\d/:]|[.,]\d))?"
)

_NIR = re.compile(
    rf"(?<!\d)(?<!\d[.,])[123478]{_S}\d{_S}\d{_S}\d{_S}\d{_S}(?:\d{_S}\d"
    rf"|2{_S}[ab])(?:{_S}\d){{6}}(?:{_S}\d{_S}\d)?(?!\d)"
)
_RPPS = re.compile(rf"(?<![\d+])(?<!\d[.,])[18](?:{_S}\d){{10}}(?!\d)")
_NINE = re.compile(
    r"(?<![\d.,/-])(?:\d{9}|\d\d \d \d{6}|\d\d \d{3} \d{3} \d|\d{2} \d{6} \d)(?!\d)(?![.,/-]\d)"
)
_NHS = re.compile(r"(?<![\d.,])\d{3}[ \-\n]{0,2}\d{3}[ \-\n]{0,2}\d{4}(?!\d)")
_SSN = re.compile(r"(?<![\d.,-])\d{3}[ -]\d\d[ -]\d{4}(?!\d)")
_IBAN = re.compile(r"(?<![a-z\d])[a-z]{2}\d\d(?:[ \-\n]{0,2}[a-z\d]){11,30}")
_FRENCH_PASSPORT = re.compile(r"(?<![a-z\d])\d\d[a-z]{2}\d{5}(?![a-z\d])")
_MACHINE_READABLE = re.compile(
    r"(?<![a-z\d<])[a-z\d<]{5,44}<<[a-z\d<]{5,44}"
    r"|(?<![a-z\d<])[a-z\d]{9,14}\d[a-z<]{3}\d{7}[mfx<]\d{7}[a-z\d<]{2,20}"
)
_PLATE = re.compile(r"(?<![a-z\d-])[a-hj-np-tv-z]{2}-\d{3}-[a-hj-np-tv-z]{2}(?![a-z\d-])")
_UUID = re.compile(r"(?<![a-z\d])[a-f\d]{8}-[a-f\d]{4}-[a-f\d]{4}-[a-f\d]{4}-[a-f\d]{12}(?![a-z\d])")
#: Ten digits and more in one piece are no measurement.
_LONG = re.compile(r"(?<![\d.,])\d{10,}(?![\d]|[.,]\d)")
_LETTERS_AND_LONG = re.compile(r"(?<![a-z\d])[a-z]{1,3}-?\d{7,14}(?![a-z\d])")
_OF_A_CODE = re.compile(
    r"(?:snomed(?:[ -]?ct)?|sct|loinc|udi|gtin|ean|lot|ucd|cip|oid|concept|code)[^\d\n]{0,12}$"
)

_CUES: tuple[tuple[str, str, str], ...] = (
    (
        NIR,
        r"nir|nss|(?:n|no|num|numero|number)?[ .°]{0,3}(?:de |d')?(?:securite sociale|secu|ss)|insee|ins|ins-nir"
        r"|immatriculation|(?:carte )?vitale|assure(?: social)?",
        r"[123478](?:[ .\-/_\n]{0,3}[\dab]){7,14}",
    ),
    (RPPS, r"rpps", r"\d(?:[ .\-/_\n]{0,2}\d){8,11}"),
    (ADELI, r"adeli", r"[\dab](?:[ .\-/_\n]{0,2}[\dab]){6,9}"),
    (
        FINESS,
        r"finess(?: geographique| juridique| et| ej)?|(?:n|no|numero) (?:d')?am",
        r"[\dab](?:[ .\-/_\n]{0,2}[\dab]){6,9}",
    ),
    (
        PASSPORT,
        r"passeport|passport|pass\.",
        r"[a-z]{0,3}[ -]?\d[\da-z]{2,9}(?:[ -](?=[a-z]{0,3}\d)[\da-z]{2,6}){0,2}",
    ),
    (
        IBAN,
        r"iban|rib|compte bancaire|coordonnees bancaires|bank account|bank details|account number",
        r"[a-z\d]{2}\d\d(?:[ \-]?[a-z]{4})?(?:[ \-]?(?=[a-z]{0,3}\d)[\da-z]{1,4}){2,9}",
    ),
    (SSN, r"ssn|social security(?: number| no)?|soc\.? ?sec", r"[x\d*](?:[ .\-]?[x\d*]){3,8}"),
    (NHS, r"nhs|chi|h&c", r"\d(?:[ .\-\n]{0,2}\d){8,9}"),
    (
        ID,
        r"ipp|iep|nip|nda|npi|mrn|mr ?#|hosp(?:ital)?|hospital|unit|urn|pid|csn|fin|acct|account"
        r"|accession|encounter|visit|specimen|episode|chart|case|file"
        r"|record|medical record|dossier(?: patient| medical| administratif)?|(?:numero|n|no|num"
        r"|identifiant)[ .°]{0,2}(?:de |d')?(?:dossier|patient|sejour|venue|admission|hospitalisation"
        r"|identification|permanent|examen|demande|adherent|contrat|mutuelle|facture|allocataire)"
        r"|identifiant(?: permanent)?(?: patient)?|id patient|patient id|patient identifier|identifier|id"
        r"|venue|sejour|accession|demande|carte (?:nationale )?d'identite|cni|identity card|id card"
        r"|national id"
        r"|permis(?: de conduire)?|driving licence|driver'?s? licen[sc]e|licence|license|dl"
        r"|titre de sejour|mutuelle|adherent|allocataire|caf|policy|insurance|member|subscriber|medicare"
        r"|medicaid|dea"
        r"|siret|siren|ame|matricule|badge|serial|s/n|sn|serie",
        _VALUE,
    ),
)
_CUED = tuple(
    (kind, re.compile(rf"(?<![a-z\d])(?:{cue})(?![a-z]){_TO}(?P<n>{value})(?![a-z\d])"))
    for kind, cue, value in _CUES
)
# Words that mean something else as well: they want a sign that a number follows.
_LOOSE = re.compile(
    r"(?:hosp|hospital|unit|fin|visit|episode|chart|case|file|record|id|venue|sejour|license|licence"
    r"|policy|insurance|member|serie|ins|ss|secu|accession"
    r"|badge|ame|demande|identifier|chi|h&c|vitale|assure|dl|encounter|specimen|account|mutuelle|pid|nip"
    r"|sn|rib|caf|matricule|dossier|medicare|medicaid|permis|adherent)"
)
_SIGN = re.compile(r"(?:[:#°=]|\bn[o°]?\b|\bnum|\bid\b|\bnr\b)")
_FEWEST_DIGITS = 4
_SHORTEST_IBAN, _LONGEST_IBAN = 15, 34


def numbers(bare: str) -> Iterator[Span]:
    """All of a text that is given without case and accents."""
    for kind, pattern in _CUED:
        for found in accepted(pattern, bare, lambda each: _is_cued(each)):
            yield Span(*found.span("n"), kind)
    for pattern, kind, test in (
        (_NIR, NIR, _is_nir),
        (_RPPS, RPPS, lambda digits: luhn.is_valid(digits)),
        (_NHS, NHS, nhs.is_valid),
        (_SSN, SSN, ssn.is_valid),
        (_NINE, FINESS, lambda digits: luhn.is_valid(digits) and _is_department(digits)),
    ):
        for found in accepted(pattern, bare, lambda each, test=test: test(_compact(each[0]))):
            yield Span(found.start(), found.end(), kind)
    yield from _ibans(bare)
    for pattern, kind in (
        (_FRENCH_PASSPORT, PASSPORT),
        (_MACHINE_READABLE, PASSPORT),
        (_PLATE, ID),
        (_UUID, ID),
    ):
        for found in pattern.finditer(bare):
            yield Span(found.start(), found.end(), kind)
    for pattern in (_LONG, _LETTERS_AND_LONG):
        for found in pattern.finditer(bare):
            if not _OF_A_CODE.search(bare, max(0, found.start() - 40), found.start()):
                yield Span(found.start(), found.end(), ID)


def _compact(text: str) -> str:
    return re.sub(r"[^\da-z]", "", text).upper()


def _is_cued(found: re.Match[str]) -> bool:
    value = found["n"]
    if sum(map(str.isdigit, value)) < _FEWEST_DIGITS and not (
        sum(map(str.isdigit, value)) == 3 and _SIGN.search(found[0][: -len(value)])
    ):
        return False
    # A year, a date or a time of day is no number of a file.
    if re.fullmatch(r"(?:19|20)\d\d|[0-3]?\d[/.-][0-3]?\d[/.-](?:\d{4}|\d\d)(?!\d).*|\d{1,2}h\d\d.*", value):
        return False
    cue = found[0][: -len(value)]
    return not _LOOSE.match(cue) or bool(_SIGN.search(cue)) or len(_compact(value)) >= 7


def _is_nir(digits: str) -> bool:
    """With its key, by the key; with a wrong key or none, by its form: month, department."""
    if len(digits) == 15 and nir.is_valid(digits):
        return True
    month, department = int(digits[3:5]), digits[5:7]
    months = 1 <= month <= 12 or 20 <= month <= 42 or 50 <= month <= 99
    return months and _is_department(department) and digits[7:10] != "000" and digits[10:13] != "000"


def _is_department(digits: str) -> bool:
    return digits[:2] in ("2A", "2B") or (
        digits[:2].isdigit() and 1 <= int(digits[:2]) <= 99 and digits[:2] != "20"
    )


def _ibans(bare: str) -> Iterator[Span]:
    """The longest beginning of a candidate whose check digits are right: what follows may be the next word."""
    at = 0
    while found := _IBAN.search(bare, at):
        at = found.start() + 1
        kept = [place for place in range(found.start(), found.end()) if bare[place].isalnum()][:_LONGEST_IBAN]
        number = "".join(bare[place] for place in kept).upper()
        for size in _right_sizes(number):
            if iban.is_valid(number[:size], check_country=False):
                yield Span(found.start(), kept[size - 1] + 1, IBAN)
                at = kept[size - 1] + 1
                break


def _right_sizes(number: str) -> list[int]:
    """Lengths at which the remainder by 97 is 1 (ISO 13616), the greatest first; each digit is read once."""
    first = int("".join(str(int(each, 36)) for each in number[:4]))
    rest, sizes = 0, []
    for size, each in enumerate(number[4:], start=5):
        value = int(each, 36)
        rest = (rest * (10 if value < 10 else 100) + value) % 97
        if size >= _SHORTEST_IBAN and (rest * 1_000_000 + first) % 97 == 1:
            sizes.append(size)
    return sizes[::-1]
