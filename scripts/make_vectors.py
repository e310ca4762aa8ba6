"""Writes the test vectors of content and datasets, which tests in Python and Solidity both read.

python scripts/make_vectors.py
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np

from protocol.content import canonical, cid, digests, merkle
from protocol.data import dataset
from protocol.data.schema import DataSchema

FOLDER = Path(__file__).resolve().parents[1] / "tests" / "vectors"


def filled(rule: str, length: int) -> bytes:
    """`length` bytes: zeros, or SHA-256 of uint32be(0), uint32be(1), … end to end."""
    if rule == "zeros":
        return bytes(length)
    blocks = (hashlib.sha256(i.to_bytes(4, "big")).digest() for i in range(length // 32 + 1))
    return b"".join(blocks)[:length]


def lanes_of(count: int) -> np.ndarray:
    """Lane i is i * 2654435761 mod 2^32, read as int32."""
    return (np.arange(count, dtype=np.uint64) * 2_654_435_761).astype(np.uint32).view(np.int32)


def named(text: str) -> bytes:
    """A digest to fill a field with."""
    return hashlib.sha256(text.encode()).digest()


def canonical_json() -> dict[str, Any]:
    values: list[Any] = [
        {},
        [],
        None,
        "salus",
        {"b": 1, "a": [True, False, None], "": "empty key"},
        {
            "€": "Euro",
            "\r": "carriage return",
            "דּ": "Hebrew",
            "1": "one",
            "😀": "emoji",
            "\x80": "control",
            "ö": "umlaut",
        },
        [333333333.33333329, 1e30, 4.50, 2e-3, 1e-27, 0.0, -0.0, 1e21, 1e20, 9007199254740991],
        {"text": '€$\x0f\nA\'B"\\"/'},
    ]
    return {
        "about": "RFC 8785. `json` is a JSON text of the value, `canonical` its canonical bytes in hexadecimal.",
        "accepted": [
            {"json": json.dumps(value), "canonical": canonical.dumps(value).hex(), "digest": _digest(value)}
            for value in values
        ],
        "refused": [
            '{"a":1,"a":1}', '{"b":1,"a":1}', '{"a": 1}', "1.0", "1E3", "-0", "NaN", "Infinity", '"\\u0041"',
            "[1,]", "", "9007199254740993", '"\\ud800"', "01", "tru", '{"a":1}\n',
        ],
    }  # fmt: skip


def content_ids() -> dict[str, Any]:
    chunk = cid.CHUNK_BYTES
    counted = (1, 5, chunk, chunk + 4, 2 * chunk, 1_600_000)
    cases = [
        ("zeros", 0),
        *(("counter", n) for n in counted),
        ("zeros", 174 * chunk),
        ("zeros", 174 * chunk + 4),
    ]
    return {
        "about": "Content: zeros, or SHA-256 of uint32be(0), uint32be(1), … end to end, cut to `length`.",
        "cases": [
            {"rule": rule, "length": length, "digest": "0x" + digest.hex(), "cid": cid.to_cid(digest)}
            for rule, length in cases
            for digest in [cid.digest_of(filled(rule, length))]
        ],
    }


def merkle_trees() -> dict[str, Any]:
    cases = []
    for count in (1, 2, 3, 5, 8, 13):
        leaves = [named(f"leaf {i}") for i in range(count)]
        tree = merkle.Tree(leaves)
        index = count - 1
        cases.append(
            {
                "count": count,
                "root": _hex(tree.root),
                "index": index,
                "leaf": _hex(leaves[index]),
                "proof": [_hex(sibling) for sibling in tree.proof(index)],
            }
        )
    return {"about": "Leaf i is SHA-256 of the text 'leaf i'.", "cases": cases}


def chunk_roots() -> dict[str, Any]:
    cases = []
    for lanes, index in ((1, 0), (256, 0), (257, 1), (1000, 3), (1000, 1), (3000, 11), (400_000, 1562)):
        vector = lanes_of(lanes)
        cases.append(
            {
                "lanes": lanes,
                "digest": _hex(cid.digest_of(vector.astype("<i4").tobytes())),
                "root": _hex(merkle.chunk_root(vector)),
                "index": index,
                "chunk": _hex(merkle.chunk_bytes(vector, index)),
                "leaf": _hex(merkle.chunk_leaf(lanes, index, merkle.chunk_bytes(vector, index))),
                "proof": [_hex(sibling) for sibling in merkle.chunk_proof(vector, index)],
            }
        )
    return {
        "about": "Lane i is i * 2654435761 mod 2^32, read as int32; bytes are little-endian.",
        "cases": cases,
    }


def datasets() -> dict[str, Any]:
    schema = DataSchema.parse(
        {
            "kind": "tabular",
            "name": "two-columns",
            "columns": [
                {"name": "age", "type": "number", "centre": 54, "scale": 9},
                {"name": "cp", "type": "category", "levels": [1, 2], "centre": [0.5], "scale": [0.5]},
            ],
            "label": {"name": "num", "positive": "> 0"},
        }
    )
    records = [{"age": 40 + i / 2, "cp": 1 + i % 2, "num": i % 3} for i in range(5)]
    salts = [named(f"salt {i}") for i in range(5)]
    splits = [0, 0, 1, 0, 1]
    own = [dataset.record_digest(salt, record) for salt, record in zip(salts, records, strict=True)]
    leaves = [
        dataset.leaf(5, i, split, digest) for i, (split, digest) in enumerate(zip(splits, own, strict=True))
    ]
    root, evidence = merkle.root(leaves), named("evidence")
    profile = digests.profile_bytes(dataset.PROFILE)
    return {
        "about": "Salt i is SHA-256 of the text 'salt i'; the evidence digest that of 'evidence'.",
        "schema": schema.to_dict(),
        "schema_digest": _hex(schema.digest()),
        "records": [
            {"record": record, "split": split, "digest": _hex(digest), "leaf": _hex(leaf)}
            for record, split, digest, leaf in zip(records, splits, own, leaves, strict=True)
        ],
        "root": _hex(root),
        "profile": _hex(profile),
        "evidence_digest": _hex(evidence),
        "commitment": _hex(digests.dataset_commitment(root, schema.digest(), profile, evidence)),
    }


def rounds() -> dict[str, Any]:
    job, number, attempt = 7, 3, 2
    # Hospital 9 is in group 2, hospital 4 in group 1, all others in group 0.
    labels = 2 << 4 * 9 | 1 << 4 * 4
    accumulator = digests.accumulator_start(job, number, attempt, labels)
    steps = []
    for index in (4, 1, 9):
        update_cid, update_root = named(f"cid {index}"), named(f"root {index}")
        accumulator = digests.accumulate(accumulator, index, update_cid, update_root)
        steps.append(
            {
                "index": index,
                "cid": _hex(update_cid),
                "root": _hex(update_root),
                "accumulator": _hex(accumulator),
            }
        )
    state_cid, state_root = named("state cid"), named("state root")
    return {
        "about": "SHA-256 over abi.encode, as ITrainingJobs defines accumulator and merge digest.",
        "job": job,
        "round": number,
        "attempt": attempt,
        "labels": hex(labels),
        "one_group": _hex(digests.accumulator_start(job, number, attempt, 0)),
        "start": _hex(digests.accumulator_start(job, number, attempt, labels)),
        "updates": steps,
        "state": {"cid": _hex(state_cid), "root": _hex(state_root)},
        "merge_digest": _hex(digests.merge_digest(job, number, attempt, accumulator, state_cid, state_root)),
    }


VECTORS = {
    "canonical_json.json": canonical_json,
    "content_ids.json": content_ids,
    "merkle_trees.json": merkle_trees,
    "chunk_roots.json": chunk_roots,
    "datasets.json": datasets,
    "round_digests.json": rounds,
}


def text_of(name: str) -> str:
    """The text of one vector file."""
    return json.dumps(VECTORS[name](), indent=1, ensure_ascii=True) + "\n"


def _hex(data: bytes) -> str:
    return "0x" + data.hex()


def _digest(value: Any) -> str:
    return _hex(cid.digest_of(canonical.dumps(value)))


if __name__ == "__main__":
    for file_name in VECTORS:
        (FOLDER / file_name).write_text(text_of(file_name))
