"""What `salus dataset` does with a dataset of records: verify, prove, prove an erasure, audit, uses."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner, Result

from protocol.chain.enums import ModelStatus
from protocol.cli import main
from protocol.content.cid import digest_of
from protocol.vault.record_dataset import RecordDataset
from protocol.vault.store import Vault
from protocol.withdrawal import ModelUse
from tests.protocol.vault.tables import SCHEMA, pseudonym, rows

PASSWORD = "of the vault"


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with a dataset, registered as number 7, whose second version is without a patient."""
    home = tmp_path_factory.mktemp("template")
    vault = Vault.create(home, PASSWORD)
    made = RecordDataset.create(home / "datasets" / "cohort", SCHEMA, rows(range(60)), vault, held_out=0.5)
    made.remember_id(7)
    made.withdraw([pseudonym(5)])
    (home / "pw").write_text(PASSWORD)
    return home


@pytest.fixture
def home(template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    home = Path(shutil.copytree(template, tmp_path / "home"))
    monkeypatch.setattr("protocol.cli.session.Session.chain", None)
    monkeypatch.setattr("protocol.holdings.Datasets", lambda _chain: Registry(home))
    return home


class Registry:
    """A chain that has every version of the dataset."""

    def __init__(self, home: Path) -> None:
        folder = home / "datasets" / "cohort"
        self.roots = [RecordDataset.open(folder, number).root for number in (1, 2)]
        self.evidence = [digest_of(RecordDataset.open(folder, number).evidence()) for number in (1, 2)]

    def version_with_root(self, _dataset_id: int, root: bytes) -> int:
        return self.roots.index(root) + 1

    def versions(self, _dataset_id: int) -> list[Any]:
        return [
            SimpleNamespace(number=number, version=SimpleNamespace(root=root, evidence_digest=evidence))
            for number, (root, evidence) in enumerate(zip(self.roots, self.evidence, strict=True), 1)
        ]


def salus(home: Path, *words: object, vault: bool = True) -> Result:
    given = ["--home", str(home), *map(str, words), "--json"]
    return CliRunner().invoke(main, [*given, *(["--vault-password-file", str(home / "pw")] if vault else [])])


def said(result: Result) -> dict[str, Any]:
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_it_is_verified_and_a_record_proved(home: Path) -> None:
    assert said(salus(home, "dataset", "verify", "--name", "cohort"))["version"] == 2
    said(salus(home, "dataset", "verify", "--name", "cohort", "--prove", 6, "--out", home / "proof.json"))
    # Whoever holds the proof needs no vault.
    found = said(salus(home, "dataset", "verify", "--proof", home / "proof.json", vault=False))
    assert (found["dataset_id"], found["version"], found["index"]) == (7, 2, 6)


def test_an_erasure_is_proved_to_whoever_asks(home: Path) -> None:
    words = ("dataset", "verify", "--name", "cohort", "--erased", 5, "--out", home / "erased.json")
    said(salus(home, *words))
    found = said(salus(home, "dataset", "verify", "--proof", home / "erased.json", vault=False))
    assert found == {"ok": True, "dataset_id": 7, "version": 2, "erased": [5]}
    shown = CliRunner().invoke(
        main, ["--home", str(home), "dataset", "verify", "--proof", str(home / "erased.json")]
    )
    assert "Version 2 of dataset 7 holds nothing at place 5." in " ".join(shown.output.split())


@pytest.mark.parametrize(
    ("words", "code", "reason"),
    [
        (("--name", "cohort", "--erased", 6, "--out", "new.json"), 1, "Record 6 was not withdrawn"),
        (("--name", "cohort", "--prove", 5, "--out", "new.json"), 1, "Record 5 was withdrawn"),
        (("--name", "cohort", "--erased", 5), 2, "--out FILE"),
        (("--name", "cohort", "--erased", 5, "--prove", 6, "--out", "new.json"), 2, "--out FILE"),
        (("--name", "cohort", "--out", "new.json"), 2, "--out FILE"),
    ],
)
def test_what_cannot_be_proved_is_said(
    home: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[Any, ...], code: int, reason: str
) -> None:
    monkeypatch.chdir(home)
    result = salus(home, "dataset", "verify", *words)
    assert result.exit_code == code
    assert reason in " ".join(result.output.split())
    assert not (home / "new.json").exists()


def test_an_erasure_that_was_altered_fits_no_version(home: Path) -> None:
    salus(home, "dataset", "verify", "--name", "cohort", "--erased", 5, "--out", home / "erased.json")
    document = json.loads((home / "erased.json").read_text())
    document["places"] = {"6": document["places"]["5"]}
    (home / "erased.json").write_text(json.dumps(document))
    result = salus(home, "dataset", "verify", "--proof", home / "erased.json")
    assert result.exit_code == 1 and "fits no version of dataset 7" in " ".join(result.output.split())


def test_an_audit_holds_the_evidence_against_the_records_and_the_chain(home: Path) -> None:
    found = said(salus(home, "dataset", "audit", "--name", "cohort"))
    assert found["ok"] and found["on_chain"] == found["found"] == found["stated"]
    assert found["evidence"]["withdrawn"] == 1
    words = [
        "--home",
        str(home),
        "dataset",
        "audit",
        "--name",
        "cohort",
        "--vault-password-file",
        str(home / "pw"),
    ]
    shown = CliRunner().invoke(main, words)
    assert shown.exit_code == 0 and "what the vault gives" in shown.output, (
        "there is no sample of images to tell of"
    )


def test_uses_lists_models_that_learned_from_who_withdrew(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []

    def models_that_used(_chain: object, dataset_id: int, roots: list[bytes]) -> list[ModelUse]:
        asked.append((dataset_id, roots))
        return [ModelUse(1, 2, 3, ModelStatus.RELEASED, [1])]

    monkeypatch.setattr("protocol.withdrawal.models_that_used", models_that_used)
    found = said(salus(home, "dataset", "uses", "--name", "cohort"))
    assert (found["revoked_versions"], found["models"][0]["status"]) == ([1], "released")
    assert asked == [(7, [RecordDataset.open(home / "datasets" / "cohort", 1).root])]


def test_the_help_of_a_back_up_says_that_records_are_in_it() -> None:
    shown = CliRunner().invoke(main, ["dataset", "backup", "--help"])
    assert "Datasets of records are kept whole" in " ".join(shown.output.split())


def test_no_table_of_somebody_elses_is_appended(home: Path) -> None:
    (home / "more.csv").write_text("systolic\n")
    result = salus(
        home, "dataset", "append", home / "more.csv", "--name", "cohort", "--account", "x", vault=False
    )
    assert result.exit_code == 1
    assert "salus records cohort cohort" in " ".join(result.output.split())
