"""Into the vault clean and once, or kept back with the reason; nothing is lost on the way."""

from __future__ import annotations

import errno
import threading
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import JPEGBaseline8Bit

from protocol.errors import InvalidInput, MissingLibrary, Unclean, VaultError
from protocol.gateway import worker as module
from protocol.gateway.quarantine import Quarantine
from protocol.gateway.service import pseudonyms_of, quarantine_of
from protocol.gateway.worker import Worker
from protocol.imaging import instances
from protocol.imaging.deidentify import Clean, Model, WithoutRegions
from protocol.imaging.text import Box
from tests.protocol.gateway.hospital import DEVICE, Hospital, cleaning_in
from tests.protocol.imaging.made import PATIENT, REGION, file, instance, opened, speckle


class Line:
    """A hospital's quarantine, worker and vault, without a network."""

    def __init__(self, hospital: Hospital) -> None:
        self.hospital = hospital
        self.clean = cleaning_in(hospital.home)
        self.pseudonyms = pseudonyms_of(hospital.home, hospital.vault)
        self.vault = hospital.vault
        self.quarantine: Quarantine = quarantine_of(hospital.home, hospital.vault)
        self.worker = Worker(self.quarantine, self.vault, self.pseudonyms, [self.clean])

    def send(self, content: bytes) -> str:
        """Its id, once it was looked at."""
        id = self.quarantine.arrive(content, DEVICE, 1_700_000_000)
        self.worker.look(id, self.clean)
        return id

    def reasons(self) -> list[str]:
        return [item.reason for item in self.quarantine.held()]


@pytest.fixture
def line(hospital: Hospital) -> Line:
    return Line(hospital)


def test_what_is_clean_goes_into_the_vault(line: Line) -> None:
    dataset = instance()
    line.send(file(dataset))
    (kept,) = line.vault.pending()
    assert (kept.device, kept.received_at) == (DEVICE, 1_700_000_000)
    assert kept.uid == line.pseudonyms.uid(dataset.SOPInstanceUID)
    assert kept.patient == line.pseudonyms.patient(PATIENT)
    assert opened(line.vault.content(kept.uid)).PatientID == kept.patient
    assert line.quarantine.arrived() == [] and line.quarantine.held() == []
    assert line.worker.counts.stored == 1


def test_sent_again_it_changes_nothing_and_is_not_cleaned_again(line: Line) -> None:
    content = file(instance())
    line.send(content)
    before = line.vault.pending()

    def never(*_: object) -> Clean:
        raise AssertionError

    line.clean = never
    for _ in range(2):
        line.send(content)
    assert line.vault.pending() == before and line.worker.counts.again == 2
    assert line.quarantine.arrived() == [] and line.quarantine.held() == []
    line.vault.flush()
    line.send(content)
    assert line.vault.pending() == [] and line.vault.flush() is None


def test_the_same_without_our_knowing_changes_nothing_either(line: Line) -> None:
    """A power cut may take the last lines of the ledger."""
    content = file(instance())
    id = line.send(content)
    line.quarantine._ledger._ask("DELETE FROM done WHERE id = ?", id)
    line.send(content)
    assert len(line.vault.pending()) == 1 and line.worker.counts.again == 1


def test_another_content_under_its_uid_is_kept_back(line: Line) -> None:
    line.send(file(instance(SOPInstanceUID="1.2.3")))
    line.send(file(instance(speckle(seed=6), SOPInstanceUID="1.2.3")))
    assert len(line.vault.pending()) == 1
    (reason,) = line.reasons()
    assert "other content" in reason


def test_a_withdrawn_patient_is_kept_back(line: Line) -> None:
    content = file(instance())
    line.send(content)
    line.vault.withdraw(line.pseudonyms.patient(PATIENT))
    line.send(content)
    line.send(file(instance()))
    assert line.vault.pending() == [] and len(line.reasons()) == 2
    assert all("withdrawn" in reason for reason in line.reasons())


def test_a_header_that_names_another_instance_is_kept_back(line: Line) -> None:
    content = file(instance(SOPInstanceUID="1.2.3"))
    line.send(content.replace(b"1.2.3\x00", b"1.2.4\x00", 1))
    assert line.vault.pending() == []
    assert line.reasons() == ["Its file header names another instance than the object itself."]


def nested(depth: int) -> Dataset:
    inner = Dataset()
    for _ in range(depth):
        outer = Dataset()
        outer.ReferencedImageSequence = [inner]
        inner = outer
    return inner


def bomb() -> bytes:
    """A few bytes that say they are a hundred thousand frames."""
    dataset = instance(speckle(frames=2), NumberOfFrames=100_000)
    dataset.PixelData = encapsulate([b"\xff\xd8\xff\xd9", b"\xff\xd8\xff\xd9"])
    dataset["PixelData"].VR = "OB"
    dataset.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
    return file(dataset)


def flipped(content: bytes, seed: int, count: int = 40) -> bytes:
    """With some bits of its data set turned over."""
    draw, out = np.random.default_rng(seed), bytearray(content)
    for place in draw.integers(400, 2_000, count):
        out[place] ^= 1 << int(draw.integers(8))
    return bytes(out)


BAD: dict[str, Callable[[], bytes]] = {
    "truncated": lambda: file(instance())[:1500],
    "no pixels at all": lambda: file(instance())[:600],
    "nothing but a header": lambda: file(instance())[:360],
    "of another modality": lambda: file(instance(Modality="CT")),
    "a decompression bomb": bomb,
    "nested to absurd depth": lambda: file(instance(ReferencedSeriesSequence=[nested(200)])),
    "lies about its size": lambda: file(instance(Rows=20_000, Columns=20_000)),
    "no patient id": lambda: file(instance(PatientID="")),
    "no region": lambda: file(instance(SequenceOfUltrasoundRegions=[])),
    "an unknown character set": lambda: file(instance(SpecificCharacterSet="ISO_IR 999")),
}


@pytest.mark.parametrize("what", BAD)
def test_what_cannot_be_cleaned_is_kept_back_with_a_reason(line: Line, what: str) -> None:
    content = BAD[what]()
    id = line.send(content)
    assert line.vault.pending() == [] and line.quarantine.arrived() == []
    (item,) = line.quarantine.held()
    assert item.id == id and item.reason and line.quarantine.content(id) == content


@pytest.mark.parametrize("seed", range(24))
def test_flipped_bits_end_clean_or_kept_back(line: Line, seed: int) -> None:
    id = line.send(flipped(file(instance()), seed))
    assert line.quarantine.arrived() == []
    assert len(line.vault.pending()) + len(line.reasons()) == 1
    for kept in line.vault.pending():
        content = line.vault.content(kept.uid)
        assert PATIENT.encode() not in content and b"DUCHEMIN" not in content
    for item in line.quarantine.held():
        assert item.id == id and item.reason and PATIENT not in item.reason


@pytest.mark.parametrize(
    ("charset", "name"),
    [
        ("ISO_IR 100", "Müller^Jürgen"),
        ("ISO_IR 192", "山田^太郎"),
        ("\\ISO 2022 IR 87", "Yamada^Tarou=山田^太郎"),
    ],
)
def test_character_sets_are_understood(line: Line, charset: str, name: str) -> None:
    line.send(file(instance(SpecificCharacterSet=charset, PatientName=name, StudyDate="99991231")))
    assert len(line.vault.pending()) == 1 and line.reasons() == []


# -- regions that a person reviewed ----------------------------------------------------------------------------------


def test_regions_given_for_an_item_let_it_in(line: Line) -> None:
    id = line.send(file(instance(speckle(), SequenceOfUltrasoundRegions=[])))
    assert "region" in line.reasons()[0]
    line.quarantine.review(id, [REGION])
    assert line.worker.look(id, line.clean) == ""
    (kept,) = line.vault.pending()
    pixels = opened(line.vault.content(kept.uid)).pixel_array
    assert np.array_equal(pixels[REGION.rows, REGION.columns], speckle()[0][REGION.rows, REGION.columns])
    assert not pixels[: REGION.top].any() and not pixels[:, : REGION.left].any()
    assert line.reasons() == []


def test_regions_outside_of_its_pixels_are_a_reason_too(line: Line) -> None:
    id = line.send(file(instance(SequenceOfUltrasoundRegions=[])))
    line.quarantine.review(id, [Box(5000, 5000, 6000, 6000)])
    assert "outside of its pixels" in line.worker.look(id, line.clean)
    assert line.vault.pending() == [] and len(line.reasons()) == 1


def test_regions_of_a_model_are_for_those_that_declare_none(line: Line) -> None:
    line.quarantine.remember(Model("Maker", "One", 240, 320), [Box(0, 0, 10, 10)])
    line.send(file(instance(speckle(), SequenceOfUltrasoundRegions=[], ManufacturerModelName="One")))
    line.send(file(instance(speckle(), ManufacturerModelName="One")))
    line.send(file(instance(speckle(), SequenceOfUltrasoundRegions=[], ManufacturerModelName="Two")))
    visible = sorted(
        int(opened(line.vault.content(kept.uid)).pixel_array.any(axis=0).sum())
        for kept in line.vault.pending()
    )
    assert visible == [10, REGION.right - REGION.left], "each by its own"
    assert len(line.reasons()) == 1


def test_only_the_cleaning_looks_into_what_was_sent(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may be a bomb: what brought the cleaning's own process down is kept back at once."""
    read: list[bytes] = []
    monkeypatch.setattr(instances, "read", read.append)
    model, asked = Model("Maker", "One", 240, 320), []
    line.quarantine.remember(model, [REGION])

    def crash(_: bytes, regions: Sequence[Box]) -> Clean:
        asked.append(regions)
        raise Unclean("It brought down the process that was to clean it.")

    def refuse(_: bytes, regions: Sequence[Box]) -> Clean:
        asked.append(regions)
        raise WithoutRegions("It declares no region.", model)

    for cleaning in (crash, refuse):
        id = line.quarantine.arrive(file(instance(SequenceOfUltrasoundRegions=[])), DEVICE, 1)
        assert line.worker.look(id, cleaning)
    assert asked == [(), (), (REGION,)] and read == [] and len(line.reasons()) == 2


# -- at any point ----------------------------------------------------------------------------------------------------


def test_killed_after_the_vault_has_it_it_is_there_once(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(Quarantine, "done", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            line.send(file(instance()))
    after = Line(line.hospital)
    (id,) = after.quarantine.arrived()
    assert after.worker.look(id, after.clean) == ""
    assert len(after.vault.pending()) == 1 and after.quarantine.arrived() == []


def test_it_is_in_quarantine_until_the_vault_has_it(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    real, seen = line.vault.add, []

    def add(given: object) -> bool:
        seen.append(line.quarantine.arrived())
        return real(given)

    monkeypatch.setattr(line.vault, "add", add)
    id = line.send(file(instance()))
    assert seen == [[id]]


class Running:
    """A worker in a thread of its own."""

    def __init__(self, worker: Worker) -> None:
        self.worker, self.stop = worker, threading.Event()
        self.thread = threading.Thread(target=worker.run, args=(self.stop,))

    def __enter__(self) -> Running:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop.set()
        self.worker.wake()
        self.thread.join()


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "POLL_SECONDS", 0.01)
    monkeypatch.setattr(module, "PAUSE_SECONDS", 0.01)


def until(holds: Callable[[], object]) -> None:
    while not holds():
        threading.Event().wait(0.01)


def test_it_works_through_what_arrives_side_by_side(line: Line) -> None:
    worker = Worker(
        line.quarantine, line.vault, line.pseudonyms, [line.clean, cleaning_in(line.hospital.home)]
    )
    for number in range(6):
        line.quarantine.arrive(file(instance()), DEVICE, number)
    with Running(worker):
        until(lambda: not line.quarantine.arrived())
        line.quarantine.arrive(file(instance(Modality="MR")), DEVICE, 9)
        worker.wake()
        until(line.quarantine.held)
    assert (worker.counts.stored, worker.counts.held) == (6, 1)
    assert len(line.vault.pending()) == 6


@pytest.mark.parametrize(
    "trouble",
    [VaultError("The vault cannot be written."), OSError(errno.ENOSPC, "No space left on device"),
     MissingLibrary("No library.")],
)  # fmt: skip
def test_what_cannot_be_kept_now_waits_and_is_said_once(
    line: Line, monkeypatch: pytest.MonkeyPatch, logged: Callable[[], list[str]], trouble: Exception
) -> None:
    real, tries = line.vault.add, []

    def add(given: object) -> bool:
        tries.append(1)
        if len(tries) < 5:
            raise trouble
        return real(given)

    monkeypatch.setattr(line.vault, "add", add)
    line.quarantine.arrive(file(instance()), DEVICE, 1)
    with Running(line.worker):
        until(lambda: not line.quarantine.arrived())
    assert len(line.vault.pending()) == 1 and line.reasons() == []
    assert len([each for each in logged() if "wait in quarantine" in each]) == 1


def test_a_defect_of_ours_keeps_one_back_and_not_the_others(line: Line) -> None:
    def clean(content: bytes, regions: Sequence[Box]) -> Clean:
        if b"Defective" in content:
            raise RuntimeError(PATIENT)
        return line.clean(content, regions)

    line.quarantine.arrive(file(instance(Manufacturer="Defective")), DEVICE, 1)
    line.quarantine.arrive(file(instance()), DEVICE, 2)
    with Running(Worker(line.quarantine, line.vault, line.pseudonyms, [clean])):
        until(lambda: not line.quarantine.arrived())
    assert line.reasons() == ["It cannot be cleaned (RuntimeError)."] and len(line.vault.pending()) == 1


def test_what_was_altered_on_the_disk_is_set_aside(line: Line) -> None:
    id = line.quarantine.arrive(file(instance()), DEVICE, 1)
    (path,) = (line.hospital.home / "quarantine" / "arrived").glob("*.sealed")
    path.write_bytes(path.read_bytes()[:-1])
    assert "altered" in line.worker.look(id, line.clean)
    assert line.quarantine.arrived() == [] and len(line.reasons()) == 1


@pytest.mark.parametrize("ends", ["clean", "unclean"])
def test_what_is_rejected_while_it_is_cleaned_stays_gone(line: Line, ends: str) -> None:
    id = line.send(file(instance(SequenceOfUltrasoundRegions=[])))

    def rejected(content: bytes, _: Sequence[Box]) -> Clean:
        line.quarantine.reject(id)
        return line.clean(content, [REGION] if ends == "clean" else [])

    with pytest.raises(InvalidInput, match="not in quarantine"):
        line.worker.look(id, rejected)
    assert line.vault.pending() == [] and line.worker.counts.stored == 0
    assert [path for path in (line.hospital.home / "quarantine").rglob("*") if id in path.name] == []


def test_what_somebody_else_dealt_with_is_no_matter(line: Line) -> None:
    id = line.send(file(instance()))
    with pytest.raises(InvalidInput):
        line.worker.look(id, line.clean)
