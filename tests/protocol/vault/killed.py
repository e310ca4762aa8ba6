"""What child processes do to a vault until they are killed with SIGKILL: without a word, and where the test says."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path

from protocol.vault.store import Vault, folder_of
from tests.protocol.vault import instances
from tests.protocol.vault.cohorts import KEY

NEW = 100
#: Whatever changes something on the disk. A child dies just before one of them.
_STEPS = ("fsync", "replace", "rename", "unlink")
_MOST_STEPS = 60

context = multiprocessing.get_context("forkserver")
context.set_forkserver_preload([__name__])


def add(vault: Vault) -> None:
    vault.add(instances.of(NEW))


def flush(vault: Vault) -> None:
    vault.flush()


def withdraw(vault: Vault) -> None:
    vault.withdraw("PATIENT1")


def deaths(home: Callable[[], Path], action: Callable[[Vault], None]) -> Iterator[Path]:
    """Homes in which `action` was killed before its first step, its second, and so on; the last one is of a child that
    lived."""
    for step in range(_MOST_STEPS):
        each = home()
        child = context.Process(target=_until, args=(each, action, step))
        child.start()
        child.join()
        yield each
        if child.exitcode == 0:
            assert step > 2, "it had no steps to be killed at"
            return
        assert child.exitcode == -signal.SIGKILL
    raise AssertionError("it never ended")


def add_for_ever(home: Path, told: Connection) -> None:
    """Adds and flushes, and tells of each instance when it has been acknowledged."""
    vault = Vault(folder_of(home), KEY)
    for number in range(10_000):
        vault.add(instances.of(number))
        told.send(number)
        if number % 7 == 6:
            vault.flush()


def _until(home: Path, action: Callable[[Vault], None], step: int) -> None:
    left = [step]

    def dying(real: Callable[..., object]) -> Callable[..., object]:
        def call(*args: object, **kwargs: object) -> object:
            if not left[0]:
                os.kill(os.getpid(), signal.SIGKILL)
            left[0] -= 1
            return real(*args, **kwargs)

        return call

    vault = Vault(folder_of(home), KEY)
    for name in _STEPS:
        setattr(os, name, dying(getattr(os, name)))
    action(vault)
