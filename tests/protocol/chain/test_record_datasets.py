"""A dataset of records on the chain: registered, grown, withdrawn from; its proofs and those of an erasure."""

from __future__ import annotations

from pathlib import Path

import pytest

from protocol.chain.datasets import Datasets
from protocol.client import is_newest, register_dataset
from protocol.content import digests
from protocol.content.cid import digest_of
from protocol.data import proofs
from protocol.errors import DataError, InvalidInput
from protocol.holdings import erased_version, proven_version, registered_version
from protocol.vault.images import opened
from protocol.vault.record_dataset import RecordDataset
from tests.protocol.vault.cohorts import vault_in
from tests.protocol.vault.tables import SCHEMA, pseudonym, rows

from .conftest import World


class Pins:
    """An IPFS daemon that keeps what it is given."""

    def __init__(self) -> None:
        self.kept: dict[bytes, bytes] = {}

    def add(self, content: bytes) -> bytes:
        self.kept[digest_of(content)] = content
        return digest_of(content)


def test_it_goes_onto_the_chain_as_any_dataset_does(world: World, tmp_path: Path) -> None:
    vault, pins, chain = vault_in(tmp_path), Pins(), world.as_("operator-1")
    folder = tmp_path / "datasets" / "cohort"
    RecordDataset.create(folder, SCHEMA, rows(range(60)), vault, held_out=0.5, segment_records=16)
    # Registering needs no vault: what the chain gets stands in the manifest.
    register_dataset(chain, pins, opened(folder))
    dataset = RecordDataset.open(folder, vault=vault)
    registered = registered_version(chain, dataset)
    assert (registered.number, registered.version.root) == (1, dataset.root)
    assert registered.version.profile == digests.profile_bytes("salus-fhir-1")
    assert pins.kept[registered.version.evidence_digest] == dataset.evidence()

    second = dataset.extend(rows(range(100, 110)), vault)
    assert not is_newest(chain, second)
    register_dataset(chain, pins, second)
    before = second.prove(5)
    third = second.withdraw([pseudonym(5), pseudonym(104)])
    erased = third.erasure([pseudonym(5), pseudonym(104)])
    with pytest.raises(InvalidInput, match="not registered yet"):
        erased_version(chain, third.dataset_id, erased)
    register_dataset(chain, pins, third)
    found = Datasets(chain).versions(third.dataset_id)
    counts = [each.version.train_records + each.version.held_out_records for each in found]
    assert counts == [60, 70, 68]

    proofs.save(tmp_path / "proof.json", third.dataset_id, third.prove(6))
    dataset_id, proof = proofs.load(tmp_path / "proof.json")
    assert proven_version(chain, dataset_id, proof).number == 3
    assert proven_version(chain, dataset_id, before).number == 2, "what was committed to stays so"
    with pytest.raises(DataError, match="withdrawn"):
        third.prove(5)
    proofs.save_erasure(tmp_path / "erased.json", third.dataset_id, erased)
    dataset_id, erased = proofs.load(tmp_path / "erased.json")
    assert erased_version(chain, dataset_id, erased).number == 3
    with pytest.raises(DataError, match="withdrawn since"):
        registered_version(chain, RecordDataset.open(folder, 2, vault=vault))
