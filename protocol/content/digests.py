"""Digests that the contracts compute: SHA-256 over the ABI encoding of static values, one 32-byte word each.

They are recomputed here from the record (events and content alone), never asked of a node.
"""

from __future__ import annotations

import hashlib

from protocol.errors import InvalidInput


def accumulator_start(job_id: int, round_number: int, attempt: int, labels: int) -> bytes:
    """The accumulator of an attempt before its first update. `labels` are the round's groups: zero with one group."""
    return _sha256_words(job_id, round_number, attempt, labels)


def accumulate(accumulator: bytes, index: int, cid: bytes, root: bytes) -> bytes:
    """The accumulator after one more update, in the order in which the chain accepted them. `index` is the hospital's
    bit in the job."""
    return _sha256_words(accumulator, index, cid, root)


def merge_digest(
    job_id: int, round_number: int, attempt: int, accumulator: bytes, cid: bytes, root: bytes
) -> bytes:
    """What a hospital attests: the state (`cid`, `root`) merged from exactly the accumulated updates."""
    return _sha256_words(job_id, round_number, attempt, accumulator, cid, root)


def dataset_commitment(root: bytes, schema_digest: bytes, profile: bytes, evidence_digest: bytes) -> bytes:
    """What the dataset registry keeps of a version."""
    return _sha256_words(root, schema_digest, profile, evidence_digest)


def profile_bytes(profile: str) -> bytes:
    """A profile's name as `bytes32`: ASCII, zero-padded. Raises `InvalidInput` when it does not fit."""
    if not profile.isascii() or not 0 < len(profile) <= 32:
        raise InvalidInput(f"The profile name {profile[:64]!r} is not 1 to 32 ASCII characters.")
    return profile.encode("ascii").ljust(32, b"\x00")


def _sha256_words(*values: int | bytes) -> bytes:
    words = hashlib.sha256()
    for value in values:
        if isinstance(value, int):
            value = value.to_bytes(32, "big")
        elif len(value) != 32:
            raise InvalidInput(f"A digest has 32 bytes, not {len(value)}.")
        words.update(value)
    return words.digest()
