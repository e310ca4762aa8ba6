from __future__ import annotations

import hashlib
import json
import runpy
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.content import merkle
from protocol.errors import InvalidInput

ROOT = Path(__file__).resolve().parents[3]
TREES = json.loads((ROOT / "tests" / "vectors" / "merkle_trees.json").read_text())["cases"]
CHUNKS = json.loads((ROOT / "tests" / "vectors" / "chunk_roots.json").read_text())["cases"]
lanes_of = runpy.run_path(str(ROOT / "scripts" / "make_vectors.py"))["lanes_of"]


def raw(text: str) -> bytes:
    return bytes.fromhex(text.removeprefix("0x"))


def leaf(number: int) -> bytes:
    return hashlib.sha256(f"leaf {number}".encode()).digest()


@pytest.mark.parametrize("case", TREES, ids=lambda case: f"{case['count']}-leaves")
def test_tree_vectors(case):
    leaves = [leaf(i) for i in range(case["count"])]
    assert merkle.root(leaves) == merkle.Tree(leaves).root == raw(case["root"])
    proof = [raw(sibling) for sibling in case["proof"]]
    assert merkle.Tree(leaves).proof(case["index"]) == proof
    assert merkle.verify(raw(case["root"]), raw(case["leaf"]), case["index"], case["count"], proof)


@pytest.mark.parametrize("case", CHUNKS, ids=lambda case: f"{case['lanes']}-lanes-{case['index']}")
def test_chunk_vectors(case):
    vector = lanes_of(case["lanes"])
    root, proof = raw(case["root"]), [raw(sibling) for sibling in case["proof"]]
    assert merkle.chunk_root(vector) == root
    assert merkle.chunk_bytes(vector, case["index"]) == raw(case["chunk"])
    assert merkle.chunk_proof(vector, case["index"]) == proof
    assert merkle.verify_chunk(root, case["lanes"], case["index"], raw(case["chunk"]), proof)


@given(st.integers(1, 70), st.data())
def test_every_leaf_is_proven_and_nothing_else(count, data):
    leaves = [leaf(i) for i in range(count)]
    tree = merkle.Tree(leaves)
    index = data.draw(st.integers(0, count - 1))
    proof = tree.proof(index)
    assert merkle.verify(tree.root, leaves[index], index, count, proof)
    assert not merkle.verify(tree.root, leaf(count), index, count, proof)
    assert not merkle.verify(tree.root, leaves[index], index, count, [*proof, bytes(32)])
    if proof:
        assert not merkle.verify(tree.root, leaves[index], index, count, proof[:-1])
        other = data.draw(st.integers(0, count - 1).filter(lambda i: i != index))
        assert not merkle.verify(tree.root, leaves[index], other, count, proof)


@given(st.lists(st.integers(-(2**31), 2**31 - 1), min_size=1, max_size=1100), st.data())
def test_a_vector_has_the_root_that_the_definition_gives(lanes, data):
    vector = np.array(lanes, np.int32)
    padded = vector.astype("<i4").tobytes()
    padded += bytes(-len(padded) % 1024)
    level = [
        hashlib.sha256(
            b"\x00"
            + len(lanes).to_bytes(4, "big")
            + i.to_bytes(4, "big")
            + padded[1024 * i : 1024 * i + 1024]
        ).digest()
        for i in range(len(padded) // 1024)
    ]
    while len(level) > 1:
        pairs = [level[i : i + 2] for i in range(0, len(level), 2)]
        level = [
            hashlib.sha256(b"\x01" + b"".join(pair)).digest() if len(pair) == 2 else pair[0] for pair in pairs
        ]
    assert merkle.chunk_root(vector) == level[0]
    changed = vector.copy()
    changed[data.draw(st.integers(0, len(lanes) - 1))] ^= 1
    assert merkle.chunk_root(changed) != level[0]


@pytest.mark.parametrize("lanes", [256 * 256, 256 * 256 + 1, 256 * 513])
def test_batches_join_without_a_seam(lanes):
    vector = lanes_of(lanes)
    leaves = [
        merkle.chunk_leaf(lanes, i, merkle.chunk_bytes(vector, i)) for i in range(merkle.chunk_count(lanes))
    ]
    assert merkle.chunk_root(vector) == merkle.root(leaves)


def test_padding_is_bound_by_the_number_of_lanes():
    short, long = np.ones(3, np.int32), np.array([1, 1, 1, 0], np.int32)
    assert merkle.chunk_bytes(short, 0) == merkle.chunk_bytes(long, 0)
    assert merkle.chunk_root(short) != merkle.chunk_root(long)


def test_strided_and_big_endian_vectors_have_the_root_of_their_values():
    vector = lanes_of(600)
    assert merkle.chunk_root(np.repeat(vector, 2)[::2]) == merkle.chunk_root(vector)
    assert merkle.chunk_root(vector.astype(">i4")) == merkle.chunk_root(vector)


@pytest.mark.parametrize(
    "vector", [np.empty(0, np.int32), np.ones(3, np.int64), np.ones(3, np.uint32), np.ones((2, 2), np.int32)]
)
def test_other_arrays_are_no_vectors(vector):
    with pytest.raises(InvalidInput):
        merkle.chunk_root(vector)


def test_a_node_does_not_pass_for_a_leaf():
    leaves = [leaf(i) for i in range(4)]
    root = merkle.root(leaves)
    inner = [merkle.root(leaves[:2]), merkle.root(leaves[2:])]
    assert merkle.root(inner) == root, "so the count must be bound in the leaves, and it is: see data.dataset"
    assert merkle.chunk_leaf(512, 0, bytes(1024)) != merkle.chunk_leaf(256, 0, bytes(1024))


@pytest.mark.parametrize(
    ("lanes", "index", "length"), [(600, 3, 1024), (600, -1, 1024), (600, 0, 1023), (600, 0, 1025)]
)
def test_a_chunk_that_cannot_be_is_not_verified(lanes, index, length):
    vector = lanes_of(600)
    chunk = merkle.chunk_bytes(vector, 0)[:length].ljust(length, b"\0")
    assert not merkle.verify_chunk(
        merkle.chunk_root(vector), lanes, index, chunk, merkle.chunk_proof(vector, 0)
    )


def test_no_leaves_no_tree():
    with pytest.raises(InvalidInput):
        merkle.root([])
    with pytest.raises(InvalidInput):
        merkle.Tree([])
    with pytest.raises(InvalidInput):
        merkle.Tree([leaf(0)]).proof(1)
