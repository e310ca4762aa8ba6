"""The draw of groups, repeated by a verifier."""

from __future__ import annotations

import pytest

from protocol.learning import groups
from protocol.trace.check import Check
from protocol.trace.groups import check_groups
from tests.protocol.trace.histories import HOSPITALS, FakeChain, History, block_hash, failures

INDICES = list(range(len(HOSPITALS)))


def drawn(seed_after: int = 1, *, wait: int = 1, labels: int | None = None) -> History:
    """Groups drawn from the block ``seed_after`` the opening, ``wait`` blocks later."""
    history = History(groups=2)
    opened = history.open().block
    seed = block_hash(opened + seed_after)
    history.block = opened + seed_after + wait - 1
    right = groups.draw(seed, INDICES, 2)
    history.on("GroupsDrawn", round=1, seed=seed, labels=right if labels is None else labels)
    return history


def checked(history: History, attempt: int = 1) -> list[str]:
    root = Check("root")
    record = history.record
    check_groups(FakeChain(history), root, record, record.round(1).attempts[attempt])
    return failures(root)


def test_groups_drawn_from_the_block_after_the_opening_hold() -> None:
    assert checked(drawn()) == []


def test_labels_that_the_seed_does_not_give_are_found() -> None:
    (failure,) = checked(drawn(labels=0x111000))
    assert failure.startswith("the groups are those that the seed gives")


@pytest.mark.parametrize("seed_after", [0, -1])
def test_a_seed_from_before_the_participants_were_fixed_is_found(seed_after: int) -> None:
    history = drawn(seed_after, wait=3)
    (failure,) = checked(history)
    assert failure.startswith("the seed is the hash of a block that came after")


def test_a_draw_that_came_too_late_for_its_block_may_use_a_later_one() -> None:
    assert checked(drawn(300)) == []


def test_a_later_attempt_keeps_its_groups_without_those_that_fell_below_three() -> None:
    history = drawn()
    record = history.record
    (first, second) = record.groups(record.round(1).attempts[1])
    history.open(attempt=2, hospitals=tuple(first))
    assert checked(history, attempt=2) == []
    history.open(attempt=3, hospitals=tuple(first[:2] + second))
    assert any("three hospitals or more" in each for each in checked(history, attempt=3))


def test_a_job_with_groups_and_no_draw_does_not_hold() -> None:
    history = History(groups=2)
    history.open()
    assert checked(history) == ["its groups were drawn: no event draws them"]


def test_a_masked_sum_of_two_hospitals_does_not_hold() -> None:
    history = History()
    history.open(hospitals=HOSPITALS[:2])
    (failure,) = checked(history)
    assert "three hospitals or more" in failure


def test_one_unmasked_group_asks_for_nothing() -> None:
    history = History(masked=False)
    history.open(hospitals=HOSPITALS[:2])
    assert checked(history) == []
