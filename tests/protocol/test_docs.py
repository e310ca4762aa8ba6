"""What the documents say can be done: paths that exist, commands that parse, make targets that are there."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import click
import pytest

from protocol.cli import main

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
# COMMANDS.md is the help itself, whose examples test_help.py parses.
DOCUMENTS = [README, *sorted(path for path in (ROOT / "docs").glob("*.md") if path.name != "COMMANDS.md")]
POLICY_FILES = ("CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md")

FENCE = re.compile(r"^```[a-z]*\n(.*?)^```", re.MULTILINE | re.DOTALL)
SPAN = re.compile(r"`([^`\n]+)`")
LINK = re.compile(r"\]\((?!https?://)([^)#]+)\)")
# Files that a command line names must be there for click to accept them.
GIVEN_FILE = re.compile(r"[\w.-]+\.(csv|json|backup)")


def part(text: str, name: str) -> str:
    """What stands between the comments ``NAME: begin`` and ``NAME: end``."""
    found = re.search(rf"<!-- {name}: begin.*?-->(.*?)<!-- {name}: end -->", text, re.DOTALL)
    assert found, f"no part {name}"
    return found[1]


def map_paths() -> set[str]:
    spans = SPAN.findall(part(README.read_text(encoding="utf-8"), "map"))
    return {span for span in spans if "/" in span and " " not in span}


def fenced_commands(path: Path) -> Iterator[str]:
    for block in FENCE.findall(path.read_text(encoding="utf-8")):
        for line in block.splitlines():
            if line.startswith("salus "):
                yield line


def quoted_commands(path: Path) -> Iterator[str]:
    text = FENCE.sub("", path.read_text(encoding="utf-8"))
    yield from (span for span in SPAN.findall(text) if span.startswith("salus "))


def resolved(words: list[str]) -> tuple[click.Command, list[str], list[str]]:
    """The command that the words call, the words that name it, and those that are left for it."""
    command: click.Command = main
    ctx, named = click.Context(main), []
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        found = command.get_command(ctx, words[0])
        assert found is not None, f"no command {' '.join([*named, words[0]])}"
        named.append(words[0])
        command, words = found, words[1:]
    return command, named, words


def parse(line: str, folder: Path) -> None:
    """Parses a whole command line down to its command, without running it. Raises click.UsageError."""
    words = shlex.split(line.partition(" > ")[0])[1:]
    for word in words:
        if GIVEN_FILE.fullmatch(word):
            (folder / word).touch()
    ctx, command = main.make_context("salus", words), main
    while isinstance(command, click.Group):
        name, command, words = command.resolve_command(ctx, [*ctx._protected_args, *ctx.args])
        ctx = command.make_context(name, words, parent=ctx)


FENCED = [
    pytest.param(line, id=f"{path.stem}: {line[:60]}") for path in DOCUMENTS for line in fenced_commands(path)
]
QUOTED = [
    pytest.param(span, id=f"{path.stem}: {span[:60]}") for path in DOCUMENTS for span in quoted_commands(path)
]


def test_every_path_of_the_map_exists() -> None:
    paths = map_paths()
    assert len(paths) > 20
    assert [path for path in sorted(paths) if not (ROOT / path).exists()] == []


def test_the_map_has_every_part_of_the_package() -> None:
    modules = {
        f"protocol/{path.name}" for path in (ROOT / "protocol").glob("*.py") if path.name != "__init__.py"
    }
    packages = {f"protocol/{path.parent.name}/" for path in (ROOT / "protocol").glob("*/__init__.py")}
    assert sorted((modules | packages) - map_paths()) == []


@pytest.mark.parametrize("line", FENCED)
def test_each_command_line_parses(line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    parse(line, tmp_path)


@pytest.mark.parametrize("span", QUOTED)
def test_each_command_in_a_sentence_is_one(
    span: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Alone it names a command; with arguments it is a whole line."""
    _, named, rest = resolved(shlex.split(span)[1:])
    assert named or rest == ["--help"]
    if named and rest and rest != ["--help"]:
        monkeypatch.chdir(tmp_path)
        parse(span, tmp_path)


def test_the_make_targets_of_the_readme_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    text = README.read_text(encoding="utf-8")
    code = " ".join([*FENCE.findall(text), *SPAN.findall(text)])
    named = set(re.findall(r"\bmake ([a-z-]+)", code))
    assert {"demo", "test", "bench", "help"} <= named
    assert named - targets == set()


@pytest.mark.parametrize(
    "path", [*DOCUMENTS, *(ROOT / name for name in POLICY_FILES)], ids=lambda path: path.name
)
def test_links_and_named_paths_exist(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert [link for link in LINK.findall(text) if not (path.parent / link).exists()] == []
    spans = SPAN.findall(FENCE.sub("", text))
    inside = [
        span for span in spans if re.fullmatch(r"(contracts|docs|protocol|scripts|tests)/[\w./-]*", span)
    ]
    assert [span for span in inside if not (ROOT / span).exists()] == []


def test_the_picture_has_words_for_those_who_cannot_see_it() -> None:
    picture = ElementTree.parse(ROOT / "docs" / "story.svg").getroot()
    svg = "{http://www.w3.org/2000/svg}"
    named = {each.get("id"): each for each in picture if each.tag in (f"{svg}title", f"{svg}desc")}
    assert set(picture.get("aria-labelledby", "").split()) == set(named)
    assert all("".join(each.itertext()).strip() for each in named.values())
    assert "prefers-color-scheme: dark" in "".join(each.text or "" for each in picture.iter(f"{svg}style"))


def test_the_unit_runs_a_command_that_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    unit = (ROOT / "docs" / "salus-node.service").read_text(encoding="utf-8")
    [line] = re.findall(r"^ExecStart=(.*)$", unit, re.MULTILINE)
    monkeypatch.setenv("SALUS_ACCOUNT", "operator")
    words = shlex.split(line)
    (tmp_path / "policy.json").touch()
    parse(" ".join(["salus", *words[1:]]).replace("/etc/salus", str(tmp_path)), tmp_path)
