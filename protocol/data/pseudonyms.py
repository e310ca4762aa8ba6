"""What stands for patients, UIDs and dates: always the same under one secret of the hospital, and without it nothing.

Keyed by HMAC-SHA256 (RFC 2104): whoever knows a patient's number still cannot tell the pseudonym without the secret.
"""

from __future__ import annotations

import base64
import hmac
import secrets
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Self

from protocol.data import files
from protocol.errors import DataError, InvalidInput

#: Its file in a hospital's home, for images and records alike.
SECRET = "pseudonyms.key"
SECRET_BYTES = 32
# PS3.5, B.2: a UUID as a decimal under this root. RFC 9562, version 8: its bits are ours to choose.
_UUID_ROOT = "2.25."
_VERSION, _VARIANT = 0x8 << 76, 0x2 << 62
_VERSION_BITS, _VARIANT_BITS = 0xF << 76, 0x3 << 62
_PATIENT_CHARACTERS = 16
#: Every patient's dates go back by one to ten years.
MIN_SHIFT_DAYS, MAX_SHIFT_DAYS = 366, 3_652
_SECONDS_OF_A_DAY = 86_400


class Pseudonyms:
    """The pseudonyms of one hospital. ``secret``: 32 bytes that never leave it."""

    def __init__(self, secret: bytes) -> None:
        if len(secret) != SECRET_BYTES:
            raise InvalidInput(f"A secret for pseudonyms has {SECRET_BYTES} bytes, not {len(secret)}.")
        self._secret = secret

    @classmethod
    def open(cls, path: Path, *, make: bool = False) -> Self:
        """Those of a secret in a file (mode 0600); with ``make`` it is drawn when it is not there yet. Raises
        DataError, InvalidInput and `OSError`."""
        if not path.exists():
            if not make:
                raise DataError(
                    f"There is no {path}, so nobody knows the pseudonyms.",
                    "Restore it from its back-up: with another one, patients who withdrew would come back.",
                )
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            files.write_new(path, secrets.token_bytes(SECRET_BYTES))
        return cls(files.read(path))

    @property
    def check(self) -> bytes:
        """Tells this secret from others, and nothing about it (32 bytes)."""
        return self._digest(b"check")

    def patient(self, patient_id: str, issuer: str = "") -> str:
        """The pseudonym of a patient, 16 characters A to Z and 2 to 7: for PatientID (LO) and PatientName (PN)."""
        digest = self._digest(b"patient", issuer, patient_id)
        return base64.b32encode(digest)[:_PATIENT_CHARACTERS].decode("ascii")

    def uid(self, uid: str) -> str:
        """The UID that stands for another one."""
        number = int.from_bytes(self._digest(b"uid", uid)[:16], "big")
        return f"{_UUID_ROOT}{number & ~_VERSION_BITS & ~_VARIANT_BITS | _VERSION | _VARIANT}"

    def shift(self, pseudonym: str) -> timedelta:
        """How far all dates of a patient, named by pseudonym, are moved: whole days, so that intervals stay."""
        number = int.from_bytes(self._digest(b"shift", pseudonym)[:8], "big")
        return -timedelta(days=MIN_SHIFT_DAYS + number % (MAX_SHIFT_DAYS - MIN_SHIFT_DAYS + 1))

    def shift_seconds(self, pseudonym: str) -> timedelta:
        """How far times of a patient's day are moved beside `shift`: whole seconds, less than a day."""
        number = int.from_bytes(self._digest(b"shift-seconds", pseudonym)[:8], "big")
        return timedelta(seconds=number % _SECONDS_OF_A_DAY)

    def resource(self, kind: str, resource_id: str) -> bytes:
        """What stands for a FHIR resource of a type and logical id (16 bytes)."""
        return self._digest(b"resource", kind, resource_id)[:16]

    def today(self, pseudonym: str) -> date:
        """Today as a patient's records have it, whose dates are moved."""
        return datetime.now(UTC).date() + self.shift(pseudonym)

    def _digest(self, kind: bytes, *parts: str) -> bytes:
        encoded = [part.encode("utf-8") for part in parts]
        message = b"".join([len(part).to_bytes(4, "big") + part for part in [b"salus/" + kind, *encoded]])
        return hmac.digest(self._secret, message, "sha256")


def moved(day: date, shift: timedelta) -> date | None:
    """A date moved by a shift; None when the calendar ends before."""
    try:
        return day + shift
    except OverflowError:
        return None
