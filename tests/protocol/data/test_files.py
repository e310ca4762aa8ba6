from __future__ import annotations

import os

import pytest

from protocol.cohort.mapping import CohortMapping
from protocol.data import files
from protocol.errors import DataError


def test_a_small_file_is_read_whole(tmp_path):
    path = tmp_path / "named"
    path.write_bytes(b"12345678")
    assert files.read_small(path, 8) == b"12345678"
    with pytest.raises(DataError, match="named is larger than 7 bytes"):
        files.read_small(path, 7)
    with pytest.raises(DataError, match="none cannot be read"):
        files.read_small(tmp_path / "none", 7)
    with pytest.raises(DataError, match="cannot be read"):
        files.read_small(tmp_path, 7)


@pytest.mark.parametrize("read", [lambda path: files.read_small(path, 1 << 18), CohortMapping.read])
def test_of_a_device_or_a_pipe_nothing_is_read(tmp_path, read):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for path in (pipe, pipe.parent / "zero"):
        if path.name == "zero":
            path.symlink_to("/dev/zero")
        with pytest.raises(DataError, match="is not a regular file"):
            read(path)
