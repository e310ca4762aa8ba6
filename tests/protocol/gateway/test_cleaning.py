"""A process of its own: it gives what de-identification gives, and may come down alone."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from protocol.errors import Unclean
from protocol.gateway.cleaning import Cleaner
from protocol.imaging.deidentify import deidentify
from protocol.imaging.pseudonyms import Pseudonyms
from protocol.imaging.text import RapidOcr
from tests.protocol.imaging.made import REGION, file, instance


@pytest.fixture
def cleaner(tmp_path: Path) -> Cleaner:
    Pseudonyms.open(tmp_path / "imaging.key")
    return Cleaner(tmp_path / "imaging.key")


def test_it_is_the_same_de_identification(cleaner: Cleaner, tmp_path: Path) -> None:
    content, without = file(instance()), file(instance(SequenceOfUltrasoundRegions=[]))
    pseudonyms, finder = Pseudonyms.open(tmp_path / "imaging.key"), RapidOcr()
    try:
        assert cleaner(content) == deidentify(content, pseudonyms, finder)
        assert cleaner(without, [REGION]) == deidentify(without, pseudonyms, finder, [REGION])
        with pytest.raises(Unclean, match="no ultrasound region"):
            cleaner(without)
        assert cleaner(content).uid == pseudonyms.uid(str(instance_uid(content))), (
            "it goes on after a refusal"
        )
    finally:
        cleaner.close()


def instance_uid(content: bytes) -> str:
    from tests.protocol.imaging.made import opened

    return str(opened(content).SOPInstanceUID)


def test_what_takes_too_long_is_unclean_and_the_next_has_a_process_again(tmp_path: Path) -> None:
    Pseudonyms.open(tmp_path / "imaging.key")
    cleaner = Cleaner(tmp_path / "imaging.key", max_seconds=0)
    try:
        for _ in range(2):
            with pytest.raises(Unclean, match="took longer"):
                cleaner(file(instance()))
    finally:
        cleaner.close()


def test_what_brings_its_process_down_is_unclean(cleaner: Cleaner) -> None:
    reasons: list[str] = []

    def clean() -> None:
        with pytest.raises(Unclean) as raised:
            cleaner(file(instance()))
        reasons.append(raised.value.message)

    thread = threading.Thread(target=clean)
    thread.start()
    while cleaner._process is None or cleaner._process.pid is None:
        threading.Event().wait(0.001)
    cleaner._process.kill()
    thread.join()
    assert reasons == ["It brought down the process that was to clean it."]
    cleaner.close()


def test_it_ends_with_whoever_made_it(tmp_path: Path) -> None:
    """Its pipe is all that holds it: nothing is left behind when the other end is gone."""
    Pseudonyms.open(tmp_path / "imaging.key")
    cleaner = Cleaner(tmp_path / "imaging.key")
    pipe = cleaner._started()
    process = cleaner._process
    assert process is not None and process.pid != os.getpid()
    pipe.close()
    process.join()
    assert process.exitcode == 0
