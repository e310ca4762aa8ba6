from __future__ import annotations

import pytest

from protocol.notes.deidentify import Deidentifier


@pytest.fixture(scope="package")
def deidentifier() -> Deidentifier:
    """One for all: it loads its lists once."""
    return Deidentifier()
