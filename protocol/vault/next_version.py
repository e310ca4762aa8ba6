"""The next version of an image dataset in the making: members, tree, evidence, and the manifest last.

The manifest is written last, and what it does not count does not count: a crash leaves the version before.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from protocol.content.cid import digest_of, to_cid
from protocol.data import files
from protocol.data.dataset import SALT_BYTES
from protocol.data.images import ImageSchema
from protocol.data.splits import HELD_OUT, MIN_RECORDS, TRAIN, patient_split
from protocol.data.versions import MANIFEST, RESTORE
from protocol.errors import DataError, VaultError
from protocol.vault import disk, members
from protocol.vault.members import Member, Place
from protocol.vault.tree import GrowingTree

if TYPE_CHECKING:
    from protocol.imaging.text import TextFinder
    from protocol.vault.store import Row, Vault

#: Sums in the evidence of two versions differ by the images of at least so many patients.
SUMMED_PATIENTS = 5


class NextVersion:
    """The next version in the making: members, tree, evidence, and the manifest last."""

    def __init__(
        self,
        folder: Path,
        manifest: dict[str, Any],
        schema: ImageSchema,
        vault: Vault,
        finder: TextFinder | None,
    ) -> None:
        self.folder, self.manifest, self.schema = folder, manifest, schema
        self.vault, self.finder = vault, finder
        self.number = len(manifest["versions"]) + 1
        self.places = members.read(folder, manifest, vault)

    def fresh(self) -> list[Row]:
        known = {place.uid for place in self.places if isinstance(place, Member)}
        withdrawn = members.withdrawn(self.folder, self.vault).value
        rows = [
            row
            for row in self.vault.index(self.manifest["where"])
            if row.label is not None
            and row.uid not in known
            and row.patient not in withdrawn
            and row.report.get("profile") == self.manifest["profile"]
        ]
        return sorted({row.uid: row for row in rows}.values(), key=lambda row: row.uid)

    def add(self, rows: Sequence[Row]) -> None:
        """Raises `DataError` when a side has too few, or there are too many in all."""
        if len(self.places) + len(rows) > members.MAX_LEAVES:
            raise DataError(f"A dataset holds at most {members.MAX_LEAVES:,} records.")
        patients = [row.patient for row in rows]
        key = files.read(self.folder / "split.key")
        sides = patient_split(patients, self.manifest["held_out"], key).tolist()
        new = [
            Member(row.uid, row.patient, row.sha256.hex(), row.label, side, secrets.token_hex(SALT_BYTES))
            for row, side in zip(rows, sides, strict=True)
        ]
        before = len(self.places)
        self.places += new
        train, held_out = self._sides()
        if min(train, held_out) < MIN_RECORDS:
            raise DataError(
                f"{train} records for training and {held_out} held out: each needs at least {MIN_RECORDS}.",
                "A figure over fewer records could speak about one patient. Splits are by patient: wait for more.",
            )
        tree = self._tree(before)
        tree.append(before, [member.leaf(index) for index, member in enumerate(new, start=before)])
        self._commit(tree, [*self.manifest["members"], self._file(new)], sums=self._may_sum())

    def remove(self, uids: set[str]) -> bool:
        """Whether any of these, or of patients who withdrew from the vault, was a member."""
        patients = {place.patient for place in self.places if isinstance(place, Member)}
        withdrawn = {patient for patient in patients if self.vault.withdrawn(patient)}
        gone = [
            index
            for index, place in enumerate(self.places)
            if isinstance(place, Member) and (place.uid in uids or place.patient in withdrawn)
        ]
        if not gone:
            return False
        kept = members.withdrawn(self.folder, self.vault)
        kept.value = {**kept.value, **{self.places[index].patient: self.number for index in gone}}
        tree = self._tree(len(self.places))
        for index in gone:
            self.places[index] = self.number
            tree.replace(len(self.places), index, members.EMPTY_LEAF)
        files_of_members, start = [], 0
        for each in self.manifest["members"]:
            end = start + each["count"]
            touched = any(start <= index < end for index in gone)
            files_of_members.append(self._file(self.places[start:end]) if touched else each)
            start = end
        self._commit(tree, files_of_members, sums=False)
        return True

    def tidy(self) -> None:
        """Removes files of members that the manifest does not name."""
        named = {each["file"] for each in self.manifest["members"]}
        disk.remove(path for path in (self.folder / members.FOLDER).iterdir() if path.name not in named)

    def _tree(self, count: int) -> GrowingTree:
        """The tree over the first `count` leaves, made anew where a crash or a flipped bit left another one."""
        tree = GrowingTree(self.folder / "tree")
        if not count:
            return tree
        stated = bytes.fromhex(self.manifest["versions"][-1]["root"])
        try:
            sound = members.root_over(count, tree.root(count)) == stated
        except VaultError:
            sound = False
        if not sound:
            before = self.places[:count]
            if members.root_of(before) != stated:
                raise DataError(
                    f"{self.folder}: members are not those of version {self.number - 1}.", RESTORE
                )
            tree.append(0, members.leaves(before))
        return tree

    def _sides(self) -> tuple[int, int]:
        sides = [place.split for place in self.places if isinstance(place, Member)]
        return sides.count(TRAIN), sides.count(HELD_OUT)

    def _file(self, places: Sequence[Place]) -> dict[str, Any]:
        return members.write(self.folder, self.number, places, self.vault)

    def _may_sum(self) -> bool:
        """Whether enough patients have come since the last version with sums: what those differ by is of all of them.
        A version that a withdrawal made has none, for it differs by one patient."""
        summed = [each["leaves"] for each in self.manifest["versions"] if each.get("sums", True)]
        came = self.places[summed[-1] if summed else 0 :]
        return len({place.patient for place in came if isinstance(place, Member)}) >= SUMMED_PATIENTS

    def _commit(self, tree: GrowingTree, files_of_members: list[dict[str, Any]], *, sums: bool) -> None:
        from protocol.vault import evidence

        train, held_out = self._sides()
        root = members.root_over(len(self.places), tree.root(len(self.places)))
        document = evidence.make(
            self.vault,
            [place for place in self.places if isinstance(place, Member)],
            root=root,
            schema=self.schema,
            profile=self.manifest["profile"],
            leaves=len(self.places),
            sums=sums,
            finder=self.finder,
        )
        disk.put(self.folder / "evidence" / f"{self.number:06}.json", document)
        stated = {
            "root": root.hex(),
            "leaves": len(self.places),
            "train_records": train,
            "held_out_records": held_out,
            "sums": sums,
            "evidence": to_cid(digest_of(document)),
        }
        self.manifest = {
            **self.manifest, "members": files_of_members, "versions": [*self.manifest["versions"], stated],
        }  # fmt: skip
        write_manifest(self.folder, self.manifest)
        self.number += 1
        self.tidy()


def write_manifest(folder: Path, manifest: dict[str, Any]) -> None:
    """Puts a manifest in the place of the one before. Raises `OSError`."""
    disk.put(folder / MANIFEST, json.dumps(manifest, indent=2).encode())


def patients_of(rows: Sequence[Row]) -> int:
    """How many patients these are of."""
    return len({row.patient for row in rows})
