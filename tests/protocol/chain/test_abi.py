"""Encoding and decoding against the packaged ABIs, and the dataclasses against their structs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from typing import Any, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.chain import abi, bonds, challenges, consents, datasets, hospitals, jobs, models, rewards
from protocol.chain.enums import BY_INTERNAL_TYPE
from protocol.chain.structs import Struct, camel
from protocol.errors import ChainError, InvalidInput

MIRRORS: dict[str, type[Struct]] = {
    "IBonds.Bond": bonds.Bond,
    "IChallenges.Chunk": challenges.Chunk,
    "IChallenges.Claim": challenges.Claim,
    "IChallenges.Part": challenges.Part,
    "IChallenges.Previous": challenges.Previous,
    "IConsentToken.Consent": consents.Consent,
    "IConsentToken.Purpose": consents.Purpose,
    "IConsentToken.Terms": consents.Terms,
    "IDatasetRegistry.StoredVersion": datasets.StoredVersion,
    "IDatasetRegistry.Version": datasets.Version,
    "IHospitalRegistry.Funds": hospitals.Funds,
    "IHospitalRegistry.Hospital": hospitals.Hospital,
    "IModelRegistry.Vector": models.Vector,
    "IModelRegistry.Version": models.Version,
    "IRewardPool.Escrow": rewards.Escrow,
    "IRewardPool.HospitalCredit": rewards.HospitalCredit,
    "IRewardPool.Split": rewards.Split,
    "ITrainingJobs.Draw": jobs.Draw,
    "ITrainingJobs.Job": jobs.Job,
    "ITrainingJobs.MergeRule": jobs.MergeRule,
    "ITrainingJobs.Participant": jobs.Participant,
    "ITrainingJobs.Phases": jobs.Phases,
    "ITrainingJobs.Proposal": jobs.Proposal,
    "ITrainingJobs.Round": jobs.Round,
    "ITrainingJobs.Submission": jobs.Submission,
}
# Between contracts only: the pool's settlement and what a challenge found, which no account may call.
INTERNAL = {"IRewardPool.Contribution", "ITrainingJobs.Ruling"}
SIMPLE = {"bool": bool, "address": str, "bytes32": bytes, "bytes": bytes, "bytes32[]": list[bytes]}


def structs() -> dict[str, list[dict[str, Any]]]:
    """Components of every struct of ours that an ABI mentions, by its Solidity name."""
    found: dict[str, list[dict[str, Any]]] = {}

    def look(parameters: Any) -> None:
        for each in parameters:
            if each["type"].startswith("tuple"):
                name = each["internalType"].removeprefix("struct ").split("[")[0]
                found[name] = each["components"]
                look(each["components"])

    for name in abi.names():
        contract = abi.load(name)
        for entry in (*contract.functions.values(), *contract.events.values(), *contract.errors.values()):
            look(entry.inputs)
            look(entry.outputs)
    return {name: components for name, components in found.items() if name.startswith("I")}


def test_every_struct_has_its_dataclass() -> None:
    assert set(structs()) - INTERNAL == set(MIRRORS)


@pytest.mark.parametrize("name", MIRRORS)
def test_a_dataclass_has_the_fields_of_its_struct_in_order(name: str) -> None:
    components = structs()[name]
    kind = MIRRORS[name]
    assert [camel(each.name) for each in fields(kind)] == [each["name"] for each in components]
    hints = get_type_hints(kind)
    for each in components:
        hint = hints[abi.snake(each["name"])]
        if each["type"].startswith("tuple"):
            kind = MIRRORS[each["internalType"].removeprefix("struct ").removesuffix("[]")]
            assert hint == (list[kind] if each["type"].endswith("[]") else kind)
        elif each["internalType"].startswith("enum "):
            assert hint is BY_INTERNAL_TYPE[each["internalType"]]
        else:
            assert hint == SIMPLE.get(each["type"], int)


def enums() -> Iterator[str]:
    for name in abi.names():
        contract = abi.load(name)
        for entry in (*contract.functions.values(), *contract.events.values(), *contract.errors.values()):
            for each in (*entry.inputs, *entry.outputs):
                if each.get("internalType", "").startswith("enum I"):
                    yield each["internalType"]


def test_every_enum_has_its_twin() -> None:
    assert set(enums()) <= set(BY_INTERNAL_TYPE)


@given(st.text(alphabet="abcdefghijklmnopqrstuvwxyz", min_size=2, max_size=5), st.integers(1, 3))
def test_names_cross_over_and_back(word: str, parts: int) -> None:
    name = "_".join([word] * parts)
    assert abi.snake(camel(name)) == name


ROUND = st.builds(
    jobs.Round, *[st.integers(0, 2**48 - 1)] * 4, *[st.integers(0, 255)] * 3, st.integers(0, 2**40 - 1)
)


@given(ROUND)
def test_a_struct_comes_back_from_its_bytes(record: jobs.Round) -> None:
    entry = abi.load("TrainingJobs").function("roundOf")
    values = {camel(each.name): getattr(record, each.name) for each in fields(record)}
    from eth_abi import encode

    data = encode([abi.type_of(entry.outputs[0])], [tuple(values.values())])
    assert abi.decode_result("TrainingJobs", "roundOf", data) == values
    assert jobs.Round.of(values) == record


@given(st.binary(min_size=32, max_size=32), st.binary(min_size=32, max_size=32), st.integers(0, 2**32 - 1))
def test_a_call_is_read_back_as_it_was_made(cid: bytes, root: bytes, job_id: int) -> None:
    data = abi.encode_call("TrainingJobs", "finish", (job_id, models.Vector(cid, root)))
    assert abi.decode_call("TrainingJobs", data) == (
        "finish",
        {"jobId": job_id, "state": {"cid": cid, "root": root}},
    )
    assert data == abi.encode_call("TrainingJobs", "finish", (job_id, {"cid": cid, "root": root}))


@pytest.mark.parametrize(
    ("function", "arguments"),
    [
        ("open", (-1,)),
        ("open", (2**32,)),
        ("open", ("3",)),
        ("open", (1.0,)),
        ("open", ()),
        ("attest", (1, 1, b"short")),
        ("attest", (1, 1, b"\1" * 33)),
        ("finish", (1, {"cid": b"\1" * 32})),
        ("finish", (1, None)),
    ],
)
def test_arguments_that_do_not_fit_are_refused(function: str, arguments: tuple[Any, ...]) -> None:
    with pytest.raises(InvalidInput):
        abi.encode_call("TrainingJobs", function, arguments)


def test_unknown_names_are_refused() -> None:
    with pytest.raises(InvalidInput, match="no contract named Parliament"):
        abi.load("Parliament")
    with pytest.raises(InvalidInput, match="TrainingJobs has no function explode"):
        abi.encode_call("TrainingJobs", "explode", ())
    with pytest.raises(InvalidInput, match="no function with selector 0xdeadbeef"):
        abi.decode_call("TrainingJobs", b"\xde\xad\xbe\xef")


def test_bytes_of_another_type_are_noticed() -> None:
    with pytest.raises(ChainError, match="not of the contract's types"):
        abi.decode_result("TrainingJobs", "jobCount", b"\1")


def test_any_reward_token_speaks_erc20() -> None:
    known = abi.load("RewardToken").functions
    assert {"balanceOf", "allowance", "approve", "transfer", "symbol", "decimals"} <= set(known)
