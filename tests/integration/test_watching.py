"""A running node tells a monitoring system how it is, on loopback alone."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from protocol.devnet.daemon import free_port
from tests.integration.stage import Actor, Stage


@pytest.fixture
def port(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """Where the first hospital's node serves its metrics."""
    found, actor = free_port(), stage.hospitals[0]
    stage.kill(actor)
    with monkeypatch.context() as patched:
        patched.setenv("SALUS_METRICS_PORT", str(found))
        stage.start(actor)
    yield found
    stage.kill(actor)


def asked(port: int, path: str) -> tuple[int, str]:
    """Status 0 while nobody answers."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except OSError:
        return 0, ""


def works(actor: Actor) -> bool:
    return actor.status.get("pid") == actor.process.pid


def test_a_running_node_can_be_watched(stage: Stage, port: int) -> None:
    actor = stage.hospitals[0]
    stage.wait_until(lambda: works(actor) and asked(port, "/healthz")[0] == 200, 60, "a healthy node")
    assert json.loads(asked(port, "/healthz")[1])["ok"] is True
    status, text = asked(port, "/metrics")
    assert status == 200
    assert f'salus_node_start_time_seconds{{hospital="{actor.hospital_id}"}}' in text
    listening = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    addresses = {row[1] for row in listening if row[3] == "0A" and int(row[1].split(":")[1], 16) == port}
    assert addresses == {f"0100007F:{port:04X}"}


def test_a_node_without_a_chain_says_so(stage: Stage, port: int) -> None:
    stage.wait_until(lambda: asked(port, "/healthz")[0] == 200, 60, "a healthy node")
    stage.devnet.chain.stop()
    try:
        # A chain that is going down may still answer with an error of its own.
        stage.wait_until(lambda: "does not answer" in asked(port, "/healthz")[1], 60, "a node that misses it")
        status, text = asked(port, "/healthz")
        assert status == 503 and "does not answer" in json.loads(text)["reason"]
    finally:
        stage.devnet.up()
    stage.wait_until(lambda: asked(port, "/healthz")[0] == 200, 60, "a node that is well again")
