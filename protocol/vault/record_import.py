"""An import of records in the making: spooled to encrypted files, compared with what is there, committed in one step.

What comes is kept in memory up to a share of the setting, then written as a sorted run; eight runs are merged into one.
At the end runs and files that hold what was replaced are merged, each key with its newest content alone.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from protocol.errors import DataError
from protocol.vault import disk, persons
from protocol.vault.digests import Digests
from protocol.vault.merging import Input, merged, most_overlapping
from protocol.vault.persons import Erasure, Withdrawn
from protocol.vault.record_files import (
    FILE_BYTES,
    KEY_BYTES,
    ROW_BYTES,
    SCHEMA,
    Entry,
    RecordFiles,
)

if TYPE_CHECKING:
    from protocol.fhir.resource import Clean
    from protocol.vault.store import Vault

_FAN_IN = 8
#: So many small files are merged into larger ones.
_SMALL_FILES, _SMALL_BYTES = 8, FILE_BYTES // 8
#: When more files than these hold rows of one patient, all are merged: readers open as many at once.
_MAX_OVERLAP = 12
_MAX_GROUP_BYTES = 4 << 20
#: What a row in memory takes beside its content, about: objects of Python, keys in a dictionary.
_OBJECT_BYTES = 1_024


@dataclass
class Outcome:
    """How many resources of each type were ... ``refused_withdrawn``: of patients who withdrew."""

    by_type: dict[str, Counter[str]] = field(default_factory=dict)

    def count(self, type_: str, what: str, number: int = 1) -> None:
        self.by_type.setdefault(type_, Counter())[what] += number

    @property
    def new(self) -> int:
        return self._sum("new")

    @property
    def replaced(self) -> int:
        """Same key, other content."""
        return self._sum("replaced")

    @property
    def unchanged(self) -> int:
        return self._sum("unchanged")

    @property
    def refused_withdrawn(self) -> int:
        return self._sum("refused_withdrawn")

    def _sum(self, what: str) -> int:
        return sum(each[what] for each in self.by_type.values())


class _Row(NamedTuple):
    """In the order of the sort. ``content``: JSON."""

    patient: str
    key: bytes
    type: str
    aliases: tuple[str, ...]
    sha256: bytes
    persons: tuple[str, ...]
    content: bytes


@dataclass(frozen=True)
class _Run:
    """Sorted files without overlap, that hold the newest of each key up to run number ``through``. ``level``: how often
    they were merged."""

    files: tuple[Entry, ...]
    through: int
    level: int = 0


class Import:
    """Get one with `Records.importing`. ``outcome`` counts as it goes, and is final once that has ended."""

    def __init__(self, vault: Vault, files: RecordFiles, memory_bytes: int, rules: str) -> None:
        self.outcome = Outcome()
        self._vault, self._files, self._rules = vault, files, rules
        self._before = files.manifest()
        self._spool_bytes, self._group_bytes = memory_bytes // 4, group_bytes(memory_bytes)
        self._rows: dict[bytes, _Row] = {}
        self._size, self._run, self._replaced = 0, 1, False
        self._runs: list[_Run] = []
        self._known = Digests()
        for entry in self._before.files:
            with files.opened(entry) as stored:
                for head in stored.heads():
                    self._known.add_many(head["key"], _marks(head), 0)
        noted = self._before.withdrawn.values()
        self._gone = {reference for each in noted for reference in each.references}
        # Who withdraws meanwhile goes when this is committed.
        self._withdrawn = {*vault.refused(), *(alias for each in noted for alias in each.aliases)}
        self._refused: dict[str, Withdrawn] = {}
        self._dropped = Counter[str]()

    def add(self, clean: Clean) -> None:
        """Takes a resource. Of a patient who withdrew nothing is kept, and of others no reference to one.

        Raises DataError for one that is none, and VaultError when nothing can be written.
        """
        row = _row(clean)
        if self._is_refused(row):
            self.outcome.count(row.type, "refused_withdrawn")
            return
        if self._gone.intersection(row.persons):
            row = _row(replace(clean, content=persons.masked(clean.content, self._gone)))
        mark = _mark(row.sha256, row.patient, row.aliases)
        known = self._known.find(row.key)
        if known is not None and known.mark == mark:
            self.outcome.count(row.type, "unchanged")
            return
        self.outcome.count(row.type, "replaced" if known else "new")
        self._replaced |= known is not None and known.run == 0
        self._known.put(row.key, mark, self._run)
        if (before := self._rows.pop(row.key, None)) is not None:
            self._size -= len(before.content) + _OBJECT_BYTES
        self._rows[row.key] = row
        self._size += len(row.content) + _OBJECT_BYTES
        if self._size >= self._spool_bytes:
            self._spool()

    def commit(self) -> None:
        """Makes what came count, all of it. Raises VaultError; it is as it was then."""
        self._spool()
        with disk.writing(str(self._files.folder)):
            gone = Erasure(
                {*self._vault.refused(), *self._refused},
                references={each for noted in self._refused.values() for each in noted.references},
            )
            stay, rewritten = self._sorted_out(gone)
            if len(self._runs) > 1 or rewritten or self._refused or self._is_mixed(gone):
                while len(self._runs) > _FAN_IN:
                    self._merge_runs(gone)
                inputs = [each for run in self._runs for each in self._of_run(run, gone)]
                inputs += [self._input(entry, 0, gone, Counter()) for entry in rewritten]
                written = self._files.write(self._before.number + 1, merged(inputs), self._group_bytes)
                self._recount()
            else:
                written = [entry for run in self._runs for entry in run.files]
            if written or rewritten or self._refused:
                self._vault.refuse(self._refused)
                self._files.commit(self._before.next([*stay, *written], self._refused, self._rules))

    def _is_refused(self, row: _Row) -> bool:
        if row.patient in self._withdrawn or row.patient in self._refused:
            return True
        if row.type not in persons.TYPES:
            return False
        own, *_ = row.persons
        if own in self._gone:
            return True
        linked = self._gone.intersection(persons.links(row.type, row.persons))
        if not linked and not self._withdrawn.intersection(row.aliases):
            return False
        # One of the same individual: what came of it before goes again, when this is committed.
        self._gone.add(own)
        if row.type == "Patient" and row.patient:
            self._refused[row.patient] = Withdrawn(row.aliases, (own,), self._matched(row))
        return True

    def _matched(self, row: _Row) -> tuple[str, ...]:
        """Pseudonyms of who withdrew, or was refused, by whose alias or reference a Patient is known."""
        aliases, linked = {*row.aliases}, {*persons.links(row.type, row.persons)}
        return tuple(
            sorted(
                patient
                for patient, each in {**self._before.withdrawn, **self._refused}.items()
                if aliases.intersection((patient, *each.aliases)) or linked.intersection(each.references)
            )
        )

    def _spool(self) -> None:
        if not self._rows:
            return
        with disk.writing(str(self._files.folder)):
            self._files.begin()
            rows = _tables(sorted(self._rows.values(), key=lambda row: row[:2]))
            written = self._files.write(self._before.number + 1, rows, self._group_bytes)
            # Not before: where it could not be written it is still to be.
            self._rows, self._size = {}, 0
            self._runs.append(_Run(tuple(written), self._run))
            self._run += 1
            for level in range(len(self._runs)):
                if sum(run.level == level for run in self._runs) == _FAN_IN:
                    self._merge_runs(Erasure(set()), level)

    def _merge_runs(self, gone: Erasure, level: int | None = None) -> None:
        """Makes one of `_FAN_IN` runs: those of a level, or the smallest."""
        if level is None:
            chosen = sorted(self._runs, key=lambda run: sum(entry.size for entry in run.files))[:_FAN_IN]
        else:
            chosen = [run for run in self._runs if run.level == level]
        inputs = [each for run in chosen for each in self._of_run(run, gone)]
        written = self._files.write(self._before.number + 1, merged(inputs), self._group_bytes)
        through, deepest = max(run.through for run in chosen), max(run.level for run in chosen)
        self._runs = [run for run in self._runs if run not in chosen]
        self._runs.append(_Run(tuple(written), through, deepest + 1))
        disk.remove(self._files.folder / entry.name for run in chosen for entry in run.files)

    def _sorted_out(self, gone: Erasure) -> tuple[list[Entry], list[Entry]]:
        """The files of before that stay as they are, and those to be written anew."""
        stay, rewritten = [], []
        for entry in self._before.files:
            touched = (self._replaced or self._refused) and self._is_touched(entry, gone)
            (rewritten if touched else stay).append(entry)
        small = [entry for entry in stay if entry.size < _SMALL_BYTES]
        if self._runs and len(small) >= _SMALL_FILES:
            stay, rewritten = [entry for entry in stay if entry not in small], [*rewritten, *small]
        if self._runs and _overlap([*stay, *rewritten]) > _MAX_OVERLAP:
            stay, rewritten = [], [*stay, *rewritten]
        return stay, rewritten

    def _is_touched(self, entry: Entry, gone: Erasure) -> bool:
        with self._files.opened(entry) as stored:
            return any(
                np.any(self._known.runs(head["key"]) != 0) or (self._refused and gone.touches(head))
                for head in stored.heads()
            )

    def _is_mixed(self, gone: Erasure) -> bool:
        """Whether patients withdrew while this went on."""
        return any(
            pc.any(gone.goes(head)).as_py()
            for run in self._runs
            for entry in run.files
            for head in self._heads(entry)
        )

    def _heads(self, entry: Entry) -> Iterator[pa.Table]:
        with self._files.opened(entry) as stored:
            yield from stored.heads()

    def _of_run(self, run: _Run, gone: Erasure) -> list[Input]:
        return [self._input(entry, run.through, gone, self._dropped) for entry in run.files]

    def _input(self, entry: Entry, through: int, gone: Erasure, dropped: Counter[str]) -> Input:
        def wanted(head: pa.Table) -> pa.Array:
            newest = pa.array(self._known.runs(head["key"]) <= through)
            goes = gone.goes(head)
            dropped.update(head["type"].filter(pc.and_(newest, goes)).to_pylist())
            return pc.and_(newest, pc.invert(goes))

        return input_of(self._files, entry, wanted, gone)

    def _recount(self) -> None:
        """Resources that were taken, and then turned out to be of somebody who withdrew."""
        for type_, number in self._dropped.items():
            counts = self.outcome.by_type[type_]
            new = min(number, counts["new"])
            counts["new"] -= new
            counts["replaced"] -= number - new
            counts["refused_withdrawn"] += number


def group_bytes(memory_bytes: int) -> int:
    """How large row groups may be, so that as many as are merged at once have room."""
    return min(_MAX_GROUP_BYTES, max(memory_bytes // 128, 1 << 16))


def input_of(
    files: RecordFiles, entry: Entry, wanted: Callable[[pa.Table], pa.Array], gone: Erasure
) -> Input:
    """The `wanted` rows of a file for a merge, without references to who is gone."""

    def tables() -> Iterator[pa.Table]:
        with files.opened(entry) as stored:
            yield from (without(table, gone) for table in stored.tables(wanted))

    return Input(entry.first, tables)


def without(table: pa.Table, gone: Erasure) -> pa.Table:
    """Rows without references to who is gone."""
    places = gone.refers(table)
    if not places:
        return table
    rows = table.to_pylist()
    for at in places:
        row = rows[at]
        content = _dumped(persons.masked(orjson.loads(row["content"]), gone.references))
        row["content"], row["sha256"] = content, hashlib.sha256(content).digest()
        row["persons"] = [each for each in row["persons"] if each not in gone.references]
    return pa.Table.from_pylist(rows, schema=SCHEMA)


def _overlap(files: Collection[Entry]) -> int:
    return most_overlapping((entry.first, entry.last) for entry in files)


def _row(clean: Clean) -> _Row:
    """Raises DataError, which quotes nothing."""
    if len(clean.key) != KEY_BYTES or not clean.type or not isinstance(clean.content, dict):
        raise DataError("A resource lacks its key, its type or its content.")
    try:
        content = _dumped(clean.content)
        found = persons.named(clean.type, clean.content.get("id"), content)
        aliases = tuple(sorted({*clean.aliases}))
        "".join((clean.type, clean.patient, *aliases, *found)).encode()
    except (TypeError, UnicodeEncodeError):
        raise DataError("A resource holds what JSON in UTF-8 cannot, or is nested too deeply.") from None
    digest = hashlib.sha256(content).digest()
    return _Row(clean.patient, clean.key, clean.type, aliases, digest, found, content)


def _dumped(content: dict[str, Any]) -> bytes:
    """JSON without spaces, names in order: the same bytes for the same content."""
    dumped = orjson.dumps(content, option=orjson.OPT_SORT_KEYS, default=float)
    # What orjson gives sits in some 4 KiB, however short it is: a copy takes its own length.
    return bytes(memoryview(dumped))


def _tables(rows: list[_Row]) -> Iterator[pa.Table]:
    """A few rows at a time, so that they are not in memory twice."""
    start = size = 0
    for end, row in enumerate(rows, 1):
        size += len(row.content) + ROW_BYTES
        if size >= 1 << 20 or end == len(rows):
            columns = zip(*rows[start:end], strict=True)
            yield pa.Table.from_pydict(dict(zip(_Row._fields, columns, strict=True)), schema=SCHEMA)
            start, size = end, 0


def _mark(sha256: bytes, patient: str, aliases: Collection[str]) -> int:
    """Tells a resource from what it was: other content, another patient, other aliases."""
    return int.from_bytes(sha256[:8], "big") ^ _mark_of(patient, aliases)


def _mark_of(patient: str, aliases: Collection[str]) -> int:
    digest = hashlib.blake2b("\0".join([patient, *aliases]).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big")


def _marks(head: pa.Table) -> np.ndarray:
    """uint64[n], as `_mark`."""
    coded = head["patient"].combine_chunks().dictionary_encode()
    of_patients = np.array([_mark_of(each, ()) for each in coded.dictionary.to_pylist()], np.uint64)
    marks = of_patients[coded.indices.to_numpy()]
    lengths = pc.list_value_length(head["aliases"]).to_numpy()
    for at in np.flatnonzero(lengths):
        patient, aliases = head["patient"][int(at)].as_py(), head["aliases"][int(at)].as_py()
        marks[at] = _mark_of(patient, aliases)
    first = pc.binary_slice(head["sha256"].cast(pa.binary()), 0, 8)
    digests = np.frombuffer(b"".join(first.to_pylist()), ">u8").astype(np.uint64)
    return digests ^ marks
