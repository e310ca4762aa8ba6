"""Who is whom among the people in records, and how one of them goes without the others.

The links of a Patient and of a Person name other records **of the same individual** (FHIR R4): who withdraws, withdraws
all of them, a RelatedPerson among them, in whosever record it is. Any other reference to somebody is part of another's
record, which stays; the reference goes, and FHIR's own words stand for it (data-absent-reason, masked).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

TYPES = ("Patient", "RelatedPerson", "Person")
#: Resources whose references to people, beside their own, are to the same individual.
_LINKING = ("Patient", "Person")
#: In JSON without spaces.
_REFERENCE = re.compile(rb'"reference":"((?:Patient|RelatedPerson|Person)/[^"\\/]+)(?:/[^"\\]*)?"')
_MASKED = {
    "extension": [
        {"url": "http://hl7.org/fhir/StructureDefinition/data-absent-reason", "valueCode": "masked"}
    ]
}


def named(type_: str, own_id: object, content: bytes) -> tuple[str, ...]:
    """The people that a resource (compact JSON) refers to as "Patient/id", each once; where it is of a person itself,
    its own reference first."""
    found = {each.decode("utf-8", "replace") for each in _REFERENCE.findall(content)}
    if type_ not in TYPES:
        return tuple(sorted(found))
    own = f"{type_}/{own_id}"
    return (own, *sorted(found - {own}))


def masked(value: Any, references: Collection[str]) -> Any:
    """A resource, or part of one, without these references."""
    if isinstance(value, dict):
        stated = value.get("reference")
        if isinstance(stated, str) and "/".join(stated.split("/")[:2]) in references:
            return _MASKED
        return {name: masked(each, references) for name, each in value.items()}
    if isinstance(value, list):
        return [masked(each, references) for each in value]
    return value


def links(type_: str, persons: tuple[str, ...]) -> tuple[str, ...]:
    """Other records of the same individual that a resource names; ``persons`` as `named` found them."""
    return persons[1:] if type_ in _LINKING else ()


@dataclass(frozen=True)
class Withdrawn:
    """What is remembered of a patient who withdrew, so that it does not come back: pseudonyms alone.

    ``same``: further pseudonyms of the same individual. ``resources``: how many were removed.
    """

    aliases: tuple[str, ...] = ()
    references: tuple[str, ...] = ()
    same: tuple[str, ...] = ()
    resources: int = 0

    def joined(self, other: Withdrawn) -> Withdrawn:
        """With what another one remembers of the same patient."""
        return Withdrawn(
            *(
                tuple(sorted({*own, *theirs}))
                for own, theirs in zip(self._names(), other._names(), strict=True)
            ),
            self.resources + other.resources,
        )

    def _names(self) -> tuple[tuple[str, ...], ...]:
        return self.aliases, self.references, self.same


@dataclass
class Erasure:
    """What goes: all resources of some patients, and the references to ``references`` in others'.

    ``keys``: further resources that go, each with the patient of ``patients`` who is the same individual. ``same``: the
    pseudonyms of the individual that each patient is, where there are several. ``aliases``: of each patient.
    """

    patients: set[str]
    references: set[str] = field(default_factory=set)
    keys: dict[bytes, str] = field(default_factory=dict)
    same: dict[str, set[str]] = field(default_factory=dict)
    aliases: dict[str, set[str]] = field(default_factory=dict)
    own_references: dict[str, set[str]] = field(default_factory=dict)

    def goes(self, table: pa.Table) -> pa.ChunkedArray:
        """bool[n]: which rows go."""
        of_them = pc.is_in(table["patient"], pa.array(sorted(self.patients), pa.string()))
        if not self.keys:
            return of_them
        return pc.or_(of_them, pc.is_in(table["key"], pa.array(sorted(self.keys), pa.binary(16))))

    def refers(self, table: pa.Table) -> list[int]:
        """Places of the rows that refer to any of them."""
        if not self.references:
            return []
        column = table["persons"].combine_chunks()
        hit = pc.is_in(pc.list_flatten(column), pa.array(sorted(self.references), pa.string()))
        return sorted(set(pc.list_parent_indices(column).filter(hit).to_pylist()))

    def touches(self, table: pa.Table) -> bool:
        """Whether any row goes, or refers to who goes."""
        return bool(pc.any(self.goes(table)).as_py() or self.refers(table))

    def counted(self, table: pa.Table) -> Counter[str]:
        """How many rows go, by patient."""
        gone = table.filter(self.goes(table))
        keys, patients = gone["key"].to_pylist(), gone["patient"].to_pylist()
        return Counter(self.keys.get(key, patient) for key, patient in zip(keys, patients, strict=True))

    def notes(self, removed: Counter[str]) -> dict[str, Withdrawn]:
        """What is remembered, of whom anything was removed."""
        return {
            patient: Withdrawn(
                tuple(sorted(self.aliases.get(patient, ()))),
                tuple(sorted(self.own_references.get(patient, ()))),
                tuple(sorted(self.same.get(patient, set()) - {patient})),
                removed[patient],
            )
            for patient in sorted(self.patients)
            if removed[patient] or patient in self.same
        }


def erasure(people: Callable[[], Iterable[pa.Table]], patients: Collection[str]) -> Erasure:
    """What goes when these patients withdraw. `people` gives the rows of `TYPES` as often as it is called."""
    edges: dict[str, set[str]] = {}
    started: dict[str, str] = {}
    for row in _rows(people):
        _connect(edges, row)
        if row["type"] == "Patient" and row["patient"] in patients:
            started[row["persons"][0]] = row["patient"]
    #: Each reference that is reached, and the patient of ``patients`` from whom.
    reached: dict[str, str] = {}
    for own, patient in sorted(started.items()):
        if own not in reached:
            reached |= dict.fromkeys(_connected(own, edges), patient)
    found = Erasure({*patients}, {*reached})
    for row in _rows(people):
        if row["type"] == "Patient" and row["persons"][0] in reached:
            first = reached[row["persons"][0]]
            found.patients.add(row["patient"])
            found.same.setdefault(first, {first}).add(row["patient"])
    # Those of one individual share one set.
    for same in list(found.same.values()):
        found.same |= dict.fromkeys(same, same)
    for row in _rows(people):
        own, patient = row["persons"][0], row["patient"]
        if patient in found.patients:
            found.aliases.setdefault(patient, set()).update(row["aliases"])
        elif own in reached:
            found.keys[row["key"]] = patient = reached[own]
        else:
            continue
        found.references.add(own)
        found.own_references.setdefault(patient, set()).add(own)
    return found


def individuals(people: Callable[[], Iterable[pa.Table]]) -> dict[str, frozenset[str]]:
    """Pseudonyms that links connect with others: by each of them all of the same individual. `people` as for
    `erasure`."""
    edges: dict[str, set[str]] = {}
    for row in _rows(people):
        _connect(edges, row)
    left = {
        row["persons"][0]: row["patient"]
        for row in _rows(people)
        if row["type"] == "Patient" and row["patient"] and row["persons"][0] in edges
    }
    found: dict[str, frozenset[str]] = {}
    while left:
        reached = _connected(next(iter(left)), edges)
        same = frozenset(left.pop(each) for each in reached & left.keys())
        if len(same) > 1:
            found |= dict.fromkeys(same, same)
    return found


def remembered(noted: Mapping[str, Withdrawn], patients: Collection[str]) -> set[str]:
    """Patients, and further pseudonyms of the same individuals as far as is remembered of those who withdrew."""
    edges: dict[str, set[str]] = {}
    for patient, each in noted.items():
        for other in each.same:
            edges.setdefault(patient, set()).add(other)
            edges.setdefault(other, set()).add(patient)
    return {other for each in patients for other in _connected(each, edges)}


def _connect(edges: dict[str, set[str]], row: dict[str, Any]) -> None:
    """Adds the links of a resource, both ways."""
    own = row["persons"][0]
    for other in links(row["type"], tuple(row["persons"])):
        edges.setdefault(own, set()).add(other)
        edges.setdefault(other, set()).add(own)


def _connected(start: str, edges: dict[str, set[str]]) -> set[str]:
    found, todo = {start}, [start]
    while todo:
        new = edges.get(todo.pop(), set()) - found
        found |= new
        todo += new
    return found


def _rows(people: Callable[[], Iterable[pa.Table]]) -> Iterator[dict[str, Any]]:
    for table in people():
        yield from table.select(["key", "type", "patient", "aliases", "persons"]).to_pylist()
