"""Background processes: found by their mark, stopped whatever they do, reported when they fail."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from protocol.devnet.daemon import MARK, Daemon, answers, free_port, run
from protocol.errors import DevnetError


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    """A daemon that does not run yet."""
    found = Daemon("sleeper", tmp_path / "state", tmp_path / "log")
    yield found
    found.stop(1)


def test_another_process_finds_it_and_stops_it(daemon: Daemon) -> None:
    assert daemon.pid() is None
    daemon.launch(["sleep", "60"])
    other = Daemon("sleeper", daemon.folder, daemon.log)
    assert other.pid() == daemon.pid() is not None
    assert other.stop() is True
    assert daemon.pid() is None
    assert daemon.stop() is False


def test_a_process_that_ignores_the_request_is_ended(daemon: Daemon) -> None:
    deaf = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('on', flush=True); time.sleep(60)"
    daemon.launch([sys.executable, "-c", deaf])
    daemon.wait_until(lambda: "on" in daemon.log.read_text(), 10)
    assert daemon.stop(patience_seconds=0.3) is True
    assert daemon.pid() is None


def test_a_stranger_in_the_same_folder_is_left_alone(daemon: Daemon) -> None:
    environment = {**os.environ, MARK: f"other:{daemon.folder}"}
    with subprocess.Popen(["sleep", "60"], env=environment) as stranger:
        assert daemon.pid() is None
        assert daemon.stop() is False
        assert stranger.poll() is None
        stranger.kill()


def test_one_that_ends_early_shows_its_log(daemon: Daemon) -> None:
    daemon.launch(["sh", "-c", "echo no such chain; exit 3"])
    with pytest.raises(DevnetError, match="ended with status 3") as caught:
        daemon.wait_until(lambda: False, 10)
    assert "no such chain" in caught.value.hint


def test_one_that_never_answers_is_given_up(daemon: Daemon) -> None:
    daemon.launch(["sleep", "60"])
    with pytest.raises(DevnetError, match="does not answer"):
        daemon.wait_until(lambda: False, 0.2)


def test_one_that_cannot_start_says_what_to_do(daemon: Daemon) -> None:
    with pytest.raises(DevnetError, match="cannot be started") as caught:
        daemon.launch([daemon.folder / "no-such-program"])
    assert "make setup" in caught.value.hint


def test_ports_are_kept_where_free_and_changed_where_not() -> None:
    port = free_port()
    assert free_port(port) == port
    assert free_port(port, taken=[port]) != port
    assert not answers(port)
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", port))
        holder.listen()
        assert answers(port)
        assert free_port(port) != port


def test_a_failing_command_shows_its_log(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with pytest.raises(DevnetError, match="The step failed") as caught:
        run("The step", ["sh", "-c", "echo the reason >&2; exit 1"], {}, log, 10)
    assert "the reason" in caught.value.hint
    with pytest.raises(DevnetError, match="timed out"):
        run("The step", ["sleep", "60"], {}, log, 0.1)
