"""The vectors of one job at one hospital: fetched, checked, kept in files and pinned.

Whose fault it is that a vector cannot be used matters, for a doubt costs its hospital the bond: bytes under the right
content id that have another chunk root or length are its owner's; a daemon of our own that serves other bytes is ours.
More bytes than were asked for are taken for a vector that is too long: nobody reads them to their end to make sure.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np

from protocol.content import vectors
from protocol.content.ipfs import Ipfs
from protocol.content.spool import Spool, VectorFile, disk_errors
from protocol.content.unhurried import AT_ONCE, Unhurried
from protocol.content.vectors import VectorRef
from protocol.errors import (
    ContentError,
    ContentTooLarge,
    ContentUnavailable,
    LearningError,
    StillComing,
    WrongLength,
    WrongRoot,
)
from protocol.node.patience import Patience

log = logging.getLogger(__name__)

# The state that a round starts from and the one it ends with.
STATES_IN_MEMORY = 2
MADE_HERE = "made-here"


def made_here(spool: Path) -> set[bytes]:
    """Digests of all that a job's hospital pinned of its own making, by its spool's folder; on the chain or not."""
    try:
        lines = (spool / MADE_HERE).read_text().split()
    except FileNotFoundError:
        return set()
    # A kill may have cut the last one short.
    return {bytes.fromhex(line) for line in lines if len(line) == 64}


class JobContent:
    """``lanes``: numbers in a state and in an update. ``spool``: where checked vectors lie meanwhile."""

    def __init__(self, ipfs: Ipfs, spool: Spool, lanes: int, job_id: int) -> None:
        self.ipfs, self.spool, self.lanes, self.job_id = ipfs, spool, lanes, job_id
        # Apart, so that what is only to be kept never stands before what is needed.
        self._fetches, self._pins = Unhurried(ipfs), Unhurried(ipfs)
        self.wrong: set[VectorRef] = set()
        self.missing_since: dict[VectorRef, int] = {}
        self._states: dict[VectorRef, np.ndarray] = {}
        self._pinned: set[bytes] | None = None
        self._unserved: set[VectorRef] = set()
        self._patience = Patience()

    def given_up(self, ref: VectorRef) -> bool:
        """Whether the vector could not be had at the last try, or is not what its digests say."""
        return ref in self.missing_since or ref in self.wrong

    # -- reading -----------------------------------------------------------------------------------------------------

    def state(self, ref: VectorRef) -> np.ndarray:
        """A state, int32[lanes]. Raises ContentError, WrongLength."""
        if ref not in self._states:
            self._remember(ref, self.update(ref).array())
        return self._states[ref]

    def update(self, ref: VectorRef) -> VectorFile:
        """A vector in a file, checked. Raises ContentError, WrongLength."""
        file = self.spool.get(self._fetches, ref, self.lanes)
        self.missing_since.pop(ref, None)
        self._patience.succeeded(ref.cid)
        return file

    def has(self, ref: VectorRef) -> bool:
        """Whether the vector is here, checked."""
        return ref in self.spool

    def collect(self, refs: Iterable[VectorRef], now: int) -> bool:
        """Fetches those vectors that are not here, and notes which cannot be had at ``now`` (unix seconds of the chain)
        and which are not what their digests say. Stops at the first failure: false when there was one. One that is
        still being fetched is none."""
        for ref in refs:
            if ref in self.spool or ref in self.wrong or not self._patience.may_try(ref.cid):
                continue
            try:
                self.update(ref)
            except StillComing:
                continue
            except (ContentError, WrongLength) as error:
                self._put_off(ref, error)
                # The vector itself is to blame, not who serves it.
                if isinstance(error, (WrongLength, WrongRoot, ContentTooLarge)):
                    self.wrong.add(ref)
                elif isinstance(error, ContentUnavailable):
                    self.missing_since.setdefault(ref, now)
                return False
        return True

    def still_missing(self, ref: VectorRef) -> bool:
        """Whether one more try at a vector that could not be had has found nobody who serves it. The try may take
        several calls."""
        try:
            self.update(ref)
        except StillComing:
            return False
        except ContentUnavailable:
            return True
        except (ContentError, WrongLength):
            return False
        return False

    # -- keeping -----------------------------------------------------------------------------------------------------

    def put(self, vector: np.ndarray, *, is_state: bool = False) -> VectorRef:
        """Pins a vector that was made here, int32[lanes]; its digests. Raises ContentError.

        It is noted first: one that never comes to the chain, as after a kill, would else stay pinned for ever."""
        ref = vectors.reference(vector)
        with disk_errors(self.spool.folder), (self.spool.folder / MADE_HERE).open("a") as noted:
            noted.write("\n" + ref.cid.hex())
        vectors.put_vector(self.ipfs, vector)
        self.spool.put(vector, ref)
        if is_state:
            self._remember(ref, vector)
        self._kept(ref)
        return ref

    def hold(self, ref: VectorRef, state: np.ndarray) -> None:
        """Keeps a state that was computed here, and is the one of these digests, at hand."""
        self.spool.put(state)
        self._remember(ref, state)

    def keep_only(self, refs: set[VectorRef]) -> None:
        """Frees memory and disk of all vectors but these; pins stay."""
        self.spool.keep(refs)
        for known in (self.wrong, self.missing_since, self._states):
            for ref in [each for each in known if each not in refs]:
                known.discard(ref) if isinstance(known, set) else known.pop(ref)

    def pin_some(self, refs: Iterable[VectorRef], enough: Callable[[], bool]) -> None:
        """Pins what this hospital owes of these, until ``enough`` says so."""
        coming = 0
        for ref in self.owed(refs):
            if enough() or coming >= AT_ONCE:
                return
            if not self._patience.may_try(ref.cid):
                continue
            try:
                self._pin(ref)
            except StillComing:
                coming += 1
            except (ContentError, LearningError) as error:
                self._put_off(ref, error)

    def pin_all(self, refs: Iterable[VectorRef]) -> list[VectorRef]:
        """Pins all that this hospital owes of these, whatever failed before; those that nobody serves. Raises
        StillComing until each was tried, over as many calls as that takes, and ContentError when the daemon or the disk
        fails."""
        coming = 0
        for ref in self.owed(refs):
            if ref in self._unserved:
                continue
            try:
                self._pin(ref)
            except StillComing:
                coming += 1
                if coming >= AT_ONCE:
                    break
            except ContentUnavailable:
                self._unserved.add(ref)
        if coming:
            raise StillComing(
                "What this hospital is to keep is still being fetched.", "The node goes on by itself."
            )
        missing, self._unserved = list(self._unserved), set()
        return missing

    def owed(self, refs: Iterable[VectorRef]) -> list[VectorRef]:
        """Those that this hospital has not pinned yet."""
        if self._pinned is None:
            self._pinned = self.ipfs.pins()
        return [ref for ref in refs if ref.cid not in self._pinned]

    def _pin(self, ref: VectorRef) -> None:
        """From the file where it is still there, so that the bytes are kept even if nobody serves them."""
        if not self.ipfs.is_pinned(ref.cid):
            if self.spool.holds(ref, self.lanes):
                self.ipfs.add(vectors.encode(self.update(ref).array()))
            else:
                self._pins.pin(ref.cid)
        self._kept(ref)

    def _kept(self, ref: VectorRef) -> None:
        if self._pinned is not None:
            self._pinned.add(ref.cid)

    def _remember(self, ref: VectorRef, state: np.ndarray) -> None:
        self._states.pop(ref, None)
        self._states[ref] = state
        while len(self._states) > STATES_IN_MEMORY:
            del self._states[next(iter(self._states))]

    def _put_off(self, ref: VectorRef, error: Exception) -> None:
        self._patience.failed(ref.cid)
        log.warning("job %s: %s", self.job_id, error)
