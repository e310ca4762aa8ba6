"""A hospital's node, as ``salus node run`` is, that also notes when each part of a round began and ended.

    python scripts/bench_node.py SPANS.jsonl [arguments of salus]

Only parts of the main thread are noted, and a part inside another one is the other's time: so no moment is noted twice.
Each line: name, first and last moment (seconds of the machine's
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
from protocol.node import checks, updates
from protocol.node.journal import Journal

# Where the parts of a round live: owner, attribute, name of the part.
PARTS: list[tuple[Any, str, str]] = [
    (train, "train", "train"),
    (metrics, "evaluate", "evaluate"),
    (updates, "quantise", "quantise"),
    (updates, "mask", "mask"),
    (checks, "merge", "merge"),
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


class Spans:
    """Writes down what runs, as it ends."""

    def __init__(self, path: Path) -> None:
        self.file = path.open("w", encoding="utf-8", buffering=1)
        self.running = False

    def watch(self, owner: Any, attribute: str, name: str) -> None:
        """From now on notes each call of ``owner.attribute``."""
        original = getattr(owner, attribute)

        @functools.wraps(original)
        def noted(*args: Any, **named: Any) -> Any:
            if self.running or threading.current_thread() is not threading.main_thread():
                return original(*args, **named)
            self.running, began = True, time.monotonic()
            try:
                return original(*args, **named)
            finally:
                self.running = False
                number = args[ROUND_ARGUMENT[name]] if name in ROUND_ARGUMENT else None
                self.file.write(json.dumps([name, began, time.monotonic(), number]) + "\n")

        setattr(owner, attribute, noted)


if __name__ == "__main__":
    spans = Spans(Path(sys.argv.pop(1)))
    for part in PARTS:
        spans.watch(*part)
    main(prog_name="salus")
