"""What datasets there are: versions and consents from the chain, schemas from IPFS. No record is in any of it."""

from __future__ import annotations

from dataclasses import dataclass

from protocol.chain.client import Chain
from protocol.chain.consents import Consent, Consents
from protocol.chain.datasets import Datasets, Registered
from protocol.content import canonical
from protocol.content.cid import to_cid
from protocol.content.ipfs import Ipfs
from protocol.data.dataset import RecordProof, verify_record
from protocol.data.images import Schema, schema_of
from protocol.data.proofs import ErasureProof
from protocol.errors import ContentError, InvalidInput
from protocol.vault import leaves
from protocol.vault.images import HospitalDataset


@dataclass(frozen=True)
class DatasetOverview:
    """A dataset on the chain. ``schema`` is None when it cannot be had, and ``problem`` says why; ``consents`` by id,
    those that are neither revoked, expired nor used up."""

    dataset_id: int
    hospital_id: int
    versions: list[Registered]
    schema: Schema | None
    problem: str
    consents: dict[int, Consent]

    @property
    def latest(self) -> Registered:
        return self.versions[-1]


def datasets(chain: Chain, ipfs: Ipfs, hospital_id: int | None = None) -> list[DatasetOverview]:
    """Every dataset, or those of one hospital, in the order of their registration."""
    by_id: dict[int, list[Registered]] = {}
    for each in Datasets(chain).all_versions():
        if hospital_id in (None, each.hospital_id):
            by_id.setdefault(each.dataset_id, []).append(each)
    live = _live_consents(chain)
    found = []
    for dataset_id, versions in by_id.items():
        schema, problem = _schema(ipfs, versions[-1].version.schema_digest)
        consents = {number: each for number, each in live.items() if each.terms.dataset_id == dataset_id}
        found.append(
            DatasetOverview(dataset_id, versions[-1].hospital_id, versions, schema, problem, consents)
        )
    return found


def registered_version(chain: Chain, dataset: HospitalDataset) -> Registered:
    """The version on the chain that a dataset folder is, its root recomputed from records and salts.

    Raises DataError when records, salts or splits were altered, InvalidInput when the chain has no such version.
    """
    dataset.verify()
    if dataset.dataset_id is None:
        raise InvalidInput(
            f"{dataset.folder} is not registered yet.", "Register it: `salus dataset register`."
        )
    number = Datasets(chain).version_with_root(dataset.dataset_id, dataset.root)
    return Datasets(chain).versions(dataset.dataset_id)[number - 1]


def proven_version(chain: Chain, dataset_id: int, proof: RecordProof) -> Registered:
    """The version on the chain that a record is in. Raises InvalidInput when the proof fits none."""
    for each in reversed(Datasets(chain).versions(dataset_id)):
        root = each.version.root
        if verify_record(root, proof) or leaves.verify_record(root, proof):
            return each
    raise InvalidInput(
        f"The proof fits no version of dataset {dataset_id}: this record, with this salt, is not in it.",
        "Either the proof or the record was altered, or it is of another dataset.",
    )


def erased_version(chain: Chain, dataset_id: int, proof: ErasureProof) -> Registered:
    """The first version on the chain that a proof of an erasure fits. Raises InvalidInput when it fits none."""
    for each in Datasets(chain).versions(dataset_id):
        if leaves.verify_erasure(each.version.root, proof):
            return each
    raise InvalidInput(
        f"The proof fits no version of dataset {dataset_id}: something stands at these places, or stood there.",
        "Either the proof was altered, or it is of another dataset, or that version is not registered yet.",
    )


def _live_consents(chain: Chain) -> dict[int, Consent]:
    consents, now = Consents(chain), chain.now()
    ids = range(1, consents.count() + 1)
    return {
        number: each
        for number, each in zip(ids, consents.consents(ids), strict=True)
        if not each.revoked and now < each.terms.expires_at and each.rounds_used < each.terms.max_rounds
    }


def _schema(ipfs: Ipfs, digest: bytes) -> tuple[Schema | None, str]:
    try:
        return schema_of(canonical.loads(ipfs.fetch(digest, canonical.MAX_DOCUMENT_BYTES))), ""
    except (ContentError, InvalidInput) as error:
        return None, f"{to_cid(digest)}: {error.message}"
