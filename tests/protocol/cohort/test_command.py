"""`salus records cohort`, with a vault and a dataset as they are."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from protocol.cli.cohort import cohort
from protocol.cli.session import Session
from protocol.cohort.members import without
from protocol.data.pseudonyms import SECRET, Pseudonyms
from protocol.errors import DataError
from protocol.vault.record_dataset import RecordDataset
from protocol.vault.records import Records
from protocol.vault.store import Vault
from tests.protocol.cohort.made import DOCUMENT, clean, condition, consent, person, pressure

PASSWORD = "of the vault"


def name_of(number: int) -> str:
    return f"PATIENT{number:09}"


def told(number: int, *more: dict[str, Any]) -> list[dict[str, Any]]:
    sick = [condition(at="2019-06-01T00:00:00Z")] if number % 3 == 0 else []
    return [
        person(f"{1940 + 10 * (number % 4)}-03-01", ("female", "male")[number % 2]),
        pressure(100 + number),
        *sick,
        *more,
    ]


def take(home: Path, patients: Iterable[int], *more: dict[str, Any]) -> None:
    vault = Vault.open(home, PASSWORD)
    with Records(vault).importing() as work:
        for number in patients:
            for each in told(number, *more):
                work.add(clean({**each, "id": f"{number}-{each['resourceType']}"}, name_of(number)))


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("template")
    vault = Vault.create(home, PASSWORD)
    vault.bind(Pseudonyms.open(home / SECRET, make=True).check)
    take(home, range(40))
    (home / "pw").write_text(PASSWORD)
    (home / "mapping.json").write_text(json.dumps(DOCUMENT))
    return home


@pytest.fixture
def home(template: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(template, tmp_path / "home"))


def salus(home: Path, *words: object, mapping: bool = True, as_json: bool = True) -> Result:
    given = ["small", *map(str, words), "--vault-password-file", str(home / "pw")]
    given += ["--mapping", str(home / "mapping.json")] if mapping else []
    return CliRunner().invoke(cohort, given + ["--json"] * as_json, obj=Session({"home": home}))


def said(result: Result) -> dict[str, Any]:
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def opened(home: Path, version: int | None = None) -> RecordDataset:
    return RecordDataset.open(home / "datasets" / "small", version, vault=Vault.open(home, PASSWORD))


def test_a_dataset_is_made_and_its_evidence_has_the_report(home: Path) -> None:
    made = said(salus(home, "--k", 5, "--held-out", 0.5))
    assert made["version"] == 1 and made["patients"] == 40 and made["k_reached"] >= 5
    assert made["train_records"] + made["held_out_records"] == 40
    dataset = opened(home)
    dataset.verify()
    assert json.loads(dataset.evidence())["source"] == made["report"]
    assert dataset.arrays(0)[0].shape == (made["train_records"], 4)


def test_of_twenty_rows_each_side_gets_its_ten(home: Path) -> None:
    """One draw in six is of ten and ten."""
    shutil.rmtree(home / "vault" / "records")
    take(home, range(20))
    made = said(salus(home, "--held-out", 0.5))
    assert (made["train_records"], made["held_out_records"]) == (10, 10)


def test_who_comes_later_extends_it_and_few_of_them_wait(home: Path) -> None:
    said(salus(home, "--k", 5, "--held-out", 0.5))
    assert "Nothing in the records is new" in salus(home, as_json=False).output
    take(home, range(40, 43))
    waiting = salus(home, as_json=False)
    assert "3 new patients wait" in waiting.output
    assert opened(home).version == 1
    take(home, range(43, 48))
    made = said(salus(home))
    assert made["version"] == 2 and made["new"] == 8 and made["patients"] == 48 and made["report"]["k"] == 5


def test_who_objects_leaves_in_a_version_of_its_own(home: Path) -> None:
    before = said(salus(home, "--k", 5, "--held-out", 0.5))
    take(home, [3], consent("deny"))
    made = said(salus(home))
    assert made["version"] == 2 and made["objected"] == 1 and made["patients"] == 39
    assert made["train_records"] + made["held_out_records"] == 39
    assert opened(home).revoked() == [1]
    # Only the first version may say what its cohort is; what comes later takes its levels.
    take(home, range(40, 46))
    later = said(salus(home))
    assert later["version"] == 3 and later["levels"] == before["levels"]


def test_a_dry_run_makes_nothing(home: Path) -> None:
    made = said(salus(home, "--dry-run"))
    assert made["version"] is None and made["patients"] == 40
    assert not (home / "datasets").exists()


def test_one_hospital_fits_a_schema_and_others_take_it(home: Path) -> None:
    bare = {**DOCUMENT, "features": [
        {name: each[name] for name in each if name not in ("centre", "scale")} for each in DOCUMENT["features"]
    ]}  # fmt: skip
    (home / "mapping.json").write_text(json.dumps(bare))
    assert "--fit-schema" in salus(home, as_json=False).output
    fitted = said(salus(home, "--fit-schema", home / "schema.json"))
    assert not (home / "datasets").exists()
    made = said(salus(home, "--schema", home / "schema.json", "--held-out", 0.5))
    assert "0x" + opened(home).schema.digest().hex() == fitted["digest"] and made["schema"] == "small"


def test_settings_of_a_dataset_stay(home: Path) -> None:
    said(salus(home, "--held-out", 0.5))
    assert salus(home, "--k", 7).exit_code == 2
    assert salus(home, mapping=False).exit_code == 2
    (home / "mapping.json").write_text(json.dumps({**DOCUMENT, "description": "another one"}))
    refused = salus(home, as_json=False)
    assert refused.exit_code == 1 and "its digest differs" in refused.output


def test_the_view_says_who_is_in_and_names_nobody(home: Path) -> None:
    shown = salus(home, "--held-out", 0.5, as_json=False).output
    for words in ("40 in", "levels", "age: bands of", "diabetes", "salus dataset register --name small", "█"):
        assert words in shown
    assert "PATIENT" not in shown


def sizes_of(dataset: RecordDataset, names: list[str]) -> list[int]:
    rows = [tuple(record[name] for name in names) for _, record in dataset.by_code()]
    return sorted(Counter(rows).values())


def test_no_class_is_too_small_after_somebody_left_and_others_came(home: Path) -> None:
    """Who left with the remainder of a class still has records, and fills no class again."""
    made = said(salus(home, "--k", 5, "--held-out", 0.5))
    first, quasi = opened(home), made["report"]["quasi_identifiers"]
    assert without(first, [name_of(number) for number in range(0, 36, 4)]) is not None
    take(home, range(40, 60))
    grown = said(salus(home))
    assert min(sizes_of(opened(home), quasi)) >= grown["k_reached"] >= 5


def test_a_withdrawal_that_was_cut_short_is_finished(home: Path) -> None:
    said(salus(home, "--k", 5, "--held-out", 0.5))
    Vault.open(home, PASSWORD).refuse([name_of(7)])
    result = salus(home, as_json=False)
    assert result.exit_code == 0 and "Patients had withdrawn: version 2" in result.output
    assert opened(home).indices_of([name_of(7)]) == []


def test_who_withdraws_while_a_dataset_is_made_is_not_in_it(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    create = RecordDataset.create

    def late(folder: Path, *given: Any, **named: Any) -> RecordDataset:
        Vault.open(home, PASSWORD).refuse([name_of(7)])
        return create(folder, *given, **named)

    monkeypatch.setattr(RecordDataset, "create", late)
    result = salus(home, "--k", 5, "--held-out", 0.5)
    assert result.exit_code == 1 and "withdrawn meanwhile" in result.output
    assert not (home / "datasets" / "small").exists()


def test_a_dataset_that_changed_meanwhile_is_left_as_it_is(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said(salus(home, "--k", 5, "--held-out", 0.5))
    take(home, range(40, 60))
    extend, done = RecordDataset.extend, []

    def twice(dataset: RecordDataset, *given: Any, **named: Any) -> RecordDataset | None:
        if not done:
            done.append(True)
            said(salus(home))
        return extend(dataset, *given, **named)

    monkeypatch.setattr(RecordDataset, "extend", twice)
    result = salus(home)
    assert result.exit_code == 1 and "has changed meanwhile" in result.output
    assert opened(home).version == 2
    codes = [code for code, _ in opened(home).by_code()]
    assert len(codes) == len(set(codes))


def test_altered_evidence_does_not_hold_up_a_withdrawal_and_is_said(home: Path) -> None:
    said(salus(home, "--k", 5, "--held-out", 0.5))
    evidence = next((home / "datasets" / "small" / "evidence").iterdir())
    evidence.write_bytes(evidence.read_bytes() + b" ")
    with pytest.raises(DataError, match="evidence"):
        without(opened(home), [name_of(7)])
    assert opened(home).indices_of([name_of(7)]) == []
