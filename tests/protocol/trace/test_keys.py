"""The keys of masking as anyone sees them: registered, not weak, used once."""

from __future__ import annotations

from dataclasses import replace

import pytest

from protocol.trace.check import Check
from protocol.trace.keys import check_keys
from tests.protocol.trace.histories import HOSPITALS, FakeEvidence, History, failures


def checked(history: History) -> list[str]:
    root = Check("root")
    check_keys(FakeEvidence(history), root, history.record)
    return failures(root)


def with_key(key: bytes, hospital_id: int = HOSPITALS[0]) -> History:
    history = History()
    for each in history.events:
        if each.name == "Enrolled" and each.args["hospitalId"] == hospital_id:
            each.args["maskKey"] = key
    return history


def test_a_key_for_each_hospital_holds() -> None:
    assert checked(History()) == []


def test_no_key_in_a_masked_job_is_missed() -> None:
    assert checked(with_key(bytes(32))) == [f"hospital {HOSPITALS[0]}: none is registered"]


def test_a_key_of_low_order_is_named() -> None:
    (failure,) = checked(with_key((1).to_bytes(32, "little")))
    assert "of low order" in failure


def in_another_job(hospital_id: int, key: bytes, place: int) -> list[str]:
    """What is said of a history in which a hospital enrolled with this key in another job, at a place among it all."""
    history = History()
    record = history.record
    history.on("Enrolled", contract="TrainingJobs", hospitalId=hospital_id, participant={}, maskKey=key)
    other = history.events.pop()
    history.events.insert(place, replace(other, block=0) if place == 0 else other)
    root = Check("root")
    check_keys(FakeEvidence(history), root, record)
    return failures(root)


def test_a_key_that_its_hospital_used_before_is_named() -> None:
    first = HOSPITALS[0]
    key = History().record.mask_keys[first]
    assert in_another_job(first, key, 0) == [f"hospital {first}: it had registered the same before"]


@pytest.mark.parametrize("place", [0, -1])
def test_a_key_that_somebody_copies_says_nothing_about_its_hospital(place: int) -> None:
    """Anybody can read a key, even before it is on the chain, and enrol with it elsewhere."""
    assert in_another_job(99, History().record.mask_keys[HOSPITALS[0]], place) == []


def test_a_job_without_masks_has_no_keys() -> None:
    assert checked(History(masked=False)) == []
