"""The ledger of a dataset: it never falls, and never passes the budget of the consent in use (invariant 3)."""

from __future__ import annotations

import pytest

BUDGET = 1_000_000


@pytest.fixture
def spend(consents, consumer, member, purpose):
    """Uses a consent and declares the dataset's total."""

    def _spend(consent_id, total):
        return consents.use(consent_id, member.id, purpose(), total, {"from": consumer})

    return _spend


def test_a_total_is_kept_for_the_dataset(consents, dataset_id, mint, spend):
    consent_id = mint(epsilon_budget_micro=BUDGET)
    tx = spend(consent_id, 300_000)

    assert tx.events["EpsilonSpent"] == {
        "datasetId": dataset_id,
        "consentId": consent_id,
        "totalMicro": 300_000,
    }
    assert consents.epsilonSpentMicro(dataset_id) == 300_000


def test_the_budget_may_be_reached_and_not_passed(consents, dataset_id, mint, spend, reverts):
    """Invariant 3."""
    consent_id = mint(epsilon_budget_micro=BUDGET)
    with reverts("EpsilonExceeded", consent_id, BUDGET, BUDGET + 1):
        spend(consent_id, BUDGET + 1)
    spend(consent_id, BUDGET)
    assert consents.epsilonSpentMicro(dataset_id) == BUDGET
    assert consents.consent(consent_id)["roundsUsed"] == 1


def test_a_total_may_stay_and_not_fall(dataset_id, mint, spend, reverts):
    """Invariant 3."""
    consent_id = mint(epsilon_budget_micro=BUDGET)
    spend(consent_id, 300_000)
    spend(consent_id, 300_000)
    with reverts("EpsilonFalls", dataset_id, 300_000, 299_999):
        spend(consent_id, 299_999)


def test_a_new_consent_buys_no_fresh_budget(consents, dataset_id, member, mint, spend, reverts):
    """Invariant 3: revoking and minting anew leaves the ledger where it was."""
    first = mint(epsilon_budget_micro=BUDGET)
    spend(first, BUDGET)
    consents.revoke(first, {"from": member.admin})
    second = mint(epsilon_budget_micro=BUDGET)
    with reverts("EpsilonExceeded", second, BUDGET, BUDGET + 1):
        spend(second, BUDGET + 1)
    with reverts("EpsilonFalls", dataset_id, BUDGET, 1):
        spend(second, 1)


def test_a_new_version_buys_no_fresh_budget(datasets, dataset_id, member, mint, spend, version, reverts):
    """Invariant 3: the ledger runs over all versions."""
    consent_id = mint(epsilon_budget_micro=BUDGET)
    spend(consent_id, BUDGET)
    datasets.append(dataset_id, version(), {"from": member.operator})
    with reverts("EpsilonFalls", dataset_id, BUDGET, 1):
        spend(consent_id, 1)


def test_each_dataset_has_its_own_ledger(consents, dataset_id, member, mint, register, spend):
    second_dataset = register(member)
    spend(mint(epsilon_budget_micro=BUDGET), BUDGET)
    spend(mint(dataset_id=second_dataset, epsilon_budget_micro=BUDGET), 1)
    assert consents.epsilonSpentMicro(dataset_id) == BUDGET
    assert consents.epsilonSpentMicro(second_dataset) == 1


def test_a_job_without_differential_privacy_leaves_the_ledger(consents, dataset_id, mint, spend):
    consent_id = mint(epsilon_budget_micro=BUDGET)
    spend(consent_id, 300_000)
    tx = spend(consent_id, 0)
    assert "EpsilonSpent" not in tx.events
    assert consents.epsilonSpentMicro(dataset_id) == 300_000


def test_a_consent_without_budget_lets_nothing_be_declared(mint, spend, reverts):
    consent_id = mint(epsilon_budget_micro=0)
    with reverts("EpsilonExceeded", consent_id, 0, 1):
        spend(consent_id, 1)
