"""Consent, rows and k-anonymity together: who is in, who is not, and what the report tells."""

from __future__ import annotations

import json
from collections import Counter
from datetime import date
from typing import Any

import pytest

from protocol.cohort.build import Members, build, remainder, steps
from protocol.content import canonical
from protocol.errors import DataError
from tests.protocol.cohort.made import (
    FakeRecords,
    condition,
    consent,
    mapping,
    person,
    pressure,
    today,
)


def patient(number: int, *more: dict[str, Any]) -> list[dict[str, Any]]:
    """Of four decades and two sexes."""
    sick = [condition(at="2019-06-01T00:00:00Z")] if number % 3 == 0 else []
    born = f"{1940 + 10 * (number % 4)}-03-01"
    return [person(born, ("female", "male")[number % 2]), pressure(100 + number), *sick, *more]


def hospital(count: int = 40) -> dict[str, list[dict[str, Any]]]:
    return {f"P{number:03}": patient(number) for number in range(count)}


def classes(records: list[dict[str, float]]) -> Counter[tuple[float, float]]:
    return Counter((each["age"], each["sex"]) for each in records)


def test_everyone_is_among_k_and_fits_the_schema() -> None:
    found = build(FakeRecords(hospital()), mapping(), at=today, k=5)
    records = [row.record for row in found.rows]
    mapping().schema().encode(records)
    assert min(classes(records).values()) >= 5 == found.report["k"]
    assert found.report["k_reached"] == min(classes(records).values())
    assert [row.patient for row in found.rows] == sorted(row.patient for row in found.rows)
    assert found.labels == (26, 14) and sum(size * count for size, count in found.sizes.items()) == 40


def test_only_the_types_that_it_reads_are_asked_for() -> None:
    records = FakeRecords(hospital())
    build(records, mapping(), at=today)
    assert records.asked == [{"Patient", "Encounter", "Observation", "Condition", "Consent"}]


def test_levels_rise_until_k_is_reached() -> None:
    two = build(FakeRecords(hospital(16)), mapping(), at=today, k=4)
    more = build(FakeRecords(hospital(16)), mapping(), at=today, k=8)
    assert sum(more.levels.values()) > sum(two.levels.values())
    assert more.report["loss"] > two.report["loss"]


def test_of_too_few_nothing_is_made() -> None:
    with pytest.raises(DataError, match="classes of 50"):
        build(FakeRecords(hospital()), mapping(), at=today, k=50)
    with pytest.raises(DataError, match="No patient"):
        build(FakeRecords({}), mapping(), at=today)


def test_who_objects_is_out_and_others_are_in() -> None:
    told = hospital()
    told["P000"].append(consent("deny"))
    told["P001"].append(consent("permit"))
    found = build(FakeRecords(told), mapping(), at=today)
    assert found.left_out == {"objection": 1}
    assert {row.patient for row in found.rows} == set(told) - {"P000"}


def test_with_opt_in_only_who_permits_is_in() -> None:
    told = hospital()
    for number in range(20):
        told[f"P{number:03}"].append(consent("permit" if number else "deny"))
    for found in (
        build(FakeRecords(told), mapping(), at=today, consent="opt-in"),
        build(FakeRecords(told), mapping(consent="opt-in"), at=today),
    ):
        assert found.left_out["objection"] == 1 and found.left_out["no permit"] == 20
        assert {row.patient for row in found.rows} <= {f"P{number:03}" for number in range(1, 20)}
        assert found.report["consent"] == "opt-in"


def test_settings_may_be_stricter_than_the_mapping_and_no_looser() -> None:
    with pytest.raises(DataError, match="k of 2 at least"):
        build(FakeRecords(hospital()), mapping(), at=today, k=1)
    with pytest.raises(DataError, match="opt-in"):
        build(FakeRecords(hospital()), mapping(consent="opt-in"), at=today, consent="opt-out")


def test_consent_is_asked_at_the_patients_own_today() -> None:
    asked: list[str] = []

    def at(name: str) -> date:
        asked.append(name)
        return date(2010, 1, 1)

    told = hospital(20)
    build(FakeRecords(told), mapping(), at=at)
    assert sorted(asked) == sorted(told)


def test_what_cannot_be_described_is_counted_by_reason() -> None:
    told = hospital()
    told["P100"] = [person("1950-01-01")]
    told["P101"] = [pressure(120)]
    for number in range(110, 117):
        told[f"P{number}"] = [person("2018-01-01"), pressure(90, unit="kPa")]
    found = build(FakeRecords(told), mapping(), at=today)
    assert found.left_out == {"no Patient resource": 1, "no index date": 1, "age: below 20": 7}
    assert found.report["left_out"] == {
        "no Patient resource": "<5",
        "no index date": "<5",
        "age: below 20": 5,
    }


def test_values_that_cannot_be_read_are_counted_by_patient() -> None:
    told = hospital()
    told["P000"] += [pressure(90, f"2018-01-{day:02}T00:00:00Z", unit="kPa") for day in range(1, 20)]
    found = build(FakeRecords(told), mapping(), at=today)
    assert found.report["patients_with_unread_values"] == {"systolic: unit not listed": "<5"}


@pytest.mark.parametrize(("count", "told"), [(0, "<5"), (4, "<5"), (5, 5), (9, 5), (10, 10), (1_234, 1_230)])
def test_a_report_tells_no_count_of_few_nor_a_difference_of_few(count: int, told: int | str) -> None:
    assert steps(count) == told


def test_the_report_is_a_document_without_patients() -> None:
    told = hospital()
    found = build(FakeRecords(told), mapping(), at=today)
    text = canonical.dumps(found.report).decode()
    assert not any(name in text for name in told)
    assert set(json.loads(text)) == {
        "cohort", "mapping", "rules", "purpose", "consent", "features", "before_label", "quasi_identifiers", "k",
        "levels", "left_out", "patients_with_unread_values", "k_reached", "highest_risk", "distinct_labels", "loss",
    }  # fmt: skip
    assert found.report["rules"] == ["ab" * 32]
    assert found.report["mapping"] == mapping().digest().hex()
    assert found.report["highest_risk"] == pytest.approx(1 / found.report["k_reached"], abs=1e-4)


def test_the_order_of_the_records_changes_nothing() -> None:
    told = hospital()
    turned = FakeRecords(dict(reversed(list(told.items()))))
    turned.by_patient = lambda types: reversed(list(FakeRecords(told).by_patient(types)))
    assert build(turned, mapping(), at=today) == build(FakeRecords(told), mapping(), at=today)


def as_members(rows: list[Any]) -> Members:
    """As a dataset keeps them: by codes, not by pseudonyms."""
    return Members({f"code of {row.patient}": row.record for row in rows}, lambda name: f"code of {name}")


def test_who_comes_later_is_generalised_alike_and_waits_for_k() -> None:
    first = build(FakeRecords(hospital()), mapping(), at=today, k=5)
    told = hospital(50)
    told["P900"] = [person("1925-01-01", "other"), pressure(120)]
    found = build(
        FakeRecords(told), mapping(), at=today, k=5, levels=first.levels, existing=as_members(first.rows)
    )
    assert found.levels == first.levels
    assert {row.patient for row in found.rows} == {f"P{number:03}" for number in range(40, 50)}
    assert found.left_out == {"class smaller than k": 1}
    assert not found.objected and not found.remainder
    together = classes([row.record for row in [*first.rows, *found.rows]])
    assert min(together.values()) >= 5
    for number in range(901, 905):
        told[f"P{number}"] = told["P900"]
    later = build(
        FakeRecords(told),
        mapping(),
        at=today,
        k=5,
        levels=first.levels,
        existing=as_members([*first.rows, *found.rows]),
    )
    assert len(later.rows) == 5 and not later.left_out


def test_who_objects_later_leaves_and_so_does_the_remainder_of_a_class() -> None:
    first = build(FakeRecords(hospital(40)), mapping(), at=today, k=5, max_suppressed=0)
    assert set(classes([row.record for row in first.rows]).values()) == {10}
    told = hospital(40)
    own = (first.rows[0].record["age"], first.rows[0].record["sex"])
    fellows = [row.patient for row in first.rows if (row.record["age"], row.record["sex"]) == own]
    for name in fellows[:6]:
        told[name].append(consent("deny"))
    told["P200"] = patient(0)
    found = build(
        FakeRecords(told), mapping(), at=today, k=5, levels=first.levels, existing=as_members(first.rows)
    )
    assert found.objected == fellows[:6] and found.remainder == fellows[6:]
    # A newcomer of that class finds it empty.
    assert not found.rows and found.left_out == {"objection": 6, "class smaller than k": 1}
    assert sum(found.labels) == 30 and found.report["k_reached"] == 10


def test_what_remains_after_a_withdrawal_is_found() -> None:
    first = build(FakeRecords(hospital(40)), mapping(), at=today, k=5, max_suppressed=0)
    members = {row.patient: row.record for row in first.rows}
    own = ("age", "sex")
    assert remainder(members, own, 5) == []
    fellows = [name for name, record in members.items() if record == {**members["P000"], **{
        other: record[other] for other in ("systolic", "diabetes")}}]  # fmt: skip
    for name in fellows[:6]:
        del members[name]
    assert remainder(members, own, 5) == fellows[6:]


def test_more_rows_need_the_levels_of_the_dataset() -> None:
    with pytest.raises(DataError, match="levels"):
        build(FakeRecords(hospital()), mapping(), at=today, existing=Members({}))
    with pytest.raises(DataError, match="not of the mapping's"):
        build(FakeRecords(hospital()), mapping(), at=today, levels={"age": 1}, existing=Members({}))


def test_nothing_new_changes_nothing() -> None:
    first = build(FakeRecords(hospital()), mapping(), at=today)
    again = build(
        FakeRecords(hospital()), mapping(), at=today, levels=first.levels, existing=as_members(first.rows)
    )
    assert not again.rows and not again.objected and not again.remainder
    assert again.labels == first.labels and again.sizes == first.sizes


def test_no_number_of_a_patient_is_in_a_refusal() -> None:
    told = {"P000": [person("1923-04-05"), pressure(123)]}
    with pytest.raises(DataError) as raised:
        build(FakeRecords(told), mapping(), at=today)
    assert not any(each in str(raised.value) for each in ("1923", "123", "P000"))


def test_who_left_a_dataset_is_no_newcomer_that_fills_a_class() -> None:
    first = build(FakeRecords(hospital(30)), mapping(), at=today, k=3)
    gone = first.rows[0]
    members = Members({row.patient: row.record for row in first.rows[1:]}, left={gone.patient})
    found = build(FakeRecords(hospital(30)), mapping(), at=today, k=3, levels=first.levels, existing=members)
    assert gone.patient not in {row.patient for row in found.rows}
    assert found.left_out["left this dataset before"] == 1


def test_one_individual_under_two_pseudonyms_has_one_row() -> None:
    told = hospital()
    told["P000-again"] = told["P000"]
    group = frozenset({"P000", "P000-again"})
    records = FakeRecords(told, groups=dict.fromkeys(group, group))
    found = build(records, mapping(), at=today)
    assert len(group & {row.patient for row in found.rows}) <= 1
    assert found.left_out["another record of the same individual"] == 1
    members = Members({"P000-again": found.rows[0].record})
    later = build(records, mapping(), at=today, levels=found.levels, existing=members)
    assert not group & {row.patient for row in later.rows}


def test_an_objection_under_one_pseudonym_holds_for_the_individual() -> None:
    told = hospital()
    told["P000-again"] = [*told["P000"], consent("deny")]
    group = frozenset({"P000", "P000-again"})
    found = build(FakeRecords(told, groups=dict.fromkeys(group, group)), mapping(), at=today)
    assert not group & {row.patient for row in found.rows}
    assert found.left_out["objection"] == 2


@pytest.mark.parametrize(("count", "taken"), [(4, 0), (5, 5)])
def test_a_class_of_one_less_than_k_waits(count: int, taken: int) -> None:
    first = build(FakeRecords(hospital()), mapping(), at=today, k=5)
    told = hospital()
    for number in range(900, 900 + count):
        told[f"P{number}"] = [person("1925-01-01", "other"), pressure(120)]
    found = build(
        FakeRecords(told), mapping(), at=today, k=5, levels=first.levels, existing=as_members(first.rows)
    )
    assert len(found.rows) == taken
    assert found.left_out.get("class smaller than k", 0) == count - taken
