"""`salus quarantine`, as a hospital calls it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from protocol.cli import main
from protocol.gateway.service import quarantine_of
from protocol.gateway.worker import Worker
from protocol.vault.store import Vault
from tests.protocol.gateway.hospital import SECRETS
from tests.protocol.imaging.made import REGION, file, instance, speckle


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "home").mkdir()
    (tmp_path / "pw").write_text("secret\n")
    Vault.create(tmp_path / "home", "secret")
    monkeypatch.setenv("SALUS_VAULT_PASSWORD_FILE", str(tmp_path / "pw"))
    return tmp_path / "home"


def salus(home: Path, *words: object) -> Result:
    result = CliRunner().invoke(main, ["--home", str(home), "quarantine", *map(str, words)])
    assert not [secret for secret in SECRETS if secret in result.output]
    return result


def said(home: Path, *words: object) -> dict[str, Any]:
    return json.loads(salus(home, *words, "--json").stdout)


def hold(home: Path, reason: str = "It declares no ultrasound region.", **attributes: Any) -> str:
    """An instance without regions, kept back; its id."""
    quarantine = quarantine_of(home, Vault.open(home, "secret"))
    given = {"SequenceOfUltrasoundRegions": [], "ManufacturerModelName": "One", **attributes}
    id = quarantine.arrive(file(instance(speckle(), **given)), "room-1", 1_700_000_000)
    quarantine.hold(id, reason)
    return id


def test_what_is_kept_back_is_listed_with_the_reason(home: Path) -> None:
    assert "Nothing is kept back" in salus(home, "list").stdout
    id = hold(home)
    (item,) = said(home, "list")["items"]
    assert (item["id"], item["device"], item["reason"]) == (id, "room-1", "It declares no ultrasound region.")
    shown = salus(home, "list").stdout
    assert id[:12] in shown and "no ultrasound region" in shown and "room-1" in shown


def test_a_picture_of_it_is_written_for_the_hospitals_eyes(home: Path, tmp_path: Path) -> None:
    id = hold(home)
    shown = said(home, "show", id[:8], "--into", tmp_path / "pictures")
    path = Path(shown["picture"])
    assert path.stat().st_mode & 0o777 == 0o600 and path.parent.stat().st_mode & 0o777 == 0o700
    assert np.array_equal(np.asarray(Image.open(path)), speckle()[0])
    result = salus(home, "show", id[:8], "--frame", 7, "--into", tmp_path / "pictures")
    assert result.exit_code == 1 and "there is no frame 7" in result.stderr


def test_what_has_no_picture_is_shown_without(home: Path, tmp_path: Path) -> None:
    id = hold(home, Modality="CT")
    shown = said(home, "show", id, "--into", tmp_path / "pictures")
    assert shown["picture"] is None and "modality" in shown["no_picture"]
    assert not (tmp_path / "pictures").exists()


def test_reviewed_regions_let_it_into_the_vault(home: Path) -> None:
    id = hold(home)
    box = f"{REGION.left},{REGION.top},{REGION.right},{REGION.bottom}"
    result = salus(home, "release", id[:8], "--region", box)
    assert result.exit_code == 0 and "1 of 1 clean" in result.stdout
    assert len(Vault.open(home, "secret").pending()) == 1
    assert said(home, "list")["items"] == []


def test_without_regions_it_stays_with_the_reason(home: Path) -> None:
    id = hold(home, "Something happened.")
    result = salus(home, "release", id)
    assert result.exit_code == 1 and "region" in result.stdout
    assert "no ultrasound region" in said(home, "list")["items"][0]["reason"]
    assert Vault.open(home, "secret").pending() == []


def test_regions_for_a_model_release_all_of_it_and_no_other(home: Path) -> None:
    ids = [hold(home) for _ in range(3)]
    other = hold(home, ManufacturerModelName="Two")
    released = said(home, "release", ids[0], "--region", "40,60,300,230", "--for-model")
    assert {each["id"] for each in released["items"]} == set(ids) and released["clean"] == 3
    assert [each["id"] for each in said(home, "list")["items"]] == [other]
    assert len(Vault.open(home, "secret").pending()) == 3


def test_a_model_needs_regions_and_a_name(home: Path) -> None:
    id = hold(home, ManufacturerModelName="")
    assert salus(home, "release", id, "--for-model").exit_code == 2
    result = salus(home, "release", id, "--region", "1,2,30,40", "--for-model")
    assert result.exit_code == 1 and "does not name" in result.stderr
    assert len(said(home, "list")["items"]) == 1


@pytest.mark.parametrize("region", ["", "1,2,3", "1,2,3,4,5", "3,2,1,4", "1,2,1,4", "-1,0,4,4", "a,b,c,d"])
def test_a_region_is_four_numbers_with_an_area(home: Path, region: str) -> None:
    assert salus(home, "release", "00", "--region", region).exit_code == 2


def test_what_is_rejected_is_gone(home: Path) -> None:
    id = hold(home)
    assert salus(home, "reject", id[:8]).exit_code == 0
    assert said(home, "list")["items"] == []
    assert salus(home, "reject", id[:8]).exit_code == 1
    assert Vault.open(home, "secret").pending() == []


def test_what_is_rejected_while_it_is_released_is_told_and_the_others_go_on(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = [hold(home) for _ in range(2)]
    real = Worker.look

    def look(self: Worker, id: str, cleaning: Any) -> str:
        if id == ids[0]:
            self._quarantine.reject(id)
        return real(self, id, cleaning)

    monkeypatch.setattr(Worker, "look", look)
    result = salus(home, "release", ids[0], "--region", "40,60,300,230", "--for-model")
    assert result.exit_code == 1 and "1 of 2 clean" in result.stdout
    assert "not in quarantine any more" in " ".join(result.stdout.split())
    assert len(Vault.open(home, "secret").pending()) == 1 and said(home, "list")["items"] == []
