"""Bytes that rest on the disk: nobody reads or alters them without the vault's key.

    sealed = nonce (12) || AES-256-GCM(content), with what it is about authenticated beside it

What it is about is, for one, the name of its file, so that no file passes for another.
"""

from __future__ import annotations

import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from protocol.errors import VaultError

KEY_BYTES = 32
NONCE_BYTES = 12


class Sealer:
    """Seals and opens under one key of 32 bytes."""

    def __init__(self, key: bytes) -> None:
        if len(key) != KEY_BYTES:
            raise VaultError(f"A key to seal with has {KEY_BYTES} bytes, not {len(key)}.")
        self._key = key
        self._cipher = AESGCM(key)

    def seal(self, content: bytes, about: bytes) -> bytes:
        """Seals up to 2 GiB under a fresh nonce."""
        nonce = os.urandom(NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, content, about)

    def open(self, sealed: bytes, about: bytes) -> bytes:
        """The content. Raises VaultError when it was altered, is about something else, or was sealed with another
        key."""
        try:
            return self._cipher.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], about)
        except (InvalidTag, ValueError) as error:
            raise VaultError(
                "What was sealed does not open: it was altered, or belongs elsewhere.",
                "Restore it from a back-up.",
            ) from error

    def derive(self, purpose: str) -> bytes:
        """Another key of 32 bytes, for one purpose (HKDF-SHA256, RFC 5869); it tells nothing about this one."""
        info = b"salus/" + purpose.encode("utf-8")
        return HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=None, info=info).derive(self._key)
