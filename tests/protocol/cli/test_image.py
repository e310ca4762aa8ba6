"""`salus image deidentify`, as a hospital calls it."""

from __future__ import annotations

import errno
import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from protocol.cli import main
from protocol.data import files
from tests.protocol.imaging.made import PATIENT, file, instance, opened


@pytest.fixture
def sent(tmp_path: Path) -> Path:
    """Two files of one patient, and one that cannot be cleaned."""
    folder = tmp_path / "sent"
    (folder / "deeper").mkdir(parents=True)
    (folder / "one.dcm").write_bytes(file(instance()))
    (folder / "deeper" / "two.dcm").write_bytes(file(instance()))
    (folder / "notes.txt").write_text("Armelle Duchemin, thyroid")
    return folder


def deidentify(tmp_path: Path, *words: object) -> Result:
    home = ["--home", str(tmp_path / "home")]
    return CliRunner().invoke(
        main, [*home, "image", "deidentify", *map(str, words), "--into", str(tmp_path / "clean")]
    )


def test_what_is_clean_is_written_and_the_rest_named(tmp_path: Path, sent: Path) -> None:
    before = {path: path.read_bytes() for path in sent.rglob("*") if path.is_file()}
    result = deidentify(tmp_path, sent, "--json")
    assert result.exit_code == 1, "not all are clean"
    said = json.loads(result.stdout)
    assert (said["clean"], said["unclean"]) == (2, 1)
    assert [Path(each["source"]).name for each in said["instances"] if "reason" in each] == ["notes.txt"]
    written = sorted((tmp_path / "clean").iterdir())
    assert [str(path) for path in written] == sorted(
        each["file"] for each in said["instances"] if "file" in each
    )
    assert len({opened(path.read_bytes()).PatientID for path in written} - {PATIENT}) == 1, "one pseudonym"
    assert {path: path.read_bytes() for path in sent.rglob("*") if path.is_file()} == before
    assert "Duchemin" not in result.output and PATIENT not in result.output


def test_again_changes_nothing_and_another_secret_does(tmp_path: Path, sent: Path) -> None:
    (sent / "notes.txt").unlink()
    assert deidentify(tmp_path, sent).exit_code == 0
    first = {path.name: path.read_bytes() for path in (tmp_path / "clean").iterdir()}
    assert deidentify(tmp_path, sent).exit_code == 0
    assert {path.name: path.read_bytes() for path in (tmp_path / "clean").iterdir()} == first
    key = tmp_path / "home" / "pseudonyms.key"
    assert key.stat().st_mode & 0o777 == 0o600
    key.write_bytes(bytes(32))
    assert deidentify(tmp_path, sent).exit_code == 0
    assert len(list((tmp_path / "clean").iterdir())) == 4


def test_two_that_share_a_uid_and_differ_are_refused(tmp_path: Path, sent: Path) -> None:
    other = instance(
        Manufacturer="Another", SOPInstanceUID=opened((sent / "one.dcm").read_bytes()).SOPInstanceUID
    )
    (sent / "same.dcm").write_bytes(file(other))
    result = deidentify(tmp_path, sent / "one.dcm", sent / "same.dcm")
    assert result.exit_code == 1
    assert "there already with other content" in " ".join(result.output.split())
    assert "1 of 2 clean" in result.output, "the rest is done, and said"


def test_results_below_a_source_are_no_sources(tmp_path: Path, sent: Path) -> None:
    (sent / "notes.txt").unlink()
    home = ["--home", str(tmp_path / "home"), "image", "deidentify", str(sent), "--into", str(sent / "clean")]
    assert [CliRunner().invoke(main, home).exit_code for _ in range(2)] == [0, 0]
    assert len(list((sent / "clean").iterdir())) == 2


def test_a_damaged_secret_is_not_replaced(tmp_path: Path, sent: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "pseudonyms.key").write_bytes(b"short")
    result = deidentify(tmp_path, sent)
    assert result.exit_code == 1 and "32 bytes" in result.output
    assert (tmp_path / "home" / "pseudonyms.key").read_bytes() == b"short"
    assert not (tmp_path / "clean").exists()


def test_an_empty_folder_is_said(tmp_path: Path) -> None:
    (tmp_path / "nothing").mkdir()
    result = deidentify(tmp_path, tmp_path / "nothing")
    assert result.exit_code == 1 and "no file" in result.output


def test_a_file_that_cannot_be_written_is_named_and_the_rest_goes_on(
    tmp_path: Path, sent: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (sent / "notes.txt").unlink()
    real, full = files.replace, [OSError(errno.ENOSPC, "No space left on device")]

    def replace(path: Path, content: bytes) -> None:
        if full:
            raise full.pop()
        real(path, content)

    monkeypatch.setattr(files, "replace", replace)
    result = deidentify(tmp_path, sent, "--json")
    said = json.loads(result.stdout)
    assert result.exit_code == 1 and (said["clean"], said["unclean"]) == (1, 1)
    assert "No space left on device" in str(said["instances"])
