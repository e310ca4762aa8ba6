from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from eth_abi import encode

from protocol.content import digests
from protocol.errors import InvalidInput

FOLDER = Path(__file__).parents[2] / "vectors"
ROUND = json.loads((FOLDER / "round_digests.json").read_text())
DATASET = json.loads((FOLDER / "datasets.json").read_text())


def raw(text: str) -> bytes:
    return bytes.fromhex(text.removeprefix("0x"))


def abi(types: list[str], *values: object) -> bytes:
    return hashlib.sha256(encode(types, values)).digest()


def test_an_accumulator_is_the_hash_of_its_abi_encoding():
    place = (ROUND["job"], ROUND["round"], ROUND["attempt"])
    kinds, labels = ["uint32", "uint16", "uint8", "uint192"], int(ROUND["labels"], 16)
    assert digests.accumulator_start(*place, 0) == raw(ROUND["one_group"]) == abi(kinds, *place, 0)
    accumulator = digests.accumulator_start(*place, labels)
    assert accumulator == raw(ROUND["start"]) == abi(kinds, *place, labels)
    for update in ROUND["updates"]:
        named = (update["index"], raw(update["cid"]), raw(update["root"]))
        expected = abi(["bytes32", "uint8", "bytes32", "bytes32"], accumulator, *named)
        accumulator = digests.accumulate(accumulator, *named)
        assert accumulator == raw(update["accumulator"]) == expected
    state = (raw(ROUND["state"]["cid"]), raw(ROUND["state"]["root"]))
    expected = abi(
        ["uint32", "uint16", "uint8", "bytes32", "bytes32", "bytes32"], *place, accumulator, *state
    )
    assert digests.merge_digest(*place, accumulator, *state) == raw(ROUND["merge_digest"]) == expected


def test_a_dataset_commitment_is_the_hash_of_its_abi_encoding():
    parts = [raw(DATASET[name]) for name in ("root", "schema_digest", "profile", "evidence_digest")]
    assert digests.dataset_commitment(*parts) == raw(DATASET["commitment"]) == abi(["bytes32"] * 4, *parts)


def test_the_order_of_updates_counts():
    one, two = bytes(32), bytes([1]) * 32
    start = digests.accumulator_start(1, 1, 1, 0)
    there = digests.accumulate(digests.accumulate(start, 1, one, one), 2, two, two)
    back = digests.accumulate(digests.accumulate(start, 2, two, two), 1, one, one)
    assert there != back


@pytest.mark.parametrize("length", [0, 31, 33])
def test_a_digest_has_32_bytes(length):
    with pytest.raises(InvalidInput):
        digests.accumulate(bytes(32), 1, bytes(length), bytes(32))


def test_a_profile_is_32_ascii_bytes():
    assert digests.profile_bytes("salus-tabular-1") == b"salus-tabular-1".ljust(32, b"\0")
    for name in ("", "é", "x" * 33):
        with pytest.raises(InvalidInput):
            digests.profile_bytes(name)
