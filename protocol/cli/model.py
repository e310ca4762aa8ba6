"""``salus model``: models and their versions."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from protocol.cli import jobs_view
from protocol.cli.arguments import EXISTING_FILE, NEW_FILE, ModelVersion, ModelVersionType
from protocol.cli.command import Group
from protocol.cli.output import Result, done, facts, next_commands, table, working
from protocol.cli.session import Session
from protocol.content.cid import to_cid

if TYPE_CHECKING:
    from protocol.spec import JobSpec

SHOWN_PREDICTIONS = 20


@click.group(cls=Group)
def model() -> None:
    """Models and their versions: base, candidate, released, withdrawn."""


spec_option = click.option(
    "--spec",
    "spec_file",
    type=EXISTING_FILE,
    help="Job spec that says what the numbers mean; needed for a base version, which no job has made.",
)


@model.command("list", examples=["salus model list", "salus model list --released --json"])
@click.option("--released", is_flag=True, help="Only released versions.")
@click.pass_obj
def list_models(session: Session, released: bool) -> Result:
    """Show every version of every model."""
    from protocol.chain.enums import ModelStatus
    from protocol.chain.models import Models

    models = Models(session.chain)
    rows = []
    with working("Reading models"):
        for event in models.created():
            for number, each in enumerate(models.versions(event.args["modelId"]), 1):
                if not released or each.status == ModelStatus.RELEASED:
                    rows.append((ModelVersion(event.args["modelId"], number), event.args["name"], each))
    return Result(
        {
            "versions": [
                {
                    "model": version.model_id,
                    "version": version.version,
                    "name": name,
                    "status": each.status,
                    "parent": each.parent or None,
                    "job_id": each.job_id or None,
                    "state_cid": to_cid(each.state.cid),
                }
                for version, name, each in rows
            ]
        },
        [
            table(
                ["version", "name", "status", "from", "job", "state"],
                (
                    (
                        version,
                        name,
                        each.status.name.lower(),
                        f"{version.model_id}@{each.parent}" if each.parent else "",
                        each.job_id or "",
                        to_cid(each.state.cid),
                    )
                    for version, name, each in rows
                ),
                empty="There is no such version.",
            )
        ],
    )


@model.command(examples=["salus model show 1@2", "salus model show 1@2 --json"])
@click.argument("version", type=ModelVersionType(), metavar="MODEL@VERSION")
@click.pass_obj
def show(session: Session, version: ModelVersion) -> Result:
    """Show a version: where its state lies, the job that made it, metrics per hospital."""
    from protocol.chain.models import Models
    from protocol.results import job_overview

    models = Models(session.chain)
    stored = models.version(version.model_id, version.version)
    names = {each.args["modelId"]: each.args["name"] for each in models.created()}
    name = names.get(version.model_id, "")
    document: dict[str, Any] = {
        "model": version.model_id,
        "version": version.version,
        "name": name,
        "status": stored.status,
        "parent": stored.parent or None,
        "job_id": stored.job_id or None,
        "base": {"cid": to_cid(stored.state.cid), "root": stored.state.root},
    }
    top = {
        "version": f"{version}, {name}",
        "status": stored.status.name.lower(),
        "from": f"{version.model_id}@{stored.parent}" if stored.parent else "nothing: it is a base",
        "state": to_cid(stored.state.cid),
        "chunk root": "0x" + stored.state.root.hex(),
    }
    if not stored.job_id:
        return Result(document, [facts(top)])
    with working("Reading its job"):
        found = job_overview(session.chain, session.ipfs, stored.job_id)
    document["job"] = jobs_view.summary_document(found)
    document["metrics"] = [vars(each) | {"accuracy": each.accuracy} for each in found.reports]
    return Result(
        document,
        [
            facts({**top, "job": stored.job_id, **(jobs_view.spec_facts(found.spec) if found.spec else {})}),
            jobs_view.reports_table(found.reports),
            next_commands(f"salus trace {version}", f"salus model pull {version} --out model.safetensors"),
        ],
        notices=jobs_view.privacy_notices(found.spec),
    )


@model.command(
    examples=[
        "salus model pull 1@2 --out model.safetensors",
        "salus model pull 1@1 --spec spec.json --out base.safetensors --json",
    ]
)
@click.argument("version", type=ModelVersionType(), metavar="MODEL@VERSION")
@click.option("--out", type=NEW_FILE, required=True, help="The safetensors file to write.")
@spec_option
@click.pass_obj
def pull(session: Session, version: ModelVersion, out: Path, spec_file: Path | None) -> Result:
    """Fetch a version by its content id, match both digests, and write it as float32 safetensors."""
    from protocol.learning import zoo
    from protocol.learning.fixed_point import to_safetensors

    spec, state = _pull(session, version, spec_file)
    stored = session_version(session, version)
    metadata = {
        "salus.version": str(version),
        "salus.state_cid": to_cid(stored.state.cid),
        "salus.state_root": "0x" + stored.state.root.hex(),
        "salus.spec_cid": to_cid(spec.digest),
        "salus.status": stored.status.name.lower(),
    }
    data = to_safetensors(state, zoo.layout(spec.model, spec.state), metadata)
    out.write_bytes(data)
    return Result(
        {"file": out, "bytes": len(data), "parameters": len(state), **metadata},
        [
            done(f"Wrote {out}: {len(state):,} parameters; the bytes match both digests on the chain."),
            facts(metadata),
        ],
        notices=jobs_view.privacy_notices(spec),
    )


@model.command(
    examples=[
        "salus model predict 1@2 patients.csv",
        "salus model predict 1@2 patients.csv --out probabilities.csv",
        "salus model predict 1@2 patients.csv --json",
    ],
)
@click.argument("version", type=ModelVersionType(), metavar="MODEL@VERSION")
@click.argument("csv", type=EXISTING_FILE)
@click.option("--out", type=NEW_FILE, help="Write row number and probability as CSV.")
@spec_option
@click.pass_obj
def predict(
    session: Session, version: ModelVersion, csv: Path, out: Path | None, spec_file: Path | None
) -> Result:
    """Predict for each row of a CSV table with the schema's columns; the label column may be missing.

    Not a medical device: a probability is not a diagnosis.
    """
    from protocol.prediction import predictions

    spec, state = _pull(session, version, spec_file)
    probabilities = predictions(spec, state, csv)
    names = (
        ["probability"] if probabilities.ndim == 1 else [f"class {i}" for i in range(probabilities.shape[1])]
    )
    rows = probabilities.reshape(len(probabilities), -1).tolist()
    if out is not None:
        lines = [",".join(["row", *(name.replace(" ", "_") for name in names)])]
        lines += [",".join([str(number), *(f"{p:.9g}" for p in row)]) for number, row in enumerate(rows, 1)]
        out.write_text("\n".join(lines) + "\n", encoding="utf-8")
    view: list[Any] = [
        table(
            [">row", *(f">{name}" for name in names)],
            ((number, *(f"{p:.4f}" for p in row)) for number, row in enumerate(rows[:SHOWN_PREDICTIONS], 1)),
            title=f"{version}: {spec.title}",
        )
    ]
    if len(rows) > SHOWN_PREDICTIONS:
        view.append(f"… and {len(rows) - SHOWN_PREDICTIONS:,} more rows; --out or --json has them all.")
    if out is not None:
        view.append(done(f"Wrote {out}."))
    return Result(
        {
            "model": version.model_id,
            "version": version.version,
            "predictions": rows if len(names) > 1 else [p for [p] in rows],
        },
        view,
        notices=jobs_view.privacy_notices(spec),
    )


def session_version(session: Session, version: ModelVersion) -> Any:
    """What the chain keeps of a version."""
    from protocol.chain.models import Models

    return Models(session.chain).version(version.model_id, version.version)


def _pull(session: Session, version: ModelVersion, spec_file: Path | None) -> tuple[JobSpec, Any]:
    """A version's state with the spec that says what it means. Raises InvalidInput for a base without --spec."""
    from protocol.client import pull_state
    from protocol.errors import InvalidInput
    from protocol.prediction import require_layout
    from protocol.spec import JobSpec

    with working(f"Fetching {version}"):
        spec, state = pull_state(session.chain, session.ipfs, version.model_id, version.version)
    if spec is None:
        if spec_file is None:
            raise InvalidInput(
                f"Version {version} is a base: no job says what its numbers mean.",
                "Name a spec of its model with --spec.",
            )
        spec = JobSpec.parse(spec_file.read_bytes())
        require_layout(spec, state, str(version))
    return spec, state
