"""``salus vault dataset``: from images in the vault to a dataset that jobs can train on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from protocol.cli.arguments import vault_password
from protocol.cli.command import Command
from protocol.cli.dataset import dataset_folder, read_schema
from protocol.cli.output import Result, done, facts, next_commands, working
from protocol.cli.session import Session
from protocol.errors import DataError

#: A version says when its images came, and of few patients that is personal.
MIN_PATIENTS = 5


def growing(command: Callable[..., Any]) -> Callable[..., Any]:
    """How a dataset of the vault is split, and of how many patients its versions are."""
    for option in (
        click.option(
            "--min-patients",
            type=click.IntRange(1),
            default=MIN_PATIENTS,
            show_default=True,
            help="Fewest patients whose records make a version.",
        ),
        click.option(
            "--held-out",
            type=click.FloatRange(0, 1, min_open=True, max_open=True),
            help="For a new dataset: share of patients kept for reporting  [default: 0.34]",
        ),
    ):
        command = option(command)
    return command


@click.command(
    cls=Command,
    examples=[
        "salus --home /srv/salus vault dataset breast --schema schema.json --where \"body_part = 'BREAST'\""
        " --vault-password-file pw",
        "salus vault dataset breast --vault-password-file pw --json",
    ],
)
@click.argument("name")
@click.option("--schema", help="For a new dataset: a packaged schema of images by name, or a JSON file.")
@click.option(
    "--where", help="For a new dataset: the SQL condition of its cohort, as in `salus vault query` [all]."
)
@growing
@vault_password
@click.pass_obj
def dataset(
    session: Session,
    name: str,
    schema: str | None,
    where: str | None,
    held_out: float | None,
    min_patients: int,
    vault_password_file: Path | None,
) -> Result:
    """Make a dataset of labelled images in the vault's batches, or extend it by what came since.

    NAME is its folder in the datasets of --home. A new one needs --schema; images that fit --where and have a label are
    its members, each patient on one side of the split. An existing one takes what is new of the same cohort. The chain
    hears of it with `salus dataset register` or `append`.
    """
    from protocol.cli.vault import open_vault
    from protocol.data.images import ImageSchema
    from protocol.vault.images import HELD_OUT_SHARE, ImageDataset

    folder = dataset_folder(session, name)
    if (schema is None) != folder.exists():
        raise click.UsageError(
            f"Dataset {name} exists: its schema stays." if schema else "A new dataset needs --schema."
        )
    if folder.exists() and (where, held_out) != (None, None):
        raise click.UsageError(f"Dataset {name} exists: its cohort and its share stay as they are.")
    read = read_schema(schema) if schema else None
    if read is not None and not isinstance(read, ImageSchema):
        raise DataError(
            f"The schema {read.name} is of a table.", "Make its dataset with `salus dataset register`."
        )
    if read is None:
        ImageDataset.open(folder)
    vault = open_vault(session, vault_password_file)
    waiting = 0
    with working("Hashing, and looking at a sample again"):
        if read is not None:
            share = held_out or HELD_OUT_SHARE
            made = ImageDataset.create(folder, read, vault, where or "", share, min_patients=min_patients)
        else:
            before = ImageDataset.open(folder, vault=vault)
            grown = before.extend(vault, min_patients=min_patients)
            made, waiting = grown or before, 0 if grown else len(before.fresh(vault))
    if waiting:
        head = f"{waiting} new images wait: they are of fewer than {min_patients} patients."
    elif read is None and grown is None:
        head = f"Nothing in the vault is new to dataset {name}."
    else:
        head = done(f"Dataset {name} has version {made.version}.")
    command = "register" if made.dataset_id is None else "append"
    return Result(
        {
            "name": name,
            "dataset_id": made.dataset_id,
            "version": made.version,
            "root": made.root,
            "train_records": made.train_records,
            "held_out_records": made.held_out_records,
            "waiting": waiting,
            "schema": made.schema.name,
            "folder": made.folder,
        },
        [
            head,
            facts(
                {
                    "images": f"{made.train_records} for training, {made.held_out_records} held out",
                    "cohort": made.where or "all labelled images",
                    "root": "0x" + made.root.hex(),
                    "folder": made.folder,
                }
            ),
            next_commands(
                f"salus dataset {command} --name {name} --account OPERATOR",
                f"salus dataset audit --name {name}",
            ),
        ],
    )
