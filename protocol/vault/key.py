"""The vault's key: 32 random bytes, kept in a file that a password opens.

    {"format", "n", "r", "p", "salt", "sealed"}    canonical JSON; sealed: see `sealed`, under scrypt(password)

scrypt (RFC 7914) with N = 2^17, r = 8, p = 1.
"""

from __future__ import annotations

import os
from pathlib import Path

from protocol.content import canonical
from protocol.data import files
from protocol.data.passwords import SALT_BYTES, SCRYPT_N, SCRYPT_P, SCRYPT_R, scrypt_key
from protocol.errors import AccountError, InvalidInput, VaultError
from protocol.vault import disk
from protocol.vault.sealed import KEY_BYTES, Sealer

FORMAT = "salus/vault-key/1"
#: A file that asks for more than 1 GiB is none of ours.
_MAX_N = 2**20


def make_key(path: Path, password: str) -> bytes:
    """Draws a key and keeps it in a new file (mode 0600). Raises AccountError for an empty password, and VaultError
    when the file is there or cannot be written."""
    key = os.urandom(KEY_BYTES)
    try:
        files.write_new(path, sealed_key(key, password))
    except FileExistsError as error:
        raise VaultError(
            f"{path} exists already.", "A key is never replaced: what it sealed would be lost."
        ) from error
    except OSError as error:
        raise VaultError(f"{path} cannot be written: {error.strerror}.", "Is the disk full?") from error
    return key


def sealed_key(key: bytes, password: str) -> bytes:
    """The file's content for a key. Raises AccountError for an empty password."""
    if not password:
        raise AccountError("A vault needs a password.", "Choose one that nobody guesses.")
    head = {
        "format": FORMAT,
        "n": SCRYPT_N,
        "r": SCRYPT_R,
        "p": SCRYPT_P,
        "salt": os.urandom(SALT_BYTES).hex(),
    }
    sealed = _under(password, head).seal(key, canonical.dumps(head))
    return canonical.dumps({**head, "sealed": sealed.hex()})


def open_key(path: Path, password: str) -> bytes:
    """The key of a file. Raises AccountError for a wrong password, and VaultError when the file is no key."""
    document = _read(path)
    head = {name: value for name, value in document.items() if name != "sealed"}
    try:
        sealed = bytes.fromhex(document["sealed"])
        key = _under(password, head).open(sealed, canonical.dumps(head))
    except VaultError as error:
        raise AccountError(
            f"{path} does not open with this password.", "Or the file was altered: restore it from a back-up."
        ) from error
    except (KeyError, TypeError, ValueError) as error:
        raise VaultError(f"{path} is not a vault's key.", "Restore it from a back-up.") from error
    return key


def _read(path: Path) -> dict[str, object]:
    try:
        document = canonical.loads(disk.read(path))
    except FileNotFoundError as error:
        raise VaultError(f"There is no {path}.", "Restore it from a back-up.") from error
    except InvalidInput as error:
        raise VaultError(
            f"{path} is not a vault's key: {error.message}", "Restore it from a back-up."
        ) from error
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise VaultError(f"{path} is not a vault's key of this version of Salus.")
    return document


def _under(password: str, head: dict[str, object]) -> Sealer:
    """Raises KeyError, TypeError and ValueError for a head that is none."""
    n, r, p = (int(head[name]) for name in ("n", "r", "p"))  # type: ignore[call-overload]
    if n > _MAX_N or (r, p) != (SCRYPT_R, SCRYPT_P):
        raise ValueError("not our cost")
    return Sealer(scrypt_key(password, bytes.fromhex(str(head["salt"])), n))
