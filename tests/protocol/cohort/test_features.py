"""What each kind of feature reads."""

from __future__ import annotations

import math
from datetime import datetime
from typing import Any

import pytest

from protocol.cohort.features import Age, Feature, parse_feature
from protocol.cohort.place import Place
from tests.protocol.cohort.made import (
    DOCUMENT,
    FLU,
    GLUCOSE,
    LOINC,
    SNOMED,
    SYSTOLIC,
    UCUM,
    condition,
    encounter,
    history,
    observation,
    person,
    pressure,
    quantity,
)

INDEX = datetime(2020, 1, 1)


def feature(**fields: Any) -> Feature:
    return parse_feature(Place(fields, "features.0"))


def value(**fields: Any) -> Feature:
    default = {
        "name": "v", "kind": "value", "element": "Observation.value", "of": [{"system": LOINC, "code": SYSTOLIC}],
        "unit": "mm[Hg]", "range": [50, 280], "take": "last", "missing": "drop",
    }  # fmt: skip
    return feature(**{**default, **fields})


@pytest.mark.parametrize(
    ("born", "years", "middle"),
    [
        ("1990-01-01", 30, 32.5),
        ("1990-01-03", 29, 27.5),
        ("1990", 29, 27.5),
        ("1925-06-01", 94, 87.5),
        ("1900-06-01", 119, 87.5),
        ("1932-06-01", 87, 87.5),
    ],
)
def test_an_age_is_in_whole_years_and_its_band_has_a_middle(born: str, years: int, middle: float) -> None:
    age = parse_feature(Place(DOCUMENT["features"][0]))
    assert isinstance(age, Age)
    assert age.of(history(person(born)), INDEX) == years
    assert age.middle(years) == middle


@pytest.mark.parametrize("born", [None, "2020-06-01", "unknown"])
def test_without_a_birth_before_the_index_there_is_no_age(born: str | None) -> None:
    assert parse_feature(Place(DOCUMENT["features"][0])).of(history(person(born)), INDEX) is None


@pytest.mark.parametrize(("sex", "level"), [("female", 1), ("male", 2), ("other", 0), (None, 0)])
def test_a_code_is_a_level_or_not_stated(sex: str | None, level: float) -> None:
    assert parse_feature(Place(DOCUMENT["features"][1])).of(history(person(sex=sex)), INDEX) == level


def smoking(take: str) -> Feature:
    levels = [
        {"level": 0, "name": "not stated"},
        {"level": 1, "name": "never", "codes": [{"system": SNOMED, "code": "266919005"}]},
        {"level": 2, "name": "smokes", "codes": [{"system": SNOMED, "code": each} for each in ("449868002", "7")]},
    ]  # fmt: skip
    of = [{"system": LOINC, "code": "72166-2"}]
    return feature(name="s", kind="code", element="Observation.value", of=of, take=take, levels=levels)


def status(code: str, at: str, of: str = "72166-2") -> dict[str, Any]:
    concept = {"coding": [{"system": SNOMED, "code": code}]}
    return {**observation(of, 0, at=at), "valueQuantity": None, "valueCodeableConcept": concept}


def test_a_coded_answer_is_taken_in_time_and_of_its_question_alone() -> None:
    told = history(
        status("449868002", "2018-01-01T00:00:00Z"),
        status("266919005", "2019-01-01T00:00:00Z"),
        status("7", "2019-06-01T00:00:00Z", of="other"),
        status("unknown", "2019-07-01T00:00:00Z"),
    )
    assert smoking("first").of(told, INDEX) == 2
    assert smoking("last").of(told, INDEX) == 1


@pytest.mark.parametrize(
    ("take", "expected"), [("last", 130), ("first", 150), ("mean", 130), ("min", 110), ("max", 150)]
)
def test_values_of_components_and_of_observations_are_taken_in_time(take: str, expected: float) -> None:
    told = history(
        pressure(110, "2019-02-01T00:00:00Z"),
        observation(SYSTOLIC, 130, at="2019-03-01T00:00:00Z"),
        observation(SYSTOLIC, 150, at="2019-01-01T00:00:00Z"),
        observation(GLUCOSE, 90, at="2019-04-01T00:00:00Z"),
    )
    assert value(take=take).of(told, INDEX) == expected


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (quantity(120, unit=None), "unit not listed"),
        (quantity(16, unit="kPa"), "unit not listed"),
        ({"value": 120, "code": "mm[Hg]", "system": "http://other"}, "unit not listed"),
        (quantity(20), "not plausible"),
        (quantity(120, comparator="<"), "not exact"),
        (quantity("120"), "no number"),
        (quantity(True), "no number"),
        (quantity(math.nan), "no number"),
        ({"system": UCUM, "code": "mm[Hg]"}, "no number"),
    ],
)
def test_a_value_that_cannot_be_read_is_none_and_is_said(given: dict[str, Any], reason: str) -> None:
    told = history(observation(SYSTOLIC, given))
    assert value().of(told, INDEX) is None
    assert told.unread == {f"v: {reason}"}


def test_listed_units_are_converted() -> None:
    told = history(observation(SYSTOLIC, quantity(16, unit="kPa")))
    assert value(convert={"kPa": 7.5}).of(told, INDEX) == 120
    warm = history(observation("8310-5", quantity(98.6, unit="[degF]")))
    cel = value(
        of=[{"system": LOINC, "code": "8310-5"}],
        unit="Cel",
        range=[30, 45],
        convert={"[degF]": [5 / 9, -160 / 9]},
        round=0.1,
    )
    assert cel.of(warm, INDEX) == 37


def test_a_value_is_rounded_to_the_step() -> None:
    told = history(observation(SYSTOLIC, 127.3468))
    assert value(round=0.1).of(told, INDEX) == 127.3
    assert value(round=5).of(told, INDEX) == 125
    assert value().of(told, INDEX) == 127.3468


@pytest.mark.parametrize(("codes", "expected"), [(None, 3), ([{"code": "AMB"}], 2)])
def test_events_are_counted_up_to_the_most(codes: list[dict[str, str]] | None, expected: int) -> None:
    told = history(
        encounter("2018-01-01", **{"class": {"code": "AMB"}}),
        encounter("2019-01-01", **{"class": {"code": "AMB"}}),
        encounter("2019-02-01", **{"class": {"code": "EMER"}}),
        encounter("2019-03-01", status="cancelled"),
    )
    fields = {"element": "Encounter.class", "codes": codes} if codes else {"element": "Encounter"}
    assert feature(name="n", kind="count", most=9, **fields).of(told, INDEX) == expected
    assert feature(name="n", kind="count", most=1, **fields).of(told, INDEX) == 1


def test_has_is_one_or_nothing() -> None:
    flu = feature(name="f", kind="has", element="Condition.code", codes=[{"system": SNOMED, "code": FLU}])
    assert flu.of(history(condition(FLU), condition(FLU, at="2018-01-01")), INDEX) == 1
    assert flu.of(history(condition("1")), INDEX) == 0
    # A code is its system's.
    other = condition()
    other["code"]["coding"][0] = {"system": "http://other", "code": FLU}
    assert flu.of(history(other), INDEX) == 0


@pytest.mark.parametrize(
    ("dates", "expected"),
    [
        (["2019-12-01T00:00:00Z"], 31),
        (["2019-12-01T00:00:00Z", "2018-01-01T00:00:00Z"], 31),
        (["2010-01-01T00:00:00Z"], 400),
        ([], None),
        ([None], None),
    ],
)
def test_days_since_the_latest(dates: list[str | None], expected: float | None) -> None:
    since = feature(
        name="d",
        kind="days-since",
        element="Condition.code",
        codes=[{"system": SNOMED, "code": FLU}],
        most=400,
        missing="drop",
    )
    assert since.of(history(*(condition(FLU, at=at) for at in dates)), INDEX) == expected
