"""k-anonymity, held against a search that knows nothing of how ours works."""

from __future__ import annotations

import itertools
import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.cohort import anonymity
from protocol.cohort.hierarchies import Bands, Merges
from protocol.errors import DataError

AGE = Bands("age", 0, 90, (5, 10, 30, math.inf))
SEX = Merges("sex", ({0: 0, 1: 1, 2: 2}, {0: 0, 1: 0, 2: 0}), {0: "not stated", 1: "female", 2: "male"})
BMI = Bands("bmi", 10, 50, (0, 5, 20, math.inf))

Row = tuple[float, float, float]


def columns(rows: list[Row]) -> dict[str, np.ndarray]:
    table = np.array(rows, np.float64).reshape(-1, 3)
    return {"age": table[:, 0], "sex": table[:, 1], "bmi": table[:, 2]}


def band(value: float, low: float, high: float, width: float) -> tuple[float, float]:
    """What stands for a number, and the share of the domain that it may be of."""
    if width == math.inf:
        return (low + high) / 2, 1.0
    if width == 0:
        return value, 0.0
    edges = [low]
    while edges[-1] + width < high:
        edges.append(edges[-1] + width)
    start = max((edge for edge in edges if edge <= value), default=low)
    end = min(start + width, high)
    return (start + end) / 2, (end - start) / (high - low)


def brute_force(rows: list[Row], k: int, share: float) -> tuple[float, int, int, tuple[int, ...]] | None:
    """The best node of all, row by row and by the definitions; None where none will do."""
    best = None
    for node in itertools.product(range(4), range(2), range(4)):
        made, lost = [], []
        for age, sex, bmi in rows:
            each = [
                band(age, 0, 90, [5, 10, 30, math.inf][node[0]]),
                (sex, 0.0) if node[1] == 0 else (0, 1.0),
                band(bmi, 10, 50, [0, 5, 20, math.inf][node[2]]),
            ]
            made.append(tuple(value for value, _ in each))
            lost.append(sum(loss for _, loss in each) / 3)
        sizes = Counter(made)
        out = [sizes[each] < k for each in made]
        if sum(out) > share * len(rows) or all(out):
            continue
        loss = sum(1.0 if gone else each for gone, each in zip(out, lost, strict=True)) / len(rows)
        found = (round(loss, 9), sum(out), sum(node), node)
        best = found if best is None else min(best, found)
    return best


ROWS = st.lists(
    st.tuples(
        st.integers(0, 104).map(float),
        st.sampled_from([0.0, 1.0, 2.0]),
        st.integers(20, 100).map(lambda n: n / 2),
    ),
    min_size=1,
    max_size=30,
)


@settings(max_examples=150, deadline=None)
@given(ROWS, st.integers(2, 6), st.sampled_from([0.0, 0.1, 0.25, 0.5]))
def test_the_choice_is_that_of_a_search_through_all_levels(rows: list[Row], k: int, share: float) -> None:
    expected = brute_force(rows, k, share)
    if expected is None:
        with pytest.raises(DataError, match="cannot be put into classes"):
            anonymity.choose(columns(rows), [AGE, SEX, BMI], k, share)
        return
    found = anonymity.choose(columns(rows), [AGE, SEX, BMI], k, share)
    assert (round(found.loss, 9), found.suppressed) == expected[:2]
    assert tuple(found.levels.values()) == expected[3]


@settings(max_examples=100, deadline=None)
@given(ROWS, st.integers(2, 6), st.sampled_from([0.0, 0.2, 0.5]))
def test_nobody_who_stays_is_among_fewer_than_k(rows: list[Row], k: int, share: float) -> None:
    try:
        found = anonymity.choose(columns(rows), [AGE, SEX, BMI], k, share)
    except DataError:
        return
    made = anonymity.generalise(columns(rows), [AGE, SEX, BMI], found.levels)
    sizes = anonymity.class_sizes(list(made.values()))
    kept = [row for row, size in zip(zip(*made.values(), strict=True), sizes, strict=True) if size >= k]
    assert all(count >= k for count in Counter(kept).values())
    assert len(rows) - len(kept) == found.suppressed <= share * len(rows)
    loss = anonymity.loss_of(columns(rows), [AGE, SEX, BMI], found.levels, sizes >= k)
    assert loss == pytest.approx(found.loss)


@settings(max_examples=60, deadline=None)
@given(ROWS, st.randoms())
def test_the_order_of_the_rows_changes_nothing(rows: list[Row], random: object) -> None:
    try:
        before = anonymity.choose(columns(rows), [AGE, SEX, BMI], 3, 0.3)
    except DataError:
        return
    shuffled = list(rows)
    random.shuffle(shuffled)
    assert anonymity.choose(columns(shuffled), [AGE, SEX, BMI], 3, 0.3) == before


@settings(max_examples=60, deadline=None)
@given(ROWS, st.integers(2, 5))
def test_more_general_levels_leave_out_no_more(rows: list[Row], k: int) -> None:
    """What lets the search skip what lies below a node that fails."""
    table, hierarchies = columns(rows), [AGE, SEX, BMI]

    def left_out(node: tuple[int, ...]) -> int:
        made = anonymity.generalise(table, hierarchies, dict(zip(["age", "sex", "bmi"], node, strict=True)))
        return int((anonymity.class_sizes(list(made.values())) < k).sum())

    for node in itertools.product(range(3), range(1), range(3)):
        for above in ((node[0] + 1, *node[1:]), (node[0], 1, node[2]), (*node[:2], node[2] + 1)):
            assert left_out(above) <= left_out(node)


def test_a_class_that_lost_somebody_is_too_small() -> None:
    assert anonymity.too_small(["a", "a", "b", "b", "b", "c"], 3) == {"a", "c"}


def test_of_nobody_there_are_no_classes() -> None:
    none = np.empty(0)
    assert anonymity.class_sizes([none, none]).tolist() == []
    assert anonymity.distinct_labels([none, none], none) == 0


def test_the_fewest_labels_of_a_class_are_counted() -> None:
    age, sex = np.array([1.0, 1, 2, 2]), np.array([0.0, 0, 0, 0])
    assert anonymity.distinct_labels([age, sex], np.array([0.0, 1, 1, 1])) == 1
    assert anonymity.distinct_labels([age, sex], np.array([0.0, 1, 0, 1])) == 2


def test_levels_of_another_mapping_are_refused() -> None:
    table = columns([(40, 1, 20)])
    with pytest.raises(DataError, match="not of the mapping's"):
        anonymity.generalise(table, [AGE], {"sex": 0})
    with pytest.raises(DataError, match="no such level"):
        anonymity.generalise(table, [AGE], {"age": 4})


def test_a_lattice_that_nobody_could_review_is_refused() -> None:
    many = [Bands(f"c{number}", 0, 90, (0, 10, 30, math.inf)) for number in range(7)]
    with pytest.raises(DataError, match="combinations of levels"):
        anonymity.choose({each.name: np.zeros(4) for each in many}, many, 2, 0)


def test_three_hundred_thousand_rows_are_put_into_classes() -> None:
    draw, count = np.random.default_rng(5), 300_000
    rows = [
        draw.integers(0, 105, count),
        draw.integers(0, 3, count),
        draw.normal(27, 5, count).clip(10, 50).round(1),
    ]
    table = dict(zip(["age", "sex", "bmi"], np.array(rows, np.float64), strict=True))
    found = anonymity.choose(table, [AGE, SEX, BMI], 5, 0.05)
    sizes = anonymity.class_sizes(list(anonymity.generalise(table, [AGE, SEX, BMI], found.levels).values()))
    assert int((sizes < 5).sum()) == found.suppressed <= 0.05 * count
    assert found.levels["age"] < AGE.height


def test_what_weighs_more_is_generalised_less() -> None:
    rows = [(age, sex, 20.0) for age in (12, 42, 72) for sex in (1, 2) for _ in range(2)]
    sizes = {"age": 4, "sex": 4}
    bmi = Bands("bmi", 10, 50, (0,))

    def chosen(age_weight: float, sex_weight: float) -> dict[str, int]:
        age = Bands("age", 0, 90, (5, math.inf), age_weight)
        sex = Merges("sex", SEX.maps, SEX.names, sex_weight)
        return anonymity.choose(columns(rows), [age, sex, bmi], sizes["age"], 0).levels

    assert chosen(3, 1) == {"age": 0, "sex": 1, "bmi": 0}
    assert chosen(1, 3) == {"age": 1, "sex": 0, "bmi": 0}
