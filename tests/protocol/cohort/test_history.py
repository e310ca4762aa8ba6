"""What was when, and what of it counts."""

from __future__ import annotations

from datetime import datetime

import pytest

from protocol.cohort.history import Code, Element, Moment, date_of, is_so
from protocol.cohort.place import Place
from protocol.errors import DataError
from tests.protocol.cohort.made import condition, encounter, history, observation, person

BEFORE = datetime(2020, 1, 1)


@pytest.mark.parametrize(
    ("value", "earliest", "latest"),
    [
        ("2019-03-01T10:00:00Z", datetime(2019, 3, 1, 10), datetime(2019, 3, 1, 10)),
        ("2019-03-01T10:00:00+02:00", datetime(2019, 3, 1, 8), datetime(2019, 3, 1, 8)),
        ("2019-03-01", datetime(2019, 3, 1), datetime(2019, 3, 3)),
        ("2019", datetime(2019, 1, 1), datetime(2020, 1, 3)),
        ({"start": "2019-03-01T10:00:00Z"}, datetime(2019, 3, 1, 10), datetime(2019, 3, 1, 10)),
        (
            {"start": "2019-03-01T10:00:00Z", "end": "2019-03-05T10:00:00Z"},
            datetime(2019, 3, 1, 10),
            datetime(2019, 3, 5, 10),
        ),
    ],
)
def test_a_date_is_as_long_as_it_may_be(value: object, earliest: datetime, latest: datetime) -> None:
    assert Moment.read(value) == Moment(earliest, latest)


@pytest.mark.parametrize(
    "value", [None, "", "yesterday", "2019-13-01", "2019-02-30", 2019, {}, {"start": 3}, []]
)
def test_what_is_no_date_says_nothing(value: object) -> None:
    assert Moment.read(value) is None


def test_a_year_of_birth_alone_is_its_middle() -> None:
    assert str(date_of("1960")) == "1960-07-01"
    assert str(date_of("1960-05-02")) == "1960-05-02"
    assert date_of(None) is None and date_of(7) is None


@pytest.mark.parametrize(
    ("at", "counts"),
    [
        ("2019-12-31T23:59:59Z", True),
        ("2020-01-01T00:00:00Z", False),
        ("2019-12-30", False),
        ("2019-12-29", True),
        ("2019", False),
        ("2018", True),
        (None, False),
    ],
)
def test_only_what_was_over_before_counts(at: str | None, counts: bool) -> None:
    kept = history(person(), observation("1", 5, at=at)).within(BEFORE, None)
    assert bool(kept.of("Observation")) is counts
    assert kept.person is not None


def test_what_was_recorded_later_was_not_known_before() -> None:
    late = condition(at="2018-01-01T00:00:00Z", recordedDate="2021-01-01T00:00:00Z")
    early = condition(at="2018-01-01T00:00:00Z", recordedDate="2018-02-01T00:00:00Z")
    assert not history(late).within(BEFORE, None).of("Condition")
    assert history(early).within(BEFORE, None).of("Condition")


def test_a_stay_that_went_on_was_not_over() -> None:
    stay = encounter("2019-12-20T00:00:00Z")
    stay["period"]["end"] = "2020-01-02T00:00:00Z"
    assert not history(stay).within(BEFORE, None).of("Encounter")


def test_what_began_later_is_not_of_the_index() -> None:
    kept = history(observation("1", 5, at="2020-01-01T00:00:01Z")).within(None, BEFORE)
    assert not kept.of("Observation")
    assert history(observation("1", 5, at="2020-01-01T00:00:00Z")).within(None, BEFORE).of("Observation")


@pytest.mark.parametrize(
    "changes",
    [
        {"status": "entered-in-error"},
        {"status": "cancelled"},
        {"verificationStatus": {"coding": [{"code": "refuted"}]}},
        {"verificationStatus": {"coding": [{"code": "provisional"}]}},
        {"doNotPerform": True},
        {"intent": "proposal"},
    ],
)
def test_what_is_not_so_does_not_count(changes: dict[str, object]) -> None:
    assert not is_so(condition(**changes))
    assert not history(condition(**changes)).of("Condition")


def test_what_says_nothing_of_its_truth_counts() -> None:
    assert is_so(condition(verificationStatus=None)) and is_so(condition())


def test_events_come_in_time_whatever_their_order() -> None:
    days = ["2019-03-02T00:00:00Z", "2019-03-01T00:00:00Z", None, "2019-03-03"]
    found = history(*(observation("1", 5, at=at) for at in days)).of("Observation")
    assert [event.content.get("effectiveDateTime") for event in found] == [
        None, "2019-03-01T00:00:00Z", "2019-03-02T00:00:00Z", "2019-03-03",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "content", "codes"),
    [
        ("Patient.gender", {"gender": "female"}, [Code("", "female")]),
        ("Condition.code", condition("1"), [Code("http://snomed.info/sct", "1")]),
        ("Encounter.class", {"class": {"system": "s", "code": "AMB"}}, [Code("s", "AMB")]),
        (
            "Encounter.type",
            {"type": [{"coding": [{"system": "s", "code": "1"}]}, {"coding": [{"code": "2"}]}]},
            [Code("s", "1"), Code("", "2")],
        ),
        (
            "MedicationRequest.medication",
            {"medicationCodeableConcept": {"coding": [{"system": "s", "code": "m"}]}},
            [Code("s", "m")],
        ),
        (
            "Encounter.hospitalization.dischargeDisposition",
            {"hospitalization": {"dischargeDisposition": {"coding": [{"system": "s", "code": "home"}]}}},
            [Code("s", "home")],
        ),
        ("Condition.code", {"code": {"text": "no coding"}}, []),
        ("Condition.code", {"code": {"coding": "broken"}}, []),
        ("Condition.code", {"code": 7}, []),
        ("Condition.code", {}, []),
    ],
)
def test_codes_are_found_where_fhir_has_them(
    name: str, content: dict[str, object], codes: list[Code]
) -> None:
    assert list(Element.parse(Place(name)).codes(content)) == codes


@pytest.mark.parametrize(
    "name", ["Observation", "Claim.item", "observation.code", "Observation.code()", "", "Observation.", 3]
)
def test_what_is_no_element_is_refused(name: object) -> None:
    with pytest.raises(DataError, match=r"^Mapping, at: "):
        Element.parse(Place(name, "at"))
