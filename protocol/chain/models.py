"""ModelRegistry: models and their versions. Release and withdrawal are votes (`votes.Call`)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from protocol.chain.client import Chain, Receipt
from protocol.chain.enums import ModelStatus
from protocol.chain.events import Event, events
from protocol.chain.structs import Struct

CONTRACT = "ModelRegistry"


class VectorDigests(Protocol):
    """Whatever names a vector by its two digests, 32 bytes each: `Vector`, or the content layer's reference."""

    @property
    def cid(self) -> bytes: ...

    @property
    def root(self) -> bytes: ...


@dataclass(frozen=True)
class Vector(Struct):
    """A vector of int32: the digest of the CIDv0 that finds its bytes, and the chunk root that proves them."""

    cid: bytes
    root: bytes


@dataclass(frozen=True)
class Version(Struct):
    """A version. ``parent`` and ``job_id`` are zero for a base."""

    status: ModelStatus
    parent: int
    job_id: int
    state: Vector


class Models:
    """Typed calls of ModelRegistry."""

    def __init__(self, chain: Chain) -> None:
        self.chain = chain

    def create(self, name: str, base: VectorDigests) -> Receipt:
        """A model with its base state as version 1; anyone may."""
        return self.chain.send(CONTRACT, "create", name, base)

    def version(self, model_id: int, number: int) -> Version:
        """Raises Refused (UnknownModel, UnknownModelVersion)."""
        return Version.of(self.chain.call(CONTRACT, "version", model_id, number))

    def versions(self, model_id: int) -> list[Version]:
        """Every version of a model, from 1. Raises Refused (UnknownModel)."""
        numbers = range(1, self.version_count(model_id) + 1)
        return [
            Version.of(each)
            for each in self.chain.call_many((CONTRACT, "version", (model_id, n)) for n in numbers)
        ]

    def version_count(self, model_id: int) -> int:
        """Raises Refused (UnknownModel)."""
        return int(self.chain.call(CONTRACT, "versionCount", model_id))

    def count(self) -> int:
        """How many models there are: ids run from 1 to this."""
        return int(self.chain.call(CONTRACT, "modelCount"))

    def created(self) -> list[Event]:
        """The ModelCreated events: ``modelId``, ``creator``, ``name``."""
        return list(events(self.chain, CONTRACT, ["ModelCreated"]))
