"""`salus vault`, as a hospital calls it."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from protocol.cli import main
from protocol.data.pseudonyms import Pseudonyms
from protocol.errors import DataError, VaultError
from protocol.fhir.resource import Clean
from protocol.gateway.certificates import self_signed
from protocol.gateway.service import devices_of, pseudonyms_of
from protocol.vault import backup, key
from protocol.vault.record_dataset import RecordDataset
from protocol.vault.records import Records
from protocol.vault.store import Vault
from tests.protocol.vault import instances, resources, tables

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


# ---- records ----


def bring(hospital: Hospital, *cleans: Clean) -> None:
    with Records(Vault.open(hospital.home, PASSWORD)).importing() as work:
        for each in cleans:
            work.add(each)


def person(
    hospital: Hospital, logical_id: str, *identifiers: tuple[str, str], links: tuple[str, ...] = ()
) -> Clean:
    """A Patient resource as the import of FHIR makes it, of (system, value)."""
    pseudonyms = hospital.pseudonyms
    known: set[str] = set()
    for system, value in identifiers:
        known |= {pseudonyms.patient(value, system), pseudonyms.patient(value)}
    name = pseudonyms.patient(logical_id, "fhir")
    return resources.patient(name, *links, aliases=known)


def of(hospital: Hospital, logical_id: str, number: int) -> Clean:
    return resources.observation(number, hospital.pseudonyms.patient(logical_id, "fhir"))


def left(hospital: Hospital) -> set[str]:
    """Types and places of what is left, by the patients' pseudonyms."""
    return {each.patient for each in Records(Vault.open(hospital.home, PASSWORD)).scan()}


def test_status_counts_and_checks_records(hospital: Hospital) -> None:
    assert hospital.said("status")["records"] == {"resources": 0, "patients": 0, "by_type": {}}
    bring(hospital, person(hospital, "a"), of(hospital, "a", 1), of(hospital, "b", 2))
    held = {"resources": 3, "patients": 2, "by_type": {"Observation": 2, "Patient": 1}}
    assert hospital.said("status", "--verify")["records"] == held
    shown = " ".join(hospital.run("status", "--verify").output.split())
    assert "3 of 2 patients: 2 Observation, 1 Patient" in shown and "and 3 records" in shown
    [path] = (hospital.home / "vault" / "records").glob("*.parquet")
    intact = path.read_bytes()
    path.write_bytes(intact[:-200])
    result = hospital.run("status", "--verify")
    assert result.exit_code == 1 and "was altered" in " ".join(result.output.split())
    path.write_bytes(intact)
    (path.parent / "manifest.sealed").unlink()
    for words in (["status"], ["status", "--verify"]):
        result = hospital.run(*words)
        shown = " ".join(result.output.split())
        assert result.exit_code == 1 and "lacks manifest.sealed" in shown and "back-up" in shown


@pytest.mark.parametrize(
    "words", [["4711"], ["4711", "--issuer", "urn:mrn"], ["a", "--issuer", "fhir"], ["NIR-1"]]
)
def test_a_patient_withdraws_from_the_records_by_any_id(hospital: Hospital, words: list[str]) -> None:
    one = person(hospital, "a", ("urn:mrn", "4711"), ("urn:nir", "NIR-1"))
    brought = [one, of(hospital, "a", 1), of(hospital, "a", 2), person(hospital, "b"), of(hospital, "b", 3)]
    bring(hospital, *brought)
    for _ in range(2):
        said = hospital.said("withdraw", *words)
        assert (said["records"], said["instances"], said["datasets"]) == (3, 0, [])
        assert left(hospital) == {hospital.pseudonyms.patient("b", "fhir")}
        bring(hospital, *brought)
    vault = Vault.open(hospital.home, PASSWORD)
    assert vault.withdrawn(one.patient) and vault.withdrawn(hospital.pseudonyms.patient(*words[::2]))
    log = (hospital.home / "vault" / "access.log").read_text()
    assert one.patient not in log and "4711" not in log


def test_images_go_under_the_id_that_was_given_and_those_under_another_are_said(hospital: Hospital) -> None:
    hospital.fill(*range(6))
    one = person(hospital, "a", ("urn:mrn", "HOSP-1"), ("urn:other", "HOSP-2"))
    bring(hospital, one, of(hospital, "a", 1))
    result = hospital.run("withdraw", "HOSP-1", "--json")
    said = json.loads(result.stdout)
    assert (said["instances"], said["records"], said["images_under_other_ids"]) == (2, 2, 2)
    assert "withdraw those by that id too" in said["notices"][0]
    said = hospital.said("withdraw", "HOSP-2")
    assert (said["instances"], said["records"], said["images_under_other_ids"]) == (2, 2, 0)
    assert len(hospital.said("query")["instances"]) == 2


def test_an_id_of_two_patients_is_refused_until_it_is_said_whose_it_is(hospital: Hospital) -> None:
    hospital.fill(1)
    bring(hospital, person(hospital, "a", ("urn:x", "HOSP-1")), person(hospital, "b", ("urn:y", "HOSP-1")))
    result = hospital.run("withdraw", "HOSP-1")
    assert result.exit_code == 1 and "of 2 patients" in " ".join(result.output.split())
    assert "--issuer" in result.output and "HOSP-1" not in result.output
    assert len(left(hospital)) == 2 and len(hospital.said("query")["instances"]) == 1
    assert not Vault.open(hospital.home, PASSWORD).refused(), "nothing was changed"
    assert hospital.said("withdraw", "HOSP-1", "--issuer", "urn:x")["records"] == 1
    assert left(hospital) == {hospital.pseudonyms.patient("b", "fhir")}
    bring(hospital, person(hospital, "c", ("urn:y", "HOSP-1")))
    result = hospital.run("withdraw", "HOSP-1", "--issuer", "urn:y")
    assert result.exit_code == 1 and "--issuer fhir" in " ".join(result.output.split())


def test_who_was_refused_under_another_id_does_not_make_an_id_ambiguous(hospital: Hospital) -> None:
    bring(hospital, person(hospital, "a", ("urn:mrn", "4711")), person(hospital, "b"))
    assert hospital.said("withdraw", "4711")["records"] == 1
    bring(hospital, person(hospital, "new", ("urn:mrn", "4711"), ("urn:ipp", "IPP-1")))
    for words in (["4711"], ["4711", "--issuer", "urn:mrn"], ["IPP-1"]):
        assert hospital.said("withdraw", *words)["records"] == 1
    assert left(hospital) == {hospital.pseudonyms.patient("b", "fhir")}


def test_several_who_have_all_withdrawn_do_not_make_an_id_ambiguous(hospital: Hospital) -> None:
    hospital.run("withdraw", "4711")
    both = [person(hospital, each, ("urn:mrn", "4711")) for each in ("a", "b")]
    bring(hospital, *both)
    assert left(hospital) == set()
    assert hospital.said("withdraw", "4711")["records"] == 0
    assert hospital.run("export", "4711", "--out", hospital.folder / "held.zip").exit_code == 1


def test_two_records_that_say_they_are_of_one_individual_are_no_two_patients(hospital: Hospital) -> None:
    first = person(hospital, "a", ("urn:x", "HOSP-1"))
    second = person(hospital, "b", ("urn:x", "HOSP-1"), links=(f"Patient/{first.content['id']}",))
    bring(hospital, first, second, of(hospital, "a", 1), of(hospital, "b", 2), of(hospital, "c", 3))
    assert hospital.said("withdraw", "HOSP-1")["records"] == 4
    assert left(hospital) == {hospital.pseudonyms.patient("c", "fhir")}


def test_who_withdraws_before_anything_came_is_refused_as_image_and_as_record(hospital: Hospital) -> None:
    assert hospital.run("withdraw", "HOSP-1").exit_code == 1
    with pytest.raises(DataError, match="withdrawn"):
        hospital.fill(1)
    bring(hospital, of(hospital, "a", 1), person(hospital, "a", ("urn:x", "HOSP-1")), of(hospital, "b", 2))
    assert left(hospital) == {hospital.pseudonyms.patient("b", "fhir")}
    assert hospital.said("withdraw", "HOSP-1")["records"] == 0, "and now it is known"


def test_a_back_up_has_the_records_in_it(hospital: Hospital) -> None:
    bring(hospital, person(hospital, "a"), of(hospital, "a", 1))
    target, home = hospital.folder / "vault.backup", hospital.folder / "new"
    own = hospital.folder / "own"
    own.write_text("the back-up's")
    hospital.said("backup", target, "--password-file", own)
    said = hospital.said("restore", target, "--password-file", own, home=home)
    assert (said["instances"], said["records"]) == (0, 2)


def test_datasets_of_images_and_of_records_get_a_version_without_the_patient(hospital: Hospital) -> None:
    vault = Vault.open(hospital.home, PASSWORD)
    bring(hospital, person(hospital, "5", ("urn:mrn", "HOSP-5")), of(hospital, "5", 1))
    rows = [(hospital.pseudonyms.patient(str(each), "fhir"), tables.record(each)) for each in range(80)]
    made = RecordDataset.create(hospital.home / "datasets" / "cohort", tables.SCHEMA, iter(rows), vault)
    broken = hospital.home / "datasets" / "table"
    broken.mkdir()
    (broken / "manifest.json").write_text('{"format": "salus/dataset/1", "versions": []}')
    said = hospital.said("withdraw", "HOSP-5")
    assert said["datasets"] == [
        {"dataset": "cohort", "dataset_id": None, "version": 2, "places": said["datasets"][0]["places"]}
    ]
    assert len(said["datasets"][0]["places"]) == 1
    assert (said["models"], said["records"]) == ([], 2)
    patient = hospital.pseudonyms.patient("5", "fhir")
    assert made.newest().held([patient]) == [] and made.newest().version == 2
    again = hospital.said("withdraw", "HOSP-5")
    assert (again["datasets"], again["records"]) == ([], 2)


def test_export_gives_all_that_is_held_of_one_patient_and_of_nobody_else(hospital: Hospital) -> None:
    vault = Vault.open(hospital.home, PASSWORD)
    for number, patient in enumerate(("HOSP-5", "HOSP-6")):
        vault.add(instances.of(number, hospital.pseudonyms.patient(patient)))
    vault.flush()
    bring(hospital, person(hospital, "5", ("urn:mrn", "HOSP-5")), of(hospital, "5", 1), of(hospital, "6", 2))
    rows = [(hospital.pseudonyms.patient(str(each), "fhir"), tables.record(each)) for each in range(80)]
    RecordDataset.create(hospital.home / "datasets" / "cohort", tables.SCHEMA, iter(rows), vault)
    target = hospital.folder / "held.zip"
    said = hospital.said("export", "HOSP-5", "--out", target)
    assert (said["resources"], said["images"], said["datasets"], said["models"]) == (2, 1, ["cohort"], [])
    assert target.stat().st_mode & 0o777 == 0o600
    with zipfile.ZipFile(target) as archive:
        assert sorted(archive.namelist()) == ["about.json", "images/2.25.0.dcm", "records.json"]
        bundle = json.loads(archive.read("records.json"))
        about = json.loads(archive.read("about.json"))
        assert archive.read("images/2.25.0.dcm") == vault.content("2.25.0")
    assert sorted(each["resource"]["resourceType"] for each in bundle["entry"]) == ["Observation", "Patient"]
    [membership] = about["datasets"]
    assert membership["records"] == [tables.record(5)] and membership["versions"] == [1]
    everything = target.read_bytes() + json.dumps([bundle, about]).encode()
    assert b"HOSP-5" not in everything, "what is held has pseudonyms"
    assert hospital.pseudonyms.patient("6", "fhir").encode() not in everything

    before = target.read_bytes()
    again = hospital.run("export", "HOSP-5", "--out", target)
    assert again.exit_code == 1 and "exists already" in " ".join(again.output.split())
    assert target.read_bytes() == before
    log = (hospital.home / "vault" / "access.log").read_text()
    assert '"action": "export"' in log and "HOSP" not in log


@pytest.mark.parametrize("broken", ["manifest.json", "segments"])
def test_an_export_that_lacks_a_dataset_which_does_not_open_fails(hospital: Hospital, broken: str) -> None:
    vault = Vault.open(hospital.home, PASSWORD)
    bring(hospital, person(hospital, "5", ("urn:mrn", "HOSP-5")))
    rows = [(hospital.pseudonyms.patient(str(each), "fhir"), tables.record(each)) for each in range(80)]
    made = RecordDataset.create(hospital.home / "datasets" / "cohort", tables.SCHEMA, iter(rows), vault)
    for path in made.folder.glob("segments/*") if broken == "segments" else [made.folder / broken]:
        path.write_bytes(b"{")
    target = hospital.folder / "held.zip"
    result = hospital.run("export", "HOSP-5", "--out", target, "--json")
    assert result.exit_code == 1 and target.exists()
    said = json.loads(result.stdout)
    assert (said["resources"], said["datasets"], len(said["notices"])) == (1, [], 1)
    assert "lacks what a dataset holds that does not open" in said["notices"][0]


def test_export_of_nobody_writes_nothing(hospital: Hospital) -> None:
    target = hospital.folder / "held.zip"
    result = hospital.run("export", "-", "--out", target, given="HOSP-9\n")
    assert result.exit_code == 1 and "Nothing is held under this id" in " ".join(result.output.split())
    assert list(hospital.folder.glob("*held*")) == []


def test_export_after_a_withdrawal_finds_nothing(hospital: Hospital) -> None:
    bring(hospital, person(hospital, "5", ("urn:mrn", "HOSP-5")), of(hospital, "5", 1))
    hospital.said("withdraw", "HOSP-5")
    assert hospital.run("export", "HOSP-5", "--out", hospital.folder / "held.zip").exit_code == 1


def test_who_would_stand_alone_in_a_cohort_leaves_with_the_patient_who_withdraws(hospital: Hospital) -> None:
    vault = Vault.open(hospital.home, PASSWORD)
    bring(hospital, person(hospital, "5", ("urn:mrn", "HOSP-5")))
    names = [hospital.pseudonyms.patient(str(each), "fhir") for each in range(80)]
    name = tables.SCHEMA.columns[0].name
    rows = [
        (each, {**tables.record(0), name: tables.record(0)[name] + (number in (5, 6))})
        for number, each in enumerate(names)
    ]
    source = {"mapping": "x", "levels": {}, "k": 2, "consent": "opt-out", "quasi_identifiers": [name]}
    made = RecordDataset.create(
        hospital.home / "datasets" / "cohort", tables.SCHEMA, rows, vault, source=source
    )
    place = made.indices_of([names[5]])
    assert hospital.said("withdraw", "HOSP-5")["datasets"][0]["places"] == place
    after = made.newest()
    assert after.indices_of([names[6]]) == [] and len(list(after.by_code())) == 78
