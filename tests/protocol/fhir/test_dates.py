from __future__ import annotations

from datetime import date, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.fhir.context import Context
from protocol.fhir.index import Index
from protocol.fhir.references import Names
from protocol.fhir.tally import Tally
from tests.protocol.fhir.made import PSEUDONYMS, TODAY, observation, one, patient


def context(pseudonym: str = "ABCD", born: str = "", died: str = "", today: date = TODAY) -> Context:
    return Context(
        pseudonym, PSEUDONYMS, Tally(), names=Names(PSEUDONYMS, Index()), born=born, died=died, today=today
    )


def read(text: str) -> datetime:
    return datetime.fromisoformat(text)


MOMENTS = st.datetimes(datetime(1900, 1, 1), datetime(2099, 1, 1)).map(
    lambda each: each.replace(microsecond=0)
)
ZONES = st.sampled_from(["Z", "+00:00", "+01:00", "-05:00", "+05:30", "-11:00", "+14:00"])


@given(MOMENTS, MOMENTS, ZONES, ZONES, st.text("ABCDEFGH", min_size=1, max_size=8))
def test_intervals_of_the_wall_clock_stay_to_the_second(one, other, zone, other_zone, pseudonym):
    own = context(pseudonym)
    first, second = own.moment(f"{one.isoformat()}{zone}"), own.moment(f"{other.isoformat()}{other_zone}")
    assert first.endswith("Z") and second.endswith("Z")
    assert read(second) - read(first) == other - one


def test_summer_and_winter_time_do_not_show():
    own = context()
    winter, summer = own.moment("2020-01-15T00:00:00+01:00"), own.moment("2020-07-15T00:00:00+02:00")
    assert winter[10:] == summer[10:]
    assert read(summer) - read(winter) == timedelta(days=182)


@given(st.dates(date(1900, 1, 1), date(2099, 1, 1)), st.text("ABCDEFGH", min_size=1, max_size=8))
def test_dates_go_back_by_whole_days_one_to_ten_years(day, pseudonym):
    moved = date.fromisoformat(context(pseudonym).date(day.isoformat()))
    assert timedelta(days=366) <= day - moved <= timedelta(days=3_652)
    assert moved == day + PSEUDONYMS.shift(pseudonym)


def test_neither_day_nor_time_of_day_survives():
    own = context("ABCD")
    moved = read(own.moment("2020-05-04T08:30:00+02:00"))
    exact = PSEUDONYMS.shift("ABCD") + PSEUDONYMS.shift_seconds("ABCD")
    assert moved == read("2020-05-04T08:30:00Z") + exact
    assert timedelta(0) <= PSEUDONYMS.shift_seconds("ABCD") < timedelta(days=1)
    assert moved.time() not in (read("2020-05-04T08:30:00Z").time(), read("2020-05-04T06:30:00Z").time())


def test_milliseconds_stay_and_nothing_smaller():
    assert context().instant("2020-05-04T08:30:00.123456789Z").endswith(".123Z")


@pytest.mark.parametrize("partial", ["2020", "2020-05"])
def test_of_partial_dates_the_year_stays_moved_by_whole_years(partial):
    years = round(PSEUDONYMS.shift("ABCD").days / 365.2425)
    assert context().date(partial) == context().moment(partial) == str(2020 + years)
    assert context().instant(partial) is None


@pytest.mark.parametrize(
    "value",
    [
        "", "2020-02-30", "2020-13-01", "2020-5-4", "20200504", "04/05/2020", "2020-05-04T08:30", "2020-05-04T08:30:00",
        "2020-05-04T25:00:00Z", "2020-05-04T24:00:00Z", "2020-05-04T08:30:60Z", "2020-05-04 08:30:00Z", "2020-W10-1",
        "0001-01-01", "0000", "1000-01-01T00:00:00Z\n", "2020-05-04\n", "２０２０", "2020-05-04T08:30:00+15:00",
        "Dupont", "2020-05-04Dupont", "9999999999",
    ],
)  # fmt: skip
def test_what_is_no_date_of_fhir_is_removed(value):
    own = context()
    assert own.date(value) is None
    assert own.instant(value) is None
    assert own.moment(value) is None


def test_the_calendar_ends_and_no_date_comes_of_what_is_before():
    own = context()
    own._days = own._exact = timedelta(days=-3_652_000)
    assert own.date("1500-01-01") is None and own.moment("1500-01-01T00:00:00Z") is None


def test_nobody_has_no_dates():
    assert context("").date("2020-05-04") is None


@settings(max_examples=50)
@given(st.text(max_size=40))
def test_any_text_is_answered(text):
    own = context()
    for move in (own.date, own.moment, own.instant):
        result = move(text)
        assert result is None or result != text


# --- people over 89 ---


@pytest.mark.parametrize(
    ("born", "died", "is_capped"),
    [
        ("1980-02-03", "", False),
        ("1937-01-01", "", False),
        ("1930-02-03", "", True),
        ("1930", "", True),
        ("1900-02-03", "1985-05-05", False),
        ("1900-02-03", "1995-05-05T10:00:00Z", True),
        ("1900-02-03", "1985", False),
    ],
)
def test_the_year_of_birth_of_who_is_over_89_is_that_of_who_is_90(born, died, is_capped):
    own = context("ABCD", born, died)
    moved = int(context("ABCD").moment(born)[:4])
    if is_capped:
        last = date.fromisoformat(died[:10]) if died else TODAY
        assert int(own.birth_year) == (last + PSEUDONYMS.shift("ABCD")).year - 90 > moved
    else:
        assert int(own.birth_year) == moved


def test_no_date_before_the_year_of_birth_as_shown_stays(tmp_path):
    old = patient(birthDate="1920-02-03")
    early = observation("early", effectiveDateTime="1925-01-01")
    late = observation("late", effectiveDateTime="2015-01-01")
    assert "effectiveDateTime" not in one(tmp_path, early, old)
    assert "effectiveDateTime" in one(tmp_path, late, old)


def test_only_the_year_of_birth_stays(tmp_path):
    given = patient()
    content = one(tmp_path, given, given)
    pseudonym = PSEUDONYMS.patient("p1", "fhir")
    assert content["birthDate"] == str((date(1980, 2, 3) + PSEUDONYMS.shift(pseudonym)).year)


@pytest.mark.parametrize(
    "value",
    ["1980-02-03", "1980-02-03T08:30:00+01:00", "1980-02-03T23:30:00-05:00", "1980-02-04T00:30:00+02:00",
     "1980-02-02T23:30:00-05:00", "1980-02-03T00:00:00Z", "1980-02-03T23:59:59.999Z"],
)  # fmt: skip
def test_of_a_date_on_the_day_of_birth_the_year_stays(tmp_path, value):
    made = observation(
        valueDateTime=value, effectivePeriod={"start": value}, note=[{"time": value}], issued=value
    )
    answers = {
        "resourceType": "QuestionnaireResponse",
        "id": "q",
        "subject": {"reference": "Patient/p1"},
        "item": [{"answer": [{"valueDate": value[:10]}, {"valueDateTime": value}]}],
    }
    own = patient()
    year = one(tmp_path, own, own)["birthDate"]
    content = one(tmp_path, made, own)
    assert content["valueDateTime"] == year and content["effectivePeriod"] == {"start": year}
    assert "issued" not in content, "an instant cannot be a year"
    answer = one(tmp_path, answers, own)["item"][0]["answer"]
    assert answer[-1] == {"valueDateTime": year}
    assert (answer[0] == {"valueDate": year}) is (value[:10] == own["birthDate"])


def test_other_dates_are_moved_as_ever(tmp_path):
    content = one(tmp_path, observation(valueDateTime="1980-02-04", issued="1980-02-04T12:00:00+01:00"))
    assert len(content["valueDateTime"]) == 10 and len(content["issued"]) == 20


@pytest.mark.parametrize("born", [None, 1980, "3 February 1980", {"x": 1}, ["1980-02-03"]])
def test_a_birth_date_that_is_none_goes(tmp_path, born):
    given = patient(birthDate=born)
    assert "birthDate" not in one(tmp_path, given, given)


def test_ages_are_90_at_most(tmp_path):
    condition = {
        "resourceType": "Condition",
        "id": "c",
        "subject": {"reference": "Patient/p1"},
        "onsetAge": {"value": 97, "system": "http://unitsofmeasure.org", "code": "a"},
    }
    assert one(tmp_path, condition)["onsetAge"]["value"] == 90
