"""Members of an image dataset, each a record {"sha256": of the DICOM file, in hex, "label": its label}, and how their
files rest. `leaves` says how a record becomes a leaf.

Files of members are sealed under the vault's key; each version adds one.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from protocol.content import merkle
from protocol.data.dataset import record_digest
from protocol.data.versions import RESTORE
from protocol.errors import DataError
from protocol.vault import disk
from protocol.vault.kept import Kept
from protocol.vault.leaves import EMPTY_LEAF, MAX_LEAVES, ROOT_TAG, leaf, root_over, verify_record
from protocol.vault.sealed import Sealer

if TYPE_CHECKING:
    from protocol.vault.store import Vault

__all__ = [
    "EMPTY_LEAF", "MAX_LEAVES", "ROOT_TAG", "Lost", "Member", "Place", "leaf", "leaves", "read", "root_of", "root_over",
    "verify_record", "withdrawn", "write",
]  # fmt: skip

FOLDER, WITHDRAWN = "members", "withdrawn.sealed"


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
