"""The draw of groups, as the contract draws them."""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.errors import LearningError
from protocol.learning.groups import MOST_HOSPITALS, SMALLEST, draw, label_of, large, split

CASES = json.loads((Path(__file__).parents[3] / "tests" / "vectors" / "groups.json").read_text())["cases"]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{len(case['members'])} by {case['most']}")
def test_a_draw_matches_the_vectors(case):
    labels = draw(bytes.fromhex(case["seed"][2:]), case["members"], case["most"])
    assert labels == int(case["labels"], 16)
    assert split(labels, case["members"]) == case["groups"]
    assert large(labels, case["members"]) == case["members"]
    for group in case["groups"]:
        assert len({label_of(labels, index) for index in group}) == 1


def seed(number: int) -> bytes:
    return sha256(number.to_bytes(4, "big")).digest()


members = st.sets(st.integers(0, MOST_HOSPITALS - 1), min_size=1).map(sorted)


@given(st.binary(min_size=32, max_size=32), members, st.integers(1, 16))
def test_groups_are_of_at_least_three_and_as_equal_as_can_be(block_hash, indices, most):
    labels = draw(block_hash, indices, most)
    groups = split(labels, indices)
    assert sorted(index for group in groups for index in group) == indices
    assert len(groups) == max(1, min(most, len(indices) // SMALLEST))
    sizes = [len(group) for group in groups]
    assert max(sizes) - min(sizes) <= 1
    assert len(groups) == 1 or min(sizes) >= SMALLEST
    for index in set(range(MOST_HOSPITALS)) - set(indices):
        assert label_of(labels, index) == 0, "who takes no part has no label"
    assert labels >> 4 * MOST_HOSPITALS == 0


@given(st.binary(min_size=32, max_size=32), members, st.integers(1, 16), st.data())
def test_who_is_left_in_a_small_group_is_left_out(block_hash, indices, most, data):
    labels = draw(block_hash, indices, most)
    gone = data.draw(st.sets(st.sampled_from(indices)))
    left = [index for index in indices if index not in gone]
    kept = large(labels, left)
    assert set(kept) <= set(left)
    assert kept == sorted(kept)
    for group in split(labels, left):
        assert (set(group) <= set(kept)) == (len(group) >= SMALLEST)
        assert set(group) <= set(kept) or not set(group) & set(kept)


def test_any_two_meet_as_often_as_chance_has_it():
    """Of twelve in three groups of four each pair meets with probability 3/11."""
    draws, meetings = 4000, dict.fromkeys(((0, 1), (0, 11), (5, 6)), 0)
    for number in range(draws):
        labels = draw(seed(number), range(12), 3)
        for one, other in meetings:
            meetings[one, other] += label_of(labels, one) == label_of(labels, other)
    expected, deviation = draws * 3 / 11, (draws * 3 / 11 * 8 / 11) ** 0.5
    assert all(abs(count - expected) < 4 * deviation for count in meetings.values()), meetings


def test_groups_come_in_the_order_of_their_labels():
    labels = 0x0120_0121
    assert split(labels, [7, 6, 5, 4, 2, 1, 0]) == [[4, 7], [0, 2, 6], [1, 5]]
    assert split(0, [2, 0, 1]) == [[0, 1, 2]]
    assert split(0, []) == []


def test_groups_of_one_label_are_one():
    assert draw(seed(1), range(18), 1) == 0
    assert draw(seed(1), range(5), 16) == 0


@pytest.mark.parametrize("most", [0, 17])
def test_there_are_between_one_and_sixteen_groups(most):
    with pytest.raises(LearningError, match="between 1 and 16"):
        draw(seed(1), range(9), most)


@pytest.mark.parametrize("block_hash", [b"", bytes(31), bytes(33)])
def test_a_seed_has_32_bytes(block_hash):
    with pytest.raises(LearningError, match="32 bytes"):
        draw(block_hash, range(9), 2)


@pytest.mark.parametrize("indices", [[1, 0, 2], [0, 0, 1], [-1, 0, 1], [0, 1, 48]])
def test_members_are_ascending_indices(indices):
    with pytest.raises(LearningError, match="ascending"):
        draw(seed(1), indices, 2)


@pytest.mark.parametrize("indices", [[0, 0], [-1], [48]])
def test_a_split_is_of_indices(indices):
    with pytest.raises(LearningError, match="not indices"):
        split(0, indices)
