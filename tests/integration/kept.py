"""A development network for one run under kills: gone when all held, kept to be looked at otherwise."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from protocol.devnet import Devnet


@dataclass
class Run:
    """``holds``: whether every check held; set by whoever runs."""

    folder: Path
    devnet: Devnet
    holds: bool = False


@contextmanager
def kept_unless_it_holds(name: str) -> Iterator[Run]:
    """A network in a folder of its own, which is up. Afterwards both are gone, or the folder stays and is named."""
    folder = Path(tempfile.mkdtemp(prefix=f"salus-{name}-"))
    run = Run(folder, Devnet(folder / "devnet"))
    try:
        run.devnet.up()
        yield run
    finally:
        if run.holds:
            run.devnet.reset()
            shutil.rmtree(folder)
        else:
            run.devnet.down()
            print(f"everything is kept in {folder}", flush=True)
