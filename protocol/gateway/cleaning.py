"""De-identification in a process of its own: what brings a decoder down, or never ends, ends that process alone."""

from __future__ import annotations

import multiprocessing
import os
import resource
import signal
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path

from protocol.data.pseudonyms import Pseudonyms
from protocol.errors import MissingLibrary, SalusError, Unclean
from protocol.imaging.deidentify import Clean, Model, WithoutRegions, deidentify
from protocol.imaging.text import Box, RapidOcr

#: Half an hour: a cine of a gigabyte takes minutes on a slow machine.
MAX_SECONDS = 1_800.0
#: A gigabyte of pixels is there four times at once, and the models that find text beside it.
MAX_MEMORY_BYTES = 8 << 30
# Memory that decoders leave behind goes with their process.
_INSTANCES_A_PROCESS = 2_000


@dataclass(frozen=True)
class _Refusal:
    kind: type[SalusError]
    message: str
    hint: str = ""
    model: Model | None = None

    def error(self) -> SalusError:
        return WithoutRegions(self.message, self.model) if self.model else self.kind(self.message, self.hint)


class Cleaner:
    """De-identifies one instance at a time, in a process that it starts when it is needed. ``secret``: the file of the
    hospital's pseudonyms. It ends with the process that made it, however that ends."""

    def __init__(self, secret: Path, max_seconds: float = MAX_SECONDS) -> None:
        self._secret, self._max_seconds = secret, max_seconds
        self._process: BaseProcess | None = None
        self._pipe: Connection | None = None
        self._count = 0
        self._one_at_a_time = threading.Lock()

    def __call__(self, content: bytes, regions: Sequence[Box] = ()) -> Clean:
        """As `deidentify`. Raises Unclean for what ends the process or takes too long too, and MissingLibrary."""
        with self._one_at_a_time:
            if self._count >= _INSTANCES_A_PROCESS:
                self._end()
            self._count += 1
            return self._ask(content, regions)

    def close(self) -> None:
        """Ends the process."""
        with self._one_at_a_time:
            self._end()

    def _ask(self, content: bytes, regions: Sequence[Box]) -> Clean:
        pipe = self._started()
        try:
            pipe.send((content, tuple(regions)))
            if not pipe.poll(self._max_seconds):
                self._end()
                raise Unclean(f"Cleaning it took longer than {self._max_seconds:.0f} seconds.")
            answer = pipe.recv()
        except (EOFError, OSError):
            self._end()
            raise Unclean("It brought down the process that was to clean it.") from None
        if isinstance(answer, _Refusal):
            raise answer.error()
        return answer

    def _started(self) -> Connection:
        if self._process is not None and not self._process.is_alive():
            self._end()
        if self._pipe is None or self._process is None:
            context = multiprocessing.get_context("spawn")
            self._pipe, other = context.Pipe()
            self._process = context.Process(
                target=_clean_all, args=(other, self._secret), name="salus-cleaner", daemon=True
            )
            self._process.start()
            # The other end is the process's alone: it sees that this one is gone.
            other.close()
        return self._pipe

    def _end(self) -> None:
        if self._process is not None and self._pipe is not None:
            self._pipe.close()
            self._process.kill()
            self._process.join()
        self._process, self._pipe, self._count = None, None, 0


def _clean_all(pipe: Connection, secret: Path) -> None:
    """Answers until the other end is gone."""
    for number in (signal.SIGINT, signal.SIGTERM):
        # They go to the whole group; the gateway decides when it is over.
        signal.signal(number, signal.SIG_IGN)
    _bound_memory()
    # Decoders write there what they like.
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for number in (1, 2):
        os.dup2(nowhere, number)
    finder: RapidOcr | None = None
    while True:
        try:
            content, regions = pipe.recv()
        except (EOFError, OSError):
            return
        try:
            finder = finder or RapidOcr()
            answer = deidentify(content, Pseudonyms.open(secret), finder, regions)
        except WithoutRegions as error:
            answer = _Refusal(Unclean, error.message, model=error.model)
        except (Unclean, MissingLibrary) as error:
            answer = _Refusal(type(error), error.message, error.hint)
        except Exception as error:  # noqa: BLE001 - whatever it is, the other end waits for an answer
            answer = _Refusal(Unclean, f"It cannot be cleaned ({type(error).__name__}).")
        del content
        try:
            pipe.send(answer)
        except OSError:
            return


def _bound_memory() -> None:
    """What it may write to, and no mere addresses: libraries reserve many of those."""
    _, most = resource.getrlimit(resource.RLIMIT_DATA)
    bound = MAX_MEMORY_BYTES if most == resource.RLIM_INFINITY else min(MAX_MEMORY_BYTES, most)
    resource.setrlimit(resource.RLIMIT_DATA, (bound, most))
