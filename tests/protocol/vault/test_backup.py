"""A vault's back-up: all of it in one file, which opens whole or not at all."""

from __future__ import annotations

import errno
import io
import os
import tarfile
from pathlib import Path

import pytest

from protocol.errors import AccountError, VaultError
from protocol.vault import backup as backup_module
from protocol.vault import key
from protocol.vault.backup import backup, restore
from protocol.vault.store import Vault, folder_of
from tests.protocol.vault import instances
from tests.protocol.vault.cohorts import vault_in


@pytest.fixture(autouse=True)
def cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    """Passwords that cost nothing to guess."""
    monkeypatch.setattr(key, "SCRYPT_N", 2)
    monkeypatch.setattr(backup_module, "_SCRYPT_N", 2)


@pytest.fixture
def vault(tmp_path: Path) -> Vault:
    """Two batches, three pending, labels, and a patient who withdrew."""
    made = vault_in(tmp_path / "home")
    for number in range(13):
        made.add(instances.of(number))
        if number in (4, 9):
            made.flush()
    made.label({"2.25.2": 1, "2.25.99": 1})
    made.withdraw("PATIENT1")
    return made


def assert_same(found: Vault, vault: Vault) -> None:
    assert found.index() == vault.index() and found.pending() == vault.pending()
    uids = [row.uid for row in vault.index()] + [each.uid for each in vault.pending()]
    assert dict(found.contents(uids)) == dict(vault.contents(uids))
    assert found.verify() == vault.verify() == len(uids)


def test_a_restored_vault_is_the_same_one(tmp_path: Path, vault: Vault) -> None:
    target = tmp_path / "vault.backup"
    assert backup(vault, target, "other") == 9
    assert target.stat().st_mode & 0o777 == 0o600
    held = target.read_bytes()
    assert not any(word in held for word in (b"2.25.", b"PATIENT", b"key.json", b"parquet"))
    found = restore(target, "other", tmp_path / "new")
    assert_same(found, vault)
    assert found.withdrawn("PATIENT1") and found.index("label = 1")[0].uid == "2.25.2"
    assert {path.stat().st_mode & 0o777 for path in found.folder.rglob("*.*")} == {0o600}
    assert found.add(instances.of(99)) and found.flush() == 3 and found.index()[-1].label == 1
    with pytest.raises(AccountError):
        Vault.open(tmp_path / "new", "not this")
    assert os.listdir(tmp_path / "new") == ["vault"]


def test_a_back_up_may_be_larger_than_the_memory_it_takes(
    tmp_path: Path, vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backup_module, "_PIECE_BYTES", 1000)
    backup(vault, tmp_path / "vault.backup", "pw")
    sizes: list[int] = []
    real = backup_module._Opening._open
    monkeypatch.setattr(
        backup_module._Opening, "_open", lambda self: sizes.append(len(found := real(self))) or found
    )
    assert_same(restore(tmp_path / "vault.backup", "pw", tmp_path / "new"), vault)
    assert len(sizes) > 20 and max(sizes) == 1000


def test_what_is_flushed_meanwhile_is_in_it(
    tmp_path: Path, vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = backup_module._put_file

    def meanwhile(archive: tarfile.TarFile, path: Path, name: str) -> bool:
        vault.flush()
        return real(archive, path, name)

    expected = [row.uid for row in vault.index()] + [each.uid for each in vault.pending()]
    monkeypatch.setattr(backup_module, "_put_file", meanwhile)
    backup(vault, tmp_path / "vault.backup", "pw")
    assert vault.pending() == []
    found = restore(tmp_path / "vault.backup", "pw", tmp_path / "new")
    assert_same(found, vault)
    assert [row.uid for row in found.index()] == expected


def test_a_second_back_up_to_the_same_file_leaves_the_first_alone(
    tmp_path: Path, vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, target = backup_module._put_file, tmp_path / "vault.backup"

    def meanwhile(archive: tarfile.TarFile, path: Path, name: str) -> bool:
        with pytest.raises(VaultError, match="Another back-up may be under way"):
            backup(vault, target, "other")
        return real(archive, path, name)

    monkeypatch.setattr(backup_module, "_put_file", meanwhile)
    backup(vault, target, "pw")
    assert_same(restore(target, "pw", tmp_path / "new"), vault)


def test_a_restored_vault_knows_whose_pseudonyms_it_has(tmp_path: Path, vault: Vault) -> None:
    vault.bind(b"one")
    backup(vault, tmp_path / "vault.backup", "pw")
    with pytest.raises(VaultError, match=r"another pseudonyms\.key"):
        restore(tmp_path / "vault.backup", "pw", tmp_path / "new").bind(b"two")


def test_a_wrong_password_opens_nothing(tmp_path: Path, vault: Vault) -> None:
    backup(vault, tmp_path / "vault.backup", "pw")
    with pytest.raises(AccountError, match="does not open with this password"):
        restore(tmp_path / "vault.backup", "other", tmp_path / "new")
    with pytest.raises(AccountError, match="needs a password"):
        backup(vault, tmp_path / "another.backup", "")
    assert os.listdir(tmp_path / "new") == [] and not (tmp_path / "another.backup").exists()


def test_what_was_altered_or_cut_leaves_no_vault(
    tmp_path: Path, vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backup_module, "_PIECE_BYTES", 8000)
    source = tmp_path / "vault.backup"
    backup(vault, source, "pw")
    intact = source.read_bytes()
    head, piece = backup_module._HEAD_BYTES, 8000 + 16
    pieces = [intact[start : start + piece] for start in range(head, len(intact), piece)]
    assert len(pieces) > 3
    damaged = [
        b"", b"no back-up", intact[:10], intact[:head], intact[:-1], intact + b"x", intact[:-16],
        *(intact[: head + number * piece] for number in range(1, len(pieces))),
        intact[:head] + b"".join(pieces[:1] + pieces[2:]),
        intact[:head] + b"".join([pieces[1], pieces[0], *pieces[2:]]),
        intact[:head] + b"".join([pieces[0], *pieces]),
    ]  # fmt: skip
    for place in range(0, len(intact), 997):
        altered = bytearray(intact)
        altered[place] ^= 1
        damaged.append(bytes(altered))
    for each in damaged:
        source.write_bytes(each)
        with pytest.raises((VaultError, AccountError)):
            restore(source, "pw", tmp_path / "new")
        assert os.listdir(tmp_path / "new") == []


def test_nothing_is_replaced(tmp_path: Path, vault: Vault) -> None:
    target = tmp_path / "vault.backup"
    backup(vault, target, "pw")
    before = target.read_bytes()
    with pytest.raises(VaultError, match="exists already"):
        backup(vault, target, "pw")
    with pytest.raises(VaultError, match="exists already"):
        restore(target, "pw", vault.folder.parent)
    assert target.read_bytes() == before and vault.verify() == 10
    (tmp_path / ".other.part").touch()
    with pytest.raises(VaultError, match="exists already"):
        backup(vault, tmp_path / "other", "pw")
    with pytest.raises(VaultError, match="cannot be"):
        restore(tmp_path / "none", "pw", tmp_path / "new")


@pytest.mark.parametrize(
    "name",
    ["../evil", "/tmp/evil", "evil", "pending/../../evil", "batches/1.parquet/x", "pending/evil.sealed"],
)
def test_a_file_from_elsewhere_writes_nothing_outside(tmp_path: Path, name: str) -> None:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        archive.addfile(tarfile.TarInfo(name))
    assert_none_of_ours(tmp_path, packed.getvalue())


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.FIFOTYPE])
def test_a_link_is_not_followed(tmp_path: Path, kind: bytes) -> None:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        entry = tarfile.TarInfo("labels.sealed")
        entry.type, entry.linkname = kind, "/etc/passwd"
        archive.addfile(entry)
    assert_none_of_ours(tmp_path, packed.getvalue())


@pytest.mark.parametrize("content", [b"", b"no tar file" * 100])
def test_what_is_no_tar_file_is_said(tmp_path: Path, content: bytes) -> None:
    assert_none_of_ours(tmp_path, content)


def assert_none_of_ours(tmp_path: Path, packed: bytes) -> None:
    source, home = tmp_path / "vault.backup", tmp_path / "new"
    with source.open("wb") as file, backup_module._Sealing(file, "pw") as sealing:
        sealing.write(packed)
    with pytest.raises(VaultError):
        restore(source, "pw", home)
    assert os.listdir(home) == [] and sorted(os.listdir(tmp_path)) == ["new", "vault.backup"]


def test_a_full_disk_is_said_and_leaves_nothing(
    tmp_path: Path, vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:  # noqa: ARG001
        raise OSError(errno.ENOSPC, "No space left on device")

    target = tmp_path / "vault.backup"
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(VaultError, match="No space left"):
            backup(vault, target, "pw")
    assert sorted(os.listdir(tmp_path)) == ["home"]
    backup(vault, target, "pw")
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(VaultError, match="No space left"):
            restore(target, "pw", tmp_path / "new")
    assert not folder_of(tmp_path / "new").exists() and os.listdir(tmp_path / "new") == []
