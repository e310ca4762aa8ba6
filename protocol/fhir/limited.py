"""Files read up to a bound: what unpacks to too much, or holds one thing that is too large, stops there."""

from __future__ import annotations

from typing import BinaryIO


class TooLarge(Exception):
    """More bytes than allowed."""


class Limited:
    """A file of which `most` bytes may be read until `again` is called."""

    def __init__(self, file: BinaryIO, most: int) -> None:
        self._file = file
        self._most = self._left = most

    def read(self, size: int = -1) -> bytes:
        """As of a file. Raises `TooLarge`."""
        return self._counted(self._file.read(min(size, self._left + 1) if size >= 0 else self._left + 1))

    def readline(self, size: int = -1) -> bytes:
        """As of a file. Raises `TooLarge`."""
        return self._counted(self._file.readline(min(size, self._left + 1) if size >= 0 else self._left + 1))

    def again(self) -> None:
        """As many bytes may be read once more."""
        self._left = self._most

    def _counted(self, content: bytes) -> bytes:
        self._left -= len(content)
        if self._left < 0:
            raise TooLarge
        return content
