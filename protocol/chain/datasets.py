"""DatasetRegistry: versions of datasets. The chain stores counts and one commitment; events carry what it hashes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from protocol.chain.client import Chain, Receipt
from protocol.chain.events import Event, events
from protocol.chain.structs import Struct
from protocol.errors import ChainError, InvalidInput

CONTRACT = "DatasetRegistry"
REGISTERED = "DatasetVersionRegistered"


@dataclass(frozen=True)
class Version(Struct):
    """One version as its hospital states it. Root, digests: 32 bytes; ``profile``: ASCII, zero-padded to 32."""

    root: bytes
    train_records: int
    held_out_records: int
    schema_digest: bytes
    profile: bytes
    evidence_digest: bytes


@dataclass(frozen=True)
class StoredVersion(Struct):
    """What the chain keeps of a version. ``registered_at``: unix seconds."""

    train_records: int
    held_out_records: int
    registered_at: int
    commitment: bytes


@dataclass(frozen=True)
class Registered:
    """A version with its place: dataset, owner, number from 1, and the event that says so."""

    dataset_id: int
    hospital_id: int
    number: int
    version: Version
    event: Event


class Datasets:
    """Typed calls of DatasetRegistry."""

    def __init__(self, chain: Chain) -> None:
        self.chain = chain

    def register(self, version: Version) -> Receipt:
        """A new dataset with its first version; the signer is a hospital's operator."""
        return self.chain.send(CONTRACT, "register", version)

    def append(self, dataset_id: int, version: Version) -> Receipt:
        """The next version of a dataset of the signing operator's hospital."""
        return self.chain.send(CONTRACT, "append", dataset_id, version)

    def count(self) -> int:
        """How many datasets there are: ids run from 1 to this."""
        return int(self.chain.call(CONTRACT, "datasetCount"))

    def hospital_of(self, dataset_id: int) -> int:
        """Raises Refused (UnknownDataset)."""
        return int(self.chain.call(CONTRACT, "hospitalOf", dataset_id))

    def version_count(self, dataset_id: int) -> int:
        """Raises Refused (UnknownDataset)."""
        return int(self.chain.call(CONTRACT, "versionCount", dataset_id))

    def version(self, dataset_id: int, number: int) -> StoredVersion:
        """Raises Refused (UnknownDataset, UnknownVersion)."""
        return StoredVersion.of(self.chain.call(CONTRACT, "version", dataset_id, number))

    def versions(self, dataset_id: int) -> list[Registered]:
        """Every version of a dataset, from its events. Raises Refused (UnknownDataset)."""
        found = _registered(events(self.chain, CONTRACT, [REGISTERED], datasetId=dataset_id))
        if not found:
            self.hospital_of(dataset_id)
            raise ChainError(
                f"Dataset {dataset_id} was registered too recently.", "Wait for its block to be confirmed."
            )
        return found

    def all_versions(self) -> list[Registered]:
        """Every version of every dataset, in the order of the chain."""
        return _registered(events(self.chain, CONTRACT, [REGISTERED]))

    def latest(self, dataset_id: int) -> Version:
        """The newest version of a dataset. Raises Refused (UnknownDataset)."""
        return self.versions(dataset_id)[-1].version

    def version_with_root(self, dataset_id: int, root: bytes) -> int:
        """The number of the newest version with this Merkle root. Raises Refused, or InvalidInput when none has it."""
        for each in reversed(self.versions(dataset_id)):
            if each.version.root == root:
                return each.number
        raise InvalidInput(
            f"No version of dataset {dataset_id} has the root 0x{root.hex()}.",
            "The folder's records are not those that were registered: `salus dataset append` registers them.",
        )

    def ids_of_hospital(self, hospital_id: int) -> list[int]:
        """The datasets of one hospital, in the order of their registration."""
        found = _registered(events(self.chain, CONTRACT, [REGISTERED], hospitalId=hospital_id))
        return list(dict.fromkeys(each.dataset_id for each in found))


def _registered(found: Iterable[Event]) -> list[Registered]:
    return [
        Registered(
            event.args["datasetId"],
            event.args["hospitalId"],
            event.args["version"],
            Version.of(event.args["content"]),
            event,
        )
        for event in found
    ]
