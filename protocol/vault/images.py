"""A dataset of a vault's images: a folder that never leaves the hospital, and a Merkle root that does.

    manifest.json    profile, condition, files of members, versions (root, counts, evidence), id on the chain
    schema.json      the schema
    split.key        decides on which side a patient's images fall
    members/         whom each version added: uid, patient, sha256, label, split, salt; sealed under the vault's key
    withdrawn.sealed the pseudonyms of whose members were withdrawn: they are no members again
    tree/            the Merkle tree over the leaves
    evidence/        a document a version, see `evidence`

The pictures stay in the vault; `members` says what becomes of them, `next_version` how a dataset changes. Who is
withdrawn leaves an empty leaf, and nothing else: the salt is deleted, and versions that held it can neither be proved
nor trained on again.
"""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from protocol.content import canonical, merkle
from protocol.content.cid import digest_of, to_cid
from protocol.data import dataset as tabular
from protocol.data import files
from protocol.data.dataset import RecordProof
from protocol.data.images import ImageSchema
from protocol.data.splits import MIN_RECORDS
from protocol.data.versions import MANIFEST, RESTORE, Versioned, read_json, read_manifest, unwritten
from protocol.errors import DataError, SalusError, VaultError
from protocol.vault import disk, folders, members, stored_records
from protocol.vault.members import Member, Place
from protocol.vault.next_version import NextVersion, patients_of, write_manifest
from protocol.vault.record_dataset import RecordDataset

if TYPE_CHECKING:
    from protocol.imaging.text import TextFinder
    from protocol.learning.stream import Stream
    from protocol.vault.store import Row, Vault

log = logging.getLogger(__name__)

FORMAT = "salus/images/1"
HELD_OUT_SHARE = 0.34
# What was said in the log of folders that do not open.
_said: set[str] = set()


def opened(folder: Path, version: int | None = None, vault: Vault | None = None) -> HospitalDataset:
    """The dataset in a folder, of whichever kind. Raises `DataError` as its `open` does."""
    form = read_json(folder / MANIFEST).get("format")
    if form == FORMAT:
        return ImageDataset.open(folder, version, vault=vault)
    if form == stored_records.FORMAT:
        return RecordDataset.open(folder, version, vault=vault)
    return tabular.Dataset.open(folder, version)


def datasets_in(
    folder: Path, vault: Vault | None = None, broken: list[SalusError] | None = None
) -> list[ImageDataset]:
    """The image datasets among the dataset folders in `folder`, by name. What does not open goes into `broken`, or into
    the log, once; it holds the others up no longer. Names that begin with a dot are of what is not done."""
    found = []
    for path in sorted(folder.glob(f"[!.]*/{MANIFEST}")):
        try:
            if read_json(path).get("format") == FORMAT:
                found.append(ImageDataset.open(path.parent, vault=vault))
        except SalusError as error:
            if broken is not None:
                broken.append(error)
            elif error.message not in _said:
                _said.add(error.message)
                log.warning("a dataset is left out: %s", error)
    return found


class ImageDataset(Versioned):
    """One version of a dataset folder. Get one with `create` or `open`."""

    needs_vault: ClassVar[bool] = True

    def __init__(self, folder: Path, manifest: dict[str, Any], version: int, vault: Vault | None) -> None:
        super().__init__(folder, manifest, version)
        self.schema = ImageSchema.parse(read_json(folder / "schema.json"))
        self._vault = vault
        if to_cid(self.schema.digest()) != manifest["schema"]:
            raise DataError(f"{folder}: schema.json is not the schema of this dataset.", RESTORE)

    @classmethod
    def create(
        cls, folder: Path, schema: ImageSchema, vault: Vault, where: str = "", held_out: float = HELD_OUT_SHARE,
        *, min_patients: int = 1, finder: TextFinder | None = None,
    ) -> Self:  # fmt: skip
        """A new folder, whole or not at all, with the labelled instances in a vault's batches that fit an SQL
        condition.

        A patient is held out with probability `held_out`. `finder` looks for text in a sample, for the evidence; by
        default RapidOCR. Raises `DataError`: the folder exists, the instances are of fewer than `min_patients`
        patients, or a side has fewer than `MIN_RECORDS`; `InvalidInput` for a wrong condition.
        """
        # pydicom takes half a second to import, and most of what asks for a dataset does without.
        from protocol.imaging.profile import PROFILE

        if folder.exists():
            raise DataError(f"{folder} exists already.", "Extend that dataset, or choose another name.")
        manifest = {
            "format": FORMAT,
            "schema": to_cid(schema.digest()),
            "profile": PROFILE,
            "where": where,
            "held_out": held_out,
            "dataset_id": None,
            "members": [],
            "versions": [],
        }
        part: Path | None = None
        try:
            folder.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            folders.sweep(folder)
            part = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}-"))
            for name in ("members", "evidence"):
                (part / name).mkdir(mode=0o700)
            files.write_new(part / "schema.json", canonical.dumps(schema.to_dict()))
            files.write_new(part / "split.key", os.urandom(32))
            work = NextVersion(part, manifest, schema, vault, finder)
            rows = work.fresh()
            if (patients := patients_of(rows)) < min_patients or not rows:
                raise DataError(
                    f"{len(rows)} labelled instances of {patients} patients in the vault's batches fit the condition;"
                    f" at least {max(1, min_patients)} patients are asked for.",
                    "Wait for more, label them (`salus vault label`), or ask for others.",
                )
            work.add(rows)
            part.rename(folder)
            disk.sync(folder.parent)
        except OSError as error:
            raise unwritten(folder, error) from error
        finally:
            if part is not None and part.exists():
                shutil.rmtree(part, ignore_errors=True)
        return cls.open(folder, vault=vault)

    @classmethod
    def open(cls, folder: Path, version: int | None = None, *, vault: Vault | None = None) -> Self:
        """The latest version in a folder, or an earlier one (from 1). What is in no file of its own asks for the vault.

        Raises `DataError` when there is none."""
        return cls(folder, *read_manifest(folder, FORMAT, version), vault)

    def fresh(self, vault: Vault) -> list[Row]:
        """What the next version would add: labelled, in a batch, fits the condition, cleaned by this profile, no member
        yet, and of nobody who withdrew. By uid, which says nothing of the order of arrival."""
        return NextVersion(self.folder, self._manifest, self.schema, vault, None).fresh()

    def extend(self, vault: Vault, *, min_patients: int = 1, finder: TextFinder | None = None) -> Self | None:
        """The next version, with what is `fresh`. None when there is nothing, or of fewer than `min_patients` patients:
        it waits for more, because one patient's time of arrival is personal. Whoever withdrew from the vault goes
        first, in a version of its own that waits for nobody.

        Raises `DataError` when a side has fewer than `MIN_RECORDS`, or the folder cannot be written."""
        with self._writing(vault, finder) as work:
            changed = work.remove(set())
            rows = work.fresh()
            if rows and patients_of(rows) >= min_patients:
                work.add(rows)
            elif not changed:
                return None
        return type(self).open(self.folder, vault=vault)

    def withdraw(self, uids: Collection[str], *, finder: TextFinder | None = None) -> Self | None:
        """The next version, with the empty leaf for each of these instances and of whoever withdrew from the vault;
        their salts are deleted. None when none of them is a member. What remains may be too little to train on or to
        register; it is withdrawn all the same. Nothing of their patients is `fresh` again."""
        with self._writing(self._opened_vault(), finder) as work:
            if not work.remove(set(uids)):
                return None
        return type(self).open(self.folder, vault=self._vault)

    def newest(self) -> Self:
        """The latest version in its folder now."""
        return type(self).open(self.folder, vault=self._vault)

    @property
    def where(self) -> str:
        """The SQL condition of its cohort."""
        return self._manifest["where"]

    @property
    def has_sums(self) -> bool:
        """Whether its evidence has sums: those of too few patients differ from the sums of a version before."""
        return self._stated.get("sums", True)

    @property
    def leaves(self) -> int:
        """How many there are, those of withdrawn members too."""
        return self._stated["leaves"]

    def remember_id(self, dataset_id: int) -> None:
        """Notes the id that the registry gave."""
        with folders.locked(self.folder):
            self._manifest = read_json(self.folder / MANIFEST)
            manifest = self._with_id(dataset_id)
            try:
                write_manifest(self.folder, manifest)
            except OSError as error:
                raise unwritten(self.folder, error) from error
        self._manifest = manifest

    def evidence(self) -> bytes:
        """The evidence document of this version. Raises `DataError` when it is not the one that was made."""
        content = files.read(self.folder / "evidence" / f"{self.version:06}.json")
        if to_cid(digest_of(content)) != self._stated["evidence"]:
            raise DataError(f"{self.folder}: the evidence of version {self.version} was altered.", RESTORE)
        return content

    def members(self) -> list[Member]:
        """The members of this version, in the order of their leaves. Raises `DataError` as `verify` does."""
        return [place for place in self.verify() if isinstance(place, Member)]

    def arrays(self, split: int) -> tuple[np.ndarray, np.ndarray]:
        """Pictures of one split, encoded: float32[n, channels, rows, columns] and labels float32[n]. Verifies the
        commitment first, and each picture's digest."""
        from protocol.vault.pictures import encoded

        members = self._to_train(split)
        places = {member.uid: place for place, member in enumerate(members)}
        pictures = np.empty((len(members), *self.schema.shape), np.float32)
        for member, picture in encoded(self._opened_vault(), self.schema, members):
            pictures[places[member.uid]] = picture
        return pictures, self.schema.labels([member.label for member in members])

    def stream(self, split: int, *, seed: int | None = None) -> Stream:
        """Pictures of one split as a torch dataset that reads from the vault as it goes. See `Stream`. Reading raises
        as `arrays` does."""
        from protocol.learning.stream import Stream
        from protocol.vault.pictures import encoded

        members, vault = self._to_train(split), self._opened_vault()

        def read(start: int, end: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
            for member, picture in encoded(vault, self.schema, members[start:end]):
                yield picture, self.schema.labels([member.label])[0, ...]

        return Stream(len(members), read, seed=seed)

    def patients(self, split: int) -> np.ndarray:
        """int64[n] for the pictures of one split in the order of `arrays`: the same number for those of one patient.
        The commitment does not bind it."""
        each = [member.patient for member in self.members() if member.split == split]
        return np.unique(np.array(each, str), return_inverse=True)[1].astype(np.int64)

    def uids_of(self, patient: str) -> list[str]:
        """Members of the latest version that are of a patient, by pseudonym."""
        return [each.uid for each in self._latest() if isinstance(each, Member) and each.patient == patient]

    def held(self, uids: Collection[str]) -> list[int]:
        """Numbers of the versions that hold any of these instances."""
        first = [
            self._added(index)
            for index, each in enumerate(self._latest())
            if isinstance(each, Member) and each.uid in uids
        ]
        return list(range(min(first), len(self._manifest["versions"]) + 1)) if first else []

    def revoked(self) -> list[int]:
        """Numbers of the versions that hold a member that was withdrawn since."""
        return sorted(
            {
                version
                for index, place in enumerate(self._latest())
                if isinstance(place, int)
                for version in range(self._added(index), place)
            }
        )

    def verify(self) -> list[Place]:
        """Recomputes the root; returns what stands at each index. Raises `DataError` when it differs, and for a version
        that holds a member that was withdrawn since."""
        places = self._places(self.version)
        if any(isinstance(each, int) and each > self.version for each in places):
            raise DataError(
                f"{self.folder}: version {self.version} holds members that were withdrawn since; their salts are gone.",
                "It can neither be proved nor trained on; the latest version can.",
            )
        if members.root_of(places) != self.root:
            raise DataError(
                f"{self.folder}: members, salts or splits are not those that version {self.version} committed to.",
                RESTORE,
            )
        return places

    def prove(self, index: int) -> RecordProof:
        """The proof of one record, for `verify_record` here: the Merkle root follows its siblings. Raises `DataError`
        when there is none."""
        places = self.verify()
        if not 0 <= index < len(places):
            raise DataError(f"There is no record {index}: version {self.version} has {len(places)}.")
        member = places[index]
        if isinstance(member, int):
            raise DataError(f"Record {index} was withdrawn.", "Without its salt nobody can prove it.")
        tree = merkle.Tree(members.leaves(places))
        salt, siblings = bytes.fromhex(member.salt), [*tree.proof(index), tree.root]
        return RecordProof(index, len(places), member.split, salt, member.record, siblings)

    def root_of(self, digests: dict[str, str]) -> bytes:
        """The root of this version if its members had these SHA-256, in hex by uid: for an audit of the pictures."""
        return members.root_of(
            [
                place if isinstance(place, int) else replace(place, sha256=digests[place.uid])
                for place in self.verify()
            ]
        )

    def _to_train(self, split: int) -> list[Member]:
        if min(self.train_records, self.held_out_records) < MIN_RECORDS:
            raise DataError(
                f"{self.folder.name}, version {self.version}, has fewer than {MIN_RECORDS} records on a side since"
                " members were withdrawn.",
                "It can be used again once there are more: `salus vault dataset`.",
            )
        return [member for member in self.members() if member.split == split]

    def _added(self, index: int) -> int:
        """The version that first had this index."""
        return next(
            number for number, each in enumerate(self._manifest["versions"], 1) if index < each["leaves"]
        )

    def _places(self, version: int) -> list[Place]:
        """What stands at each index of a version today: another process may have withdrawn somebody meanwhile."""
        vault = self._opened_vault()
        while True:
            self._manifest = read_json(self.folder / MANIFEST)
            try:
                places = members.read(self.folder, self._manifest, vault)
            except members.Lost:
                if read_json(self.folder / MANIFEST) == self._manifest:
                    raise
            else:
                return places[: self._manifest["versions"][version - 1]["leaves"]]

    def _latest(self) -> list[Place]:
        return self._places(len(read_json(self.folder / MANIFEST)["versions"]))

    def _opened_vault(self) -> Vault:
        if self._vault is None:
            raise VaultError(
                f"{self.folder.name} is a dataset of images, and the vault that holds them is closed.",
                "Open it: --vault-password-file, or SALUS_VAULT_PASSWORD_FILE.",
            )
        return self._vault

    @contextmanager
    def _writing(self, vault: Vault, finder: TextFinder | None) -> Iterator[NextVersion]:
        """The latest version, to be changed by one process at a time. What a crash left behind goes before and after,
        the salts of withdrawn members among it."""
        with folders.locked(self.folder):
            try:
                work = NextVersion(self.folder, read_json(self.folder / MANIFEST), self.schema, vault, finder)
                work.tidy()
                yield work
            except OSError as error:
                raise unwritten(self.folder, error) from error


#: A folder's dataset: of a table, of images, or of records that grow and shrink.
HospitalDataset = tabular.Dataset | ImageDataset | RecordDataset
