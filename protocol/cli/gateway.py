"""``salus gateway``: where a hospital's ultrasound devices send."""

from __future__ import annotations

import json
import logging
import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from protocol.cli.arguments import FOLDER, may_sign, vault_password
from protocol.cli.command import Group, log_in_json
from protocol.cli.output import Result, done, facts, moment
from protocol.cli.session import Session
from protocol.cli.vault import open_vault
from protocol.errors import GatewayError

if TYPE_CHECKING:
    from protocol.chain.client import Chain
    from protocol.content.ipfs import Ipfs
    from protocol.vault.images import ImageDataset


@click.group(cls=Group)
def gateway() -> None:
    """The hospital's gateway: devices send to it over DICOM, and only what is clean goes into the vault."""


@gateway.command(
    examples=[
        "salus --home /srv/salus gateway run --vault-password-file pw --account north-operator --password-file pw",
        "salus gateway run --host 10.1.2.3 --certificate tls.pem --key tls.key --vault-password-file pw",
        "salus gateway run --plain --watch /srv/exports --vault-password-file pw",
    ],
)
@vault_password
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=11112,
    show_default=True,
    help="Port to listen on; 0: any.",
)
@click.option("--ae-title", default="SALUS", show_default=True, help="AE title that devices call.")
@click.option(
    "--certificate",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The gateway's TLS certificate, PEM. Without it one is made in --home, for devices to trust.",
)
@click.option(
    "--key", type=click.Path(dir_okay=False, path_type=Path), help="The certificate's private key, PEM."
)
@click.option(
    "--plain", is_flag=True, help="Without TLS: others can read along, and an AE title proves nothing."
)
@click.option("--watch", type=FOLDER, help="Also take files out of this folder, and remove them there.")
@may_sign
@click.option(
    "--batch-instances",
    type=click.IntRange(1),
    default=200,
    show_default=True,
    help="Append a version to the hospital's image datasets for so many new instances,",
)
@click.option(
    "--batch-seconds",
    type=click.IntRange(1),
    default=3600,
    show_default=True,
    help="or so many seconds after the first of them came,",
)
@click.option(
    "--min-patients",
    type=click.IntRange(2),
    default=5,
    show_default=True,
    help="but never for fewer patients: when somebody came is personal.",
)
@click.option("--log-json", is_flag=True, help="Log one JSON document a line.")
@click.pass_obj
def run(
    session: Session,
    vault_password_file: Path | None,
    host: str,
    port: int,
    ae_title: str,
    certificate: Path | None,
    key: Path | None,
    plain: bool,
    watch: Path | None,
    account: str | None,
    password_file: Path | None,
    batch_instances: int,
    batch_seconds: int,
    min_patients: int,
    log_json: bool,
) -> Result:
    """Run the gateway until Ctrl-C or SIGTERM. It may be killed at any point and started again.

    A device is let in by the TLS certificate that `salus device register` named. What it sends is acknowledged once it
    is on the disk, sealed; then it is de-identified and put into the vault, or kept back in quarantine with the reason.
    With the operator's account, registered image datasets (`salus vault dataset`) grow on the chain while devices send.
    """
    from protocol.gateway.anchoring import Anchor, Pace
    from protocol.gateway.certificates import own
    from protocol.gateway.scp import Address
    from protocol.gateway.service import FOLDER as OWN
    from protocol.gateway.service import Gateway, devices_of

    if (certificate is None) != (key is None) or (plain and certificate is not None):
        raise click.UsageError("Give --certificate and --key together, and neither of them with --plain.")
    home = session.settings.home
    vault = open_vault(session, vault_password_file)
    if not plain and certificate is None:
        certificate, key = own(home / OWN, ae_title, sorted({host, "localhost"}))
    register = _registering(session.chain_as(account, password_file), session.ipfs) if account else None
    anchor = Anchor(
        vault,
        home / "datasets",
        Pace(batch_instances, batch_seconds, min_patients),
        devices_of(home, vault).sign,
        register,
    )
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    logging.getLogger("protocol").setLevel(logging.INFO)
    if log_json:
        log_in_json()
    started = Gateway(
        home, vault, Address(host, port, ae_title, certificate, key), anchor=anchor, watch=watch
    )
    started.run(stop)
    document = started.status("stopped")
    return Result(document, [done("The gateway has stopped."), _counts(document)])


def _registering(chain: Chain, ipfs: Ipfs) -> Callable[[ImageDataset], bool]:
    """Puts a dataset's newest version on the chain, unless it is there."""
    from protocol.chain.hospitals import Hospitals
    from protocol.client import is_newest, register_dataset

    Hospitals(chain).require_operator()

    def register(dataset: ImageDataset) -> bool:
        newest = dataset.newest()
        if is_newest(chain, newest):
            return False
        register_dataset(chain, ipfs, newest)
        return True

    return register


@gateway.command(examples=["salus --home /srv/salus gateway status", "salus gateway status --json"])
@click.pass_obj
def status(session: Session) -> Result:
    """What the gateway of this home is doing, as it last said itself, and which certificate devices are to trust."""
    from protocol.gateway.service import FOLDER as OWN
    from protocol.gateway.service import STATUS

    folder = session.settings.home / OWN
    try:
        said: dict[str, Any] = json.loads((folder / STATUS).read_text(encoding="utf-8"))
        running = said["doing"] != "stopped" and _runs(said["pid"])
    except FileNotFoundError:
        raise GatewayError(
            f"No gateway has run in {session.settings.home}.",
            "Start one with `salus gateway run`, or name its --home.",
        ) from None
    except (ValueError, KeyError, TypeError) as error:
        raise GatewayError(
            f"{folder / STATUS} is not a gateway's status.", "It is written anew when the gateway runs."
        ) from error
    document = {**said, "running": running}
    return Result(
        document,
        [
            facts(
                {
                    "running": f"yes, process {said['pid']}" if running else "no",
                    "since": moment(said["since"]),
                    "address": f"{said['host']}:{said['port']} as {said['ae_title']}, "
                    f"{'with' if said['tls'] else 'without'} TLS",
                }
            ),
            _counts(said),
        ],
    )


def _counts(said: dict[str, Any]) -> Any:
    return facts(
        {
            "received": f"{said['received']:,} from devices, {said['taken']:,} from the watched folder",
            "in the vault": f"{said['stored']:,}, and {said['again']:,} that were there already",
            "kept back": f"{said['kept_back']:,}, see `salus quarantine list`",
        }
    )


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
