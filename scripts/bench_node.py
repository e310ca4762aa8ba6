"""A hospital's node, as ``salus node run`` is, that also notes when each part of a round began and ended.

    python scripts/bench_node.py SPANS.jsonl [arguments of salus]

Only parts of the main thread are noted, and a part inside another one is the other's time, but for a merge, which
fetches while it sums: so no moment is noted twice. Each line: name, first and last moment (seconds of the machine's
monotonic clock, which all processes share), round.
"""

from __future__ import annotations

import functools
import json
import sys
import threading
import time
from pathlib import Path
from typing import Any

from protocol.chain.jobs import Jobs
from protocol.chain.rpc import Rpc
from protocol.cli import main
from protocol.content import merkle
from protocol.content.ipfs import Ipfs
from protocol.learning import metrics, train
from protocol.node import worker
from protocol.node.journal import Journal

# Where the parts of a round live: owner, attribute, name of the part.
PARTS: list[tuple[Any, str, str]] = [
    (train, "train", "train"),
    (metrics, "evaluate", "evaluate"),
    (worker, "quantise", "quantise"),
    (worker, "merge", "merge"),
    (merkle, "chunk_root", "chunk root"),
    (Journal, "write", "journal"),
    (Ipfs, "add", "pin"),
    (Ipfs, "pin", "pin"),
    (Ipfs, "fetch", "fetch"),
    (Rpc, "request", "look"),
    (Rpc, "batch", "look"),
    (Jobs, "submit", "submit"),
    (Jobs, "merge", "post"),
]
# Of the calls (self, job, round, …).
ROUND_ARGUMENT = {"submit": 2, "post": 2}
INTERRUPTED = "merge"


class Spans:
    """Writes down what runs, as it ends or is interrupted by a part of its own."""

    def __init__(self, path: Path) -> None:
        self.file = path.open("w", encoding="utf-8", buffering=1)
        self.running: list[str] = []
        self.since = 0.0

    def watch(self, owner: Any, attribute: str, name: str) -> None:
        """From now on notes each call of ``owner.attribute``."""
        original = getattr(owner, attribute)

        @functools.wraps(original)
        def noted(*args: Any, **named: Any) -> Any:
            inner = self.running and self.running[-1] != INTERRUPTED
            if inner or threading.current_thread() is not threading.main_thread():
                return original(*args, **named)
            self._turn(self.running[-1] if self.running else None)
            self.running.append(name)
            try:
                return original(*args, **named)
            finally:
                self._turn(name, args[ROUND_ARGUMENT[name]] if name in ROUND_ARGUMENT else None)
                self.running.pop()

        setattr(owner, attribute, noted)

    def _turn(self, name: str | None, number: int | None = None) -> None:
        """Ends what ran until now, if anything did, and begins what runs from now."""
        now = time.monotonic()
        if name is not None:
            self.file.write(json.dumps([name, self.since, now, number]) + "\n")
        self.since = now


if __name__ == "__main__":
    spans = Spans(Path(sys.argv.pop(1)))
    for part in PARTS:
        spans.watch(*part)
    main(prog_name="salus")
