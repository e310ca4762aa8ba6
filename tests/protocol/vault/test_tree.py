"""The tree that grows on the disk, beside the one of `content.merkle`."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.content import merkle
from protocol.errors import InvalidInput, VaultError
from protocol.vault.tree import GrowingTree, RunningRoot


def leaves(count: int, start: int = 0) -> list[bytes]:
    return [(start + number).to_bytes(32, "big") for number in range(count)]


def grown(folder: Path, *batches: int) -> tuple[GrowingTree, list[bytes]]:
    tree, have = GrowingTree(folder / "tree"), []
    for size in batches:
        more = leaves(size, len(have))
        tree.append(len(have), more)
        have += more
    return tree, have


def assert_same(tree: GrowingTree, have: list[bytes]) -> None:
    plain = merkle.Tree(have)
    assert tree.root(len(have)) == plain.root
    for index in range(len(have)):
        assert tree.proof(len(have), index) == plain.proof(index)
        assert tree.leaf(index) == have[index]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(0, 9), min_size=1, max_size=6).filter(any),
    st.lists(st.tuples(st.integers(0, 2**16), st.binary(min_size=32, max_size=32)), max_size=4),
)
def test_root_and_proofs_are_those_of_the_plain_tree(
    batches: list[int], replaced: list[tuple[int, bytes]]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        tree, have = grown(Path(folder), *batches)
        assert_same(tree, have)
        for number, other in replaced:
            index = number % len(have)
            tree.replace(len(have), index, other)
            have[index] = other
            assert_same(tree, have)
        tree.append(len(have), leaves(3, 1000))
        assert_same(tree, have + leaves(3, 1000))


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 40), st.integers(0, 40))
def test_earlier_counts_keep_their_roots(first: int, more: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        tree, have = grown(Path(folder), first, more)
        for count in range(1, len(have) + 1):
            assert_same(tree, have[:count])


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 20), st.lists(st.integers(0, 9), max_size=8))
def test_leaves_that_come_in_pieces_make_the_same_tree(before: int, pieces: list[int]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        tree, have = grown(Path(folder), before)
        with tree.appending(before) as put:
            for size in pieces:
                more = leaves(size, len(have))
                put(more)
                have += more
        if have:
            assert_same(tree, have)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 9), min_size=1, max_size=8).filter(any))
def test_a_running_root_is_that_of_the_plain_tree(pieces: list[int]) -> None:
    running, have = RunningRoot(), list[bytes]()
    for size in pieces:
        more = leaves(size, len(have))
        running.add(more)
        have += more
        assert running.count == len(have)
        if have:
            assert running.top == merkle.root(have)


def test_there_is_no_root_of_nothing() -> None:
    with pytest.raises(InvalidInput, match="at least one leaf"):
        _ = RunningRoot().top


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 40), st.sets(st.integers(0, 2**16), min_size=1, max_size=12))
def test_several_are_replaced_as_one_after_the_other(count: int, numbers: set[int]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        tree, have = grown(Path(folder), count)
        changed = {number % count: (10_000 + number).to_bytes(32, "big") for number in numbers}
        tree.replace_all(count, changed)
        for index, leaf in changed.items():
            have[index] = leaf
        assert_same(tree, have)


def test_pieces_are_put_on_the_disk_itself_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, synced = os.fsync, []
    monkeypatch.setattr(os, "fsync", lambda descriptor: (synced.append(descriptor), real(descriptor)))
    with GrowingTree(tmp_path / "tree").appending(0) as put:
        for start in range(0, 64, 4):
            put(leaves(4, start))
        assert synced == []
    assert len(synced) == 7 + 1, "seven levels and their folder"


@pytest.mark.parametrize("stop", range(6))
def test_an_append_that_stopped_half_way_can_be_done_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stop: int
) -> None:
    tree, have = grown(tmp_path, 11)
    real, left = os.fsync, [stop]

    def fsync(descriptor: int) -> None:
        if not left[0]:
            raise OSError(28, "No space left on device")
        left[0] -= 1
        real(descriptor)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fsync)
        with pytest.raises(VaultError, match="No space left"):
            tree.append(11, leaves(50, 500))
    assert_same(tree, have)
    tree.append(11, leaves(6, 11))
    assert_same(tree, leaves(17))


@pytest.mark.parametrize("stop", range(5))
def test_a_replacement_that_stopped_half_way_can_be_done_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stop: int
) -> None:
    tree, have = grown(tmp_path, 16)
    real, left = os.fsync, [stop]

    def fsync(descriptor: int) -> None:
        if not left[0]:
            raise OSError(5, "Input/output error")
        left[0] -= 1
        real(descriptor)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fsync)
        with pytest.raises(VaultError):
            tree.replace(16, 5, bytes(32))
    tree.replace(16, 5, bytes(32))
    have[5] = bytes(32)
    assert_same(tree, have)


@pytest.mark.parametrize("count", [64, 4096])
def test_adding_and_replacing_one_leaf_touch_one_node_a_level(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    tree, _ = grown(tmp_path, count - 1)
    written: list[int] = []
    real = GrowingTree._write

    def write(self: GrowingTree, level: int, first: int, nodes: list[bytes]) -> None:
        written.append(len(nodes))
        real(self, level, first, nodes)

    monkeypatch.setattr(GrowingTree, "_write", write)
    tree.append(count - 1, [bytes(32)])
    assert written == [1] * count.bit_length()
    written.clear()
    tree.replace(count, 3, bytes(32))
    assert written == [1] * count.bit_length()


def test_what_is_not_there_is_said(tmp_path: Path) -> None:
    tree, _ = grown(tmp_path, 5)
    with pytest.raises(InvalidInput, match="no leaf 5"):
        tree.proof(5, 5)
    with pytest.raises(InvalidInput, match="the tree has 0"):
        tree.root(0)
    with pytest.raises(InvalidInput, match="32 bytes"):
        tree.replace(5, 0, b"short")
    with pytest.raises(InvalidInput, match="32 bytes"):
        tree.append(5, [b"short"])
    with pytest.raises(VaultError, match="no node"):
        tree.root(6)
    with pytest.raises(VaultError, match="ends before node 7"):
        tree.append(7, leaves(1))
    os.truncate(tmp_path / "tree" / "01", 40)
    with pytest.raises(VaultError, match="no node 1"):
        tree.proof(5, 0)


def test_its_files_are_the_owners_alone(tmp_path: Path) -> None:
    tree, _ = grown(tmp_path, 5)
    assert {path.name for path in tree.folder.iterdir()} == {"00", "01", "02"}
    assert {path.stat().st_mode & 0o777 for path in tree.folder.iterdir()} == {0o600}
