"""`salus records`, as a hospital calls it: FHIR files in, counts out, all or nothing."""

from __future__ import annotations

import gzip
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from protocol.cli import main
from protocol.data.pseudonyms import Pseudonyms
from protocol.vault import key
from protocol.vault.records import Records
from protocol.vault.store import Vault

PASSWORD = "correct horse"
MRN = "urn:example:mrn"


def person(name: str, number: str) -> dict[str, Any]:
    return {
        "resourceType": "Patient",
        "id": name,
        "identifier": [{"system": MRN, "value": number}],
        "name": [{"family": "Quillfeather", "given": ["Ottoline"]}],
        "gender": "female",
        "birthDate": "1957-03-02",
    }


def pressure(number: int, name: str, value: float = 120.0) -> dict[str, Any]:
    return {
        "resourceType": "Observation",
        "id": f"o{number}",
        "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": "8480-6"}]},
        "subject": {"reference": f"Patient/{name}"},
        "effectiveDateTime": "2019-05-06T07:08:09+02:00",
        "valueQuantity": {
            "value": value,
            "unit": "mm[Hg]",
            "system": "http://unitsofmeasure.org",
            "code": "mm[Hg]",
        },
    }


class Hospital:
    """A home with a vault, and files to bring."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.home = folder, folder / "home"
        self.password = folder / "pw"
        self.password.write_text(PASSWORD + "\n")
        assert self.run("vault", "init").exit_code == 0
        self.pseudonyms = Pseudonyms.open(self.home / "pseudonyms.key")

    def words(self, *words: object) -> list[str]:
        command = ["--home", str(self.home), *map(str, words)]
        if "rules" not in words[:2]:
            command += ["--vault-password-file", str(self.password)]
        return command

    def run(self, *words: object) -> Result:
        return CliRunner().invoke(main, self.words(*words))

    def said(self, *words: object, code: int = 0) -> dict[str, Any]:
        result = self.run(*words, "--json")
        assert result.exit_code == code, result.output
        return json.loads(result.stdout)

    def lines(self, name: str, *resources: Any) -> Path:
        path = self.folder / name
        content = "".join(
            (each if isinstance(each, str) else json.dumps(each)) + "\n" for each in resources
        ).encode()
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
        return path

    @property
    def records(self) -> Records:
        return Records(Vault.open(self.home, PASSWORD))


@pytest.fixture
def hospital(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Hospital:
    monkeypatch.setattr(key, "SCRYPT_N", 2)
    monkeypatch.delenv("SALUS_VAULT_PASSWORD_FILE", raising=False)
    return Hospital(tmp_path)


def test_files_and_folders_come_in_and_again(hospital: Hospital) -> None:
    hospital.lines("export/patients.ndjson", person("a", "4711"), person("b", "4712"))
    hospital.lines("export/more.ndjson.gz", pressure(1, "a"), pressure(2, "b"))
    (hospital.folder / "export" / "notes.txt").write_text("no resource at all")
    bundle = {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": pressure(3, "a")}]}
    (hospital.folder / "export" / "bundle.json").write_text(json.dumps(bundle))
    said = hospital.said("records", "import", hospital.folder / "export")
    assert (said["imported"], said["new"], said["refused"]) == (True, 5, [])
    assert said["types"]["Observation"] == {"new": 3, "replaced": 0, "unchanged": 0, "refused_withdrawn": 0}
    again = hospital.said("records", "import", hospital.folder / "export")
    assert (again["new"], again["replaced"], again["unchanged"]) == (0, 0, 5)
    changed = hospital.lines("changed.ndjson", person("a", "4711"), pressure(1, "a", 140.0))
    assert hospital.said("records", "import", changed)["types"]["Observation"]["replaced"] == 1
    held = {"resources": 5, "patients": 2, "by_type": {"Observation": 3, "Patient": 2}, "withdrawn": 0}
    assert hospital.said("records", "status") == held
    shown = hospital.run("records", "status").output
    assert "Observation" in shown and "Patient" in shown
    everything = json.dumps([each.content for each in hospital.records.scan()])
    for word in ("Quillfeather", "Ottoline", "4711", "1957-03", "2019-05"):
        assert word not in everything
    assert "140" in everything


def test_one_bad_line_and_nothing_is_taken(hospital: Hospital) -> None:
    path = hospital.lines(
        "all.ndjson",
        person("a", "4711"),
        pressure(1, "a"),
        '{"resourceType": "Patient", ',
        pressure(2, "a"),
        "[1]",
    )
    said = hospital.said("records", "import", path, code=1)
    assert (said["imported"], said["types"]) == (False, {})
    assert [(each["file"], each["number"]) for each in said["refused"]] == [
        ("all.ndjson", 3),
        ("all.ndjson", 5),
    ]
    shown = " ".join(hospital.run("records", "import", path).output.split())
    assert "Nothing was imported: 2 lines" in shown and "--bad-lines skip" in shown and "all.ndjson" in shown
    assert hospital.said("records", "status")["resources"] == 0


def test_the_rest_is_taken_where_bad_lines_are_skipped(hospital: Hospital) -> None:
    path = hospital.lines(
        "all.ndjson", person("a", "4711"), pressure(1, "a"), '{"resourceType": "Patient", ', pressure(2, "a")
    )
    said = hospital.said("records", "import", path, "--bad-lines", "skip")
    assert (said["imported"], said["new"]) == (True, 3)
    assert [each["number"] for each in said["refused"]] == [3] and said["refused"][0]["reason"]
    shown = " ".join(hospital.run("records", "import", path, "--bad-lines", "skip").output.split())
    assert "1 lines or entries were left out" in shown and "3 were here already" in shown
    assert hospital.said("records", "status")["resources"] == 3


def test_where_nothing_could_be_taken_it_is_said(hospital: Hospital) -> None:
    path = hospital.lines("all.ndjson", {"resourceType": "Nonsense", "id": "1"}, {"resourceType": "Patient"})
    said = hospital.said("records", "import", path, "--bad-lines", "skip", code=1)
    assert (said["imported"], said["new"], len(said["refused"])) == (False, 0, 2)
    shown = " ".join(hospital.run("records", "import", path, "--bad-lines", "skip").output.split())
    assert "Nothing was imported: 2 lines" in shown and "--bad-lines" not in shown and "Kept" not in shown


def test_rules_are_read_from_a_small_file_alone(hospital: Hospital) -> None:
    path, pipe, large = (
        hospital.lines("all.ndjson", person("a", "4711")),
        hospital.folder / "pipe",
        "large.json",
    )
    os.mkfifo(pipe)
    (hospital.folder / large).write_bytes(b" " * (1 << 18) + b"{}")
    for file, reason in (
        ("/dev/zero", "not a regular"),
        (pipe, "not a regular"),
        (hospital.folder / large, "larger"),
    ):
        for words in (("rules",), ("import", path)):
            result = hospital.run("records", *words, "--rules", file)
            assert result.exit_code == 1 and reason in " ".join(result.output.split())


def test_of_many_bad_lines_the_first_are_shown_and_all_in_json(hospital: Hospital) -> None:
    path = hospital.lines("all.ndjson", person("a", "4711"), *["{bad secret-word"] * 30)
    result = hospital.run("records", "import", path, "--bad-lines", "skip")
    assert result.exit_code == 0 and "The first 20 of 30 are shown" in result.output
    assert "secret-word" not in result.output
    assert len(hospital.said("records", "import", path, "--bad-lines", "skip")["refused"]) == 30


def test_who_withdrew_is_not_taken_again(hospital: Hospital) -> None:
    path = hospital.lines("all.ndjson", person("a", "4711"), pressure(1, "a"), person("b", "4712"))
    hospital.said("records", "import", path)
    assert hospital.said("vault", "withdraw", "4711", "--issuer", MRN)["records"] == 2
    said = hospital.said("records", "import", path)
    assert (said["unchanged"], said["refused_withdrawn"]) == (1, 2)
    assert said["types"]["Observation"]["refused_withdrawn"] == 1
    # The pseudonym of the images and that of the records.
    assert hospital.said("records", "status")["withdrawn"] == 2


def test_who_withdrew_before_the_first_import_is_not_taken(hospital: Hospital) -> None:
    assert hospital.run("vault", "withdraw", "4711").exit_code == 1
    path = hospital.lines("all.ndjson", person("a", "4711"), pressure(1, "a"), person("b", "4712"))
    said = hospital.said("records", "import", path)
    assert (said["new"], said["refused_withdrawn"]) == (1, 2)


def test_another_secret_or_password_is_refused(hospital: Hospital) -> None:
    path = hospital.lines("all.ndjson", person("a", "4711"))
    (hospital.home / "pseudonyms.key").write_bytes(bytes(32))
    result = hospital.run("records", "import", path)
    assert result.exit_code == 1 and "another pseudonyms.key" in " ".join(result.output.split())
    hospital.password.write_text("another")
    for words in (("import", path), ("status",)):
        result = hospital.run("records", *words)
        assert result.exit_code == 1 and "does not open" in " ".join(result.output.split())


def test_wrong_words_are_said(hospital: Hospital) -> None:
    assert hospital.run("records", "import").exit_code == 2
    result = hospital.run("records", "import", hospital.folder / "nowhere")
    assert result.exit_code == 1 and "There is no file" in result.output
    (hospital.folder / "empty").mkdir()
    assert hospital.run("records", "import", hospital.folder / "empty").exit_code == 1
    assert hospital.run("records", "rules", "--example", "--rules", hospital.password).exit_code == 2


def test_rules_are_shown_and_checked(hospital: Hospital) -> None:
    shown = hospital.run("records", "rules")
    assert shown.exit_code == 0 and "Patient.birthDate" in shown.output
    said = hospital.said("records", "rules")
    assert {"path": "Coding.code", "action": "keep"} in said["rules"]
    example = hospital.folder / "rules.json"
    example.write_text(hospital.run("records", "rules", "--example").output)
    assert hospital.said("records", "rules", "--rules", example) == said
    document = json.loads(example.read_text())
    assert hospital.said("records", "rules", "--example") == document
    document["resources"].pop("Observation")
    example.write_text(json.dumps({**document, "name": "ours"}))
    path = hospital.lines("all.ndjson", person("a", "4711"), pressure(1, "a"))
    hospital.run("records", "import", path, "--rules", example, "--bad-lines", "skip")
    assert hospital.said("records", "status")["by_type"] == {"Patient": 1}
    example.write_text("{")
    result = hospital.run("records", "rules", "--rules", example)
    assert result.exit_code == 1 and "not JSON" in result.output


def test_killed_at_any_time_the_import_can_be_repeated(hospital: Hospital) -> None:
    people = [person(f"p{number}", str(number)) for number in range(20)]
    path = hospital.lines("all.ndjson", *people, *(pressure(each, f"p{each % 20}") for each in range(3_000)))
    command = [sys.executable, "-m", "protocol.cli", *hospital.words("records", "import", path)]
    folder, seen = hospital.home / "vault" / "records", set()
    for wait in (lambda: folder.exists(), lambda: any(folder.glob("*.parquet")), lambda: False):
        child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while child.poll() is None and not wait():
            time.sleep(0.001)
        if child.poll() is None:
            os.kill(child.pid, signal.SIGKILL)
        child.wait()
        count = hospital.records.verify()
        assert count in (0, 3_020)
        seen.add(count)
    assert 3_020 in seen, "the last one was left alone"
    assert hospital.said("records", "import", path)["unchanged"] == 3_020
    assert len(list(folder.glob("*.parquet"))) == 1
