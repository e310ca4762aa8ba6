"""What belongs to one job on one chain, in a folder of its own: its mask key, its journalled updates.

They lie together so that they are lost together: a node that has the key of a job but not what it sent under that key
could cover two updates with one mask stream (invariant 11).
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from protocol.chain.client import Chain


@dataclass(frozen=True)
class JobPlace:
    """A job: the hash of block 0 and the contract, both hexadecimal, and its id."""

    genesis: str
    contract: str
    job_id: int

    @classmethod
    def on(cls, chain: Chain, job_id: int) -> JobPlace:
        """A job of the deployment's own TrainingJobs."""
        return cls(chain.deployment.genesis_hash, chain.address("TrainingJobs"), job_id)

    def folder(self, root: Path) -> Path:
        """Where the job's files lie under ``root``."""
        return root / f"{self.genesis[2:18]}-{self.contract[2:18]}-job{self.job_id}".lower()

    def bound(self) -> bytes:
        """What its files are bound to, whatever their names."""
        return f"{self.genesis.lower()} {self.contract.lower()} {self.job_id}".encode()


def write_once(path: Path, data: bytes) -> None:
    """Writes a file that only its owner may read, synced to the disk: there whole, or not at all. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    part = path.with_name(path.name + ".part")
    try:
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.rename(part, path)
        sync_folder(path.parent)
        sync_folder(path.parent.parent)
    except OSError:
        part.unlink(missing_ok=True)
        raise


def append(path: Path, line: bytes) -> None:
    """Adds a line to a file, synced to the disk. Raises OSError."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "wb") as file:
        # A crash may have left half a line: this one begins anew.
        file.write(b"\n" + line + b"\n")
        file.flush()
        os.fsync(file.fileno())
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Makes the names in a folder last."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sweep(root: Path) -> None:
    """Clears away what a crash left half-written. Only by the process that holds the node's lock."""
    root.mkdir(parents=True, exist_ok=True, mode=0o700)
    for leftover in root.glob("*/*.part"):
        leftover.unlink()


def clear(folder: Path, first: str) -> bool:
    """Deletes a job's folder, the file ``first`` before all others; whether there was one."""
    if not folder.is_dir():
        return False
    (folder / first).unlink(missing_ok=True)
    sync_folder(folder)
    shutil.rmtree(folder)
    sync_folder(folder.parent)
    return True
