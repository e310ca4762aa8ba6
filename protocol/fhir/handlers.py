"""What the rules do to a value. Each takes the value as it came and the patient's context; None: removed."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Collection, Mapping
from html import escape
from typing import Any

from protocol.fhir.context import MOST_TEXT, OLDEST, Context
from protocol.fhir.systems import Codes
from protocol.notes.encoding import decoded as decoded_text

Handler = Callable[[Any, Context], Any]
Plan = dict[str, Handler]

#: Larger numbers are not measured, and could be somebody's.
_LARGEST = 1e10
_PERSONAL, _FEWEST_DIGITS = 10_000, 5
#: From here on a whole number may be anybody's: eight digits.
_ANYBODYS = 10_000_000
_UCUM = "http://unitsofmeasure.org"
#: 90 years, in each unit of an age.
_OLDEST = {"a": OLDEST, "a_j": OLDEST, "mo": 12 * OLDEST, "mo_j": 12 * OLDEST, "wk": 4_696, "d": 32_872}
_UID = re.compile(r"(?:urn:oid:)?([0-2](?:\.(?:0|[1-9][0-9]*)){1,63})")
_LONGEST_UID = 64
_MOST_VERDICTS = 100_000
_XHTML = '<div xmlns="http://www.w3.org/1999/xhtml">{}</div>'
_PLAIN, _MARKED = "text/plain", ("text/html", "application/xhtml+xml")


def _mistyped(context: Context) -> None:
    context.tally.mistyped += 1


def keep_code(codes: frozenset[str]) -> Handler:
    """Codes of a required value set."""

    def handle(value: Any, context: Context) -> Any:
        if type(value) is str and value in codes:
            context.tally.kept += 1
            return value
        return _mistyped(context)

    return handle


def keep_boolean(value: Any, context: Context) -> Any:
    """true or false."""
    if value is True or value is False:
        context.tally.kept += 1
        return value
    return _mistyped(context)


def keep_integer(value: Any, context: Context) -> Any:
    """Whole numbers of 32 bits that are no number of the patient."""
    if type(value) is int and -(2**31) <= value < 2**31 and not _is_personal(value, context):
        context.tally.kept += 1
        return value
    return _mistyped(context)


def keep_decimal(value: Any, context: Context) -> Any:
    """Numbers that are measured, not given."""
    kind = type(value)
    if (kind is float or kind is int) and -_LARGEST < value < _LARGEST and not _is_personal(value, context):
        context.tally.kept += 1
        return value
    return _mistyped(context)


def generalise_year(value: Any, context: Context) -> Any:
    """The year of a date, moved."""
    shifted = context.year(value) if type(value) is str else None
    if shifted is None:
        return _mistyped(context)
    context.tally.generalised += 1
    return shifted


def birth_year(value: Any, context: Context) -> Any:
    """The patient's own year of birth."""
    if type(value) is not str or context.birth_year is None:
        return _mistyped(context)
    context.tally.generalised += 1
    return context.birth_year


def generalise_start(length: int) -> Handler:
    """The first letters and digits of a text, as of postal codes; nothing where there are no more of them."""

    def handle(value: Any, context: Context) -> Any:
        whole = (
            "".join(each for each in value if each.isascii() and each.isalnum()) if type(value) is str else ""
        )
        if len(whole) <= length:
            return _mistyped(context)
        context.tally.generalised += 1
        return whole[:length].upper()

    return handle


def shift(kind: str) -> Handler:
    """Dates of a type of FHIR, moved."""

    def handle(value: Any, context: Context) -> Any:
        if type(value) is str:
            shifted = (
                context.moment(value)
                if kind == "dateTime"
                else context.date(value)
                if kind == "date"
                else context.instant(value)
            )
            if shifted is not None:
                context.tally.moved += 1
                return shifted
        return _mistyped(context)

    return handle


def reference(*, anybody: bool) -> Handler:
    """References, to what stands for the resource. ``anybody``: to other patients, and what is theirs, as well."""

    def handle(value: Any, context: Context) -> Any:
        if type(value) is not dict:
            return _mistyped(context)
        stated = value.get("reference")
        target, owner = (
            (context.local.get(stated, ""), "")
            if type(stated) is str and stated[:1] == "#"
            else context.names.refer(value)
        )
        if not target or (owner and owner != context.own and not anybody):
            context.tally.unresolved += 1
            return None
        context.tally.pseudonymised += 1
        return {"reference": target}

    return handle


def identifier(value: Any, context: Context) -> Any:
    """Identifiers, as what stands for system and value."""
    if type(value) is not dict or type(value.get("value")) is not str:
        return _mistyped(context)
    context.tally.pseudonymised += 1
    return {"value": context.names.identifier(str(value.get("system") or ""), value["value"])}


def uid(value: Any, context: Context) -> Any:
    """UIDs of DICOM, as in de-identified images."""
    found = _UID.fullmatch(value) if type(value) is str else None
    if not found or len(found[1]) > _LONGEST_UID:
        return _mistyped(context)
    context.tally.pseudonymised += 1
    return value[: -len(found[1])] + context.names.uid(found[1])


def text(value: Any, context: Context) -> Any:
    """Free text."""
    if type(value) is not str:
        return _mistyped(context)
    return context.text(value) or None


def attachment(value: Any, context: Context) -> Any:
    """Notes in an Attachment: what is text stays, as plain text."""
    if (
        type(value) is not dict
        or type(value.get("data")) is not str
        or type(value.get("contentType")) is not str
    ):
        context.tally.unread_texts += 1
        return None
    kind = value["contentType"].partition(";")[0].strip().lower()
    html = kind in _MARKED
    if (not html and kind != _PLAIN) or len(value["data"]) > 2 * MOST_TEXT:
        context.tally.unread_texts += 1
        return None
    try:
        decoded = decoded_text(
            base64.b64decode("".join(value["data"].split()), validate=True), value["contentType"]
        )
    except (binascii.Error, ValueError):
        return _mistyped(context)
    cleaned = context.text(decoded, html=html)
    if not cleaned:
        return None
    return {
        "contentType": _PLAIN,
        "data": base64.b64encode(cleaned.encode("utf-8", "replace")).decode("ascii"),
    }


def narrative(value: Any, context: Context) -> Any:
    """XHTML of a Narrative: its text."""
    if type(value) is not dict or type(value.get("div")) is not str:
        return _mistyped(context)
    cleaned = context.text(value["div"], html=True)
    return {"status": "additional", "div": _XHTML.format(escape(cleaned, quote=False))} if cleaned else None


class CodeBook:
    """Which codes are kept, of all systems of the rules."""

    def __init__(self, systems: Mapping[str, Codes]) -> None:
        self._systems = systems
        #: Of patterns: codes that could be a number of the patient's.
        self._open = frozenset(url for url, codes in systems.items() if codes.listed is None)
        self._verdicts: dict[tuple[str, str], bool] = {}

    def has(self, system: Any, code: Any, context: Context) -> bool:
        """Whether a code of a system is kept for this patient; counts where not."""
        try:
            verdict = self._verdicts[system, code]
        except (KeyError, TypeError):
            verdict = self._judged(system, code, context)
        if verdict and len(code) > 4 and system in self._open and context.is_own(code):
            context.tally.found_again += 1
            return False
        return verdict

    def _judged(self, system: Any, code: Any, context: Context) -> bool:
        if type(system) is not str or system not in self._systems:
            context.tally.unknown_systems += 1
            return False
        if type(code) is not str or len(code) > 128 or code not in self._systems[system]:
            context.tally.unknown_codes += 1
            return False
        if len(self._verdicts) < _MOST_VERDICTS:
            self._verdicts[system, code] = True
        return True


def coding(book: CodeBook) -> Handler:
    """Codes of the systems that the rules list."""
    has = book.has

    def handle(value: Any, context: Context) -> Any:
        if type(value) is not dict:
            return _mistyped(context)
        system, code = value.get("system"), value.get("code")
        if not has(system, code, context):
            return None
        context.tally.kept += 1
        return {"system": system, "code": code}

    return handle


def age(book: CodeBook, comparators: frozenset[str]) -> Handler:
    """An age up to 90 years, in a unit of time."""
    whole = quantity(book, comparators)

    def handle(value: Any, context: Context) -> Any:
        made = whole(value, context)
        if made is None:
            return None
        unit = made["code"] if made.get("system") == _UCUM else made.get("unit")
        oldest = _OLDEST.get(unit)
        if oldest is None:
            return _mistyped(context)
        if made["value"] > oldest:
            context.tally.generalised += 1
            made["value"] = oldest
        return made

    return handle


def quantity(book: CodeBook, comparators: frozenset[str]) -> Handler:
    """A number with its unit, by code, or as text where that is one of UCUM."""

    def handle(value: Any, context: Context) -> Any:
        if type(value) is not dict:
            return _mistyped(context)
        made: dict[str, Any] = {}
        if "value" in value and (number := keep_decimal(value["value"], context)) is not None:
            made["value"] = number
        comparator = value.get("comparator")
        if type(comparator) is str and comparator in comparators:
            made["comparator"] = comparator
        system, code, unit = value.get("system"), value.get("code"), value.get("unit")
        if code is not None and book.has(system, code, context):
            if unit == code:
                made["unit"] = unit
            made["system"] = system
            made["code"] = code
        elif code is None and unit is not None and book.has(_UCUM, unit, context):
            made["unit"] = unit
        return made if "value" in made else None

    return handle


def of_parts(plan: Plan, single: Collection[str] = ()) -> Handler:
    """An object by the rules of its parts; lists part by part, but of ``single`` parts. What no rule names goes."""
    get = plan.get

    def handle(value: Any, context: Context) -> Any:
        if type(value) is not dict:
            return _mistyped(context)
        made: dict[str, Any] = {}
        unnamed = 0
        for name, part in value.items():
            rule = get(name)
            if rule is None:
                unnamed += 1
            elif type(part) is list:
                if name in single:
                    _mistyped(context)
                    continue
                kept = [each for one in part if (each := rule(one, context)) is not None]
                if kept:
                    made[name] = kept
            else:
                each = rule(part, context)
                if each is not None:
                    made[name] = each
        if unnamed:
            context.tally.unnamed += unnamed
        return made or None

    return handle


def _is_personal(value: float, context: Context) -> bool:
    """Whether a number is one of the patient's own, an identifier, a telephone number; or could be, where nobody knows
    the patient."""
    if context.known is None:
        return abs(value) >= _ANYBODYS and value == int(value)
    if type(value) is int:
        return not -_PERSONAL < value < _PERSONAL and context.known.in_code(str(abs(value)))
    text = repr(value) if 1e-4 <= abs(value) < _LARGEST else f"{value:.17f}".rstrip("0")
    digits = text.removesuffix(".0").replace(".", "").lstrip("-0")
    return len(digits) >= _FEWEST_DIGITS and context.known.in_code(digits)
