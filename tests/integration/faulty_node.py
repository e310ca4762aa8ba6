"""A hospital's node that does one thing wrong, named by FAULT in its environment; otherwise the real one.

lie       posts a state with one number altered, at its first merge
mismatch  submits its first update under another vector's chunk root
hide      submits its first update and lets nobody have its bytes
journal   journals an update that no training gives, and dies before it leaves the hospital
pin       dies between pinning its update and submitting it
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable

import numpy as np

from protocol.cli import main
from protocol.content import vectors
from protocol.content.vectors import VectorRef
from protocol.learning.context import RoundContext
from protocol.node import joining, node
from protocol.node.content import JobContent
from protocol.node.journal import Journal
from protocol.node.steps import View
from protocol.node.worker import JobWorker


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


class LyingWorker(JobWorker):
    """Posts ``false_state`` at its first merge of a job, and merges honestly from then on."""

    lied = False

    def _merge(self, view: View) -> None:
        if self.lied:
            super()._merge(view)
            return
        self.lied = True
        ref = self.content.put(self.false_state(view.job.round), is_state=True)
        self._send("merge", view.job.round, view.round.attempt, ref)

    def false_state(self, number: int) -> np.ndarray:
        """The merge with one number altered."""
        state = self.checks.merged(number).copy()
        state[0] += 1
        return state


class DyingJournal(Journal):
    """Keeps an update that could not be trained again, and takes the process down."""

    def write(self, context: RoundContext, update: np.ndarray) -> None:
        super().write(context, update + 1)
        die()


class MismatchingContent(JobContent):
    """Names its first vector by another one's chunk root."""

    done = False

    def put(self, vector: np.ndarray, *, is_state: bool = False) -> VectorRef:
        ref = super().put(vector, is_state=is_state)
        if self.done:
            return ref
        self.done = True
        return VectorRef(ref.cid, vectors.reference(vector + 1).root)


class HidingContent(JobContent):
    """Keeps its first vector to itself."""

    hidden: VectorRef | None = None

    def put(self, vector: np.ndarray, *, is_state: bool = False) -> VectorRef:
        if self.hidden:
            return super().put(vector, is_state=is_state)
        self.hidden = self.spool.put(vector)
        return self.hidden

    def owed(self, refs: Iterable[VectorRef]) -> list[VectorRef]:
        return [ref for ref in super().owed(refs) if ref != self.hidden]


def _put_and_die(*args: object) -> VectorRef:
    put_vector(*args)
    die()
    raise AssertionError("unreachable")


if __name__ == "__main__":
    match os.environ["FAULT"]:
        case "lie":
            joining.JobWorker = LyingWorker
        case "mismatch":
            joining.JobContent = MismatchingContent
        case "hide":
            joining.JobContent = HidingContent
        case "journal":
            node.Journal = DyingJournal
        case "pin":
            put_vector, vectors.put_vector = vectors.put_vector, _put_and_die
        case other:
            raise SystemExit(f"there is no fault {other!r}")
    main()
