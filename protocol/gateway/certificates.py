"""Self-signed certificates: what a gateway shows to devices when the hospital has none for it, and what devices can be
given."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from protocol.vault import disk

DAYS = 825


def self_signed(name: str, hosts: Sequence[str] = (), days: int = DAYS) -> tuple[bytes, bytes]:
    """A certificate and its private key (P-256), both PEM. ``hosts``: names and addresses that it is good for."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        # Clocks of devices differ.
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    )
    if hosts:
        builder = builder.add_extension(x509.SubjectAlternativeName([_host(each) for each in hosts]), False)
    certificate = builder.sign(key, SHA256())
    return (
        certificate.public_bytes(Encoding.PEM),
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
    )


def own(folder: Path, name: str, hosts: Sequence[str]) -> tuple[Path, Path]:
    """The gateway's own certificate and key, as files in its folder; made at first. Raises `OSError`."""
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    if not certificate.exists():
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        made = self_signed(name, hosts)
        disk.put(key, made[1])
        disk.put(certificate, made[0])
    return certificate, key


def _host(text: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(text))
    except ValueError:
        return x509.DNSName(text)
