"""Generalising stays within the schema, and each level within the next."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.cohort.features import parse_feature
from protocol.cohort.hierarchies import Bands, parse_hierarchy
from protocol.cohort.place import Place
from protocol.errors import DataError
from tests.protocol.cohort.made import DOCUMENT, LOINC, SNOMED

FEATURES = {each["name"]: parse_feature(Place(each)) for each in DOCUMENT["features"]}


def hierarchy(**fields: object) -> object:
    return parse_hierarchy(Place(fields, "q"), FEATURES)


def test_a_band_is_written_as_its_middle() -> None:
    age = hierarchy(name="age", bands=[10, 20, "all"])
    values = np.array([22.5, 27.5, 47.5, 87.5])
    assert age.at(values, 0)[0].tolist() == [22.5, 27.5, 47.5, 87.5]
    assert age.at(values, 1)[0].tolist() == [25, 25, 45, 85]
    # The last band ends with the range: 80 to 90.
    assert age.at(values, 2)[0].tolist() == [30, 30, 50, 85]
    assert age.at(values, 3)[0].tolist() == [55] * 4


def test_the_penalty_is_the_share_of_the_range() -> None:
    age = hierarchy(name="age", bands=[10, 20, "all"])
    values = np.array([22.5, 87.5])
    assert [age.at(values, level)[1].tolist() for level in range(4)] == [
        [5 / 70, 5 / 70], [10 / 70, 10 / 70], [20 / 70, 10 / 70], [1, 1],
    ]  # fmt: skip


def test_a_number_is_exact_until_it_is_banded() -> None:
    systolic = hierarchy(name="systolic", bands=[10, "all"])
    values, penalty = systolic.at(np.array([121.0, 129.0, 280.0]), 0)
    assert values.tolist() == [121, 129, 280] and not penalty.any()
    assert systolic.at(np.array([121.0, 129.0, 280.0]), 1)[0].tolist() == [125, 125, 275]


@given(st.lists(st.floats(0, 3), min_size=2, max_size=2))
def test_who_shares_a_band_shares_the_next_one(pair: list[float]) -> None:
    """Also where quotients of floating-point numbers would not nest: 0.3 / 0.1 is below 3."""
    bands = Bands("x", 0, 3, (0, 0.1, 0.3, 0.6, math.inf))
    both = np.array([*pair, 0.3])
    for level in range(1, 4):
        fine, coarse = bands.at(both, level)[0], bands.at(both, level + 1)[0]
        for one in range(3):
            for other in range(3):
                assert fine[one] != fine[other] or coarse[one] == coarse[other]


def test_codes_are_merged_step_by_step() -> None:
    levels = [{"level": 0, "name": "not stated"}] + [
        {"level": number, "name": name, "codes": [{"system": SNOMED, "code": name}]}
        for number, name in enumerate(["never", "ever", "former", "daily"], start=1)
    ]
    among = [{"system": LOINC, "code": "72166-2"}]
    smoking = parse_feature(
        Place(
            {"name": "smoking", "kind": "code", "element": "Observation.value", "of": among, "levels": levels}
        )
    )
    made = parse_hierarchy(
        Place({"name": "smoking", "steps": [{"former": "ever", "daily": "ever"}, {"*": "not stated"}]}),
        {"smoking": smoking},
    )
    values = np.array([0.0, 1, 2, 3, 4])
    assert made.at(values, 1)[0].tolist() == [0, 1, 2, 2, 2]
    assert made.at(values, 1)[1].tolist() == [0, 0, 0.6, 0.6, 0.6]
    assert made.at(values, 2)[0].tolist() == [0] * 5 and made.at(values, 2)[1].tolist() == [1] * 5
    assert made.words(1) == "ever, former, daily → ever"


def test_levels_are_said_in_words() -> None:
    age, sex = hierarchy(name="age", bands=[10, "all"]), hierarchy(name="sex", steps=[{"*": "not stated"}])
    assert [age.words(level) for level in range(3)] == ["bands of 5", "bands of 10", "all alike"]
    assert [sex.words(level) for level in range(2)] == ["as it is", "not stated, female, male → not stated"]


@pytest.mark.parametrize(
    ("fields", "place"),
    [
        ({"name": "height", "bands": ["all"]}, "q.name: is no feature"),
        ({"name": "age", "steps": [{"*": "x"}]}, "q: lacks 'bands'"),
        ({"name": "sex", "bands": ["all"]}, "q: lacks 'steps'"),
        ({"name": "age", "bands": []}, "q.bands: must be a list"),
        ({"name": "age", "bands": [7]}, "q.bands.0: must be a multiple"),
        ({"name": "age", "bands": [5]}, "q.bands.0: must be above 5"),
        ({"name": "age", "bands": [10, 10]}, "q.bands.1: must be above 10"),
        ({"name": "age", "bands": ["all", 10]}, "q.bands.1: nothing is more general"),
        ({"name": "age", "bands": ["all", "all"]}, "q.bands.1: nothing is more general"),
        ({"name": "age", "bands": [70]}, "q.bands.0: is the whole range"),
        ({"name": "age", "bands": ["some"]}, "q.bands.0: must be a finite number"),
        ({"name": "sex", "steps": [{"male": "man"}]}, "q.steps.0.male: must be one of"),
        ({"name": "sex", "steps": [{"man": "male"}]}, "q.steps.0.man: is no level"),
        ({"name": "sex", "steps": [{"male": "male"}]}, "q.steps.0: merges no levels"),
        ({"name": "sex", "steps": [{}]}, "q.steps.0: must be an object"),
    ],
)
def test_a_wrong_hierarchy_is_refused_with_its_place(fields: dict[str, object], place: str) -> None:
    with pytest.raises(DataError) as raised:
        hierarchy(**fields)
    assert raised.value.message.startswith(f"Mapping, {place}")
