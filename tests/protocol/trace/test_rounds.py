"""What was voided and dropped in a round, and why."""

from __future__ import annotations

from typing import Any

from protocol.trace.check import Check
from protocol.trace.rounds import Rounds, two_thirds
from tests.protocol.trace.histories import HOSPITALS, FakeEvidence, History, failures

A, B, C, D, E, F = HOSPITALS


def checked(history: History, number: int = 1) -> list[str]:
    record: Any = history.record
    rounds = Rounds(FakeEvidence(history), record, None, {})
    root = Check("root")
    rounds._voids(root, number, record.round(number))
    rounds._drops(root, record.round(number))
    return failures(root)


def lied(*, again: str) -> History:
    """A merge that was proved false, and the next in line's."""
    history = History()
    history.open()
    history.submit()
    history.merge(A, "lie")
    history.challenge(B, proven=True)
    history.on("MergeVoided", same=True, round=1, mergeDigest=bytes(32))
    history.merge(B, again)
    return history


def test_a_merge_that_was_proved_false_is_not_what_was_merged_again() -> None:
    assert checked(lied(again="true")) == []
    (failure,) = checked(lied(again="lie"))
    assert "the same state was merged again" in failure


def test_a_merge_is_voted_down_by_two_thirds_of_the_others_and_not_by_fewer() -> None:
    for voters, holds in ((4, True), (3, False)):
        history = History()
        history.open()
        history.submit()
        history.merge(A, "lost")
        for each in (B, C, D, E, F)[:voters]:
            history.on("Rejected", round=1, hospitalId=each, mergeDigest=bytes(32))
        history.void()
        history.merge(B, "true")
        assert (checked(history) == []) is holds


def test_what_was_built_on_a_voided_merge_fell_with_it() -> None:
    history = History()
    history.open()
    history.submit()
    history.merge(A, "lie")
    history.open(2)
    history.submit(number=2)
    history.merge(B, "on a lie", number=2)
    history.challenge(C, proven=True)
    history.on("MergeVoided", same=True, round=1, mergeDigest=bytes(32))
    history.merge(B, "true")
    history.open(2, attempt=2)
    history.submit(number=2, attempt=2)
    history.merge(C, "on the truth", number=2, attempt=2)
    assert checked(history) == [] and checked(history, 2) == []
    assert [each.voided for each in history.record.round(2).merges] == [True, False]


def test_an_update_is_dropped_by_two_thirds_of_the_others() -> None:
    for voters, holds in ((4, True), (3, False)):
        history = History()
        history.open()
        history.submit(A)
        for each in (B, C, D, E)[:voters]:
            history.on("Doubted", round=1, attempt=1, hospitalId=A, by=each)
        history.on("Dropped", same=True, round=1, attempt=1, hospitalId=A)
        history.open(attempt=2, hospitals=(B, C, D, E, F))
        assert (checked(history) == []) is holds


def test_two_thirds_are_rounded_up() -> None:
    assert [two_thirds(count) for count in (2, 3, 4, 5, 6)] == [2, 2, 3, 4, 4]
