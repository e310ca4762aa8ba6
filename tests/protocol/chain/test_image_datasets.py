"""A dataset of images on the chain: registered, appended to, verified, proved."""

from __future__ import annotations

from pathlib import Path

import pytest

from protocol.chain.datasets import Datasets
from protocol.client import is_newest, register_dataset
from protocol.content import digests
from protocol.content.cid import digest_of
from protocol.data import proofs
from protocol.errors import DataError, InvalidInput
from protocol.holdings import proven_version, registered_version
from protocol.vault.images import ImageDataset
from tests.protocol.vault.cohorts import NO_TEXT, SCHEMA, fill, vault_in

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
    fill(vault, range(40))
    dataset = ImageDataset.create(tmp_path / "datasets" / "breast", SCHEMA, vault, "", 0.5, finder=NO_TEXT)
    register_dataset(chain, pins, dataset)
    registered = registered_version(chain, dataset)
    assert (registered.number, registered.version.root) == (1, dataset.root)
    assert registered.version.profile == digests.profile_bytes("salus-ultrasound-1")
    assert pins.kept[registered.version.evidence_digest] == dataset.evidence()
    with pytest.raises(InvalidInput, match="already registered"):
        register_dataset(chain, pins, dataset)

    fill(vault, [50])
    second = dataset.extend(vault, finder=NO_TEXT)
    assert not is_newest(chain, second)
    register_dataset(chain, pins, second)
    third = second.withdraw([second.members()[3].uid], finder=NO_TEXT)
    with pytest.raises(InvalidInput, match="newer version"):
        register_dataset(chain, pins, second)
    register_dataset(chain, pins, third)
    found = Datasets(chain).versions(third.dataset_id)
    counts = [each.version.train_records + each.version.held_out_records for each in found]
    assert counts == [80, 82, 81]

    proofs.save(tmp_path / "proof.json", third.dataset_id, third.prove(5))
    dataset_id, proof = proofs.load(tmp_path / "proof.json")
    assert proven_version(chain, dataset_id, proof).number == 3
    with pytest.raises(DataError, match="withdrawn since"):
        registered_version(chain, ImageDataset.open(dataset.folder, 2, vault=vault))
