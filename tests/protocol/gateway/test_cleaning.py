"""A process of its own: it gives what de-identification gives, and may come down alone."""

from __future__ import annotations

import os
import resource
import struct
import threading
import warnings
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset

from protocol.data.pseudonyms import Pseudonyms
from protocol.errors import Unclean
from protocol.gateway import cleaning
from protocol.gateway.cleaning import MAX_MEMORY_BYTES, Cleaner
from protocol.gateway.part10 import header
from protocol.imaging import instances
from protocol.imaging.deidentify import Model, WithoutRegions, deidentify
from protocol.imaging.text import Found, RapidOcr
from tests.protocol.imaging.made import PSEUDONYMS, REGION, file, instance


@pytest.fixture
def cleaner(tmp_path: Path) -> Cleaner:
    Pseudonyms.open(tmp_path / "pseudonyms.key", make=True)
    return Cleaner(tmp_path / "pseudonyms.key")


def test_it_is_the_same_de_identification(cleaner: Cleaner, tmp_path: Path) -> None:
    content, without = file(instance()), file(instance(SequenceOfUltrasoundRegions=[]))
    pseudonyms, finder = Pseudonyms.open(tmp_path / "pseudonyms.key", make=True), RapidOcr()
    try:
        assert cleaner(content) == deidentify(content, pseudonyms, finder)
        assert cleaner(without, [REGION]) == deidentify(without, pseudonyms, finder, [REGION])
        with pytest.raises(Unclean, match="no ultrasound region"):
            cleaner(without)
        named = file(instance(SequenceOfUltrasoundRegions=[], ManufacturerModelName="One"))
        with pytest.raises(WithoutRegions, match="no ultrasound region") as raised:
            cleaner(named)
        assert raised.value.model == Model("Maker", "One", 240, 320)
        assert cleaner(content).uid == pseudonyms.uid(str(instance_uid(content))), (
            "it goes on after a refusal"
        )
    finally:
        cleaner.close()


def instance_uid(content: bytes) -> str:
    from tests.protocol.imaging.made import opened

    return str(opened(content).SOPInstanceUID)


def test_what_takes_too_long_is_unclean_and_the_next_has_a_process_again(tmp_path: Path) -> None:
    Pseudonyms.open(tmp_path / "pseudonyms.key", make=True)
    cleaner = Cleaner(tmp_path / "pseudonyms.key", max_seconds=0)
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
    Pseudonyms.open(tmp_path / "pseudonyms.key", make=True)
    cleaner = Cleaner(tmp_path / "pseudonyms.key")
    pipe = cleaner._started()
    process = cleaner._process
    assert process is not None and process.pid != os.getpid()
    pipe.close()
    process.join()
    assert process.exitcode == 0


def crowded(count: int) -> bytes:
    """An instance with so many empty private elements."""
    empty = (
        struct.pack("<HH2sH", 0x8001 + 2 * (number >> 15), 0x10 + (number & 0x7FFF), b"SH", 0)
        for number in range(count)
    )
    return file(instance(SequenceOfUltrasoundRegions=[], ManufacturerModelName="One")) + b"".join(empty)


def test_too_many_elements_are_refused_before_they_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(instances, "MAX_ELEMENTS", 1_000)
    assert instances.read(crowded(900))
    with pytest.raises(Unclean, match="more than 1000 elements"):
        instances.read(crowded(1_000))
    inside = instance(ReferencedImageSequence=[Dataset() for _ in range(1_000)])
    inside["ReferencedImageSequence"].is_undefined_length = True
    with pytest.raises(Unclean, match="more than 1000 elements"):
        instances.read(file(inside))


def test_its_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    bounds: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "setrlimit", lambda _, given: bounds.append(given))
    for most, soft in [(resource.RLIM_INFINITY, MAX_MEMORY_BYTES), (1 << 20, 1 << 20)]:
        monkeypatch.setattr(resource, "getrlimit", lambda _, most=most: (most, most))
        cleaning._bound_memory()
        assert bounds[-1] == (soft, most)


def test_nobody_waits_for_another_to_read() -> None:
    """Looking for text takes seconds, and devices send meanwhile."""
    content, content_2, inside, go = file(instance()), file(instance()), threading.Event(), threading.Event()

    class Slow:
        def find(self, picture: np.ndarray) -> list[Found]:  # noqa: ARG002
            inside.set()
            go.wait()
            return []

    thread = threading.Thread(target=deidentify, args=(content, PSEUDONYMS, Slow()))
    before = list(warnings.filters)
    thread.start()
    inside.wait()
    header_read = threading.Event()
    other = threading.Thread(target=lambda: (header(content_2), instances.read(content_2), header_read.set()))
    other.start()
    assert header_read.wait(60)
    assert pydicom.config.settings.reading_validation_mode == pydicom.config.IGNORE
    go.set()
    for each in (thread, other):
        each.join()
    assert pydicom.config.settings.reading_validation_mode == pydicom.config.WARN
    assert warnings.filters == before
