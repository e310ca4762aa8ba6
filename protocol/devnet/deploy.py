"""The contracts of a development network: its accounts, and a run of the Brownie script that every network uses."""

from __future__ import annotations

import json
import os
import secrets
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from protocol.chain.accounts import Keystore
from protocol.devnet.daemon import ROOT, run, tail
from protocol.devnet.ganache import Ganache
from protocol.errors import DevnetError

DEPLOY_SECONDS = 300
# Cheap to open: the keys are worth nothing, and their password lies beside them.
SCRYPT_N = 1 << 12
ETHER = 10**18
FUNDS_ETHER = 10_000
# Whole votes of the first token holders. With a quorum of 20 % any one of them suffices, and any two outvote the third.
HOLDERS = {"holder-1": 400_000, "holder-2": 300_000, "holder-3": 300_000}
ACCOUNTS = ("deployer", "researcher", *HOLDERS)


@dataclass(frozen=True)
class Accounts:
    """Keys of a development network: a keystore as anywhere else, with the password of all in a file beside it."""

    folder: Path
    password_file: Path

    @property
    def password(self) -> str:
        """The password of every account that the network made."""
        return self.password_file.read_text().strip()

    @property
    def keystore(self) -> Keystore:
        """The keystore, opened."""
        return Keystore(self.folder, SCRYPT_N)

    def make(self) -> list[str]:
        """Makes the accounts that are missing. Returns the addresses of all, in the order of `ACCOUNTS`."""
        if not self.password_file.exists():
            handle = os.open(self.password_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(handle, "w") as file:
                file.write(secrets.token_urlsafe(24) + "\n")
        keystore = self.keystore
        known = {account.name for account in keystore.list()}
        for name in ACCOUNTS:
            if name not in known:
                keystore.new(name, self.password)
        return [keystore.find(name).address for name in ACCOUNTS]


def deploy(chain: Ganache, accounts: Accounts, out: Path, say: Callable[[str], None]) -> None:
    """Makes and funds the accounts, deploys, and writes the deployment to ``out``.

    Raises:
        DevnetError: the script failed; shows the end of its log.
    """
    say("Making development accounts")
    for address in accounts.make():
        chain.fund(address, FUNDS_ETHER * ETHER)
    keystore = accounts.keystore
    parameters = out.with_name("deploy.json")
    holders = {keystore.find(name).address: votes for name, votes in HOLDERS.items()}
    parameters.write_text(json.dumps({"holders": holders}, indent=2) + "\n")
    say("Deploying the contracts (10 s; 15 s more when they must be compiled)")
    log = out.with_name("deploy.log")
    run(
        "The deployment",
        [
            sys.executable,
            ROOT / "scripts" / "run_brownie.py",
            *("--rpc", chain.url, "run", "deploy", "--network", "attached"),
        ],
        {
            "SALUS_DEPLOYER": str(keystore.find("deployer").path),
            "SALUS_DEPLOYER_PASSWORD_FILE": str(accounts.password_file),
            "SALUS_DEPLOY_PARAMETERS": str(parameters),
            "SALUS_DEPLOYMENT_OUT": str(out),
        },
        log,
        DEPLOY_SECONDS,
    )
    if not out.exists():
        raise DevnetError("The deployment left no contracts.", tail(log))
