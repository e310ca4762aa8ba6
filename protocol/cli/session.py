"""What the commands of one run share: settings, chain, IPFS and keystore, each opened when it is first used."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from protocol.errors import AccountError
from protocol.settings import Settings
from protocol.settings import read_password as read_file

if TYPE_CHECKING:
    from protocol.chain.accounts import Keystore, Signer
    from protocol.chain.client import Chain
    from protocol.content.ipfs import Ipfs
    from protocol.devnet import Devnet
    from protocol.vault.store import Vault


class Session:
    """One run of the command line. ``given`` are the root options; None is not given."""

    def __init__(self, given: Mapping[str, Any]) -> None:
        self._given = given

    @cached_property
    def settings(self) -> Settings:
        return Settings.load(**self._given)

    @cached_property
    def ipfs(self) -> Ipfs:
        from protocol.content.ipfs import Ipfs

        return Ipfs(self.settings.ipfs_api)

    @cached_property
    def keystore(self) -> Keystore:
        from protocol.chain.accounts import Keystore

        return Keystore(self.settings.keystore)

    @cached_property
    def devnet(self) -> Devnet:
        """The development network of this home, running or not."""
        from protocol.devnet import Devnet
        from protocol.settings import DEVNET

        return Devnet(self.settings.home / DEVNET)

    @cached_property
    def chain(self) -> Chain:
        """The chain, to read from."""
        from protocol.chain.client import Chain
        from protocol.chain.deployment import Deployment

        settings = self.settings
        return Chain(
            settings.rpc_url, Deployment.load(settings.deployment), confirmations=settings.confirmations
        )

    def chain_as(self, account: str, password_file: Path | None) -> Chain:
        """The chain, signing with an account of the keystore. Raises AccountError."""
        signer = self.signer(account, password_file)
        return self.chain.with_signer(signer)

    def signer(self, account: str, password_file: Path | None) -> Signer:
        """An account of the keystore, opened. Raises AccountError."""
        self.keystore.find(account)
        return self.keystore.unlock(account, self.password(f"Password of account {account}", password_file))

    def vault(self, password_file: Path | None) -> Vault | None:
        """The vault of this home, opened with a password of the file, else of the environment's; None without either.

        Raises VaultError when there is none, AccountError for a wrong password."""
        from protocol.vault.store import Vault

        file = password_file or self.settings.vault_password_file
        return Vault.open(self.settings.home, read_file(file)) if file else None

    def password(self, question: str, password_file: Path | None, *, confirm: bool = False) -> str:
        """From the given file, else the network's, else typed at a terminal and not shown. Raises AccountError."""
        file = password_file or self.settings.password_file
        if file is not None:
            return read_file(file)
        if not sys.stdin.isatty():
            raise AccountError(
                f"{question} is needed, and there is no terminal to ask on.",
                "Give --password-file, or set SALUS_PASSWORD_FILE.",
            )
        return click.prompt(question, hide_input=True, confirmation_prompt=confirm, err=True)
