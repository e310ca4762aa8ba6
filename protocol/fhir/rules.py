"""Rules for FHIR records: what becomes of each element, in a file that a person reviewed.

```
{"kind": "salus/fhir-rules", "name": …, "fhir": "4.0.1", "description": …,
 "systems": {system: {"title": …, "codes": "a b c"} or {"title": …, "pattern": …, "check": "sctid" | "loinc" | "ucum"}},
 "types": {data type: {action: "element element"}}, "resources": {resource type: {action: "element part.element"}}}
```

Actions: ``redact``; ``keep`` of what can say nothing but its value (booleans, numbers, codes of a required value set,
and the parts of Coding, Quantity and Money); ``date-shift``; ``generalise year`` of dates, ``generalise 90`` of ages
(no more than 90), ``generalise 3`` of a text (its first three letters and digits, where it has more);
``pseudonymise`` of references, identifiers and UIDs; ``text`` through the notes' de-identification; ``as-type`` by the
rules of the data type. An element that no rule names is removed with all below it, and so is a resource of a type
without rules.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files
from typing import Any, Self

import rfc8785

from protocol.errors import DataError
from protocol.fhir.elements import CONTAINED, PRIMITIVES, Element, Shape, data_types, resources
from protocol.fhir.systems import CHECKS, Codes, ways

KIND, FHIR = "salus/fhir-rules", "4.0.1"
PACKAGED = "salus-fhir-1"
_NAME = re.compile(r"[a-z][a-z0-9-]{0,63}")
_MEMBERS = {"kind", "name", "fhir", "description", "systems", "types", "resources"}
MOMENTS = frozenset({"date", "dateTime", "instant"})
_NUMBERS = frozenset({"integer", "positiveInt", "unsignedInt", "decimal"})
_TEXTS = frozenset({"string", "markdown", "xhtml"})
#: Days of birth, the patient's or a relative's: a shifted one would tell the shift, or the other way round.
_BIRTHS = frozenset({"birthDate", "bornDate"})
#: Ranges of ages, whose ends nothing limits to 90.
_AGES = frozenset(
    {"onsetRange", "abatementRange", "performedRange", "whenRange", "ageRange", "deceasedRange", "age"}
)
_LONGEST_START = 3
_OLDEST = 90
#: Codes are none of these: names, and numbers that could be a day of birth, or one of health insurance.
_PROBES = (
    "", " ", "Dupont", "dupont", "DUPONT", "Anna Dupont", "Müller", "a" * 200, "A" * 200,
    *(f"{first}{rest}" for first in range(10) for rest in ("2345678", "23456789012345", "9800203", "85057800608436")),
)  # fmt: skip
#: A pattern that can be tried on a text in more ways takes too long.
_MOST_WAYS = 100_000
#: Kept though strings: checked together with the other parts of their type.
_CHECKED = {
    "Coding": {"system", "code"},
    "Quantity": {"unit", "system", "code"},
    "Age": {"unit", "system", "code"},
}


@dataclass(frozen=True)
class Rule:
    """What becomes of an element. ``parameter``: of generalise."""

    action: str
    parameter: str
    element: Element


Tree = dict[str, "Rule | Tree"]


@dataclass(frozen=True)
class Rules:
    """Reviewed rules. ``types`` and ``resources``: rules by path within each type."""

    name: str
    description: str
    systems: Mapping[str, Codes]
    titles: Mapping[str, str]
    types: Mapping[str, Mapping[str, Rule]]
    resources: Mapping[str, Mapping[str, Rule]]
    document: Mapping[str, Any]

    @classmethod
    def parse(cls, document: Any) -> Self:
        """Raises DataError with the place of what is wrong."""
        _members(document, _MEMBERS, "")
        if document["kind"] != KIND or document["fhir"] != FHIR:
            raise _wrong("kind", f"rules are of kind {KIND}, for FHIR {FHIR}")
        if type(document["name"]) is not str or not _NAME.fullmatch(document["name"]):
            raise _wrong("name", "a name has small letters, digits and hyphens, and 64 characters at most")
        if type(document["description"]) is not str:
            raise _wrong("description", "it is not a text")
        systems = _section(document, "systems")
        types, known = _section(document, "types"), data_types()
        of_resources = _section(document, "resources")
        read_types = {
            name: _rules(f"types.{name}", name, known.get(name), given) for name, given in types.items()
        }
        read = {
            name: _rules(f"resources.{name}", name, resources().get(name), given)
            for name, given in of_resources.items()
        }
        for section, group in (("types", read_types), ("resources", read)):
            for name, rules in group.items():
                _have_type_rules(f"{section}.{name}", rules, read_types)
        return cls(
            document["name"],
            document["description"],
            {url: _codes(url, each) for url, each in systems.items()},
            {url: str(each["title"]) for url, each in systems.items()},
            read_types,
            read,
            document,
        )

    @classmethod
    def read(cls, content: bytes) -> Self:
        """Of a file's content, JSON in UTF-8. Raises DataError."""
        try:
            document = json.loads(content)
        except (ValueError, RecursionError):
            raise DataError("The rules are not JSON.") from None
        return cls.parse(document)

    @classmethod
    def packaged(cls, name: str = PACKAGED) -> Self:
        """Rules that come with Salus. Raises DataError for an unknown name."""
        file = files("protocol.fhir").joinpath(f"rules/{name}.json")
        if not _NAME.fullmatch(name) or name == "r4-elements" or not file.is_file():
            raise DataError(f"There are no packaged rules {name!r}.", f"There are: {PACKAGED}.")
        return cls.read(file.read_bytes())

    def digest(self) -> bytes:
        """SHA-256 of the document in canonical JSON (RFC 8785): the same for the same rules."""
        return hashlib.sha256(rfc8785.dumps(self.document)).digest()

    def describe(self) -> list[tuple[str, str]]:
        """Each rule as a row, path and action, in the order of the document."""
        rows = []
        for group in (self.types, self.resources):
            for name, rules in group.items():
                rows += [
                    (f"{name}.{path}", " ".join([each.action, each.parameter]).strip())
                    for path, each in rules.items()
                ]
        return rows

    @cached_property
    def trees(self) -> dict[str, Tree]:
        """The rules by type as trees of elements, data types and resources alike."""
        return {name: _tree(rules) for group in (self.types, self.resources) for name, rules in group.items()}


def _tree(rules: Mapping[str, Rule]) -> Tree:
    root: Tree = {}
    for path, rule in rules.items():
        *branches, leaf = path.split(".")
        node = root
        for branch in branches:
            node = node.setdefault(branch, {})  # type: ignore[assignment]
        node[leaf] = rule
    return root


def _wrong(place: str, reason: str) -> DataError:
    return DataError(f"Rules, {place}: {reason}." if place else f"Rules: {reason}.")


def _members(value: Any, wanted: set[str], place: str) -> None:
    if type(value) is not dict:
        raise _wrong(place, "it is not an object")
    for name in sorted(wanted - set(value)):
        raise _wrong(place, f"{name} is missing")
    for name in sorted(set(value) - wanted):
        raise _wrong(place, f"there is no member {name!r}")


def _section(document: dict[str, Any], name: str) -> dict[str, Any]:
    section = document[name]
    if type(section) is not dict or not section:
        raise _wrong(name, "it is not an object with members")
    for key, each in section.items():
        if type(each) is not dict:
            raise _wrong(f"{name}.{key}", "it is not an object")
    return section


def _codes(url: str, given: dict[str, Any]) -> Codes:
    place = f"systems.{url}"
    if not set(given) <= {"title", "codes", "pattern", "check"} or type(given.get("title")) is not str:
        raise _wrong(place, "a system has a title, and codes, or a pattern, a check or both")
    if "codes" in given:
        if type(given["codes"]) is not str or len(given) != 2 or not given["codes"].split():
            raise _wrong(place, "codes stand in one text, and without pattern or check")
        return Codes(frozenset(given["codes"].split()))
    pattern, check = given.get("pattern", ""), given.get("check", "")
    if type(pattern) is not str or type(check) is not str or not (pattern or check):
        raise _wrong(place, "it has neither codes nor pattern nor check")
    if check and check not in CHECKS:
        raise _wrong(place, f"there is no check {check!r}; there are {', '.join(sorted(CHECKS))}")
    if check in ("sctid", "loinc") and not pattern:
        raise _wrong(place, f"the check {check} needs a pattern beside it")
    try:
        costly = ways(pattern) > _MOST_WAYS
        codes = Codes(None, pattern, check)
    except (re.error, RecursionError, OverflowError):
        raise _wrong(place, "its pattern is no regular expression") from None
    if costly:
        raise _wrong(
            place, "its pattern repeats without end, or a repetition, or what can be read in two ways"
        )
    if any(probe in codes for probe in _PROBES):
        raise _wrong(place, "names, long numbers or no code at all would pass for codes")
    return codes


def _rules(place: str, name: str, shape: Shape | None, given: dict[str, Any]) -> dict[str, Rule]:
    if shape is None:
        raise _wrong(place, "this type is not known, or not one that rules can be given for")
    read: dict[str, Rule] = {}
    for stated, paths in given.items():
        action, _, parameter = stated.partition(" ")
        if type(paths) is not str:
            raise _wrong(f"{place}.{stated}", "elements stand in one text")
        for path in paths.split():
            at = f"{place}.{path}"
            if path in read:
                raise _wrong(at, "two rules name it")
            element = _element(shape, path, action, at)
            if reason := _reason_against(name, path, action, parameter, element):
                raise _wrong(at, reason)
            read[path] = Rule(action, parameter, element)
    for path in read:
        if any(path.startswith(f"{other}.") for other in read):
            raise _wrong(f"{place}.{path}", "a rule names what it is part of")
    return read


def _element(shape: Shape, path: str, action: str, place: str) -> Element:
    if path in shape.elements:
        return shape.elements[path]
    if path == CONTAINED or (path and path == shape.loop):
        return Element(CONTAINED if path == CONTAINED else "recursive")
    if action == "redact" and path in shape.branches:
        return Element("BackboneElement")
    raise _wrong(place, "FHIR R4 has no such element here")


def _reason_against(name: str, path: str, action: str, parameter: str, element: Element) -> str:
    """Why an action is none for an element; empty when it is one."""
    kind = element.type
    if parameter and action != "generalise":
        return f"{action} takes no parameter"
    if action == "redact":
        return ""
    if kind == "Range" and path.rpartition(".")[2] in _AGES:
        return "ages in a Range could be over 89: they are removed"
    if action == "date-shift" and path.rpartition(".")[2] in _BIRTHS:
        return "a day of birth is not moved: generalise year"
    if action == "keep":
        if (name, path) == ("Age", "value"):
            return f"ages are kept up to {_OLDEST} alone: generalise {_OLDEST}"
        checked = path in _CHECKED.get(name, ())
        if kind in _NUMBERS or kind == "boolean" or checked or (kind == "code" and element.codes):
            return ""
        return f"a {kind} can hold anything: it is not kept"
    allowed = {
        "date-shift": kind in MOMENTS,
        "pseudonymise": kind in ("Reference", "Identifier", "uid"),
        "text": kind in _TEXTS or kind in ("Attachment", "Narrative"),
        "as-type": kind not in PRIMITIVES and kind != "Reference",
    }
    if action == "generalise":
        years = parameter == "year" and kind in MOMENTS
        ages = parameter == str(_OLDEST) and (name, path) == ("Age", "value")
        starts = kind == "string" and parameter.isdigit() and 0 < int(parameter) <= _LONGEST_START
        return "" if years or ages or starts else f"a {kind} is not generalised in this way"
    if action not in allowed:
        return f"there is no action {action!r}"
    return "" if allowed[action] else f"{action} is not for a {kind}"


def _have_type_rules(place: str, rules: Mapping[str, Rule], types: Mapping[str, Any]) -> None:
    for path, rule in rules.items():
        if rule.action == "as-type" and rule.element.type not in (*types, "recursive", CONTAINED):
            raise _wrong(f"{place}.{path}", f"there are no rules for its type, {rule.element.type}")
