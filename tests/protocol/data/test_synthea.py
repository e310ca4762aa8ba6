from __future__ import annotations

import zipfile
from hashlib import sha256

import pytest

from protocol.data import catalogue, synthea
from protocol.errors import DataError, DataUnavailable


@pytest.fixture
def alone(monkeypatch, tmp_path):
    """Nothing beside the checkout, and a cache of the test's own."""
    monkeypatch.setattr(catalogue.platformdirs, "user_cache_dir", lambda _: str(tmp_path / "cache"))
    monkeypatch.setattr(catalogue, "__file__", str(tmp_path / "a" / "b" / "c" / "catalogue.py"))
    monkeypatch.delenv("SALUS_DATA", raising=False)
    return tmp_path


def pinned(monkeypatch, content: bytes) -> None:
    monkeypatch.setitem(synthea.SYNTHEA.files, synthea.FILE, sha256(content).hexdigest())


def test_the_archive_is_found_in_the_folder_that_is_named(alone, monkeypatch):
    folder = alone / "data" / synthea.SYNTHEA.name
    folder.mkdir(parents=True)
    with zipfile.ZipFile(folder / synthea.FILE, "w") as archive:
        archive.writestr("b.json", '{"resourceType": "Bundle", "entry": []}')
        archive.writestr("README.txt", "no bundle")
    monkeypatch.setenv("SALUS_DATA", str(alone / "data"))
    pinned(monkeypatch, (folder / synthea.FILE).read_bytes())
    assert list(synthea.bundles()) == [{"resourceType": "Bundle", "entry": []}]
    (path,) = synthea.unpack(alone)
    assert path.name == "bundle-001.json"


def test_other_bytes_are_not_taken(alone, monkeypatch):
    folder = alone / "data" / synthea.SYNTHEA.name
    folder.mkdir(parents=True)
    (folder / synthea.FILE).write_bytes(b"PK other")
    monkeypatch.setenv("SALUS_DATA", str(alone / "data"))
    with pytest.raises(DataUnavailable, match="pinned SHA-256"):
        synthea.find()
    pinned(monkeypatch, b"PK other")
    with pytest.raises(DataError, match="cannot be read"):
        list(synthea.bundles())


@pytest.mark.usefixtures("alone")
def test_without_the_archive_it_is_said_that_none_is_fetched():
    with pytest.raises(DataUnavailable) as raised:
        synthea.find()
    assert "It lies in no known folder" in raised.value.message and "not fetched" in raised.value.hint


def test_there_are_99_patients():
    try:
        bundles = list(synthea.bundles())
    except DataUnavailable as missing:
        pytest.skip(missing.message)
    assert len(bundles) == synthea.PATIENTS
    assert {each["type"] for each in bundles} == {"transaction"}
