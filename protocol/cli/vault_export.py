"""``salus vault export``: what is held of one patient, for that patient."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from protocol.cli.arguments import NEW_FILE, vault_password
from protocol.cli.command import Command
from protocol.cli.dataset import models_used
from protocol.cli.output import Result, done, facts, working
from protocol.cli.session import Session
from protocol.errors import SalusError

if TYPE_CHECKING:
    from protocol.access import Membership
    from protocol.vault.store import Vault


@click.command(
    cls=Command,
    examples=[
        "salus --home /srv/salus vault export - --out held.zip --vault-password-file pw",
        "salus vault export 4711-08 --issuer CITY --out held.zip --vault-password-file pw --json",
    ],
)
@click.argument("patient")
@click.option(
    "--issuer",
    default="",
    help="Who issued the patient's id, as for `salus vault withdraw`.",
)
@click.option("--out", type=NEW_FILE, required=True, help="The ZIP file; guard it, it is one person's.")
@vault_password
@click.pass_obj
def export(
    session: Session, patient: str, issuer: str, out: Path, vault_password_file: Path | None
) -> Result:
    """Write what is held of one patient into a file: records as FHIR, images as DICOM, rows of datasets, and the models
    that learned from them (GDPR Art. 15 and 20).

    PATIENT is the hospital's own id, as the images or the records have it; - reads it from standard input. Where
    nothing is held the exit code is 1, and so it is where a dataset does not open: the file lacks what that holds.
    """
    from protocol import access
    from protocol.cli.vault import open_vault, pseudonyms_of
    from protocol.cli.vault_withdraw import own_id, same_person
    from protocol.vault.records import Records

    given = own_id(patient)
    opened = open_vault(session, vault_password_file)
    records = Records(opened)
    pseudonym = pseudonyms_of(session, opened).patient(given, issuer.strip())
    names = sorted({pseudonym, *same_person(records, pseudonym, issuer)})
    with working("Gathering"):
        memberships, notices, failed = _memberships(session, opened, names)
        held = access.held_of(names, opened, records, memberships)
        access.write(held, opened, out)
    opened.log("export", resources=len(held.resources), instances=len(held.images))
    counts = {
        "resources": len(held.resources),
        "images": len(held.images),
        "datasets": [each.dataset for each in memberships],
        "models": sorted({f"{use.model_id}@{use.version}" for each in memberships for use in each.models}),
    }
    shown = {
        "records": f"{counts['resources']:,} FHIR resources",
        "images": f"{counts['images']:,}",
        "datasets": ", ".join(counts["datasets"]) or "none",
        "models that learned": ", ".join(counts["models"]) or "none",
    }
    notices += [f"The file lacks what a dataset holds that does not open: {each.message}" for each in failed]
    view = [done(f"Wrote {out}."), facts(shown)]
    return Result({"file": out, **counts}, view, notices, ok=not failed)


def _memberships(
    session: Session, opened: Vault, names: list[str]
) -> tuple[list[Membership], list[str], list[SalusError]]:
    """The datasets that hold something of the patient, with the models that learned from it, what could not be asked,
    and what went wrong with datasets that do not open."""
    from protocol import access
    from protocol.cli.vault_withdraw import datasets_of

    failed: list[SalusError] = []
    found, notices = [], []
    for dataset, of_them in datasets_of(session, opened, names, [], failed):
        try:
            membership = access.membership(dataset, list(of_them()))
        except SalusError as error:
            failed.append(error)
            continue
        if membership is None:
            continue
        try:
            membership = access.with_models(membership, models_used(session, dataset, membership.versions))
        except SalusError as error:
            notices.append(f"Which models learned from {membership.dataset} cannot be said: {error.message}")
        found.append(membership)
    return found, notices, failed
