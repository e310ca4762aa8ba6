"""A dataset of a vault's images: a folder that never leaves the hospital, and a Merkle root that does.

    manifest.json    profile, condition, files of members, versions (root, counts, evidence), id on the chain
    schema.json      the schema
    split.key        decides on which side a patient's images fall
    members/         whom each version added: uid, patient, sha256, label, split, salt; sealed under the vault's key
    withdrawn.sealed the pseudonyms of whose members were withdrawn: they are no members again
    tree/            the Merkle tree over the leaves
    evidence/        a document a version, see `evidence`

    record        = {"sha256": of the DICOM file, in hex, "label": its label}
    record digest = sha256("salus/record" || salt || canonical JSON of the record)
    leaf          = sha256(0x00 || uint32be(index) || uint8(split) || record digest)
    empty leaf    = sha256(0x00 || "salus/withdrawn")
    root          = sha256(0x02 || uint32be(leaves) || Merkle root of the leaves)

The pictures stay in the vault. The root binds how many leaves there are, not each leaf: so m more cost O(m log n)
hashes. Who is withdrawn leaves an empty leaf, and nothing else: the salt is deleted, and versions that held it can
neither be proved nor trained on again. The manifest is written last, and what it does not count does not count: a crash
leaves the version before.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
import secrets
import shutil
import tempfile
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from filelock import FileLock

from protocol.content import canonical, merkle
from protocol.content.cid import digest_of, to_cid
from protocol.data import dataset as tabular
from protocol.data import files
from protocol.data.dataset import MANIFEST, SALT_BYTES, RecordProof, record_digest
from protocol.data.images import ImageSchema
from protocol.data.splits import HELD_OUT, MIN_RECORDS, TRAIN, patient_split
from protocol.errors import DataError, SalusError, VaultError
from protocol.vault import disk
from protocol.vault.kept import Kept
from protocol.vault.sealed import Sealer
from protocol.vault.tree import GrowingTree

if TYPE_CHECKING:
    from protocol.imaging.text import TextFinder
    from protocol.vault.store import Row, Vault
    from protocol.vault.stream import Stream

__all__ = ["EMPTY_LEAF", "FORMAT", "ImageDataset", "Member", "datasets_in", "leaf", "opened", "verify_record"]

log = logging.getLogger(__name__)

FORMAT = "salus/images/1"
WITHDRAWN = "withdrawn.sealed"
ROOT_TAG = b"\x02"
#: In the place of a withdrawn member, in every dataset the same.
EMPTY_LEAF = hashlib.sha256(merkle.LEAF_TAG + b"salus/withdrawn").digest()
HELD_OUT_SHARE = 0.34
#: Sums in the evidence of two versions differ by the images of at least so many patients.
SUMMED_PATIENTS = 5

_MAX_LEAVES = 2**32 - 1
_ALTERED = "Restore the folder from a back-up; an altered dataset cannot train."


@dataclass(frozen=True)
class Member:
    """An instance of the vault as a dataset holds it. `sha256` and `salt` in hex, `split` 0 or 1."""

    uid: str
    patient: str
    sha256: str
    label: int
    split: int
    salt: str

    @property
    def record(self) -> dict[str, Any]:
        return {"sha256": self.sha256, "label": self.label}

    def leaf(self, index: int) -> bytes:
        """Its leaf as number `index`."""
        return leaf(index, self.split, record_digest(bytes.fromhex(self.salt), self.record))


#: What stands at an index: a member, or the number of the version that withdrew it.
Place = Member | int


def leaf(index: int, split: int, digest: bytes) -> bytes:
    """The leaf of record `index`."""
    return hashlib.sha256(merkle.LEAF_TAG + index.to_bytes(4, "big") + bytes([split]) + digest).digest()


def verify_record(root: bytes, proof: RecordProof) -> bool:
    """Whether the record of a proof is in the version of an image dataset with this root, at its index and split."""
    if proof.split not in (TRAIN, HELD_OUT) or len(proof.salt) != SALT_BYTES:
        return False
    if not 0 <= proof.index < proof.count <= _MAX_LEAVES:
        return False
    own = leaf(proof.index, proof.split, record_digest(proof.salt, proof.record))
    *siblings, top = proof.siblings or [b""]
    return _root(proof.count, top) == root and merkle.verify(top, own, proof.index, proof.count, siblings)


def opened(
    folder: Path, version: int | None = None, vault: Vault | None = None
) -> tabular.Dataset | ImageDataset:
    """The dataset in a folder, of whichever kind. Raises `DataError` as its `open` does."""
    if _manifest(folder).get("format") == FORMAT:
        return ImageDataset.open(folder, version, vault=vault)
    return tabular.Dataset.open(folder, version)


def datasets_in(
    folder: Path, vault: Vault | None = None, broken: list[SalusError] | None = None
) -> list[ImageDataset]:
    """The image datasets among the dataset folders in `folder`, by name. What does not open goes into `broken`, or into
    the log, once; it holds the others up no longer. Names that begin with a dot are of what is not done."""
    found = []
    for path in sorted(folder.glob(f"[!.]*/{MANIFEST}")):
        try:
            if _manifest(path.parent).get("format") == FORMAT:
                found.append(ImageDataset.open(path.parent, vault=vault))
        except SalusError as error:
            if broken is not None:
                broken.append(error)
            elif error.message not in _said:
                _said.add(error.message)
                log.warning("a dataset is left out: %s", error)
    return found


_said: set[str] = set()


class ImageDataset:
    """One version of a dataset folder. Get one with `create` or `open`."""

    def __init__(self, folder: Path, manifest: dict[str, Any], version: int, vault: Vault | None) -> None:
        self.folder = folder
        self.version = version
        self.schema = ImageSchema.parse(_json(folder / "schema.json"))
        self._manifest, self._vault = manifest, vault
        self._stated = manifest["versions"][version - 1]
        if to_cid(self.schema.digest()) != manifest["schema"]:
            raise DataError(f"{folder}: schema.json is not the schema of this dataset.", _ALTERED)

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
            _sweep(folder)
            part = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}-"))
            for name in ("members", "evidence"):
                (part / name).mkdir(mode=0o700)
            files.write_new(part / "schema.json", canonical.dumps(schema.to_dict()))
            files.write_new(part / "split.key", os.urandom(32))
            work = _Work(part, manifest, schema, vault, finder)
            rows = work.fresh()
            if (patients := _patients(rows)) < min_patients or not rows:
                raise DataError(
                    f"{len(rows)} labelled instances of {patients} patients in the vault's batches fit the condition;"
                    f" at least {max(1, min_patients)} patients are asked for.",
                    "Wait for more, label them (`salus vault label`), or ask for others.",
                )
            work.add(rows)
            part.rename(folder)
            disk.sync(folder.parent)
        except OSError as error:
            raise _unwritten(folder, error) from error
        finally:
            if part is not None and part.exists():
                shutil.rmtree(part, ignore_errors=True)
        return cls.open(folder, vault=vault)

    @classmethod
    def open(cls, folder: Path, version: int | None = None, *, vault: Vault | None = None) -> Self:
        """The latest version in a folder, or an earlier one (from 1). What is in no file of its own asks for the vault.

        Raises `DataError` when there is none."""
        manifest = _manifest(folder)
        if manifest.get("format") != FORMAT:
            raise DataError(f"{folder} is not a folder of an image dataset of this version of Salus.")
        count = len(manifest["versions"])
        if version is not None and not 1 <= version <= count:
            raise DataError(f"{folder} has {count} version(s), not {version}.")
        return cls(folder, manifest, version or count, vault)

    def fresh(self, vault: Vault) -> list[Row]:
        """What the next version would add: labelled, in a batch, fits the condition, cleaned by this profile, no member
        yet, and of nobody who withdrew. By uid, which says nothing of the order of arrival."""
        return _Work(self.folder, self._manifest, self.schema, vault, None).fresh()

    def extend(self, vault: Vault, *, min_patients: int = 1, finder: TextFinder | None = None) -> Self | None:
        """The next version, with what is `fresh`. None when there is nothing, or of fewer than `min_patients` patients:
        it waits for more, because one patient's time of arrival is personal. Whoever withdrew from the vault goes
        first, in a version of its own that waits for nobody.

        Raises `DataError` when a side has fewer than `MIN_RECORDS`, or the folder cannot be written."""
        with self._writing(vault, finder) as work:
            changed = work.remove(set())
            rows = work.fresh()
            if rows and _patients(rows) >= min_patients:
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
    def root(self) -> bytes:
        """What the chain gets (32 bytes): the number of leaves and their Merkle root, hashed."""
        return bytes.fromhex(self._stated["root"])

    @property
    def train_records(self) -> int:
        return self._stated["train_records"]

    @property
    def held_out_records(self) -> int:
        return self._stated["held_out_records"]

    @property
    def profile(self) -> str:
        """Name of the de-identification profile."""
        return self._manifest["profile"]

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

    @property
    def dataset_id(self) -> int | None:
        """Its id on the chain; None before it was registered."""
        return self._manifest["dataset_id"]

    def remember_id(self, dataset_id: int) -> None:
        """Notes the id that the registry gave."""
        with _locked(self.folder):
            manifest = _manifest(self.folder)
            if manifest["dataset_id"] not in (None, dataset_id):
                raise DataError(f"{self.folder} is dataset {manifest['dataset_id']}, not {dataset_id}.")
            try:
                _write_manifest(self.folder, {**manifest, "dataset_id": dataset_id})
            except OSError as error:
                raise _unwritten(self.folder, error) from error
        self._manifest = {**self._manifest, "dataset_id": dataset_id}

    def evidence(self) -> bytes:
        """The evidence document of this version. Raises `DataError` when it is not the one that was made."""
        content = files.read(self.folder / "evidence" / f"{self.version:06}.json")
        if to_cid(digest_of(content)) != self._stated["evidence"]:
            raise DataError(f"{self.folder}: the evidence of version {self.version} was altered.", _ALTERED)
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
        """Pictures of one split as a torch dataset that reads from the vault as it goes. See `Stream`."""
        from protocol.vault.stream import Stream

        return Stream(self._opened_vault(), self.schema, self._to_train(split), seed=seed)

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
        if _root(len(places), merkle.root(_leaves(places))) != self.root:
            raise DataError(
                f"{self.folder}: members, salts or splits are not those that version {self.version} committed to.",
                _ALTERED,
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
        tree = merkle.Tree(_leaves(places))
        salt, siblings = bytes.fromhex(member.salt), [*tree.proof(index), tree.root]
        return RecordProof(index, len(places), member.split, salt, member.record, siblings)

    def root_of(self, digests: dict[str, str]) -> bytes:
        """The root of this version if its members had these SHA-256, in hex by uid: for an audit of the pictures."""
        leaves = [
            EMPTY_LEAF
            if isinstance(place, int)
            else Member(**{**vars(place), "sha256": digests[place.uid]}).leaf(index)
            for index, place in enumerate(self.verify())
        ]
        return _root(len(leaves), merkle.root(leaves))

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
            self._manifest = _manifest(self.folder)
            try:
                places = _read_places(self.folder, self._manifest, vault)
            except _Lost:
                if _manifest(self.folder) == self._manifest:
                    raise
            else:
                return places[: self._manifest["versions"][version - 1]["leaves"]]

    def _latest(self) -> list[Place]:
        return self._places(len(_manifest(self.folder)["versions"]))

    def _opened_vault(self) -> Vault:
        if self._vault is None:
            raise VaultError(
                f"{self.folder.name} is a dataset of images, and the vault that holds them is closed.",
                "Open it: --vault-password-file, or SALUS_VAULT_PASSWORD_FILE.",
            )
        return self._vault

    @contextmanager
    def _writing(self, vault: Vault, finder: TextFinder | None) -> Iterator[_Work]:
        """The latest version, to be changed by one process at a time. What a crash left behind goes before and after,
        the salts of withdrawn members among it."""
        with _locked(self.folder):
            try:
                work = _Work(self.folder, _manifest(self.folder), self.schema, vault, finder)
                work.tidy()
                yield work
            except OSError as error:
                raise _unwritten(self.folder, error) from error


class _Lost(DataError):
    """A file of members is not there: it was rewritten meanwhile, or lost."""


class _Work:
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
        self.places = _read_places(folder, manifest, vault)

    def fresh(self) -> list[Row]:
        known = {place.uid for place in self.places if isinstance(place, Member)}
        withdrawn = _withdrawn(self.folder, self.vault).value
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
        if len(self.places) + len(rows) > _MAX_LEAVES:
            raise DataError(f"A dataset holds at most {_MAX_LEAVES:,} records.")
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
        self._commit(tree, [*self.manifest["members"], self._sealed(new)], sums=self._may_sum())

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
        kept = _withdrawn(self.folder, self.vault)
        kept.value = {**kept.value, **{self.places[index].patient: self.number for index in gone}}
        tree = self._tree(len(self.places))
        for index in gone:
            self.places[index] = self.number
            tree.replace(len(self.places), index, EMPTY_LEAF)
        files_of_members, start = [], 0
        for each in self.manifest["members"]:
            end = start + each["count"]
            touched = any(start <= index < end for index in gone)
            files_of_members.append(self._sealed(self.places[start:end]) if touched else each)
            start = end
        self._commit(tree, files_of_members, sums=False)
        return True

    def tidy(self) -> None:
        """Removes files of members that the manifest does not name."""
        named = {each["file"] for each in self.manifest["members"]}
        disk.remove(path for path in (self.folder / "members").iterdir() if path.name not in named)

    def _tree(self, count: int) -> GrowingTree:
        """The tree over the first `count` leaves, made anew where a crash or a flipped bit left another one."""
        tree = GrowingTree(self.folder / "tree")
        if not count:
            return tree
        stated = bytes.fromhex(self.manifest["versions"][-1]["root"])
        try:
            sound = _root(count, tree.root(count)) == stated
        except VaultError:
            sound = False
        if not sound:
            leaves = _leaves(self.places[:count])
            if _root(count, merkle.root(leaves)) != stated:
                raise DataError(
                    f"{self.folder}: members are not those of version {self.number - 1}.", _ALTERED
                )
            tree.append(0, leaves)
        return tree

    def _sides(self) -> tuple[int, int]:
        sides = [place.split for place in self.places if isinstance(place, Member)]
        return sides.count(TRAIN), sides.count(HELD_OUT)

    def _sealed(self, places: Sequence[Place]) -> dict[str, Any]:
        """Writes a file of members; how the manifest names it. No two have one name, so none stands for another."""
        name = f"{self.number:06}-{secrets.token_hex(8)}.sealed"
        content = json.dumps([place if isinstance(place, int) else astuple(place) for place in places])
        sealed = _sealer(self.vault).seal(content.encode(), name.encode())
        disk.put(self.folder / "members" / name, sealed)
        return {"file": name, "count": len(places)}

    def _may_sum(self) -> bool:
        """Whether enough patients have come since the last version with sums: what those differ by is of all of them.
        A version that a withdrawal made has none, for it differs by one patient."""
        summed = [each["leaves"] for each in self.manifest["versions"] if each.get("sums", True)]
        came = self.places[summed[-1] if summed else 0 :]
        return len({place.patient for place in came if isinstance(place, Member)}) >= SUMMED_PATIENTS

    def _commit(self, tree: GrowingTree, files_of_members: list[dict[str, Any]], *, sums: bool) -> None:
        from protocol.vault import evidence

        train, held_out = self._sides()
        root = _root(len(self.places), tree.root(len(self.places)))
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
        _write_manifest(self.folder, self.manifest)
        self.number += 1
        self.tidy()


def _root(count: int, top: bytes) -> bytes:
    return hashlib.sha256(ROOT_TAG + count.to_bytes(4, "big") + top).digest()


def _leaves(places: Sequence[Place]) -> list[bytes]:
    return [EMPTY_LEAF if isinstance(place, int) else place.leaf(index) for index, place in enumerate(places)]


def _patients(rows: Sequence[Row]) -> int:
    return len({row.patient for row in rows})


def _read_places(folder: Path, manifest: dict[str, Any], vault: Vault) -> list[Place]:
    places: list[Place] = []
    for each in manifest["members"]:
        try:
            sealed = (folder / "members" / each["file"]).read_bytes()
        except FileNotFoundError as error:
            raise _Lost(f"{folder} lacks a file of members.", _ALTERED) from error
        found = json.loads(_sealer(vault).open(sealed, each["file"].encode()))
        places += [place if isinstance(place, int) else Member(*place) for place in found]
    return places


def _withdrawn(folder: Path, vault: Vault) -> Kept:
    """{pseudonym: the version that withdrew it}, beside the members: a vault that was restored may not know."""
    return Kept(folder / WITHDRAWN, _sealer(vault))


def _sweep(folder: Path) -> None:
    """Removes what a killed `create` of this folder left."""
    # Eight characters are what tempfile adds.
    left = re.compile(rf"\.{re.escape(folder.name)}-[a-z0-9_]{{8}}")
    for path in folder.parent.iterdir():
        if left.fullmatch(path.name):
            shutil.rmtree(path, ignore_errors=True)


def _sealer(vault: Vault) -> Sealer:
    return Sealer(vault.sealer.derive("datasets/members"))


def _manifest(folder: Path) -> dict[str, Any]:
    return _json(folder / MANIFEST)


def _write_manifest(folder: Path, manifest: dict[str, Any]) -> None:
    disk.put(folder / MANIFEST, json.dumps(manifest, indent=2).encode())


def _json(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(files.read(path))
    except ValueError as error:
        raise DataError(f"{path} is not JSON.", _ALTERED) from error
    if not isinstance(document, dict):
        raise DataError(f"{path} is not a JSON object.", _ALTERED)
    return document


def _locked(folder: Path) -> FileLock:
    return FileLock(folder / ".lock", mode=0o600)


def _unwritten(folder: Path, error: OSError) -> DataError:
    return DataError(f"{folder} cannot be written: {error.strerror}.", "Is the disk full?")
