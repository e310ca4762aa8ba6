"""Pairwise masks that cancel in the sum (Bonawitz et al. 2017, without its recovery of missing members).

Each pair of a group shares a key: X25519 (RFC 7748) of their keys for this job, then HKDF-SHA-256 (RFC 5869) with the
whole context bound in. Its ChaCha20 keystream (RFC 8439, counter and nonce zero: a key covers one update) is read as
little-endian ``uint32``; of the two, the hospital with the lower place adds it and the other subtracts it, modulo
2**32. To all but its owner and n-1 colluders a masked update is uniformly random.
"""

from __future__ import annotations

import numpy as np
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import ChaCha20
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from protocol.errors import LearningError
from protocol.learning.context import KEY_BYTES, RoundContext
from protocol.learning.fixed_point import require_vector

SALT = b"salus/mask/1"
# Who knows its own update and the sum of two knows the other's.
FEWEST = 3
# The keystream of one block of all pairs passes through the processor's cache; memory sees the update once.
BLOCK_BYTES = 1 << 16
BLOCK_LANES = BLOCK_BYTES // 4


class JobKey:
    """The X25519 key of one hospital for one job alone."""

    __slots__ = ("_private", "public")

    def __init__(self, private: X25519PrivateKey) -> None:
        self._private = private
        self.public = private.public_key().public_bytes_raw()

    @classmethod
    def new(cls) -> JobKey:
        """A fresh key from the system's generator."""
        return cls(X25519PrivateKey.generate())

    @classmethod
    def from_bytes(cls, private: bytes) -> JobKey:
        """The key of these 32 private bytes. Raises LearningError for another length."""
        if len(private) != KEY_BYTES:
            raise LearningError(f"A job key has {KEY_BYTES} bytes, not {len(private)}.")
        return cls(X25519PrivateKey.from_private_bytes(private))

    def to_bytes(self) -> bytes:
        """The 32 private bytes: whoever has them can unmask."""
        return self._private.private_bytes_raw()

    def agree(self, other_public: bytes) -> bytes:
        """The shared secret with another's public key, 32 bytes. Raises LearningError for a key of low order (whose
        secret everybody knows: RFC 7748, section 6.1) or of another length."""
        try:
            return self._private.exchange(X25519PublicKey.from_public_bytes(other_public))
        except ValueError as error:
            raise LearningError(
                f"Nothing secret can be agreed with the mask key 0x{other_public.hex()}.",
                "The hospital that registered it must leave the job; nobody can mask towards it.",
            ) from error


def pair_stream_key(key: JobKey, context: RoundContext, hospital_id: int, other_id: int) -> bytes:
    """The ChaCha20 key, 32 bytes, that ``hospital_id``, whose key is ``key``, shares with ``other_id``.

    Either of the two gets the same. Raises LearningError for a key that is not the one in the context, an id that is
    not in the group, a hospital with itself, and a key of low order.
    """
    mine, other = context.index_of(hospital_id), context.index_of(other_id)
    if mine == other:
        raise LearningError(f"Hospital {hospital_id} has no mask with itself.")
    if not context.mask_keys or context.mask_keys[mine] != key.public:
        raise LearningError(
            f"This is not the mask key that hospital {hospital_id} registered for job {context.job_id}.",
            "Only the key that was made when the hospital enrolled can mask.",
        )
    info = context.digest()
    for place in sorted((mine, other)):
        # The id as well: whoever registers another's public key gets no stream that is covered twice.
        info += context.hospitals[place].to_bytes(4, "big") + context.mask_keys[place]
    return HKDF(SHA256(), 32, SALT, info).derive(key.agree(context.mask_keys[other]))


def mask(
    update: np.ndarray,
    context: RoundContext,
    hospital_id: int,
    key: JobKey,
    out: np.ndarray | None = None,
) -> np.ndarray:
    """The masked update, int32[lanes], in ``out``, which may be ``update`` itself, else in a new array.

    Raises WrongLength, and LearningError for a group of fewer than three and as ``pair_stream_key``.
    """
    require_vector(update, context.lanes, "The update")
    if len(context.hospitals) < FEWEST:
        raise LearningError(
            f"Masks among {len(context.hospitals)} hospitals hide nothing; {FEWEST} are needed."
        )
    mine = context.index_of(hospital_id)
    streams = [
        (
            Cipher(
                ChaCha20(pair_stream_key(key, context, hospital_id, other_id), bytes(16)), None
            ).encryptor(),
            np.add if mine < place else np.subtract,
        )
        for place, other_id in enumerate(context.hospitals)
        if place != mine
    ]
    masked = np.empty(context.lanes, np.int32) if out is None else out
    require_vector(masked, context.lanes, "The masked update")
    zeros, keystream = memoryview(bytes(BLOCK_BYTES)), np.empty(BLOCK_LANES, "<u4")
    raw = memoryview(keystream).cast("B")
    for start in range(0, context.lanes, BLOCK_LANES):
        block = masked[start : start + BLOCK_LANES].view(np.uint32)
        covered = update[start : start + BLOCK_LANES].view(np.uint32)
        for stream, combine in streams:
            stream.update_into(zeros[: block.nbytes], raw[: block.nbytes])
            covered = combine(covered, keystream[: len(block)], out=block)
    return masked
