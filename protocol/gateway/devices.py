"""The devices that may send, as their hospital registered them: a TLS certificate, an AE title, a key to sign with.

    NAME.json    canonical JSON: name, ae_title, certificate (PEM), public_key, signing_key (hex, sealed), registered_at

A certificate authenticates a device. An AE title only identifies one: anybody can claim it. The signing key is the
gateway's own: it signs for what the device sent. The file of a device that was removed stays: what it sent before is
still signed for and checked.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding

from protocol.content import canonical
from protocol.data import files
from protocol.errors import GatewayError, InvalidInput
from protocol.vault import disk
from protocol.vault.sealed import Sealer

log = logging.getLogger(__name__)

#: What stands for the folder that is watched, in place of a device.
WATCHED_FOLDER = "watched-folder"
MIN_RSA_BITS = 2048
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")
# PS3.5, 6.2: 16 characters at most, no backslash, no control characters, spaces around do not count.
_AE_TITLE = re.compile(r"[!-\[\]-~](?:[ -\[\]-~]{0,14}[!-\[\]-~])?")


@dataclass(frozen=True)
class Device:
    """``certificate`` as PEM and ``ae_title`` are empty for the watched folder; ``registered_at`` and ``removed_at``
    in unix seconds, the latter 0 while it may send."""

    name: str
    ae_title: str
    certificate: str
    public_key: str
    registered_at: int
    removed_at: int = 0

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the certificate's DER, hexadecimal; empty without one."""
        if not self.certificate:
            return ""
        return x509.load_pem_x509_certificate(self.certificate.encode("ascii")).fingerprint(SHA256()).hex()

    @property
    def expires_at(self) -> int:
        """When its certificate ends, unix seconds; 0 without one."""
        if not self.certificate:
            return 0
        found = x509.load_pem_x509_certificate(self.certificate.encode("ascii"))
        return int(found.not_valid_after_utc.timestamp())


class Devices:
    """The devices of one hospital, in a folder. ``sealer`` is needed to register and to sign, and for nothing else.

    Each call reads the folder, so what another process registers or removes holds at once.
    """

    def __init__(self, folder: Path, sealer: Sealer | None = None) -> None:
        self._folder = folder
        self._sealer = sealer
        self._broken: set[Path] = set()

    def register(self, name: str, certificate_pem: bytes, ae_title: str) -> Device:
        """Lets a device send. Raises InvalidInput when the name, the certificate or the AE title is no good, or another
        device has it."""
        if not _AE_TITLE.fullmatch(ae_title):
            raise InvalidInput(
                f"{ae_title!r} is not an AE title.", "Use 1 to 16 letters, digits and signs, no backslash."
            )
        if name == WATCHED_FOLDER:
            raise InvalidInput(
                f"{name} is what stands for the folder that is watched.", "Choose another name."
            )
        certificate = _certificate(certificate_pem)
        device = self._new(name, certificate.public_bytes(Encoding.PEM).decode("ascii"), ae_title)
        for other in self.list():
            if other.ae_title == ae_title:
                raise InvalidInput(f"Device {other.name} has the AE title {ae_title}.", "Give each its own.")
            if other.fingerprint == device[0].fingerprint:
                raise InvalidInput(
                    f"Device {other.name} has this certificate.", "Give each device a certificate of its own."
                )
        return self._write(*device)

    def watched_folder(self) -> Device:
        """What stands for the watched folder; made at first."""
        found = self._find(WATCHED_FOLDER)
        return found or self._write(*self._new(WATCHED_FOLDER, "", ""))

    def list(self) -> list[Device]:
        """Those that may send, by name. Without those whose files are broken, which are named in the log."""
        return [device for device in self._all() if not device.removed_at]

    def get(self, name: str) -> Device:
        """A device by its name, removed ones too. Raises InvalidInput."""
        if found := self._find(name):
            return found
        raise InvalidInput(f"There is no device {name!r}.", "`salus device list` shows those there are.")

    def remove(self, name: str) -> Device:
        """From now on it may not send. Its key stays: the gateway still signs for what it sent before."""
        device = self.get(name)
        if device.removed_at:
            raise InvalidInput(f"Device {name} was removed before.")
        signing_key = self._read(self._path(name))["signing_key"]
        return self._write(Device(**{**_fields(device), "removed_at": int(time.time())}), signing_key)

    def by_fingerprint(self, fingerprint: str) -> Device | None:
        """The device that may send with this certificate: SHA-256 of its DER, hexadecimal."""
        return next((each for each in self.list() if fingerprint and each.fingerprint == fingerprint), None)

    def by_ae_title(self, ae_title: str) -> Device | None:
        """The device that says it is this one."""
        return next((each for each in self.list() if ae_title and each.ae_title == ae_title), None)

    def sign(self, name: str, message: bytes) -> bytes:
        """Signs for a device, 64 bytes (Ed25519). Raises InvalidInput for one that is not there, and VaultError when
        its key was altered."""
        self.get(name)
        sealed = self._read(self._path(name))["signing_key"]
        return Ed25519PrivateKey.from_private_bytes(
            self._needed().open(bytes.fromhex(sealed), _about(name))
        ).sign(message)

    def verify(self, name: str, message: bytes, signature: bytes) -> bool:
        """Whether this was signed for the device, now or before it was removed."""
        try:
            Ed25519PublicKey.from_public_bytes(bytes.fromhex(self.get(name).public_key)).verify(
                signature, message
            )
        except InvalidSignature:
            return False
        return True

    def _new(self, name: str, certificate: str, ae_title: str) -> tuple[Device, str]:
        """A device and its sealed signing key."""
        if not _NAME.fullmatch(name):
            raise InvalidInput(
                f"{name!r} is not a device's name.", "Use up to 32 small letters, digits and dashes."
            )
        if found := self._find(name):
            was = "was removed: signatures keep its name" if found.removed_at else "is registered already"
            raise InvalidInput(f"Device {name} {was}.", "Choose another name.")
        key = Ed25519PrivateKey.generate()
        device = Device(
            name, ae_title, certificate, key.public_key().public_bytes_raw().hex(), int(time.time())
        )
        return device, self._needed().seal(key.private_bytes_raw(), _about(name)).hex()

    def _write(self, device: Device, signing_key: str) -> Device:
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        document = {**_fields(device), "signing_key": signing_key}
        disk.put(self._path(device.name), canonical.dumps(document))
        return device

    def _all(self) -> Iterator[Device]:
        for path in sorted(self._folder.glob("*.json")):
            try:
                document = self._read(path)
            except GatewayError as error:
                if path not in self._broken:
                    log.warning("A device may not send: %s", error)
                    self._broken.add(path)
                continue
            self._broken.discard(path)
            yield _device(document)

    def _find(self, name: str) -> Device | None:
        if not _NAME.fullmatch(name) or not self._path(name).exists():
            return None
        return _device(self._read(self._path(name)))

    def _read(self, path: Path) -> dict[str, Any]:
        try:
            document = canonical.loads(files.read(path))
            if {*_FIELDS, "signing_key"} == set(document) and document["name"] == path.stem:
                # Whoever compares certificates needs one that can be read.
                _device(document).fingerprint  # noqa: B018
                return document
        except (InvalidInput, TypeError, ValueError, AttributeError):
            pass
        raise GatewayError(f"{path} is not a device of this version of Salus.", "Restore it from a back-up.")

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}.json"

    def _needed(self) -> Sealer:
        if self._sealer is None:
            raise GatewayError("Signing keys of devices are sealed with the vault's key.", "Open the vault.")
        return self._sealer


_FIELDS = tuple(Device.__dataclass_fields__)


def _device(document: dict[str, Any]) -> Device:
    return Device(**{name: document[name] for name in _FIELDS})


def _fields(device: Device) -> dict[str, Any]:
    return {name: getattr(device, name) for name in _FIELDS}


def _about(name: str) -> bytes:
    return f"device/{name}".encode("ascii")


def _certificate(pem: bytes) -> x509.Certificate:
    try:
        found = x509.load_pem_x509_certificates(pem)
    except ValueError as error:
        raise InvalidInput(
            "This is no certificate.", "Give the device's X.509 certificate as PEM."
        ) from error
    if len(found) != 1:
        raise InvalidInput(
            f"There are {len(found)} certificates in it.", "Give the device's own, and no other."
        )
    certificate = found[0]
    if certificate.not_valid_after_utc.timestamp() <= time.time():
        raise InvalidInput("The certificate has expired.", "Give the device a new one.")
    key = certificate.public_key()
    if isinstance(key, RSAPublicKey) and key.key_size < MIN_RSA_BITS:
        raise InvalidInput(
            f"The certificate's key has {key.key_size} bits, less than {MIN_RSA_BITS}.",
            "Give the device a stronger one.",
        )
    return certificate
