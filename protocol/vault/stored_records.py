"""The records of one version of a dataset of records, as they are read: segment by segment, and held against the root.

Another process may rewrite segments meanwhile: they are then read again, and a version that holds a record which was
withdrawn since is said to.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeVar

import numpy as np

from protocol.content.cid import to_cid
from protocol.data import files
from protocol.data.schema import DataSchema
from protocol.data.splits import HELD_OUT, MIN_RECORDS, TRAIN
from protocol.data.versions import MANIFEST, RESTORE, Versioned, read_json, read_manifest
from protocol.errors import DataError, VaultError
from protocol.vault import leaves, segments
from protocol.vault.next_records import Draws, leaves_in, sealer_of
from protocol.vault.rows import Rows
from protocol.vault.segments import Head, Segment
from protocol.vault.tree import RunningRoot

if TYPE_CHECKING:
    from protocol.vault.store import Vault

Part = TypeVar("Part", Head, Segment)

FORMAT = "salus/records/1"


class StoredRecords(Versioned):
    """One version of a dataset of records."""

    needs_vault: ClassVar[bool] = True

    def __init__(self, folder: Path, manifest: dict[str, Any], version: int, vault: Vault | None) -> None:
        super().__init__(folder, manifest, version)
        self.schema = DataSchema.parse(read_json(folder / "schema.json"))
        self._vault, self._rows = vault, Rows(self.schema)
        if to_cid(self.schema.digest()) != manifest["schema"]:
            raise DataError(f"{folder}: schema.json is not the schema of this dataset.", RESTORE)

    @classmethod
    def open(cls, folder: Path, version: int | None = None, *, vault: Vault | None = None) -> Self:
        """The latest version in a folder, or an earlier one (from 1). What is in no file of its own asks for the vault.

        Raises `DataError` when there is none."""
        return cls(folder, *read_manifest(folder, FORMAT, version), vault)

    def newest(self) -> Self:
        """The latest version in its folder now."""
        return type(self).open(self.folder, vault=self._vault)

    @property
    def leaves(self) -> int:
        """How many there are, those of withdrawn records too."""
        return self._stated["leaves"]

    def arrays(self, split: int) -> tuple[np.ndarray, np.ndarray]:
        """Records of one split, encoded: float32[n, inputs] and labels float32[n]. What was encoded is what the version
        committed to; raises `DataError` otherwise."""
        if min(self.train_records, self.held_out_records) < MIN_RECORDS:
            raise DataError(
                f"{self.folder.name}, version {self.version}, has fewer than {MIN_RECORDS} records on a side since"
                " patients withdrew.",
                "It can be used again once there are more.",
            )
        count = self._count(split)
        inputs, labels = np.empty((count, self.schema.inputs), np.float32), np.empty(count, np.float32)
        done = 0
        for segment in self._verified():
            rows = segment.values[segment.head.splits[segment.head.here] == split]
            room = slice(done, min(done + len(rows), count))
            inputs[room], labels[room] = self._rows.encode(rows[: room.stop - done])
            done += len(rows)
        return inputs, labels

    def patients(self, split: int) -> np.ndarray:
        """int64[n] for the records of one split in the order of `arrays`: the same number for those of one patient.
        The commitment does not bind it."""
        numbers = np.empty(self._count(split), np.uint64)
        done = 0
        for head in self._heads():
            found = head.numbers[head.here & (head.splits == split)]
            numbers[done : done + len(found)] = found[: len(numbers) - done]
            done += len(found)
        self._check_count(done, split)
        # What numpy.unique does, in a third of its memory.
        order = np.argsort(numbers, kind="stable")
        numbers = numbers[order]
        ranks = np.zeros(len(numbers), np.int64)
        np.cumsum(numbers[1:] != numbers[:-1], out=ranks[1:])
        each = numbers.view(np.int64)
        each[order] = ranks
        return each

    def verify(self) -> None:
        """Recomputes the root, segment by segment. Raises `DataError` when it differs, and for a version that holds a
        record that was withdrawn since; VaultError for a segment that was altered."""
        for _ in self._verified():
            pass

    def held(self, patients: Collection[str]) -> list[int]:
        """Numbers of the versions that hold a record of any of these pseudonyms."""
        latest = self.newest()
        indices = latest.indices_of(patients)
        return list(range(latest._added(indices[0]), latest.version + 1)) if indices else []

    def indices_of(self, patients: Collection[str]) -> list[int]:
        """The indices in this version of the records of some pseudonyms, rising. Reads heads alone."""
        draws = Draws(files.read(self.folder / "split.key"))
        wanted, found, start = {draws.code(each) for each in patients}, list[int](), 0
        for head in self._heads():
            found += (head.find(wanted) + start).tolist()
            start += len(head)
        return found

    def records_of(self, patients: Collection[str]) -> list[dict[str, float]]:
        """The records in this version of some pseudonyms, as they were committed to."""
        found = (self._segment_of(index) for index in self.indices_of(patients))
        rows = [
            segment.values[segment.row(place)] for segment, place in found if not segment.head.gone[place]
        ]
        return self._rows.records(np.array(rows)) if rows else []

    def by_code(self) -> Iterator[tuple[bytes, dict[str, float]]]:
        """The records of this version, each with the code (16 bytes) that stands for its patient: `Draws.code`."""
        for segment in self._segments():
            codes = (each.tobytes() for each in segment.head.codes[segment.head.here])
            yield from zip(codes, self._rows.records(segment.values), strict=True)

    def revoked(self) -> list[int]:
        """Numbers of the versions that hold a record that was withdrawn since."""
        return sorted(
            {
                version
                for number, each in enumerate(self._read()["versions"], 1)
                for version in range(each.get("revokes_from", number), number)
            }
        )

    def _verified(self) -> Iterator[Segment]:
        """The segments of this version, and an error at their end unless they are what it committed to."""
        self._check_unrevoked()
        running, sides = RunningRoot(), np.zeros(2, np.int64)
        for segment in self._segments():
            if (segment.head.gone > self.version).any():
                raise self._revoked_error()
            running.add(leaves_in(segment, running.count, self._rows))
            sides += np.bincount(segment.head.splits[segment.head.here], minlength=2)
            yield segment
        if running.count != self.leaves or leaves.root_over(running.count, running.top) != self.root:
            raise DataError(
                f"{self.folder}: records, salts or splits are not those that version {self.version} committed to.",
                RESTORE,
            )
        for split in (TRAIN, HELD_OUT):
            self._check_count(int(sides[split]), split)

    def _count(self, split: int) -> int:
        return (self.train_records, self.held_out_records)[split]

    def _check_count(self, found: int, split: int) -> None:
        if found != self._count(split):
            raise DataError(
                f"{self.folder}: version {self.version} has not the records that it counts.", RESTORE
            )

    def _check(self, index: int) -> None:
        if not 0 <= index < self.leaves:
            raise DataError(f"There is no record {index}: version {self.version} has {self.leaves}.")

    def _check_unrevoked(self) -> None:
        if self.version in self.revoked():
            raise self._revoked_error()

    def _revoked_error(self) -> DataError:
        return DataError(
            f"{self.folder}: version {self.version} holds records that were withdrawn since; their salts are gone.",
            "It can neither be proved nor trained on; the latest version can.",
        )

    def _added(self, index: int) -> int:
        """The version that first had this index."""
        return next(
            number for number, each in enumerate(self._manifest["versions"], 1) if index < each["leaves"]
        )

    def _read(self) -> dict[str, Any]:
        """The manifest of now: another process may have withdrawn somebody meanwhile."""
        self._manifest = read_json(self.folder / MANIFEST)
        return self._manifest

    def _segments(self) -> Iterator[Segment]:
        """Those of this version's places, in order."""
        yield from self._each(segments.read)

    def _heads(self) -> Iterator[Head]:
        yield from self._each(segments.read_head)

    def _segment_of(self, index: int) -> tuple[Segment, int]:
        """The segment of a place, and where in it."""
        number, place = 0, index
        while place >= (count := self._manifest["segments"][number]["count"]):
            number, place = number + 1, place - count
        return self._got(segments.read, number), place

    def _each(self, get: Callable[..., Part]) -> Iterator[Part]:
        """What is ``get`` of each segment, up to this version's last place."""
        self._read()
        left, number = self.leaves, 0
        while left > 0:
            if number == len(self._manifest["segments"]):
                raise DataError(f"{self.folder} has fewer records than version {self.version}.", RESTORE)
            found = self._got(get, number)
            yield found if len(found) <= left else found.until(left)
            left, number = left - len(found), number + 1

    def _got(self, get: Callable[..., Part], number: int) -> Part:
        """A segment, read again where it was rewritten meanwhile."""
        sealer = sealer_of(self._opened_vault())
        while True:
            entry = self._manifest["segments"][number]
            try:
                return get(self.folder, entry, sealer)
            except segments.Lost:
                if self._read()["segments"][number] == entry:
                    raise

    def _opened_vault(self) -> Vault:
        if self._vault is None:
            raise VaultError(
                f"{self.folder.name} is a dataset of records, and the vault whose key seals them is closed.",
                "Open it: --vault-password-file, or SALUS_VAULT_PASSWORD_FILE.",
            )
        return self._vault
