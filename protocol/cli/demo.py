"""``salus demo``: the whole story on this machine."""

from __future__ import annotations

import json
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.text import Text

from protocol.cli.arguments import FOLDER
from protocol.cli.command import Command
from protocol.cli.output import PRIVACY_NONE, Result, done, next_commands, stdout
from protocol.cli.session import Session

if TYPE_CHECKING:
    from protocol.demo.report import DemoReport
    from protocol.demo.story import Demo


@click.command(cls=Command, examples=["salus demo", "salus demo --records", "salus demo --out report --json"])
@click.option("--out", type=FOLDER, help="Where report.json and the picture go [the home].")
@click.option(
    "--records",
    is_flag=True,
    help="With patients' FHIR records: imported without what names them, a cohort of each hospital, and at the end a"
    " patient who withdraws.",
)
@click.pass_obj
def demo(session: Session, out: Path | None, records: bool) -> Result:
    """Four hospitals train one model: every step real, on a chain and an IPFS daemon of this machine.

    Admission by vote, datasets, consents, a job with its reward in escrow, four node processes, one revocation
    half-way, release by vote, payment, and a re-check from chain and IPFS alone. Nothing is left running; the state
    stays. Updates are masked: the four can only read their sum. Only waiting is skipped, by moving the chain's clock.
    """
    home = session.settings.home
    folder = out or home
    folder.mkdir(parents=True, exist_ok=True)
    report = _story(home, folder, records).run()
    document, picture = report.write(folder)
    version = f"{report.model_id}@{report.version}"
    return Result(
        {
            **json.loads(document.read_text(encoding="utf-8")),
            "files": {"report": document, "picture": picture},
        },
        [
            _tables(report),
            done(
                f"Version {version} is released, in {report.seconds:.0f} s. Report: {document}, picture: {picture}."
            ),
            next_commands(
                "salus devnet up",
                f"salus trace {version}",
                f"salus job show {report.job_id}",
                f"salus model predict {version} RECORDS.csv",
            ),
        ],
        notices=[PRIVACY_NONE] if report.privacy == "none" else [],
        ok=report.trace_ok,
    )


def _story(home: Path, folder: Path, records: bool) -> Demo:
    console = Console(stderr=True)
    if records:
        from protocol.demo.records import RecordsData, RecordsDemo

        return RecordsDemo(home, folder, console, RecordsData.find())
    from protocol.demo.data import DemoData
    from protocol.demo.story import Demo

    return Demo(home, folder, console, DemoData.find())


def _tables(report: DemoReport) -> Text:
    """The report's tables as one piece of the result."""
    real = stdout()
    paper = Console(file=StringIO(), width=real.width, force_terminal=real.is_terminal, highlight=False)
    report.show(paper)
    return Text.from_ansi(paper.file.getvalue())
