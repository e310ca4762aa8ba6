"""Background processes of a development network: started once, found again by any later process, stopped cleanly.

A daemon carries a mark in its environment, and `/proc` shows who carries it. So there is no pid file that could
outlive its process or name a stranger: whoever carries the mark was started here, for this folder. Linux only.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path

from protocol.errors import DevnetError

ROOT = Path(__file__).resolve().parents[2]
MARK = "SALUS_DAEMON"
LOOPBACK = "127.0.0.1"
POLL_SECONDS = 0.05
LOG_TAIL_LINES = 15


def free_port(preferred: int | None = None, taken: Collection[int] = ()) -> int:
    """A loopback port outside `taken` that can be listened on now: `preferred` if it still can."""
    for port in (preferred, *[0] * (len(taken) + 1)):
        if port is None:
            continue
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((LOOPBACK, port))
            except OSError:
                continue
            found = int(probe.getsockname()[1])
        if found not in taken:
            return found
    raise DevnetError("No loopback port is free.", "Stop a program that holds many ports, and try again.")


def tool(name: str) -> Path:
    """A Node tool of the checkout.

    Raises:
        DevnetError: it is not installed.
    """
    path = ROOT / "node_modules" / ".bin" / name
    if not path.exists():
        raise DevnetError(
            f"{name} is not installed.",
            "A development network needs a checkout of Salus: run `make setup` there.",
        )
    return path


def run(
    what: str, command: Sequence[str | Path], environment: Mapping[str, str], log: Path, seconds: float
) -> None:
    """Runs a command to its end, in the checkout; its output goes to the log.

    Raises:
        DevnetError: it failed or took too long; shows the end of the log.
    """
    try:
        with log.open("wb") as output:
            subprocess.run(
                [str(word) for word in command],
                cwd=ROOT,
                env={**os.environ, **environment},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                timeout=seconds,
                check=True,
            )
    except (OSError, subprocess.SubprocessError) as error:
        raise DevnetError(f"{what} failed: {error}.", tail(log)) from error


def tail(log: Path) -> str:
    """The end of a log, as a hint."""
    lines = log.read_text(errors="replace").splitlines()[-LOG_TAIL_LINES:] if log.exists() else []
    return "\n".join([f"Its log, {log}, ends with:", *lines])


def answers(port: int, address: str = LOOPBACK) -> bool:
    """Whether anything listens on a port of this machine."""
    with socket.socket() as probe:
        return probe.connect_ex((address, port)) == 0


class Daemon:
    """One background process whose state lies in `folder`."""

    def __init__(self, name: str, folder: Path, log: Path) -> None:
        self.name = name
        self.folder = folder.resolve()
        self.log = log
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def mark(self) -> str:
        """What the process carries in its environment as ``SALUS_DAEMON``."""
        return f"{self.name}:{self.folder}"

    def pid(self) -> int | None:
        """The process that runs now, whoever started it."""
        if self._child is not None:
            self._child.poll()
        wanted = f"{MARK}={self.mark}".encode()
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            try:
                environment = (entry / "environ").read_bytes()
            except OSError:
                continue  # ended meanwhile, or of another user
            if wanted in environment.split(b"\0"):
                return int(entry.name)
        return None

    def launch(self, command: Sequence[str | Path], environment: Mapping[str, str] | None = None) -> None:
        """Starts the process in a session of its own; it outlives this one. Its output goes to the log."""
        try:
            with self.log.open("ab") as log:
                self._child = subprocess.Popen(
                    [str(part) for part in command],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    env={**os.environ, **(environment or {}), MARK: self.mark},
                    start_new_session=True,
                )
        except OSError as error:
            raise DevnetError(
                f"{self.name} cannot be started: {error}.", "Run `make setup` first."
            ) from error
        # The kernel lets `Popen` return a moment before it shows the new program's environment, and with it the mark.
        while self.pid() is None and self._child.poll() is None:
            time.sleep(POLL_SECONDS)

    def wait_until(self, ready: Callable[[], bool], seconds: float) -> None:
        """Returns once the process answers.

        Raises:
            DevnetError: it ended, or did not answer in time; shows the end of its log.
        """
        deadline = time.monotonic() + seconds
        while not ready():
            if self._child is not None and self._child.poll() is not None:
                raise DevnetError(f"{self.name} ended with status {self._child.returncode}.", tail(self.log))
            if time.monotonic() > deadline:
                raise DevnetError(f"{self.name} does not answer after {seconds:.0f} s.", tail(self.log))
            time.sleep(POLL_SECONDS)

    def stop(self, patience_seconds: float = 10) -> bool:
        """Asks the process to end, and ends it when it does not. Returns whether one ran."""
        pid = self.pid()
        if pid is None:
            return False
        for request, patience in ((signal.SIGTERM, patience_seconds), (signal.SIGKILL, patience_seconds)):
            try:
                os.kill(pid, request)
            except ProcessLookupError:
                return True
            deadline = time.monotonic() + patience
            while time.monotonic() < deadline:
                if self.pid() is None:
                    return True
                time.sleep(POLL_SECONDS)
        raise DevnetError(f"{self.name} (process {pid}) does not end.", f"Its log is {self.log}.")
