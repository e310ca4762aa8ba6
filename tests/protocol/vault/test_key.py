"""The vault's key in its file."""

from __future__ import annotations

import errno
import json
from pathlib import Path

import pytest

from protocol.data import files
from protocol.errors import AccountError, VaultError
from protocol.vault import key
from protocol.vault.key import make_key, open_key, sealed_key


@pytest.fixture
def cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(key, "SCRYPT_N", 2)


def test_the_password_opens_it_and_another_does_not(tmp_path: Path) -> None:
    path = tmp_path / "key.json"
    made = make_key(path, "correct horse")
    assert len(made) == 32 and open_key(path, "correct horse") == made
    assert path.stat().st_mode & 0o777 == 0o600
    stated = json.loads(path.read_bytes())
    assert (stated["n"], stated["r"], stated["p"]) == (2**17, 8, 1)
    assert made.hex() not in path.read_text()
    with pytest.raises(AccountError, match="does not open with this password"):
        open_key(path, "correct house")


@pytest.mark.usefixtures("cheap")
def test_two_keys_are_never_the_same(tmp_path: Path) -> None:
    assert make_key(tmp_path / "one", "pw") != make_key(tmp_path / "two", "pw")


@pytest.mark.usefixtures("cheap")
def test_a_key_that_is_there_is_not_replaced(tmp_path: Path) -> None:
    made = make_key(tmp_path / "key.json", "pw")
    with pytest.raises(VaultError, match="exists already"):
        make_key(tmp_path / "key.json", "pw")
    assert open_key(tmp_path / "key.json", "pw") == made


@pytest.mark.usefixtures("cheap")
def test_an_empty_password_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AccountError, match="needs a password"):
        make_key(tmp_path / "key.json", "")
    assert not (tmp_path / "key.json").exists()


@pytest.mark.usefixtures("cheap")
def test_any_flipped_bit_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "key.json"
    make_key(path, "pw")
    intact = path.read_bytes()
    for place in range(len(intact) * 8):
        altered = bytearray(intact)
        altered[place // 8] ^= 1 << place % 8
        path.write_bytes(altered)
        # A letter of a number in hexadecimal is the same in upper case.
        if bytes(altered).lower() != intact:
            with pytest.raises((AccountError, VaultError)):
                open_key(path, "pw")


@pytest.mark.usefixtures("cheap")
@pytest.mark.parametrize(
    "change",
    [
        {"n": 2**40}, {"n": 3}, {"n": "x"}, {"n": None}, {"r": 2**30}, {"p": 9}, {"salt": "z"}, {"sealed": 5},
        {"format": "x"},
    ],
)  # fmt: skip
def test_a_file_that_asks_for_anything_else_is_no_key(tmp_path: Path, change: dict[str, object]) -> None:
    stated = json.loads(sealed_key(bytes(32), "pw"))
    (tmp_path / "key.json").write_text(
        json.dumps({**stated, **change}, sort_keys=True, separators=(",", ":"))
    )
    with pytest.raises(VaultError, match="not a vault's key"):
        open_key(tmp_path / "key.json", "pw")


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b"\xff\x00", b'{"format":"salus/vault-key/1"}'])
def test_what_is_no_key_is_said_to_be_none(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "key.json").write_bytes(content)
    with pytest.raises(VaultError, match="not a vault's key"):
        open_key(tmp_path / "key.json", "pw")
    with pytest.raises(VaultError, match="There is no"):
        open_key(tmp_path / "none.json", "pw")


@pytest.mark.usefixtures("cheap")
def test_a_full_disk_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, content: bytes) -> None:  # noqa: ARG001
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(files, "write_new", full)
    with pytest.raises(VaultError, match="No space left"):
        make_key(tmp_path / "key.json", "pw")
