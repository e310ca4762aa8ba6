"""The contract's arithmetic beside numpy's, and beside examples worked out by hand (invariant 5)."""

from __future__ import annotations

import numpy as np
import pytest
from claims import Merge, Vector
from conftest import MEAN, MEDIAN

from protocol.learning.merge import merge

INT32_MIN, INT32_MAX = -(2**31), 2**31 - 1
ONE = 65_536
RULES = {"mean": MEAN, "median": MEDIAN}


def drawn(rng, lanes):
    """Numbers of every size, extremes among them."""
    sizes = 2 ** rng.integers(0, 32, lanes)
    numbers = rng.integers(-sizes, sizes, dtype=np.int64).clip(INT32_MIN, INT32_MAX)
    edge = rng.integers(0, 16, lanes)
    return np.where(edge == 0, INT32_MIN, np.where(edge == 1, INT32_MAX, numbers)).astype(np.int32)


def grouped(updates, labels):
    """The updates by the groups that ``labels`` name."""
    groups = {}
    for index, update in updates.items():
        groups.setdefault(labels >> 4 * index & 15, []).append(update.lanes)
    return list(groups.values())


def merged(before, updates, labels=0, rule="mean", server_step=ONE, **changes):
    """The honest merge."""
    result = merge(before.lanes, grouped(updates, labels), server_step, rule)
    return Merge(before, updates, Vector(result), labels=labels, **changes)


# Lanes and chunks at which paths and last chunks differ in shape.
SHAPES = [
    (1, 0),
    (8, 0),
    (255, 0),
    (256, 0),
    (257, 1),
    (700, 1),
    (1_025, 4),
    (1_793, 6),
    (1_793, 7),
    (2_304, 8),
]


@pytest.mark.parametrize(("lanes", "chunk"), SHAPES)
@pytest.mark.parametrize("rule", RULES)
def test_an_honest_merge_is_not_proven_and_one_off_by_one_is(post, check, lanes, chunk, rule):
    rng = np.random.default_rng(lanes + chunk)
    hospitals = [0, 1, 2, 5, 6, 11, 12, 46, 47]
    updates = {index: Vector(drawn(rng, lanes)) for index in hospitals}
    labels = sum(int(rng.integers(0, 4)) << 4 * index for index in hospitals)
    step = int(rng.choice([1, 777, ONE, 2**32 - 1]))
    done = merged(Vector(drawn(rng, lanes)), updates, labels, rule, step)
    post(done, RULES[rule], step)
    assert check(done.claim(chunk)) is False

    first, last = 256 * chunk, min(256 * chunk + 256, lanes) - 1
    for place in {first, last, int(rng.integers(first, last + 1))}:
        lie = done.next.lanes.copy()
        lie[place] += 1 if lie[place] < INT32_MAX else -1
        false = done.but(next=Vector(lie))
        post(false, RULES[rule], step)
        assert check(false.claim(chunk)) is True
        others = [each for each in range(-(-lanes // 256)) if each != chunk]
        assert not any(check(false.claim(each)) for each in others[:2]), "no other chunk is false"


# Each row: a lane's state, the updates by group, the server step, and what mean and median come to.
BY_HAND = [
    # One group: its sum, whatever the rule.
    (10, [[1, 2, 3]], ONE, 16, 16),
    (0, [[-1]], ONE, -1, -1),
    (0, [[]], ONE, 0, 0),
    # The sum wraps at 2^32: masks cancel so.
    (5, [[2**31 - 1, 2**31 - 1, 4]], ONE, 7, 7),
    (0, [[INT32_MIN, INT32_MIN]], ONE, 0, 0),
    (0, [[INT32_MAX, 1]], ONE, INT32_MIN, INT32_MIN),
    # A step below one: floor, also of what is negative.
    (0, [[3]], ONE // 2, 1, 1),
    (0, [[-3]], ONE // 2, -2, -2),
    (0, [[-1]], 1, -1, -1),
    (0, [[1]], 1, 0, 0),
    (0, [[INT32_MIN]], ONE // 2, -(2**30), -(2**30)),
    (0, [[7]], 3 * ONE, 21, 21),
    # Saturation at both ends, and just short of them.
    (INT32_MAX, [[1]], ONE, INT32_MAX, INT32_MAX),
    (INT32_MAX - 1, [[1]], ONE, INT32_MAX, INT32_MAX),
    (INT32_MAX, [[-1]], ONE, INT32_MAX - 1, INT32_MAX - 1),
    (INT32_MIN, [[-1]], ONE, INT32_MIN, INT32_MIN),
    (INT32_MIN + 1, [[-1]], ONE, INT32_MIN, INT32_MIN),
    (INT32_MIN, [[1]], ONE, INT32_MIN + 1, INT32_MIN + 1),
    (INT32_MAX, [[INT32_MAX]], 2**32 - 1, INT32_MAX, INT32_MAX),
    (INT32_MIN, [[INT32_MIN]], 2**32 - 1, INT32_MIN, INT32_MIN),
    (INT32_MAX, [[INT32_MIN]], 2**32 - 1, INT32_MIN, INT32_MIN),
    (INT32_MAX, [[INT32_MIN]], ONE, -1, -1),
    # Two groups: the mean, and the median as floor of the mean of both.
    (0, [[1], [2]], ONE, 1, 1),
    (0, [[-1], [-2]], ONE, -2, -2),
    (0, [[-1], [0]], ONE, -1, -1),
    (0, [[INT32_MIN], [INT32_MAX]], ONE, -1, -1),
    (0, [[INT32_MAX], [INT32_MAX]], ONE, INT32_MAX, INT32_MAX),
    (0, [[INT32_MIN], [INT32_MIN]], ONE, INT32_MIN, INT32_MIN),
    # Three: one poisoned group moves the mean, not the median.
    (0, [[4], [5], [INT32_MAX]], ONE, (9 + INT32_MAX) // 3, 5),
    (0, [[4], [5], [INT32_MIN]], ONE, (9 + INT32_MIN) // 3, 4),
    (0, [[-4], [3], [-1]], ONE, -1, -1),
    (0, [[-4], [-4], [-3]], ONE, -4, -4),
    # Four and five, in any order.
    (0, [[9], [-9], [2], [-5]], ONE, -1, -2),
    (0, [[2], [9], [-5], [-9]], ONE, -1, -2),
    (0, [[-6], [INT32_MAX], [-5], [INT32_MIN]], ONE, -3, -6),
    (0, [[5], [3], [1], [4], [2]], ONE, 3, 3),
    (0, [[INT32_MIN], [7], [7], [7], [INT32_MAX]], ONE, 4, 7),
]


@pytest.mark.parametrize("rule", RULES)
def test_examples_by_hand(post, check, rule):
    """One lane each; examples with equally many groups and the same step share a chunk."""
    shapes = {(len(groups), max(map(len, groups)), step) for _, groups, step, _, _ in BY_HAND}
    for count, size, step in sorted(shapes):
        chosen = [
            each for each in BY_HAND if (len(each[1]), max(map(len, each[1])), each[2]) == (count, size, step)
        ]
        updates, labels = {}, 0
        for group in range(count):
            for member in range(max(size, 1)):
                index = len(updates)
                lanes = [each[1][group][member] if each[1][group] else 0 for each in chosen]
                updates[index] = Vector(lanes)
                labels |= group << 4 * index
        before = Vector([each[0] for each in chosen])
        expected = [each[3 if rule == "mean" else 4] for each in chosen]
        assert list(merge(before.lanes, grouped(updates, labels), step, rule)) == expected, (
            "the twin in Python"
        )
        done = Merge(before, updates, Vector(expected), labels=labels)
        post(done, RULES[rule], step)
        assert check(done.claim()) is False


def test_sixteen_groups_of_three(post, check):
    rng = np.random.default_rng(16)
    updates = {index: Vector(drawn(rng, 300)) for index in range(48)}
    labels = sum((index % 16) << 4 * index for index in updates)
    for rule, number in RULES.items():
        done = merged(Vector(drawn(rng, 300)), updates, labels, rule)
        post(done, number)
        assert check(done.claim(0)) is False
        assert check(done.claim(1)) is False
        lie = done.next.lanes.copy()
        lie[299] ^= 1
        post(done.but(next=Vector(lie)), number)
        assert check(done.but(next=Vector(lie)).claim(1)) is True


def test_a_group_that_was_left_out_counts_for_nothing(post, check):
    """Labels 1 and 3 are drawn and gone: two groups are left, not four."""
    updates = {index: Vector([value]) for index, value in {0: 8, 2: 20}.items()}
    labels = 0x3210
    done = Merge(Vector([0]), updates, Vector([14]), labels=labels)
    for rule in RULES.values():
        post(done, rule)
        assert check(done.claim()) is False
        quarter = done.but(next=Vector([7]))
        post(quarter, rule)
        assert check(quarter.claim()) is True


def test_padding_of_updates_and_of_the_state_before_counts_for_nothing(post, check):
    updates = {
        0: Vector([1, 2, 3], padding=-7),
        1: Vector([1, 2, 3], padding=9),
        2: Vector([0, 0, 0], padding=1),
    }
    done = Merge(Vector([0, 0, 0], padding=5), updates, Vector([2, 4, 6]))
    for rule in RULES.values():
        post(done, rule)
        assert check(done.claim()) is False


@pytest.mark.parametrize("padding", [1, -1, INT32_MIN])
def test_padding_of_the_claimed_state_must_be_zero(post, check, padding):
    """Else its root would not be the root of its lanes, and nobody could build on it or prove why."""
    updates = {index: Vector([index, 2, 3]) for index in range(3)}
    done = Merge(Vector([0, 0, 0]), updates, Vector([3, 6, 9], padding=padding))
    post(done)
    assert check(done.claim()) is True


def test_one_lane_of_padding_is_enough(post, check):
    """The 256th lane of a chunk of 255: whoever looks at one lane too few misses it."""
    rng = np.random.default_rng(255)
    updates = {index: Vector(drawn(rng, 255)) for index in range(3)}
    done = merged(Vector(drawn(rng, 255)), updates)
    false = done.but(next=Vector(done.next.lanes, padding=1))
    post(false)
    assert check(false.claim()) is True
