"""What several packages' tests need: a real IPFS daemon."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# A shared or slow machine is no reason to fail.
settings.register_profile(
    "salus", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("salus")

ROOT = Path(__file__).resolve().parents[2]
JSIPFS = ROOT / "node_modules" / ".bin" / "jsipfs"
START_SECONDS = 60


@pytest.fixture(scope="session")
def start_ipfs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., str]]:
    """Starts the development daemon with a repository of its own on free ports, and returns the address of its API."""
    running: list[subprocess.Popen[bytes]] = []

    def start(repository: Path | None = None) -> str:
        repository = repository or tmp_path_factory.mktemp("ipfs")
        environment = {**os.environ, "IPFS_PATH": str(repository)}
        subprocess.run(
            [JSIPFS, "init", "--profile", "test", "--empty-repo"],
            env=environment,
            check=True,
            capture_output=True,
        )
        config = json.loads((repository / "config").read_text())
        config["Addresses"]["RPC"] = "/ip4/127.0.0.1/tcp/0"
        (repository / "config").write_text(json.dumps(config))
        with (repository / "log").open("wb") as log:
            daemon = subprocess.Popen(
                [JSIPFS, "daemon", "--offline"], env=environment, stdout=log, stderr=log
            )
        running.append(daemon)
        deadline = time.monotonic() + START_SECONDS
        while b"Daemon is ready" not in (repository / "log").read_bytes():
            assert daemon.poll() is None, (repository / "log").read_text()
            assert time.monotonic() < deadline, (repository / "log").read_text()
            time.sleep(0.05)
        return (repository / "api").read_text().strip()

    yield start
    for daemon in running:
        daemon.send_signal(signal.SIGTERM)
    for daemon in running:
        try:
            daemon.wait(timeout=10)
        except subprocess.TimeoutExpired:
            daemon.kill()
            daemon.wait()


@pytest.fixture(scope="session")
def ipfs_daemon(start_ipfs: Callable[..., str]) -> str:
    """The API address of a daemon that all tests of the session share."""
    return start_ipfs()
