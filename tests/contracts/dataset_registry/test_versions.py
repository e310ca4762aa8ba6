"""Datasets and their versions only append (invariant 8)."""

from __future__ import annotations

import hashlib

import eth_abi
import pytest

GAS_TO_REGISTER = 120_000


def committed(version) -> bytes:
    """What the chain keeps of a version's digests: SHA-256 over their ABI encoding."""
    digests = (version.root, version.schema_digest, version.profile, version.evidence_digest)
    return hashlib.sha256(eth_abi.encode(["bytes32"] * 4, digests)).digest()


def as_event(version) -> tuple:
    return tuple("0x" + part.hex() if isinstance(part, bytes) else part for part in version)


def test_register_gives_the_next_id_and_keeps_counts_and_commitment(
    datasets, member, other_member, version, chain
):
    content = version()
    tx = datasets.register(content, {"from": member.operator})
    datasets.register(content, {"from": other_member.operator})

    assert tx.return_value == 1
    event = tx.events["DatasetVersionRegistered"]
    assert (event["datasetId"], event["hospitalId"], event["version"]) == (1, member.id, 1)
    assert tuple(event["content"]) == as_event(content)
    assert datasets.datasetCount() == 2
    assert (datasets.hospitalOf(1), datasets.hospitalOf(2)) == (member.id, other_member.id)
    stored = datasets.version(1, 1)
    assert tuple(stored)[:3] == (
        content.train_records,
        content.held_out_records,
        chain[tx.block_number].timestamp,
    )
    assert bytes(stored["commitment"]) == committed(content)


def test_register_costs_no_more_gas_than_promised(datasets, members, version):
    digests = {
        name: hashlib.sha256(name.encode()).digest() for name in ("root", "schema_digest", "evidence_digest")
    }
    costs = [datasets.register(version(**digests), {"from": member.operator}).gas_used for member in members]
    assert max(costs) <= GAS_TO_REGISTER


def test_append_leaves_earlier_versions_as_they_were(datasets, member, version):
    """Invariant 8."""
    dataset_id = datasets.register(version(), {"from": member.operator}).return_value
    first = tuple(datasets.version(dataset_id, 1))
    later = version(root=b"\x09" * 32, train_records=7, held_out_records=0)
    tx = datasets.append(dataset_id, later, {"from": member.operator})

    assert tx.return_value == 2
    event = tx.events["DatasetVersionRegistered"]
    assert (event["datasetId"], event["hospitalId"], event["version"]) == (dataset_id, member.id, 2)
    assert datasets.versionCount(dataset_id) == 2
    assert tuple(datasets.version(dataset_id, 1)) == first
    assert tuple(datasets.version(dataset_id, 2))[:2] == (7, 0)
    assert bytes(datasets.version(dataset_id, 2)["commitment"]) == committed(later)


def test_append_refuses_another_hospital(datasets, dataset_id, other_member, version, reverts):
    with reverts("NotYourDataset", dataset_id, other_member.id):
        datasets.append(dataset_id, version(), {"from": other_member.operator})
    assert datasets.versionCount(dataset_id) == 1


def test_a_new_operator_appends_and_the_old_one_does_not(
    datasets, hospitals, dataset_id, member, spare, version, reverts
):
    hospitals.rotateOperator(spare[0], {"from": member.admin})
    datasets.append(dataset_id, version(), {"from": spare[0]})
    with reverts("NotOperator", member.operator):
        datasets.append(dataset_id, version(), {"from": member.operator})


def test_a_suspended_hospital_neither_registers_nor_appends(
    datasets, hospitals, dataset_id, member, owner, version, reverts
):
    hospitals.suspend(member.id, {"from": owner})
    with reverts("Suspended", member.id):
        datasets.register(version(), {"from": member.operator})
    with reverts("Suspended", member.id):
        datasets.append(dataset_id, version(), {"from": member.operator})


@pytest.mark.parametrize(
    "empty",
    [
        {"root": bytes(32)},
        {"schema_digest": bytes(32)},
        {"profile": bytes(32)},
        {"evidence_digest": bytes(32)},
        {"train_records": 0},
    ],
    ids=lambda change: next(iter(change)),
)
def test_an_empty_field_is_refused(datasets, dataset_id, member, version, reverts, empty):
    with reverts("EmptyVersion"):
        datasets.register.call(version(**empty), {"from": member.operator})
    with reverts("EmptyVersion"):
        datasets.append.call(dataset_id, version(**empty), {"from": member.operator})


@pytest.mark.usefixtures("dataset_id")
@pytest.mark.parametrize("unknown", [0, 2, 2**32 - 1])
def test_an_unknown_dataset_is_refused_by_name(datasets, member, version, reverts, unknown):
    for read in (datasets.hospitalOf, datasets.versionCount, lambda i: datasets.version(i, 1)):
        with reverts("UnknownDataset", unknown):
            read(unknown)
    with reverts("UnknownDataset", unknown):
        datasets.append.call(unknown, version(), {"from": member.operator})


@pytest.mark.parametrize("number", [0, 2, 2**32 - 1])
def test_an_unknown_version_is_refused_by_name(datasets, dataset_id, reverts, number):
    with reverts("UnknownVersion", dataset_id, number):
        datasets.version(dataset_id, number)
