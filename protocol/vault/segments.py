"""Files of a dataset's records: sealed, in pieces of some thousand records, the last of which fills up.

    segments/NNNNNN-<random>.sealed = uint32be(bytes of head) || head || body, each sealed

    head    uint32be(n), and of each place: 16 bytes that are the same for records of one patient; its split (1 byte);
            the version that withdrew it, else 0 (4 bytes)
    body    uint32be(m) || uint32be(columns), the salts (32 bytes) of the m records that are still there, and their
            numbers, float64[columns, m], zstd

So whoever looks for a patient opens heads alone, and a place that was withdrawn has neither code, salt nor record left.
No two files have one name, and the name is authenticated: none stands for another.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np

from protocol.data import files
from protocol.data.dataset import SALT_BYTES
from protocol.data.versions import RESTORE
from protocol.errors import DataError, VaultError
from protocol.vault import disk
from protocol.vault.sealed import Sealer

FOLDER = "segments"
#: Records of a file, and of what is in memory at a time.
SEGMENT_RECORDS = 4_096
CODE_BYTES = 16

_SIZE_BYTES = 4
_LEVEL = 1
_ROW = CODE_BYTES + 1 + 4


class Lost(DataError):
    """A segment is not there: it was rewritten meanwhile, or lost."""


@dataclass(frozen=True)
class Head:
    """``codes``: uint8[n, 16], ``splits``: uint8[n], ``gone``: uint32[n], the version that withdrew it, else 0."""

    codes: np.ndarray
    splits: np.ndarray
    gone: np.ndarray

    def __len__(self) -> int:
        return len(self.splits)

    def until(self, count: int) -> Head:
        """The first places alone."""
        return Head(self.codes[:count], self.splits[:count], self.gone[:count])

    @property
    def here(self) -> np.ndarray:
        """bool[n]: whether the record is still there."""
        return self.gone == 0

    def find(self, codes: set[bytes]) -> np.ndarray:
        """Places of records that are still there and of these patients, rising."""
        # Eight bytes tell nearly all of them apart.
        firsts = np.array([int.from_bytes(code[:8], "little") for code in codes], "<u8")
        likely = np.flatnonzero(np.isin(self.numbers, firsts) & self.here)
        return likely[[self.codes[place].tobytes() in codes for place in likely]] if len(likely) else likely

    @property
    def numbers(self) -> np.ndarray:
        """uint64[n]: the first eight bytes of each code. Of five million random ones two are the same once in a million
        datasets."""
        return np.ascontiguousarray(self.codes).view("<u8")[:, 0]


@dataclass(frozen=True)
class Segment:
    """``salts``: 32 bytes, ``values``: float64[m, columns], both of the m records that are still there."""

    head: Head
    salts: bytes
    values: np.ndarray

    @classmethod
    def of(cls, codes: np.ndarray, splits: np.ndarray, salts: bytes, values: np.ndarray) -> Self:
        """Of new records."""
        return cls(Head(codes, splits, np.zeros(len(splits), np.uint32)), salts, values)

    def __len__(self) -> int:
        return len(self.head)

    def and_then(self, other: Segment) -> Segment:
        """This one's places and then another one's."""
        head = Head(
            *(
                np.concatenate([getattr(self.head, name), getattr(other.head, name)])
                for name in ("codes", "splits", "gone")
            )
        )
        return Segment(head, self.salts + other.salts, np.concatenate([self.values, other.values]))

    def without(self, places: np.ndarray, version: int) -> Segment:
        """Without the records at some places, which ``version`` withdraws. Neither codes nor salts stay."""
        codes, splits, gone = (each.copy() for each in (self.head.codes, self.head.splits, self.head.gone))
        codes[places], splits[places], gone[places] = 0, 0, version
        kept = (gone == 0)[self.head.here]
        salts = np.frombuffer(self.salts, np.uint8).reshape(-1, SALT_BYTES)[kept]
        return Segment(Head(codes, splits, gone), salts.tobytes(), self.values[kept])

    def until(self, count: int) -> Segment:
        """The first places alone."""
        head = self.head.until(count)
        here = int(head.here.sum())
        return Segment(head, self.salts[: here * SALT_BYTES], self.values[:here])

    def salt(self, place: int) -> bytes:
        """Of a record that is still there."""
        at = self.row(place) * SALT_BYTES
        return self.salts[at : at + SALT_BYTES]

    def row(self, place: int) -> int:
        """Which row of ``values`` is of a place whose record is still there."""
        return int(self.head.here[:place].sum())


def write(folder: Path, number: int, segment: Segment, sealer: Sealer) -> dict[str, Any]:
    """Writes a segment to a new file; how the manifest names it. Its name is on the disk once the folder is synced.
    Raises `OSError`."""
    import pyarrow as pa  # takes a fifth of a second, and most of what names this module does without

    name = f"{number:06}-{secrets.token_hex(8)}.sealed"
    head, count = segment.head, len(segment)
    rows = np.empty((count, _ROW), np.uint8)
    rows[:, :CODE_BYTES] = head.codes
    rows[:, CODE_BYTES] = head.splits
    rows[:, CODE_BYTES + 1 :] = head.gone.astype("<u4").view(np.uint8).reshape(-1, 4)
    # By columns they compress better.
    values = np.ascontiguousarray(segment.values.T, "<f8").tobytes()
    packed = pa.Codec("zstd", compression_level=_LEVEL).compress(values, asbytes=True)
    own = sealer.seal(_size(count) + rows.tobytes(), _about(name, "head"))
    sizes = b"".join(map(_size, segment.values.shape))
    body = sealer.seal(sizes + segment.salts + packed, _about(name, "body"))
    files.write_new(folder / FOLDER / name, _size(len(own)) + own + body)
    return {"file": name, "count": count}


def read_head(folder: Path, entry: Mapping[str, Any], sealer: Sealer) -> Head:
    """The head of a segment, its body unread. Raises Lost, VaultError."""
    path = folder / FOLDER / entry["file"]
    try:
        with disk.reading(path), path.open("rb") as file:
            sealed = file.read(int.from_bytes(file.read(_SIZE_BYTES), "big"))
    except FileNotFoundError:
        raise Lost(f"{folder} lacks a segment of records.", RESTORE) from None
    return _head(sealed, entry, path, sealer)


def read(folder: Path, entry: Mapping[str, Any], sealer: Sealer) -> Segment:
    """A whole segment. Raises Lost, VaultError."""
    import pyarrow as pa

    path = folder / FOLDER / entry["file"]
    try:
        content = disk.read(path)
    except FileNotFoundError:
        raise Lost(f"{folder} lacks a segment of records.", RESTORE) from None
    end = _SIZE_BYTES + int.from_bytes(content[:_SIZE_BYTES], "big")
    head = _head(content[_SIZE_BYTES:end], entry, path, sealer)
    body = _opened(content[end:], path, "body", sealer)
    count, columns = (int.from_bytes(body[at : at + _SIZE_BYTES], "big") for at in (0, _SIZE_BYTES))
    start = 2 * _SIZE_BYTES
    salts, packed = body[start : start + count * SALT_BYTES], body[start + count * SALT_BYTES :]
    if count != int(head.here.sum()):
        raise _altered(path)
    values = pa.Codec("zstd").decompress(packed, decompressed_size=count * columns * 8, asbytes=True)
    return Segment(head, salts, np.frombuffer(values, "<f8").reshape(columns, count).T)


def _head(sealed: bytes, entry: Mapping[str, Any], path: Path, sealer: Sealer) -> Head:
    content = _opened(sealed, path, "head", sealer)
    if int.from_bytes(content[:_SIZE_BYTES], "big") != entry["count"]:
        raise _altered(path)
    rows = np.frombuffer(content, np.uint8, offset=_SIZE_BYTES).reshape(-1, _ROW)
    gone = np.ascontiguousarray(rows[:, CODE_BYTES + 1 :]).view("<u4")[:, 0]
    return Head(rows[:, :CODE_BYTES], rows[:, CODE_BYTES], gone)


def _opened(sealed: bytes, path: Path, part: str, sealer: Sealer) -> bytes:
    try:
        return sealer.open(sealed, _about(path.name, part))
    except VaultError:
        raise _altered(path) from None


def _altered(path: Path) -> VaultError:
    return VaultError(f"{path} does not open: it was altered, or belongs elsewhere.", RESTORE)


def _about(name: str, part: str) -> bytes:
    return f"{name}/{part}".encode()


def _size(count: int) -> bytes:
    return count.to_bytes(_SIZE_BYTES, "big")
