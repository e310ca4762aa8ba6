"""Content ids (CIDv0), computed by ourselves.

A CIDv0 is base58(0x12 0x20 || SHA-256 of the root node). The root is what `ipfs add` builds by default: UnixFS in
dag-pb, chunks of 262,144 bytes, a balanced tree of at most 174 links a node. The 32 bytes alone are the *digest*, and
name the content completely.
https://github.com/ipfs/specs/blob/main/UNIXFS.md
"""

from __future__ import annotations

import hashlib
from typing import NamedTuple

import base58

from protocol.errors import InvalidInput

CHUNK_BYTES = 262_144
LINKS_PER_NODE = 174
DIGEST_BYTES = 32

_MULTIHASH_SHA256 = b"\x12\x20"
_UNIXFS_FILE = b"\x08\x02"


class _Node(NamedTuple):
    digest: bytes
    file_bytes: int
    tree_bytes: int


def digest_of(data: bytes | bytearray | memoryview) -> bytes:
    """The digest (32 bytes) under which IPFS finds `data`."""
    view = memoryview(data).cast("B")
    nodes = [_leaf(view[start : start + CHUNK_BYTES]) for start in range(0, max(len(view), 1), CHUNK_BYTES)]
    while len(nodes) > 1:
        nodes = [
            _parent(nodes[start : start + LINKS_PER_NODE]) for start in range(0, len(nodes), LINKS_PER_NODE)
        ]
    return nodes[0].digest


def to_cid(digest: bytes) -> str:
    """The CIDv0 ("Qm…") of a digest. Raises `InvalidInput` unless it has 32 bytes."""
    if len(digest) != DIGEST_BYTES:
        raise InvalidInput(f"A digest has {DIGEST_BYTES} bytes, not {len(digest)}.")
    return base58.b58encode(_MULTIHASH_SHA256 + digest).decode("ascii")


def from_cid(cid: str) -> bytes:
    """The digest of a CIDv0. Raises `InvalidInput` for anything else, CIDv1 included."""
    if len(cid) == 46 and cid.startswith("Qm"):
        try:
            multihash = base58.b58decode(cid)
        except ValueError:
            multihash = b""
        if len(multihash) == 34 and multihash[:2] == _MULTIHASH_SHA256:
            return multihash[2:]
    raise InvalidInput(
        f"{cid[:64]!r} is not a CIDv0.", "It begins with Qm and has 46 characters; `ipfs add` prints it."
    )


def _leaf(chunk: memoryview) -> _Node:
    size = len(chunk)
    data = b"\x12" + _varint(size) if size else b""
    tail = b"\x18" + _varint(size)
    unixfs_bytes = len(_UNIXFS_FILE) + len(data) + size + len(tail)
    head = b"\x0a" + _varint(unixfs_bytes) + _UNIXFS_FILE + data
    block = hashlib.sha256(head)
    block.update(chunk)
    block.update(tail)
    return _Node(block.digest(), size, len(head) + size + len(tail))


def _parent(children: list[_Node]) -> _Node:
    links = bytearray()
    sizes = bytearray()
    for child in children:
        link = b"\x0a\x22" + _MULTIHASH_SHA256 + child.digest + b"\x12\x00\x18" + _varint(child.tree_bytes)
        links += b"\x12" + _varint(len(link)) + link
        sizes += b"\x20" + _varint(child.file_bytes)
    file_bytes = sum(child.file_bytes for child in children)
    unixfs = _UNIXFS_FILE + b"\x18" + _varint(file_bytes) + sizes
    block = bytes(links) + b"\x0a" + _varint(len(unixfs)) + unixfs
    tree_bytes = len(block) + sum(child.tree_bytes for child in children)
    return _Node(hashlib.sha256(block).digest(), file_bytes, tree_bytes)


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)
