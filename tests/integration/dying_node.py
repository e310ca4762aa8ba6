"""A hospital's node that kills itself (SIGKILL) at one point of its work, named by FAULT in its environment as a moment
and a doing: ``after pin``, ``before submit``. Until then, and in all else, it is the real one.

The points are those of DESIGN: between journal, pin and submit, and on either side of each transaction.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import Any

from protocol.chain.jobs import Jobs
from protocol.chain.rpc import Rpc
from protocol.cli import main
from protocol.content import vectors
from protocol.learning import train
from protocol.node.job_keys import JobKeys
from protocol.node.journal import Journal
from protocol.node.worker import JobWorker

#: Doings by name: what holds the function, its name there, and which of its calls count.
DOINGS: dict[str, tuple[Any, str, Callable[..., bool]]] = {
    "training": (train, "train", lambda *_: True),
    "key": (JobKeys, "make", lambda *_: True),
    "enrol": (Jobs, "enrol", lambda *_: True),
    "journal": (Journal, "write", lambda *_: True),
    "pin": (vectors, "put_vector", lambda *_: True),
    "broadcast": (Rpc, "request", lambda _, method, *__: method == "eth_sendRawTransaction"),
    **{
        name: (JobWorker, "_send", lambda _, function, *__, name=name: function == name)
        for name in ("submit", "merge", "attest", "report")
    },
}
#: Where a node may be told to die while hospitals enrol, train and report.
ENROLLING = ["after key", "before enrol", "after broadcast", "after enrol"]
TRAINING = [
    *("after training", "before journal", "after journal", "after pin"),
    *("before submit", "after broadcast", "after submit", "before merge", "after merge"),
]
REPORTING = ["before report", "after broadcast", "after report"]


def arm(point: str) -> None:
    """Lets this process die at a point."""
    moment, doing = point.split()
    holder, name, counts = DOINGS[doing]
    real = getattr(holder, name)

    def deadly(*args: Any, **options: Any) -> Any:
        if moment == "before" and counts(*args):
            _die()
        answer = real(*args, **options)
        if counts(*args):
            _die()
        return answer

    setattr(holder, name, deadly)


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    arm(os.environ["FAULT"])
    main()
