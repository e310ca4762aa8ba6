"""What anyone can hold a hospital's declared epsilon against (DESIGN invariant 3)."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from protocol.chain.events import Event
from protocol.content.vectors import VectorRef
from protocol.learning.privacy import least_micro
from protocol.record import Attempt, JobRecord, RoundRecord, Update
from protocol.spec import JobSpec
from protocol.trace.check import Check
from protocol.trace.epsilon import check_epsilon
from tests.protocol.job_documents import job

HOSPITAL, CONSENT, RECORDS = 3, 9, 120
AMPLE = 10**12


def spec_of(**changes) -> JobSpec:
    document = job()
    document["privacy"]["dp"] = {
        "unit": "record", "noise_multiplier": 4, "max_grad_norm": 1, "delta": 0.001, "accountant": "rdp", **changes,
    }  # fmt: skip
    return JobSpec.from_dict(document)


def checked(totals: list[int], *, spec: JobSpec | None = None, budget: int = AMPLE) -> Check:
    """A job in which one hospital sent these totals, a round each."""
    record = JobRecord(1)
    record.participants[HOSPITAL] = SimpleNamespace(consent_id=CONSENT, train_records=RECORDS, dataset_id=4)
    for number, total in enumerate(totals, start=1):
        event = Event("UpdateSubmitted", "TrainingJobs", {}, 10 * number, 0, f"0x{number:064x}")
        update = Update(HOSPITAL, VectorRef(bytes(32), bytes(32)), total, event)
        record.rounds[number] = RoundRecord({1: Attempt(1, event, [update])})
    root = Check("job")
    consents = {CONSENT: SimpleNamespace(terms=SimpleNamespace(epsilon_budget_micro=budget))}
    check_epsilon(root, record, spec or spec_of(), consents)
    return root


def least(number: int) -> int:
    return least_micro(spec_of(), RECORDS, number)


def test_what_the_accountant_gives_holds() -> None:
    found = checked([least(1), least(2), least(3)])
    assert found.holds
    assert found.count() == 1
    assert "of 1e+06" in found.children[0].children[0].name


def test_more_than_this_job_costs_holds_too() -> None:
    """Other jobs, and attempts that were never sent."""
    assert checked([least(1) + 10**6, least(3) + 10**6]).holds


@pytest.mark.parametrize(
    ("totals", "budget", "reason"),
    [
        ([10**8, 10**8 - 1], AMPLE, "a total fell"),
        ([10**8, 10**8 + 1], 10**8, "more than the consent's budget"),
        ([least(1), least(1)], AMPLE, "update 2 declares"),
        ([0], AMPLE, "update 1 declares 0"),
    ],
)
def test_each_way_in_which_it_does_not_hold(totals: list[int], budget: int, reason: str) -> None:
    (failure,) = checked(totals, budget=budget).failures()
    assert reason in failure.detail


def test_of_patients_only_order_and_budget_can_be_seen() -> None:
    spec = spec_of(unit="patient")
    assert checked([1, 2], spec=spec).holds
    assert not checked([2, 1], spec=spec).holds


def test_training_that_no_accountant_can_bound_does_not_hold() -> None:
    (failure,) = checked([AMPLE], spec=spec_of(noise_multiplier=1e-300)).failures()
    assert "no finite epsilon" in failure.detail or "cannot bound" in failure.detail


def test_without_differential_privacy_nothing_is_checked() -> None:
    assert checked([0, 0], spec=JobSpec.from_dict(job())).children == []
