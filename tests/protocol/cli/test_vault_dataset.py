"""`salus vault dataset`, `salus dataset audit` and the rest of what a hospital does with a dataset of images."""

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
from protocol.errors import ChainUnreachable
from protocol.vault.images import ImageDataset
from protocol.vault.store import Vault
from protocol.withdrawal import ModelUse
from tests.protocol.imaging.made import PSEUDONYMS
from tests.protocol.vault.cohorts import SCHEMA, Finder, fill

PASSWORD = "of the vault"
#: Of 40 patients the draw leaves each side its ten records, but once in millions of times.
PATIENTS, SHARE = 40, "0.5"


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("template")
    fill(Vault.create(home, PASSWORD), range(PATIENTS))
    (home / "pw").write_text(PASSWORD)
    (home / "schema.json").write_text(json.dumps(SCHEMA.to_dict()))
    (home / "pseudonyms.key").write_bytes(PSEUDONYMS._secret)
    return home


@pytest.fixture
def home(template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("protocol.vault.evidence.RapidOcr", Finder)
    return Path(shutil.copytree(template, tmp_path / "home"))


def salus(home: Path, *words: object) -> Result:
    given = ["--home", str(home), *map(str, words), "--vault-password-file", str(home / "pw"), "--json"]
    return CliRunner().invoke(main, given)


def said(result: Result) -> dict[str, Any]:
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def made(home: Path, *words: object) -> dict[str, Any]:
    return said(
        salus(
            home, "vault", "dataset", "breast", "--schema", home / "schema.json", "--held-out", SHARE, *words
        )
    )


def test_a_dataset_is_made_and_audited(home: Path) -> None:
    first = made(home, "--where", "modality = 'US'")
    assert (first["version"], first["dataset_id"], first["waiting"]) == (1, None, 0)
    assert first["train_records"] + first["held_out_records"] == 2 * PATIENTS
    audit = said(salus(home, "dataset", "audit", "--name", "breast"))
    evidence = ImageDataset.open(home / "datasets" / "breast").evidence()
    assert audit["ok"] and audit["on_chain"] is None
    assert audit["stated"] == audit["found"] == "0x" + digest_of(evidence).hex()


def test_it_is_extended_once_enough_patients_have_come(home: Path) -> None:
    made(home)
    again = said(salus(home, "vault", "dataset", "breast"))
    assert (again["version"], again["waiting"]) == (1, 0)
    vault = Vault.open(home, PASSWORD)
    fill(vault, [90])
    few = said(salus(home, "vault", "dataset", "breast"))
    assert (few["version"], few["waiting"]) == (1, 2)
    fill(vault, range(91, 95))
    enough = said(salus(home, "vault", "dataset", "breast"))
    assert (enough["version"], enough["waiting"]) == (2, 0)
    assert enough["train_records"] + enough["held_out_records"] == 2 * PATIENTS + 10


@pytest.mark.parametrize(
    ("words", "code", "reason"),
    [
        (("vault", "dataset", "other"), 2, "needs --schema"),
        (("vault", "dataset", "breast", "--schema", "schema.json"), 2, "its schema stays"),
        (("vault", "dataset", "breast", "--where", "label = 1"), 2, "its cohort"),
        (("vault", "dataset", "../x", "--schema", "schema.json"), 1, "not a name"),
        (("vault", "dataset", "tables", "--schema", "uci-heart-disease"), 1, "is of a table"),
        (("vault", "dataset", "new", "--schema", "breast", "--where", "label = 1"), 1, "no packaged schema"),
        (("dataset", "audit", "--name", "none"), 1, "There is no dataset none"),
    ],
)
def test_what_does_not_fit_is_refused_in_words(
    home: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], code: int, reason: str
) -> None:
    made(home)
    monkeypatch.chdir(home)
    result = salus(home, *words)
    assert result.exit_code == code
    assert reason in " ".join(result.output.split())


def test_an_audit_fails_when_a_label_of_the_evidence_was_forged(home: Path) -> None:
    made(home)
    path = home / "datasets" / "breast" / "evidence" / "000001.json"
    path.write_bytes(path.read_bytes().replace(b'"found_again":0', b'"found_again":1'))
    result = salus(home, "dataset", "audit", "--name", "breast")
    assert result.exit_code == 1 and "altered" in result.output


def test_an_audit_that_differs_from_the_chain_fails(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made(home)
    ImageDataset.open(home / "datasets" / "breast").remember_id(7)
    on_chain = SimpleNamespace(version=SimpleNamespace(evidence_digest=bytes(32)))
    monkeypatch.setattr("protocol.cli.session.Session.chain", None)
    monkeypatch.setattr("protocol.holdings.registered_version", lambda _chain, _made: on_chain)
    result = salus(home, "dataset", "audit", "--name", "breast")
    assert result.exit_code == 1
    found = json.loads(result.stdout)
    assert (found["ok"], found["on_chain"], found["differing"]) == (False, "0x" + bytes(32).hex(), [])
    assert said(salus(home, "dataset", "audit", "--name", "breast", "--offline"))["ok"]


def withdrawn(home: Path, monkeypatch: pytest.MonkeyPatch, answer: Any) -> dict[str, Any]:
    """Withdraws a patient of a dataset that the chain has as number 7."""
    made(home)
    ImageDataset.open(home / "datasets" / "breast").remember_id(7)
    monkeypatch.setattr("protocol.cli.session.Session.chain", None)
    monkeypatch.setattr("protocol.withdrawal.models_that_used", answer)
    return said(salus(home, "vault", "withdraw", "HOSP-3"))


def test_a_withdrawal_makes_a_version_and_lists_the_models(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def models_that_used(_chain: object, dataset_id: int, roots: list[bytes]) -> list[ModelUse]:
        asked.append((dataset_id, roots))
        return [ModelUse(1, 2, 3, ModelStatus.RELEASED, [1]), ModelUse(1, 3, 4, ModelStatus.CANDIDATE, [])]

    result = withdrawn(home, monkeypatch, models_that_used)
    assert result["instances"] == 2
    assert result["datasets"] == [{"dataset": "breast", "dataset_id": 7, "version": 2, "places": []}]
    assert [(each["model_id"], each["version"], each["status"]) for each in result["models"]] == [
        (1, 2, "released"), (1, 3, "candidate"),
    ]  # fmt: skip
    before = ImageDataset.open(home / "datasets" / "breast", 1).root
    assert asked == [(7, [before])]
    later = said(salus(home, "dataset", "uses", "--name", "breast"))
    assert later["revoked_versions"] == [1]
    assert later["models"] == result["models"]
    assert (
        said(salus(home, "dataset", "audit", "--name", "breast", "--offline"))["evidence"]["withdrawn"] == 2
    )


def test_a_withdrawal_stands_when_the_chain_does_not_answer(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreachable(*_: object) -> list[ModelUse]:
        raise ChainUnreachable("No node answers.")

    result = withdrawn(home, monkeypatch, unreachable)
    assert result["models"] is None
    assert ImageDataset.open(home / "datasets" / "breast").version == 2


def test_a_withdrawal_tries_every_dataset_and_then_says_what_failed(home: Path) -> None:
    made(home)
    broken = home / "datasets" / "a-broken-one"
    broken.mkdir()
    (broken / "manifest.json").touch()
    result = salus(home, "vault", "withdraw", "HOSP-3")
    assert result.exit_code == 1 and "not JSON" in result.output
    vault = Vault.open(home, PASSWORD)
    latest = ImageDataset.open(home / "datasets" / "breast", vault=vault)
    assert latest.version == 2 and latest.uids_of(PSEUDONYMS.patient("HOSP-3")) == []


def test_a_withdrawal_reaches_members_that_an_older_vault_lacks(home: Path) -> None:
    shutil.copytree(home / "vault", home / "older")
    fill(Vault.open(home, PASSWORD), [90])
    made(home)
    shutil.rmtree(home / "vault")
    (home / "older").rename(home / "vault")
    result = said(salus(home, "vault", "withdraw", "HOSP-90"))
    assert (result["instances"], [each["version"] for each in result["datasets"]]) == (0, [2])


def test_views_for_people_say_the_same(home: Path) -> None:
    made(home)
    words = ["--home", str(home), "--vault-password-file", str(home / "pw")]
    runner = CliRunner()
    audit = runner.invoke(
        main, ["--home", str(home), "dataset", "audit", "--name", "breast", *words[2:], "--offline"]
    )
    assert audit.exit_code == 0 and "is what the vault gives" in audit.output
    uses = runner.invoke(main, ["--home", str(home), "dataset", "uses", "--name", "breast", *words[2:]])
    assert uses.exit_code == 0 and "No model learned" in uses.output
    extended = runner.invoke(main, ["--home", str(home), "vault", "dataset", "breast", *words[2:]])
    assert extended.exit_code == 0 and "Nothing in the vault is new" in extended.output
