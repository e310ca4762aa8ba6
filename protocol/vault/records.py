"""Records: de-identified FHIR resources in the vault, encrypted at rest, each once with its newest content.

One process writes at a time, behind a lock of its own: the gateway goes on storing images meanwhile. Readers wait for
nobody, and see the vault as it was when they began, but for patients who withdrew since. What is read or merged takes
memory by the row group; an import is bounded by ``memory_bytes``, beside 28 bytes for each resource in the vault.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from functools import partial
from itertools import groupby
from typing import TYPE_CHECKING, BinaryIO

import orjson
import pyarrow as pa
import pyarrow.compute as pc
from filelock import FileLock

from protocol.errors import VaultError
from protocol.fhir.resource import Clean
from protocol.vault import disk, parquet, persons
from protocol.vault.merging import Input, merged
from protocol.vault.persons import Erasure, Withdrawn
from protocol.vault.record_files import Entry, RecordFiles
from protocol.vault.record_import import Import, Outcome, group_bytes, input_of
from protocol.vault.store import RECORDS

if TYPE_CHECKING:
    from protocol.vault.store import Vault

__all__ = ["Import", "Outcome", "Records"]

#: How much memory an import may take for what it spools and merges, about.
MEMORY_BYTES = 256 << 20


class Records:
    """The records of a vault, for several threads and processes."""

    def __init__(self, vault: Vault, memory_bytes: int = MEMORY_BYTES) -> None:
        self.folder = vault.folder / RECORDS
        self._vault, self._memory_bytes = vault, memory_bytes
        self._files = RecordFiles(self.folder, vault.sealer)
        self._lock = FileLock(self.folder / "lock", mode=0o600)

    @contextmanager
    def importing(self, rules: str = "") -> Iterator[Import]:
        """Takes resources in, de-identified by the rules with this digest (in hex): all that was added when this ends
        without an exception, and else none. Waits for whoever imports or withdraws. Raises VaultError; the records are
        as they were then."""
        with self._writing():
            self._erase(())
            work = Import(self._vault, self._files, self._memory_bytes, rules)
            yield work
            work.commit()
        counts = work.outcome
        self._vault.log(
            "import", new=counts.new, replaced=counts.replaced, unchanged=counts.unchanged,
            refused=counts.refused_withdrawn,
        )  # fmt: skip

    def scan(
        self, types: Collection[str] | None = None, patients: Collection[str] | None = None
    ) -> Iterator[Clean]:
        """Resources of some types and patients, of all by default, each once; a row group in memory at a time. Raises
        VaultError."""
        with self._files.snapshot() as (manifest, stored):
            self._vault.log("read", resources=manifest.resources)
            for each in stored:
                for table in each.tables(self._wanted(types, patients)):
                    yield from _cleaned(table)

    def by_patient(self, types: Collection[str] | None = None) -> Iterator[tuple[str, list[Clean]]]:
        """Patients in the order of their pseudonyms, each with all resources of some types, of all by default. What is
        of no patient is left out. As many row groups are in memory as imports hold something of one patient, at most
        thirteen, and one patient's resources. Raises VaultError."""
        with self._files.snapshot() as (manifest, stored):
            self._vault.log("read", resources=manifest.resources)
            wanted = self._wanted(types, None)

            def chosen(head: pa.Table) -> pa.ChunkedArray:
                return pc.and_(wanted(head), _is_somebodys(head))

            inputs = [Input(each.entry.first, partial(each.tables, chosen)) for each in stored]
            cleaned = (clean for table in merged(inputs) for clean in _cleaned(table))
            for patient, resources in groupby(cleaned, key=lambda clean: clean.patient):
                yield patient, list(resources)

    def counts(self) -> dict[str, int]:
        """How many resources there are, by type."""
        found: Counter[str] = Counter()
        for head in self._heads():
            for each in head["type"].value_counts().to_pylist():
                found[each["values"]] += each["counts"]
        return dict(sorted(found.items()))

    def patients(self) -> int:
        """How many patients there are resources of."""
        found: set[str] = set()
        for head in self._heads():
            found.update(head["patient"].unique().to_pylist())
        return len(found - {""})

    def patient_of(self, alias: str) -> list[str]:
        """Pseudonyms of the patients that have an alias or pseudonym; of those too who withdrew."""
        noted = self._files.manifest().withdrawn
        found = {patient for patient, each in noted.items() if alias in (patient, *each.aliases)}
        for head in self._heads(withdrawn=True):
            found |= {alias} & {*head["patient"].unique().to_pylist()}
            column = head["aliases"].combine_chunks()
            hit = pc.list_parent_indices(column).filter(pc.equal(pc.list_flatten(column), alias))
            found.update(head["patient"].take(hit).to_pylist())
        return sorted(found - {""})

    def same_person(self, patients: Collection[str]) -> list[str]:
        """Pseudonyms of the individuals that some are of, those who withdrew among them: those that their Patient
        resources link to, and the other way."""
        known = persons.remembered(self._files.manifest().withdrawn, patients)
        return sorted(persons.erasure(self._people, known).patients)

    def rules(self) -> list[str]:
        """Digests, in hex, of the rules by which resources here were de-identified. Raises VaultError."""
        return list(self._files.manifest().rules)

    def individuals(self) -> dict[str, frozenset[str]]:
        """Who is in the records under several pseudonyms, as Patient and Person resources link them: by each of these
        all of them. Raises VaultError."""
        return persons.individuals(self._people)

    def aliases(self, patients: Collection[str]) -> set[str]:
        """The aliases of some patients; of those too who withdrew."""
        noted = self._files.manifest().withdrawn
        found = {alias for each in patients if each in noted for alias in noted[each].aliases}
        for row in (row for table in self._people() for row in table.to_pylist()):
            if row["patient"] in patients:
                found.update(row["aliases"])
        return found

    def withdraw(self, patient: str, *others: str) -> int:
        """Removes all resources of patients, by pseudonym, and of the same individuals under others, with the
        references to them elsewhere; how many went, the same when it is asked again. Later imports of them are refused.

        Raises VaultError. They are known as withdrawn then, nobody is given what is left, and it goes when this is
        asked again, or with the next import.
        """
        given = [patient, *others]
        self._vault.refuse(given)
        if not self.folder.is_dir():
            return 0
        with self._writing():
            noted = self._erase(given)
        gone = persons.remembered(noted, given)
        number = sum(noted[each].resources for each in gone if each in noted)
        self._vault.log("withdraw", resources=number)
        return number

    def withdrawn(self, patient: str) -> bool:
        """Whether a pseudonym has withdrawn."""
        return self._vault.withdrawn(patient)

    def verify(self) -> int:
        """Reads everything, and checks each resource against its SHA-256; how many there are. Raises VaultError for the
        first that is not as it was."""
        count = 0
        with self._files.snapshot() as (_, stored):
            for each in stored:
                for table in each.tables(_all):
                    digests = table["sha256"].to_pylist()
                    for content, digest in zip(table["content"], digests, strict=True):
                        if hashlib.sha256(content.as_py()).digest() != digest:
                            raise VaultError(
                                f"{self.folder} holds a record that is not as it was.", parquet.RESTORE
                            )
                    count += len(table)
        return count

    def as_they_are(self) -> AbstractContextManager[dict[str, BinaryIO]]:
        """The files that count, by name: open, encrypted, and all of one moment, for a back-up. Raises VaultError."""
        return self._files.as_they_are()

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Nobody else writes meanwhile; what is not committed goes. Raises VaultError."""
        with disk.writing(str(self.folder)):
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            held = disk.taken(self._lock, self.folder)
        with held:
            if self._lock.lock_counter > 1:
                raise VaultError("An import is under way here, and has to end first.")
            try:
                with disk.writing(str(self.folder)):
                    self._files.sweep(self._files.manifest())
                yield
            except BaseException:
                # What is left of it is removed by the next one, if not now.
                with suppress(OSError, VaultError):
                    self._files.sweep(self._files.manifest())
                raise

    def _erase(self, given: Collection[str]) -> dict[str, Withdrawn]:
        """Removes what there is of patients, and of any other who withdrew; what is remembered of all who did."""
        manifest, refused = self._files.manifest(), self._vault.refused()
        if not refused:
            return manifest.withdrawn
        known = Erasure({*refused})
        left = {
            patient
            for head in self._heads(withdrawn=True)
            for patient in head["patient"].filter(known.goes(head)).unique().to_pylist()
        }
        if not left and not given:
            return manifest.withdrawn
        gone = persons.erasure(self._people, {*given, *left})
        with disk.writing(str(self.folder)):
            self._vault.refuse(gone.patients)
            touched = [entry for entry in manifest.files if self._is_touched(entry, gone)]
            if touched:
                removed: Counter[str] = Counter()

                def stays(head: pa.Table) -> pa.ChunkedArray:
                    removed.update(gone.counted(head))
                    return pc.invert(gone.goes(head))

                inputs = [input_of(self._files, entry, stays, gone) for entry in touched]
                written = self._files.write(
                    manifest.number + 1, merged(inputs), group_bytes(self._memory_bytes)
                )
                noted = gone.notes(removed)
                for patient in noted.keys() & manifest.withdrawn.keys():
                    noted[patient] = noted[patient].joined(manifest.withdrawn[patient])
                kept = [entry for entry in manifest.files if entry not in touched]
                manifest = manifest.next([*kept, *written], noted)
                self._files.commit(manifest)
        return manifest.withdrawn

    def _is_touched(self, entry: Entry, gone: Erasure) -> bool:
        with self._files.opened(entry) as stored:
            return any(gone.touches(head) for head in stored.heads())

    def _heads(self, *, withdrawn: bool = False) -> Iterator[pa.Table]:
        """All but the contents, without patients who withdrew unless they are asked for."""
        with self._files.snapshot() as (_, stored):
            for each in stored:
                for head in each.heads():
                    yield head if withdrawn else head.filter(self._allowed(head))

    def _people(self) -> Iterator[pa.Table]:
        people = pa.array(persons.TYPES)
        for head in self._heads(withdrawn=True):
            yield head.filter(pc.is_in(head["type"], people))

    def _allowed(self, head: pa.Table) -> pa.ChunkedArray:
        return pc.invert(Erasure({*self._vault.refused()}).goes(head))

    def _wanted(
        self, types: Collection[str] | None, patients: Collection[str] | None
    ) -> Callable[[pa.Table], pa.ChunkedArray]:
        def wanted(head: pa.Table) -> pa.ChunkedArray:
            chosen = self._allowed(head)
            for column, values in (("type", types), ("patient", patients)):
                if values is not None:
                    among = pa.array(sorted(values), pa.string())
                    chosen = pc.and_(chosen, pc.is_in(head[column], among))
            return chosen

        return wanted


def _cleaned(table: pa.Table) -> Iterator[Clean]:
    columns = (table[name].to_pylist() for name in ("key", "type", "patient", "aliases"))
    for key, type_, patient, aliases, content in zip(*columns, table["content"], strict=True):
        yield Clean(key, type_, patient, orjson.loads(memoryview(content.as_buffer())), tuple(aliases))


def _is_somebodys(head: pa.Table) -> pa.ChunkedArray:
    return pc.not_equal(head["patient"], "")


def _all(head: pa.Table) -> pa.Array:
    return pa.repeat(pa.scalar(True), len(head))
