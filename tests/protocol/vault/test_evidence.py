"""The evidence of a dataset version: what it counts, that nothing of a patient is in it, that an audit repeats it."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pydicom
import pytest

from protocol.content import canonical
from protocol.content.cid import digest_of
from protocol.errors import DataError, VaultError
from protocol.imaging.text import Box, Found
from protocol.vault import evidence
from protocol.vault.images import ImageDataset
from protocol.vault.store import Vault
from tests.protocol.imaging import made
from tests.protocol.vault.cohorts import NO_TEXT, SCHEMA, Finder, clean, fill, vault_in

PATIENTS, SHARE = 40, 0.5


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("home")
    vault = vault_in(home)
    fill(vault, range(PATIENTS))
    ImageDataset.create(home / "datasets" / "breast", SCHEMA, vault, "", SHARE, finder=NO_TEXT)
    return home


@pytest.fixture
def vault(home: Path) -> Vault:
    return vault_in(home)


@pytest.fixture
def dataset(home: Path, vault: Vault) -> ImageDataset:
    return ImageDataset.open(home / "datasets" / "breast", vault=vault)


def altered(monkeypatch: pytest.MonkeyPatch, uid: str, change) -> None:
    """Lets the vault give another content for one instance."""
    real = Vault.contents
    monkeypatch.setattr(
        Vault,
        "contents",
        lambda self, uids: (
            (each, change(content) if each == uid else content) for each, content in real(self, uids)
        ),
    )


def one_pixel_changed(content: bytes) -> bytes:
    dataset = pydicom.dcmread(BytesIO(content))
    pixels = bytearray(dataset.PixelData)
    place = made.REGION.top * made.COLUMNS + made.REGION.left
    pixels[place] ^= 1
    dataset.PixelData = bytes(pixels)
    out = BytesIO()
    dataset.save_as(out)
    return out.getvalue()


def test_it_adds_up_what_was_done(dataset: ImageDataset, vault: Vault) -> None:
    found = canonical.loads(dataset.evidence())
    reports = [row.report for row in vault.index()]
    assert found["profile"] == "salus-ultrasound-1" and found["root"] == dataset.root.hex()
    assert found["train_records"] + found["held_out_records"] == len(reports) == 2 * PATIENTS
    assert found["patients"] == PATIENTS
    assert found["frames"] == sum(report["frames"] for report in reports)
    assert found["actions"]["K"] == sum(report["actions"]["K"] for report in reports)
    assert found["masked"] == {"boxes": 0, "share": 0}
    assert found["blanked"] == pytest.approx(np.mean([report["blanked"] for report in reports]), abs=1e-4)
    sample = found["sample"]
    assert (sample["instances"], sample["seed"]) == (evidence.SAMPLE, dataset.root[:8].hex())
    assert (sample["text"], sample["outside"], sample["attributes"]) == (0, 0, 0)
    assert found["tools"]["pydicom"] == pydicom.__version__
    assert {"dicom-anonymizer", "pillow", "pyclipper", "python-gdcm"} <= found["tools"].keys()
    assert any(name.startswith("opencv") for name in found["tools"])


def test_it_counts_masked_boxes_and_their_share(vault: Vault) -> None:
    rows = [
        replace(row, report={**row.report, "masked": [[50, 70, 60, 80], [0, 0, 10, 10]]})
        for row in vault.index()[:4]
    ]
    assert evidence._sums(rows)["masked"] == {
        "boxes": 8,
        "share": pytest.approx(200 / (made.ROWS * made.COLUMNS), abs=1e-6),
    }
    assert evidence._sums(rows) == evidence._sums(rows[::-1])


def test_nothing_of_a_patient_is_in_it(dataset: ImageDataset) -> None:
    content = dataset.evidence()
    assert len(content) < canonical.MAX_DOCUMENT_BYTES
    for member in dataset.members():
        for value in (member.uid, member.patient, member.sha256, member.salt):
            assert value.encode() not in content
    assert made.NAME.encode() not in content


def test_few_patients_are_not_counted(dataset: ImageDataset, vault: Vault) -> None:
    members = dataset.members()
    few = {member.patient for member in members[:6]}
    some = [member for member in members if member.patient in few]
    document = evidence.make(
        vault, some, root=bytes(32), leaves=len(some), schema=SCHEMA, profile=dataset.profile, finder=NO_TEXT
    )
    assert "patients" not in canonical.loads(document)


def test_an_audit_finds_the_same(dataset: ImageDataset, vault: Vault) -> None:
    audit = evidence.audit(vault, dataset, NO_TEXT)
    assert audit.same and audit.differing == []
    assert audit.stated == audit.found == digest_of(dataset.evidence())


def test_an_audit_in_another_process_finds_the_same(home: Path, dataset: ImageDataset) -> None:
    script = (
        "import sys; from pathlib import Path\n"
        "from protocol.vault import evidence; from protocol.vault.images import ImageDataset\n"
        "from tests.protocol.vault.cohorts import NO_TEXT, vault_in\n"
        "vault = vault_in(Path(sys.argv[1]))\n"
        "dataset = ImageDataset.open(Path(sys.argv[1]) / 'datasets' / 'breast', vault=vault)\n"
        "print(evidence.audit(vault, dataset, NO_TEXT).found.hex())"
    )
    done = subprocess.run([sys.executable, "-c", script, home], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == digest_of(dataset.evidence()).hex()


def test_one_changed_pixel_changes_it(
    dataset: ImageDataset, vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    altered(monkeypatch, dataset.members()[3].uid, one_pixel_changed)
    audit = evidence.audit(vault, dataset, NO_TEXT)
    assert not audit.same and "root" in audit.differing


def test_a_changed_report_changes_it(
    dataset: ImageDataset, vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Vault.index

    def index(self: Vault, where: str = "") -> list:
        first, *others = real(self, where)
        return [replace(first, report={**first.report, "unreadable": 1}), *others]

    monkeypatch.setattr(Vault, "index", index)
    audit = evidence.audit(vault, dataset, NO_TEXT)
    assert audit.differing == ["unreadable"]


def test_other_tools_are_named_as_the_difference(
    dataset: ImageDataset, vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evidence, "_versions", lambda: {"pydicom": "0"})
    audit = evidence.audit(vault, dataset, NO_TEXT)
    assert audit.differing == ["tools"]


def test_a_lost_instance_is_said(
    dataset: ImageDataset, vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Vault.index
    monkeypatch.setattr(Vault, "index", lambda self, where="": real(self, where)[1:])
    with pytest.raises(VaultError, match="1 of the dataset's 80 instances"):
        evidence.audit(vault, dataset, NO_TEXT)


def test_an_earlier_version_has_its_own(tmp_path: Path) -> None:
    vault = vault_in(tmp_path)
    fill(vault, range(PATIENTS))
    first = ImageDataset.create(tmp_path / "datasets" / "breast", SCHEMA, vault, "", SHARE, finder=NO_TEXT)
    fill(vault, [90])
    second = first.extend(vault, finder=NO_TEXT)
    assert first.evidence() != second.evidence()
    for version in (1, 2):
        assert evidence.audit(vault, ImageDataset.open(first.folder, version, vault=vault), NO_TEXT).same
    third = second.withdraw([second.members()[0].uid], finder=NO_TEXT)
    assert evidence.audit(vault, third, NO_TEXT).same
    assert canonical.loads(third.evidence())["withdrawn"] == 1
    with pytest.raises(DataError, match="withdrawn since"):
        evidence.audit(vault, ImageDataset.open(first.folder, 1, vault=vault), NO_TEXT)


SUMS = {"actions", "found_again", "unreadable", "kept_text", "frames", "masked", "blanked", "patients"}


def test_no_two_versions_have_sums_that_differ_by_few_patients(tmp_path: Path) -> None:
    vault = vault_in(tmp_path)
    fill(vault, range(PATIENTS))
    made = ImageDataset.create(tmp_path / "datasets" / "breast", SCHEMA, vault, "", SHARE, finder=NO_TEXT)
    documents = [canonical.loads(made.evidence())]

    def next_version(made: ImageDataset | None) -> ImageDataset:
        assert evidence.audit(vault, made, NO_TEXT).same
        documents.append(canonical.loads(made.evidence()))
        return made

    made = next_version(made.withdraw(vault.withdraw(made.members()[0].patient), finder=NO_TEXT))
    fill(vault, range(50, 54))
    made = next_version(made.extend(vault, finder=NO_TEXT))
    fill(vault, [54])
    made = next_version(made.extend(vault, finder=NO_TEXT))
    made = next_version(made.withdraw(vault.withdraw(made.members()[-1].patient), finder=NO_TEXT))
    assert [each.get("sums", True) for each in documents] == [True, False, False, True, False]
    for each in documents:
        assert SUMS & each.keys() == (set() if "sums" in each else SUMS)


# -- the second look --------------------------------------------------------------------------------------------------


def test_text_that_is_still_there_is_counted() -> None:
    contents = [clean(number, "HOSP-1").content for number in range(2)]
    inside = Found(Box(60, 80, 120, 100), "DUCHEMIN")
    measured = Found(Box(200, 80, 230, 100), "3.5 cm")
    assert evidence._second_look(contents, Finder((inside, measured)))["text"] == 2
    assert evidence._second_look(contents, Finder((measured,)))["text"] == 0


def test_text_is_looked_for_beyond_the_regions_too() -> None:
    outside = Found(Box(0, 0, 30, 12), "DUCHEMIN")
    assert evidence._second_look([clean(1, "HOSP-1").content], Finder((outside,)))["text"] == 1


def test_what_is_not_black_beyond_the_regions_is_counted() -> None:
    def shown(content: bytes) -> bytes:
        dataset = pydicom.dcmread(BytesIO(content))
        dataset.PixelData = b"\x40" + dataset.PixelData[1:]
        out = BytesIO()
        dataset.save_as(out)
        return out.getvalue()

    content = clean(1, "HOSP-1").content
    assert evidence._second_look([content], NO_TEXT) == {"text": 0, "outside": 0, "attributes": 0}
    assert evidence._second_look([shown(content)], NO_TEXT)["outside"] == 1


def test_attributes_that_may_not_stay_are_counted_nested_ones_too() -> None:
    dataset = pydicom.dcmread(BytesIO(clean(1, "HOSP-1").content))
    dataset.OperatorsName = dataset.PatientAddress = dataset.PatientBirthDate = "19610704"
    dataset.add_new(0x00091001, "LO", "private")
    dataset.SequenceOfUltrasoundRegions[0].PatientComments = "SOMEBODY"
    out = BytesIO()
    dataset.save_as(out)
    assert evidence._second_look([out.getvalue()], NO_TEXT)["attributes"] == 5


def test_what_cannot_be_read_again_is_an_error() -> None:
    with pytest.raises(DataError, match="cannot be looked at again"):
        evidence._second_look([b"no file"], NO_TEXT)


def test_the_draw_has_no_place_twice_and_depends_on_the_root() -> None:
    draws = [evidence._drawn(hashlib.sha256(bytes([each])).digest()[:8], 50) for each in range(20)]
    assert all(len(set(draw)) == evidence.SAMPLE and max(draw) < 50 for draw in draws)
    assert len({tuple(draw) for draw in draws}) > 15
    assert evidence._drawn(bytes(8), 3) == [0, 1, 2]
    assert evidence._drawn(bytes(8), 0) == []


def test_by_ocr_two_processes_find_the_same(tmp_path: Path) -> None:
    """The real finder, on pictures in which a name was left standing."""
    frames = made.speckle()
    made.write_on(frames[0], "DUCHEMIN ARMELLE", (80, 120), size=20)
    left = clean(1, "HOSP-1")
    dataset = pydicom.dcmread(BytesIO(left.content))
    dataset.PixelData = frames.tobytes()
    out = BytesIO()
    dataset.save_as(out)
    (tmp_path / "left.dcm").write_bytes(out.getvalue())
    script = (
        "import sys, json; from pathlib import Path\n"
        "from protocol.imaging.text import RapidOcr; from protocol.vault import evidence\n"
        "print(json.dumps(evidence._second_look([Path(sys.argv[1]).read_bytes()], RapidOcr())))"
    )
    found = [
        json.loads(
            subprocess.run(
                [sys.executable, "-c", script, tmp_path / "left.dcm"],
                capture_output=True, text=True, check=True,
            ).stdout
        )
        for _ in range(2)
    ]  # fmt: skip
    assert found[0] == found[1]
    assert found[0]["text"] >= 1
