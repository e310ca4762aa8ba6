"""The frame of every command: help with examples, ``--json``, one clear end.

A command is a function that returns a `Result`; nothing else writes to standard output. Exit codes: 0 success; 1 a
refusal or failure, or a check that does not hold; 2 wrong usage; 130 stopped by Ctrl-C.
"""

from __future__ import annotations

import json
import logging
import re
import traceback
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib import import_module
from typing import Any

import click

from protocol.cli.output import Result, plain, show, show_error, warn
from protocol.errors import SalusError

FAILED = 1
INTERRUPTED = 130

_AS_JSON = "salus.json"
_VERBOSE = "salus.verbose"
_JOB = re.compile(r"\bjob (\d+)")

log = logging.getLogger(__name__)


class Command(click.Command):
    """A command with examples, ``--json`` and one clear end."""

    def __init__(self, *args: Any, examples: Sequence[str] = (), **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.examples = tuple(examples)
        self.params.append(
            click.Option(
                ["--json"],
                is_flag=True,
                expose_value=False,
                callback=_remember_json,
                help="Print one JSON document on standard output, and nothing else there.",
            )
        )

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Examples"):
            for example in self.examples:
                formatter.write(f"{'':>{formatter.current_indent}}{example}\n")

    def invoke(self, ctx: click.Context) -> None:
        as_json = ctx.meta.get(_AS_JSON, False)
        try:
            result = super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except KeyboardInterrupt:
            warn("Stopped.")
            ctx.exit(INTERRUPTED)
        except SalusError as error:
            log.debug("Traceback of the error below:", exc_info=True)
            show_error(error, as_json)
            ctx.exit(FAILED)
        except OSError as error:
            log.debug("Traceback of the error below:", exc_info=True)
            show_error(_in_words(error), as_json)
            ctx.exit(FAILED)
        except Exception as error:  # noqa: BLE001 - the outermost frame: a defect still ends in one line
            if ctx.meta.get(_VERBOSE, False):
                warn("".join(traceback.format_exception(error)))
            show_error(_unexpected(error), as_json)
            ctx.exit(FAILED)
        if not isinstance(result, Result):
            raise TypeError(f"{ctx.command_path} returned no Result.")
        show(result, as_json)
        if not result.ok:
            ctx.exit(FAILED)


class Group(click.Group):
    """A noun: its commands are of this frame."""

    command_class = Command


class Root(Group):
    """The nouns, each imported when it is asked for: help and completion need neither torch nor web3."""

    def __init__(self, *args: Any, nouns: dict[str, str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.nouns = nouns

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return list(self.nouns)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:  # noqa: ARG002
        if name not in self.nouns:
            return None
        return getattr(import_module(f"protocol.cli.{name}"), name)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl(list(self.nouns.items()))


def remember_verbose(ctx: click.Context, _param: click.Parameter, value: int) -> None:
    """Sets up the log on standard error: warnings; with -v what is done; with -vv every detail."""
    ctx.meta[_VERBOSE] = value > 0
    level = (logging.WARNING, logging.INFO, logging.DEBUG)[min(value, 2)]
    handler = logging.StreamHandler()
    handler.setFormatter(_Plain("%(asctime)s %(levelname)s %(message)s"))
    logging.basicConfig(handlers=[handler], force=True)
    logging.getLogger("protocol").setLevel(level)


def log_in_json() -> None:
    """One JSON document a line from now on, for programs that collect logs."""
    for handler in logging.getLogger().handlers:
        handler.setFormatter(_AsJson())


class _AsJson(logging.Formatter):
    """``at``, ``level``, ``source``, ``message``; ``event``, the same for all messages of a kind; ``job`` where it is
    about one."""

    def format(self, record: logging.LogRecord) -> str:
        message = plain(record.getMessage())
        document: dict[str, object] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "source": record.name.removeprefix("protocol."),
            "event": str(record.msg),
            "message": message,
        }
        if job := _JOB.search(message):
            document["job"] = int(job[1])
        if record.exc_info:
            document["traceback"] = self.formatException(record.exc_info)
        return json.dumps(document)


class _Plain(logging.Formatter):
    """Lines without control characters: a log quotes strangers, such as the field names of a job's spec."""

    def format(self, record: logging.LogRecord) -> str:
        return plain(super().format(record))


def _remember_json(ctx: click.Context, _param: click.Parameter, value: bool) -> None:
    ctx.meta[_AS_JSON] = value


def _in_words(error: OSError) -> SalusError:
    place = f"{error.filename}: " if error.filename else ""
    return SalusError(
        f"{place}{error.strerror or error}.", "Check the path, its permissions and the free space."
    )


def _unexpected(error: Exception) -> SalusError:
    return SalusError(
        f"Unexpected {type(error).__name__}: {error}",
        "This is a defect of Salus. Run `salus -v …` again for the details, and report them.",
    )
