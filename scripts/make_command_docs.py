"""Writes docs/COMMANDS.md from the commands' own help. A test fails when it is not fresh."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click

from protocol.cli import main

OUT = Path(__file__).resolve().parent.parent / "docs" / "COMMANDS.md"
WIDTH = 100

HEAD = """\
# Commands

Written by `scripts/make_command_docs.py` from the commands' own help; change it there.

Every command ends in one result: a table or a few lines for people, or with `--json` exactly one JSON document on
standard output. Progress, warnings and logs go to standard error. When something goes wrong, `--json` prints
`{"error": {"type", "message", "hint"}}` instead. Exit codes: 0 success; 1 refused, failed, or a check that does not
hold; 2 wrong usage; 130 stopped by Ctrl-C.
"""


def document() -> str:
    """The whole page."""
    sections = [HEAD, _section("salus", main, 2)]
    return "\n".join([*sections, *_sections(main, "salus")])


def _sections(group: click.Group, path: str) -> Iterator[str]:
    ctx = click.Context(group)
    for name in group.list_commands(ctx):
        command = group.get_command(ctx, name)
        here = f"{path} {name}"
        yield _section(here, command, 2 if isinstance(command, click.Group) or path == "salus" else 3)
        if isinstance(command, click.Group):
            yield from _sections(command, here)


def _section(path: str, command: click.Command, level: int) -> str:
    ctx = click.Context(command, info_name=path, terminal_width=WIDTH, max_content_width=WIDTH)
    ctx.help_option_names = ["-h", "--help"]
    return f"{'#' * level} {path}\n\n```\n{command.get_help(ctx).rstrip()}\n```\n"


if __name__ == "__main__":
    OUT.write_text(document(), encoding="utf-8")
    print(f"Wrote {OUT.relative_to(Path.cwd()) if OUT.is_relative_to(Path.cwd()) else OUT}.")
