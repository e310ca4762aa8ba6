"""Hospitals, datasets, models and rewards through their typed calls."""

from __future__ import annotations

from hashlib import sha256

import pytest
from eth_abi import encode

from protocol.chain.datasets import Datasets
from protocol.chain.enums import ModelStatus, Role
from protocol.chain.hospitals import Funds, Hospitals
from protocol.chain.models import Models, Vector
from protocol.chain.rewards import Escrow, Rewards, Split, Token
from protocol.errors import InvalidInput, Refused, WrongChain

from .conftest import World, funds_of, signer_of, version_of


def test_hospitals_are_read_with_their_names(world: World) -> None:
    hospitals = Hospitals(world.chain)
    assert [(number, name) for number, name, _ in hospitals.hospitals()] == [
        (1, "Hospital 1"),
        (2, "Hospital 2"),
        (3, "Hospital 3"),
    ]
    assert hospitals.name(2) == "Hospital 2"
    assert hospitals.hospital(2).funds == funds_of(2)
    with pytest.raises(Refused, match="no hospital 9"):
        hospitals.name(9)


def test_roles_follow_the_registry(world: World) -> None:
    hospitals = Hospitals(world.as_("admin-1"))
    assert hospitals.role_of(signer_of("admin-1").address) == (1, Role.ADMIN)
    assert hospitals.role_of(signer_of("operator-1").address) == (1, Role.OPERATOR)
    assert hospitals.role_of(signer_of("stranger").address) == (0, Role.NONE)
    receipt = hospitals.rotate_operator(signer_of("stranger").address)
    assert receipt.event("OperatorRotated").args["previous"] == signer_of("operator-1").address
    assert hospitals.role_of(signer_of("operator-1").address) == (1, Role.RETIRED)
    with pytest.raises(Refused, match="already acts, or once acted, for hospital 1"):
        hospitals.rotate_operator(signer_of("operator-1").address)


def test_an_admin_moves_the_funds(world: World) -> None:
    hospitals = Hospitals(world.as_("admin-1"))
    there = signer_of("stranger").address
    hospitals.set_funds(Funds(there, there, there))
    assert hospitals.hospital(1).funds == Funds(there, there, there)
    with pytest.raises(InvalidInput, match=r"not an address|cannot be called"):
        hospitals.rotate_operator("nobody")


def test_datasets_append_and_are_found_by_root(world: World) -> None:
    datasets = Datasets(world.as_("operator-1"))
    dataset_id = world.register(1)
    newer = version_of(records=120, root=b"\4" * 32)
    assert datasets.append(dataset_id, newer).event("DatasetVersionRegistered").args["version"] == 2
    world.register(2)
    assert datasets.latest(dataset_id) == newer
    assert [each.number for each in datasets.versions(dataset_id)] == [1, 2]
    assert datasets.version_with_root(dataset_id, newer.root) == 2
    assert datasets.version_count(dataset_id) == 2
    assert datasets.hospital_of(dataset_id) == 1
    assert datasets.ids_of_hospital(1) == [dataset_id]
    assert len(datasets.all_versions()) == 3
    assert datasets.count() == 2
    with pytest.raises(InvalidInput, match="has the root 0x0909"):
        datasets.version_with_root(dataset_id, b"\x09" * 32)
    with pytest.raises(Refused, match="no dataset 99"):
        datasets.latest(99)
    with pytest.raises(Refused, match="does not belong to hospital 2"):
        Datasets(world.as_("operator-2")).append(dataset_id, newer)


def test_the_stored_commitment_is_over_what_the_event_carries(world: World) -> None:
    dataset_id = world.register(1)
    version = version_of()
    stored = Datasets(world.chain).version(dataset_id, 1)
    fields = [version.root, version.schema_digest, version.profile, version.evidence_digest]
    assert stored.commitment == sha256(encode(["bytes32"] * 4, fields)).digest()
    assert (stored.train_records, stored.held_out_records) == (100, 50)
    with pytest.raises(Refused, match=f"Dataset {dataset_id} has no version 2"):
        Datasets(world.chain).version(dataset_id, 2)


def test_models_start_from_a_base(world: World) -> None:
    models = Models(world.as_("researcher"))
    base = Vector(b"\1" * 32, b"\2" * 32)
    model_id = models.create("Heart", base).event("ModelCreated").args["modelId"]
    version = models.version(model_id, 1)
    assert (version.status, version.parent, version.job_id, version.state) == (ModelStatus.BASE, 0, 0, base)
    assert models.count() == models.version_count(model_id) == 1
    assert [each.args["name"] for each in models.created()] == ["Heart"]
    with pytest.raises(Refused, match=f"Model {model_id} has no version 7"):
        models.version(model_id, 7)
    with pytest.raises(Refused, match="a name of 1 to 64 bytes"):
        models.create("", base)
    with pytest.raises(Refused, match="may not do this"):
        models.chain.send("ModelRegistry", "release", model_id, 1)


def test_reward_tokens_are_those_the_dao_allows(world: World) -> None:
    rewards = Rewards(world.chain)
    address = world.deployment.address("RewardToken")
    assert rewards.tokens() == [Token(address, "devUSD", rewards.token("RewardToken").decimals)]
    assert rewards.is_allowed("RewardToken")
    assert not rewards.is_allowed("VoteToken")
    assert rewards.split_floor().sum_bps == 0
    assert rewards.escrow_of(99) == Escrow("0x" + "00" * 20, "0x" + "00" * 20, False, 0, Split(0, 0, 0, 0, 0))
    with pytest.raises(WrongChain, match="No contract answers"):
        rewards.token(signer_of("stranger").address)


def test_a_split_sums_to_ten_thousand() -> None:
    Split(6000, 1000, 1000, 1000, 1000).require_whole()
    with pytest.raises(InvalidInput, match="sums to 9,999 basis points"):
        Split(6000, 1000, 1000, 1000, 999).require_whole()
