"""``salus dataset``: a hospital's anonymised datasets and their commitments."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from protocol.cli.arguments import EXISTING_FILE, signing
from protocol.cli.command import Group
from protocol.cli.output import Result, working
from protocol.cli.session import Session

if TYPE_CHECKING:
    pass


@click.group(cls=Group)
def dataset() -> None:
    """A hospital's anonymised datasets. Records, salts and identifiers stay in --home; the chain gets roots and counts."""


name_option = click.option("--name", required=True, help="Name of the dataset in --home: a folder.")


@dataset.command(
    examples=[
        "salus --home /srv/salus dataset register records.csv --schema uci-heart-disease --name heart"
        " --account cleveland-operator",
        "salus dataset register records.csv --schema schema.json --name heart --held-out 0.34 --seed 43"
        " --account cleveland-operator --json",
    ],
)
@click.argument("csv", type=EXISTING_FILE)
@click.option("--schema", required=True, help="A packaged schema by name, or a JSON file.")
@name_option
@click.option(
    "--held-out",
    type=click.FloatRange(0, 0.9),
    default=0.34,
    show_default=True,
    help="Share of records kept for reporting, unless the table has a column named split (train, held_out).",
)
@click.option("--seed", type=click.IntRange(0), default=43, show_default=True, help="Seed of the split.")
@click.option(
    "--patient",
    help="Column that tells patients apart, so that no patient is on both sides of the split; it is not stored.",
)
@signing
@click.pass_obj
def register(
    session: Session,
    csv: Path,
    schema: str,
    name: str,
    held_out: float,
    seed: int,
    patient: str | None,
    account: str,
    password_file: Path | None,
) -> Result:
    """Check a CSV table against a schema, keep it salted in --home, and register its commitment on the chain.

    A column that looks like an identifier is refused by name, and so is a value that the schema does not allow.
    """
    from protocol.data.preparing import prepare

    folder = _folder(session, name)
    chosen = _schema(schema)
    chain = session.chain_as(account, password_file)
    with working("Reading and salting records") as work:
        made = prepare(folder, chosen, csv, held_out=held_out, seed=seed, patient=patient)
        work.say("Pinning schema and evidence, registering")
        receipt = _send(session, chain, made)
    return _registered(made, receipt, chain.explain_cost(receipt))


@dataset.command(
    examples=[
        "salus dataset append more.csv --name heart --account cleveland-operator",
        "salus dataset append more.csv --name heart --account cleveland-operator --json",
    ],
)
@click.argument("csv", type=EXISTING_FILE)
@name_option
@click.option(
    "--held-out", type=click.FloatRange(0, 0.9), default=0.34, show_default=True, help="As in register."
)
@click.option("--seed", type=click.IntRange(0), default=43, show_default=True, help="As in register.")
@click.option("--patient", help="As in register.")
@signing
@click.pass_obj
def append(
    session: Session,
    csv: Path,
    name: str,
    held_out: float,
    seed: int,
    patient: str | None,
    account: str,
    password_file: Path | None,
) -> Result:
    """Add a table's records to a registered dataset and append the next version on the chain."""
    raise NotImplementedError
