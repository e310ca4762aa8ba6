"""``salus hospital processing``: the record of processing activities (GDPR Art. 30)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.markdown import Markdown

from protocol.cli.arguments import ID, NEW_FILE, vault_password
from protocol.cli.command import Command
from protocol.cli.output import Result, done, jsonable, moment, plain, working
from protocol.cli.session import Session
from protocol.errors import DataError

if TYPE_CHECKING:
    from protocol.processing import Activity, Register


@click.command(
    "processing",
    cls=Command,
    examples=[
        "salus hospital processing 1",
        "salus hospital processing 1 --vault-password-file pw --out register.md",
        "salus hospital processing 1 --json",
    ],
)
@click.argument("hospital_id", type=ID)
@click.option("--out", type=NEW_FILE, help="Write it to this file too, as Markdown.")
@vault_password
@click.pass_obj
def processing(
    session: Session, hospital_id: int, out: Path | None, vault_password_file: Path | None
) -> Result:
    """Make a hospital's record of processing activities (GDPR Art. 30) from the chain.

    Datasets with their versions and withdrawals, terms of consent, jobs with purpose, recipients and time limits. With
    the vault's password, counts of what the vault of --home keeps are added. It names no patient. What neither chain
    nor vault knows stands at its end, for people to add.
    """
    from protocol.data import files
    from protocol.processing import register, vault_counts

    vault = session.vault(vault_password_file)
    with working("Reading the chain") as work:
        counts = None
        if vault is not None:
            work.say("Counting what the vault keeps")
            counts = vault_counts(vault)
        found = register(session.chain, session.ipfs, hospital_id, counts)
    text = as_markdown(found)
    view = [Markdown(text)]
    if out is not None:
        try:
            files.write_new(out, text.encode("utf-8"))
        except OSError as error:
            raise DataError(f"{out} cannot be written: {error.strerror}.", "Choose another file.") from error
        view.append(done(f"Wrote {out}."))
    return Result(jsonable(found), view)


def as_markdown(found: Register) -> str:
    """The register as a document."""
    from protocol.processing import FOR_PEOPLE, MEASURES

    parts = [
        f"# Record of processing activities: {_cell(found.hospital)}",
        f"Hospital {found.hospital_id} on the chain, as of {moment(found.at)}. GDPR Art. 30(1), made from the chain"
        + (" and the vault." if found.vault else "; the vault was not asked."),
        *(_activity(each) for each in found.activities),
    ]
    if not found.activities:
        parts.append("No dataset of this hospital has been registered.")
    if found.vault:
        parts += ["## What the vault keeps", _list(f"{name}: {each}" for name, each in found.vault.items())]
    parts += [
        "## Technical and organisational measures (g)", _list(MEASURES),
        "## To be added by people", _list(FOR_PEOPLE),
    ]  # fmt: skip
    return "\n\n".join(parts) + "\n"


def _activity(each: Activity) -> str:
    """One dataset: what is in it, who it is of, who gets what, and for how long."""
    versions = [
        (
            one.number, moment(one.registered_at), f"{one.train_records:,} + {one.held_out_records:,}",
            "—" if one.withdrawn is None else one.withdrawn, one.profile,
        )
        for one in each.versions
    ]  # fmt: skip
    consents = [
        (
            one.consent_id, one.permission, ", ".join(one.modifiers) or "none", one.grantee,
            "revoked" if one.revoked else moment(one.expires_at), f"{one.rounds_used} of {one.max_rounds}",
        )
        for one in each.consents
    ]  # fmt: skip
    trainings = [
        (
            one.job_id, one.title, one.purpose, one.researcher, one.dataset_version, f"{one.rounds}, {one.status}",
            one.privacy, ", ".join(one.hospitals), ", ".join(one.models) or "none",
            moment(one.retain_until) if one.retain_until is not None else "not known",
        )
        for one in each.trainings
    ]  # fmt: skip
    return "\n\n".join(
        [
            f"## Dataset {each.dataset_id}: training of medical models on {_cell(each.schema)}",
            f"Categories of data subjects (c): patients of the hospital. Categories of data (c): pseudonymised health"
            f" data: {_cell(', '.join(each.data)) or 'not known'}.",
            _table(["Version", "Registered", "For training + held out", "Withdrawn so far", "Profile"], versions),
            "Purposes (b) and time limits (f), by consent token:",
            _table(["Consent", "Purpose", "Modifiers", "Grantee", "Until", "Rounds used"], consents),
            "Recipients (d): model updates alone, in these jobs:",
            _table(
                [
                    "Job", "Title", "Purpose", "Researcher", "Version", "Rounds", "Privacy", "Hospitals",
                    "Models", "Kept until",
                ],
                trainings,
            ),
        ]
    )  # fmt: skip


def _table(heads: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    if not rows:
        return "None."
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(_cell(cell) for cell in line)} |" for line in lines)


def _list(lines: object) -> str:
    return "\n".join(f"- {_cell(line)}" for line in lines)  # type: ignore[attr-defined]


def _cell(text: object) -> str:
    """Text that a stranger may have written, as one cell of a table."""
    shown = plain(text).replace("\n", " ")
    return "".join("\\" + each if each in "|\\`*_[]<>#" else each for each in shown)
