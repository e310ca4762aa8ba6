"""Refusals in words, from what geth, Anvil, Ganache and others attach to them."""

from __future__ import annotations

import string
from typing import Any

import pytest
from eth_abi import encode

from protocol.chain import abi
from protocol.chain.reverts import PANIC, decode_revert, refusal, refused, revert_data, when
from protocol.chain.rpc import RpcError
from protocol.chain.sentences import PANICS, SENTENCES
from protocol.errors import Refused

from .conftest import World

ERRORS = sorted(abi.all_errors().values(), key=lambda entry: entry.name)
EXAMPLES: dict[str, Any] = {
    "address": "0x" + "11" * 20,
    "bytes32": b"\1" * 32,
    "string": "reward.split",
    "bool": True,
}


def data_of(name: str, *arguments: Any) -> bytes:
    entry = next(each for each in ERRORS if each.name == name)
    return entry.selector + encode([abi.type_of(each) for each in entry.inputs], arguments)


@pytest.mark.parametrize("entry", ERRORS, ids=lambda entry: entry.name)
def test_every_error_of_every_abi_has_a_sentence(entry: abi.Entry) -> None:
    sentence, hint = SENTENCES[entry.name]
    known = {each["name"] for each in entry.inputs}
    for text in (sentence, hint):
        assert {field for _, field, _, _ in string.Formatter().parse(text) if field} <= known
        assert text.strip() == text
    assert sentence.endswith(".")
    assert hint
    arguments = {each["name"]: EXAMPLES.get(each["type"], 3) for each in entry.inputs}
    data = entry.selector + encode([abi.type_of(each) for each in entry.inputs], list(arguments.values()))
    found = decode_revert(data)
    assert found.name == entry.name
    assert set(found.arguments) == known
    assert "{" not in str(found)


def test_no_sentence_is_about_an_error_that_no_contract_has() -> None:
    assert set(SENTENCES) == {entry.name for entry in ERRORS}


def test_no_two_errors_share_a_name_with_other_arguments() -> None:
    assert len({entry.name for entry in ERRORS}) == len(ERRORS)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (data_of("ConsentIsRevoked", 4), "Consent 4 was revoked; it can never be used again."),
        (
            data_of("PledgesMissing", 4, 0b1010000),
            "Consent 4 asks for pledges that the job does not make: PUB (publication required), "
            "IRB (ethics approval required).",
        ),
        (
            data_of("PurposeNotAllowed", 4, 2, 1),
            "Consent 4 allows HMB (health, medical and biomedical research); "
            "the job asks for GRU (general research use).",
        ),
        (data_of("ConsentExpired", 4, 1_700_000_000), "Consent 4 expired at 2023-11-14 22:13:20 UTC."),
        (data_of("WrongJobStatus", 2, 3), "Job 2 is paused, which this step does not allow."),
        (
            data_of("UpdatesMissing", 2, 5, 0b101),
            "Round 5 of job 2 still waits for the updates of 2 hospitals.",
        ),
        (
            data_of("GovernorUnexpectedProposalState", 9, 1, (0b110000).to_bytes(32, "big")),
            "Proposal 9 is active; this step needs it succeeded or queued.",
        ),
        (bytes.fromhex("08c379a0") + encode(["string"], ["too late"]), "The contract refused: too late."),
        (
            PANIC + encode(["uint256"], [0x11]),
            "The contract stopped at an internal check: a number over- or underflowed.",
        ),
        (PANIC + encode(["uint256"], [0x99]), "The contract stopped at an internal check: panic 0x99."),
        (b"", "The contract refused and gave no reason."),
        (
            b"\xde\xad\xbe\xef" + bytes(32),
            "The contract refused with error 0xdeadbeef, which none of Salus' contracts has.",
        ),
        (data_of("ConsentIsRevoked", 4)[:9], "The contract refused with bytes that cannot be read: 0x"),
    ],
)
def test_says_it_in_words(data: bytes, message: str) -> None:
    assert decode_revert(data).message.startswith(message)


def test_every_panic_of_solidity_has_words() -> None:
    assert set(PANICS) == {0x01, 0x11, 0x12, 0x21, 0x22, 0x31, 0x32, 0x41, 0x51}


def test_an_error_without_a_sentence_still_names_its_arguments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(SENTENCES, "UnknownJob")
    entry = next(each for each in ERRORS if each.name == "UnknownJob")
    assert refused(entry, {"jobId": 7}).message == "The contract refused: UnknownJob(jobId 7)."


HEX = "0x" + data_of("ConsentIsRevoked", 4).hex()
EXECUTION = "execution reverted"
GANACHE = "VM Exception while processing transaction: revert"


@pytest.mark.parametrize(
    "error",
    [
        pytest.param({"code": 3, "message": EXECUTION, "data": HEX}, id="geth, Anvil"),
        pytest.param({"code": -32000, "message": GANACHE, "data": HEX}, id="Ganache, call"),
        pytest.param(
            {"code": -32000, "message": GANACHE, "data": {"hash": None, "result": HEX, "reason": None}},
            id="Ganache, estimate",
        ),
        pytest.param(
            {"code": -32000, "message": GANACHE, "data": {"0xabc": {"return": HEX}}}, id="Ganache 2"
        ),
        pytest.param(
            {"code": -32603, "message": "Error", "data": {"message": EXECUTION, "data": HEX}}, id="Hardhat"
        ),
        pytest.param(
            {"code": -32015, "message": "VM execution error.", "data": f"Reverted {HEX}"}, id="Nethermind"
        ),
    ],
)
def test_finds_the_revert_data_of_every_node(error: dict[str, Any]) -> None:
    assert refusal(RpcError("eth_estimateGas", error)).name == "ConsentIsRevoked"


def test_reads_the_reason_where_a_node_gives_no_data() -> None:
    error = RpcError("eth_call", {"code": -32000, "message": "execution reverted: too late"})
    assert refusal(error).message == "The contract refused: too late."
    assert refusal(RpcError("eth_call", {"code": 3, "message": EXECUTION})).message.endswith(
        "gave no reason."
    )


def test_other_errors_are_no_refusals() -> None:
    assert (
        refusal(
            RpcError("eth_getLogs", {"code": -32005, "message": "query returned more than 10000 results"})
        )
        is None
    )
    assert refusal(RpcError("eth_call", "odd")) is None
    assert revert_data(7) == b""


def test_times_that_no_calendar_holds_stay_numbers() -> None:
    assert when(2**63) == f"{2**63} s"


def test_a_real_chain_refuses_a_call_an_estimate_and_a_mined_transaction_alike(world: World) -> None:
    chain = world.as_("stranger")
    calls = [
        lambda: chain.call("HospitalRegistry", "suspend", 1),
        lambda: chain.estimate("HospitalRegistry", "suspend", 1),
        lambda: chain._outbox.send(
            chain.address("HospitalRegistry"),
            abi.encode_call("HospitalRegistry", "suspend", (1,)),
            gas=100_000,
        ),
    ]
    for call in calls:
        with pytest.raises(Refused, match="may not do this") as error:
            call()
        assert error.value.name == "OwnableUnauthorizedAccount"
        assert error.value.arguments == {"account": chain.signer.address}
