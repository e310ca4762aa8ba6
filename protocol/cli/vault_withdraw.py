"""``salus vault withdraw``: everything of a patient goes, and nothing comes again."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from protocol.cli.arguments import vault_password
from protocol.cli.command import Command
from protocol.cli.dataset import models_used, uses_document, uses_view
from protocol.cli.output import Result, done, next_commands, table, working
from protocol.cli.session import Session
from protocol.errors import DataError, SalusError

if TYPE_CHECKING:
    from protocol.vault.images import ImageDataset
    from protocol.vault.record_dataset import RecordDataset
    from protocol.vault.records import Records
    from protocol.vault.store import Vault
    from protocol.withdrawal import ModelUse


@click.command(
    cls=Command,
    examples=[
        "salus --home /srv/salus vault withdraw - --vault-password-file pw",
        "salus vault withdraw 4711-08 --issuer CITY --vault-password-file pw --json",
    ],
)
@click.argument("patient")
@click.option(
    "--issuer",
    default="",
    help="Who issued the patient's id, where images say it (IssuerOfPatientID); of records the identifier's system, or"
    " fhir where the id is that of the Patient resource.",
)
@vault_password
@click.pass_obj
def withdraw(session: Session, patient: str, issuer: str, vault_password_file: Path | None) -> Result:
    """Remove all images and records of a patient who withdraws, and refuse what comes later.

    PATIENT is the hospital's own id, as the images or the records have it; - reads it from standard input, so that it
    stays in no shell's history. Records go that have this identifier, and those that their Patient resource links to as
    the same individual; images go that lie under this id. Each dataset that holds any of it gets a new version without.
    Back-ups, what rests in quarantine, and models that were trained already stay as they are: see `salus quarantine
    list` for the second. Where nothing of the patient was found the exit code is 1.
    """
    from protocol.cli.vault import open_vault, pseudonyms_of
    from protocol.gateway.service import devices_of
    from protocol.vault.records import Records

    given = own_id(patient)
    opened = open_vault(session, vault_password_file)
    records = Records(opened)
    pseudonym = pseudonyms_of(session, opened).patient(given, issuer.strip())
    people = same_person(records, pseudonym, issuer)
    with working("Removing"):
        # All of them first of all: whatever happens next, nothing of theirs is given to anybody.
        opened.refuse([pseudonym, *people])
        uids = opened.withdraw(pseudonym, devices_of(session.settings.home, opened).sign)
        resources = records.withdraw(*people) if people else 0
        datasets, models, unasked = _withdraw_from_datasets(session, opened, {pseudonym, *people}, uids)
    found = bool(uids or datasets or people)
    notices = []
    if not found:
        notices = [
            "Nothing of this patient was here: id and --issuer must be as in the images or the records."
        ]
    if elsewhere := _images_elsewhere(opened, records.aliases(people) - {pseudonym}):
        notices.append(
            f"{elsewhere:,} images are here under another id that this patient has: withdraw those by that id too."
        )
    removed = f"Removed {len(uids):,} images and {resources:,} records."
    view = [done(f"{removed} What comes later of this patient is refused.")]
    if datasets:
        lines = [
            (each["dataset"], str(each["version"]), ", ".join(map(str, each["places"])) or "—")
            for each in datasets
        ]
        view += [
            table(["Dataset", "Version without them", "Places that hold nothing now"], lines),
            unasked or uses_view(models),
            next_commands(
                "salus dataset append --name NAME --account ACCOUNT",
                "salus dataset uses --name NAME",
                "salus dataset verify --name NAME --erased PLACE --out erasure.json",
            ),
        ]
    document = {
        "pseudonym": pseudonym,
        "instances": len(uids),
        "records": resources,
        "images_under_other_ids": elsewhere,
        "datasets": datasets,
    }
    return Result({**document, "models": None if unasked else uses_document(models)}, view, notices, ok=found)


def own_id(given: str) -> str:
    """The hospital's own id of a patient, from standard input where it is -. Raises DataError for none."""
    found = (sys.stdin.readline() if given == "-" else given).strip()
    if not found:
        raise DataError("A patient's id is needed.", "Give it as the images or the records have it.")
    return found


def same_person(records: Records, pseudonym: str, issuer: str) -> list[str]:
    """All pseudonyms in the records of whom a pseudonym or alias stands for. Raises DataError when it is several
    people's."""
    found = records.patient_of(pseudonym)
    people = records.same_person(found[:1])
    if set(found) <= set(people):
        return people
    if all(records.withdrawn(each) for each in found):
        # Whose they were cannot be told any more, and need not be.
        return records.same_person(found)
    hint = "Say whose it is with --issuer, the system of the identifier."
    if issuer.strip():
        hint = "Name each by the id of the Patient resource, with --issuer fhir."
    raise DataError(f"This id is of {len(found)} patients in the records. Nothing was removed.", hint)


def _images_elsewhere(opened: Vault, aliases: Collection[str]) -> int:
    """How many images are of any of these patients."""
    if not aliases:
        return 0
    return sum(each.patient in aliases for each in [*opened.index(), *opened.pending()])


def _withdraw_from_datasets(
    session: Session, opened: Vault, patients: Collection[str], uids: list[str]
) -> tuple[list[dict[str, Any]], list[ModelUse], str]:
    """A new version of each dataset that holds any of the images or records, the models that learned from them, and why
    the chain could not be asked for those. Raises what went wrong with a dataset once all of them were tried."""
    versions, models, unasked = [], [], ""
    failed: list[SalusError] = []
    for each, of_them in datasets_of(session, opened, patients, uids, failed):
        try:
            gone = of_them()
            held = each.held(gone)
            made, places = _without(each, gone)
        except SalusError as error:
            failed.append(error)
            continue
        if made:
            versions.append(
                {
                    "dataset": made.folder.name,
                    "dataset_id": made.dataset_id,
                    "version": made.version,
                    "places": places,
                }
            )
            try:
                models += models_used(session, made, held)
            except SalusError as error:
                unasked = f"Which models learned from them cannot be said: {error.message}"
    if failed:
        raise failed[0]
    return versions, models, unasked


def _without(
    dataset: ImageDataset | RecordDataset, gone: Collection[str]
) -> tuple[ImageDataset | RecordDataset | None, list[int]]:
    """The version without these images or patients, and the places of records that hold nothing since."""
    from protocol.cohort.members import without
    from protocol.vault.record_dataset import RecordDataset

    if not isinstance(dataset, RecordDataset):
        return dataset.withdraw(gone), []
    made = without(dataset, gone)
    return made, made.withdrawn_places(gone) if made else []


def datasets_of(
    session: Session, opened: Vault, patients: Collection[str], uids: list[str], failed: list[SalusError]
) -> Iterator[tuple[ImageDataset | RecordDataset, Callable[[], Collection[str]]]]:
    """The datasets of images and of records in this home, each with what says which of its images, or of its patients,
    are those of ``patients``. What does not open goes into ``failed``."""
    from protocol.data.versions import MANIFEST, read_json
    from protocol.vault import images, stored_records

    for path in sorted((session.settings.home / "datasets").glob(f"[!.]*/{MANIFEST}")):
        try:
            # One of a table holds nothing of the vault, and need not open.
            if read_json(path).get("format") not in (images.FORMAT, stored_records.FORMAT):
                continue
            found = images.opened(path.parent, vault=opened)
        except SalusError as error:
            failed.append(error)
            continue
        if isinstance(found, images.ImageDataset):
            yield found, partial(_images_of, found, patients, uids)
        else:
            yield found, partial(set, patients)


def _images_of(dataset: ImageDataset, patients: Collection[str], uids: Collection[str]) -> set[str]:
    return {*uids, *(uid for each in patients for uid in dataset.uids_of(each))}
