"""A dataset of records in a home, for the tests of such datasets; others make what they need themselves."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from protocol.vault.record_dataset import RecordDataset
from protocol.vault.store import Vault
from tests.protocol.vault.cohorts import vault_in
from tests.protocol.vault.tables import PATIENTS, made, rows


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with a dataset of 60 patients' records."""
    home = tmp_path_factory.mktemp("template")
    made(home, vault_in(home), rows(range(PATIENTS)))
    return home


@pytest.fixture
def home(template: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(template, tmp_path / "home"))


@pytest.fixture
def vault(home: Path) -> Vault:
    return vault_in(home)


@pytest.fixture
def dataset(home: Path, vault: Vault) -> RecordDataset:
    return RecordDataset.open(home / "datasets" / "cohort", vault=vault)
