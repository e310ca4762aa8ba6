"""Vectors of a job at a hospital: whose fault it is that one cannot be used, and what is kept."""

from __future__ import annotations

import errno
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from protocol.content import vectors
from protocol.content.spool import Spool
from protocol.content.vectors import VectorRef
from protocol.errors import ContentError, StillComing
from protocol.node.content import JobContent, made_here
from protocol.node.patience import Patience
from tests.protocol.node.daemon import Daemon

LANES = 300


@pytest.fixture
def daemon() -> Daemon:
    return Daemon()


@pytest.fixture
def content(daemon: Daemon, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> JobContent:
    monkeypatch.setattr("protocol.node.patience.FIRST_SECONDS", 0.0)
    return JobContent(daemon, Spool(tmp_path), LANES, 1)


def a_vector(first: int = 0, lanes: int = LANES) -> np.ndarray:
    return np.arange(first, first + lanes, dtype=np.int32)


def published(daemon: Daemon, vector: np.ndarray) -> VectorRef:
    return vectors.put_vector(daemon, vector)


def test_what_others_publish_is_fetched_once_and_checked(content: JobContent, daemon: Daemon) -> None:
    ref = published(daemon, a_vector())
    assert content.collect([ref], now=100) and content.has(ref)
    daemon.held.clear()
    assert np.array_equal(content.update(ref).array(), a_vector())


def test_content_that_takes_long_holds_nothing_up(
    content: JobContent, daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor is anybody accused before the daemon has given up."""
    monkeypatch.setattr("protocol.content.unhurried.WAIT_SECONDS", 0.02)
    late, soon = published(daemon, a_vector()), published(daemon, a_vector(1))
    daemon.search(late.cid)
    assert content.collect([late, soon], now=100)
    assert content.has(soon) and not content.has(late) and late not in content.missing_since
    assert not content.still_missing(late)
    data = daemon.held.pop(late.cid)
    daemon.found(late.cid)
    settled(lambda: not content.collect([late], now=150))
    assert content.missing_since == {late: 150}

    daemon.search(late.cid)
    assert not content.still_missing(late), "the second try has not failed yet"
    daemon.found(late.cid)
    settled(lambda: content.still_missing(late))
    daemon.held[late.cid] = data
    settled(lambda: content.collect([late], now=200) and content.has(late))
    assert not content.missing_since


def test_a_pin_that_takes_long_holds_nothing_up(
    content: JobContent, daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("protocol.content.unhurried.WAIT_SECONDS", 0.02)
    late, soon = published(daemon, a_vector()), published(daemon, a_vector(1))
    daemon.pinned.clear()
    daemon.search(late.cid)
    content.pin_some([late, soon], enough=lambda: False)
    assert daemon.pinned == {soon.cid}
    with pytest.raises(StillComing):
        content.pin_all([late, soon])
    daemon.found(late.cid)
    settled(lambda: all_pinned(content, [late, soon]) == [])
    assert daemon.pinned == {soon.cid, late.cid}


def test_every_pin_is_tried_before_any_is_called_missing(
    content: JobContent, daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One after the other, so that an answer to the first is there while the second is out, and the other way round."""
    monkeypatch.setattr("protocol.content.unhurried.WAIT_SECONDS", 0.02)
    first, second = vectors.reference(a_vector()), vectors.reference(a_vector(1))
    daemon.search(first.cid)
    daemon.search(second.cid)
    assert all_pinned(content, [first, second]) is None
    daemon.found(first.cid)
    settled(lambda: all_pinned(content, [first, second]) is None and first in content._unserved)
    daemon.found(second.cid)
    settled(lambda: set(all_pinned(content, [first, second]) or ()) == {first, second})


def test_what_nobody_serves_is_asked_for_once_a_round_of_tries(
    content: JobContent, daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else its search would stand in the way of the others for ever."""
    monkeypatch.setattr("protocol.content.unhurried.WAIT_SECONDS", 0.02)
    monkeypatch.setattr("protocol.content.unhurried.STALE_SECONDS", 0.0)
    asked: list[bytes] = []
    pin = daemon.pin
    monkeypatch.setattr(daemon, "pin", lambda digest: (asked.append(digest), pin(digest)))
    gone, late = vectors.reference(a_vector()), vectors.reference(a_vector(1))
    daemon.search(late.cid)
    settled(lambda: all_pinned(content, [gone, late]) is None and gone in content._unserved)
    for _ in range(5):
        assert all_pinned(content, [gone, late]) is None
    assert asked.count(gone.cid) == 1
    daemon.found(late.cid)
    settled(lambda: set(all_pinned(content, [gone, late]) or ()) == {gone, late})


def all_pinned(content: JobContent, refs: list[VectorRef]) -> list[VectorRef] | None:
    """What is missing; None while that is not known."""
    try:
        return content.pin_all(refs)
    except StillComing:
        return None


def settled(condition: Callable[[], bool]) -> None:
    """Returns once the condition holds, as threads end when they end."""
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_another_chunk_root_or_length_is_the_fault_of_its_owner(content: JobContent, daemon: Daemon) -> None:
    real, other, long = (
        published(daemon, each) for each in (a_vector(), a_vector(1), a_vector(0, LANES + 1))
    )
    mixed = VectorRef(real.cid, other.root)
    for wrong in (mixed, long):
        assert not content.collect([wrong], now=100)
        assert wrong in content.wrong and wrong not in content.missing_since


def test_a_daemon_of_our_own_that_lies_or_is_down_accuses_nobody(content: JobContent, daemon: Daemon) -> None:
    ref = published(daemon, a_vector())
    daemon.lies = True
    assert not content.collect([ref], now=100)
    daemon.lies, daemon.down = False, True
    assert not content.collect([ref], now=100)
    assert not content.wrong and not content.missing_since


def test_how_long_a_vector_cannot_be_had_is_counted_from_the_first_try(
    content: JobContent, daemon: Daemon
) -> None:
    ref = vectors.reference(a_vector())
    content.collect([ref], now=100)
    content.collect([ref], now=130)
    assert content.missing_since == {ref: 100} and content.still_missing(ref)
    published(daemon, a_vector())
    assert not content.still_missing(ref)
    assert content.missing_since == {}


def test_one_vector_that_cannot_be_had_holds_up_only_itself(
    content: JobContent, daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("protocol.node.patience.FIRST_SECONDS", 1_000.0)
    gone, there = vectors.reference(a_vector()), published(daemon, a_vector(1))
    assert not content.collect([gone, there], now=100)
    assert content.collect([gone, there], now=101) and content.has(there)


def test_what_is_lost_is_tried_less_and_less_often(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr("protocol.node.patience.time.monotonic", lambda: now)
    patience, tries = Patience(), []
    for now in range(0, 86_400):
        if patience.may_try(b"lost"):
            tries.append(now)
            patience.failed(b"lost")
    assert tries[:4] == [0, 30, 90, 210] and len(tries) < 40
    patience.succeeded(b"lost")
    assert patience.may_try(b"lost")


def test_bytes_that_are_here_are_pinned_though_nobody_serves_them(
    content: JobContent, daemon: Daemon
) -> None:
    ref = published(daemon, a_vector())
    content.update(ref)
    daemon.held.clear()
    daemon.pinned.clear()
    content.pin_some([ref], enough=lambda: False)
    assert daemon.held[ref.cid] == vectors.encode(a_vector()) and content.owed([ref]) == []


def test_at_the_end_all_is_pinned_from_files_of_an_earlier_process_too(
    content: JobContent, daemon: Daemon, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DESIGN, "A round": what a daemon could not keep at first is owed until it is kept."""
    monkeypatch.setattr("protocol.node.patience.FIRST_SECONDS", 1_000.0)
    here, elsewhere = published(daemon, a_vector()), published(daemon, a_vector(1))
    content.update(here)
    del daemon.held[here.cid]
    daemon.pinned.clear()
    gone = vectors.reference(a_vector(2))
    again = JobContent(daemon, Spool(tmp_path), LANES, 1)
    assert again.pin_all([gone, here, elsewhere]) == [gone]
    assert daemon.pinned == {here.cid, elsewhere.cid}


def test_a_full_disk_is_said_and_leaves_nothing_half_written(
    content: JobContent, daemon: Daemon, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, _data: bytes) -> None:
        path.touch()
        raise OSError(errno.ENOSPC, "No space left on device")

    ref = published(daemon, a_vector())
    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(ContentError, match="No space left on device"):
        content.update(ref)
    assert list(tmp_path.iterdir()) == []
    assert not content.collect([ref], now=100) and not content.wrong and not content.missing_since


def test_what_no_round_asks_for_leaves_the_disk(content: JobContent, daemon: Daemon, tmp_path: Path) -> None:
    refs = [published(daemon, a_vector(each)) for each in range(5)]
    content.collect(refs, now=100)
    content.state(refs[0])
    content.keep_only({refs[4]})
    assert [content.has(ref) for ref in refs] == [False, False, False, False, True]
    assert len(list(tmp_path.iterdir())) == 1
    assert np.array_equal(content.state(refs[0]), a_vector())


def test_no_more_than_two_states_are_held_in_memory(content: JobContent, daemon: Daemon) -> None:
    for each in range(5):
        content.state(published(daemon, a_vector(each)))
    assert len(content._states) == 2


def test_what_is_made_here_is_noted_before_it_is_pinned(
    content: JobContent, daemon: Daemon, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(_data: bytes) -> bytes:
        raise KeyboardInterrupt

    assert made_here(tmp_path) == set()
    first = content.put(a_vector(1))
    monkeypatch.setattr(daemon, "add", killed)
    with pytest.raises(KeyboardInterrupt):
        content.put(a_vector(2))
    assert made_here(tmp_path) == {first.cid, vectors.reference(a_vector(2)).cid}
    content.keep_only(set())
    assert first.cid in made_here(tmp_path), "it lasts as long as the job"


def test_a_note_that_was_cut_short_is_no_digest(content: JobContent, tmp_path: Path) -> None:
    first = content.put(a_vector(1))
    with (tmp_path / "made-here").open("a") as noted:
        noted.write("\n" + "00" * 20)
    second = content.put(a_vector(2))
    assert made_here(tmp_path) == {first.cid, second.cid}
