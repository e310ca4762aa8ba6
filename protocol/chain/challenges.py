"""Challenges: one chunk of every update, of the state before and of the claimed state, computed again on the chain."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from protocol.chain.client import Chain, Receipt
from protocol.chain.models import Vector
from protocol.chain.structs import Struct

CONTRACT = "Challenges"
JOBS = "TrainingJobs"


@dataclass(frozen=True)
class Chunk(Struct):
    """256 lanes, 1,024 bytes, and the Merkle path from their leaf to the vector's root."""

    lanes: bytes
    path: list[bytes]


@dataclass(frozen=True)
class Part(Struct):
    """One merged update. ``index`` is its hospital's bit."""

    index: int
    update: Vector
    chunk: Chunk


@dataclass(frozen=True)
class Previous(Struct):
    """The merge before: what its digest is made of."""

    attempt: int
    accumulator: bytes
    state: Vector

    @classmethod
    def none(cls) -> Self:
        """Of round 1, where the base version stands."""
        return cls(0, bytes(32), Vector(bytes(32), bytes(32)))


@dataclass(frozen=True)
class Claim(Struct):
    """A challenge of the merge of a round in one chunk. ``parts`` are in the order of the chain; ``labels``: the groups
    of the round; ``next``: the state that was posted."""

    job_id: int
    round: int
    attempt: int
    labels: int
    chunk_index: int
    previous: Previous
    next: Vector
    parts: list[Part]
    before: Chunk
    claimed: Chunk


class Challenges:
    """Typed calls of Challenges, always about the deployment's own TrainingJobs."""

    def __init__(self, chain: Chain) -> None:
        self.chain = chain

    def check(self, claim: Claim) -> bool:
        """Whether the claim would be proven, without consequences. Raises Refused when it does not describe the merge
        that stands."""
        return bool(self.chain.call(CONTRACT, "check", self.chain.address(JOBS), claim))

    def challenge(self, claim: Claim) -> Receipt:
        """Challenges: a false merge costs its merger the bond, an honest one the signing operator's hospital."""
        return self.chain.send(CONTRACT, "challenge", self.chain.address(JOBS), claim)
