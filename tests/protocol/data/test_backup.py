from __future__ import annotations

import errno
import json
import os
import stat

import pytest
from eth_account import Account
from tables import SCHEMA, records, splits

from protocol.data import backup as module
from protocol.data import files, proofs
from protocol.data.backup import backup, restore
from protocol.data.dataset import TRAIN, Dataset, verify_record
from protocol.errors import AccountError, DataError

KEY = bytes(range(1, 33))


@pytest.fixture(autouse=True)
def _cheap_key(monkeypatch):
    monkeypatch.setattr(module, "_SCRYPT_N", 2**4)


@pytest.fixture
def home(tmp_path):
    """A hospital's home with two datasets and a key."""
    for name in ("heart", "lung"):
        Dataset.create(tmp_path / "home" / "datasets" / name, SCHEMA, records(40), splits(40, 12))
    keystore = tmp_path / "home" / "keystore"
    keystore.mkdir()
    (keystore / "operator.json").write_text(json.dumps(Account.encrypt(KEY, "pw", iterations=2)))
    return tmp_path / "home"


def keep(home, target, **options):
    datasets = sorted((home / "datasets").iterdir())
    return backup(target, "secret", datasets=datasets, keystore=home / "keystore", **options)


def test_patients_and_spent_epsilon_are_kept_too(home, tmp_path):
    folder = home / "datasets" / "heart"
    (folder / "epsilon.jsonl").write_bytes(b"{}\n")
    (folder / "patients.bin").write_bytes(bytes(16 * 40))
    keep(home, tmp_path / "salus.backup")
    restore(tmp_path / "salus.backup", "secret", tmp_path / "new")
    for name in ("epsilon.jsonl", "patients.bin"):
        assert (tmp_path / "new" / "datasets" / "heart" / name).read_bytes() == (folder / name).read_bytes()


def everything(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_what_was_lost_comes_back(home, tmp_path):
    target = tmp_path / "salus.backup"
    keep(home, target, records=True)
    before = everything(home)
    proof = Dataset.open(home / "datasets" / "heart").prove(7)
    written = restore(target, "secret", tmp_path / "new")
    assert everything(tmp_path / "new") == before
    assert sorted(written) == sorted(tmp_path / "new" / name for name in before)
    restored = Dataset.open(tmp_path / "new" / "datasets" / "heart")
    assert verify_record(restored.root, proof)
    assert verify_record(restored.root, restored.prove(7))
    assert restored.append(records(10), splits(10, 5)).version == 2
    key = Account.decrypt((tmp_path / "new" / "keystore" / "operator.json").read_text(), "pw")
    assert bytes(key) == KEY


def test_records_stay_out_unless_asked_for(home, tmp_path):
    target = tmp_path / "salus.backup"
    assert not [name for name in keep(home, target) if name.endswith("records.jsonl")]
    restore(target, "secret", tmp_path / "new")
    restored = Dataset.open(tmp_path / "new" / "datasets" / "heart")
    with pytest.raises(DataError, match="cannot be read"):
        restored.arrays(TRAIN)
    source = home / "datasets" / "heart" / "records.jsonl"
    (restored.folder / "records.jsonl").write_bytes(source.read_bytes())
    assert verify_record(restored.root, restored.prove(3)), "the salts came back"


def test_only_the_owner_may_read_it_and_nobody_sees_through_it(home, tmp_path):
    target = tmp_path / "salus.backup"
    keep(home, target, records=True)
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    data = target.read_bytes()
    for content in everything(home).values():
        assert content[:64] not in data
    assert b"operator" not in data
    restore(target, "secret", tmp_path / "new")
    modes = {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "new").rglob("*") if path.is_file()}
    assert modes == {0o600}


def test_a_wrong_password_opens_nothing(home, tmp_path):
    target = tmp_path / "salus.backup"
    keep(home, target)
    with pytest.raises(AccountError, match="does not open with this password"):
        restore(target, "Secret", tmp_path / "new")
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("place", [20, 35, 60, -1])
def test_an_altered_backup_opens_nothing(home, tmp_path, place):
    target = tmp_path / "salus.backup"
    keep(home, target)
    data = bytearray(target.read_bytes())
    data[place] ^= 1
    target.write_bytes(data)
    with pytest.raises(AccountError):
        restore(target, "secret", tmp_path / "new")
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("content", [b"", b"SALUS", b"SALUS-BACKUP-1\n", b"PK\x03\x04" + bytes(100)])
def test_another_file_is_no_backup(tmp_path, content):
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(DataError, match="is not a back-up"):
        restore(tmp_path / "file", "secret", tmp_path / "new")


def test_nothing_is_ever_overwritten(home, tmp_path):
    target = tmp_path / "salus.backup"
    keep(home, target)
    before, data = everything(home), target.read_bytes()
    with pytest.raises(DataError, match="exists already"):
        restore(target, "secret", home)
    (tmp_path / "new" / "keystore").mkdir(parents=True)
    (tmp_path / "new" / "keystore" / "operator.json").write_text("another key")
    with pytest.raises(DataError, match="exists already"):
        restore(target, "secret", tmp_path / "new")
    assert [path.name for path in (tmp_path / "new").rglob("*")] == ["keystore", "operator.json"]
    with pytest.raises(DataError, match="exists already"):
        keep(home, target)
    assert (everything(home), target.read_bytes()) == (before, data)


def test_a_full_disk_leaves_nothing(home, tmp_path, monkeypatch):
    target = tmp_path / "salus.backup"
    keep(home, target)
    write_new = files.write_new

    def full(path, content):
        if path.name in ("salts.bin", ".other.backup.part"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        write_new(path, content)

    monkeypatch.setattr(module.files, "write_new", full)
    with pytest.raises(DataError, match="No space left"):
        restore(target, "secret", tmp_path / "new")
    assert everything(tmp_path / "new") == {}
    with pytest.raises(DataError, match="No space left"):
        keep(home, tmp_path / "other.backup")
    assert not [path for path in tmp_path.iterdir() if "other" in path.name]


def test_a_backup_needs_a_password_and_something_to_keep(tmp_path):
    with pytest.raises(DataError, match="password"):
        backup(tmp_path / "file", "", keystore=tmp_path)
    with pytest.raises(DataError, match="nothing to back up"):
        backup(tmp_path / "file", "secret", keystore=tmp_path)
    with pytest.raises(DataError, match="same name"):
        backup(tmp_path / "file", "secret", datasets=[tmp_path / "a" / "x", tmp_path / "b" / "x"])


def test_a_name_that_leads_outside_is_refused(tmp_path):
    for name in ("../x", "/etc/x", "datasets/../../x", "other/x", ""):
        with pytest.raises(DataError, match="outside its folders"):
            module._place(tmp_path, name)


def test_a_proof_survives_its_file(home, tmp_path):
    held = Dataset.open(home / "datasets" / "heart")
    proofs.save(tmp_path / "proof.json", 4, held.prove(11))
    dataset_id, proof = proofs.load(tmp_path / "proof.json")
    assert dataset_id == 4
    assert verify_record(held.root, proof)
    (tmp_path / "proof.json").write_text("{}")
    with pytest.raises(DataError, match="not a proof"):
        proofs.load(tmp_path / "proof.json")
