"""A node with a dataset of records: found for a job, trained on, its patients protected."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from protocol.data.splits import HELD_OUT, TRAIN
from protocol.errors import AdmissionRefused, DataError
from protocol.node import joining
from protocol.node.joining import Joining
from protocol.node.privacy_budget import PrivacyBudget
from protocol.spec import DpSpec
from protocol.vault.record_dataset import RecordDataset
from protocol.vault.store import Vault
from tests.protocol.vault.cohorts import vault_in
from tests.protocol.vault.tables import SCHEMA, pseudonym, rows

SPEC = SimpleNamespace(schema_digest=SCHEMA.digest())


@pytest.fixture
def vault(tmp_path: Path) -> Vault:
    return vault_in(tmp_path)


@pytest.fixture
def dataset(tmp_path: Path, vault: Vault) -> RecordDataset:
    """Of sixty patients, two records each, registered as number 7."""
    folder = tmp_path / "datasets" / "cohort"
    made = RecordDataset.create(folder, SCHEMA, rows(range(60), each=2), vault, held_out=0.5)
    made.remember_id(7)
    return made


def looking(home: Path, vault: Vault | None) -> Any:
    node = SimpleNamespace(home=home, vault=vault, chain=None)
    node._pinned_version = lambda *parts: Joining._pinned_version(node, *parts)
    return node


def test_a_job_finds_it_and_trains_on_it(tmp_path: Path, vault: Vault, dataset: RecordDataset) -> None:
    found = Joining._dataset_for(looking(tmp_path, vault), SPEC, None)
    assert found.root == dataset.root
    for side, count in ((TRAIN, found.train_records), (HELD_OUT, found.held_out_records)):
        inputs, labels = found.arrays(side)
        assert inputs.shape == (count, SCHEMA.inputs) and labels.shape == (count,)


@pytest.mark.usefixtures("dataset")
def test_a_closed_vault_is_the_reason_against_it(tmp_path: Path) -> None:
    with pytest.raises(AdmissionRefused, match="vault that holds them is closed") as refused:
        Joining._dataset_for(looking(tmp_path, None), SPEC, None)
    assert "--vault-password-file" in refused.value.hint


def test_a_job_goes_on_with_the_version_that_was_pinned_until_somebody_withdraws(
    tmp_path: Path, vault: Vault, dataset: RecordDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    second = dataset.extend(rows(range(100, 110)), vault)
    registered = [SimpleNamespace(version=SimpleNamespace(root=each.root)) for each in (dataset, second)]
    monkeypatch.setattr(joining, "Datasets", lambda _chain: SimpleNamespace(versions=lambda _id: registered))
    place = SimpleNamespace(dataset_id=7, dataset_version=1)
    found = Joining._dataset_for(looking(tmp_path, vault), SPEC, place)
    assert (found.version, found.root) == (1, dataset.root)
    found.arrays(TRAIN)
    second.withdraw([pseudonym(5)])
    # What a node does before each further round.
    with pytest.raises(DataError, match="withdrawn since"):
        found.verify()


def test_its_patients_are_the_unit_that_is_protected(dataset: RecordDataset) -> None:
    dp = DpSpec(unit="patient", noise_multiplier=1.0, max_grad_norm=1.0, delta=1e-6, accountant="rdp")
    budget = PrivacyBudget(None, None, dp, dataset)
    assert budget.units == dataset.train_records / 2
    assert len(budget.patients) == dataset.train_records
    assert (np.bincount(budget.patients) == 2).all()
