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
from tests.integration.faulty_node import LyingWorker

FAULTS = ("lane", "drop", "old")


class FalseMerger(LyingWorker):
    """Lies as FAULT says."""

    def false_state(self, number: int) -> np.ndarray:
        before = self.checks.state(number - 1)
        match os.environ["FAULT"]:
            case "lane":
                return super().false_state(number)
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
