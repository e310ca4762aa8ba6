"""``salus device``: which ultrasound devices may send."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from protocol.cli.arguments import vault_password
from protocol.cli.command import Group
from protocol.cli.output import Result, done, facts, moment, table
from protocol.cli.session import Session
from protocol.cli.vault import open_vault

if TYPE_CHECKING:
    from protocol.gateway.devices import Device

_SHOWN_DIGITS = 16


@click.group(cls=Group)
def device() -> None:
    """Devices that may send to the hospital's gateway, by their TLS certificates."""


@device.command(
    examples=[
        "salus --home /srv/salus device register room-3 --certificate room-3.pem --ae-title US_ROOM3"
        " --vault-password-file pw",
    ],
)
@click.argument("name")
@vault_password
@click.option(
    "--certificate",
    type=click.Path(dir_okay=False, path_type=Path),
    required=True,
    help="The device's TLS certificate, PEM; self-signed ones are fine.",
)
@click.option("--ae-title", required=True, help="AE title that the device calls from.")
@click.pass_obj
def register(
    session: Session, name: str, vault_password_file: Path | None, certificate: Path, ae_title: str
) -> Result:
    """Let a device send, and draw the key that the gateway signs with for it. A running gateway knows it at once.

    The certificate authenticates the device. Its AE title only identifies it: anybody can claim one.
    """
    from protocol.data import files
    from protocol.gateway.service import devices_of

    pem = files.read(certificate)
    devices = devices_of(session.settings.home, open_vault(session, vault_password_file))
    registered = devices.register(name, pem, ae_title)
    return Result(
        _document(registered),
        [
            done(f"Device {name} may send."),
            facts(
                {
                    "AE title": registered.ae_title,
                    "certificate": f"SHA-256 {registered.fingerprint}",
                    "until": moment(registered.expires_at),
                    "signing key": registered.public_key,
                }
            ),
        ],
    )


@device.command("list", examples=["salus --home /srv/salus device list", "salus device list --json"])
@click.pass_obj
def list_(session: Session) -> Result:
    """List the devices that may send."""
    from protocol.gateway.service import devices_of

    found = devices_of(session.settings.home).list()
    expired = [each for each in found if 0 < each.expires_at <= time.time()]
    rows = [
        (
            each.name,
            each.ae_title or "-",
            f"{each.fingerprint[:_SHOWN_DIGITS]}…" if each.fingerprint else "-",
            moment(each.expires_at) if each.expires_at else "-",
            moment(each.registered_at),
        )
        for each in found
    ]
    return Result(
        {"devices": [_document(each) for each in found]},
        [
            table(
                ["Device", "AE title", "Certificate", "Good until", "Registered"],
                rows,
                empty="No device may send: `salus device register`.",
            )
        ],
        notices=[f"The certificate of {each.name} has expired: it cannot connect." for each in expired],
    )


@device.command(
    examples=["salus --home /srv/salus device remove room-3", "salus device remove room-3 --json"]
)
@click.argument("name")
@click.pass_obj
def remove(session: Session, name: str) -> Result:
    """Let a device send no more, at once and for good. What it sent before stays, and is still signed for."""
    from protocol.gateway.service import devices_of

    removed = devices_of(session.settings.home).remove(name)
    return Result(_document(removed), [done(f"Device {name} may not send any more.")])


def _document(found: Device) -> dict[str, Any]:
    return {
        "name": found.name,
        "ae_title": found.ae_title,
        "certificate_sha256": found.fingerprint,
        "expires_at": found.expires_at,
        "public_key": found.public_key,
        "registered_at": found.registered_at,
        "removed_at": found.removed_at,
    }
