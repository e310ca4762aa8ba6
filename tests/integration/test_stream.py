"""Devices stream into a gateway that is killed: `make stream`, in short."""

from __future__ import annotations

from pathlib import Path

from tests.integration.stage import Stage
from tests.integration.stream import unleash


def test_every_acknowledged_instance_is_there_once_and_the_chain_has_its_root(
    stage: Stage, tmp_path: Path
) -> None:
    found = unleash(stage, stage.hospitals[0], tmp_path / "home", seed=4, count=80, kills=2, say=print)
    assert [check for check in found if not check.holds] == []
