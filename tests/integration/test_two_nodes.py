"""Two nodes for one hospital could send two updates for one attempt (invariant 11): the second one does not start."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.integration.stage import Stage


@pytest.fixture(params=["the same home", "another home"])
def home(request: pytest.FixtureRequest, stage: Stage, tmp_path: Path) -> Path:
    return stage.hospitals[0].home if request.param == "the same home" else tmp_path


def test_a_second_node_is_refused_and_the_first_goes_on(stage: Stage, home: Path) -> None:
    first = stage.hospitals[0]
    stage.start(first)
    stage.wait_until(lambda: first.status.get("pid") == first.process.pid, 40, "the first node's status")
    # What the first node writes at this moment, for all that a second one knows.
    writing = first.home / "journal" / "being-written.part"
    writing.write_bytes(b"half")
    result = stage.salus(
        *(
            "node",
            "run",
            "--account",
            f"{first.name}-operator",
            "--policy",
            str(first.home / "policy.json"),
            "--json",
        ),
        home=home,
    )
    assert result.returncode == 1
    assert (
        f"Another process is already the node of hospital {first.hospital_id}."
        in result.stdout + result.stderr
    )
    assert writing.read_bytes() == b"half"
    writing.unlink()
    assert first.running
    assert first.status["pid"] == first.process.pid
    assert first.status["doing"] != "stopped"


def test_the_place_is_free_after_a_kill(stage: Stage) -> None:
    actor = stage.hospitals[0]
    stage.kill(actor)
    stage.start(actor)
    stage.wait_until(lambda: actor.status.get("pid") == actor.process.pid, 40, "the new node's status")
    status = json.loads(stage.salus("node", "status", "--json", home=actor.home).stdout)
    assert status["running"] is True
