from __future__ import annotations

import hashlib
import http.server
import threading
from dataclasses import replace

import pytest

from protocol.data import catalogue
from protocol.errors import DataUnavailable, InvalidInput

CONTENT = {"one.data": b"1,2\n", "two.data": b"3,4\n"}


@pytest.fixture
def official(tmp_path):
    """A server that publishes the files of a small set."""
    folder = tmp_path / "official"
    folder.mkdir()
    for name, content in CONTENT.items():
        (folder / name).write_bytes(content)

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args):
            super().__init__(*args, directory=str(folder))

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Quiet)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield folder, f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()


@pytest.fixture(autouse=True)
def small(monkeypatch, tmp_path, official):
    """The only set of the catalogue, with a cache of the test's own and nothing beside the checkout."""
    files = {name: hashlib.sha256(content).hexdigest() for name, content in CONTENT.items()}
    wanted = catalogue.PublicSet("small", "A small set", "CC0", official[1], files)
    monkeypatch.setattr(catalogue, "SETS", {"small": wanted})
    monkeypatch.setattr(catalogue.platformdirs, "user_cache_dir", lambda _: str(tmp_path / "cache"))
    monkeypatch.delenv("SALUS_DATA", raising=False)
    return wanted


def put(folder, **changed):
    folder.mkdir(parents=True)
    for name, content in CONTENT.items():
        (folder / name).write_bytes(changed.get(name.split(".")[0], content))
    return folder


def test_the_given_folder_comes_first(monkeypatch, tmp_path):
    folder = put(tmp_path / "given" / "small")
    put(tmp_path / "cache" / "data" / "small")
    monkeypatch.setenv("SALUS_DATA", str(tmp_path / "given"))
    assert catalogue.find("small") == folder


def test_the_official_files_go_into_the_cache(official, tmp_path):
    folder = catalogue.find("small")
    assert folder == tmp_path / "cache" / "data" / "small"
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == CONTENT
    for path in official[0].iterdir():
        path.unlink()
    assert catalogue.find("small") == folder


def test_a_folder_with_other_bytes_is_passed_over(monkeypatch, tmp_path):
    put(tmp_path / "given" / "small", two=b"changed")
    monkeypatch.setenv("SALUS_DATA", str(tmp_path / "given"))
    assert catalogue.find("small") == tmp_path / "cache" / "data" / "small"


def test_official_files_with_other_bytes_are_not_used(official):
    (official[0] / "two.data").write_bytes(b"changed")
    with pytest.raises(DataUnavailable, match=r"two\.data has other bytes than the pinned SHA-256"):
        catalogue.find("small")


def test_each_place_and_its_reason_are_named(official, monkeypatch, tmp_path):
    (official[0] / "one.data").unlink()
    put(tmp_path / "given" / "small", one=b"changed")
    (tmp_path / "cache" / "data" / "small").mkdir(parents=True)
    monkeypatch.setenv("SALUS_DATA", str(tmp_path / "given"))
    with pytest.raises(DataUnavailable) as unavailable:
        catalogue.find("small")
    message = unavailable.value.message
    assert f"{tmp_path / 'given' / 'small'}: one.data has other bytes" in message
    assert f"{tmp_path / 'cache' / 'data' / 'small'}: no one.data" in message
    assert "404" in message or "not reachable" in message
    assert "SALUS_DATA" in unavailable.value.hint


def test_an_unknown_set_is_refused():
    with pytest.raises(InvalidInput, match="no public data set 'large'"):
        catalogue.find("large")


def test_another_packing_of_the_same_arrays_is_taken_when_it_is_pinned(monkeypatch, tmp_path, small):
    packed = {"two.data": hashlib.sha256(b"packed").hexdigest()}
    monkeypatch.setattr(catalogue, "SETS", {"small": replace(small, packed=packed)})
    folder = put(tmp_path / "given" / "small", two=b"packed")
    monkeypatch.setenv("SALUS_DATA", str(tmp_path / "given"))
    assert catalogue.find("small") == folder
    (folder / "one.data").write_bytes(b"packed")
    assert catalogue.find("small") != folder


def test_sets_are_listed_by_their_names_and_pinned_by_sha256(monkeypatch):
    monkeypatch.undo()
    assert set(catalogue.SETS) == {"breastmnist", "heart-disease"}
    for name, each in catalogue.SETS.items():
        assert each.name == name and each.address.startswith("https://") and each.address.endswith("/")
        for digest in [*each.files.values(), *each.packed.values()]:
            assert len(bytes.fromhex(digest)) == 32
