"""What one masked sum is made of. Journal and masks bind every field of it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from typing import Any

from protocol.content import canonical
from protocol.errors import LearningError
from protocol.spec import PROTOCOL

DIGEST_BYTES = 32
KEY_BYTES = 32


@dataclass(frozen=True)
class RoundContext:
    """The sum of one group's updates in one attempt: on which chain, from which state, by whom, at which weights.

    ``genesis`` (the hash of block 0) and ``contract`` are hexadecimal, of either case. ``spec`` is the digest of
    the job spec, 32 bytes: a reorganisation of the chain can put another job under the same id. ``base`` is the
    chunk root of the state that the round starts from, 32 bytes. ``hospitals`` are the ids of the group's members
    in the order of their bits, ``weights`` their shares as (numerator, denominator) in lowest terms and
    ``mask_keys`` their X25519 public keys, 32 bytes each, in the same order; no keys where the job is not masked.
    ``lanes`` is the length of the update. Raises LearningError where these do not fit together.
    """

    chain_id: int
    genesis: str
    contract: str
    job_id: int
    spec: bytes
    round: int
    attempt: int
    base: bytes
    hospitals: tuple[int, ...]
    weights: tuple[tuple[int, int], ...]
    mask_keys: tuple[bytes, ...]
    lanes: int

    def __post_init__(self) -> None:
        if not self.hospitals or len(set(self.hospitals)) != len(self.hospitals):
            raise LearningError(f"The hospitals {self.hospitals} are not a group: none, or one twice.")
        if len(self.weights) != len(self.hospitals):
            raise LearningError(f"{len(self.hospitals)} hospitals have {len(self.weights)} weights.")
        if self.mask_keys and len(self.mask_keys) != len(self.hospitals):
            raise LearningError(f"{len(self.hospitals)} hospitals have {len(self.mask_keys)} mask keys.")
        if any(len(key) != KEY_BYTES for key in self.mask_keys):
            raise LearningError(f"A mask key has {KEY_BYTES} bytes.")
        if len(self.base) != DIGEST_BYTES or len(self.spec) != DIGEST_BYTES:
            raise LearningError(f"The digests of base and spec have {DIGEST_BYTES} bytes each.")
        if self.lanes < 1:
            raise LearningError(f"An update of {self.lanes} numbers is none.")

    def as_dict(self) -> dict[str, Any]:
        """The fields as canonical JSON takes them."""
        return {
            "protocol": PROTOCOL,
            "chain_id": self.chain_id,
            "genesis": self.genesis.lower(),
            "contract": self.contract.lower(),
            "job": self.job_id,
            "spec": self.spec.hex(),
            "round": self.round,
            "attempt": self.attempt,
            "base": self.base.hex(),
            "hospitals": list(self.hospitals),
            "weights": [f"{numerator}/{denominator}" for numerator, denominator in self.weights],
            "mask_keys": [key.hex() for key in self.mask_keys],
            "lanes": self.lanes,
        }

    @cached_property
    def _digest(self) -> bytes:
        return sha256(canonical.dumps(self.as_dict())).digest()

    def digest(self) -> bytes:
        """SHA-256 of the canonical JSON of ``as_dict``, 32 bytes."""
        return self._digest

    def index_of(self, hospital_id: int) -> int:
        """The hospital's place in the group. Raises LearningError for one that is not in it."""
        if hospital_id not in self.hospitals:
            raise LearningError(f"Hospital {hospital_id} is not in the group {self.hospitals}.")
        return self.hospitals.index(hospital_id)
