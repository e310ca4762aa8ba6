from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.data.splits import HELD_OUT, patient_split, random_split, split_key
from protocol.errors import DataError


def test_a_split_is_stratified_and_seeded():
    labels = [0] * 60 + [1] * 30
    splits = random_split(labels, 1 / 3, seed=7)
    assert splits.dtype == np.uint8
    assert splits[:60].sum() == 20
    assert splits[60:].sum() == 10
    assert (splits == random_split(labels, 1 / 3, seed=7)).all()
    assert (splits != random_split(labels, 1 / 3, seed=8)).any()


@pytest.mark.parametrize("rare", [0, 1, 2])
def test_a_label_too_rare_to_stratify_does_not_stop_a_split(rare):
    assert random_split([0] * 40 + [1] * rare, 0.34, seed=43).sum() > 0


@pytest.mark.parametrize(("count", "share"), [(1, 0.34), (0, 0.34), (10, 0.0), (10, 1.0)])
def test_a_side_that_would_be_empty_is_refused(count, share):
    with pytest.raises(DataError, match="cannot be split"):
        random_split([0] * count, share, seed=1)


@given(st.lists(st.sampled_from("abcdefgh"), min_size=1, max_size=40), st.binary(min_size=32, max_size=32))
def test_a_patient_is_on_one_side_also_later(patients, key):
    splits = patient_split(patients, 0.5, key)
    sides = dict(zip(patients, splits.tolist(), strict=True))
    assert [sides[patient] for patient in patients] == splits.tolist()
    assert patient_split(patients[::-1], 0.5, key).tolist() == splits.tolist()[::-1]


def test_shares_of_patients_are_about_those_asked_for():
    splits = patient_split([f"P{i}" for i in range(4000)], 0.34, bytes(32))
    assert abs((splits == HELD_OUT).mean() - 0.34) < 0.03
    assert not patient_split(["P1"], 0.0, bytes(32)).any()


@pytest.mark.parametrize("count", [20, 22, 40])
def test_few_patients_are_drawn_until_both_sides_have_enough(count):
    patients = [f"patient {each}" for each in range(count)]
    for _ in range(20):
        key = split_key(patients, 0.5)
        assert 10 <= patient_split(patients, 0.5, key).sum() <= count - 10 and len(key) == 32
    assert split_key(patients, 0.5) != split_key(patients, 0.5)


@pytest.mark.parametrize(("count", "share"), [(19, 0.5), (0, 0.5), (1_000, 0.0001)])
def test_where_no_draw_gives_enough_there_is_a_key_all_the_same(count, share):
    assert len(split_key([str(each) for each in range(count)], share)) == 32
