from __future__ import annotations

import dataclasses
import errno
import hashlib
import json
import os
import stat
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tables import SCHEMA, records, splits

from protocol.content import canonical, merkle
from protocol.content.cid import to_cid
from protocol.data import dataset as module
from protocol.data import files
from protocol.data.dataset import HELD_OUT, PROFILE, TRAIN, Dataset, leaf, record_digest, verify_record
from protocol.data.schema import DataSchema
from protocol.errors import DataError

VECTOR = json.loads((Path(__file__).parents[2] / "vectors" / "datasets.json").read_text())


@pytest.fixture
def made(tmp_path):
    return Dataset.create(tmp_path / "heart", SCHEMA, records(40), splits(40, 12))


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_leaves_and_root_are_those_of_the_vectors():
    schema = DataSchema.parse(VECTOR["schema"])
    assert "0x" + schema.digest().hex() == VECTOR["schema_digest"]
    leaves = []
    for index, each in enumerate(VECTOR["records"]):
        salt = hashlib.sha256(f"salt {index}".encode()).digest()
        digest = record_digest(salt, each["record"])
        assert "0x" + digest.hex() == each["digest"]
        leaves.append(leaf(len(VECTOR["records"]), index, each["split"], digest))
        assert "0x" + leaves[-1].hex() == each["leaf"]
    assert "0x" + merkle.root(leaves).hex() == VECTOR["root"]


def test_what_was_created_opens(made):
    opened = Dataset.open(made.folder)
    assert (opened.root, opened.train_records, opened.held_out_records) == (made.root, 28, 12)
    assert (opened.profile, opened.dataset_id, opened.version) == (PROFILE, None, 1)
    assert opened.schema == SCHEMA
    for split, rows in ((TRAIN, records(28)), (HELD_OUT, records(12, start=28))):
        for got, expected in zip(opened.arrays(split), SCHEMA.encode(rows), strict=True):
            assert np.array_equal(got, expected)


def test_a_proof_of_what_no_json_holds_is_false(made):
    proof = made.prove(3)
    assert verify_record(made.root, proof)
    for value in (float("nan"), float("inf"), 2**60, "\ud800"):
        record = {**proof.record, next(iter(proof.record)): value}
        assert verify_record(made.root, dataclasses.replace(proof, record=record)) is False


def test_only_the_owner_may_read_it(made):
    assert stat.S_IMODE(made.folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in made.folder.iterdir()} == {0o600}


def test_the_same_records_have_another_root_each_time(made, tmp_path):
    again = Dataset.create(tmp_path / "again", SCHEMA, records(40), splits(40, 12))
    assert again.root != made.root, "salts are random"
    assert len(set(contents(made.folder)["salts.bin"][i : i + 32] for i in range(0, 40 * 32, 32))) == 40


@given(index=st.integers(0, 39), data=st.data())
def test_each_record_is_proven_and_no_other(tmp_path_factory, index, data):
    folder = tmp_path_factory.getbasetemp() / "proven"
    held = (
        Dataset.open(folder)
        if folder.exists()
        else Dataset.create(folder, SCHEMA, records(40), splits(40, 12))
    )
    proof = held.prove(index)
    assert verify_record(held.root, proof)
    assert proof.record == records(1, start=index)[0]
    changes = data.draw(
        st.sampled_from(
            [
                {"index": (index + 1) % 40},
                {"index": 40},
                {"index": -1},
                {"count": 41},
                {"count": 0},
                {"split": 1 - proof.split},
                {"split": 2},
                {"salt": bytes(32)},
                {"salt": b""},
                {"record": {**proof.record, "age": 31.0625}},
                {"siblings": proof.siblings[:-1]},
            ]
        )
    )
    assert not verify_record(held.root, dataclasses.replace(proof, **changes))
    assert not verify_record(bytes(32), proof)


def test_a_record_that_is_not_there_has_no_proof(made):
    with pytest.raises(DataError, match="no record 40"):
        made.prove(40)


@pytest.mark.parametrize(("count", "held_out"), [(19, 9), (19, 10), (0, 0), (30, 30)])
def test_too_few_records_on_a_side_are_refused(tmp_path, count, held_out):
    with pytest.raises(DataError, match="at least 10") as refusal:
        Dataset.create(tmp_path / "few", SCHEMA, records(count), splits(count, held_out))
    assert "one patient" in refusal.value.hint
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("sides", [splits(39, 12), np.full(40, 2, np.uint8)])
def test_every_record_needs_a_split(tmp_path, sides):
    with pytest.raises(DataError, match="needs a split"):
        Dataset.create(tmp_path / "unsplit", SCHEMA, records(40), sides)


def test_a_record_that_does_not_fit_is_refused_without_its_value(tmp_path):
    rows = [*records(39), {"age": "71.25", "cp": 1, "num": 0}]
    with pytest.raises(DataError, match="Record 39, column 'age'") as refusal:
        Dataset.create(tmp_path / "text", SCHEMA, rows, splits(40, 12))
    assert "71.25" not in str(refusal.value)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_exists_is_never_overwritten(made):
    before = contents(made.folder)
    with pytest.raises(DataError, match="exists already"):
        Dataset.create(made.folder, SCHEMA, records(30), splits(30, 10))
    assert contents(made.folder) == before


@pytest.mark.parametrize("name", ["schema.json", "records.jsonl", "salts.bin", "manifest.json"])
def test_a_full_disk_leaves_nothing(tmp_path, monkeypatch, name):
    write_new = files.write_new

    def full(path, content):
        if path.name == name:
            path.write_bytes(content[: len(content) // 2])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        write_new(path, content)

    monkeypatch.setattr(module.files, "write_new", full)
    with pytest.raises(DataError, match="No space left"):
        Dataset.create(tmp_path / "heart", SCHEMA, records(40), splits(40, 12))
    assert list(tmp_path.iterdir()) == []


def test_versions_append_and_the_first_stays(made):
    second = made.append(records(10, start=40), splits(10, 4))
    assert (second.version, second.train_records, second.held_out_records) == (2, 34, 16)
    assert second.root != made.root
    first = Dataset.open(made.folder, version=1)
    assert (first.root, first.train_records) == (made.root, 28)
    assert np.array_equal(first.arrays(TRAIN)[0], made.arrays(TRAIN)[0])
    assert second.arrays(TRAIN)[0].shape == (34, 3)
    assert verify_record(second.root, second.prove(45))
    assert not verify_record(first.root, second.prove(3)), "the number of records is bound in the leaf"
    with pytest.raises(DataError, match="not the latest"):
        first.append(records(10), splits(10, 4))
    with pytest.raises(DataError, match=r"2 version\(s\), not 3"):
        Dataset.open(made.folder, version=3)


@pytest.mark.parametrize(
    "name", [".records.jsonl.part", ".salts.bin.part", ".splits.bin.part", ".manifest.json.part"]
)
def test_a_disk_that_fills_while_appending_leaves_the_version_before(made, monkeypatch, name):
    write_new = files.write_new

    def full(path, content):
        if path.name == name:
            path.write_bytes(content[:7])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        write_new(path, content)

    with monkeypatch.context() as patch:
        patch.setattr(files, "write_new", full)
        with pytest.raises(DataError, match="No space left"):
            made.append(records(10, start=40), splits(10, 4))
    opened = Dataset.open(made.folder)
    assert (opened.root, opened.version) == (made.root, 1)
    opened.verify()
    opened.append(records(10, start=40), splits(10, 4)).verify()


@pytest.mark.parametrize("name", ["records.jsonl", "salts.bin", "splits.bin"])
def test_an_altered_folder_does_not_train(made, name):
    path = made.folder / name
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    for use in (lambda: made.arrays(TRAIN), made.verify, lambda: made.prove(0)):
        with pytest.raises(DataError, match=r"not those that version 1 committed to|cut short"):
            use()


@pytest.mark.parametrize("name", ["records.jsonl", "salts.bin", "splits.bin"])
def test_a_folder_cut_short_does_not_train(made, name):
    path = made.folder / name
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(DataError, match="cut short"):
        made.arrays(TRAIN)
    path.unlink()
    with pytest.raises(DataError, match="cannot be read"):
        made.arrays(TRAIN)


def test_another_schema_in_the_folder_is_refused(made):
    other = SCHEMA.to_dict()
    other["columns"][0]["scale"] = 10
    (made.folder / "schema.json").write_bytes(canonical.dumps(other))
    with pytest.raises(DataError, match="not the schema of this dataset"):
        Dataset.open(made.folder)


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'{"format":"other"}', b"\xff"])
def test_what_is_no_dataset_does_not_open(tmp_path, content):
    (tmp_path / "manifest.json").write_bytes(content)
    with pytest.raises(DataError):
        Dataset.open(tmp_path)


def test_its_id_is_remembered_once(made):
    made.remember_id(5)
    assert made.dataset_id == Dataset.open(made.folder).dataset_id == 5
    made.remember_id(5)
    with pytest.raises(DataError, match="is dataset 5, not 6"):
        made.remember_id(6)
    assert made.append(records(10, start=40), splits(10, 4)).dataset_id == 5


def test_evidence_says_how_and_nothing_about_anyone(tmp_path):
    made = Dataset.create(tmp_path / "e", SCHEMA, records(40), splits(40, 12), source={"format": "csv"})
    evidence = canonical.loads(made.evidence())
    assert evidence.pop("tools").keys() == {"python", "numpy", "salus"}
    assert evidence.pop("checks")
    assert evidence == {
        "kind": "salus/evidence",
        "profile": PROFILE,
        "schema": to_cid(SCHEMA.digest()),
        "train_records": 28,
        "held_out_records": 12,
        "columns": 3,
        "source": {"format": "csv"},
    }
    other = Dataset.create(
        tmp_path / "f", SCHEMA, records(40, start=100), splits(40, 12), source={"format": "csv"}
    )
    assert other.evidence() == made.evidence(), "other patients, the same evidence"
    assert Dataset.open(made.folder).evidence() == made.evidence()
