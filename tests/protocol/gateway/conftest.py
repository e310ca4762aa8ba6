"""What all tests of the gateway share."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.protocol.gateway.hospital import SECRETS, Hospital


@pytest.fixture
def hospital(tmp_path: Path) -> Hospital:
    return Hospital(tmp_path / "home")


@pytest.fixture(autouse=True)
def _nothing_of_a_patient_in_any_log(
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> Iterator[None]:
    """Holds for every test: whatever a device sends, no log and no stream quotes it."""
    caplog.set_level(logging.DEBUG)
    yield
    out, err = capfd.readouterr()
    for text in (caplog.text, out, err):
        assert not [secret for secret in SECRETS if secret in text]


@pytest.fixture
def logged(caplog: pytest.LogCaptureFixture) -> Callable[[], list[str]]:
    """What our own code said so far."""
    return lambda: [each.getMessage() for each in caplog.records if each.name.startswith("protocol.")]
