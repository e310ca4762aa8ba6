"""Which chain, which IPFS, which keys: what was given, else the environment, else the network's file.

A network's file is JSON, its paths relative to itself:
    {"rpc_url": "https://…", "ipfs_api": "http://…", "deployment": "deployment.json", "keystore": "keystore",
     "password_file": "password", "confirmations": 3}
Network "devnet" is described by HOME/devnet/network.json, which `salus devnet up` writes; network NAME by
HOME/networks/NAME.json. HOME is ./.salus unless SALUS_HOME says else.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from protocol.errors import InvalidInput

DEVNET = "devnet"
PUBLIC_CONFIRMATIONS = 3
ENVIRONMENT = {
    "home": "SALUS_HOME",
    "network": "SALUS_NETWORK",
    "rpc_url": "SALUS_RPC_URL",
    "ipfs_api": "SALUS_IPFS_API",
    "deployment": "SALUS_DEPLOYMENT",
    "keystore": "SALUS_KEYSTORE",
    "confirmations": "SALUS_CONFIRMATIONS",
    "password_file": "SALUS_PASSWORD_FILE",
    "vault_password_file": "SALUS_VAULT_PASSWORD_FILE",
}
_PATHS = ("deployment", "keystore", "password_file")
_FIELDS = ("rpc_url", "ipfs_api", "confirmations", *_PATHS)
_DESCRIPTIVE = ("name", "chain_id", "ipfs_gateway")


@dataclass(frozen=True)
class Settings:
    """Everything that says where things are. What nobody gave is asked for when it is used, not before.

    ``home`` holds what this person or hospital keeps; ``confirmations`` are blocks.
    """

    home: Path
    network: str
    keystore: Path
    confirmations: int
    password_file: Path | None
    vault_password_file: Path | None
    _rpc_url: str | None
    _ipfs_api: str | None
    _deployment: Path | None

    @classmethod
    def load(cls, *, environ: Mapping[str, str] = os.environ, **given: Any) -> Self:
        """``given`` by the names of `ENVIRONMENT`; None is not given.

        Raises InvalidInput for an unknown network, or a value or file that cannot be used.
        """
        if unknown := set(given) - set(ENVIRONMENT):
            raise InvalidInput(
                f"There is no setting {', '.join(sorted(unknown))}.", f"Known: {', '.join(ENVIRONMENT)}."
            )
        values: dict[str, Any] = {name: environ[key] for name, key in ENVIRONMENT.items() if environ.get(key)}
        values |= {name: value for name, value in given.items() if value is not None}
        home = Path(values.get("home", ".salus"))
        network = str(values.get("network", DEVNET))
        described = _network(home, network, required="network" in values and network != DEVNET)
        values = {**described, **values}
        return cls(
            home=home,
            network=network,
            keystore=Path(values.get("keystore", home / "keystore")),
            confirmations=_confirmations(
                values.get("confirmations", 0 if network == DEVNET else PUBLIC_CONFIRMATIONS)
            ),
            password_file=_path(values, "password_file"),
            vault_password_file=_path(values, "vault_password_file"),
            _rpc_url=_url("rpc_url", values.get("rpc_url")),
            _ipfs_api=values.get("ipfs_api"),
            _deployment=_path(values, "deployment"),
        )

    @property
    def rpc_url(self) -> str:
        """URL of the chain node. Raises InvalidInput when nobody gave it."""
        return self._rpc_url if self._rpc_url is not None else self._missing("chain node", "rpc_url")

    @property
    def ipfs_api(self) -> str:
        """RPC API of the IPFS daemon, a URL or multiaddr. Raises InvalidInput when nobody gave it."""
        return self._ipfs_api if self._ipfs_api is not None else self._missing("IPFS daemon", "ipfs_api")

    @property
    def deployment(self) -> Path:
        """The deployment file. Raises InvalidInput when nobody gave it."""
        return (
            self._deployment
            if self._deployment is not None
            else self._missing("deployment file", "deployment")
        )

    def _missing(self, what: str, name: str) -> Any:
        option = "--" + name.replace("_", "-")
        start = (
            "Start the development network with `salus devnet up`, or name"
            if self.network == DEVNET
            else "Name"
        )
        raise InvalidInput(
            f"No {what} is known for network {self.network}.",
            f"{start} one with {option}, {ENVIRONMENT[name]} or in {network_file(self.home, self.network)}.",
        )


def network_file(home: Path, network: str) -> Path:
    """Where a network is described."""
    return home / DEVNET / "network.json" if network == DEVNET else home / "networks" / f"{network}.json"


def read_password(path: Path) -> str:
    """The first line of a password file. Raises InvalidInput when it cannot be read or is empty."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(
            f"The password file {path} cannot be read: {error}.", "Check its path and owner."
        ) from error
    if not lines or not lines[0]:
        raise InvalidInput(f"The password file {path} is empty.", "Its first line is the password.")
    return lines[0]


def _network(home: Path, network: str, *, required: bool) -> dict[str, Any]:
    """What the network's file says; nothing when there is none and none was asked for."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", network):
        raise InvalidInput(
            f"{network!r} is not the name of a network.", "Use letters, digits, dots and dashes."
        )
    path = network_file(home, network)
    if not path.exists():
        if not required:
            return {}
        known = sorted(each.stem for each in (home / "networks").glob("*.json"))
        raise InvalidInput(
            f"There is no network {network}: {path} does not exist.",
            f"Write that file, or name one of: {', '.join([DEVNET, *known])}.",
        )
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InvalidInput(f"{path} cannot be read: {error}.", "It must be JSON.") from error
    if not isinstance(values, dict):
        raise InvalidInput(f"{path} does not describe a network.", "It must be a JSON object.")
    if unknown := set(values) - set(_FIELDS) - set(_DESCRIPTIVE):
        raise InvalidInput(
            f"{path} has unknown settings: {', '.join(sorted(unknown))}.", f"Known: {', '.join(_FIELDS)}."
        )
    found = {name: values[name] for name in _FIELDS if values.get(name) is not None}
    for name, value in found.items():
        if name != "confirmations" and not isinstance(value, str):
            raise InvalidInput(f"{path}: {name} must be a text, not {value!r}.")
    # Absolute paths stay what they are.
    return {name: path.parent / value if name in _PATHS else value for name, value in found.items()}


def _path(values: Mapping[str, Any], name: str) -> Path | None:
    return Path(values[name]) if name in values else None


def _confirmations(value: Any) -> int:
    if isinstance(value, bool) or not re.fullmatch(r"\d{1,6}", str(value)):
        raise InvalidInput(
            f"{value!r} is not a number of confirmations.", "Give a whole number of blocks, 0 or more."
        )
    return int(value)


def _url(name: str, value: str | None) -> str | None:
    if value is not None and not value.startswith(("http://", "https://")):
        raise InvalidInput(
            f"{value!r} is not a URL ({name}).", "Give one that starts with http:// or https://."
        )
    return value
