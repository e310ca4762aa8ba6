"""How a record of a dataset that grows and shrinks becomes a leaf, and what an empty place is.

    record digest = sha256("salus/record" || salt || canonical JSON of the record)
    leaf          = sha256(0x00 || uint32be(index) || uint8(split) || record digest)
    empty leaf    = sha256(0x00 || "salus/withdrawn")
    root          = sha256(0x02 || uint32be(leaves) || Merkle root of the leaves)

The root binds how many leaves there are, not each leaf: so m more cost O(m log n) hashes. Datasets of images
(`members`) and of records (`segments`) are committed to in this way.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

from protocol.content import merkle
from protocol.data.dataset import RECORD_TAG, SALT_BYTES, RecordProof, record_digest
from protocol.data.proofs import ErasureProof
from protocol.data.splits import HELD_OUT, TRAIN
from protocol.errors import InvalidInput

ROOT_TAG = b"\x02"
#: In the place of a withdrawn record, in every dataset the same.
EMPTY_LEAF = hashlib.sha256(merkle.LEAF_TAG + b"salus/withdrawn").digest()
MAX_LEAVES = 2**32 - 1

_HEAD = 6  # tag, index, split


def leaf(index: int, split: int, digest: bytes) -> bytes:
    """The leaf of record `index`."""
    return hashlib.sha256(merkle.LEAF_TAG + index.to_bytes(4, "big") + bytes([split]) + digest).digest()


def leaves_of(places: np.ndarray, splits: np.ndarray, salts: bytes, lines: Sequence[bytes]) -> list[bytes]:
    """The leaves of records at `places`, int[n]; `splits` is uint8[n], `salts` has 32 bytes a record, `lines` is
    canonical JSON of each."""
    # Heads and salts are laid side by side at once: two calls of hashlib a record is all that is left to do.
    count = len(lines)
    heads = np.zeros((count, _HEAD), np.uint8)
    heads[:, 1:5] = places.astype(">u4").view(np.uint8).reshape(-1, 4)
    heads[:, 5] = splits
    salted = np.empty((count, len(RECORD_TAG) + SALT_BYTES), np.uint8)
    salted[:, : len(RECORD_TAG)] = np.frombuffer(RECORD_TAG, np.uint8)
    salted[:, len(RECORD_TAG) :] = np.frombuffer(salts, np.uint8).reshape(-1, SALT_BYTES)
    width, head, salt = salted.shape[1], heads.tobytes(), salted.tobytes()
    sha256 = hashlib.sha256
    return [
        sha256(head[at : at + _HEAD] + sha256(salt[begin : begin + width] + line).digest()).digest()
        for at, begin, line in zip(
            range(0, _HEAD * count, _HEAD), range(0, width * count, width), lines, strict=True
        )
    ]


def root_over(count: int, top: bytes) -> bytes:
    """The root of a version, over the Merkle root of its leaves."""
    return hashlib.sha256(ROOT_TAG + count.to_bytes(4, "big") + top).digest()


def verify_record(root: bytes, proof: RecordProof) -> bool:
    """Whether the record of a proof is in the version with this root, at its index and split."""
    if proof.split not in (TRAIN, HELD_OUT) or len(proof.salt) != SALT_BYTES:
        return False
    if not 0 <= proof.index < proof.count <= MAX_LEAVES:
        return False
    try:
        own = leaf(proof.index, proof.split, record_digest(proof.salt, proof.record))
    except InvalidInput:
        # NaN, say: it has no canonical JSON, and no dataset took it.
        return False
    *siblings, top = proof.siblings or [b""]
    return root_over(proof.count, top) == root and merkle.verify(top, own, proof.index, proof.count, siblings)


def verify_erasure(root: bytes, proof: ErasureProof) -> bool:
    """Whether the version with this root holds nothing at the places of a proof."""
    if not proof.places or not 0 < proof.count <= MAX_LEAVES or root_over(proof.count, proof.top) != root:
        return False
    return all(
        merkle.verify(proof.top, EMPTY_LEAF, index, proof.count, siblings)
        for index, siblings in proof.places.items()
    )
