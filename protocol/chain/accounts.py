"""Accounts: encrypted key files by name (Web3 Secret Storage version 3, scrypt), and signing with an unlocked one."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from eth_account import Account
from eth_account.signers.local import LocalAccount
from eth_utils import is_address, to_checksum_address

from protocol.errors import AccountError, InvalidInput

SCRYPT_N = 1 << 18
# Private keys lie between zero and the order of secp256k1.
_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
_NO_KEY = ("That is not a private key.", "It is 32 bytes, 64 hexadecimal digits.")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_LIST = "`salus account list` shows the accounts."


class Signer:
    """An unlocked account. Its key stays inside: neither its text nor its errors show it."""

    __slots__ = ("_account", "address")

    def __init__(self, account: LocalAccount) -> None:
        self._account = account
        self.address: str = account.address

    @classmethod
    def from_key(cls, key: bytes | str) -> Signer:
        """From 32 bytes or their hexadecimal form. Raises InvalidInput when they are no private key."""
        try:
            raw = bytes.fromhex(key.removeprefix("0x")) if isinstance(key, str) else bytes(key)
        except ValueError:
            # Not chained: the key must not be printed with its cause.
            raise InvalidInput(*_NO_KEY) from None
        if len(raw) != 32 or not 0 < int.from_bytes(raw, "big") < _ORDER:
            raise InvalidInput(*_NO_KEY)
        return cls(Account.from_key(raw))

    def sign_transaction(self, transaction: Mapping[str, Any]) -> tuple[bytes, str]:
        """Signed bytes and hash ("0x…") of an EIP-1559 transaction. Raises InvalidInput when it is malformed."""
        try:
            signed = self._account.sign_transaction(dict(transaction))
        except (TypeError, ValueError) as error:
            raise InvalidInput(f"The transaction cannot be signed: {error}") from error
        return bytes(signed.raw_transaction), "0x" + bytes(signed.hash).hex()

    def sign_typed_data(self, message: Mapping[str, Any]) -> bytes:
        """A 65-byte signature over EIP-712 data with types, primaryType, domain and message."""
        try:
            return bytes(self._account.sign_typed_data(full_message=dict(message)).signature)
        except (TypeError, ValueError) as error:
            raise InvalidInput(f"The data cannot be signed: {error}") from error

    def derive(self, purpose: bytes) -> bytes:
        """32 bytes that only this account can tell: HKDF-SHA-256 (RFC 5869) of its key, for ``purpose`` alone."""
        return HKDF(SHA256(), 32, None, purpose).derive(bytes(self._account.key))

    def __repr__(self) -> str:
        return f"Signer({self.address})"


@dataclass(frozen=True)
class AccountFile:
    """A name, its address (EIP-55) and its encrypted file."""

    name: str
    address: str
    path: Path


class Keystore:
    """A folder of encrypted keys, one file a name, readable by its owner alone (0700, files 0600).

    ``scrypt_n`` is the cost of guessing a password; only tests have a reason to lower it.
    """

    def __init__(self, folder: Path, scrypt_n: int = SCRYPT_N) -> None:
        self.folder = folder
        self.scrypt_n = scrypt_n

    def new(self, name: str, password: str) -> AccountFile:
        """Makes an account from the system's generator. Raises AccountError when the name is taken."""
        return self._store(name, Account.create(), password)

    def import_key(
        self, name: str, key: str, password: str, *, key_password: str | None = None
    ) -> AccountFile:
        """Keeps a key that exists: 64 hexadecimal digits, or the text of a keystore file that ``key_password`` opens.

        Raises InvalidInput when it is neither, AccountError when its password is wrong or name or account are taken.
        """
        if key.lstrip().startswith("{"):
            if key_password is None:
                raise InvalidInput(
                    "A keystore file needs the password that opens it.", "Give it, and the new one."
                )
            return self._store(
                name, Account.from_key(_decrypt(key, key_password, "The keystore file")), password
            )
        return self._store(name, Signer.from_key(key.strip())._account, password)

    def list(self) -> list[AccountFile]:
        """Every account of the folder, by name. Raises AccountError for a file that is no keystore."""
        if not self.folder.is_dir():
            return []
        return [_read(path) for path in sorted(self.folder.glob("*.json"))]

    def find(self, account: str) -> AccountFile:
        """By name or address. Raises AccountError when there is none."""
        for each in self.list():
            if account == each.name or (is_address(account) and to_checksum_address(account) == each.address):
                return each
        raise AccountError(f"There is no account {account} in {self.folder}.", _LIST)

    def unlock(self, account: str, password: str) -> Signer:
        """By name or address. Raises AccountError when there is none, or the password is wrong."""
        file = self.find(account)
        signer = Signer.from_key(_decrypt(_text(file.path), password, f"Account {file.name}"))
        if signer.address != file.address:
            raise AccountError(
                f"{file.path} holds another account's key than it says.", "Restore it from a back-up."
            )
        return signer

    def _store(self, name: str, account: LocalAccount, password: str) -> AccountFile:
        if not _NAME.fullmatch(name) or is_address(name):
            raise InvalidInput(
                f"{name!r} is not a name for an account.",
                "Use 1 to 64 letters, digits, dots, dashes or underscores.",
            )
        if not password:
            raise InvalidInput(
                "The password is empty.", "Choose one; without it anyone who reads the file has the key."
            )
        if taken := next((each for each in self.list() if each.address == account.address), None):
            raise AccountError(f"Account {account.address} is already here as {taken.name}.", _LIST)
        text = json.dumps(Account.encrypt(account.key, password, kdf="scrypt", iterations=self.scrypt_n))
        path = self.folder / f"{name}.json"
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self.folder.chmod(0o700)
            with open(
                os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8"
            ) as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
        except FileExistsError:
            raise AccountError(f"There is already an account named {name} in {self.folder}.", _LIST) from None
        except OSError as error:
            raise AccountError(
                f"{path} cannot be written: {error.strerror}.", "Choose another folder."
            ) from error
        return AccountFile(name, account.address, path)


def _read(path: Path) -> AccountFile:
    try:
        return AccountFile(
            path.stem, to_checksum_address("0x" + json.loads(_text(path))["address"].removeprefix("0x")), path
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise AccountError(
            f"{path} is not a keystore file.", "Move it out of the folder of accounts."
        ) from error


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise AccountError(f"{path} cannot be read: {error}.", "Check who owns it.") from error


def _decrypt(text: str, password: str, what: str) -> bytes:
    try:
        return bytes(Account.decrypt(json.loads(text), password))
    except (KeyError, TypeError, AttributeError, NotImplementedError) as error:
        raise AccountError(
            f"{what} is not a keystore of version 3.", "Export it again from your wallet."
        ) from error
    except ValueError as error:
        if "MAC" in str(error):
            raise AccountError(
                f"{what} can not be opened with this password.", "Try again; nobody can reset it."
            ) from None
        raise AccountError(
            f"{what} is not a keystore of version 3.", "Export it again from your wallet."
        ) from error
