"""What does not come soon goes on by itself, and its answer waits for whoever asks again."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from protocol.content import unhurried
from protocol.content.cid import digest_of
from protocol.content.unhurried import AT_ONCE, Unhurried
from protocol.errors import ContentError, ContentUnavailable, StillComing
from tests.protocol.node.daemon import Daemon

DATA = b"what takes long"


@pytest.fixture
def daemon() -> Iterator[Daemon]:
    made = Daemon()
    yield made
    for digest in list(made.searched):
        made.found(digest)


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unhurried, "WAIT_SECONDS", 0.02)


def patiently(daemon: Daemon, asked: Unhurried, digest: bytes) -> bytes:
    """Ends the search, and asks until there is an answer."""
    daemon.found(digest)
    while True:
        try:
            return asked.fetch(digest)
        except StillComing:
            continue


def test_what_is_there_comes_at_once(daemon: Daemon) -> None:
    asked, digest = Unhurried(daemon), daemon.add(DATA)
    assert asked.fetch(digest) == asked.fetch(digest, 100) == DATA
    daemon.pinned.clear()
    asked.pin(digest)
    assert daemon.pinned == {digest}


def test_one_fetch_goes_on_however_often_it_is_asked_for(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, digest, fetches = Unhurried(daemon), daemon.add(DATA), []
    monkeypatch.setattr(
        daemon, "fetch", lambda *given, real=daemon.fetch: (fetches.append(given), real(*given))[1]
    )
    daemon.search(digest)
    for _ in range(3):
        with pytest.raises(StillComing, match="still being fetched"):
            asked.fetch(digest)
    assert patiently(daemon, asked, digest) == DATA
    assert len(fetches) == 1


def test_a_failure_is_told_once_and_then_tried_again(daemon: Daemon) -> None:
    asked, digest = Unhurried(daemon), digest_of(DATA)
    daemon.search(digest)
    with pytest.raises(StillComing):
        asked.fetch(digest)
    with pytest.raises(ContentUnavailable, match="nobody serves it"):
        patiently(daemon, asked, digest)
    daemon.add(DATA)
    assert asked.fetch(digest) == DATA


def test_an_old_failure_says_nothing_of_now(daemon: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
    """As when the node did something else for long: the bytes may be there by now."""
    monkeypatch.setattr(unhurried, "STALE_SECONDS", -1.0)
    asked, digest = Unhurried(daemon), digest_of(DATA)
    daemon.search(digest)
    with pytest.raises(StillComing):
        asked.fetch(digest)
    daemon.found(digest)
    (answer,) = asked._asked.values()
    assert isinstance(answer.exception(60), ContentUnavailable)
    daemon.add(DATA)
    assert asked.fetch(digest) == DATA


def test_a_few_go_on_at_once_and_the_next_has_its_turn(daemon: Daemon) -> None:
    asked = Unhurried(daemon)
    slow = [daemon.add(bytes([each])) for each in range(AT_ONCE)]
    next_one = daemon.add(DATA)
    for digest in slow:
        daemon.search(digest)
        with pytest.raises(StillComing, match="still being fetched"):
            asked.fetch(digest)
    with pytest.raises(StillComing, match="waits until one of"):
        asked.fetch(next_one)
    daemon.found(slow[0])
    (first, *_) = asked._asked.values()
    assert first.result(60)
    with pytest.raises(StillComing, match="waits until one of"):
        asked.fetch(next_one)  # the answer to the first is kept for whoever asked
    assert asked.fetch(slow[0]) and asked.fetch(next_one) == DATA


def test_an_answer_that_nobody_comes_for_makes_room(daemon: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unhurried, "UNCLAIMED_SECONDS", -1.0)
    asked, next_one = Unhurried(daemon), daemon.add(DATA)
    for each in range(AT_ONCE):
        daemon.search(daemon.add(bytes([each])))
        with pytest.raises(StillComing):
            asked.fetch(digest_of(bytes([each])))
    daemon.found(digest_of(bytes([0])))
    (first, *_) = asked._asked.values()
    assert first.result(60)
    assert asked.fetch(next_one) == DATA


def test_a_machine_without_threads_loses_no_node(daemon: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
    def none_left(_: object) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", none_left)
    with pytest.raises(ContentError, match="No thread can be started"):
        Unhurried(daemon).fetch(daemon.add(DATA))
