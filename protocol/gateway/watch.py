"""A folder that devices without a network write into: what is whole is taken in, and then removed."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from protocol.errors import Unclean
from protocol.gateway.part10 import START_BYTES, header, is_dicom
from protocol.gateway.worker import in_a_line
from protocol.imaging import instances
from protocol.vault import disk

log = logging.getLogger(__name__)

#: A file that has not changed between two looks is whole.
LOOK_SECONDS = 2.0

_State = tuple[int, int, int]


class Watch:
    """Takes ultrasound DICOM files out of a folder and what lies below. Other files stay, and so do those that are
    larger than ``max_bytes``, links, and names that begin with a dot. ``arrive(content, received_at)`` returns when a
    file is on the disk."""

    def __init__(self, folder: Path, arrive: Callable[[bytes, int], Any], max_bytes: int) -> None:
        self.taken = 0
        self._folder, self._arrive, self._max_bytes = folder, arrive, max_bytes
        self._seen: dict[Path, _State] = {}
        self._not_ours: dict[Path, _State] = {}
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
        found = dict(self._files(self._folder))
        settled = [path for path, state in found.items() if self._seen.get(path) == state]
        self._seen = found
        self._not_ours = {path: state for path, state in self._not_ours.items() if found.get(path) == state}
        others, taken = 0, 0
        for path in settled:
            if stop is not None and stop.is_set():
                break
            if path in self._not_ours:
                continue
            if self._take(path):
                taken += 1
            else:
                self._not_ours[path] = found[path]
                others += 1
        self.taken += taken
        if others:
            # Names of files are often names of patients.
            log.warning(
                "Files in the watched folder that are no ultrasound DICOM files stay there: %d", others
            )
        return taken

    def _files(self, folder: Path) -> Iterator[tuple[Path, _State]]:
        for entry in os.scandir(folder):
            if entry.name.startswith("."):
                continue
            path = Path(entry.path)
            if entry.is_dir(follow_symlinks=False):
                yield from self._files(path)
            elif entry.is_file(follow_symlinks=False):
                found = entry.stat(follow_symlinks=False)
                yield path, (found.st_ino, found.st_size, found.st_mtime_ns)

    def _take(self, path: Path) -> bool:
        """Whether the file was ours, and is in quarantine now."""
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
        except OSError:
            return False
        with os.fdopen(descriptor, "rb") as file:
            beginning = file.read(START_BYTES)
            if not is_dicom(beginning):
                return False
            content = beginning + file.read(self._max_bytes + 1 - len(beginning))
        if len(content) > self._max_bytes:
            return False
        try:
            if header(content).sop_class not in instances.SOP_CLASSES:
                return False
            self._arrive(content, int(time.time()))
        except Unclean:
            return False
        path.unlink()
        disk.sync(path.parent)
        return True
