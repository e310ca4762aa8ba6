"""``salus records cohort``: from records in the vault to a dataset of rows that jobs can train on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from protocol.cli.arguments import NEW_FILE, vault_password
from protocol.cli.command import Command
from protocol.cli.dataset import dataset_folder, read_schema
from protocol.cli.output import Result, done, facts, next_commands, percent, table, working
from protocol.cli.session import Session
from protocol.cli.vault_dataset import growing
from protocol.errors import DataError

if TYPE_CHECKING:
    from protocol.cohort.build import Cohort
    from protocol.cohort.mapping import CohortMapping
    from protocol.data.schema import DataSchema
    from protocol.vault.record_dataset import RecordDataset
    from protocol.vault.store import Vault

_BAR = 40


@click.command(
    cls=Command,
    examples=[
        "salus --home /srv/salus records cohort metabolic --mapping prediabetes --vault-password-file pw",
        "salus records cohort metabolic --mapping mapping.json --k 5 --dry-run --vault-password-file pw --json",
        "salus records cohort metabolic --vault-password-file pw",
    ],
)
@click.argument("name")
@click.option("--mapping", "mapping_name", help="A packaged mapping by name, or a JSON file.")
@click.option(
    "--k", type=click.IntRange(2), help="For a new dataset: patients whom each shares its"
    " quasi-identifiers with, itself included  [default: the mapping's, which is the least]",
)  # fmt: skip
@click.option(
    "--max-suppressed",
    type=click.FloatRange(0, 1, max_open=True),
    help="For a new dataset: largest share of patients left out for the sake of k  [default: the mapping's]",
)
@click.option(
    "--consent",
    type=click.Choice(["opt-out", "opt-in"]),
    help="For a new dataset: all who did not object, or those alone who permit it  [default: the mapping's]",
)
@click.option("--schema", help="For a new dataset: the schema that one hospital fitted, a JSON file.")
@click.option(
    "--fit-schema",
    type=NEW_FILE,
    help="Make no dataset: write a schema whose constants are of these rows, to be published once for all.",
)
@click.option("--dry-run", is_flag=True, help="Make no dataset: show what it would be.")
@growing
@vault_password
@click.pass_obj
def cohort(
    session: Session,
    name: str,
    mapping_name: str | None,
    k: int | None,
    max_suppressed: float | None,
    consent: str | None,
    schema: str | None,
    fit_schema: Path | None,
    dry_run: bool,
    held_out: float | None,
    min_patients: int,
    vault_password_file: Path | None,
) -> Result:
    """Make a dataset with one row for each patient, by a reviewed mapping, or extend it by who came since.

    NAME is its folder in the datasets of --home. Who objects is left out, and leaves an existing dataset in a version
    of its own; so does who would then stand in a class smaller than k. The chain hears of it with `salus dataset
    register` or `append`.
    """
    from protocol.cli.vault import open_vault, pseudonyms_of
    from protocol.cohort.build import build
    from protocol.cohort.members import members_of, source_of, without
    from protocol.data.splits import split_key
    from protocol.vault.record_dataset import HELD_OUT_SHARE, RecordDataset
    from protocol.vault.records import Records

    folder = dataset_folder(session, name)
    made_once = (k, max_suppressed, consent, schema, held_out, fit_schema)
    if folder.exists() and any(each is not None for each in made_once):
        raise click.UsageError(f"Dataset {name} exists: its settings stay as they are.")
    if fit_schema is not None and schema is not None:
        raise click.UsageError("Give one of --fit-schema and --schema.")
    before = RecordDataset.open(folder) if folder.exists() else None
    source = source_of(before) if before else {}
    mapping = _mapping(mapping_name, source)
    if before is None and fit_schema is None:
        agreed = _schema(mapping, schema)
    vault = open_vault(session, vault_password_file)
    with working("Reading records"):
        withdrew = None
        if before is not None:
            before = RecordDataset.open(folder, vault=vault)
            # A withdrawal that was cut short, or a dataset that was restored.
            if before.held(vault.refused()) and (made := without(before, vault.refused())):
                before, withdrew = made, made.version
        found = build(
            Records(vault),
            mapping,
            at=pseudonyms_of(session, vault).today,
            k=source.get("k", k),
            max_suppressed=max_suppressed,
            consent=source.get("consent", consent),
            levels=source.get("levels"),
            existing=members_of(before) if before else None,
        )
    rows = [(row.patient, row.record) for row in found.rows]
    if fit_schema is not None:
        return _fitted(mapping, found, fit_schema)
    if dry_run:
        return _result(name, mapping, found, before, "Nothing was made.")
    with working("Salting and sealing rows"):
        if before is None:
            share = held_out or HELD_OUT_SHARE
            made = RecordDataset.create(
                folder, agreed, rows, vault, held_out=share, source=found.report, min_patients=min_patients,
                split_key=split_key([patient for patient, _ in rows], share),
            )  # fmt: skip
            return _result(name, mapping, found, made, f"Dataset {name} has version {made.version}.")
        leaving = [*found.objected, *found.remainder]
        gone = before.withdraw(leaving) if leaving else None
        made = gone or before
        grown, notices = _grown(made, rows, vault, found, min_patients, may_wait=gone is not None)
    said = []
    if gone:
        said.append(f"{len(found.objected)} patients object, and {len(found.remainder)} would stand alone without them:"
                    f" version {gone.version} is without them.")  # fmt: skip
    if grown:
        said.append(f"Dataset {name} has version {grown.version}.")
    elif rows and not notices:
        said.append(f"{len(rows)} new patients wait: they are fewer than {min_patients}.")
    elif not gone:
        said.append(f"Nothing in the records is new to dataset {name}.")
    if withdrew is not None:
        said.insert(0, f"Patients had withdrawn: version {withdrew} is without them.")
    return replace(_result(name, mapping, found, grown or made, " ".join(said)), notices=notices)


def _grown(
    made: RecordDataset, rows: list[tuple[str, dict[str, float]]], vault: Vault, found: Cohort, min_patients: int,
    *, may_wait: bool,
) -> tuple[RecordDataset | None, list[str]]:  # fmt: skip
    """The version with new rows, and why there is none although somebody left: those who stay may be too few."""
    if not rows:
        return None, []
    try:
        return (
            made.extend(
                rows,
                vault,
                source=found.report,
                min_patients=min_patients,
                newcomers=True,
                after=made.version,
            ),
            [],
        )
    except DataError as error:
        if not may_wait:
            raise
        return None, [f"The {len(rows)} new patients wait: {error.message}"]


def _mapping(name: str | None, source: Mapping[str, Any]) -> CohortMapping:
    """The mapping that was named, else the packaged one that a dataset was made with."""
    from protocol.cohort.mapping import CohortMapping, packaged_names

    if name is None and (not source or source["cohort"] not in packaged_names()):
        raise click.UsageError("Name the mapping with --mapping.")
    name = name or source["cohort"]
    read = CohortMapping.read(Path(name)) if Path(name).is_file() else CohortMapping.packaged(name)
    if source and read.digest().hex() != source["mapping"]:
        raise DataError(
            f"This is not the mapping {source['cohort']} that the dataset was made with: its digest differs.",
            "Give that one with --mapping, or make another dataset.",
        )
    return read


def _schema(mapping: CohortMapping, schema: str | None) -> DataSchema:
    from protocol.data.schema import DataSchema

    if schema is None:
        return mapping.schema()
    read = read_schema(schema)
    if not isinstance(read, DataSchema):
        raise DataError(f"The schema {read.name} is not of a table.")
    return mapping.check(read)


def _fitted(mapping: CohortMapping, found: Cohort, target: Path) -> Result:
    from protocol.content import canonical
    from protocol.data import files

    schema = mapping.fit([row.record for row in found.rows])
    try:
        files.write_new(target, canonical.dumps(schema.to_dict()))
    except OSError as error:
        raise DataError(f"{target} cannot be written: {error.strerror}.", "Choose another file.") from error
    return Result(
        {"schema": target, "digest": schema.digest(), "rows": len(found.rows)},
        [
            done(f"Wrote {target}: means and deviations of {len(found.rows)} rows."),
            facts({"digest": "0x" + schema.digest().hex()}),
            next_commands(f"salus records cohort NAME --mapping {mapping.name} --schema {target}"),
        ],
    )


def _result(
    name: str, mapping: CohortMapping, found: Cohort, made: RecordDataset | None, head: str
) -> Result:
    words = {each.name: each.words(found.levels[each.name]) for each in mapping.anonymity.hierarchies}
    negative, positive = found.labels
    rows, classes = negative + positive, sum(found.sizes.values())
    document = {
        "name": name,
        "patients": rows,
        "new": len(found.rows),
        "left_out": found.left_out,
        "objected": len(found.objected),
        "remainder": len(found.remainder),
        "k": found.report["k"],
        "k_reached": found.report.get("k_reached"),
        "levels": found.levels,
        "classes": {str(size): count for size, count in found.sizes.items()},
        "positive": positive,
        "report": found.report,
        **_of_dataset(made),
    }
    shown = {
        "patients": f"{rows} in {classes} classes, {len(found.rows)} of them new",
        "left out": "; ".join(f"{count} {reason}" for reason, count in found.left_out.items()) or "none",
        "k": f"{found.report['k']} asked for, {found.report.get('k_reached', '—')} reached",
        "levels": "; ".join(f"{each}: {said}" for each, said in words.items()),
        mapping.label.name: f"{positive} of {rows} ({percent(positive, rows)})",
        "consent": f"{found.report['consent']}, for {mapping.purpose}",
    }
    view = [done(head), facts(shown), _classes(found.sizes)]
    if made is not None:
        view.append(facts({"rows": f"{made.train_records} for training, {made.held_out_records} held out",
                           "root": "0x" + made.root.hex(), "folder": made.folder}))  # fmt: skip
        command = "register" if made.dataset_id is None else "append"
        view.append(next_commands(f"salus dataset {command} --name {name} --account OPERATOR"))
    return Result(document, view)


def _of_dataset(made: RecordDataset | None) -> dict[str, Any]:
    if made is None:
        return {"version": None}
    return {
        "dataset_id": made.dataset_id,
        "version": made.version,
        "root": made.root,
        "train_records": made.train_records,
        "held_out_records": made.held_out_records,
        "schema": made.schema.name,
        "folder": made.folder,
    }


def _classes(sizes: Mapping[int, int]) -> Any:
    """How many patients are in classes of each size, drawn; large sizes by powers of two."""
    binned: dict[tuple[int, int], int] = {}
    for size, count in sizes.items():
        low = size if size < 8 else 1 << (size.bit_length() - 1)
        span = (low, low if size < 8 else 2 * low - 1)
        binned[span] = binned.get(span, 0) + size * count
    most = max(binned.values(), default=1)
    return table(
        [">class of", ">patients", ""],
        (
            (
                f"{low}" if low == high else f"{low} to {high}",
                f"{count:,}",
                "█" * max(1, count * _BAR // most),
            )
            for (low, high), count in sorted(binned.items())
        ),
        empty="No class.",
    )
