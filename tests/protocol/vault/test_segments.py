"""Sealed segments of records."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from protocol.errors import DataError, VaultError
from protocol.vault import segments
from protocol.vault.sealed import Sealer
from protocol.vault.segments import Head, Segment

SEALER = Sealer(bytes(range(32)))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / segments.FOLDER).mkdir()
    return tmp_path


def made(count: int, columns: int = 3, seed: int = 1) -> Segment:
    draw = np.random.default_rng(seed)
    return Segment.of(
        draw.integers(0, 256, (count, 16), np.uint8),
        draw.integers(0, 2, count, np.uint8),
        os.urandom(32 * count),
        draw.normal(size=(count, columns)),
    )


def assert_same(one: Segment, other: Segment) -> None:
    assert_same_head(one.head, other.head)
    assert one.salts == other.salts
    assert np.array_equal(one.values, other.values)


def assert_same_head(one: Head, other: Head) -> None:
    for name in ("codes", "splits", "gone"):
        assert np.array_equal(getattr(one, name), getattr(other, name)), name


@pytest.mark.parametrize("count", [1, 7, 4_096])
def test_what_is_written_is_read(folder: Path, count: int) -> None:
    segment = made(count)
    entry = segments.write(folder, 3, segment, SEALER)
    assert entry["count"] == count
    assert entry["file"].startswith("000003-")
    assert_same(segments.read(folder, entry, SEALER), segment)
    assert_same_head(segments.read_head(folder, entry, SEALER), segment.head)
    assert (folder / segments.FOLDER / entry["file"]).stat().st_mode & 0o777 == 0o600


def test_a_withdrawn_place_has_neither_code_nor_salt_nor_record_left(folder: Path) -> None:
    segment = made(9)
    left = segment.without(np.array([2, 8]), 5)
    entry = segments.write(folder, 0, left, SEALER)
    read = segments.read(folder, entry, SEALER)
    assert_same(read, left)
    assert read.head.gone.tolist() == [0, 0, 5, 0, 0, 0, 0, 0, 5]
    assert not read.head.codes[[2, 8]].any()
    assert not read.head.splits[[2, 8]].any()
    kept = [0, 1, 3, 4, 5, 6, 7]
    assert np.array_equal(read.values, segment.values[kept])
    for place in kept:
        assert read.salt(place) == segment.salt(place)
        assert np.array_equal(read.values[read.row(place)], segment.values[place])
    assert segment.salt(2) not in read.salts and segment.salt(8) not in read.salts
    again = left.without(np.array([0, 3]), 6)
    assert again.head.gone.tolist() == [6, 0, 5, 6, 0, 0, 0, 0, 5]
    assert again.salts == b"".join(segment.salt(place) for place in (1, 4, 5, 6, 7))


def test_one_that_is_empty_of_records_still_has_its_places(folder: Path) -> None:
    left = made(4).without(np.arange(4), 2)
    read = segments.read(folder, segments.write(folder, 0, left, SEALER), SEALER)
    assert (len(read), len(read.values), read.salts) == (4, 0, b"")


def test_one_after_the_other_and_the_first_of_them() -> None:
    first, second = made(5).without(np.array([1]), 2), made(3, seed=2)
    both = first.and_then(second)
    assert len(both) == 8
    assert_same(both.until(5), first)
    assert both.salt(6) == second.salt(1)
    assert len(both.until(2).values) == 1


def test_patients_are_found_by_their_whole_code() -> None:
    segment = made(50)
    twin = segment.head.codes.copy()
    twin[30] = twin[10]
    twin[31, :8] = twin[10, :8]
    head = Head(twin, segment.head.splits, segment.head.gone.copy())
    assert head.find({twin[10].tobytes()}).tolist() == [10, 30]
    assert head.find({bytes(16)}).tolist() == []
    assert head.find(set()).tolist() == []
    head.gone[10] = 4
    assert head.find({twin[10].tobytes(), twin[5].tobytes()}).tolist() == [5, 30]


@pytest.mark.parametrize("place", [5, 40, -40], ids=["size", "head", "body"])
def test_a_flipped_bit_is_found(folder: Path, place: int) -> None:
    entry = segments.write(folder, 0, made(6), SEALER)
    path = folder / segments.FOLDER / entry["file"]
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)
    with pytest.raises(VaultError, match="altered"):
        segments.read(folder, entry, SEALER)


def test_one_does_not_stand_for_another(folder: Path) -> None:
    one, other = (segments.write(folder, 0, made(6, seed=seed), SEALER) for seed in (1, 2))
    (folder / segments.FOLDER / one["file"]).replace(folder / segments.FOLDER / other["file"])
    for read in (segments.read, segments.read_head):
        with pytest.raises(VaultError, match="belongs elsewhere"):
            read(folder, other, SEALER)
        with pytest.raises(DataError, match="lacks a segment"):
            read(folder, one, SEALER)


def cut(content: bytes) -> bytes:
    return content[:-1]


def swapped(content: bytes) -> bytes:
    size = int.from_bytes(content[:4], "big")
    head, body = content[4 : 4 + size], content[4 + size :]
    return len(body).to_bytes(4, "big") + body + head


@pytest.mark.parametrize("change", [cut, swapped, lambda _: b"", lambda _: b"\xff" * 9])
def test_other_bytes_are_refused(folder: Path, change: Any) -> None:
    entry = segments.write(folder, 0, made(6), SEALER)
    path = folder / segments.FOLDER / entry["file"]
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(VaultError, match="altered"):
        segments.read(folder, entry, SEALER)


def test_a_head_of_another_size_than_the_manifest_says_is_refused(folder: Path) -> None:
    entry = segments.write(folder, 0, made(6), SEALER)
    with pytest.raises(VaultError, match="altered"):
        segments.read_head(folder, {**entry, "count": 5}, SEALER)


def test_another_vault_opens_none(folder: Path) -> None:
    entry = segments.write(folder, 0, made(6), SEALER)
    with pytest.raises(VaultError):
        segments.read_head(folder, entry, Sealer(bytes(32)))
