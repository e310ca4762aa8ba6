from __future__ import annotations

import pytest
from tables import SCHEMA, csv_of, records

from protocol.data.dataset import HELD_OUT, TRAIN, Dataset
from protocol.data.preparing import extend, prepare
from protocol.errors import DataError


@pytest.fixture
def write(tmp_path):
    def written(content: str, name: str = "records.csv"):
        path = tmp_path / name
        path.write_text(content)
        return path

    return written


def sides(dataset: Dataset) -> list[int]:
    return list(dataset.verify()[2])


def test_a_table_becomes_a_dataset(write, tmp_path):
    made = prepare(tmp_path / "heart", SCHEMA, write(csv_of(records(90))), held_out=1 / 3, seed=7)
    assert (made.train_records, made.held_out_records) == (60, 30)
    again = prepare(tmp_path / "again", SCHEMA, write(csv_of(records(90))), held_out=1 / 3, seed=7)
    assert sides(made) == sides(again)
    assert b"identifier_cells_checked" in made.evidence()


def test_a_column_named_split_decides(write, tmp_path):
    stated = ["held_out", "train", "train"] * 20
    made = prepare(tmp_path / "heart", SCHEMA, write(csv_of(records(60), split=stated)))
    assert sides(made) == [HELD_OUT if side == "held_out" else TRAIN for side in stated]


def test_another_word_in_split_is_refused(write, tmp_path):
    stated = ["train"] * 30 + ["test"]
    with pytest.raises(DataError, match="row 31, column 'split'"):
        prepare(tmp_path / "heart", SCHEMA, write(csv_of(records(31), split=stated)))


def test_a_patient_is_on_one_side_also_in_later_versions(write, tmp_path):
    patients = [f"P{i % 60}" for i in range(200)]
    folder = tmp_path / "heart"
    first = prepare(
        folder, SCHEMA, write(csv_of(records(200), patient_id=patients)), held_out=0.4, patient="patient_id"
    )
    second = extend(
        folder, write(csv_of(records(200), patient_id=patients)), held_out=0.4, patient="patient_id"
    )
    assert (first.version, second.version) == (1, 2)
    by_patient: dict[str, set[int]] = {}
    for patient, side in zip(patients * 2, sides(second), strict=True):
        by_patient.setdefault(patient, set()).add(side)
    assert all(len(each) == 1 for each in by_patient.values())
    for path in folder.iterdir():
        assert b"P17" not in path.read_bytes(), "no pseudonym is kept"


def test_patients_can_be_told_apart_in_every_version(write, tmp_path):
    """The same number for the same patient, also across tables: the unit of differential privacy."""
    patients = [f"P{i % 60}" for i in range(200)]
    folder = tmp_path / "heart"
    prepare(folder, SCHEMA, write(csv_of(records(200), patient_id=patients)), patient="patient_id")
    first = Dataset.open(folder)
    second = extend(folder, write(csv_of(records(100), patient_id=patients[:100])), patient="patient_id")
    for dataset, of in (
        (first, patients),
        (Dataset.open(folder, 1), patients),
        (second, patients + patients[:100]),
    ):
        training = [patient for patient, side in zip(of, sides(dataset), strict=True) if side == 0]
        told = dataset.patients(0)
        assert len(told) == len(dataset.arrays(0)[1]) == len(training)
        assert (
            len(set(zip(training, told.tolist(), strict=True)))
            == len(set(training))
            == len(set(told.tolist()))
        )
    with pytest.raises(DataError, match="tells patients apart; the new records do not"):
        extend(folder, write(csv_of(records(100))))
    assert Dataset.open(folder).version == 2


def test_without_a_patient_column_records_are_all_there_is(write, tmp_path):
    assert prepare(tmp_path / "heart", SCHEMA, write(csv_of(records(60)))).patients(0) is None


def test_a_stated_split_that_cuts_through_a_patient_is_refused(write, tmp_path):
    content = csv_of(
        records(40), split=["train", "held_out"] * 20, pseudonym=[f"Q{i // 2}" for i in range(40)]
    )
    with pytest.raises(DataError, match="row 2: this patient has records on both sides") as refusal:
        prepare(tmp_path / "heart", SCHEMA, write(content), patient="pseudonym")
    assert "Q0" not in str(refusal.value)


@pytest.mark.parametrize(
    ("patient", "reason"),
    [
        ("age", "part of the schema"),
        ("pid", "row 3, column 'pid': missing"),
    ],
)
def test_a_patient_column_must_tell_patients_apart(write, tmp_path, patient, reason):
    content = csv_of(records(40), pid=["a", "b", "", *"c" * 37])
    with pytest.raises(DataError, match=reason):
        prepare(tmp_path / "heart", SCHEMA, write(content), patient=patient)
    assert not (tmp_path / "heart").exists()


def test_a_patient_column_must_be_there(write, tmp_path):
    with pytest.raises(DataError, match="no column 'absent'"):
        prepare(tmp_path / "heart", SCHEMA, write(csv_of(records(40))), patient="absent")


def test_a_table_with_an_identifier_is_refused_by_name_and_nothing_is_written(write, tmp_path):
    with pytest.raises(DataError, match="'patient_id' looks like an identifier"):
        prepare(tmp_path / "heart", SCHEMA, write(csv_of(records(40), patient_id=list(range(40)))))
    assert [path.name for path in tmp_path.iterdir()] == ["records.csv"]


def test_a_table_for_another_schema_does_not_extend(write, tmp_path):
    folder = tmp_path / "heart"
    made = prepare(folder, SCHEMA, write(csv_of(records(60))))
    with pytest.raises(DataError, match="lacks the column 'cp'"):
        extend(folder, write("age,num\n5,1\n"))
    assert Dataset.open(folder).root == made.root
