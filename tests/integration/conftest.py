"""One development network for the tests that only use it; tests that break a network make their own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from protocol.devnet import Devnet


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
def checkout() -> Path:
    """The folder of the repository."""
    return Path(__file__).resolve().parents[2]
