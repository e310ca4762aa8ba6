"""`salus device`, as a hospital calls it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from protocol.cli import main
from protocol.gateway.certificates import self_signed
from protocol.vault.store import Vault


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "home").mkdir()
    (tmp_path / "pw").write_text("secret\n")
    Vault.create(tmp_path / "home", "secret")
    return tmp_path / "home"


def salus(home: Path, *words: object) -> Result:
    return CliRunner().invoke(main, ["--home", str(home), *map(str, words)])


def register(home: Path, name: str, title: str) -> Result:
    path = home.parent / f"{name}.pem"
    path.write_bytes(self_signed(name)[0])
    password = ["--vault-password-file", home.parent / "pw"]
    return salus(
        home, "device", "register", name, "--certificate", path, "--ae-title", title, *password, "--json"
    )


def test_devices_come_are_listed_and_go(home: Path) -> None:
    said = json.loads(register(home, "room-1", "US_1").stdout)
    assert (said["name"], said["ae_title"], said["removed_at"]) == ("room-1", "US_1", 0)
    assert register(home, "room-2", "US_2").exit_code == 0
    listed = json.loads(salus(home, "device", "list", "--json").stdout)["devices"]
    assert [each["name"] for each in listed] == ["room-1", "room-2"] and listed[0] == said
    assert salus(home, "device", "remove", "room-1").exit_code == 0
    shown = salus(home, "device", "list").stdout
    assert "room-2" in shown and "room-1" not in shown and said["public_key"] not in shown


def test_what_cannot_be_registered_is_told_and_changes_nothing(home: Path) -> None:
    result = register(home, "room-1", "A\\B")
    assert result.exit_code == 1 and "not an AE title" in json.loads(result.stdout)["error"]["message"]
    missing = ["--certificate", home / "no.pem", "--ae-title", "US_1"]
    result = salus(
        home, "device", "register", "room-1", *missing, "--vault-password-file", home.parent / "pw"
    )
    assert result.exit_code == 1 and "cannot be read" in result.stderr
    assert "No device may send" in salus(home, "device", "list").stdout
    assert salus(home, "device", "remove", "room-1").exit_code == 1


def test_a_wrong_password_of_the_vault_registers_nothing(home: Path) -> None:
    (home.parent / "pw").write_text("another\n")
    result = register(home, "room-1", "US_1")
    assert result.exit_code == 1 and json.loads(result.stdout)["error"]["type"] == "AccountError"
    assert json.loads(salus(home, "device", "list", "--json").stdout)["devices"] == []


def test_a_broken_file_is_named_and_the_other_devices_are_listed(home: Path) -> None:
    for name in ("room-1", "room-2"):
        assert register(home, name, f"US_{name[-1]}").exit_code == 0
    (home / "devices" / "room-1.json").write_text("{")
    result = salus(home, "device", "list", "--json")
    assert [each["name"] for each in json.loads(result.stdout)["devices"]] == ["room-2"]
    assert "room-1.json is not a device" in " ".join(result.stderr.split())
    result = salus(home, "device", "remove", "room-1")
    assert result.exit_code == 1 and "room-1.json" in result.stderr
