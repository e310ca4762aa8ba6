"""Verified vectors in files, so that a merge holds none of them in memory, however many hospitals there are."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from protocol.content import vectors
from protocol.content.ipfs import Ipfs
from protocol.content.unhurried import Unhurried
from protocol.content.vectors import VectorRef
from protocol.errors import ContentError, WrongLength

_SUFFIX = ".vector"


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Raises ContentError in place of what a disk raises that is full or cannot be written."""
    try:
        yield
    except OSError as error:
        raise ContentError(
            f"{path} cannot be written: {error.strerror}.",
            "Free some space; the node then goes on by itself.",
        ) from error


class VectorFile:
    """A vector's bytes, little-endian int32[lanes], in an open file that nobody changes.

    Raises WrongLength when the file has another length than `lanes` asks for.
    """

    def __init__(self, path: Path, lanes: int) -> None:
        self.lanes = lanes
        self._path = path
        self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        size = os.fstat(self._descriptor).st_size
        if size != 4 * lanes:
            raise WrongLength(f"{path.name} has {size:,} bytes; {lanes:,} lanes take {4 * lanes:,}.")

    def __del__(self) -> None:
        # The file may be deleted meanwhile: whoever still holds this reads on.
        if (descriptor := getattr(self, "_descriptor", None)) is not None:
            os.close(descriptor)

    def read(self, start: int, out: np.ndarray) -> None:
        """Fills `out` (contiguous, dtype `<i4`) with the lanes from `start` on. Raises WrongLength past the end."""
        buffer, offset = memoryview(out).cast("B"), 4 * start
        while buffer:
            count = os.preadv(self._descriptor, [buffer], offset)
            if not count:
                raise WrongLength(f"{self._path.name} ends at byte {offset:,}.")
            buffer, offset = buffer[count:], offset + count

    def array(self) -> np.ndarray:
        """All of it in memory, int32[lanes]."""
        whole = np.empty(self.lanes, "<i4")
        self.read(0, whole)
        return whole.astype(np.int32, copy=False)


class Spool:
    """A folder of vectors that were fetched and checked; what an earlier process left is checked again at its first
    use.

    It may be emptied at any time: all in it can be fetched again. Raises ContentError when the disk takes no folder.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with disk_errors(folder):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            for leftover in folder.glob("*.part"):
                leftover.unlink()
        self._open: dict[VectorRef, VectorFile] = {}

    def __contains__(self, ref: VectorRef) -> bool:
        return ref in self._open

    def holds(self, ref: VectorRef, lanes: int) -> bool:
        """Whether the vector is here; what an earlier process left is checked first."""
        return ref in self._open or self._is_sound(ref, lanes)

    def get(self, ipfs: Ipfs | Unhurried, ref: VectorRef, lanes: int) -> VectorFile:
        """The vector of these digests: from here, else fetched, and believed after both digests match.

        Raises what `vectors.get_vector` raises, and ContentError when the disk takes no more.
        """
        if not self.holds(ref, lanes):
            self._write(ref, vectors.get_vector(ipfs, ref, lanes))
        return self._file(ref, lanes)

    def put(self, vector: np.ndarray, ref: VectorRef | None = None) -> VectorRef:
        """Keeps a vector that was made here (int32[lanes]); its digests, computed unless the caller did."""
        ref = ref or vectors.reference(vector)
        self._write(ref, vector)
        self._file(ref, len(vector))
        return ref

    def keep(self, wanted: Collection[VectorRef]) -> None:
        """Deletes all others."""
        self._open = {ref: file for ref, file in self._open.items() if ref in wanted}
        names = {self.path(ref) for ref in wanted}
        for path in self.folder.glob(f"*{_SUFFIX}"):
            if path not in names:
                path.unlink()

    def _file(self, ref: VectorRef, lanes: int) -> VectorFile:
        if ref not in self._open:
            self._open[ref] = VectorFile(self.path(ref), lanes)
        return self._open[ref]

    def _is_sound(self, ref: VectorRef, lanes: int) -> bool:
        """Whether an earlier process left the vector here, whole."""
        try:
            return vectors.reference(VectorFile(self.path(ref), lanes).array()) == ref
        except (FileNotFoundError, WrongLength):
            return False

    def _write(self, ref: VectorRef, vector: np.ndarray) -> None:
        path = self.path(ref)
        part = path.with_suffix(".part")
        try:
            with disk_errors(path):
                part.write_bytes(memoryview(vector.astype("<i4", copy=False)).cast("B"))
                part.rename(path)
        except ContentError:
            part.unlink(missing_ok=True)
            raise

    def path(self, ref: VectorRef) -> Path:
        """Where the vector lies, once it was got or put."""
        return self.folder / f"{ref.cid.hex()}{_SUFFIX}"
