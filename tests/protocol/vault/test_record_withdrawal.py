"""Datasets of records: who withdraws, the proof of it, and any order of growing and shrinking beside a list."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.content import canonical, merkle
from protocol.data import proofs
from protocol.data.dataset import HELD_OUT, TRAIN, record_digest
from protocol.errors import DataError
from protocol.vault import leaves, members, segments
from protocol.vault.leaves import EMPTY_LEAF, verify_erasure, verify_record
from protocol.vault.next_records import Draws
from protocol.vault.record_dataset import RecordDataset
from protocol.vault.store import Vault
from protocol.vault.tree import GrowingTree
from tests.protocol.vault.cohorts import vault_in
from tests.protocol.vault.tables import (
    PATIENTS,
    Row,
    again,
    files_of,
    made,
    pseudonym,
    record,
    rows,
    salts_on_disk,
)

# -- withdrawal -------------------------------------------------------------------------------------------------------


def test_who_withdraws_leaves_the_empty_leaf_and_no_salt(dataset: RecordDataset, vault: Vault) -> None:
    second = dataset.extend(rows([5, *range(100, 109)]), vault)
    gone = [second.prove(index) for index in (5, 60)]
    kept = salts_on_disk(second, vault) - {proof.salt for proof in gone}
    untouched = files_of(second)
    third = second.withdraw([pseudonym(5)])
    assert (third.version, third.leaves) == (3, 70)
    assert third.train_records + third.held_out_records == 68
    third.verify()
    tree = GrowingTree(third.folder / "tree")
    assert [index for index in range(70) if tree.leaf(index) == EMPTY_LEAF] == [5, 60]
    assert EMPTY_LEAF == members.EMPTY_LEAF == hashlib.sha256(b"\x00salus/withdrawn").digest()
    assert salts_on_disk(third, vault) == kept
    assert len(set(files_of(third)) & set(untouched)) == 3, "of five segments two were touched"
    for index, old in zip((5, 60), gone, strict=True):
        with pytest.raises(DataError, match="was withdrawn"):
            third.prove(index)
        assert verify_record(second.root, old)
        assert not verify_record(third.root, old)
    assert verify_record(third.root, third.prove(6))
    assert len(third.arrays(TRAIN)[0]) == third.train_records
    assert len(third.patients(HELD_OUT)) == third.held_out_records


def test_a_withdrawal_reads_no_body_that_it_does_not_change(
    dataset: RecordDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []
    real = segments.read

    def counted(folder: Path, entry: Any, sealer: Any) -> Any:
        read.append(entry["file"])
        return real(folder, entry, sealer)

    monkeypatch.setattr(segments, "read", counted)
    dataset.withdraw([pseudonym(20)])
    assert len(read) == 1 and read[0].startswith("000001-")


def test_versions_that_held_them_are_listed_and_cannot_be_used(dataset: RecordDataset, vault: Vault) -> None:
    second = dataset.extend(rows(range(100, 110)), vault)
    assert second.held([pseudonym(105)]) == [2]
    assert second.held([pseudonym(5), pseudonym(105)]) == [1, 2]
    assert second.indices_of([pseudonym(105), pseudonym(5)]) == [5, 65]
    assert second.records_of([pseudonym(105)]) == [record(735)]
    third = second.withdraw([pseudonym(105)])
    assert (third.revoked(), third.held([pseudonym(105)]), third.records_of([pseudonym(105)])) == (
        [2],
        [],
        [],
    )
    again(third, vault, 1).verify()
    assert verify_record(dataset.root, again(third, vault, 1).prove(59))
    stale = again(third, vault, 2)
    assert stale.root == second.root, "the manifest still lists it"
    for use in (stale.verify, lambda: stale.arrays(TRAIN), lambda: stale.prove(0), second.verify):
        with pytest.raises(DataError, match="withdrawn since"):
            use()
    assert third.withdraw([pseudonym(0)]).revoked() == [1, 2, 3]


def test_nothing_of_theirs_is_taken_again(dataset: RecordDataset, vault: Vault) -> None:
    second = dataset.withdraw([pseudonym(5), pseudonym(900)])
    third = second.extend(rows([5, 900, *range(100, 106)]), vault)
    assert third.leaves == 66
    assert third.held([pseudonym(5), pseudonym(900)]) == []
    assert third.extend(rows([5, 900], each=40), vault, min_patients=1) is None


def test_withdrawing_who_is_not_there_makes_no_version(dataset: RecordDataset, vault: Vault) -> None:
    assert dataset.withdraw([pseudonym(900)]) is None
    assert dataset.withdraw([]) is None
    assert again(dataset, vault).version == 1
    dataset.verify()


def test_a_version_after_a_withdrawal_carries_no_sums(dataset: RecordDataset, vault: Vault) -> None:
    second = dataset.withdraw([pseudonym(1)])
    document = canonical.loads(second.evidence())
    assert (document["withdrawn"], document["source"]) == (1, {"sums": False})
    third = second.extend(rows(range(100, 105)), vault, source={"rows": 64})
    assert canonical.loads(third.evidence())["source"] == {"rows": 64}


def test_too_few_may_remain_but_nobody_trains_on_them(dataset: RecordDataset, vault: Vault) -> None:
    everyone = dataset.withdraw([pseudonym(each) for each in range(PATIENTS)])
    assert (everyone.train_records, everyone.held_out_records) == (0, 0)
    assert salts_on_disk(everyone, vault) == set()
    everyone.verify()
    with pytest.raises(DataError, match="fewer than 10"):
        everyone.arrays(HELD_OUT)
    assert everyone.extend(rows(range(100, 200)), vault).leaves == 160


# -- erasure ----------------------------------------------------------------------------------------------------------


def test_an_erasure_is_proved_and_names_nobody(dataset: RecordDataset, vault: Vault, tmp_path: Path) -> None:
    second = dataset.extend(rows([5, *range(100, 109)]), vault)
    third = second.withdraw([pseudonym(5)]).withdraw([pseudonym(104)])
    fifth = third.extend(rows(range(200, 206)), vault)
    proof = fifth.erasure([pseudonym(5)])
    assert (list(proof.places), proof.version, proof.since, proof.count) == ([5, 60], 5, 3, 76)
    assert verify_erasure(fifth.root, proof)
    assert not verify_erasure(third.root, proof)
    for change in (
        {"places": {6: proof.places[5]}}, {"count": 77}, {"top": bytes(32)}, {"places": {}},
        {"places": {**proof.places, 7: fifth.prove(7).siblings[:-1]}},
    ):  # fmt: skip
        assert not verify_erasure(fifth.root, proofs.ErasureProof(**{**proof.__dict__, **change}))
    proofs.save_erasure(tmp_path / "erased.json", 9, proof)
    assert proofs.load(tmp_path / "erased.json") == (9, proof)
    written = (tmp_path / "erased.json").read_text()
    assert "patient" not in written
    key = (fifth.folder / "split.key").read_bytes()
    assert Draws(key).code(pseudonym(5)).hex() not in written
    both = fifth.erasure(indices=[65, 5])
    assert (list(both.places), both.since) == ([5, 65], 4)
    assert verify_erasure(fifth.root, both)


def test_an_erasure_that_did_not_happen_is_not_proved(dataset: RecordDataset) -> None:
    second = dataset.withdraw([pseudonym(5), pseudonym(900)])
    for asked in ([pseudonym(6)], [pseudonym(5), pseudonym(6)]):
        with pytest.raises(DataError, match="a patient who has not withdrawn"):
            second.erasure(asked)
    with pytest.raises(DataError, match="no place to prove"):
        second.erasure([pseudonym(900)])
    # Some of a patient's pseudonyms may have been nowhere.
    assert list(second.erasure([pseudonym(5), pseudonym(900), pseudonym(901)]).places) == [5]
    assert second.withdrawn_places([pseudonym(900), pseudonym(5), pseudonym(6)]) == [5]
    with pytest.raises(DataError, match="Record 6 was not withdrawn"):
        second.erasure(indices=[6])
    with pytest.raises(DataError, match="no record 60"):
        second.erasure(indices=[60])
    with pytest.raises(DataError, match="no place"):
        second.erasure()


WRONG = [
    lambda document: document.pop("top"), lambda document: document.update(count="76"),
    lambda document: document.update(places=[1]), lambda document: document.update(places={"five": []}),
    lambda document: document.update(top="zz"), lambda document: document.update(kind="salus/other"),
    lambda document: document.update(places={"5": [7]}),
]  # fmt: skip


@pytest.mark.parametrize("change", WRONG)
def test_a_file_that_is_no_proof_is_refused(
    dataset: RecordDataset, tmp_path: Path, change: Callable[[dict], None]
) -> None:
    path = tmp_path / "erased.json"
    proofs.save_erasure(path, 9, dataset.withdraw([pseudonym(5)]).erasure([pseudonym(5)]))
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))
    with pytest.raises(DataError, match="is not a proof"):
        proofs.load(path)


# -- beside a model ---------------------------------------------------------------------------------------------------

ACTIONS = st.lists(
    st.one_of(
        st.tuples(st.just("extend"), st.lists(st.integers(0, 70), min_size=1, max_size=25)),
        st.tuples(st.just("withdraw"), st.lists(st.integers(0, 70), min_size=1, max_size=3)),
    ),
    min_size=1,
    max_size=6,
)


@settings(max_examples=25, deadline=None)
@given(ACTIONS, st.sampled_from([1, 5, 16, 64]))
def test_it_is_what_a_list_would_be(actions: list[tuple[str, list[int]]], size: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        vault = vault_in(Path(folder))
        dataset = made(Path(folder), vault, rows(range(PATIENTS)), segment_records=size)
        held: list[Row | None] = list(rows(range(PATIENTS)))
        out: set[str] = set()
        lists = [list(held)]
        for action, patients in actions:
            if action == "extend":
                more = [each for each in rows(patients) if each[0] not in out]
                result = dataset.extend(rows(patients), vault, min_patients=1)
                held += more
                changed = bool(more)
            else:
                names = {pseudonym(each) for each in patients}
                result = dataset.withdraw(sorted(names))
                changed = any(each and each[0] in names for each in held)
                held = [None if each and each[0] in names else each for each in held]
                out |= names
            assert (result is not None) == changed
            if result is not None:
                dataset = result
                lists.append(list(held))
        assert_is(dataset, held)
        # An earlier version is usable exactly as long as nobody of its has withdrawn.
        stale = {
            number
            for number, each in enumerate(lists, 1)
            if any(now is None and then is not None for now, then in zip(held, each, strict=False))
        }
        assert set(dataset.revoked()) == stale
        for number, each in enumerate(lists, 1):
            if number not in stale:
                assert_is(again(dataset, vault, number), each)


def assert_is(dataset: RecordDataset, held: list[Row | None]) -> None:
    """Every place is provably what the list says, and the root is over all of them."""
    dataset.verify()
    assert dataset.leaves == len(held)
    assert dataset.train_records + dataset.held_out_records == sum(each is not None for each in held)
    own = []
    for index, each in enumerate(held):
        if each is None:
            assert verify_erasure(dataset.root, dataset.erasure(indices=[index]))
            own.append(EMPTY_LEAF)
        else:
            proof = dataset.prove(index)
            assert proof.record == each[1]
            assert verify_record(dataset.root, proof)
            own.append(leaves.leaf(index, proof.split, record_digest(proof.salt, proof.record)))
    assert dataset.root == leaves.root_over(len(own), merkle.root(own))
    if min(dataset.train_records, dataset.held_out_records) >= 10:
        assert len(dataset.arrays(TRAIN)[0]) == len(dataset.patients(TRAIN)) == dataset.train_records
