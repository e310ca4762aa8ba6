"""A hospital spends no epsilon that its consent does not allow, and says whom it protects (DESIGN invariant 3)."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from protocol.data.dataset import Dataset
from protocol.errors import AdmissionRefused, BudgetSpent
from protocol.learning.context import RoundContext
from protocol.learning.privacy import epsilon, micro, spending
from protocol.node.privacy_budget import PrivacyBudget
from protocol.spec import JobSpec
from tests.protocol.job_documents import job

ROUNDS = 12


def spec_of(**changes) -> JobSpec:
    document = job(rounds=ROUNDS)
    document["training"] |= {"batch_size": 512, "local_epochs": 1}
    document["privacy"]["dp"] = {
        "unit": "record", "noise_multiplier": 20, "max_grad_norm": 1, "delta": 0.001, "accountant": "rdp", **changes,
    }  # fmt: skip
    return JobSpec.from_dict(document)


class ConsentsStub:
    """What the chain says of one consent and its dataset."""

    def __init__(self, budget: int, spent: int = 0) -> None:
        self.budget, self.spent = budget, spent

    def consent(self, _consent_id: int) -> SimpleNamespace:
        return SimpleNamespace(terms=SimpleNamespace(dataset_id=4, epsilon_budget_micro=self.budget))

    def epsilon_spent_micro(self, _dataset_id: int) -> int:
        return self.spent


PLACE = SimpleNamespace(dataset_id=4, consent_id=9)


def context(round: int, attempt: int = 1) -> RoundContext:
    return RoundContext(
        chain_id=1, genesis="0x" + "11" * 32, contract="0x" + "22" * 20, job_id=1, spec=bytes(32),
        round=round, attempt=attempt, base=bytes(32), hospitals=(1, 2, 3), weights=((1, 3),) * 3, mask_keys=(), lanes=4,
    )  # fmt: skip


def made(folder: Path, count: int = 40, patients: list[str] | None = None) -> Dataset:
    records = [{"age": 30 + i / 8, "cp": 1 + i % 3, "num": i % 2} for i in range(count)]
    sides = np.array([0] * (count - 12) + [1] * 12, np.uint8)
    return Dataset.create(folder, spec_of().schema, records, sides, patients=patients)


def budget_of(spec: JobSpec, dataset: Dataset, monkeypatch, consents: ConsentsStub) -> PrivacyBudget:
    monkeypatch.setattr("protocol.node.privacy_budget.Consents", lambda _chain: consents)
    made_budget = PrivacyBudget.of(None, spec, dataset)
    assert made_budget is not None
    return made_budget


def cost(rounds: int, units: int = 28) -> int:
    return micro(epsilon([spending(spec_of(), units, rounds)], 0.001, "rdp"))


def test_a_job_without_differential_privacy_has_no_budget(tmp_path) -> None:
    assert PrivacyBudget.of(None, JobSpec.from_dict(job()), made(tmp_path / "d")) is None


def test_a_hospital_enrols_only_where_the_whole_job_fits(tmp_path, monkeypatch) -> None:
    whole = cost(ROUNDS)
    consents = ConsentsStub(whole)
    budget = budget_of(spec_of(), made(tmp_path / "d"), monkeypatch, consents)
    assert budget.reasons_against(9) == []
    consents.budget = whole - 1
    assert "would bring the dataset" in budget.reasons_against(9)[0]
    consents.budget, consents.spent = whole, 1_000_000
    assert "would bring the dataset" in budget.reasons_against(9)[0]
    consents.budget = 0
    assert "budget of epsilon 0;" in budget.reasons_against(9)[0]


def test_delta_must_be_below_one_in_so_many(tmp_path, monkeypatch) -> None:
    budget = budget_of(spec_of(delta=0.04), made(tmp_path / "d"), monkeypatch, ConsentsStub(10**12))
    assert "publish one of 28 records whole" in budget.reasons_against(9)[0]


def test_rounds_are_counted_and_the_one_too_many_is_refused(tmp_path, monkeypatch) -> None:
    budget = budget_of(spec_of(), made(tmp_path / "d"), monkeypatch, ConsentsStub(cost(2)))
    for number in (1, 2):
        budget.reserve(context(number), PLACE)
        assert budget.declared_micro(PLACE) == cost(number)
    with pytest.raises(BudgetSpent, match="Nothing was trained"):
        budget.reserve(context(3), PLACE)
    assert budget.declared_micro(PLACE) == cost(2)


def test_what_is_declared_is_never_below_the_chain_and_never_past_the_budget(tmp_path, monkeypatch) -> None:
    consents = ConsentsStub(cost(ROUNDS))
    budget = budget_of(spec_of(), made(tmp_path / "d"), monkeypatch, consents)
    budget.reserve(context(1), PLACE)
    consents.spent = cost(ROUNDS)
    assert budget.declared_micro(PLACE) == cost(ROUNDS)
    consents.budget = cost(ROUNDS) - 1
    with pytest.raises(BudgetSpent, match="stays here"):
        budget.declared_micro(PLACE)


def test_patients_are_the_unit_where_the_dataset_can_tell(tmp_path, monkeypatch) -> None:
    dataset = made(tmp_path / "d", patients=[f"P{i % 10}" for i in range(28)] + [f"H{i}" for i in range(12)])
    budget = budget_of(spec_of(unit="patient"), dataset, monkeypatch, ConsentsStub(10**12))
    assert budget.units == 10
    assert len(budget.patients) == 28
    by_record = budget_of(spec_of(), dataset, monkeypatch, ConsentsStub(10**12))
    assert (by_record.units, by_record.patients) == (28, None)


def test_patients_cannot_be_promised_what_the_dataset_cannot_tell(tmp_path, monkeypatch) -> None:
    with pytest.raises(AdmissionRefused, match="cannot tell whose"):
        budget_of(spec_of(unit="patient"), made(tmp_path / "d"), monkeypatch, ConsentsStub(10**12))
