"""Where settings come from, and what is said when they are missing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from protocol.errors import InvalidInput
from protocol.settings import ENVIRONMENT, Settings, network_file, read_password


def write(path: Path, content: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))


@pytest.fixture
def home(tmp_path: Path) -> Path:
    described = {
        "name": "devnet",
        "chain_id": 1337,
        "rpc_url": "http://127.0.0.1:1",
        "ipfs_api": "http://127.0.0.1:2",
        "deployment": "deployment.json",
        "keystore": "keystore",
        "password_file": "password",
    }
    write(tmp_path / "devnet" / "network.json", described)
    write(
        tmp_path / "networks" / "sepolia.json",
        {"rpc_url": "https://rpc", "deployment": "/etc/salus/sepolia.json"},
    )
    return tmp_path


def load(home: Path, environ: dict[str, str] | None = None, **given: Any) -> Settings:
    return Settings.load(environ=environ or {}, home=home, **given)


def test_the_development_network_is_the_default(home: Path) -> None:
    settings = load(home)
    assert settings.network == "devnet"
    assert (settings.rpc_url, settings.ipfs_api) == ("http://127.0.0.1:1", "http://127.0.0.1:2")
    assert settings.deployment == home / "devnet" / "deployment.json"
    assert settings.keystore == home / "devnet" / "keystore"
    assert settings.password_file == home / "devnet" / "password"
    assert settings.confirmations == 0


def test_the_vaults_password_is_this_homes_own_and_of_no_network(home: Path) -> None:
    assert load(home).vault_password_file is None
    assert load(home, {"SALUS_VAULT_PASSWORD_FILE": "/vault"}).vault_password_file == Path("/vault")
    write(home / "networks" / "other.json", {"vault_password_file": "vault"})
    with pytest.raises(InvalidInput, match="unknown settings: vault_password_file"):
        load(home, network="other")


def test_the_environment_goes_before_the_file_and_what_is_given_before_both(home: Path) -> None:
    environ = {"SALUS_RPC_URL": "http://environment", "SALUS_CONFIRMATIONS": "5", "SALUS_KEYSTORE": "/keys"}
    assert load(home, environ).rpc_url == "http://environment"
    assert load(home, environ).confirmations == 5
    assert load(home, environ).keystore == Path("/keys")
    assert load(home, environ, rpc_url="http://given", confirmations=7).rpc_url == "http://given"
    assert load(home, environ, rpc_url="http://given", confirmations=7).confirmations == 7
    assert load(home, environ, rpc_url=None).rpc_url == "http://environment"
    assert load(home, {"SALUS_RPC_URL": ""}).rpc_url == "http://127.0.0.1:1"


def test_a_network_by_name(home: Path) -> None:
    for settings in (load(home, network="sepolia"), load(home, {"SALUS_NETWORK": "sepolia"})):
        assert settings.rpc_url == "https://rpc"
        assert settings.deployment == Path("/etc/salus/sepolia.json")
        assert settings.keystore == home / "keystore"
        assert settings.confirmations == 3
        assert settings.password_file is None


def test_home_is_in_the_working_folder_unless_the_environment_says_else(home: Path) -> None:
    assert Settings.load(environ={}).home == Path(".salus")
    assert Settings.load(environ={"SALUS_HOME": str(home)}).rpc_url == "http://127.0.0.1:1"


@pytest.mark.parametrize("name", ["rpc_url", "ipfs_api", "deployment"])
def test_what_is_missing_is_named_when_it_is_used(tmp_path: Path, name: str) -> None:
    settings = load(tmp_path)
    with pytest.raises(InvalidInput, match="is known for network devnet") as error:
        getattr(settings, name)
    assert "salus devnet up" in error.value.hint
    assert ENVIRONMENT[name] in error.value.hint
    write(tmp_path / "networks" / "bare.json", {})
    with pytest.raises(InvalidInput) as error:
        getattr(load(tmp_path, network="bare"), name)
    assert "devnet up" not in error.value.hint
    assert str(network_file(tmp_path, "bare")) in error.value.hint


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"network": "goerli"}, "There is no network goerli"),
        ({"network": "../etc"}, "not the name of a network"),
        ({"confirmations": "many"}, "not a number of confirmations"),
        ({"confirmations": -1}, "not a number of confirmations"),
        ({"confirmations": True}, "not a number of confirmations"),
        ({"rpc_url": "localhost:8545"}, "not a URL"),
        ({"colour": "blue"}, "There is no setting colour"),
    ],
)
def test_refuses_what_cannot_be_used(home: Path, given: dict[str, Any], reason: str) -> None:
    with pytest.raises(InvalidInput, match=reason):
        load(home, **given)


def test_an_unknown_network_lists_the_known_ones(home: Path) -> None:
    with pytest.raises(InvalidInput) as error:
        load(home, network="goerli")
    assert "devnet, sepolia" in error.value.hint


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("{", "cannot be read"),
        ("[]", "does not describe a network"),
        ({"rcp_url": "http://x"}, "unknown settings: rcp_url"),
        ({"rpc_url": 5}, "rpc_url must be a text"),
        ({"confirmations": "x"}, "not a number of confirmations"),
    ],
)
def test_refuses_a_network_file_with_its_path(home: Path, content: Any, reason: str) -> None:
    write(home / "networks" / "odd.json", content)
    with pytest.raises(InvalidInput, match=reason):
        load(home, network="odd")


def test_a_password_is_the_first_line(tmp_path: Path) -> None:
    write(tmp_path / "password", "secret word\nrest")
    assert read_password(tmp_path / "password") == "secret word"
    write(tmp_path / "empty", "\n")
    with pytest.raises(InvalidInput, match="is empty"):
        read_password(tmp_path / "empty")
    with pytest.raises(InvalidInput, match="cannot be read"):
        read_password(tmp_path / "none")
