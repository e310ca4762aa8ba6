"""``salus trace``: the verifier."""

from __future__ import annotations

from typing import Any

import click
from rich.text import Text
from rich.tree import Tree

from protocol.cli.arguments import ModelVersion, ModelVersionType
from protocol.cli.command import Command
from protocol.cli.output import PRIVACY_NONE, Result, done, plain, working
from protocol.cli.session import Session
from protocol.trace import Check
from protocol.trace import trace as check_version


@click.command(
    cls=Command,
    examples=[
        "salus trace 1@2",
        "salus trace 1@2 --json",
        "salus --rpc-url https://rpc.example --ipfs-api /ip4/127.0.0.1/tcp/5001 --deployment sepolia.json trace 1@2",
    ],
)
@click.argument("version", type=ModelVersionType(), metavar="MODEL@VERSION")
@click.option("--failures", is_flag=True, help="Show only the branches in which something does not hold.")
@click.pass_obj
def trace(session: Session, version: ModelVersion, failures: bool) -> Result:
    """Re-check a model version from chain and IPFS alone, with no key and no permission.

    Fetches every document and vector by its digest, computes every merge again, and follows consents, votes, release
    and payments. Exit code 1 when anything does not hold.
    """
    with working(f"Re-checking {version}") as work:
        root = check_version(session.chain, session.ipfs, version.model_id, version.version, work.say)
    failed = root.failures()
    if failed:
        verdict = Text(f"{len(failed)} of {root.count():,} checks do not hold.", style="bold red")
    else:
        verdict = done(f"All {root.count():,} checks hold.")
    return Result(
        document={
            "ok": root.holds,
            "model": version.model_id,
            "version": version.version,
            "checks": [root.as_dict()],
            "failures": failures_of(root),
        },
        view=[tree(root, failures_only=failures and not root.holds), verdict],
        notices=[PRIVACY_NONE] if _names(root, "privacy: none") else [],
        ok=root.holds,
    )


def failures_of(root: Check) -> list[dict[str, Any]]:
    """What does not hold, each with the names of the checks that it lies under."""
    return [{"path": path, "name": each.name, "detail": each.detail} for path, each in root.failing_paths()]


def tree(check: Check, *, failures_only: bool = False) -> Tree:
    """A check and all below it, for people."""
    drawn = Tree(_line(check), guide_style="dim")
    for child in check.children:
        if not failures_only or not child.holds:
            drawn.add(tree(child, failures_only=failures_only))
    return drawn


def _line(check: Check) -> Text:
    mark, style = ("✓", "green") if check.holds else ("✗", "bold red")
    line = Text(f"{mark} ", style=style).append(plain(check.name), style="" if check.holds else "bold")
    return line.append(f"  {plain(check.detail)}", style="dim") if check.detail else line


def _names(check: Check, name: str) -> bool:
    return check.name == name or any(_names(child, name) for child in check.children)
