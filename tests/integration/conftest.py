"""One development network and four admitted hospitals for the tests that only use them; tests that break a network for
good make their own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from protocol.devnet import Devnet
from tests.integration.stage import Stage
from tests.integration.story import Finished, tell


@pytest.fixture(scope="session")
def devnet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Devnet]:
    """A running network with contracts; nothing of it is left at the end."""
    network = Devnet(tmp_path_factory.mktemp("devnet"))
    try:
        network.up()
        yield network
    finally:
        network.reset()


@pytest.fixture(scope="session")
def cast(devnet: Devnet, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """Four hospitals, admitted once for all tests."""
    stage = Stage(devnet, tmp_path_factory.mktemp("stage"))
    try:
        yield stage
    finally:
        stage.kill(*stage.hospitals)
        stage.ipfs.close()


@pytest.fixture
def stage(cast: Stage) -> Iterator[Stage]:
    """The four hospitals. Nodes go on from test to test; a job does not."""
    yield cast
    cast.end_jobs()


@pytest.fixture(scope="session")
def finished(cast: Stage) -> Finished:
    """A job that went well, its version released."""
    return tell(cast)


@pytest.fixture(scope="session")
def checkout() -> Path:
    """The folder of the repository."""
    return Path(__file__).resolve().parents[2]
