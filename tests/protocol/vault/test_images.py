"""Image datasets: commitment, growth, withdrawal, crashes."""

from __future__ import annotations

import dataclasses
import errno
import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from protocol.content import merkle
from protocol.data import dataset as tabular
from protocol.data import files
from protocol.data.backup import backup, restore
from protocol.data.dataset import HELD_OUT, TRAIN, record_digest
from protocol.errors import DataError, InvalidInput, VaultError
from protocol.vault import disk, evidence, members, next_version
from protocol.vault.images import ImageDataset, datasets_in, opened
from protocol.vault.members import EMPTY_LEAF, Member, verify_record
from protocol.vault.pictures import picture
from protocol.vault.store import Vault
from protocol.vault.tree import GrowingTree
from tests.protocol.imaging import made
from tests.protocol.vault.cohorts import NO_TEXT, SCHEMA, clean, fill, vault_in

PATIENTS = 40
#: Of 40 patients the draw leaves each side its ten records, but once in millions of times.
SHARE = 0.5


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with 40 patients' instances and a dataset of them."""
    home = tmp_path_factory.mktemp("template")
    vault = vault_in(home)
    fill(vault, range(PATIENTS))
    (home / "datasets").mkdir()
    ImageDataset.create(home / "datasets" / "breast", SCHEMA, vault, "modality = 'US'", SHARE, finder=NO_TEXT)
    return home


@pytest.fixture
def home(template: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(template, tmp_path / "home"))


@pytest.fixture
def vault(home: Path) -> Vault:
    return vault_in(home)


@pytest.fixture
def dataset(home: Path, vault: Vault) -> ImageDataset:
    return ImageDataset.open(home / "datasets" / "breast", vault=vault)


def grown(dataset: ImageDataset, vault: Vault, *patients: int) -> ImageDataset:
    fill(vault, patients)
    made = dataset.extend(vault, finder=NO_TEXT)
    assert made is not None
    return made


def salts_on_disk(folder: Path, vault: Vault) -> set[str]:
    """Every salt that whoever has the vault's key could still read."""
    found = set()
    for path in (folder / "members").iterdir():
        sealed = path.read_bytes()
        places = json.loads(members._sealer(vault).open(sealed, path.name.encode()))
        found |= {place[-1] for place in places if not isinstance(place, int)}
    return found


# -- commitment -------------------------------------------------------------------------------------------------------


def test_the_root_is_what_the_description_says(dataset: ImageDataset) -> None:
    leaves = []
    for index, member in enumerate(dataset.members()):
        record = {"sha256": member.sha256, "label": member.label}
        digest = record_digest(bytes.fromhex(member.salt), record)
        place = index.to_bytes(4, "big") + bytes([member.split])
        leaves.append(hashlib.sha256(b"\x00" + place + digest).digest())
    expected = hashlib.sha256(b"\x02" + len(leaves).to_bytes(4, "big") + merkle.root(leaves)).digest()
    assert dataset.root == expected
    assert len(leaves) == dataset.leaves == 2 * PATIENTS == dataset.train_records + dataset.held_out_records


def test_all_instances_of_a_patient_are_on_one_side(dataset: ImageDataset) -> None:
    sides: dict[str, set[int]] = {}
    for member in dataset.members():
        sides.setdefault(member.patient, set()).add(member.split)
    assert len(sides) == PATIENTS
    assert {len(each) for each in sides.values()} == {1}


def test_only_labelled_instances_of_the_cohort_are_in_it(home: Path, vault: Vault) -> None:
    fill(vault, range(100, 140), Manufacturer="Other", BodyPartExamined="THYROID")
    unlabelled = clean(77_000, "HOSP-77", BodyPartExamined="THYROID")
    vault.add(unlabelled)
    vault.flush()
    thyroid = ImageDataset.create(
        home / "datasets" / "thyroid", SCHEMA, vault, "body_part = 'THYROID'", SHARE, finder=NO_TEXT
    )
    assert thyroid.leaves == 80
    assert unlabelled.uid not in {member.uid for member in thyroid.members()}
    vault.label({unlabelled.uid: 1})
    extended = thyroid.extend(vault, finder=NO_TEXT)
    assert extended.leaves == 81, "a label that comes later brings it in"


def test_a_wrong_condition_makes_no_folder(home: Path, vault: Vault) -> None:
    with pytest.raises(InvalidInput):
        ImageDataset.create(home / "datasets" / "bad", SCHEMA, vault, "modality = ", finder=NO_TEXT)
    assert sorted(path.name for path in (home / "datasets").iterdir()) == ["breast"]


def test_a_cohort_with_nothing_in_it_is_refused(home: Path, vault: Vault) -> None:
    with pytest.raises(DataError, match="0 labelled instances"):
        ImageDataset.create(home / "datasets" / "none", SCHEMA, vault, "modality = 'CT'", finder=NO_TEXT)


def test_a_side_with_too_few_is_refused(home: Path, vault: Vault) -> None:
    with pytest.raises(DataError, match="each needs at least 10"):
        ImageDataset.create(home / "datasets" / "few", SCHEMA, vault, "", 0.000001, finder=NO_TEXT)
    assert not (home / "datasets" / "few").exists()


def test_each_record_is_proved_and_no_other(dataset: ImageDataset) -> None:
    for index in range(dataset.leaves):
        proof = dataset.prove(index)
        assert verify_record(dataset.root, proof)
    changes = [
        {"index": 3}, {"split": 1 - proof.split}, {"salt": bytes(32)}, {"record": {**proof.record, "label": 7}},
        {"count": proof.count - 1}, {"count": proof.count + 1}, {"siblings": proof.siblings[:-1]}, {"siblings": []},
        {"siblings": [*proof.siblings, bytes(32)]}, {"index": -1}, {"count": 2**32}, {"salt": b""}, {"split": 2},
    ]  # fmt: skip
    for change in changes:
        assert not verify_record(dataset.root, dataclasses.replace(proof, **change)), change
    assert not verify_record(bytes(32), proof)
    with pytest.raises(DataError, match="no record"):
        dataset.prove(dataset.leaves)


def test_a_proof_of_a_table_is_none_of_an_image_dataset(dataset: ImageDataset) -> None:
    proof = dataset.prove(0)
    assert not tabular.verify_record(dataset.root, proof)


# -- what the node reads ----------------------------------------------------------------------------------------------


def test_arrays_are_the_pictures_of_a_side_in_the_order_of_members(
    dataset: ImageDataset, vault: Vault
) -> None:
    for split, count in ((TRAIN, dataset.train_records), (HELD_OUT, dataset.held_out_records)):
        members = [member for member in dataset.members() if member.split == split]
        pictures, labels = dataset.arrays(split)
        assert pictures.dtype == labels.dtype == np.float32
        assert pictures.shape == (count, 1, 12, 16)
        assert labels.tolist() == [float(member.label == 1) for member in members]
        for number in (0, count - 1):
            expected = SCHEMA.encode(picture(vault.content(members[number].uid)))
            assert (pictures[number] == expected).all()
        codes = dataset.patients(split)
        same = np.array([a.patient == b.patient for a in members for b in members])
        assert ((codes[:, None] == codes[None, :]).ravel() == same).all()


def test_a_stream_gives_each_member_once_whatever_the_workers_and_the_seed(dataset: ImageDataset) -> None:
    from torch.utils.data import DataLoader

    pictures, labels = dataset.arrays(TRAIN)
    expected = sorted((each.tobytes(), label) for each, label in zip(pictures, labels.tolist(), strict=True))
    for seed, workers in ((None, 0), (5, 0), (5, 2)):
        stream = dataset.stream(TRAIN, seed=seed)
        assert len(stream) == dataset.train_records
        loader = DataLoader(stream, batch_size=None, num_workers=workers)
        found = [(each.numpy().tobytes(), label.item()) for each, label in loader]
        assert sorted(found) == expected
    first, second = ([label for _, label in stream], [label for _, label in stream])
    assert len(first) == len(second)


def test_a_stream_with_a_seed_has_another_order_each_time(dataset: ImageDataset) -> None:
    stream = dataset.stream(TRAIN, seed=1)
    orders = [[each.numpy().tobytes() for each, _ in stream] for _ in range(2)]
    again = [each.numpy().tobytes() for each, _ in dataset.stream(TRAIN, seed=1)]
    assert orders[0] != orders[1]
    assert orders[0] == again
    assert sorted(orders[0]) == sorted(orders[1])


def test_without_the_vault_there_are_counts_and_evidence_but_no_members(home: Path) -> None:
    closed = ImageDataset.open(home / "datasets" / "breast")
    assert closed.leaves == 2 * PATIENTS and json.loads(closed.evidence())["kind"] == "salus/evidence"
    for use in (closed.verify, closed.members, lambda: closed.arrays(TRAIN), lambda: closed.withdraw(["1"])):
        with pytest.raises(VaultError, match="vault that holds them is closed"):
            use()


def test_another_vault_opens_no_member(home: Path, dataset: ImageDataset) -> None:
    stranger = Vault(home / "vault", bytes(32))
    with pytest.raises(VaultError):
        ImageDataset.open(dataset.folder, vault=stranger).verify()


def test_a_folder_opens_as_the_dataset_that_it_is(home: Path, vault: Vault) -> None:
    assert isinstance(opened(home / "datasets" / "breast", vault=vault), ImageDataset)
    assert [each.folder.name for each in datasets_in(home / "datasets", vault)] == ["breast"]
    with pytest.raises(DataError, match="not a dataset folder"):
        tabular.Dataset.open(home / "datasets" / "breast")


def test_the_id_stays_when_it_is_given(dataset: ImageDataset, vault: Vault) -> None:
    dataset.remember_id(7)
    dataset.remember_id(7)
    assert grown(dataset, vault, 50).dataset_id == 7
    with pytest.raises(DataError, match="is dataset 7, not 8"):
        dataset.remember_id(8)


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ({"PhotometricInterpretation": "MONOCHROME2"}, lambda stored: stored),
        ({"PhotometricInterpretation": "MONOCHROME1"}, lambda stored: 255 - stored),
    ],
)
def test_a_picture_is_black_where_it_is_low(attributes: dict, expected) -> None:
    instance = clean(1, "HOSP-1", **attributes)
    stored = made.opened(instance.content).pixel_array
    assert (picture(instance.content) == expected(stored)).all()


def test_a_picture_of_a_cine_is_the_frame_in_the_middle() -> None:
    from protocol.imaging.deidentify import deidentify

    frames = made.speckle(frames=5, samples=3)
    cleaned = deidentify(made.file(made.instance(frames)), made.PSEUDONYMS, NO_TEXT)
    shown = picture(cleaned.content)
    box = made.REGION
    assert (shown[box.rows, box.columns] == frames[2][box.rows, box.columns]).all()


# -- growth -----------------------------------------------------------------------------------------------------------


def test_it_grows_by_what_is_new_and_earlier_versions_stay(dataset: ImageDataset, vault: Vault) -> None:
    first = dataset.root
    assert dataset.extend(vault, finder=NO_TEXT) is None
    second = grown(dataset, vault, 90, 91)
    assert (second.version, second.leaves) == (2, 2 * PATIENTS + 4)
    assert [each.uid for each in second.members()[: 2 * PATIENTS]] == [each.uid for each in dataset.members()]
    earlier = ImageDataset.open(second.folder, 1, vault=vault)
    assert earlier.root == first != second.root
    assert len(earlier.verify()) == 2 * PATIENTS
    second.verify()


def test_a_patient_who_comes_again_stays_on_the_same_side(dataset: ImageDataset, vault: Vault) -> None:
    before = {member.patient: member.split for member in dataset.members()}
    for number in range(PATIENTS):
        instance = clean(90_000 + number, f"HOSP-{number}")
        vault.add(instance)
        vault.label({instance.uid: 1})
    vault.flush()
    extended = dataset.extend(vault, finder=NO_TEXT)
    assert {member.patient: member.split for member in extended.members()} == before
    assert extended.leaves == 3 * PATIENTS


def test_it_waits_for_enough_patients(dataset: ImageDataset, vault: Vault) -> None:
    fill(vault, [80], each=6)
    assert len(dataset.fresh(vault)) == 6
    assert dataset.extend(vault, min_patients=2, finder=NO_TEXT) is None
    fill(vault, [81], each=1)
    assert dataset.extend(vault, min_patients=2, finder=NO_TEXT).leaves == 2 * PATIENTS + 7


def test_a_new_dataset_needs_enough_patients(home: Path, vault: Vault) -> None:
    with pytest.raises(DataError, match="of 40 patients"):
        ImageDataset.create(
            home / "datasets" / "more", SCHEMA, vault, min_patients=PATIENTS + 1, finder=NO_TEXT
        )


def test_growing_writes_no_earlier_member_again_and_hashes_few_nodes(
    dataset: ImageDataset, vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {path.name: path.read_bytes() for path in (dataset.folder / "members").iterdir()}
    leaves = 0
    real = Member.leaf

    def counted(self: Member, index: int) -> bytes:
        nonlocal leaves
        leaves += 1
        return real(self, index)

    monkeypatch.setattr(Member, "leaf", counted)
    extended = grown(dataset, vault, 60)
    assert leaves == 2
    monkeypatch.undo()
    after = {path.name: path.read_bytes() for path in (extended.folder / "members").iterdir()}
    assert before.items() <= after.items() and len(after) == len(before) + 1


# -- withdrawal -------------------------------------------------------------------------------------------------------


def test_a_withdrawn_member_leaves_the_empty_leaf_and_no_salt(dataset: ImageDataset, vault: Vault) -> None:
    second = grown(dataset, vault, 90)
    gone = [second.members()[5], second.members()[-1]]
    kept = {member.salt for member in second.members()} - {member.salt for member in gone}
    third = second.withdraw([member.uid for member in gone], finder=NO_TEXT)
    assert third.version == 3
    assert third.leaves == second.leaves
    assert third.train_records + third.held_out_records == second.leaves - 2
    places = third.verify()
    assert [place for place in places if isinstance(place, int)] == [3, 3]
    leaves = [EMPTY_LEAF if isinstance(each, int) else each.leaf(i) for i, each in enumerate(places)]
    assert leaves[5] == leaves[-1] == hashlib.sha256(b"\x00salus/withdrawn").digest()
    count = len(leaves).to_bytes(4, "big")
    assert third.root == hashlib.sha256(b"\x02" + count + merkle.root(leaves)).digest()
    assert salts_on_disk(third.folder, vault) == kept
    assert not {member.uid for member in gone} & {member.uid for member in third.members()}
    with pytest.raises(DataError, match="was withdrawn"):
        third.prove(5)
    assert verify_record(third.root, third.prove(6))


def test_versions_that_held_a_withdrawn_member_are_listed_and_cannot_be_used(
    dataset: ImageDataset, vault: Vault
) -> None:
    second = grown(dataset, vault, 90)
    late = second.members()[-1]
    assert second.held([late.uid]) == [2]
    third = second.withdraw([late.uid], finder=NO_TEXT)
    assert third.revoked() == [2]
    assert third.held([late.uid]) == []
    ImageDataset.open(third.folder, 1, vault=vault).verify()
    stale = ImageDataset.open(third.folder, 2, vault=vault)
    assert stale.root == second.root, "the manifest still lists it"
    for use in (stale.verify, lambda: stale.arrays(TRAIN), lambda: stale.prove(0)):
        with pytest.raises(DataError, match="withdrawn since"):
            use()
    assert third.withdraw([third.members()[0].uid], finder=NO_TEXT).revoked() == [1, 2, 3]


def test_a_dataset_that_was_opened_before_knows_of_the_withdrawal(
    dataset: ImageDataset, vault: Vault
) -> None:
    dataset.arrays(TRAIN)
    ImageDataset.open(dataset.folder, vault=vault).withdraw([dataset.members()[0].uid], finder=NO_TEXT)
    for use in (dataset.verify, lambda: dataset.arrays(TRAIN)):
        with pytest.raises(DataError, match="withdrawn since"):
            use()


def test_withdrawing_who_is_not_there_changes_nothing(dataset: ImageDataset) -> None:
    before = (dataset.folder / "manifest.json").read_bytes()
    assert dataset.withdraw(["1.2.3"], finder=NO_TEXT) is None
    assert (dataset.folder / "manifest.json").read_bytes() == before


def test_a_patient_is_withdrawn_from_vault_and_dataset_and_does_not_come_back(
    dataset: ImageDataset, vault: Vault
) -> None:
    patient = dataset.members()[0].patient
    assert len(dataset.uids_of(patient)) == 2
    uids = vault.withdraw(patient)
    assert sorted(uids) == sorted(dataset.uids_of(patient))
    second = dataset.withdraw(uids, finder=NO_TEXT)
    assert second.uids_of(patient) == []
    second.arrays(TRAIN)
    third = grown(second, vault, 90)
    assert third.version == 3 and patient not in {member.patient for member in third.members()}
    assert json.loads(third.evidence())["withdrawn"] == 2


def test_who_withdrew_from_the_vault_alone_goes_with_the_next_version_whatever_it_is_for(
    dataset: ImageDataset, vault: Vault
) -> None:
    first, second, third = sorted({member.patient for member in dataset.members()})[:3]
    for patient in (first, second):
        vault.withdraw(patient)
    assert dataset.withdraw([], finder=NO_TEXT).uids_of(first) == []
    vault.withdraw(third)
    left = dataset.extend(vault, min_patients=5, finder=NO_TEXT)
    assert left.version == 3, "nothing is fresh, and it goes all the same"
    assert not {first, second, third} & {member.patient for member in left.members()}
    left.verify()
    assert dataset.extend(vault, finder=NO_TEXT) is None


def test_a_growth_that_fails_leaves_the_withdrawal_that_came_with_it(
    dataset: ImageDataset, vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = dataset.members()[0]
    vault.withdraw(gone.patient)
    fill(vault, range(80, 86))
    with monkeypatch.context() as patch:
        patch.setattr(members, "MAX_LEAVES", 2 * PATIENTS)
        with pytest.raises(DataError, match="holds at most"):
            dataset.extend(vault, finder=NO_TEXT)
    left = ImageDataset.open(dataset.folder, vault=vault)
    assert left.version == 2 and left.uids_of(gone.patient) == []
    assert gone.salt not in salts_on_disk(left.folder, vault)
    grown = left.extend(vault, finder=NO_TEXT)
    assert grown.version == 3
    grown.verify()


def test_an_older_vault_brings_nobody_back_who_withdrew(
    home: Path, dataset: ImageDataset, vault: Vault
) -> None:
    shutil.copytree(home / "vault", home / "older")
    gone = [member.patient for member in dataset.members()][:6]
    for patient in gone:
        dataset.withdraw(vault.withdraw(patient), finder=NO_TEXT)
    shutil.rmtree(home / "vault")
    (home / "older").rename(home / "vault")
    older = vault_in(home)
    assert not older.withdrawn(gone[0])
    again = ImageDataset.open(dataset.folder, vault=older)
    assert again.fresh(older) == []
    assert not set(gone) & {member.patient for member in grown(again, older, 90).members()}


def test_too_few_may_remain_but_nobody_trains_on_them(dataset: ImageDataset, vault: Vault) -> None:
    held_out = [member.uid for member in dataset.members() if member.split == HELD_OUT]
    second = dataset.withdraw(held_out[5:], finder=NO_TEXT)
    assert second.held_out_records == 5
    with pytest.raises(DataError, match="fewer than 10"):
        second.arrays(HELD_OUT)
    everyone = second.withdraw([member.uid for member in second.members()], finder=NO_TEXT)
    assert (everyone.train_records, everyone.held_out_records) == (0, 0)
    assert salts_on_disk(everyone.folder, vault) == set()


# -- crashes and damage -----------------------------------------------------------------------------------------------


class Killed(BaseException):
    """The process ends here."""


def killed_at(monkeypatch: pytest.MonkeyPatch, place: object, name: str, times: int) -> None:
    """Ends whoever calls a function for the given time."""
    real, calls = getattr(place, name), 0

    def call(*arguments: object, **named: object) -> object:
        nonlocal calls
        calls += 1
        if calls == times:
            raise Killed
        return real(*arguments, **named)

    monkeypatch.setattr(place, name, call)


STEPS = [
    *((disk, "put", times) for times in (1, 2, 3)), *((files, "write_new", times) for times in (1, 2, 3)),
    *((disk, "sync", times) for times in (1, 2, 3)), (GrowingTree, "append", 1),
    (GrowingTree, "_write", 2), (evidence, "make", 1),
]  # fmt: skip


@pytest.mark.parametrize(("place", "name", "times"), STEPS, ids=lambda step: getattr(step, "__name__", step))
def test_a_crash_while_it_grows_leaves_the_version_before(
    dataset: ImageDataset, vault: Vault, monkeypatch: pytest.MonkeyPatch, place: object, name: str, times: int
) -> None:
    fill(vault, [70, 71])
    before = dataset.root
    with monkeypatch.context() as patch:
        killed_at(patch, place, name, times)
        with pytest.raises(Killed):
            dataset.extend(vault, finder=NO_TEXT)
    left = ImageDataset.open(dataset.folder, vault=vault)
    assert (left.version, left.root) == (1, before)
    left.verify()
    again = left.extend(vault, finder=NO_TEXT)
    assert again.version == 2
    again.verify()
    assert len(list((again.folder / "members").iterdir())) == 2, "what the crash left is gone"


@pytest.mark.parametrize(
    ("place", "name", "times"),
    [
        *((disk, "put", times) for times in (1, 2, 3)), *((files, "write_new", times) for times in (1, 2, 3)),
        (GrowingTree, "replace", 1), (GrowingTree, "replace", 2), (GrowingTree, "_write", 3),
        (evidence, "make", 1),
    ],
    ids=lambda step: getattr(step, "__name__", step),
)  # fmt: skip
def test_a_crash_while_a_patient_withdraws_leaves_the_version_before(
    dataset: ImageDataset, vault: Vault, monkeypatch: pytest.MonkeyPatch, place: object, name: str, times: int
) -> None:
    gone = [dataset.members()[0], dataset.members()[7]]
    with monkeypatch.context() as patch:
        killed_at(patch, place, name, times)
        with pytest.raises(Killed):
            dataset.withdraw([each.uid for each in gone], finder=NO_TEXT)
    left = ImageDataset.open(dataset.folder, vault=vault)
    assert left.version == 1
    left.verify()
    second = grown(left, vault, 93)
    second.verify()
    third = second.withdraw([each.uid for each in gone], finder=NO_TEXT)
    third.verify()
    assert third.version == 3
    assert not salts_on_disk(third.folder, vault) & {each.salt for each in gone}


def test_a_crash_before_salts_are_deleted_is_made_good_by_the_next_who_writes(
    dataset: ImageDataset, vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = dataset.members()[0]
    with monkeypatch.context() as patch:
        killed_at(patch, disk, "remove", 2)
        with pytest.raises(Killed):
            dataset.withdraw([gone.uid], finder=NO_TEXT)
    assert gone.salt in salts_on_disk(dataset.folder, vault)
    left = ImageDataset.open(dataset.folder, vault=vault)
    assert left.version == 2
    assert left.withdraw([gone.uid], finder=NO_TEXT) is None
    assert gone.salt not in salts_on_disk(dataset.folder, vault)


def test_a_crash_while_it_is_made_leaves_no_dataset(
    home: Path, vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = home / "datasets" / "second"
    with monkeypatch.context() as patch:
        killed_at(patch, next_version, "write_manifest", 1)
        with pytest.raises(Killed):
            ImageDataset.create(folder, SCHEMA, vault, "", SHARE, finder=NO_TEXT)
    assert not folder.exists()
    ImageDataset.create(folder, SCHEMA, vault, "", SHARE, finder=NO_TEXT).verify()


def test_what_is_left_of_a_killed_process_is_no_dataset_and_goes_with_the_next_try(
    home: Path, dataset: ImageDataset, vault: Vault
) -> None:
    datasets = home / "datasets"
    shutil.copytree(dataset.folder, datasets / ".second-ab_12xyz")
    shutil.copytree(dataset.folder, datasets / ".second-one-ab_12xyz")
    assert [each.folder.name for each in datasets_in(datasets, vault)] == ["breast"]
    ImageDataset.create(datasets / "second", SCHEMA, vault, "", SHARE, finder=NO_TEXT)
    assert sorted(path.name for path in datasets.iterdir()) == [".second-one-ab_12xyz", "breast", "second"]


def test_a_broken_dataset_holds_no_other_up_and_is_said_once(
    home: Path, vault: Vault, caplog: pytest.LogCaptureFixture
) -> None:
    broken = home / "datasets" / "a-broken-one"
    broken.mkdir()
    (broken / "manifest.json").touch()
    for _ in range(3):
        assert [each.folder.name for each in datasets_in(home / "datasets", vault)] == ["breast"]
    assert len([line for line in caplog.messages if "a-broken-one" in line]) == 1
    said: list = []
    datasets_in(home / "datasets", vault, said)
    assert [type(each) for each in said] == [DataError]
    with pytest.raises(DataError, match="not JSON"):
        ImageDataset.open(broken, vault=vault)


def test_a_full_disk_is_said_and_changes_nothing(
    dataset: ImageDataset, vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(vault, [70])

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(files, "write_new", full)
        with pytest.raises(DataError, match="No space left on device"):
            dataset.extend(vault, finder=NO_TEXT)
    assert ImageDataset.open(dataset.folder, vault=vault).extend(vault, finder=NO_TEXT).version == 2


def test_a_back_up_brings_it_back(dataset: ImageDataset, vault: Vault, tmp_path: Path) -> None:
    gone = vault.withdraw(dataset.members()[0].patient)
    second = dataset.withdraw(gone, finder=NO_TEXT)
    backup(tmp_path / "kept", "password", datasets=[second.folder])
    restore(tmp_path / "kept", "password", tmp_path / "new")
    restored = ImageDataset.open(tmp_path / "new" / "datasets" / "breast", vault=vault)
    assert (restored.root, restored.evidence()) == (second.root, second.evidence())
    assert restored.verify() == second.verify()
    assert grown(restored, vault, 90).leaves == dataset.leaves + 2
    assert (
        members.withdrawn(restored.folder, vault).value == members.withdrawn(second.folder, vault).value != {}
    )


def test_a_tree_that_was_altered_is_made_anew(dataset: ImageDataset, vault: Vault) -> None:
    for path in (dataset.folder / "tree").iterdir():
        path.write_bytes(bytes(len(path.read_bytes())))
    grown(dataset, vault, 70).verify()


def test_a_lost_file_of_members_is_said(dataset: ImageDataset, vault: Vault) -> None:
    [path] = (dataset.folder / "members").iterdir()
    path.unlink()
    for use in (dataset.verify, lambda: dataset.extend(vault, finder=NO_TEXT)):
        with pytest.raises(DataError, match="lacks a file of members"):
            use()


@pytest.mark.parametrize("name", ["members", "evidence"])
def test_a_flipped_bit_is_found(dataset: ImageDataset, name: str) -> None:
    [path] = (dataset.folder / name).iterdir()
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises((DataError, VaultError)):
        dataset.verify() if name == "members" else dataset.evidence()


def test_another_picture_in_the_vault_does_not_train(
    dataset: ImageDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Vault.contents
    monkeypatch.setattr(
        Vault, "contents", lambda self, uids: ((uid, content + b"\0\0") for uid, content in real(self, uids))
    )
    with pytest.raises(DataError, match="not the one that the dataset committed to"):
        dataset.arrays(TRAIN)


def test_files_are_the_owners_alone_and_say_nothing_of_patients(dataset: ImageDataset) -> None:
    known = {each for member in dataset.members() for each in (member.uid, member.patient, member.sha256)}
    for path in dataset.folder.rglob("*"):
        assert path.stat().st_mode & 0o077 == 0, path
        if path.is_file():
            content = path.read_bytes()
            assert not any(each.encode() in content for each in known), path
