"""Every command has help, examples that parse, and --json; the written reference is the help as it is."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from protocol.cli import NOUNS, main
from protocol.cli.command import Command
from scripts.make_command_docs import document

ROOT = Path(__file__).parents[3]
README_COMMANDS = {
    "devnet": {"up", "down", "status", "reset"},
    "account": {"new", "list", "import"},
    "hospital": {"admit", "list", "show", "suspend", "rotate-key", "processing"},
    "dataset": {"register", "append", "list", "verify", "audit", "uses", "backup", "restore"},
    "image": {"deidentify"},
    "gateway": {"run", "status"},
    "device": {"register", "list", "remove"},
    "quarantine": {"list", "show", "release", "reject"},
    "vault": {"init", "status", "query", "label", "dataset", "withdraw", "export", "backup", "restore"},
    "records": {"import", "status", "rules", "cohort"},
    "consent": {"mint", "revoke", "list", "show", "sign"},
    "job": {"check", "propose", "list", "show", "watch", "challenge", "cancel"},
    "node": {"run", "policy", "status"},
    "model": {"list", "show", "pull", "predict"},
    "vote": {"propose", "show", "cast", "queue", "execute", "status"},
    "bond": {"show", "deposit", "withdraw", "unlock"},
    "reward": {"claim", "show"},
    "trace": None,
    "demo": None,
}


def leaves(
    command: click.Command, path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Every command that is no group, with the words that call it."""
    if isinstance(command, click.Group):
        ctx = click.Context(command)
        for name in command.list_commands(ctx):
            yield from leaves(command.get_command(ctx, name), (*path, name))
    else:
        yield path, command


COMMANDS = dict(leaves(main))
EXAMPLES = [
    (path, example) for path, command in COMMANDS.items() for example in getattr(command, "examples", ())
]


def test_the_commands_are_those_that_were_promised() -> None:
    found: dict[str, set[str] | None] = {}
    for path in COMMANDS:
        if len(path) == 1:
            found[path[0]] = None
        else:
            found.setdefault(path[0], set()).add(path[1])
    assert found == README_COMMANDS


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_has_help_examples_and_json(path: tuple[str, ...]) -> None:
    command = COMMANDS[path]
    assert isinstance(command, Command)
    assert command.help
    assert command.examples
    assert any("--json" in option.opts for option in command.params)
    outcome = CliRunner().invoke(main, [*path, "--help"])
    assert outcome.exit_code == 0
    assert "\nExamples:\n" in outcome.output


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_every_option_is_explained(path: tuple[str, ...]) -> None:
    options = [each for each in COMMANDS[path].params if isinstance(each, click.Option)]
    assert [each.name for each in options if not each.help] == []


@pytest.mark.parametrize(("path", "example"), EXAMPLES, ids=[example for _, example in EXAMPLES])
def test_each_example_parses(
    path: tuple[str, ...], example: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    words = shlex.split(example.partition(" > ")[0])
    assert words[0] == "salus"
    for word in words:
        # Files that an example names must be there for click to accept them.
        if re.fullmatch(r"[\w.-]+\.(csv|json|hex|backup)|pw|old", word):
            (tmp_path / word).touch()
    assert parsed(main, words[1:]) == path


def parsed(command: click.Command, words: list[str], parent: click.Context | None = None) -> tuple[str, ...]:
    """Parses words down to a command, without running it; the names of the commands on the way."""
    # A command keeps the options for help of the first context it sees: they are the root's, through the parents.
    ctx = command.make_context("salus", words, parent=parent)
    if not isinstance(command, click.Group):
        return ()
    name, following, rest = command.resolve_command(ctx, [*ctx._protected_args, *ctx.args])
    return (name, *parsed(following, rest, ctx))


@pytest.mark.parametrize("noun", NOUNS)
def test_the_overview_says_what_the_noun_says(noun: str) -> None:
    found = main.get_command(click.Context(main), noun)
    assert found is not None
    assert found.help


def test_an_unknown_noun_is_wrong_usage() -> None:
    outcome = CliRunner().invoke(main, ["hospitals"])
    assert outcome.exit_code == 2
    assert "No such command 'hospitals'" in outcome.stderr


def test_the_reference_is_fresh() -> None:
    written = (ROOT / "docs" / "COMMANDS.md").read_text(encoding="utf-8")
    assert written == document(), "run: .venv/bin/python scripts/make_command_docs.py"
