"""``salus vault``: a hospital's store of anonymised images and records."""

from __future__ import annotations

import csv
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from protocol.cli.arguments import EXISTING_FILE, NEW_FILE, vault_password
from protocol.cli.command import Group
from protocol.cli.output import Result, done, facts, moment, next_commands, table, working
from protocol.cli.session import Session
from protocol.cli.vault_dataset import dataset
from protocol.cli.vault_export import export
from protocol.cli.vault_withdraw import withdraw
from protocol.errors import AccountError, DataError, InvalidInput, VaultError

if TYPE_CHECKING:
    from protocol.data.pseudonyms import Pseudonyms
    from protocol.vault.records import Records
    from protocol.vault.store import Vault

_SHOWN_ROWS, _SHOWN_TYPES = 20, 4
_LABEL_COLUMNS = ["sop_instance_uid", "label"]


@click.group(cls=Group)
def vault() -> None:
    """A hospital's anonymised images and records, encrypted on its own disk. Nothing leaves this machine.

    Records come in with `salus records import`.
    """


vault.add_command(dataset)
vault.add_command(withdraw)
vault.add_command(export)


@vault.command(
    examples=[
        "salus --home /srv/salus vault init --vault-password-file pw",
        "salus vault init --vault-password-file pw --json",
    ],
)
@vault_password
@click.pass_obj
def init(session: Session, vault_password_file: Path | None) -> Result:
    """Make an empty vault in --home, and the secret of the pseudonyms (pseudonyms.key) where there is none. Whoever
    loses the password loses what is in the vault."""
    from protocol.data.pseudonyms import SECRET, Pseudonyms
    from protocol.vault.store import Vault

    password = _password(session, vault_password_file, "Password for the new vault", confirm=True)
    made = Vault.create(session.settings.home, password)
    made.bind(Pseudonyms.open(session.settings.home / SECRET, make=True).check)
    return Result(
        {"folder": made.folder},
        [
            done(f"Made a vault in {made.folder}."),
            f"Keep the password apart from this machine, and {session.settings.home / SECRET} too.",
            next_commands("salus vault backup vault.backup"),
        ],
    )


@vault.command(
    examples=[
        "salus --home /srv/salus vault status --vault-password-file pw",
        "salus vault status --verify --vault-password-file pw --json",
    ],
)
@vault_password
@click.option("--verify", is_flag=True, help="Read everything; check SHA-256 and signatures.")
@click.pass_obj
def status(session: Session, vault_password_file: Path | None, verify: bool) -> Result:
    """Say what is in the vault, in numbers."""
    from protocol.vault.records import Records

    opened = open_vault(session, vault_password_file)
    checked, signatures = None, {}
    if verify:
        with working("Reading everything"):
            checked, signatures = opened.verify(), _signatures(session, opened)
    rows, waiting, held = opened.index(), opened.pending(), records_held(Records(opened))
    document = {
        "folder": opened.folder,
        "instances": len(rows),
        "batches": len(opened.batches()),
        "labelled": sum(row.label is not None for row in rows),
        "pending": len(waiting),
        "damaged": opened.damaged(),
        "verified": checked,
        "signatures": signatures or None,
        "records": held,
    }
    shown = {
        "instances": f"{len(rows):,} in {document['batches']} batches, {document['labelled']:,} with a label",
        "pending": f"{len(waiting):,}, in no batch yet",
        "records": f"{held['resources']:,} of {held['patients']:,} patients" + _by_type(held["by_type"]),
        "folder": opened.folder,
    }
    if document["damaged"]:
        shown["damaged"] = f"{document['damaged']:,} set aside: their devices may send them again"
    if verify:
        shown["verified"] = f"{checked:,} instances are as they were, and {held['resources']:,} records"
        shown["signatures"] = (
            f"{signatures['hold']:,} hold, {signatures['unknown']:,} of devices not known here"
        )
    return Result(document, [facts(shown)])


@vault.command(
    examples=[
        "salus --home /srv/salus vault query \"modality = 'US' AND body_part = 'BREAST'\" --vault-password-file pw",
        "salus vault query 'label = 1 AND rows >= 480' --vault-password-file pw --json",
    ],
)
@click.argument("where", default="")
@vault_password
@click.pass_obj
def query(session: Session, where: str, vault_password_file: Path | None) -> Result:
    """List images for which an SQL condition holds; all of them without one.

    WHERE may name uid, patient, device, modality, body_part, model, rows, columns, frames, received_at (unix seconds),
    batch and label. Patients and UIDs are pseudonyms. Images that are in no batch yet are not asked.
    """
    rows = open_vault(session, vault_password_file).index(where)
    lines = [
        (
            row.patient, row.modality, row.body_part or "-", row.model or "-", f"{row.columns} x {row.rows}",
            str(row.frames), "-" if row.label is None else str(row.label), row.device, moment(row.received_at),
        )
        for row in rows[:_SHOWN_ROWS]
    ]  # fmt: skip
    heads = ["Patient", "Modality", "Body part", "Model", "Size", "Frames", "Label", "Device", "Received"]
    document = {
        "instances": [
            {
                "uid": row.uid, "patient": row.patient, "device": row.device, "modality": row.modality,
                "body_part": row.body_part, "model": row.model, "rows": row.rows, "columns": row.columns,
                "frames": row.frames, "received_at": row.received_at, "batch": row.batch, "label": row.label,
                "sha256": row.sha256.hex(),
            }
            for row in rows
        ]
    }  # fmt: skip
    patients = len({row.patient for row in rows})
    shown = f" The first {_SHOWN_ROWS} are shown; --json has all." if len(rows) > _SHOWN_ROWS else ""
    return Result(document, [table(heads, lines), f"{len(rows):,} images of {patients:,} patients.{shown}"])


@vault.command(
    examples=[
        "salus --home /srv/salus vault label labels.csv --vault-password-file pw",
        "salus vault label labels.csv --vault-password-file pw --json",
    ],
)
@click.argument("source", type=EXISTING_FILE)
@vault_password
@click.pass_obj
def label(session: Session, source: Path, vault_password_file: Path | None) -> Result:
    """Give images their labels, also those that are still to come.

    SOURCE is a CSV file with the columns sop_instance_uid, as the device wrote it, and label, a whole number. The UIDs
    are mapped to pseudonyms before anything is kept.
    """
    opened = open_vault(session, vault_password_file)
    pseudonyms = pseudonyms_of(session, opened)
    labels = {pseudonyms.uid(uid): value for uid, value in _labels(source).items()}
    changed = opened.label(labels)
    return Result(
        {"labels": len(labels), "changed": changed},
        [done(f"Took {len(labels):,} labels; {changed:,} of them are new or changed.")],
    )


@vault.command(
    examples=[
        "salus --home /srv/salus vault backup vault.backup --vault-password-file pw --password-file old",
        "salus vault backup vault.backup --vault-password-file pw --password-file old --json",
    ],
)
@click.argument("target", type=NEW_FILE)
@vault_password
@click.option(
    "--password-file", type=EXISTING_FILE, help="File with the back-up's own password in its first line."
)
@click.pass_obj
def backup(
    session: Session, target: Path, vault_password_file: Path | None, password_file: Path | None
) -> Result:
    """Keep the whole vault in one encrypted file, while it is in use. pseudonyms.key is not in it: keep that too."""
    from protocol.vault.backup import backup as keep

    opened = open_vault(session, vault_password_file)
    password = _typed(f"Password for {target}", password_file, confirm=True)
    with working("Encrypting"):
        count = keep(opened, target, password)
    return Result(
        {"file": target, "files": count},
        [
            done(f"Wrote {target}: {count:,} files, encrypted."),
            "Keep it and its password apart. It holds patients who withdraw later: replace it after a withdrawal.",
            next_commands(f"salus --home NEW vault restore {target}"),
        ],
    )


@vault.command(
    examples=[
        "salus --home /srv/salus-new vault restore vault.backup --password-file pw",
        "salus --home /srv/salus-new vault restore vault.backup --password-file pw --json",
    ],
)
@click.argument("source", type=EXISTING_FILE)
@click.option(
    "--password-file", type=EXISTING_FILE, help="File with the back-up's password in its first line."
)
@click.pass_obj
def restore(session: Session, source: Path, password_file: Path | None) -> Result:
    """Put a back-up's vault into a --home that has none, and check it. The back-up's password opens it then."""
    from protocol.vault.backup import restore as put_back
    from protocol.vault.records import Records

    password = _typed(f"Password of {source}", password_file)
    with working("Decrypting") as work:
        made = put_back(source, password, session.settings.home)
        work.say("Reading everything")
        count, held = made.verify(), sum(Records(made).counts().values())
    return Result(
        {"folder": made.folder, "instances": count, "records": held},
        [done(f"Restored {count:,} images and {held:,} records into {made.folder}; each is as it was.")],
    )


def open_vault(session: Session, password_file: Path | None) -> Vault:
    """The vault of this home, with the password of a file, the environment's, or typed. Raises VaultError,
    AccountError."""
    from protocol.vault.store import Vault

    return session.vault(password_file) or Vault.open(
        session.settings.home, _typed("Password of the vault", None)
    )


def _password(session: Session, file: Path | None, question: str, *, confirm: bool = False) -> str:
    return _typed(question, file or session.settings.vault_password_file, confirm=confirm)


def _typed(question: str, file: Path | None, *, confirm: bool = False) -> str:
    """From a file, else typed at a terminal and not shown. The network's password file is for keys of the chain."""
    from protocol.settings import read_password

    if file is not None:
        return read_password(file)
    if not sys.stdin.isatty():
        raise AccountError(
            f"{question} is needed, and there is no terminal to ask on.",
            "Give a file with the password in it.",
        )
    return click.prompt(question, hide_input=True, confirmation_prompt=confirm, err=True)


def records_held(records: Records) -> dict[str, Any]:
    """What there is of records, in numbers."""
    by_type = records.counts()
    return {"resources": sum(by_type.values()), "patients": records.patients(), "by_type": by_type}


def pseudonyms_of(session: Session, opened: Vault) -> Pseudonyms:
    """Those of the secret that the vault's are of. Raises DataError, VaultError."""
    from protocol.data.pseudonyms import SECRET, Pseudonyms

    found = Pseudonyms.open(session.settings.home / SECRET)
    opened.bind(found.check)
    return found


def _signatures(session: Session, opened: Vault) -> dict[str, int]:
    """How many signatures of devices over batches hold, and how many are of devices that this home does not know.
    Raises VaultError for a wrong one."""
    from protocol.gateway.service import devices_of

    devices, counts = devices_of(session.settings.home), {"hold": 0, "unknown": 0}
    for batch in opened.batches():
        for device, each in opened.signatures(batch).items():
            try:
                holds = devices.verify(device, each.message, each.signature)
            except InvalidInput:
                counts["unknown"] += 1
                continue
            if not holds:
                raise VaultError(
                    f"Batch {batch} has a signature that is not of device {device}.",
                    "Restore the vault, or the home's devices, from a back-up.",
                )
            counts["hold"] += 1
    return counts


def _labels(source: Path) -> Mapping[str, int]:
    """UIDs as the device wrote them, and labels. Raises DataError, which quotes nothing of the file."""
    labels: dict[str, int] = {}
    try:
        with source.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.reader(file, strict=True)
            if [name.strip() for name in next(rows, [])] != _LABEL_COLUMNS:
                raise DataError(f"{source}: the first line is not {','.join(_LABEL_COLUMNS)}.")
            for row in rows:
                if not row:
                    continue
                uid, value = _label(row, f"{source}, line {rows.line_num}")
                if labels.setdefault(uid, value) != value:
                    raise DataError(f"{source}, line {rows.line_num}: a UID comes again with another label.")
    except (csv.Error, UnicodeDecodeError) as error:
        raise DataError(f"{source} is not a CSV file in UTF-8.") from error
    return labels


def _label(row: list[str], place: str) -> tuple[str, int]:
    if len(row) != len(_LABEL_COLUMNS) or not row[0].strip():
        raise DataError(f"{place}: there must be a UID and a label.")
    try:
        return row[0].strip(), int(row[1])
    except ValueError as error:
        raise DataError(f"{place}: the label is not a whole number.") from error


def _by_type(counts: Mapping[str, int]) -> str:
    """The commonest types, in a few words."""
    first = sorted(counts, key=lambda name: -counts[name])[:_SHOWN_TYPES]
    said = [f"{counts[name]:,} {name}" for name in first]
    if len(counts) > len(first):
        said.append(f"{len(counts) - len(first)} other types")
    return f": {', '.join(said)}" if said else ""
