"""The libraries without state, deployed."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="module")
def libraries(PureLibraries, deployer):
    return PureLibraries.deploy({"from": deployer})
