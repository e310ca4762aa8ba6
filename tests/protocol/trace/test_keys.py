"""The keys of masking as anyone sees them: registered, not weak, used once."""

from __future__ import annotations

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


def test_a_key_that_was_registered_before_is_named_where_it_comes_again() -> None:
    first, second, *_ = HOSPITALS
    key = History().record.mask_keys[first]
    assert checked(with_key(key, second)) == [f"hospital {second}: hospital {first} had registered it before"]


def test_a_key_that_somebody_copies_later_says_nothing_about_this_job() -> None:
    """Anybody can read a key on the chain, and enrol with it elsewhere."""
    history = History()
    history.on("Enrolled", contract="TrainingJobs", hospitalId=99, participant={}, maskKey=bytes([3]) * 32)
    other = history.events.pop()
    record = history.record
    history.events.append(other)
    root = Check("root")
    check_keys(FakeEvidence(history), root, record)
    assert failures(root) == []


def test_a_job_without_masks_has_no_keys() -> None:
    assert checked(History(masked=False)) == []
