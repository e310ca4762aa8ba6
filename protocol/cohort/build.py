"""A cohort: one row a patient who agrees and whom the mapping can describe, at levels where nobody stands alone.

Consent is asked of each patient anew whenever a cohort is built. The levels of k-anonymity are chosen when a dataset is
made and stay: rows that come later are generalised at these levels, and wait while their class is smaller than k
together with the rows that are there. When somebody leaves, the remainder of a class below k leaves too.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from protocol.cohort import anonymity
from protocol.cohort.history import History
from protocol.cohort.mapping import OPT_IN, CohortMapping, LeftOut
from protocol.errors import DataError
from protocol.fhir.consent import decision

if TYPE_CHECKING:
    from protocol.fhir.resource import Clean

CONSENT = "Consent"
OBJECTED, NO_PERMIT, WAITS = "objection", "no permit", "class smaller than k"
LEFT, TWICE = "left this dataset before", "another record of the same individual"
#: A count below says something of too few patients; counts above are given in steps of as many.
STEP = 5


class Source(Protocol):
    """The records that a cohort is built of, as `protocol.vault.records.Records` has them."""

    def by_patient(self, types: Iterable[str]) -> Iterator[tuple[str, list[Clean]]]:
        """A patient's resources of these types together; of nobody who withdrew."""

    def rules(self) -> list[str]:
        """Digests of the rules that they were de-identified by."""

    def individuals(self) -> Mapping[str, frozenset[str]]:
        """All pseudonyms of the individual that one is of, where their Patient resources say that they are several."""

    def scan(self, types: Collection[str], patients: Collection[str]) -> Iterator[Clean]:
        """The resources of some types and patients."""


@dataclass(frozen=True)
class CohortRow:
    """A patient, by pseudonym, and the record of the schema."""

    patient: str
    record: dict[str, float]


@dataclass(frozen=True)
class Members:
    """Who is in a dataset already: records by what stands for a patient there, and how that is made of a pseudonym;
    ``left``: what stands for those who are out of it for good."""

    records: Mapping[Hashable, Mapping[str, float]]
    of: Callable[[str], Hashable] = lambda patient: patient
    left: Collection[Hashable] = frozenset()


@dataclass(frozen=True)
class Cohort:
    """``rows``: new ones, by pseudonym. ``report`` goes into the evidence. ``left_out``: patients by reason, exact, for
    the hospital alone. Of members, by pseudonym: ``objected`` may not be used any more, and ``remainder`` would be in
    classes smaller than k without them. ``sizes``: how many classes have each size, and ``labels``: how many rows are
    negative and positive, members and new rows together."""

    rows: list[CohortRow]
    report: dict[str, Any]
    left_out: dict[str, int]
    levels: dict[str, int]
    objected: list[str]
    remainder: list[str]
    sizes: dict[int, int]
    labels: tuple[int, int]


def build(
    records: Source,
    mapping: CohortMapping,
    *,
    at: Callable[[str], date],
    k: int | None = None,
    max_suppressed: float | None = None,
    consent: str | None = None,
    levels: Mapping[str, int] | None = None,
    existing: Members | None = None,
) -> Cohort:
    """The cohort of a mapping, or what has come since.

    ``at``: today as a patient's records have it, which is moved by the patient's shift; ``k``, ``max_suppressed`` and
    ``consent``: other than the mapping's, ``k`` not below it, and opt-in only ever in the place of opt-out; ``levels``:
    those of the dataset that ``existing`` are the members of.
    Raises `DataError` for settings that the mapping forbids, and where k cannot be reached.
    """
    k, mode = _settings(mapping, k, consent)
    if existing is not None and levels is None:
        raise DataError("More rows for a dataset need the levels that it was made with.")
    share = mapping.anonymity.max_suppressed if max_suppressed is None else max_suppressed
    members = existing or Members({})
    found = _read(records, mapping, mode, at, members)
    hierarchies = mapping.anonymity.hierarchies
    names = [each.name for each in hierarchies]

    kept = {key: record for key, record in members.records.items() if key not in found.gone}
    small = anonymity.too_small((_class(record, names) for record in kept.values()), k)
    short = {key for key, record in kept.items() if _class(record, names) in small}
    kept = {key: record for key, record in kept.items() if key not in short}

    columns = {name: np.array([row.record[name] for row in found.rows], np.float64) for name in names}
    if levels is None:
        if not found.rows:
            raise DataError("No patient in the records has a row by this mapping.", _why(found.left_out))
        levels = anonymity.choose(columns, hierarchies, k, share).levels
    made = anonymity.generalise(columns, hierarchies, levels)
    own = {name: np.array([record[name] for record in kept.values()], np.float64) for name in names}
    together = [np.concatenate([own[name], made[name]]) for name in names]
    sizes = anonymity.class_sizes(together)
    enough = sizes >= k
    taken = np.flatnonzero(enough[len(kept) :]).tolist()
    rows = [_generalised(found.rows[place], made, place) for place in taken]
    left_out = found.left_out
    if waiting := len(found.rows) - len(rows):
        left_out[WAITS] = waiting

    labels = [record[mapping.label.name] for record in kept.values()] + [
        row.record[mapping.label.name] for row in rows
    ]
    positive = sum(label > 0 for label in labels)
    classes = [column[enough] for column in together]
    report = {
        "cohort": mapping.name,
        "mapping": mapping.digest().hex(),
        "rules": records.rules(),
        "purpose": mapping.purpose,
        "consent": mode,
        "features": len(mapping.features),
        "before_label": mapping.before_label,
        "quasi_identifiers": names,
        "k": k,
        "levels": dict(levels),
        "left_out": {reason: steps(count) for reason, count in sorted(left_out.items())},
        "patients_with_unread_values": {
            reason: steps(count) for reason, count in sorted(found.unread.items())
        },
        **_reached(classes, np.array(labels), sizes[enough]),
        "loss": round(anonymity.loss_of(columns, hierarchies, levels, enough[len(kept) :]), 2),
    }
    return Cohort(
        rows,
        report,
        dict(sorted(left_out.items())),
        dict(levels),
        sorted(found.objected),
        sorted(found.pseudonyms[key] for key in short if key in found.pseudonyms),
        _histogram(sizes[enough]),
        (len(labels) - positive, positive),
    )


def remainder(
    members: Mapping[Hashable, Mapping[str, float]], quasi_identifiers: Sequence[str], k: int
) -> list[Hashable]:
    """Of the members of a dataset those whose class is smaller than k, as it may be after a withdrawal."""
    small = anonymity.too_small((_class(record, quasi_identifiers) for record in members.values()), k)
    return [key for key, record in members.items() if _class(record, quasi_identifiers) in small]


def steps(count: int) -> int | str:
    """A count as a report may tell it: "<5", or the multiple of five that it reaches."""
    return f"<{STEP}" if count < STEP else count // STEP * STEP


@dataclass
class _Found:
    """What the records gave: rows not generalised, and of members who may stay."""

    rows: list[CohortRow]
    left_out: dict[str, int]
    unread: Counter[str]
    objected: list[str]
    #: Of members: what stands for them, of those who leave; and pseudonyms by it.
    gone: set[Hashable]
    pseudonyms: dict[Hashable, str]


def _read(
    records: Source, mapping: CohortMapping, mode: str, at: Callable[[str], date], members: Members
) -> _Found:
    found = _Found([], {}, Counter(), [], set(), {})
    left_out: Counter[str] = Counter()
    unread: Counter[str] = Counter()
    people = _People(records, mapping.purpose, mode, at)
    for patient, resources in records.by_patient({*mapping.types, CONSENT}):
        key = members.of(patient)
        is_member = key in members.records
        if is_member:
            found.pseudonyms[key] = patient
        refused = people.refused(patient, resources)
        if refused and is_member:
            found.objected.append(patient)
            found.gone.add(key)
        elif not refused and not is_member:
            if key in members.left:
                refused = LEFT
            elif people.has_row(patient) or people.any_of(patient, members):
                refused = TWICE
        if refused or is_member:
            left_out[refused] += bool(refused)
            continue
        history = History(resources)
        row = mapping.row(history)
        unread.update(history.unread)
        if isinstance(row, LeftOut):
            left_out[row.reason] += 1
        else:
            found.rows.append(CohortRow(patient, row))
            people.add_row(patient)
    found.rows.sort(key=lambda row: row.patient)
    found.left_out, found.unread = dict(+left_out), unread
    return found


class _People:
    """Who is one individual under several pseudonyms: one row at most, and an objection of one is of all."""

    def __init__(self, records: Source, purpose: str, mode: str, at: Callable[[str], date]) -> None:
        self._purpose, self._mode, self._at = purpose, mode, at
        self._groups = records.individuals()
        self._taken: set[str] = set()
        self._consents: dict[str, list[Mapping[str, Any]]] = {}
        if self._groups:
            for each in records.scan({CONSENT}, self._groups.keys()):
                self._consents.setdefault(each.patient, []).append(each.content)

    def refused(self, patient: str, resources: Sequence[Clean]) -> str:
        """Why consent keeps a patient out; empty where it does not."""
        consents = {patient: [each.content for each in resources if each.type == CONSENT]}
        for other in self._groups.get(patient, ()):
            consents[other] = self._consents.get(other, [])
        # Dates are moved by the shift of the pseudonym that they are kept under.
        answers = {decision(each, self._purpose, self._at(name)) for name, each in consents.items()}
        if "deny" in answers:
            return OBJECTED
        return NO_PERMIT if self._mode == OPT_IN and "permit" not in answers else ""

    def has_row(self, patient: str) -> bool:
        """Whether the individual has a row under another pseudonym."""
        return patient in self._taken

    def add_row(self, patient: str) -> None:
        self._taken |= self._groups.get(patient, frozenset())

    def any_of(self, patient: str, members: Members) -> bool:
        """Whether the individual is a member under any pseudonym."""
        return any(members.of(each) in members.records for each in self._groups.get(patient, ()))


def _settings(mapping: CohortMapping, k: int | None, consent: str | None) -> tuple[int, str]:
    least = mapping.anonymity.k
    if k is not None and k < least:
        raise DataError(f"The mapping {mapping.name} asks for k of {least} at least, not {k}.")
    if consent is not None and mapping.consent == OPT_IN != consent:
        raise DataError(f"The mapping {mapping.name} takes none without a permit: it is {OPT_IN}.")
    return k or least, consent or mapping.consent


def _class(record: Mapping[str, float], names: Sequence[str]) -> tuple[float, ...]:
    return tuple(float(record[name]) for name in names)


def _generalised(row: CohortRow, made: Mapping[str, np.ndarray], place: int) -> CohortRow:
    own = {name: float(column[place]) for name, column in made.items()}
    return CohortRow(row.patient, {**row.record, **own})


def _reached(classes: Sequence[np.ndarray], labels: np.ndarray, sizes: np.ndarray) -> dict[str, Any]:
    if not len(sizes):
        return {}
    return {
        "k_reached": int(sizes.min()),
        # Of the prosecutor: who knows that a patient is among them, and the quasi-identifiers.
        "highest_risk": round(1 / int(sizes.min()), 4),
        "distinct_labels": anonymity.distinct_labels(classes, labels),
    }


def _histogram(sizes: np.ndarray) -> dict[int, int]:
    """How many classes have each size, of the size of each row's class."""
    size, rows = np.unique(sizes, return_counts=True)
    return {int(each): int(count // each) for each, count in zip(size, rows, strict=True)}


def _why(left_out: Mapping[str, int]) -> str:
    return "Left out: " + "; ".join(f"{reason}: {count}" for reason, count in left_out.items()) + "."
