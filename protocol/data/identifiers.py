"""Columns that look like identifiers of a person, by name or by what their cells look like (English and French).

A net, not a proof: it catches what should never have come this far (HIPAA Safe Harbor, 45 CFR 164.514(b)(2)).
Anonymising is the hospital's work, done before.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

_WORDS = {
    "name", "names", "firstname", "lastname", "surname", "forename", "middlename", "maidenname", "fullname", "initials",
    "nom", "noms", "prenom", "prenoms", "patronyme", "initiales",
    "id", "ids", "uid", "uuid", "guid", "identifier", "identifiant", "ssn", "nir", "nhs", "mrn", "ipp", "iep", "nip",
    "pid", "patientid", "recordid", "subjectid", "passport", "passeport", "insurance", "assurance", "medicare", "inss",
    "phone", "telephone", "tel", "mobile", "cellphone", "fax", "portable",
    "email", "mail", "courriel", "url", "website", "ip",
    "address", "adresse", "street", "rue", "city", "ville", "zip", "zipcode", "postcode", "postal", "commune",
    "dob", "ddn", "birthday", "birthdate", "dateofbirth", "birthplace", "datenaissance", "naissance",
    "account", "iban", "licence", "license", "plate", "photo", "fingerprint",
}  # fmt: skip
_PAIRS = ({"birth", "date"}, {"birth", "day"}, {"birth", "year"}, {"birth", "month"}, {"birth", "place"},
          {"social", "security"}, {"securite", "sociale"}, {"medical", "record"}, {"hospital", "number"},
          {"patient", "number"}, {"patient", "no"}, {"patient", "key"}, {"numero", "dossier"}, {"numero", "patient"},
          {"date", "death"}, {"date", "deces"}, {"date", "admission"}, {"date", "discharge"})  # fmt: skip

_PATTERNS = (
    ("e-mail addresses", re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")),
    ("full dates", re.compile(r"(\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.]\d{4})([T ].*)?")),
    ("social security numbers", re.compile(r"\d{3}-\d{2}-\d{4}")),
    ("social security numbers", re.compile(r"[12] ?\d{2} ?\d{2} ?\d[\dAB] ?\d{3} ?\d{3}( ?\d{2})?")),
    ("telephone numbers", re.compile(r"(\+|00)\d{1,3}([ .-]?\(?\d\)?){7,12}")),
    ("telephone numbers", re.compile(r"0[1-9]([ .-]?\d{2}){4}|\(?\d{3}\)?[ .-]\d{3}[ .-]\d{4}")),
    ("IP addresses", re.compile(r"\d{1,3}(\.\d{1,3}){3}")),
)
# Most cells are short numbers, which no pattern matches.
_SHORT_NUMBER = re.compile(r"-?\d{0,8}(\.\d*)?")


def reason_against_name(column: str) -> str:
    """Why a column of this name is refused, or an empty string."""
    plain = unicodedata.normalize("NFKD", column).encode("ascii", "ignore").decode("ascii")
    words = re.findall(r"[a-z]+|[0-9]+", re.sub(r"([a-z0-9])([A-Z])", r"\1 \2", plain).lower())
    joined = "".join(words)
    if joined in _WORDS or _WORDS & set(words) or any(pair <= set(words) for pair in _PAIRS):
        return "its name is that of an identifier"
    return ""


def reason_against_cells(cells: Iterable[str]) -> str:
    """Why a column with these cells is refused, or an empty string. The reason names no cell and quotes none."""
    for cell in cells:
        text = cell.strip()
        if _SHORT_NUMBER.fullmatch(text):
            continue
        for what, pattern in _PATTERNS:
            if pattern.fullmatch(text):
                return f"it holds what look like {what}"
    return ""
