"""Several machines: hospitals that share nothing but a chain and libp2p, on a network that fails."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.machines import INSIDE, obstacle
from tests.integration.stage import ROOT

STORY = Path(__file__).with_name("over_machines.py")
PATIENCE_SECONDS, FAREWELL_SECONDS = 600, 60


def test_a_job_over_machines_that_are_cut_off_and_slow(tmp_path: Path) -> None:
    """The story runs as a test of its own, inside; its end and what it says are this one's."""
    if reason := obstacle():
        pytest.skip(reason)
    runtime = tmp_path / "runtime"
    runtime.mkdir(mode=0o700)
    command = [
        *(*INSIDE, sys.executable, "-m", "pytest", str(STORY), "-x", "--tb=short", "--color=no"),
        *("-p", "no:cacheprovider", "--basetemp", str(tmp_path / "story")),
    ]
    environment = {**os.environ, "XDG_RUNTIME_DIR": str(runtime)}
    story = subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        said, _ = story.communicate(timeout=PATIENCE_SECONDS)
    except subprocess.TimeoutExpired:
        # Its fixtures take daemons and nodes down.
        story.send_signal(signal.SIGINT)
        said, _ = story.communicate(timeout=FAREWELL_SECONDS)
    assert story.returncode == 0, said
    assert "1 passed" in said
