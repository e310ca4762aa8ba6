from __future__ import annotations

from datetime import timedelta

from protocol.data.pseudonyms import Pseudonyms

ONE, OTHER = Pseudonyms(bytes(32)), Pseudonyms(bytes(range(32)))
NAMES = [f"PATIENT{number}" for number in range(500)]


def test_seconds_are_whole_below_a_day_and_of_the_patient():
    shifts = [ONE.shift_seconds(name) for name in NAMES]
    assert shifts == [ONE.shift_seconds(name) for name in NAMES]
    assert all(timedelta(0) <= each < timedelta(days=1) and not each.microseconds for each in shifts)
    assert len(set(shifts)) > 480
    assert shifts != [OTHER.shift_seconds(name) for name in NAMES]
    assert max(shifts) > timedelta(hours=20) and min(shifts) < timedelta(hours=4)


def test_seconds_say_nothing_about_days():
    assert [ONE.shift_seconds(name).seconds % 3_287 for name in NAMES] != [
        (-ONE.shift(name).days - 366) % 3_287 for name in NAMES
    ]


def test_a_resource_is_told_by_type_and_id():
    keys = {ONE.resource(kind, own) for kind in ("Patient", "Observation") for own in NAMES}
    assert len(keys) == 1_000 and all(len(key) == 16 for key in keys)
    assert ONE.resource("Patient", "1") != OTHER.resource("Patient", "1")
    assert ONE.resource("Patient", "1") != ONE.resource("Patien", "t1")
