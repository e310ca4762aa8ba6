"""Peers that are measured beside us: each in an environment of its own, at the versions that its lock names."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from protocol.errors import DevnetError

ROOT = Path(__file__).resolve().parent.parent
PATIENCE_SECONDS = 300


@dataclass(frozen=True)
class Peer:
    """A peer, with what runs it in ``scripts/NAME`` (run.py, requirements.lock). ``title``: its name as people write
    it; ``environment``: variables of its own."""

    name: str
    title: str
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def scripts(self) -> Path:
        return Path(__file__).with_name(self.name)

    @property
    def folder(self) -> Path:
        """Its environment."""
        return ROOT / "build" / self.name

    def install(self, say: Callable[[str], None]) -> None:
        """Its environment at the locked versions; does nothing when it is there. Raises DevnetError."""
        lock = self.scripts / "requirements.lock"
        stamp, wanted = self.folder / "installed", sha256(lock.read_bytes()).hexdigest()
        if stamp.exists() and stamp.read_text(encoding="utf-8") == wanted:
            return
        say(f"Installing {self.title} into an environment of its own")
        self._call([sys.executable, "-m", "venv", "--clear", self.folder])
        pip = [self.folder / "bin" / "pip", "install", "-qq", "--disable-pip-version-check"]
        self._call([*pip, "-r", lock])
        stamp.write_text(wanted, encoding="utf-8")

    def run(self, *arguments: str | Path, **environment: str) -> str:
        """What its run.py prints. Raises DevnetError with the end of what it said."""
        python = self.folder / "bin" / "python"
        return self._call([python, self.scripts / "run.py", *arguments], **environment)

    def _call(self, command: list[str | Path], **environment: str) -> str:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECONDS,
            check=False,
            env={**os.environ, **self.environment, **environment},
        )
        if done.returncode:
            end = "\n".join((done.stdout + done.stderr).splitlines()[-8:])
            raise DevnetError(f"{Path(command[0]).name} failed with code {done.returncode}.", end)
        return done.stdout
