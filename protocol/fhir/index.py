"""A source at a first reading: what its references can mean, who its patients are, and what must not be taken.

In memory stay, of a resource, 20 bytes; of an entry with a full URL some 90 more; of a patient some 1,500; of an
identifier of what is referred to (practitioners, organisations, places, encounters) some 250; of a related person as
much as of a patient.
"""

from __future__ import annotations

from array import array
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import orjson

from protocol.data.pseudonyms import Pseudonyms
from protocol.fhir.compartment import PATIENT_IN
from protocol.fhir.known import Known, Words, displayed, names_in
from protocol.fhir.reading import Found
from protocol.fhir.references import ID, PATIENT, Names, Target
from protocol.fhir.versions import R4

_TYPES = sorted(R4)
_NUMBER_OF = {name: number for number, name in enumerate(_TYPES)}
#: Types that are referred to by identifier.
_IDENTIFIED = frozenset(
    {PATIENT, "Practitioner", "PractitionerRole", "Organization", "Location", "Encounter", "Device"}
)
#: Whose names are masked in anybody's notes.
_NAMED = frozenset({"Practitioner", "RelatedPerson", "Person"})
_STAFF_WORDS = 200_000
_STAFF = frozenset({*_NAMED, PATIENT})
#: Of a patient's own texts, and of those of people who belong to them.
_MOST_TEXTS = 256
_LONGEST_TEXT = 200
#: Names of people whom references name by URL alone.
_MOST_DISPLAYED = 100_000
_LONGEST_STATED = 256
#: How many bases of full URLs a source may have: one of a server's, in truth.
_MOST_SERVERS = 64
SHARED = "another Patient has one of its identifiers"
TWO = "another resource has its type and id, and another content"
NO_ID = "it has no id that FHIR allows, and no full URL"


@dataclass
class Person:
    """A patient as the source has them. ``reason``: why they and what is theirs are refused, or nothing."""

    texts: tuple[str, ...]
    born: str
    died: str
    identifiers: tuple[tuple[str, str], ...]
    reason: str = ""

    def known(self) -> Known:
        """Names, numbers and day of birth, for a second look."""
        return Known(self.texts, self.born)


class Index:
    """What a first reading collects. ``servers``: bases of the URLs under which its resources are known."""

    def __init__(self, servers: Collection[str] = ()) -> None:
        self.servers = {each if each.endswith("/") else f"{each}/" for each in servers}
        self.people: dict[str, Person] = {}
        self.staff = Words(_STAFF_WORDS)
        self._related: list[tuple[dict[str, Any], tuple[str, ...]]] = []
        self._displayed: dict[str, str] = {}
        self._urls: dict[int, int | Target | tuple[()]] = {}
        self._identifiers: dict[int, Target | tuple[()]] = {}
        self._keys, self._digests, self._owners = array("q"), array("q"), array("i")
        #: How resources name their patient, and by the order of keys which of these each does.
        self._stated: dict[str, int] = {}
        self._names: list[str] = []
        self._sorted, self._owner_of = np.empty(0, np.int64), np.empty(0, np.int32)
        self._conflicting: frozenset[int] = frozenset()
        self._repeated: frozenset[int] = frozenset()
        self._seen: set[int] = set()

    # --- first reading ---

    def add(self, found: Found) -> None:
        """Adds a resource."""
        target = target_of(found)
        if target is None:
            return
        self._keys.append(hash(target))
        dumped = orjson.dumps(found.resource, option=orjson.OPT_SORT_KEYS)
        self._digests.append(hash(dumped))
        if found.full_url:
            self._add_url(found.full_url, target)
        kind, resource = target[0], found.resource
        self._owners.append(self._stated_owner(kind, resource))
        if kind in _IDENTIFIED:
            identifiers = _identifiers(resource)
            for system, value in identifiers:
                self._add_identifier(target, system, value)
            if kind == PATIENT:
                self._add_patient(target[1], resource, identifiers)
        if kind in _NAMED:
            self.staff.add(names_in({"name": resource.get("name")}))
        if kind == "RelatedPerson" and type(resource.get("patient")) is dict:
            self._related.append((resource["patient"], _texts_of(resource)))
        if b'"display":' in dumped or b'"contained":' in dumped:
            self._add_displayed(resource)

    def finish(self) -> None:
        """Ends the first reading: tells what comes twice, and what comes with two contents."""
        keys, digests = np.frombuffer(self._keys, np.int64), np.frombuffer(self._digests, np.int64)
        order = np.lexsort((digests, keys))
        keys, digests = keys[order], digests[order]
        self._sorted, self._owner_of = keys, np.frombuffer(self._owners, np.int32)[order]
        self._names = list(self._stated)
        same = keys[1:] == keys[:-1]
        self._repeated = frozenset(keys[1:][same].tolist())
        self._conflicting = frozenset(keys[1:][same & (digests[1:] != digests[:-1])].tolist())
        self._keys, self._digests, self._owners = array("q"), array("q"), array("i")
        for patient_id, person in self.people.items():
            if not person.reason and hash((PATIENT, patient_id)) in self._conflicting:
                person.reason = TWO
        self._share()
        self._relate()

    def _stated_owner(self, kind: str, resource: dict[str, Any]) -> int:
        """The number of what a resource calls its patient; -1 where it names none in a reference."""
        for name in PATIENT_IN.get(kind, ()):
            reference = resource.get(name)
            stated = reference.get("reference") if type(reference) is dict else None
            if type(stated) is str and len(stated) <= _LONGEST_STATED:
                return self._stated.setdefault(stated, len(self._stated))
        return -1

    def _add_url(self, url: str, target: Target) -> None:
        kind, resource_id = target
        entry: int | Target = _NUMBER_OF[kind] if _tail(url) == resource_id else target
        if self._urls.setdefault(hash(url), entry) != entry:
            self._urls[hash(url)] = ()
        ending = f"{kind}/{resource_id}"
        if url.startswith("http") and url.endswith(f"/{ending}") and len(self.servers) < _MOST_SERVERS:
            self.servers.add(url[: -len(ending)])

    def _add_identifier(self, target: Target, system: str, value: str) -> None:
        for kind in ("", target[0]):
            at = hash((kind, system, value))
            other = self._identifiers.setdefault(at, target)
            if other != target:
                self._identifiers[at] = ()

    def _add_patient(
        self, patient_id: str, resource: dict[str, Any], identifiers: Collection[tuple[str, str]]
    ) -> None:
        born, died = resource.get("birthDate"), resource.get("deceasedDateTime")
        self.people[patient_id] = Person(
            _texts_of(resource),
            born if type(born) is str else "",
            died if type(died) is str else "",
            tuple(identifiers),
        )

    def _add_displayed(self, resource: dict[str, Any]) -> None:
        """The names of people that stand beside references to them."""
        for text, reference in displayed(resource):
            if not reference:
                self.staff.add((text,), shown=True)
            elif len(self._displayed) < _MOST_DISPLAYED:
                self._displayed.setdefault(reference, text[:_LONGEST_TEXT])

    def _relate(self) -> None:
        """Gives what names a related person to the patient, and the names of those whom URLs lead to to the staff."""
        names = Names(cast(Pseudonyms, None), self)
        for reference, texts in self._related:
            target = names.target(reference)
            person = self.people.get(target[1]) if target and target[0] == PATIENT else None
            if person is not None and len(person.texts) < 2 * _MOST_TEXTS:
                person.texts = tuple(dict.fromkeys(person.texts + texts))[: 2 * _MOST_TEXTS]
        for url, text in self._displayed.items():
            target = self.by_url(url) or None
            if target and target[0] in _STAFF:
                self.staff.add((text,), shown=True)
        self._related, self._displayed = [], {}

    def _share(self) -> None:
        """Marks the patients who have an identifier of another one."""
        owners: dict[int, str] = {}
        for patient_id, person in self.people.items():
            for identifier in person.identifiers:
                other = owners.setdefault(hash(identifier), patient_id)
                if other != patient_id:
                    person.reason = self.people[other].reason = SHARED

    # --- what it tells ---

    def by_url(self, url: str) -> Target | tuple[()] | None:
        """The resource of a full URL; empty where two have it; None where none has."""
        entry = self._urls.get(hash(url))
        if type(entry) is int:
            return _TYPES[entry], _tail(url)
        return entry  # type: ignore[return-value]

    def by_identifier(self, kind: str, system: str, value: str) -> Target | None:
        """The one resource, of a type or of any, that has an identifier."""
        return self._identifiers.get(hash((kind, system, value))) or None  # type: ignore[return-value]

    def owner(self, target: Target) -> str:
        """The reference by which a resource names its patient; empty where the source does not say."""
        key = hash(target)
        at = int(np.searchsorted(self._sorted, key))
        if at == len(self._sorted) or self._sorted[at] != key or self._owner_of[at] < 0:
            return ""
        return self._names[self._owner_of[at]]

    def is_conflicting(self, target: Target) -> bool:
        """Whether resources with this type and id have other contents."""
        return hash(target) in self._conflicting

    def is_again(self, target: Target) -> bool:
        """Whether a resource that comes several times, always the same, was asked for before."""
        key = hash(target)
        if key not in self._repeated:
            return False
        if key in self._seen:
            return True
        self._seen.add(key)
        return False


def _tail(url: str) -> str:
    """The last part of a URL, or of a URN: mostly an id."""
    return url.rpartition("/")[2].rpartition(":")[2]


def target_of(found: Found) -> Target | None:
    """Type and id of a resource; without id, the end of its entry's "urn:uuid:…"."""
    resource_id = found.resource.get("id")
    if resource_id is None and found.full_url.startswith("urn:"):
        resource_id = found.full_url.rpartition(":")[2]
    if type(resource_id) is not str or not ID.fullmatch(resource_id):
        return None
    return found.resource["resourceType"], resource_id


def _texts_of(resource: dict[str, Any]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(each[:_LONGEST_TEXT] for each in names_in(resource)))[:_MOST_TEXTS]


def _identifiers(resource: dict[str, Any]) -> list[tuple[str, str]]:
    return [
        (each["system"] if type(each.get("system")) is str else "", each["value"])
        for each in _list(resource.get("identifier"))
        if type(each) is dict and type(each.get("value")) is str and each["value"].strip()
    ]


def _list(value: Any) -> list[Any]:
    return value if type(value) is list else [value] if type(value) is dict else []
