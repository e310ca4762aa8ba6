"""What does not come soon goes on by itself, and its answer waits for whoever asks again."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from protocol.content import unhurried
from protocol.content.cid import digest_of
from protocol.content.unhurried import AT_ONCE, Unhurried
from protocol.errors import ContentUnavailable, StillComing
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
    while True:  # nobody asks for the first again: its answer makes room
        try:
            assert asked.fetch(next_one) == DATA
            break
        except StillComing:
            continue
