"""A hospital's node that posts a false merge when its turn comes first, named by FAULT in its environment; otherwise
the real one.

lane   one number of one chunk altered
drop   one hospital's update left out of the sum
old    the state that the round started from, as if nobody had trained
"""

from __future__ import annotations

import os

import numpy as np

from protocol.cli import main
from protocol.learning.merge import merge
from protocol.node import joining
from protocol.node.steps import View
from protocol.node.worker import JobWorker

FAULTS = ("lane", "drop", "old")


class FalseMerger(JobWorker):
    """Posts a state of its own making at its first merge of a job, and honest ones from then on."""

    lied = False

    def _merge(self, view: View) -> None:
        if self.lied:
            super()._merge(view)
            return
        self.lied = True
        ref = self.content.put(self._false_state(view.job.round), is_state=True)
        self._send("merge", view.job.round, view.round.attempt, ref)

    def _false_state(self, number: int) -> np.ndarray:
        before = self.checks.state(number - 1)
        match os.environ["FAULT"]:
            case "lane":
                false = self.checks.merged(number).copy()
                false[len(false) // 2] += 1
                return false
            case "drop":
                [group] = self.record.updates_by_group(self.record.round(number).newest)
                kept = [self.content.update(update.ref) for update in group[1:]]
                return merge(before, [kept], self.spec.merge.server_step, self.spec.merge.rule)
            case "old":
                return before
            case other:
                raise SystemExit(f"there is no fault {other!r}")


if __name__ == "__main__":
    joining.JobWorker = FalseMerger
    main()
