"""A folder that devices without a network write into: what is whole and settled is taken in, and then removed."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from protocol.errors import Unclean
from protocol.gateway.part10 import START_BYTES, header, is_dicom
from protocol.gateway.worker import in_a_line
from protocol.imaging import instances
from protocol.vault import disk

log = logging.getLogger(__name__)

LOOK_SECONDS = 2.0
#: A file that has not changed for so long is settled: copies over a network pause.
SETTLED_SECONDS = 30.0

_NOT_OURS = "are no ultrasound DICOM files"
_NOT_WHOLE = "end before their pixels do"
_CLOSED = "cannot be read"
_STUCK = "were taken in and cannot be removed"


class _State(NamedTuple):
    """Of a file: when any of it changes, so did the file. All zero: it could not be asked."""

    inode: int = 0
    size: int = 0
    modified: int = 0
    changed: int = 0

    @classmethod
    def of(cls, found: os.stat_result) -> _State:
        return cls(found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


class _Changed(Exception):
    """A file is not settled after all."""


class Watch:
    """Takes ultrasound DICOM files out of a folder and what lies below, once they are whole and have not changed for
    ``settled_seconds``. Other files stay, and so do those that are larger than ``max_bytes``, links, and names that
    begin with a dot. ``arrive(content, received_at)`` returns when a file is on the disk."""

    def __init__(
        self,
        folder: Path,
        arrive: Callable[[bytes, int], Any],
        max_bytes: int,
        settled_seconds: float | None = None,
    ) -> None:
        self.taken = 0
        self._folder, self._arrive, self._max_bytes = folder, arrive, max_bytes
        self._settled_seconds = SETTLED_SECONDS if settled_seconds is None else settled_seconds
        # By this machine's clock: that of a network's server may be another.
        self._since: dict[Path, tuple[_State, float]] = {}
        self._left: dict[Path, _State] = {}
        self._said = ""

    def run(self, stop: threading.Event) -> None:
        """Looks until it is stopped."""
        while not stop.is_set():
            try:
                self.look(stop)
                self._said = ""
            except Exception as error:  # noqa: BLE001 - the folder may be anything; the files stay where they are
                if (line := in_a_line(error)) != self._said:
                    log.error("The watched folder waits: %s", line)
                    self._said = line
            stop.wait(LOOK_SECONDS)

    def look(self, stop: threading.Event | None = None) -> int:
        """Looks once; how many files were taken in. Raises `OSError` when one cannot be kept, or the folder read."""
        stay: Counter[str] = Counter()
        taken = 0
        for path, state in self._settled():
            if stop is not None and stop.is_set():
                break
            try:
                why = self._take(path, state)
            except _Changed:
                continue
            if why:
                self._left[path] = state
                stay[why] += 1
            taken += why in ("", _STUCK)
        self.taken += taken
        for why, count in stay.items():
            # Names of files are often names of patients.
            log.warning("Files in the watched folder that %s stay there: %d", why, count)
        return taken

    def _settled(self) -> list[tuple[Path, _State]]:
        """Files that did not change, but for those that were left for good."""
        now, found = time.monotonic(), dict(_files(self._folder))
        before = self._since
        self._since = {
            path: before[path] if path in before and before[path][0] == state else (state, now)
            for path, state in found.items()
        }
        self._left = {path: state for path, state in self._left.items() if found.get(path) == state}
        return [
            (path, state)
            for path, (state, since) in self._since.items()
            if path in before
            and before[path][0] == state
            and path not in self._left
            and now - since >= self._settled_seconds
        ]

    def _take(self, path: Path, state: _State) -> str:
        """Puts a file into quarantine and removes it; why it stays, or nothing. Raises _Changed, and what `arrive`
        does but Unclean."""
        try:
            content = self._read(path, state)
        except OSError:
            return _CLOSED
        if content is None:
            return _NOT_OURS
        try:
            found = header(content)
            if found.sop_class not in instances.SOP_CLASSES:
                return _NOT_OURS
            if not instances.is_whole(content, found.transfer_syntax):
                return _NOT_WHOLE
            self._arrive(content, int(time.time()))
        except Unclean:
            return _NOT_OURS
        try:
            if _State.of(path.lstat()) != state:
                raise _Changed
            path.unlink()
            disk.sync(path.parent)
        except FileNotFoundError:  # Somebody else removed it.
            pass
        except OSError:
            return _STUCK
        return ""

    def _read(self, path: Path, state: _State) -> bytes | None:
        """What a file holds; None when that is no DICOM, or too much."""
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as file:
            if _State.of(os.fstat(file.fileno())) != state:
                raise _Changed
            beginning = file.read(START_BYTES)
            if state.size > self._max_bytes or not is_dicom(beginning):
                return None
            content = beginning + file.read(state.size)
        if len(content) != state.size:
            raise _Changed
        return content


def _files(folder: Path) -> Iterator[tuple[Path, _State]]:
    """The files below a folder. What cannot be asked is among them."""
    for entry in os.scandir(folder):
        if entry.name.startswith("."):
            continue
        path = Path(entry.path)
        try:
            if entry.is_dir(follow_symlinks=False):
                yield from list(_files(path))
            elif entry.is_file(follow_symlinks=False):
                yield path, _State.of(entry.stat(follow_symlinks=False))
        except FileNotFoundError:  # Gone since it was listed.
            continue
        except OSError:
            yield path, _State()
