"""What a command says: a view for people or one JSON document for programs, and progress beside it.

Standard output carries the result and nothing else. With ``--json`` that is exactly one document: what the command
found, or ``{"error": {"type", "message", "hint"}}`` when it failed. Progress, warnings and logs go to standard error.
"""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, is_dataclass
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path
from typing import Any

import click
from rich.console import Console, Group, RenderableType
from rich.markup import escape
from rich.status import Status
from rich.table import Table
from rich.text import Text

from protocol.errors import SalusError

#: Wide enough for a digest beside an address, so that piped tables can be searched line by line.
PIPED_WIDTH = 200
SHOW_PROGRESS_AFTER_SECONDS = 1.0
TOKEN_DECIMALS = 18
SHOWN_DECIMALS = 6

PRIVACY_NONE = "privacy: none — this job's updates lie unmasked on IPFS"


@dataclass(frozen=True)
class Result:
    """What a command found. ``document`` is the JSON, ``view`` the same for people, top to bottom.

    ``notices`` are lines that nobody may miss; they are in both. ``ok`` false makes the exit code 1.
    """

    document: Mapping[str, Any]
    view: Sequence[RenderableType]
    notices: Sequence[str] = ()
    ok: bool = True


@dataclass
class Working:
    """What a long command is doing, said on standard error while it lasts, and only to a terminal."""

    status: Status | None = None
    line: str = ""
    lock: threading.Lock = field(default_factory=threading.Lock)

    def say(self, line: str) -> None:
        """Replaces the line."""
        with self.lock:
            self.line = line
            if self.status is not None:
                self.status.update(escape(plain(line)))

    def show(self, console: Console) -> None:
        """Begins to show it."""
        with self.lock:
            self.status = console.status(escape(plain(self.line)))
            self.status.start()


@contextmanager
def working(line: str) -> Iterator[Working]:
    """Shows what is being done once it has taken a second; what it says vanishes with the end of the work."""
    state = Working(line=line)
    console = Console(stderr=True)
    timer = threading.Timer(SHOW_PROGRESS_AFTER_SECONDS, state.show, [console])
    timer.daemon = True
    if console.is_terminal:
        timer.start()
    try:
        yield state
    finally:
        timer.cancel()
        with state.lock:
            if state.status is not None:
                state.status.stop()


def show(result: Result, as_json: bool) -> None:
    """Writes a result to standard output."""
    if as_json:
        document = dict(result.document)
        if result.notices:
            document["notices"] = list(result.notices)
        write_json(document)
        return
    console = stdout()
    for notice in result.notices:
        console.print(Text(notice, style="bold yellow"), soft_wrap=True)
    for part in result.view:
        console.print(
            Text(plain(part)) if isinstance(part, str) else part, soft_wrap=isinstance(part, str | Text)
        )


def show_error(error: BaseException, as_json: bool) -> None:
    """Writes what went wrong: the document to standard output with ``--json``, else sentences to standard error."""
    message, hint = (error.message, error.hint) if isinstance(error, SalusError) else (str(error), "")
    if as_json:
        write_json({"error": {"type": type(error).__name__, "message": message, "hint": hint}})
        return
    warn(message, style="red", label="Error: ")
    if hint:
        warn(hint)


def warn(line: str, *, style: str = "", label: str = "") -> None:
    """A line on standard error."""
    Console(stderr=True).print(
        Text(label, style=f"bold {style}").append(plain(line), style=""), soft_wrap=True
    )


def write_json(document: Mapping[str, Any]) -> None:
    """One JSON document on standard output."""
    click.echo(json.dumps(jsonable(document), indent=2, ensure_ascii=False))


def stdout() -> Console:
    """A console on standard output as it is now."""
    return Console(width=None if sys.stdout.isatty() else PIPED_WIDTH, highlight=False)


def jsonable(value: Any) -> Any:
    """A value as JSON holds it: digests as 0x…, enumerations by name, records as objects."""
    if isinstance(value, bytes):
        return "0x" + value.hex()
    if isinstance(value, Enum):
        return value.name.lower()
    if isinstance(value, Path):
        return str(value)
    if is_dataclass(value) and not isinstance(value, type):
        return {each.name: jsonable(getattr(value, each.name)) for each in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): jsonable(each) for key, each in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [jsonable(each) for each in value]
    return value


def plain(text: object) -> str:
    """Text that a stranger may have written (a hospital's name, a spec's title), without control characters."""
    return "".join(
        each if each.isprintable() or each == "\n" else "\N{REPLACEMENT CHARACTER}" for each in str(text)
    )


def table(
    columns: Sequence[str], rows: Iterable[Sequence[object]], *, title: str = "", empty: str = ""
) -> RenderableType:
    """A table; a column named ``>name`` is right-aligned. ``empty`` is said when there is no row."""
    drawn = Table()
    for column in columns:
        drawn.add_column(
            column.removeprefix(">"), justify="right" if column.startswith(">") else "left", overflow="fold"
        )
    for row in rows:
        drawn.add_row(*(Text(plain(cell)) for cell in row))
    shown = drawn if drawn.row_count or not empty else Text(empty)
    return Group(Text(plain(title), style="bold"), shown) if title else shown


def facts(pairs: Mapping[str, object]) -> RenderableType:
    """Names and values, one pair a line."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="bold", no_wrap=True)
    grid.add_column(overflow="fold")
    for name, value in pairs.items():
        grid.add_row(name, Text(plain(value)))
    return grid


def done(line: str) -> RenderableType:
    """The line that says that it worked."""
    return Text(plain(line), style="green")


def next_commands(*commands: str) -> RenderableType:
    """What to type next."""
    return Group(
        Text("Next:", style="bold"), *(Text(f"  {plain(command)}", no_wrap=True) for command in commands)
    )


def tokens(amount: int, decimals: int = TOKEN_DECIMALS) -> str:
    """An amount in the token's smallest unit, as people read it: 1,250.5. JSON has it to the last unit."""
    whole, part = divmod(amount, 10**decimals)
    fraction = f"{part:0{decimals}d}"[:SHOWN_DECIMALS].rstrip("0")
    return f"{whole:,}.{fraction}" if fraction else f"{whole:,}"


def moment(unix_seconds: float) -> str:
    """A time on the chain, in UTC."""
    return datetime.fromtimestamp(unix_seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def percent(part: int, whole: int) -> str:
    """A share, to one hundredth of a percent."""
    return f"{part * 100 / whole:.2f} %" if whole else "—"
