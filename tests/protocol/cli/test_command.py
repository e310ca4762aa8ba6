"""The frame of every command: one result, one JSON document, one exit code, never a traceback."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from types import SimpleNamespace

import click
import pytest
from click.testing import CliRunner
from click.testing import Result as Outcome

from protocol.cli.command import Command, log_in_json, remember_verbose
from protocol.cli.output import Result
from protocol.errors import Refused


def run(body: Callable[[], Result], *args: str) -> Outcome:
    @click.group()
    @click.option("-v", count=True, expose_value=False, callback=remember_verbose)
    def root() -> None:
        """A root."""

    @root.command(cls=Command, name="toy", examples=["salus toy"])
    def toy() -> Result:
        """A toy."""
        return body()

    return CliRunner().invoke(root, args)


def refuse() -> Result:
    raise Refused("Consent 3 was revoked.", "Mint a new one.", name="ConsentIsRevoked")


def break_down() -> Result:
    raise RuntimeError("wires crossed")


def test_a_result_for_people_is_its_notices_and_view() -> None:
    outcome = run(lambda: Result({"a": 1}, ["one", "two"], notices=["beware"]), "toy")
    assert (outcome.exit_code, outcome.stdout.split()) == (0, ["beware", "one", "two"])


def test_json_is_one_document_with_notices() -> None:
    outcome = run(lambda: Result({"root": b"\x01\x02"}, ["view"], notices=["beware"]), "toy", "--json")
    assert json.loads(outcome.stdout) == {"root": "0x0102", "notices": ["beware"]}


def test_a_result_that_does_not_hold_exits_1() -> None:
    assert run(lambda: Result({"ok": False}, [], ok=False), "toy").exit_code == 1


def test_a_refusal_is_two_lines_on_standard_error() -> None:
    outcome = run(refuse, "toy")
    assert outcome.exit_code == 1
    assert outcome.stdout == ""
    assert outcome.stderr == "Error: Consent 3 was revoked.\nMint a new one.\n"


def test_a_refusal_with_json_is_the_document() -> None:
    outcome = run(refuse, "toy", "--json")
    assert outcome.exit_code == 1
    assert json.loads(outcome.stdout) == {
        "error": {"type": "Refused", "message": "Consent 3 was revoked.", "hint": "Mint a new one."}
    }


def test_a_defect_is_one_line_that_says_how_to_learn_more() -> None:
    outcome = run(break_down, "toy")
    assert outcome.exit_code == 1
    assert "Traceback" not in outcome.output
    assert "Unexpected RuntimeError: wires crossed" in outcome.stderr
    assert "salus -v" in outcome.stderr


def test_verbose_shows_the_traceback_of_a_defect() -> None:
    outcome = run(break_down, "-v", "toy")
    assert "Traceback" in outcome.stderr
    assert "break_down" in outcome.stderr


def test_a_failing_file_system_is_a_sentence() -> None:
    def body() -> Result:
        raise OSError(28, "No space left on device", "/srv/model.safetensors")

    outcome = run(body, "toy")
    assert outcome.exit_code == 1
    assert outcome.stderr.startswith("Error: /srv/model.safetensors: No space left on device.")


def test_ctrl_c_exits_130_without_a_traceback() -> None:
    def body() -> Result:
        raise KeyboardInterrupt

    outcome = run(body, "toy")
    assert (outcome.exit_code, outcome.stderr) == (130, "Stopped.\n")


def test_wrong_usage_exits_2() -> None:
    outcome = run(refuse, "toy", "--nonsense")
    assert outcome.exit_code == 2
    assert "No such option" in outcome.stderr


def test_help_ends_with_examples() -> None:
    outcome = run(refuse, "toy", "--help")
    assert outcome.stdout.endswith("Examples:\n  salus toy\n")


@pytest.mark.parametrize("text", ["\x1b[31mred\x1b[0m", "bell\x07", "[bold]markup[/bold]"])
def test_text_of_strangers_cannot_steer_the_terminal(text: str) -> None:
    outcome = run(lambda: Result({}, [text]), "toy")
    assert "\x1b" not in outcome.stdout
    assert "\x07" not in outcome.stdout
    if "markup" in text:
        assert text in outcome.stdout


def test_the_log_of_what_strangers_wrote_cannot_steer_the_terminal_either() -> None:
    line = logging.makeLogRecord({"msg": "job 1: %s", "args": ("\x1b]0;evil\x07",), "levelname": "WARNING"})
    remember_verbose(SimpleNamespace(meta={}), None, 0)
    (handler,) = logging.getLogger().handlers
    assert "\x1b" not in handler.format(line)
    assert "evil" in handler.format(line)


def as_json(name: str, message: str, *args: object) -> str:
    run(lambda: Result({}, []), "toy")
    log_in_json()
    (handler,) = logging.getLogger().handlers
    record = logging.LogRecord(name, logging.INFO, "worker.py", 1, message, args, None)
    record.created = 0.0
    return handler.format(record)


def test_a_log_for_programs_is_one_document_a_line() -> None:
    assert json.loads(as_json("protocol.node.worker", "%s: job %s, gas %s", "submit", 7, 88_000)) == {
        "at": "1970-01-01T00:00:00.000+00:00",
        "level": "info",
        "source": "node.worker",
        "event": "%s: job %s, gas %s",
        "message": "submit: job 7, gas 88000",
        "job": 7,
    }


def test_a_log_for_programs_keeps_to_one_line_whatever_a_stranger_wrote() -> None:
    line = as_json("protocol.node.node", "refused: %s", "\x1b]0;evil\x07\nsecond line")
    assert "\n" not in line
    assert "\x1b" not in json.loads(line)["message"]
