"""The next version of a dataset of records in the making: segments, tree, evidence, and the manifest last.

The manifest is written last, and what it does not name does not count: a crash leaves the version before. Of a
withdrawal that a crash cut short the codes are known, and whoever writes next makes an end of it.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Collection, Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from protocol.content import merkle
from protocol.content.cid import digest_of, to_cid
from protocol.data import files
from protocol.data.dataset import SALT_BYTES
from protocol.data.schema import DataSchema
from protocol.data.splits import HELD_OUT, MIN_RECORDS, TRAIN
from protocol.data.versions import MANIFEST, RESTORE, read_json
from protocol.errors import DataError, VaultError
from protocol.vault import disk, leaves, record_evidence, segments
from protocol.vault.kept import Kept
from protocol.vault.rows import Rows
from protocol.vault.sealed import Sealer
from protocol.vault.segments import CODE_BYTES, Segment
from protocol.vault.tree import GrowingTree

if TYPE_CHECKING:
    from protocol.vault.store import Vault

TREE, EVIDENCE, WITHDRAWN = "tree", "evidence", "withdrawn.sealed"
#: Sums in the evidence of two versions differ by the records of at least so many patients.
SUMMED_PATIENTS = 5

#: A patient's pseudonym, and a record of theirs.
Row = tuple[str, Mapping[str, Any]]


def sealer_of(vault: Vault) -> Sealer:
    """Seals segments."""
    return Sealer(vault.sealer.derive("datasets/records"))


class Draws:
    """32 bytes of each patient, by a dataset's split key: the first eight decide on the side, as in
    `splits.patient_split`, the last sixteen are the code that stands for the patient here.

    HMAC-SHA256 (RFC 2104) with the key's two blocks made once: the standard library takes four times as long.
    """

    def __init__(self, key: bytes) -> None:
        block = key.ljust(hashlib.sha256().block_size, b"\0")
        self._inner, self._outer = (bytes(each ^ pad for each in block) for pad in (0x36, 0x5C))

    def of(self, patient: str) -> bytes:
        sha256 = hashlib.sha256
        return sha256(self._outer + sha256(self._inner + patient.encode("utf-8")).digest()).digest()

    def code(self, patient: str) -> bytes:
        """The code (16 bytes) of a patient."""
        return self.of(patient)[-CODE_BYTES:]


class Withdrawn:
    """Whom nothing is taken of again: {code in hex: {"version": that withdrew it, or 0 of who was not in the dataset,
    "places": [index]}}, sealed."""

    def __init__(self, folder: Path, vault: Vault) -> None:
        self._kept = Kept(folder / WITHDRAWN, sealer_of(vault))

    def all(self) -> dict[bytes, tuple[int, list[int]]]:
        """Version and places by code. Raises VaultError."""
        return {
            bytes.fromhex(name): (each["version"], each["places"]) for name, each in self._kept.value.items()
        }

    def add(self, found: Mapping[bytes, tuple[int, list[int]]]) -> None:
        """Raises `OSError`."""
        more = {each.hex(): {"version": version, "places": at} for each, (version, at) in found.items()}
        self._kept.value = {**self._kept.value, **more}


class NextRecords:
    """The next version in the making, for one process at a time."""

    def __init__(self, folder: Path, manifest: dict[str, Any], schema: DataSchema, vault: Vault) -> None:
        self.folder, self.manifest, self.schema, self.vault = folder, manifest, schema, vault
        self.sealer, self.rows = sealer_of(vault), Rows(schema)
        self.withdrawn = Withdrawn(folder, vault)
        self.draws = Draws(files.read(folder / "split.key"))
        #: Patients whom the last `add` brought (no more are counted than it takes), and rows that it did not take.
        self.came = self.left_out = 0

    @property
    def number(self) -> int:
        """Of the next version."""
        return len(self.manifest["versions"]) + 1

    @property
    def count(self) -> int:
        """Leaves of the latest version."""
        return self.manifest["versions"][-1]["leaves"] if self.manifest["versions"] else 0

    def finish(self) -> None:
        """Makes good what a crash left: files that the manifest does not name, and a withdrawal cut short."""
        self.tidy()
        known = self.withdrawn.all()
        if cut := {each for each, (version, _) in known.items() if version >= self.number}:
            self.remove(cut)

    def add(
        self, rows: Iterable[Row], source: Mapping[str, Any], min_patients: int, *, newcomers: bool = False
    ) -> bool:
        """Whether it added records; of ``newcomers``, those alone of patients who have none yet. Not when they are of
        fewer than ``min_patients``: then nothing changes.

        Raises `DataError` when a record does not fit the schema, a side has too few, or there are too many in all.
        """
        record_evidence.check_source(source)
        before = self.count
        entries = list(self.manifest["segments"])
        size = self.manifest["segment_records"]
        last = segments.read(self.folder, entries[-1], self.sealer) if before % size else None
        seen: set[bytes] = set()
        sides = np.zeros(2, np.int64)
        drawn = self._drawn(rows, self._held_numbers() if newcomers else None)
        place = before
        with self._tree().appending(before) as put:
            while chunk := list(islice(drawn, size - len(last) if last else size)):
                if place + len(chunk) > leaves.MAX_LEAVES:
                    raise DataError(f"A dataset holds at most {leaves.MAX_LEAVES:,} records.")
                new = self._segment(chunk, place, put)
                if len(seen) < max(min_patients, SUMMED_PATIENTS):
                    seen.update(new.head.codes[at].tobytes() for at in range(len(new)))
                sides += np.bincount(new.head.splits, minlength=2)
                place += len(new)
                if last is not None:
                    new = last.and_then(new)
                    entries.pop()
                entries.append(segments.write(self.folder, len(entries), new, self.sealer))
                last = None
        self.came = len(seen)
        if place == before or len(seen) < min_patients:
            self.tidy()
            return False
        train, held_out = self._sides()
        train, held_out = train + int(sides[TRAIN]), held_out + int(sides[HELD_OUT])
        if min(train, held_out) < MIN_RECORDS:
            raise DataError(
                f"{train} records for training and {held_out} held out: each needs at least {MIN_RECORDS}.",
                "A figure over fewer records could speak about one patient. Splits are by patient: wait for more.",
            )
        self._commit(entries, place, (train, held_out), source if self._may_sum(seen) else None)
        return True

    def remove(self, codes: Collection[bytes]) -> bool:
        """Whether any of these patients had a record here. Nothing of theirs is taken again."""
        wanted, found = set(codes), dict[int, np.ndarray]()
        places: dict[bytes, list[int]] = {each: [] for each in wanted}
        sides, start, starts = list(self._sides()), 0, []
        for number, entry in enumerate(self.manifest["segments"]):
            head = segments.read_head(self.folder, entry, self.sealer)
            starts.append(start)
            if len(at := head.find(wanted)):
                found[number] = at
                for place in at.tolist():
                    places[head.codes[place].tobytes()].append(start + place)
                    sides[head.splits[place]] -= 1
            start += entry["count"]
        known = self.withdrawn.all()
        gone = [place for each in places.values() for place in each]
        self.withdrawn.add(
            {
                each: (self.number, at) if at else (0, [])
                for each, at in places.items()
                # Who withdrew before keeps the places of then.
                if at or each not in known
            }
        )
        if not gone:
            return False
        entries = list(self.manifest["segments"])
        for number, at in found.items():
            left = segments.read(self.folder, entries[number], self.sealer).without(at, self.number)
            entries[number] = segments.write(self.folder, number, left, self.sealer)
        self._tree(gone).replace_all(self.count, dict.fromkeys(gone, leaves.EMPTY_LEAF))
        self._commit(entries, self.count, (sides[TRAIN], sides[HELD_OUT]), None, since=self.added(min(gone)))
        return True

    def added(self, index: int) -> int:
        """The version that first had this index."""
        return next(
            number for number, each in enumerate(self.manifest["versions"], 1) if index < each["leaves"]
        )

    def tidy(self) -> None:
        """Removes files that the manifest on the disk does not name: segments that were rewritten or never counted."""
        path = self.folder / MANIFEST
        named = {each["file"] for each in (read_json(path)["segments"] if path.exists() else [])}
        left = [path for path in (self.folder / segments.FOLDER).iterdir() if path.name not in named]
        if left:
            # A power cut must not bring back a manifest that names them.
            disk.sync(self.folder)
            disk.remove(left)

    def mend(self) -> None:
        """Makes the tree of the latest version anew. Raises `DataError` when the segments are not that version's."""
        tree, stated, place = GrowingTree(self.folder / TREE), self.manifest["versions"][-1]["root"], 0
        with tree.appending(0) as put:
            for entry in self.manifest["segments"]:
                segment = segments.read(self.folder, entry, self.sealer)
                put(leaves_in(segment, place, self.rows))
                place += len(segment)
        if leaves.root_over(place, tree.root(place)).hex() != stated:
            raise DataError(f"{self.folder}: records are not those of version {self.number - 1}.", RESTORE)

    def _drawn(
        self, rows: Iterable[Row], held: np.ndarray | None
    ) -> Iterator[tuple[bytes, Mapping[str, Any]]]:
        """Each row that is taken, with its patient's draw."""
        out, refused = set(self.withdrawn.all()), self.vault.refused()
        before, drawn, taken = None, b"", True
        for patient, record in rows:
            if patient != before:
                if not isinstance(patient, str) or not patient:
                    raise DataError("Each record needs the pseudonym of its patient.")
                if patient in refused:
                    raise DataError("A patient of these rows has withdrawn meanwhile.", "Run it again.")
                before, drawn = patient, self.draws.of(patient)
                taken = drawn[-CODE_BYTES:] not in out and (held is None or not _among(held, drawn))
            if taken:
                yield drawn, record
            else:
                self.left_out += 1

    def _segment(self, chunk: list[tuple[bytes, Mapping[str, Any]]], first: int, put: Any) -> Segment:
        """New records from ``first`` on; their leaves go into the tree."""
        draws = np.frombuffer(b"".join([drawn for drawn, _ in chunk]), np.uint8).reshape(-1, 32)
        below = np.uint64(int(self.manifest["held_out"] * 2**64))
        ahead = np.ascontiguousarray(draws[:, :8]).view(">u8")[:, 0]
        splits = np.where(ahead < below, HELD_OUT, TRAIN).astype(np.uint8)
        values = self.rows.values([record for _, record in chunk], first)
        salts = os.urandom(SALT_BYTES * len(chunk))
        made = Segment.of(draws[:, -CODE_BYTES:], splits, salts, values)
        put(leaves_in(made, first, self.rows))
        return made

    def _held_numbers(self) -> np.ndarray:
        """uint64[records], rising: what tells patients who are here."""
        heads = (segments.read_head(self.folder, each, self.sealer) for each in self.manifest["segments"])
        found = np.concatenate([np.empty(0, np.uint64), *(head.numbers[head.here] for head in heads)])
        found.sort()
        return found

    def _tree(self, places: Collection[int] = ()) -> GrowingTree:
        """The tree of the latest version, made anew where a crash or a flipped bit left another one at its edge or on
        the way to some places."""
        tree = GrowingTree(self.folder / TREE)
        if self.count and not self._is_sound(tree, places):
            self.mend()
        return tree

    def _is_sound(self, tree: GrowingTree, places: Collection[int]) -> bool:
        count = self.count
        try:
            top = tree.root(count)
            return leaves.root_over(count, top).hex() == self.manifest["versions"][-1]["root"] and all(
                merkle.verify(top, tree.leaf(place), place, count, tree.proof(count, place))
                for place in places
            )
        except VaultError:
            return False

    def _sides(self) -> tuple[int, int]:
        if not self.manifest["versions"]:
            return 0, 0
        last = self.manifest["versions"][-1]
        return last["train_records"], last["held_out_records"]

    def _may_sum(self, came: set[bytes]) -> bool:
        """Whether enough patients have come since the last version with sums: what those differ by is of all of them.
        A version that a withdrawal made has none, for it differs by one patient."""
        came = set(came)
        since = max((each["leaves"] for each in self.manifest["versions"] if each["sums"]), default=0)
        start = 0
        for entry in self.manifest["segments"]:
            if len(came) >= SUMMED_PATIENTS:
                break
            if (start := start + entry["count"]) > since:
                head = segments.read_head(self.folder, entry, self.sealer)
                first = max(0, since - (start - len(head)))
                came |= {head.codes[at].tobytes() for at in range(first, len(head)) if not head.gone[at]}
        return len(came) >= SUMMED_PATIENTS

    def _commit(self, entries: list[dict[str, Any]], count: int, sides: tuple[int, int],
                source: Mapping[str, Any] | None, since: int = 0) -> None:  # fmt: skip
        root = leaves.root_over(count, GrowingTree(self.folder / TREE).root(count))
        document = record_evidence.make(
            self.schema, self.manifest["profile"], root=root, leaves=count, sides=sides, source=source
        )
        disk.put(self.folder / EVIDENCE / f"{self.number:06}.json", document)
        disk.sync(self.folder / segments.FOLDER)
        stated = {
            "root": root.hex(),
            "leaves": count,
            "train_records": sides[TRAIN],
            "held_out_records": sides[HELD_OUT],
            "sums": source is not None,
            "evidence": to_cid(digest_of(document)),
            # Versions from this one on held somebody whom this version withdrew.
            **({"revokes_from": since} if since else {}),
        }
        versions = [*self.manifest["versions"], stated]
        self.manifest = {**self.manifest, "segments": entries, "versions": versions}
        write_manifest(self.folder, self.manifest)
        self.tidy()


def leaves_in(segment: Segment, first: int, rows: Rows) -> list[bytes]:
    """The leaf at each place of a segment whose first place is ``first``."""
    here = segment.head.here
    places = np.flatnonzero(here)
    made = leaves.leaves_of(
        places + first, segment.head.splits[places], segment.salts, rows.lines(segment.values)
    )
    if len(made) == len(segment):
        return made
    found = [leaves.EMPTY_LEAF] * len(segment)
    for place, leaf in zip(places.tolist(), made, strict=True):
        found[place] = leaf
    return found


def write_manifest(folder: Path, manifest: dict[str, Any]) -> None:
    """Puts a manifest in the place of the one before. Raises `OSError`."""
    disk.put(folder / MANIFEST, json.dumps(manifest, indent=1).encode())


def _among(held: np.ndarray, drawn: bytes) -> bool:
    number = np.uint64(int.from_bytes(drawn[-CODE_BYTES:][:8], "little"))
    at = int(np.searchsorted(held, number))
    return at < len(held) and held[at] == number
