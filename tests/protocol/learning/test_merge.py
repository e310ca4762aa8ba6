"""Weights, quantisation and the merge, against committed vectors and at the edges of int32."""

from __future__ import annotations

import json
import runpy
import tracemalloc
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.content.spool import Spool, VectorFile
from protocol.errors import LearningError, NotFinite, WrongLength
from protocol.learning.fixed_point import INT32_MAX, INT32_MIN, Layout
from protocol.learning.merge import BLOCK_LANES, ONE, l2_norm, merge, quantise, weights

ROOT = Path(__file__).parents[3]
VECTORS = ROOT / "tests" / "vectors"


def cases(name: str) -> list[dict]:
    return json.loads((VECTORS / f"{name}.json").read_text())["cases"]


def int32(*numbers: int) -> np.ndarray:
    return np.array(numbers, np.int32)


def one(lanes: int, bits: int = 24) -> Layout:
    return Layout.of({"w": (lanes,)}, bits)


def test_the_committed_vectors_are_those_that_the_definitions_give():
    documents = runpy.run_path(str(ROOT / "scripts" / "make_learning_vectors.py"))["documents"]()
    assert {name: (VECTORS / name).read_text() for name in documents} == documents


# weights


@pytest.mark.parametrize(
    "case", cases("weights"), ids=lambda case: f"{case['counts']} {case['max_weight_bps']}"
)
def test_weights_match_the_vectors(case):
    expected = [Fraction(*pair) for pair in case["weights"]]
    assert weights(case["counts"], case["max_weight_bps"]) == expected


@given(st.lists(st.integers(1, 2**32 - 1), min_size=1, max_size=18), st.integers(1, 10_000))
def test_weights_sum_to_one_stay_under_the_cap_and_keep_the_order(counts, cap_bps):
    shares = weights(counts, cap_bps)
    assert sum(shares) == 1
    cap = Fraction(cap_bps, 10_000)
    if cap * len(counts) > 1:
        assert max(shares) <= cap
        free = [share / count for share, count in zip(shares, counts, strict=True) if share < cap]
        assert len(set(free)) <= 1, "those below the cap share in proportion"
    else:
        assert set(shares) == {Fraction(1, len(counts))}
    ordered = [share for _, share in sorted(zip(counts, shares, strict=True))]
    assert all(less <= more for less, more in pairwise(ordered))


@pytest.mark.parametrize(
    ("counts", "cap"), [([], 10_000), ([3, 0], 10_000), ([3, -1], 10_000), ([1], 0), ([1], 10_001)]
)
def test_weights_refuse(counts, cap):
    with pytest.raises(LearningError):
        weights(counts, cap)


# quantise


@pytest.mark.parametrize("case", cases("quantise"), ids=lambda case: case["name"])
def test_quantise_matches_the_vectors(case):
    layout = Layout.of(
        {tensor["name"]: (tensor["lanes"],) for tensor in case["tensors"]},
        tensors={tensor["name"]: tensor["bits"] for tensor in case["tensors"]},
    )
    delta = np.array([float.fromhex(d) for d in case["delta"]])
    clip_norm = float.fromhex(case["clip_norm"])
    q = quantise(delta, Fraction(*case["weight"]), case["participants"], layout, clip_norm)
    assert q.dtype == np.int32
    assert q.tolist() == case["q"]


@given(
    st.lists(st.floats(allow_nan=False, allow_infinity=False, width=32), min_size=3, max_size=3),
    st.floats(1e-3, 1e6),
)
def test_a_quantised_update_keeps_its_l2_norm(delta, clip_norm):
    q = quantise(np.array(delta), Fraction(1), 1, one(3), clip_norm)
    assert np.linalg.norm(q / 2.0**24) <= clip_norm * (1 + 1e-9) + 3 * 2.0**-25


@given(st.lists(st.integers(1, 100_000), min_size=1, max_size=18), st.sampled_from([8, 24, 30]), st.data())
def test_no_sum_of_honest_updates_leaves_int32(counts, bits, data):
    """Each coordinate at the clip bound, in the same direction: the sum is still what it is modulo 2**32."""
    sign = data.draw(st.sampled_from([1.0, -1.0]))
    shares = weights(counts)
    updates = [quantise(np.array([sign * 1e30]), share, len(counts), one(1, bits), 1e300) for share in shares]
    total = sum(int(update[0]) for update in updates)
    assert INT32_MIN <= total <= INT32_MAX
    assert merge(int32(0), [updates]).tolist() == [total]


def test_eighteen_equal_participants_at_the_clip_bound_stay_inside():
    updates = [quantise(np.array([1e9, -1e9]), Fraction(1, 18), 18, one(2), 1e300) for _ in range(18)]
    total = merge(int32(0, 0), [updates])
    assert total.tolist() == [18 * int(updates[0][0]), 18 * int(updates[0][1])]
    assert INT32_MAX - 36 <= total[0] <= INT32_MAX


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_quantise_refuses_what_is_not_finite(bad):
    with pytest.raises(NotFinite, match="NaN or infinity"):
        quantise(np.array([0.0, bad]), Fraction(1), 1, one(2), 1.0)


@pytest.mark.parametrize("delta", [np.zeros(1), np.zeros(3), np.zeros((2, 1))])
def test_quantise_refuses_another_length(delta):
    with pytest.raises(WrongLength):
        quantise(delta, Fraction(1), 1, one(2), 1.0)


@pytest.mark.parametrize(
    ("weight", "participants", "clip_norm"),
    [
        (Fraction(0), 1, 1.0),
        (Fraction(3, 2), 1, 1.0),
        (Fraction(1), 0, 1.0),
        (Fraction(1), 1, 0.0),
        (Fraction(1), 1, np.nan),
    ],
)
def test_quantise_refuses_terms_out_of_range(weight, participants, clip_norm):
    with pytest.raises(LearningError, match="out of range"):
        quantise(np.zeros(2), weight, participants, one(2), clip_norm)


def test_quantise_leaves_its_input_alone():
    delta = np.array([3.0, 4.0])
    quantise(delta, Fraction(1), 1, one(2), 1.0)
    assert delta.tolist() == [3.0, 4.0]


def test_l2_norm_of_long_and_of_extreme_vectors():
    ones = np.ones(3 * BLOCK_LANES + 5)
    assert l2_norm(ones) == pytest.approx(np.sqrt(len(ones)), rel=1e-15)
    assert l2_norm(np.array([3e300, 4e300])) == pytest.approx(5e300)
    assert l2_norm(np.array([3e-320, 4e-320])) == pytest.approx(5e-320, rel=1e-3)


# merge


@pytest.mark.parametrize("rule", ["mean", "median"])
@pytest.mark.parametrize("case", cases("merge"), ids=lambda case: case["name"])
def test_merge_matches_the_vectors(case, rule):
    groups = [[int32(*update) for update in group] for group in case["groups"]]
    assert merge(int32(*case["state"]), groups, case["server_step"], rule).tolist() == case[rule]


@given(st.integers(1, 6), st.integers(1, 18), st.integers(0, 2**32 - 1), st.randoms(use_true_random=False))
def test_merge_is_the_same_in_any_order(lanes, hospitals, step, random):
    rng = np.random.default_rng(random.getrandbits(32))
    draw = rng.integers(INT32_MIN, INT32_MAX, size=(hospitals + 1, lanes), dtype=np.int32, endpoint=True)
    state, updates = draw[0], list(draw[1:])
    expected = merge(state, [updates], step)
    random.shuffle(updates)
    assert np.array_equal(merge(state, [updates], step), expected)


@given(
    st.integers(INT32_MIN, INT32_MAX),
    st.lists(st.integers(INT32_MIN, INT32_MAX), min_size=1, max_size=18),
    st.integers(0, 2**32 - 1),
)
def test_merge_is_its_definition_in_whole_numbers(x, numbers, step):
    total = (sum(numbers) + 2**31) % 2**32 - 2**31
    expected = max(INT32_MIN, min(INT32_MAX, x + step * total // ONE))
    assert merge(int32(x), [[int32(number) for number in numbers]], step).tolist() == [expected]


grouped = st.lists(
    st.lists(st.integers(INT32_MIN, INT32_MAX), min_size=1, max_size=4), min_size=1, max_size=16
)
rules = st.sampled_from(["mean", "median"])


@given(st.integers(INT32_MIN, INT32_MAX), grouped, rules, st.integers(0, 2**32 - 1))
def test_merge_across_groups_is_its_definition_in_whole_numbers(x, groups, rule, step):
    sums = sorted((sum(group) + 2**31) % 2**32 - 2**31 for group in groups)
    half, odd = divmod(len(sums), 2)
    middle = sums[half] if odd else (sums[half - 1] + sums[half]) // 2
    combined = sum(sums) // len(sums) if rule == "mean" else middle
    expected = max(INT32_MIN, min(INT32_MAX, x + step * combined // ONE))
    updates = [[int32(number) for number in group] for group in groups]
    assert merge(int32(x), updates, step, rule).tolist() == [expected]


@given(grouped, rules, st.randoms(use_true_random=False))
def test_the_order_of_groups_and_of_updates_in_them_changes_nothing(groups, rule, random):
    updates = [[int32(number, -number // 2) for number in group] for group in groups]
    expected = merge(int32(0, 5), updates, rule=rule)
    for group in updates:
        random.shuffle(group)
    random.shuffle(updates)
    assert np.array_equal(merge(int32(0, 5), updates, rule=rule), expected)


@given(
    st.lists(st.integers(-(2**29), 2**29), min_size=2, max_size=15),
    st.integers(INT32_MIN, INT32_MAX),
    st.integers(0, 15),
)
def test_one_poisoned_group_cannot_move_the_median_out_of_the_honest_range(honest, poison, place):
    sums = [*honest[:place], poison, *honest[place:]]
    [moved] = merge(int32(0), [[int32(total)] for total in sums], rule="median").tolist()
    assert min(honest) <= moved <= max(honest)


def test_one_poisoned_group_does_move_the_mean():
    groups = [[int32(total)] for total in (10, 11, INT32_MAX)]
    assert merge(int32(0), groups, rule="median").tolist() == [11]
    assert merge(int32(0), groups, rule="mean").tolist() == [(21 + INT32_MAX) // 3]


@pytest.mark.parametrize("lanes", [1, BLOCK_LANES, 2 * BLOCK_LANES + 7])
@pytest.mark.parametrize("shape", [[3], [3, 4], [3, 3, 3, 4, 3]])
@pytest.mark.parametrize("rule", ["mean", "median"])
def test_merge_crosses_its_blocks_in_memory_and_in_files(tmp_path, lanes, shape, rule):
    rng, spool = np.random.default_rng(3), Spool(tmp_path)
    state = rng.integers(-(2**20), 2**20, lanes, np.int32)
    groups = [list(rng.integers(-(2**20), 2**20, (size, lanes), np.int32)) for size in shape]
    sums = np.array([sum(group) for group in groups], np.int64)
    combined = sums.sum(axis=0) // len(sums) if rule == "mean" else np.floor(np.median(sums, axis=0))
    files = [[VectorFile(spool.path(spool.put(update)), lanes) for update in group] for group in groups]
    for updates in (groups, files, [*groups[:1], *files[1:]]):
        assert np.array_equal(merge(state, updates, rule=rule), state + combined)


def test_merge_changes_nothing_that_it_was_given():
    state, update = int32(1, 2), int32(3, 4)
    state.flags.writeable = update.flags.writeable = False
    assert merge(state, [[update]]).tolist() == [4, 6]


@pytest.mark.parametrize("rule", ["mean", "median"])
def test_merge_needs_little_beside_the_state_and_the_result(tmp_path, rule):
    """However many hospitals: their updates stay in their files."""
    lanes, spool = 1_000_000, Spool(tmp_path)
    state = np.zeros(lanes, np.int32)
    refs = [spool.put(np.full(lanes, number, np.int32)) for number in range(18)]
    files = [VectorFile(spool.path(ref), lanes) for ref in refs]
    merge(state[:10], [[int32(*range(10))]])
    tracemalloc.start()
    try:
        merged = merge(state, [files[i::6] for i in range(6)], rule=rule)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert merged[0] == {"mean": 153 // 6, "median": (24 + 27) // 2}[rule]
    assert peak + state.nbytes < 3 * state.nbytes


@pytest.mark.parametrize("update", [np.zeros(1, np.int32), np.zeros(3, np.int32), np.zeros((1, 2), np.int32)])
def test_merge_refuses_another_length(update):
    with pytest.raises(WrongLength, match="Update 2"):
        merge(int32(0, 0), [[int32(1, 1), update]])


def test_merge_refuses_a_file_of_another_length(tmp_path):
    spool = Spool(tmp_path)
    file = VectorFile(spool.path(spool.put(int32(1, 2, 3))), 3)
    with pytest.raises(WrongLength, match="Update 2 has 3 lanes"):
        merge(int32(0, 0), [[int32(1, 1), file]])


@pytest.mark.parametrize("dtype", [np.int64, np.uint32, np.float32, ">i4"])
def test_merge_refuses_another_dtype(dtype):
    with pytest.raises(LearningError, match="must be int32"):
        merge(int32(0), [[np.zeros(1, dtype)]])


@pytest.mark.parametrize("groups", [[], [[]], [[int32(1)], []]])
def test_merge_refuses_no_updates(groups):
    with pytest.raises(LearningError, match="no update"):
        merge(int32(0), groups)


def test_merge_refuses_a_rule_that_there_is_not():
    with pytest.raises(LearningError, match="'mode'"):
        merge(int32(0), [[int32(1)]], rule="mode")


@pytest.mark.parametrize("step", [-1, 2**32])
def test_merge_refuses_a_step_outside_uint32(step):
    with pytest.raises(LearningError, match="server_step"):
        merge(int32(0), [[int32(0)]], step)
