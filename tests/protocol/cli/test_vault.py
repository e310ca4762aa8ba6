"""`salus vault`, as a hospital calls it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from protocol.cli import main
from protocol.data.pseudonyms import Pseudonyms
from protocol.errors import DataError, VaultError
from protocol.gateway.certificates import self_signed
from protocol.gateway.service import devices_of, pseudonyms_of
from protocol.vault import backup, key
from protocol.vault.store import Vault
from tests.protocol.vault import instances

PASSWORD = "correct horse"


class Hospital:
    """A home with a vault that was made on the command line."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.home = folder, folder / "home"
        self.password = folder / "pw"
        self.password.write_text(PASSWORD + "\n")
        assert self.run("init").exit_code == 0
        self.pseudonyms = Pseudonyms.open(self.home / "pseudonyms.key")

    def run(self, *words: object, home: Path | None = None, given: str | None = None) -> Result:
        command = ["--home", str(home or self.home), "vault", *map(str, words)]
        if words[0] != "restore":
            command += ["--vault-password-file", str(self.password)]
        return CliRunner().invoke(main, command, input=given)

    def said(self, *words: object, **where: Path) -> dict:
        result = self.run(*words, "--json", **where)
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)

    def fill(self, *numbers: int) -> None:
        """Instances of patients 0 to 2, by their numbers; the device called them 1.2.NUMBER."""
        vault = Vault.open(self.home, PASSWORD)
        for number in numbers:
            vault.add(instances.of(number, self.pseudonyms.patient(f"HOSP-{number % 3}")))
        vault.flush()


@pytest.fixture
def hospital(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Hospital:
    monkeypatch.setattr(key, "SCRYPT_N", 2)
    monkeypatch.setattr(backup, "_SCRYPT_N", 2)
    monkeypatch.delenv("SALUS_VAULT_PASSWORD_FILE", raising=False)
    return Hospital(tmp_path)


def test_status_counts_what_is_there(hospital: Hospital) -> None:
    empty = hospital.said("status")
    assert (empty["instances"], empty["pending"], empty["batches"], empty["verified"]) == (0, 0, 0, None)
    hospital.fill(1, 2, 3)
    Vault.open(hospital.home, PASSWORD).add(instances.of(4))
    full = hospital.said("status", "--verify")
    assert (full["instances"], full["pending"], full["batches"], full["verified"]) == (3, 1, 1, 4)
    assert "4 instances are as they were" in hospital.run("status", "--verify").output


def test_a_second_vault_or_a_wrong_password_is_refused(hospital: Hospital) -> None:
    result = hospital.run("init")
    assert result.exit_code == 1 and "exists already" in result.output
    hospital.password.write_text("another")
    result = hospital.run("status")
    assert result.exit_code == 1 and "does not open with this password" in " ".join(result.output.split())


def test_without_a_password_or_a_vault_it_says_so(hospital: Hospital) -> None:
    result = CliRunner().invoke(main, ["--home", str(hospital.home), "vault", "status"])
    assert result.exit_code == 1 and "no terminal to ask on" in " ".join(result.output.split())
    result = hospital.run("status", home=hospital.folder / "nowhere")
    assert result.exit_code == 1 and "salus vault init" in result.output


def test_query_lists_what_fits(hospital: Hospital) -> None:
    hospital.fill(*range(25))
    found = hospital.said("query", "batch = 1 AND received_at > 1700000020")["instances"]
    assert [each["uid"] for each in found] == [f"2.25.{number}" for number in range(21, 25)]
    assert set(found[0]) >= {"modality", "body_part", "model", "rows", "columns", "frames", "label", "sha256"}
    everything = hospital.run("query")
    assert "25 images of 3 patients. The first 20 are shown" in everything.output
    wrong = hospital.run("query", "uid IN (FROM read_text('/etc/passwd'))")
    assert wrong.exit_code == 1 and "root:" not in wrong.output


def test_labels_are_taken_by_the_uids_that_the_device_wrote(hospital: Hospital) -> None:
    csv = hospital.folder / "labels.csv"
    csv.write_text("\ufeffsop_instance_uid,label\n1.2.3,1\n1.2.4,0\n\n1.2.3,1\n", encoding="utf-8")
    assert hospital.said("label", csv) == {"labels": 2, "changed": 2}
    assert hospital.said("label", csv) == {"labels": 2, "changed": 0}
    kept = Vault.open(hospital.home, PASSWORD)._labels.value
    assert kept == {hospital.pseudonyms.uid("1.2.3"): 1, hospital.pseudonyms.uid("1.2.4"): 0}


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"uid,label\n", "first line"), (b"", "first line"), (b"sop_instance_uid,label\n1.2.77,benign\n", "line 2"),
        (b"sop_instance_uid,label\n1.2.77,1\n1.2.77,0\n", "line 3"), (b"sop_instance_uid,label\n1.2.77\n", "line 2"),
        (b"sop_instance_uid,label\n\xff\xfe,1\n", "UTF-8"), (b'sop_instance_uid,label\n"1.2.77"x,1\n', "CSV"),
        (b"sop_instance_uid,label\n1.2.77,99999999999\n", "whole number"),
    ],
)  # fmt: skip
def test_labels_that_cannot_be_taken_change_nothing(hospital: Hospital, content: bytes, reason: str) -> None:
    csv = hospital.folder / "labels.csv"
    csv.write_bytes(content)
    result = hospital.run("label", csv)
    assert result.exit_code == 1 and reason in " ".join(result.output.split())
    assert "1.2.77" not in result.output
    assert Vault.open(hospital.home, PASSWORD)._labels.value == {}


@pytest.mark.parametrize("typed", [True, False])
def test_a_patient_withdraws_by_the_hospitals_id(hospital: Hospital, typed: bool) -> None:
    hospital.fill(*range(6))
    patient = "-" if typed else "HOSP-1"
    result = hospital.run("withdraw", patient, "--json", given="HOSP-1\n" if typed else None)
    assert result.exit_code == 0 and json.loads(result.stdout)["instances"] == 2
    left = hospital.said("query")["instances"]
    assert [each["uid"] for each in left] == ["2.25.0", "2.25.2", "2.25.3", "2.25.5"]
    assert Vault.open(hospital.home, PASSWORD).withdrawn(hospital.pseudonyms.patient("HOSP-1"))


def test_a_patient_of_whom_nothing_was_found_is_refused_and_the_exit_code_says_so(hospital: Hospital) -> None:
    hospital.fill(*range(3))
    for words in (("HOSP-77",), ("HOSP-1", "--issuer", "CITY")):
        result = hospital.run("withdraw", *words)
        assert result.exit_code == 1 and "as in the images" in " ".join(result.output.split())
    assert Vault.open(hospital.home, PASSWORD).withdrawn(hospital.pseudonyms.patient("HOSP-77"))
    assert hospital.run("withdraw", "HOSP-1").exit_code == 0
    assert hospital.run("withdraw", "HOSP-1").exit_code == 0, "asked again, it says the same"


def test_another_secret_is_refused(hospital: Hospital) -> None:
    (hospital.folder / "labels.csv").write_text("sop_instance_uid,label\n1.2.3,1\n")
    (hospital.home / "pseudonyms.key").write_bytes(bytes(32))
    for words in (("withdraw", "HOSP-1"), ("label", hospital.folder / "labels.csv")):
        result = hospital.run(*words)
        assert result.exit_code == 1 and "another pseudonyms.key" in " ".join(result.output.split())


def test_signatures_of_devices_are_checked_and_made_anew_for_who_loses_images(hospital: Hospital) -> None:
    vault = Vault.open(hospital.home, PASSWORD)
    devices = devices_of(hospital.home, vault)
    devices.register("room-1", self_signed("room-1")[0], "US1")
    for number in range(4):
        patient = hospital.pseudonyms.patient(f"HOSP-{number % 2}")
        vault.add(instances.of(number, patient, "room-1"))
    vault.flush(devices.sign)
    assert hospital.said("status", "--verify")["signatures"] == {"hold": 1, "unknown": 0}
    assert hospital.said("withdraw", "HOSP-1")["instances"] == 2
    assert hospital.said("status", "--verify")["signatures"] == {"hold": 1, "unknown": 0}
    (path,) = (hospital.home / "devices").glob("room-1.json")
    kept = path.read_bytes()
    path.unlink()
    assert hospital.said("status", "--verify")["signatures"] == {"hold": 0, "unknown": 1}
    devices.register("room-1", self_signed("room-1")[0], "US1")
    result = hospital.run("status", "--verify")
    assert result.exit_code == 1 and "not of device room-1" in " ".join(result.output.split())
    assert kept != path.read_bytes()


def test_without_its_secret_nobody_withdraws_or_labels(hospital: Hospital) -> None:
    (hospital.home / "pseudonyms.key").unlink()
    (hospital.folder / "labels.csv").write_text("sop_instance_uid,label\n1.2.3,1\n")
    for words in (("withdraw", "HOSP-1"), ("label", hospital.folder / "labels.csv")):
        result = hospital.run(*words)
        assert result.exit_code == 1 and "pseudonyms.key" in "".join(result.output.split())
    with pytest.raises(DataError, match="knows the pseudonyms"):
        pseudonyms_of(hospital.home, Vault.open(hospital.home, PASSWORD))
    assert not (hospital.home / "pseudonyms.key").exists(), "another one would give other pseudonyms"
    (hospital.home / "pseudonyms.key").write_bytes(bytes(32))
    with pytest.raises(VaultError, match="another pseudonyms"):
        pseudonyms_of(hospital.home, Vault.open(hospital.home, PASSWORD))
    result = hospital.run("withdraw", " ")
    assert result.exit_code == 1 and "patient's id is needed" in result.output


def test_a_back_up_is_restored_and_checked(hospital: Hospital) -> None:
    hospital.fill(1, 2, 3)
    own = hospital.folder / "own"
    own.write_text("the back-up's")
    target, home = hospital.folder / "vault.backup", hospital.folder / "new"
    assert hospital.said("backup", target, "--password-file", own)["files"] == 4
    said = hospital.said("restore", target, "--password-file", own, home=home)
    assert said["instances"] == 3
    assert len(Vault.open(home, "the back-up's").index()) == 3
    again = hospital.run("restore", target, "--password-file", own, home=home)
    assert again.exit_code == 1 and "exists already" in again.output
