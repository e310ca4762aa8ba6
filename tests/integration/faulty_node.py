"""A hospital's node that does one thing wrong, named by FAULT in its environment; otherwise the real one.

lie       posts a state with one number altered, at its first merge
journal   journals an update that no training gives, and dies before it leaves the hospital
pin       dies between pinning its update and submitting it
"""

from __future__ import annotations

import os
import signal

import numpy as np

from protocol.cli import main
from protocol.content import vectors
from protocol.content.vectors import VectorRef
from protocol.node import node
from protocol.node.journal import Context, Journal
from protocol.node.steps import View
from protocol.node.worker import JobWorker


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


class LyingWorker(JobWorker):
    """Merges once as it pleases, and honestly from then on."""

    lied = False

    def _merge(self, view: View) -> None:
        self.lying, self.lied = not self.lied, True
        try:
            super()._merge(view)
        finally:
            self.lying = False

    def _merged(self, number: int) -> np.ndarray:
        computed = super()._merged(number)
        if getattr(self, "lying", False):
            computed = computed.copy()
            computed[0] += 1
        return computed


class DyingJournal(Journal):
    """Keeps an update that could not be trained again, and takes the process down."""

    def write(self, context: Context, update: np.ndarray) -> None:
        super().write(context, update + 1)
        die()


def _put_and_die(*args: object) -> VectorRef:
    put_vector(*args)
    die()
    raise AssertionError("unreachable")


if __name__ == "__main__":
    match os.environ["FAULT"]:
        case "lie":
            node.JobWorker = LyingWorker
        case "journal":
            node.Journal = DyingJournal
        case "pin":
            put_vector, vectors.put_vector = vectors.put_vector, _put_and_die
        case other:
            raise SystemExit(f"there is no fault {other!r}")
    main()
