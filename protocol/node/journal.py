"""What a node must not forget: the quantised updates that it may have published.

An update is written here, and synced to the disk, before it leaves the process. For one (job, round, attempt) the node
only ever sends those bytes again, so that a node killed at any point never publishes two updates for one attempt
(DESIGN invariant 11 rests on it once updates are masked).

A record is one file: a line of canonical JSON that binds the bytes to their context, then the raw little-endian int32.
It is written to a temporary name, synced and renamed, so a record is there whole or not at all.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np

from protocol.content import canonical, vectors
from protocol.errors import JournalError


@dataclass(frozen=True)
class Context:
    """All that an update depends on. ``weights`` are (numerator, denominator) in the order of ``hospitals``."""

    genesis: str
    contract: str
    job_id: int
    round: int
    attempt: int
    base: bytes
    hospitals: tuple[int, ...]
    weights: tuple[tuple[int, int], ...]

    def as_dict(self) -> dict[str, object]:
        return {
            "genesis": self.genesis,
            "contract": self.contract,
            "job": self.job_id,
            "round": self.round,
            "attempt": self.attempt,
            "base": self.base.hex(),
            "hospitals": list(self.hospitals),
            "weights": [f"{numerator}/{denominator}" for numerator, denominator in self.weights],
        }


class Journal:
    """The updates of one hospital, one file each, in a folder that only its owner may read."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        for leftover in folder.glob("*.part"):
            leftover.unlink()

    def read(self, context: Context) -> np.ndarray | None:
        """The update journalled for this context, int32[lanes]; None when there is none.

        Raises JournalError when the record of this attempt was made in another context, or is damaged: the node must
        then sit the attempt out rather than publish a second update for it.
        """
        path = self._path(context)
        try:
            head, _, body = path.read_bytes().partition(b"\n")
        except FileNotFoundError:
            return None
        record = canonical.loads(head)
        if sha256(body).hexdigest() != record["sha256"]:
            raise JournalError(f"The journal of {path.name} is damaged.", "The node sits this attempt out.")
        if record["context"] != context.as_dict():
            raise JournalError(
                f"The journal of {path.name} was made in another context (base state, participants or weights).",
                "The node sits this attempt out; another update for it must never leave the hospital.",
            )
        return vectors.decode(body, len(body) // 4)

    def write(self, context: Context, update: np.ndarray) -> None:
        """Keeps ``update`` (int32[lanes]) for good, synced to the disk. Raises JournalError when one is there."""
        path = self._path(context)
        if path.exists():
            raise JournalError(f"The journal already holds {path.name}.", "It is never overwritten.")
        body = vectors.encode(update)
        head = canonical.dumps({"context": context.as_dict(), "sha256": sha256(body).hexdigest()})
        part = path.with_suffix(".part")
        try:
            descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(head + b"\n" + body)
                file.flush()
                os.fsync(file.fileno())
            os.rename(part, path)
            _sync_folder(self.folder)
        except OSError as error:
            part.unlink(missing_ok=True)
            raise JournalError(
                f"The journal could not keep {path.name}: {error.strerror}.",
                "Free space on the disk; the node sends nothing that it has not journalled.",
            ) from error

    def forget(self, genesis: str, contract: str, job_id: int) -> int:
        """Deletes the records of a job that has ended on that chain; returns how many."""
        paths = list(self.folder.glob(f"{_job(genesis, contract, job_id)}-*.update"))
        for path in paths:
            path.unlink()
        return len(paths)

    def _path(self, context: Context) -> Path:
        job = _job(context.genesis, context.contract, context.job_id)
        return self.folder / f"{job}-round{context.round}-attempt{context.attempt}.update"


def _job(genesis: str, contract: str, job_id: int) -> str:
    return f"{genesis[2:10]}-{contract[2:10].lower()}-job{job_id}"


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
