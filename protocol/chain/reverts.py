"""What a contract's refusal says in words, and what to do next.

Nodes attach a revert's data in their own ways: geth and Anvil as a hexadecimal string with code 3, Ganache as such a
string for a call and inside an object for an estimate, others behind a word such as "Reverted".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from eth_abi import decode
from eth_abi.exceptions import DecodingError

from protocol.chain import abi, duo
from protocol.chain.enums import BY_INTERNAL_TYPE, ProposalState
from protocol.chain.rpc import RpcError
from protocol.chain.sentences import PANICS, SENTENCES
from protocol.errors import ChainError, Refused

ERROR_STRING = bytes.fromhex("08c379a0")
PANIC = bytes.fromhex("4e487b71")
TIMES = ("expiresAt", "until", "deadline", "expiry", "timepoint", "clock")
_DATA_KEYS = ("result", "data", "return", "output")


def refusal(error: RpcError) -> Refused | None:
    """The refusal that a node's error reports; None when it is about something else than a contract's revert."""
    data = revert_data(error.data)
    reason = error.reason.lower()
    if not (data or error.code == 3 or "revert" in reason):
        return None
    if not data and (
        said := re.search(r"reverted with reason string '(.*)'|revert(?:ed)?:? (\S.*)$", error.reason)
    ):
        return Refused(f"The contract refused: {said[1] or said[2]}.")
    return decode_revert(data)


def revert_data(attached: Any) -> bytes:
    """The bytes with which a contract reverted, from whatever a node attached to its error; empty without any."""
    if isinstance(attached, str):
        found = re.search(r"0x((?:[0-9a-fA-F]{2})*)", attached)
        return bytes.fromhex(found[1]) if found else b""
    if isinstance(attached, Mapping):
        for key in _DATA_KEYS:
            if key in attached and (data := revert_data(attached[key])):
                return data
        # Old Ganache keys its answer by the hash of the transaction.
        for value in attached.values():
            if isinstance(value, Mapping) and (data := revert_data(value)):
                return data
    return b""


def decode_revert(data: bytes) -> Refused:
    """A refusal from revert data: one of our errors, OpenZeppelin's, a string, a panic, or none of them."""
    if not data:
        return Refused(
            "The contract refused and gave no reason.",
            "It may be another contract than expected, or out of gas.",
        )
    selector, rest = data[:4], data[4:]
    try:
        if selector == ERROR_STRING:
            (text,) = decode(["string"], rest)
            return Refused(f"The contract refused: {text}.", name="Error", args={"message": text})
        if selector == PANIC:
            (code,) = decode(["uint256"], rest)
            meaning = PANICS.get(code, f"panic {code:#x}")
            return Refused(
                f"The contract stopped at an internal check: {meaning}.",
                "Nothing was changed. Check the arguments; if they are right this is a defect of the contract.",
                name="Panic",
                args={"code": code},
            )
        if entry := abi.all_errors().get(selector):
            return refused(entry, abi.decode_values(entry.inputs, rest))
    except (DecodingError, ChainError):
        return Refused(f"The contract refused with bytes that cannot be read: 0x{data[:68].hex()}.")
    return Refused(
        f"The contract refused with error 0x{selector.hex()}, which none of Salus' contracts has.",
        "A token or wallet contract may have refused; ask its publisher what the error means.",
    )


def refused(entry: abi.Entry, arguments: Mapping[str, Any]) -> Refused:
    """An error with its arguments as a refusal in words."""
    words = {
        each["name"] or str(position): in_words(entry.name, each, arguments[each["name"] or str(position)])
        for position, each in enumerate(entry.inputs)
    }
    if entry.name not in SENTENCES:
        listed = ", ".join(f"{name} {value}" for name, value in words.items())
        return Refused(
            f"The contract refused: {entry.name}({listed}).", name=entry.name, args=dict(arguments)
        )
    sentence, hint = SENTENCES[entry.name]
    return Refused(sentence.format(**words), hint.format(**words), name=entry.name, args=dict(arguments))


def in_words(error: str, parameter: abi.Parameter, value: Any) -> str:
    """One argument as people read it: enums and DUO bits by name, times in UTC, masks as a number of hospitals."""
    name, kind = parameter["name"], parameter["type"]
    if enum := BY_INTERNAL_TYPE.get(parameter.get("internalType", "")):
        if enum is duo.Permission:
            permission = duo.Permission(value)
            return f"{permission.name} ({duo.PERMISSIONS[permission][1]})"
        return enum(value).name.lower()
    if error == "PledgesMissing" and name == "missing":
        return duo.in_words(value)
    if name == "missing":
        return str(value.bit_count())
    if name == "expectedStates" and error.startswith("Governor"):
        bits = int.from_bytes(value, "big")
        return " or ".join(state.name.lower() for state in ProposalState if bits >> state & 1) or "another"
    if name in TIMES:
        return when(value)
    if isinstance(value, bytes):
        return "0x" + value.hex()
    if kind == "uint256" and name not in ("tokenId", "proposalId"):
        return f"{value:,}"
    return str(value)


def when(seconds: int) -> str:
    """Unix seconds in UTC; what no calendar holds stays a number."""
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    except (OverflowError, OSError, ValueError):
        return f"{seconds} s"
