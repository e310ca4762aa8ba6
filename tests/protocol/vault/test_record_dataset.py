"""Datasets of records: commitment and growth."""

from __future__ import annotations

import hashlib
import hmac
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.content import canonical, merkle
from protocol.data.dataset import HELD_OUT, TRAIN, RecordProof, record_digest
from protocol.data.splits import patient_split
from protocol.errors import DataError, VaultError
from protocol.vault import members, record_evidence
from protocol.vault.images import datasets_in, opened
from protocol.vault.leaves import verify_record
from protocol.vault.next_records import Draws
from protocol.vault.record_dataset import RecordDataset
from protocol.vault.store import Vault
from tests.protocol.vault.tables import (
    PATIENTS,
    SCHEMA,
    SEGMENT,
    SHARE,
    again,
    files_of,
    made,
    pseudonym,
    record,
    rows,
)

# -- commitment -------------------------------------------------------------------------------------------------------


def test_the_root_is_what_the_description_says(dataset: RecordDataset) -> None:
    proofs_ = [dataset.prove(index) for index in range(dataset.leaves)]
    own = []
    for index, proof in enumerate(proofs_):
        digest = hashlib.sha256(b"salus/record" + proof.salt + canonical.dumps(dict(proof.record))).digest()
        assert digest == record_digest(proof.salt, proof.record)
        place = index.to_bytes(4, "big") + bytes([proof.split])
        own.append(hashlib.sha256(b"\x00" + place + digest).digest())
        assert own[-1] == members.leaf(index, proof.split, digest)
    count = len(own).to_bytes(4, "big")
    assert dataset.root == hashlib.sha256(b"\x02" + count + merkle.root(own)).digest()
    assert [dict(proof.record) for proof in proofs_] == [record(7 * patient) for patient in range(PATIENTS)]


def test_each_record_is_proved_and_no_other(dataset: RecordDataset) -> None:
    proof = dataset.prove(33)
    assert verify_record(dataset.root, proof)
    for change in (
        {"record": {**proof.record, "event": 1 - proof.record["event"]}}, {"index": 34}, {"count": proof.count + 1},
        {"split": 1 - proof.split}, {"salt": bytes(32)}, {"siblings": proof.siblings[:-1]},
        {"record": {**proof.record, "event": float("nan")}},
    ):  # fmt: skip
        assert not verify_record(dataset.root, RecordProof(**{**proof.__dict__, **change}))
    with pytest.raises(DataError, match="no record 60"):
        dataset.prove(60)


def test_a_patients_records_are_on_the_side_that_the_split_key_says(home: Path, vault: Vault) -> None:
    shutil.rmtree(home / "datasets" / "cohort")
    dataset = made(home, vault, rows(range(PATIENTS), each=2))
    key = (dataset.folder / "split.key").read_bytes()
    sides = patient_split([pseudonym(each // 2) for each in range(2 * PATIENTS)], SHARE, key)
    assert [dataset.prove(index).split for index in range(dataset.leaves)] == sides.tolist()
    assert (dataset.train_records, dataset.held_out_records) == (
        (sides == TRAIN).sum(),
        (sides == HELD_OUT).sum(),
    )
    for side in (TRAIN, HELD_OUT):
        numbers = dataset.patients(side)
        inputs, _ = dataset.arrays(side)
        assert len(numbers) == len(inputs)
        assert numbers[::2].tolist() == numbers[1::2].tolist()
        assert sorted(set(numbers.tolist())) == list(range(len(numbers) // 2))


@given(st.text(st.characters(blacklist_categories=["Cs"]), min_size=1), st.binary(min_size=1, max_size=64))
def test_a_draw_is_what_hmac_gives(patient: str, key: bytes) -> None:
    assert Draws(key).of(patient) == hmac.digest(key, patient.encode(), "sha256")


def test_arrays_are_what_the_schema_encodes(dataset: RecordDataset) -> None:
    everything = [dataset.prove(index) for index in range(dataset.leaves)]
    for side in (TRAIN, HELD_OUT):
        own = [dict(proof.record) for proof in everything if proof.split == side]
        for ours, wanted in zip(dataset.arrays(side), SCHEMA.encode(own), strict=True):
            assert np.array_equal(ours, wanted) and ours.dtype == np.float32


def test_it_is_opened_by_its_format_and_needs_the_vaults_key(home: Path, vault: Vault) -> None:
    folder = home / "datasets" / "cohort"
    closed = opened(folder)
    assert isinstance(closed, RecordDataset) and closed.needs_vault
    assert closed.profile == "salus-fhir-1"
    assert datasets_in(home / "datasets", vault) == [], "it is none of images"
    closed.evidence(), closed.revoked()
    for use in (closed.verify, lambda: closed.prove(0), lambda: closed.held(["a"])):
        with pytest.raises(VaultError, match="closed"):
            use()
    opened(folder, vault=vault).verify()


def test_the_id_stays_when_it_is_given(dataset: RecordDataset, vault: Vault) -> None:
    dataset.remember_id(4)
    dataset.remember_id(4)
    grown = dataset.extend(rows(range(100, 110)), vault)
    assert grown.dataset_id == again(dataset, vault).dataset_id == 4
    with pytest.raises(DataError, match="not 5"):
        grown.remember_id(5)


def test_the_evidence_counts_and_tells_of_nobody(dataset: RecordDataset) -> None:
    document = canonical.loads(dataset.evidence())
    assert document["kind"] == "salus/evidence"
    assert document["root"] == dataset.root.hex()
    assert document["train_records"] == dataset.train_records
    assert (document["withdrawn"], document["columns"], document["source"]) == (0, 4, {"rows": 60})
    assert "patient-" not in dataset.evidence().decode()
    path = dataset.folder / "evidence" / "000001.json"
    path.write_bytes(path.read_bytes().replace(b"60", b"61"))
    with pytest.raises(DataError, match="was altered"):
        dataset.evidence()


def test_an_audit_makes_the_same_evidence_and_names_what_differs(
    dataset: RecordDataset, vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert record_evidence.audit(dataset).same
    third = dataset.extend(rows(range(100, 110)), vault).withdraw([pseudonym(3)])
    for version in (third, again(third, vault, 3)):
        assert record_evidence.audit(version).same
    monkeypatch.setattr(np, "__version__", "0.1")
    assert record_evidence.audit(third).differing == ["tools"]


def test_what_cannot_be_a_dataset_is_refused(home: Path, vault: Vault) -> None:
    with pytest.raises(DataError, match="exists already"):
        made(home, vault, rows(range(60)))
    shutil.rmtree(home / "datasets" / "cohort")
    with pytest.raises(DataError, match="of 4 patients"):
        made(home, vault, rows(range(4), each=30))
    with pytest.raises(DataError, match="of 0 patients"):
        made(home, vault, [])
    with pytest.raises(DataError, match="at least 10"):
        made(home, vault, rows(range(60)), held_out=1e-9)
    with pytest.raises(DataError, match="between 0 and 1"):
        made(home, vault, rows(range(60)), held_out=1.0)
    with pytest.raises(DataError, match="pseudonym"):
        made(home, vault, [*rows(range(60)), ("", record(1))])
    with pytest.raises(DataError, match="Record 60: column 'hba1c %' is missing"):
        made(home, vault, [*rows(range(60)), (pseudonym(7), {"systolic": 1})])
    with pytest.raises(DataError, match="report of the cohort"):
        made(home, vault, rows(range(60)), source={"text": "x" * 300_000})
    with pytest.raises(DataError, match="A segment has"):
        made(home, vault, rows(range(60)), segment_records=0)
    assert list((home / "datasets").iterdir()) == []


# -- growth -----------------------------------------------------------------------------------------------------------


def test_it_grows_and_earlier_versions_stay(dataset: RecordDataset, vault: Vault) -> None:
    before = files_of(dataset)
    second = dataset.extend(rows(range(100, 125)), vault, source={"rows": 85})
    assert (second.version, second.leaves) == (2, 85)
    assert canonical.loads(second.evidence())["source"] == {"rows": 85}
    after = files_of(second)
    # The last segment was filled up under another name; the others are as they were.
    assert len(set(before) & set(after)) == 3
    assert [each["count"] for each in second._manifest["segments"]] == [16, 16, 16, 16, 16, 5]
    first = again(dataset, vault, 1)
    for version in (first, second):
        version.verify()
        for index in (0, 47, 59):
            assert verify_record(version.root, version.prove(index))
    assert first.root == dataset.root
    assert len(first.arrays(TRAIN)[0]) == dataset.train_records
    with pytest.raises(DataError, match="no record 60"):
        first.prove(60)


def test_it_waits_for_enough_patients(dataset: RecordDataset, vault: Vault) -> None:
    before = files_of(dataset)
    assert dataset.extend(rows(range(100, 104), each=9), vault) is None
    assert dataset.extend([], vault) is None
    assert files_of(dataset) == before
    assert again(dataset, vault).version == 1
    assert dataset.extend(rows(range(100, 105)), vault).version == 2


def test_few_patients_bring_no_sums(dataset: RecordDataset, vault: Vault) -> None:
    second = dataset.extend(rows(range(100, 103)), vault, source={"rows": 63}, min_patients=1)
    assert not second.has_sums
    assert canonical.loads(second.evidence())["source"] == {"sums": False}
    third = second.extend(rows(range(103, 105)), vault, source={"rows": 65}, min_patients=1)
    assert canonical.loads(third.evidence())["source"] == {"rows": 65}, "of five since the last one with sums"
    assert third.has_sums
    for version in (second, third):
        assert record_evidence.audit(version).same


def test_of_newcomers_alone_no_record_comes_twice(dataset: RecordDataset, vault: Vault) -> None:
    second = dataset.extend(rows(range(PATIENTS + 8)), vault, newcomers=True)
    assert second.leaves == PATIENTS + 8
    assert [dict(second.prove(index).record) for index in range(60, 68)] == [
        record(7 * n) for n in range(60, 68)
    ]
    assert second.extend(rows(range(PATIENTS + 8)), vault, newcomers=True) is None
    assert dataset.extend(rows(range(PATIENTS)), vault).leaves == 2 * PATIENTS + 8, "unless they may"


def test_a_row_that_does_not_fit_changes_nothing(dataset: RecordDataset, vault: Vault) -> None:
    before = files_of(dataset)
    bad = [*rows(range(100, 140)), (pseudonym(7), {**record(1), "âge": 9})]
    with pytest.raises(DataError, match="Record 100, column 'âge'"):
        dataset.extend(bad, vault)
    assert files_of(dataset) == before
    again(dataset, vault).verify()
    assert dataset.extend(rows(range(100, 140)), vault).version == 2


@pytest.mark.parametrize("size", [1, 3, 64, 4_096])
def test_the_size_of_segments_changes_nothing_but_files(home: Path, vault: Vault, size: int) -> None:
    shutil.rmtree(home / "datasets" / "cohort")
    dataset = made(home, vault, rows(range(PATIENTS)), segment_records=size)
    second = dataset.extend(rows(range(100, 110)), vault).withdraw([pseudonym(1), pseudonym(105)])
    second.verify()
    assert len(files_of(second)) == -(-70 // size)
    assert verify_record(second.root, second.prove(69))


def test_rows_are_taken_as_they_come(home: Path, vault: Vault) -> None:
    shutil.rmtree(home / "datasets" / "cohort")
    ahead = []

    def counted() -> Any:
        for number, row in enumerate(rows(range(200))):
            written = len(list((home / "datasets").glob(".cohort-*/segments/*")))
            ahead.append(number - written * SEGMENT)
            yield row

    made(home, vault, counted())
    assert max(ahead) < 2 * SEGMENT
