"""Vectors in files: believed only after both their digests match, and gone when nobody wants them."""

from __future__ import annotations

import stat
from pathlib import Path

import numpy as np
import pytest

from protocol.content import vectors
from protocol.content.cid import digest_of
from protocol.content.spool import Spool, VectorFile
from protocol.content.vectors import VectorRef
from protocol.errors import ContentUnavailable, DigestMismatch, WrongLength

LANES = 1000
FIRST, SECOND = (np.arange(LANES, dtype=np.int32) * step for step in (7, -11))


class Served:
    """Stands in for the IPFS client: serves these vectors, and counts what it was asked for."""

    def __init__(self, *held: np.ndarray) -> None:
        self.content = {digest_of(vectors.encode(vector)): vectors.encode(vector) for vector in held}
        self.fetched = 0

    def fetch(self, digest: bytes, max_bytes: int | None = None) -> bytes:  # noqa: ARG002
        self.fetched += 1
        if digest not in self.content:
            raise ContentUnavailable("Nobody serves it.")
        return self.content[digest]


def test_a_vector_is_fetched_once_and_read_from_its_file(tmp_path):
    spool, ipfs, ref = Spool(tmp_path), Served(FIRST), vectors.reference(FIRST)
    assert ref not in spool
    for _ in range(2):
        assert np.array_equal(spool.get(ipfs, ref, LANES).array(), FIRST)
    assert ref in spool
    assert ipfs.fetched == 1


def test_any_part_of_it_can_be_read(tmp_path):
    spool = Spool(tmp_path)
    file = spool.get(Served(), spool.put(FIRST), LANES)
    piece = np.empty(10, "<i4")
    file.read(990, piece)
    assert np.array_equal(piece, FIRST[990:])
    with pytest.raises(WrongLength, match="ends at byte 4,000"):
        file.read(991, piece)


def test_what_was_made_here_is_not_fetched(tmp_path):
    spool = Spool(tmp_path)
    ref = spool.put(FIRST)
    assert ref == vectors.reference(FIRST)
    assert ref in spool
    assert np.array_equal(spool.get(Served(), ref, LANES).array(), FIRST)
    known = vectors.reference(SECOND)
    assert spool.put(SECOND, known) is known
    assert np.array_equal(spool.get(Served(), known, LANES).array(), SECOND)


def test_a_vector_with_another_root_leaves_nothing(tmp_path):
    spool, wrong = Spool(tmp_path), VectorRef(vectors.reference(FIRST).cid, bytes(32))
    with pytest.raises(DigestMismatch, match="chunk root"):
        spool.get(Served(FIRST), wrong, LANES)
    assert list(tmp_path.iterdir()) == []
    assert wrong not in spool


def test_two_digests_that_do_not_belong_together_are_not_believed_from_the_file_either(tmp_path):
    spool, ref = Spool(tmp_path), vectors.reference(FIRST)
    spool.get(Served(FIRST), ref, LANES)
    with pytest.raises(DigestMismatch, match="chunk root"):
        spool.get(Served(FIRST), VectorRef(ref.cid, bytes(32)), LANES)
    assert np.array_equal(spool.get(Served(), ref, LANES).array(), FIRST)


def test_a_vector_of_another_length_leaves_nothing(tmp_path):
    spool = Spool(tmp_path)
    with pytest.raises(WrongLength):
        spool.get(Served(FIRST), vectors.reference(FIRST), LANES + 1)
    assert list(tmp_path.iterdir()) == []


def test_what_an_earlier_process_left_is_checked_and_used(tmp_path):
    ref = Spool(tmp_path).put(FIRST)
    (tmp_path / "half.part").write_bytes(b"half")
    spool, ipfs = Spool(tmp_path), Served()
    assert not (tmp_path / "half.part").exists()
    assert np.array_equal(spool.get(ipfs, ref, LANES).array(), FIRST)
    assert ipfs.fetched == 0


@pytest.mark.parametrize("damaged", [b"", bytes(4 * LANES), bytes(4 * LANES - 1)])
def test_what_was_damaged_meanwhile_is_fetched_again(tmp_path, damaged):
    ref = Spool(tmp_path).put(FIRST)
    Spool(tmp_path).path(ref).write_bytes(damaged)
    spool, ipfs = Spool(tmp_path), Served(FIRST)
    assert np.array_equal(spool.get(ipfs, ref, LANES).array(), FIRST)
    assert ipfs.fetched == 1


def test_what_nobody_wants_is_deleted_and_read_on_by_those_who_hold_it(tmp_path):
    spool = Spool(tmp_path)
    first, second = spool.put(FIRST), spool.put(SECOND)
    held = spool.get(Served(), first, LANES)
    spool.keep([second])
    assert [path.name for path in tmp_path.iterdir()] == [spool.path(second).name]
    assert first not in spool
    assert second in spool
    assert np.array_equal(held.array(), FIRST)
    with pytest.raises(ContentUnavailable):
        spool.get(Served(), first, LANES)


def test_a_file_of_another_length_is_refused(tmp_path):
    path = tmp_path / "vector"
    path.write_bytes(bytes(12))
    with pytest.raises(WrongLength, match="12 bytes"):
        VectorFile(path, 4)


def test_the_folder_is_its_owners_alone(tmp_path):
    folder = tmp_path / "spool"
    Spool(folder)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_files_are_closed_with_their_last_reader(tmp_path):
    spool = Spool(tmp_path)
    ref = spool.put(FIRST)
    spool.get(Served(), ref, LANES)
    before = len(list(Path("/proc/self/fd").iterdir()))
    spool.keep([])
    assert len(list(Path("/proc/self/fd").iterdir())) == before - 1
