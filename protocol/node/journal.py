"""What a node must not forget: the quantised updates that it may have published.

An update is written here, and synced to the disk, before it is masked and leaves the process. For one context (chain,
job, round, attempt, base state, group, weights, keys) the node only ever sends those bytes again, so that one mask
stream never covers two updates (DESIGN invariant 11), wherever the node is killed and whatever the chain does.

A record is one file, named by the digest of its context: a line of canonical JSON that binds the bytes to it, then
the raw little-endian int32. Beside the records, ``contexts`` lists every context that ever had one, so that a record
that is gone (lost, or let go of as old) is known to have been there, and the attempt is sat out.
"""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

import numpy as np

from protocol.content import canonical, vectors
from protocol.errors import InvalidInput, JournalError
from protocol.learning.context import RoundContext
from protocol.node.places import JobPlace, append, clear, sweep, write_once

CONTEXTS = "contexts"
KEY = "mask-key"
# A record is needed again while its attempt is open, and when a reorganisation opens it again. Of rounds further back
# than these the disk is freed; should a reorganisation reach them, the node sits them out.
KEPT_ROUNDS = 4
_SITS_OUT = "The node sits this attempt out."


class Journal:
    """The updates of one hospital, a folder a job, in a folder that only its owner may read."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        sweep(folder)

    def read(self, context: RoundContext) -> np.ndarray | None:
        """The update journalled for this context, int32[lanes], before masking; None when there never was one.

        Raises JournalError when the record is damaged or gone: a second update for the context must never leave.
        """
        path = self._path(context)
        try:
            head, _, body = path.read_bytes().partition(b"\n")
        except FileNotFoundError:
            if self._is_listed(context):
                raise JournalError(
                    f"The journal held an update for round {context.round}, attempt {context.attempt} of job"
                    f" {context.job_id}, and does so no longer.",
                    _SITS_OUT,
                ) from None
            return None
        except OSError as error:
            raise JournalError(
                f"The journal's {path.name} cannot be read: {error.strerror}.", _SITS_OUT
            ) from error
        try:
            record = canonical.loads(head)
            sound = record["context"] == context.as_dict() and record["sha256"] == sha256(body).hexdigest()
            update = vectors.decode(body, context.lanes) if sound else None
        except (InvalidInput, KeyError, TypeError, ValueError):
            update = None
        if update is None:
            raise JournalError(f"The journal of {path.name} is damaged.", _SITS_OUT)
        if not self._is_listed(context):
            self._list(context)
        return update

    def write(self, context: RoundContext, update: np.ndarray) -> None:
        """Keeps an update, int32[lanes], for good, synced to the disk. Raises JournalError when the context has or had
        one."""
        path = self._path(context)
        if path.exists() or self._is_listed(context):
            raise JournalError(f"The journal already holds {path.name}.", "It is never overwritten.")
        body = vectors.encode(update)
        head = canonical.dumps({"context": context.as_dict(), "sha256": sha256(body).hexdigest()})
        try:
            write_once(path, head + b"\n" + body)
        except OSError as error:
            raise self._full(path, error) from error
        self._list(context)

    def trim(self, place: JobPlace, open_round: int) -> int:
        """Lets go of the records of rounds that no attempt can ask for again; returns how many. Their contexts stay
        listed."""
        old = [
            path
            for path in place.folder(self.folder).glob("round*.update")
            if int(path.name.split("-")[0].removeprefix("round")) <= open_round - KEPT_ROUNDS
        ]
        for path in old:
            path.unlink()
        return len(old)

    def forget(self, place: JobPlace) -> bool:
        """Deletes all that is kept of a job that has ended, its mask key first; whether there was anything."""
        return clear(place.folder(self.folder), KEY)

    def _folder(self, context: RoundContext) -> Path:
        return JobPlace(context.genesis, context.contract, context.job_id).folder(self.folder)

    def _path(self, context: RoundContext) -> Path:
        name = f"round{context.round}-attempt{context.attempt}-{context.digest().hex()[:32]}.update"
        return self._folder(context) / name

    def _is_listed(self, context: RoundContext) -> bool:
        try:
            listed = (self._folder(context) / CONTEXTS).read_bytes().split(b"\n")
        except FileNotFoundError:
            return False
        except OSError as error:
            raise JournalError(f"The journal cannot be read: {error.strerror}.", _SITS_OUT) from error
        return context.digest().hex().encode() in listed

    def _list(self, context: RoundContext) -> None:
        path = self._folder(context) / CONTEXTS
        try:
            append(path, context.digest().hex().encode())
        except OSError as error:
            raise self._full(path, error) from error

    def _full(self, path: Path, error: OSError) -> JournalError:
        return JournalError(
            f"The journal could not keep {path.name}: {error.strerror}.",
            "Free space on the disk; the node sends nothing that it has not journalled.",
        )
