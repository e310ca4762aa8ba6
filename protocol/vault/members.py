"""Members of an image dataset: how each becomes a leaf, and how their files rest.

    record        = {"sha256": of the DICOM file, in hex, "label": its label}
    record digest = sha256("salus/record" || salt || canonical JSON of the record)
    leaf          = sha256(0x00 || uint32be(index) || uint8(split) || record digest)
    empty leaf    = sha256(0x00 || "salus/withdrawn")
    root          = sha256(0x02 || uint32be(leaves) || Merkle root of the leaves)

The root binds how many leaves there are, not each leaf: so m more cost O(m log n) hashes. Files of members are sealed
under the vault's key; each version adds one.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from protocol.content import merkle
from protocol.data.dataset import SALT_BYTES, RecordProof, record_digest
from protocol.data.splits import HELD_OUT, TRAIN
from protocol.data.versions import RESTORE
from protocol.errors import DataError
from protocol.vault import disk
from protocol.vault.kept import Kept
from protocol.vault.sealed import Sealer

if TYPE_CHECKING:
    from protocol.vault.store import Vault

FOLDER, WITHDRAWN = "members", "withdrawn.sealed"
ROOT_TAG = b"\x02"
#: In the place of a withdrawn member, in every dataset the same.
EMPTY_LEAF = hashlib.sha256(merkle.LEAF_TAG + b"salus/withdrawn").digest()
MAX_LEAVES = 2**32 - 1


class Lost(DataError):
    """A file of members is not there: it was rewritten meanwhile, or lost."""


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
    if not 0 <= proof.index < proof.count <= MAX_LEAVES:
        return False
    own = leaf(proof.index, proof.split, record_digest(proof.salt, proof.record))
    *siblings, top = proof.siblings or [b""]
    return root_over(proof.count, top) == root and merkle.verify(top, own, proof.index, proof.count, siblings)


def root_over(count: int, top: bytes) -> bytes:
    """The root of a version, over the Merkle root of its leaves."""
    return hashlib.sha256(ROOT_TAG + count.to_bytes(4, "big") + top).digest()


def leaves(places: Sequence[Place]) -> list[bytes]:
    """The leaf at each index."""
    return [EMPTY_LEAF if isinstance(place, int) else place.leaf(index) for index, place in enumerate(places)]


def root_of(places: Sequence[Place]) -> bytes:
    """The root of a version with these at its indices."""
    return root_over(len(places), merkle.root(leaves(places)))


def read(folder: Path, manifest: dict[str, Any], vault: Vault) -> list[Place]:
    """What stands at each index by a manifest. Raises Lost, VaultError."""
    places: list[Place] = []
    for each in manifest["members"]:
        try:
            sealed = (folder / FOLDER / each["file"]).read_bytes()
        except FileNotFoundError as error:
            raise Lost(f"{folder} lacks a file of members.", RESTORE) from error
        found = json.loads(_sealer(vault).open(sealed, each["file"].encode()))
        places += [place if isinstance(place, int) else Member(*place) for place in found]
    return places


def write(folder: Path, number: int, places: Sequence[Place], vault: Vault) -> dict[str, Any]:
    """Writes a file for version ``number``; how the manifest names it. No two have one name, so none stands for
    another. Raises `OSError`."""
    name = f"{number:06}-{secrets.token_hex(8)}.sealed"
    content = json.dumps([place if isinstance(place, int) else astuple(place) for place in places])
    disk.put(folder / FOLDER / name, _sealer(vault).seal(content.encode(), name.encode()))
    return {"file": name, "count": len(places)}


def withdrawn(folder: Path, vault: Vault) -> Kept:
    """{pseudonym: the version that withdrew it}, beside the members: a vault that was restored may not know."""
    return Kept(folder / WITHDRAWN, _sealer(vault))


def _sealer(vault: Vault) -> Sealer:
    return Sealer(vault.sealer.derive("datasets/members"))
