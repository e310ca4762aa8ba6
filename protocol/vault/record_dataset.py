"""A dataset of patients' records, by the million: a folder that never leaves the hospital, and a Merkle root that does.

    manifest.json    profile, segments, versions (root, counts, evidence), id on the chain
    schema.json      the schema: columns of a table
    split.key        decides on which side a patient's records fall, and stands behind the patients' codes
    segments/        records with their salts, sealed under the vault's key: `segments`
    withdrawn.sealed codes of who withdrew: nothing of theirs is taken again
    tree/            the Merkle tree over the leaves: `leaves`, `tree`
    evidence/        a document a version: `record_evidence`

`stored_records` says how it is read, `next_records` how it changes. A segment is in memory at a time, whatever there is
in all: `segment_records` is the setting, and a record of ten columns takes 1 to 2 KB while it is worked on. Of the
size of the whole are alone the results of `arrays` (4 bytes an input and record) and of `patients` (8 bytes a record,
32 while they are made), and 16 bytes a record while `extend` looks for newcomers.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar

from protocol.content import canonical
from protocol.content.cid import digest_of, to_cid
from protocol.data import files
from protocol.data.dataset import RecordProof
from protocol.data.proofs import ErasureProof
from protocol.data.schema import DataSchema
from protocol.data.splits import KEY_BYTES
from protocol.data.versions import MANIFEST, RESTORE, read_json, unwritten
from protocol.errors import DataError, VaultError
from protocol.vault import disk, folders, leaves, segments
from protocol.vault.next_records import (
    EVIDENCE,
    TREE,
    Draws,
    NextRecords,
    Row,
    Withdrawn,
    write_manifest,
)
from protocol.vault.record_evidence import PROFILE
from protocol.vault.segments import SEGMENT_RECORDS
from protocol.vault.stored_records import FORMAT, StoredRecords
from protocol.vault.tree import GrowingTree

if TYPE_CHECKING:
    from protocol.vault.store import Vault

Proof = TypeVar("Proof", RecordProof, ErasureProof)

HELD_OUT_SHARE = 0.34
#: A version says when its records came, and of few patients that is personal.
MIN_PATIENTS = 5
#: What a segment may have: more would not be in memory at a time.
MAX_SEGMENT_RECORDS = 1 << 20


class RecordDataset(StoredRecords):
    """One version of a dataset folder. Get one with `create` or `open`."""

    @classmethod
    def create(
        cls, folder: Path, schema: DataSchema, rows: Iterable[Row], vault: Vault, *, held_out: float = HELD_OUT_SHARE,
        source: Mapping[str, Any] | None = None, min_patients: int = MIN_PATIENTS, split_key: bytes | None = None,
        segment_records: int = SEGMENT_RECORDS,
    ) -> Self:  # fmt: skip
        """A new folder, whole or not at all, with the rows: a patient's pseudonym and a record of the schema each.

        A patient is held out with probability `held_out`, by a secret key that is drawn here unless it is given: see
        `splits.split_key` for few patients. `source` goes into the evidence: what the cohort says of
        itself, sums alone. Raises `DataError`: the folder exists, a record does not fit the schema, the rows are of
        fewer than `min_patients` patients, or a side has fewer than `MIN_RECORDS`.
        """
        if folder.exists():
            raise DataError(f"{folder} exists already.", "Extend that dataset, or choose another name.")
        if not 0 < held_out < 1:
            raise DataError("The share that is held out lies between 0 and 1.")
        if not 1 <= segment_records <= MAX_SEGMENT_RECORDS:
            raise DataError(f"A segment has 1 to {MAX_SEGMENT_RECORDS:,} records.")
        manifest = {
            "format": FORMAT, "schema": to_cid(schema.digest()), "profile": PROFILE, "held_out": held_out,
            "segment_records": segment_records, "dataset_id": None, "segments": [], "versions": [],
        }  # fmt: skip
        part: Path | None = None
        try:
            folder.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            folders.sweep(folder)
            part = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}-"))
            for name in (segments.FOLDER, EVIDENCE):
                (part / name).mkdir(mode=0o700)
            files.write_new(part / "schema.json", canonical.dumps(schema.to_dict()))
            files.write_new(part / "split.key", split_key or os.urandom(KEY_BYTES))
            work = NextRecords(part, manifest, schema, vault)
            if not work.add(rows, source or {}, max(1, min_patients)):
                raise DataError(
                    f"The rows are of {work.came} patients; at least {max(1, min_patients)} are asked for.",
                    "Wait for more, or ask for others.",
                )
            part.rename(folder)
            disk.sync(folder.parent)
        except OSError as error:
            raise unwritten(folder, error) from error
        finally:
            if part is not None and part.exists():
                shutil.rmtree(part, ignore_errors=True)
        made = cls.open(folder, vault=vault)
        # Who withdrew since the rows were read did not find this dataset.
        return made.withdraw(vault.refused()) or made

    def extend(
        self, rows: Iterable[Row], vault: Vault, *, source: Mapping[str, Any] | None = None,
        min_patients: int = MIN_PATIENTS, newcomers: bool = False, after: int | None = None,
    ) -> Self | None:  # fmt: skip
        """The next version, with more rows; where ``after`` is given, only if the latest version is still that one.
        Rows of who withdrew are left out, and with `newcomers` those of patients who have records here: so a cohort can
        be built again and handed over whole. None when nothing is left, or it is of fewer than `min_patients` patients:
        it waits for more, because one patient's time of arrival is personal.

        Raises `DataError` as `create` does; nothing changed then."""
        with self._writing(vault) as work:
            before = work.number
            work.finish()
            if after is not None and work.number != after + 1:
                raise DataError(f"{self.folder.name} has changed meanwhile.", "Run it again.")
            if not work.add(rows, source or {}, max(1, min_patients), newcomers=newcomers) and (
                work.number == before
            ):
                return None
        return type(self).open(self.folder, vault=vault)

    def withdraw(self, patients: Collection[str], *, codes: Collection[bytes] = ()) -> Self | None:
        """The next version, with the empty leaf for each record of these pseudonyms, and of the patients for whom these
        codes stand here; salts and records are deleted, and nothing of theirs is taken again. None when none of them
        has a record. What remains may be too little to train on or to register; it is withdrawn all the same."""
        with self._writing(self._opened_vault()) as work:
            before = work.number
            work.finish()
            if not work.remove([*map(work.draws.code, patients), *codes]) and work.number == before:
                return None
        return type(self).open(self.folder, vault=self._vault)

    @property
    def has_sums(self) -> bool:
        """Whether its evidence says what its cohort is: not after a withdrawal, see `record_evidence`."""
        return self._stated["sums"]

    def remember_id(self, dataset_id: int) -> None:
        """Notes the id that the registry gave."""
        with self._written(), folders.locked(self.folder):
            self._manifest = read_json(self.folder / MANIFEST)
            manifest = self._with_id(dataset_id)
            write_manifest(self.folder, manifest)
        self._manifest = manifest

    def evidence(self) -> bytes:
        """The evidence document of this version. Raises `DataError` when it is not the one that was made."""
        content = files.read(self.folder / EVIDENCE / f"{self.version:06}.json")
        if to_cid(digest_of(content)) != self._stated["evidence"]:
            raise DataError(f"{self.folder}: the evidence of version {self.version} was altered.", RESTORE)
        return content

    def prove(self, index: int) -> RecordProof:
        """The proof of one record, for `leaves.verify_record`: the Merkle root follows its siblings. Reads one segment
        and a node a level of the tree. Raises `DataError` when there is none."""
        self._check_unrevoked()
        self._check(index)
        segment, place = self._segment_of(index)
        if segment.head.gone[place]:
            raise DataError(f"Record {index} was withdrawn.", "Without its salt nobody can prove it.")
        [record] = self._rows.records(segment.values[[segment.row(place)]])

        def made(tree: GrowingTree) -> RecordProof:
            siblings = [*tree.proof(self.leaves, index), tree.root(self.leaves)]
            return RecordProof(
                index, self.leaves, int(segment.head.splits[place]), segment.salt(place), record, siblings
            )

        return self._sound(made, lambda proof: leaves.verify_record(self.root, proof))

    def erasure(self, patients: Collection[str] = (), *, indices: Collection[int] = ()) -> ErasureProof:
        """The proof that this version holds nothing at the places of some pseudonyms, or at given ones. It names
        nobody. Raises `DataError` where something stands, or where nothing of them ever did."""
        self._check_unrevoked()
        places = {place: version for version, each in self._withdrawn().values() for place in each}
        wanted = {*indices, *self.withdrawn_places(patients)}
        if patients and self.indices_of(patients):
            raise DataError(
                f"{self.folder.name} holds records of a patient who has not withdrawn.", "Withdraw first."
            )
        for index in wanted:
            self._check(index)
            if places.get(index, self.version + 1) > self.version:
                raise DataError(f"Record {index} was not withdrawn in version {self.version}.")
        if not wanted:
            raise DataError("There is no place to prove the erasure of.", "Name a patient or an index.")

        def made(tree: GrowingTree) -> ErasureProof:
            return ErasureProof(
                version=self.version,
                since=max(places[index] for index in wanted),
                count=self.leaves,
                top=tree.root(self.leaves),
                places={index: tree.proof(self.leaves, index) for index in sorted(wanted)},
            )

        return self._sound(made, lambda proof: leaves.verify_erasure(self.root, proof))

    def withdrawn_places(self, patients: Collection[str]) -> list[int]:
        """Where the records of pseudonyms that withdrew have been, rising."""
        draws, known = Draws(files.read(self.folder / "split.key")), self._withdrawn()
        return sorted(place for each in patients for place in known.get(draws.code(each), (0, []))[1])

    def withdrawn_codes(self) -> frozenset[bytes]:
        """What stands for those who are out for good, and for who would be."""
        return frozenset(self._withdrawn())

    def _withdrawn(self) -> dict[bytes, tuple[int, list[int]]]:
        return Withdrawn(self.folder, self._opened_vault()).all()

    def _sound(self, made: Callable[[GrowingTree], Proof], verified: Callable[[Proof], bool]) -> Proof:
        """What the tree gives, once it fits the root; a tree that a crash or a flipped bit left is made anew."""
        tree = GrowingTree(self.folder / TREE)
        for mended in (False, True):
            try:
                proof = made(tree)
            except VaultError:
                if mended:
                    raise
            else:
                if verified(proof):
                    return proof
            if not mended:
                with self._writing(self._opened_vault()) as work:
                    # Who waited for another that withdrew somebody has no version to prove any more.
                    self._check_unrevoked()
                    work.mend()
        raise DataError(f"{self.folder}: its tree is not that of version {self.version}.", RESTORE)

    @contextmanager
    def _writing(self, vault: Vault) -> Iterator[NextRecords]:
        """The latest version, to be changed by one process at a time."""
        with self._written(), folders.locked(self.folder):
            work = NextRecords(self.folder, read_json(self.folder / MANIFEST), self.schema, vault)
            try:
                yield work
            except Exception:
                with suppress(OSError):
                    work.tidy()
                raise

    @contextmanager
    def _written(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise unwritten(self.folder, error) from error
