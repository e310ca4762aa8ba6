"""Model states and updates as bytes: little-endian int32 without a header, named by CID and chunk root."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from protocol.content import merkle
from protocol.content.cid import digest_of, to_cid
from protocol.content.ipfs import Ipfs
from protocol.content.unhurried import Unhurried
from protocol.errors import InvalidInput, WrongLength, WrongRoot


@dataclass(frozen=True)
class VectorRef:
    """A vector's two digests, 32 bytes each: `cid` finds it, `root` proves its chunks."""

    cid: bytes
    root: bytes

    def __post_init__(self) -> None:
        if len(self.cid) != 32 or len(self.root) != 32:
            raise InvalidInput("A vector's digests have 32 bytes each.")


def encode(vector: np.ndarray) -> bytes:
    """The bytes of an int32 vector of shape (lanes,)."""
    if vector.dtype.kind != "i" or vector.dtype.itemsize != 4 or vector.ndim != 1 or not vector.size:
        raise InvalidInput("A vector is a non-empty, one-dimensional array of int32.")
    return vector.astype("<i4", copy=False).tobytes()


def decode(data: bytes, lanes: int | None = None) -> np.ndarray:
    """The int32 vector of shape (lanes,) in `data`; read-only.

    Raises `WrongLength` for any other number of bytes; with `lanes` None, for none or a number that is not whole.
    """
    if lanes is None:
        lanes = max(len(data) // 4, 1)
    if len(data) != 4 * lanes:
        raise WrongLength(f"The vector has {len(data):,} bytes; {lanes:,} lanes take {4 * lanes:,}.")
    return np.frombuffer(data, "<i4").astype(np.int32, copy=False)


def reference(vector: np.ndarray) -> VectorRef:
    """Both digests of an int32 vector, computed here; nothing is stored."""
    return VectorRef(cid=digest_of(encode(vector)), root=merkle.chunk_root(vector))


def put_vector(ipfs: Ipfs, vector: np.ndarray) -> VectorRef:
    """Pins an int32 vector and returns its digests."""
    return VectorRef(cid=ipfs.add(encode(vector)), root=merkle.chunk_root(vector))


def get_vector(ipfs: Ipfs | Unhurried, ref: VectorRef, lanes: int | None = None) -> np.ndarray:
    """Fetches a vector and checks it against both digests.

    `lanes` is the length that the model asks for; None takes any length up to the client's limit. Raises `WrongLength`,
    `WrongRoot`, and what `Ipfs.fetch` raises.
    """
    vector = decode(ipfs.fetch(ref.cid, None if lanes is None else 4 * lanes), lanes)
    if merkle.chunk_root(vector) != ref.root:
        raise WrongRoot(
            f"The vector {to_cid(ref.cid)} has another chunk root than 0x{ref.root.hex()}.",
            "Whoever posted these digests posted two that do not belong together.",
        )
    return vector
