"""``salus records``: FHIR resources of a hospital, de-identified into its vault."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import RenderableType

from protocol.cli.arguments import EXISTING_FILE, vault_password
from protocol.cli.cohort import cohort
from protocol.cli.command import Group
from protocol.cli.output import Result, Working, done, facts, next_commands, table, working
from protocol.cli.session import Session
from protocol.cli.vault import open_vault, pseudonyms_of, records_held

if TYPE_CHECKING:
    from protocol.fhir.reading import Refused
    from protocol.fhir.resource import Clean
    from protocol.fhir.rules import Rules
    from protocol.vault.records import Import, Records

_SHOWN_REFUSED = 20
_SAID_EVERY = 500
_COUNTS = ("new", "replaced", "unchanged", "refused_withdrawn")

rules_file = click.option(
    "--rules",
    "rules_path",
    type=EXISTING_FILE,
    help="JSON file with reviewed rules: what becomes of each element  [default: the packaged ones]",
)


class _RolledBack(Exception):
    """Leaves an import without keeping anything of it."""


@click.group(cls=Group)
def records() -> None:
    """A hospital's records as FHIR resources, de-identified and encrypted in its vault. Nothing leaves this machine."""


records.add_command(cohort)


@records.command(
    "import",
    examples=[
        "salus --home /srv/salus records import export/ --vault-password-file pw",
        "salus records import Patient.ndjson Observation.ndjson.gz --bad-lines skip --vault-password-file pw --json",
        "salus records import bundle.json --rules rules.json --vault-password-file pw",
    ],
)
@click.argument(
    "sources",
    metavar="FILE...",
    nargs=-1,
    required=True,
    type=click.Path(path_type=Path),
)
@rules_file
@click.option(
    "--bad-lines",
    type=click.Choice(["refuse", "skip"]),
    default="refuse",
    show_default=True,
    help="What one line or entry that cannot be taken means: that nothing is, or that the rest is.",
)
@click.option(
    "--server",
    "servers",
    metavar="URL",
    multiple=True,
    help="Base URL under which references name these resources, beside those of the files; may be repeated.",
)
@vault_password
@click.pass_obj
def import_(
    session: Session,
    sources: tuple[Path, ...],
    rules_path: Path | None,
    bad_lines: str,
    servers: tuple[str, ...],
    vault_password_file: Path | None,
) -> Result:
    """De-identify FHIR R4 resources, and keep them in the vault.

    FILE is a Bundle, or NDJSON with one resource a line, packed by gzip or not; a folder stands for all such files in
    it. What no rule names is removed. A resource that is here already is recognised by its id: the same content changes
    nothing, other content takes its place, so the same files can be brought again. Files that refer to each other
    belong into one call. It is all or nothing, also when the disk fills up or the process is killed; with --bad-lines
    skip, all but the lines that are listed. What is of a patient who withdrew is not taken. Where nothing could be
    taken the exit code is 1.
    """
    from protocol.fhir.importing import deidentified
    from protocol.fhir.reading import Source
    from protocol.notes.deidentify import Deidentifier
    from protocol.vault.records import Records

    rules, source = _rules(rules_path), Source(sources)
    opened = open_vault(session, vault_password_file)
    pseudonyms = pseudonyms_of(session, opened)
    into = Records(opened)
    try:
        with working("Reading") as work:
            found = deidentified(source, rules, pseudonyms, Deidentifier(), servers=servers)
            taken, refused = _taken(into, rules, found, work, keep=bad_lines == "skip")
    except _RolledBack as rolled_back:
        (refused,) = rolled_back.args
        return _result({}, refused, kept=False, hint=" Correct them, or keep the rest with --bad-lines skip.")
    counts = taken.outcome
    kept = not refused or counts.new + counts.replaced + counts.unchanged > 0
    made = _result(counts.by_type, refused, kept=kept)
    return replace(made, document={**made.document, "deidentification": found.report})


@records.command(
    examples=[
        "salus --home /srv/salus records status --vault-password-file pw",
        "salus records status --vault-password-file pw --json",
    ],
)
@vault_password
@click.pass_obj
def status(session: Session, vault_password_file: Path | None) -> Result:
    """Say what records are in the vault, in numbers."""
    from protocol.vault.records import Records

    opened = open_vault(session, vault_password_file)
    held, withdrawn = records_held(Records(opened)), len(opened.refused())
    shown = {
        "resources": f"{held['resources']:,}",
        "patients": f"{held['patients']:,}",
        "withdrawn": f"{withdrawn:,} pseudonyms of patients: nothing of theirs comes in",
    }
    lines = [(name, f"{number:,}") for name, number in held["by_type"].items()]
    return Result(
        {**held, "withdrawn": withdrawn},
        [table(["Type", ">Resources"], lines, empty="There are no records yet."), facts(shown)],
    )


@records.command(
    examples=[
        "salus records rules",
        "salus records rules --rules rules.json --json",
        "salus records rules --example > rules.json",
    ],
)
@rules_file
@click.option("--example", is_flag=True, help="Print the packaged rules as the file to start from.")
def rules(rules_path: Path | None, example: bool) -> Result:
    """Show what becomes of each element of a record: the rules that `import` follows, checked.

    What is in no row is removed.
    """
    if example and rules_path is not None:
        raise click.UsageError("--example prints the packaged rules: it goes without --rules.")
    read = _rules(rules_path)
    if example:
        return Result(read.document, [json.dumps(read.document, indent=2, ensure_ascii=False)])
    rows = read.describe()
    document = {
        "name": read.name,
        "digest": read.digest(),
        "rules": [{"path": path, "action": action} for path, action in rows],
    }
    return Result(
        document,
        [table(["Element", "What becomes of it"], rows), f"{read.name}: what is in no row is removed."],
    )


def _rules(path: Path | None) -> Rules:
    from protocol.content.canonical import MAX_DOCUMENT_BYTES
    from protocol.data import files
    from protocol.fhir.rules import Rules

    return Rules.packaged() if path is None else Rules.read(files.read_small(path, MAX_DOCUMENT_BYTES))


def _taken(
    into: Records, rules: Rules, found: Iterable[Clean | Refused], work: Working, *, keep: bool
) -> tuple[Import, list[Refused]]:
    """What was taken and what not. Raises _RolledBack with the latter, unless the rest is to be kept."""
    from protocol.fhir.reading import Refused

    refused: list[Refused] = []
    with into.importing(rules.digest().hex()) as taking:
        for number, each in enumerate(found, 1):
            if isinstance(each, Refused):
                refused.append(each)
            elif keep or not refused:
                taking.add(each)
            if not number % _SAID_EVERY:
                work.say(f"{number:,} resources read, {len(refused):,} refused")
        if refused and not keep:
            raise _RolledBack(refused)
        work.say("Writing")
    return taking, refused


def _result(
    by_type: Mapping[str, Mapping[str, int]], refused: Sequence[Refused], *, kept: bool, hint: str = ""
) -> Result:
    types = {
        name: {each: counts.get(each, 0) for each in _COUNTS} for name, counts in sorted(by_type.items())
    }
    total = {each: sum(counts[each] for counts in types.values()) for each in _COUNTS}
    document = {
        "imported": kept,
        "types": types,
        **total,
        "refused": [{"file": each.file, "number": each.number, "reason": each.reason} for each in refused],
    }
    view: list[RenderableType] = []
    if refused:
        view += _refused_view(refused)
    if not kept:
        view.append(f"Nothing was imported: {len(refused):,} lines or entries cannot be taken.{hint}")
        return Result(document, view, ok=False)
    lines = [
        (name, *(f"{counts[each]:,}" for each in _COUNTS))
        for name, counts in [*types.items(), ("all", total)]
        if types
    ]
    view.append(
        table(
            ["Type", ">New", ">Replaced", ">Unchanged", ">Refused: withdrawn"],
            lines,
            empty="No resource was found.",
        )
    )
    changed = total["new"] + total["replaced"]
    view.append(done(f"Kept {changed:,} new or changed resources; {total['unchanged']:,} were here already."))
    if refused:
        view.append(f"{len(refused):,} lines or entries were left out.")
    view.append(next_commands("salus records status"))
    return Result(document, view)


def _refused_view(refused: Sequence[Refused]) -> list[RenderableType]:
    lines = [(each.file, str(each.number) if each.number else "-", each.reason) for each in refused]
    view: list[RenderableType] = [table(["File", ">Line or entry", "Why"], lines[:_SHOWN_REFUSED])]
    if len(refused) > _SHOWN_REFUSED:
        reasons = Counter(each.reason for each in refused).most_common()
        view += [
            f"The first {_SHOWN_REFUSED} of {len(refused):,} are shown; --json has all.",
            table(
                ["Why", ">How many"], [(reason, f"{number:,}") for reason, number in reasons[:_SHOWN_REFUSED]]
            ),
        ]
    return view
