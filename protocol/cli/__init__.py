"""The command line: one file a noun, each command a thin line to the library below it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from protocol.cli.command import Root, remember_verbose
from protocol.cli.session import Session

NOUNS = {
    "devnet": "A development network on this machine: chain, IPFS daemon, contracts.",
    "account": "Keys in the keystore.",
    "hospital": "Members of the network: admit, list, suspend, change keys.",
    "dataset": "A hospital's anonymised datasets and their commitments.",
    "image": "Ultrasound images of a hospital: de-identify.",
    "gateway": "Where a hospital's ultrasound devices send, over DICOM.",
    "device": "Devices that may send to the gateway: register, list, remove.",
    "quarantine": "What the gateway keeps back, and why: look, release, reject.",
    "vault": "A hospital's anonymised images and records, encrypted at home: query, label, withdraw.",
    "records": "A hospital's FHIR records, de-identified into its vault: import, count, rules.",
    "consent": "Consent tokens with DUO terms: mint, revoke, look at.",
    "job": "Training jobs: check a spec, propose, watch, challenge, cancel.",
    "node": "A hospital's node, which trains and checks merges.",
    "model": "Models and their versions: look at, pull, predict.",
    "vote": "The DAO's proposals: propose, vote, queue, execute.",
    "bond": "Bonds of hospitals: deposit, withdraw, unlock.",
    "reward": "Rewards: see what is owed, claim it.",
    "trace": "Re-check a model version from chain and IPFS alone.",
    "demo": "The whole story on this machine: four hospitals train one model.",
}


@click.group(
    cls=Root, nouns=NOUNS, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.option("--network", envvar="SALUS_NETWORK", show_envvar=True, help="Name of the network [devnet].")
@click.option("--rpc-url", envvar="SALUS_RPC_URL", show_envvar=True, help="URL of a chain node.")
@click.option("--ipfs-api", envvar="SALUS_IPFS_API", show_envvar=True, help="RPC API of the IPFS daemon.")
@click.option(
    "--deployment",
    type=click.Path(path_type=Path),
    envvar="SALUS_DEPLOYMENT",
    show_envvar=True,
    help="File that says where the contracts are.",
)
@click.option(
    "--keystore",
    type=click.Path(path_type=Path),
    envvar="SALUS_KEYSTORE",
    show_envvar=True,
    help="Folder of encrypted keys.",
)
@click.option(
    "--home",
    type=click.Path(path_type=Path),
    envvar="SALUS_HOME",
    show_envvar=True,
    help="Folder of datasets, salts and journal: a hospital's own.",
)
@click.option(
    "--confirmations",
    type=click.IntRange(0, 1000),
    envvar="SALUS_CONFIRMATIONS",
    show_envvar=True,
    help="Blocks to wait for on top of a transaction's own.",
)
@click.option(
    "-v",
    "--verbose",
    count=True,
    expose_value=False,
    callback=remember_verbose,
    help="Say more; -vv: everything.",
)
@click.version_option(package_name="salus")
@click.pass_context
def main(ctx: click.Context, **given: Any) -> None:
    """Hospitals train one medical model together; each keeps its patients' records at home.

    Every command has --help with examples, and --json for programs. Exit codes: 0 success, 1 refused or failed, 2 wrong
    usage, 130 stopped by Ctrl-C.
    """
    ctx.obj = Session(given)


__all__ = ["main"]
