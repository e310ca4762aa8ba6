"""Keys from passwords: scrypt (RFC 7914) with r = 8, p = 1."""

from __future__ import annotations

from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

KEY_BYTES = 32
SALT_BYTES = 16
#: Costs an attacker 128 MiB and some tenths of a second a guess.
SCRYPT_N, SCRYPT_R, SCRYPT_P = 2**17, 8, 1


def scrypt_key(password: str, salt: bytes, n: int) -> bytes:
    """The key (32 bytes) of a password."""
    return Scrypt(salt=salt, length=KEY_BYTES, n=n, r=SCRYPT_R, p=SCRYPT_P).derive(password.encode("utf-8"))
