from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tables import SCHEMA, csv_of, records

from protocol.data import table
from protocol.data.table import read_csv
from protocol.errors import DataError

SECRET = "71.25z"


@pytest.fixture
def write(tmp_path):
    def written(content: str | bytes):
        path = tmp_path / "records.csv"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return written


def test_rows_become_records(write):
    read = read_csv(write(csv_of(records(5))), SCHEMA)
    assert read.records == records(5)
    assert read.left_out == []


def test_other_columns_are_left_out_and_named(write):
    rows = [{"ward": 5, **record, "notes": ""} for record in records(3)]
    read = read_csv(write(csv_of(rows)), SCHEMA)
    assert read.records == records(3)
    assert read.left_out == ["ward", "notes"]
    assert read.evidence() == {"format": "csv", "columns_left_out": 2, "identifier_cells_checked": True}


def test_order_of_columns_spaces_and_marks_do_not_matter(write):
    content = '\ufeffnum , cp,"age"\r\n 1 , 2 ,"+1.5e1"\r\n0,3,.5\r\n'
    assert read_csv(write(content), SCHEMA).records == [
        {"age": 15.0, "cp": 2.0, "num": 1.0},
        {"age": 0.5, "cp": 3.0, "num": 0.0},
    ]


def test_blank_lines_are_no_rows(write):
    assert read_csv(write(csv_of(records(2)).replace("\n", "\n\n")), SCHEMA).records == records(2)


def test_columns_asked_for_are_handed_back_as_text(write):
    content = csv_of(records(2), patient_id=["a@b.org", "P2"], split=["train", "held_out"])
    read = read_csv(write(content), SCHEMA, also=("patient_id", "split", "absent"))
    assert read.also == {"patient_id": ["a@b.org", "P2"], "split": ["train", "held_out"]}
    assert read.records == records(2)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("", "is empty"),
        ("\n", "is empty"),
        ("age,cp,num\n", "a header and no rows"),
        ("age,cp\n1,1\n", "lacks the column 'num'"),
        ("age\n1\n", "lacks columns 'cp', 'num'"),
        ("age;cp;num\n1;1;1\n", "not separated by commas"),
        ("age\tcp\tnum\n", "not separated by commas"),
        ("age,cp,num,age\n1,1,1,1\n", "column 'age' twice"),
        ("age,cp,num,surname\n1,1,1,X\n", "column 'surname' looks like an identifier: its name"),
        ("age,cp,num,Date de naissance\n1,1,1,X\n", "column 'Date de naissance' looks like an identifier"),
        (f"age,cp,num\n1,1,1\n{SECRET},1,1\n", "row 2, column 'age': text where a number belongs"),
        ("age,cp,num\nnan,1,1\n", "row 1, column 'age': missing"),
        ("age,cp,num\n1,,1\n", "row 1, column 'cp': missing"),
        ("age,cp,num\n1,?,1\n", "row 1, column 'cp': missing"),
        ("age,cp,num\n-inf,1,1\n", "row 1, column 'age': not a finite number"),
        ("age,cp,num\n1e999,1,1\n", "row 1, column 'age': not a finite number"),
        ("age,cp,num\n1e300,1,1\n", "row 1, column 'age': beyond"),
        ("age,cp,num\n1_000,1,1\n", "text where a number belongs"),
        ("age,cp,num\n0x10,1,1\n", "text where a number belongs"),
        ("age,cp,num\n1,71.25,1\n", "row 1, column 'cp': not one of the schema's levels"),
        ("age,cp,num\n1,1,1\n1,1\n", "row 2: 2 cells where the header has 3"),
        ("age,cp,num\n1,1,1,9\n", "row 1: 4 cells where the header has 3"),
        ("age,cp,num,c\n1,1,1,a.71.25@b.org\n", "row 1: column 'c' looks like an identifier: .*e-mail"),
        ("age,cp,num,c\n1,1,1,1961-04-12\n", "column 'c' looks like an identifier: .*dates"),
        ("age,cp,num,c\n1,1,1,06 12 34 71 25\n", "column 'c' looks like an identifier: .*telephone"),
        ('age,cp,num\n"1,1,1\n', "not CSV"),
        (b"age,cp,num\n\xe9,1,1\n", "not UTF-8"),
        (b"age,cp,num\n1,\x00,1\n", "zero byte"),
        (b"PK\x03\x04\x00\x00", "zero byte"),
        ("age,cp,num\n" + "1" * 70_000 + ",1,1\n", "line 2 is longer than"),
    ],
)
def test_a_table_that_cannot_be_used_is_refused_without_its_values(write, content, reason):
    with pytest.raises(DataError, match=reason) as refusal:
        read_csv(write(content), SCHEMA)
    assert "71.25" not in str(refusal.value)
    assert "1961" not in str(refusal.value)


def test_a_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"records\.csv cannot be read"):
        read_csv(tmp_path / "records.csv", SCHEMA)


def test_rows_have_a_limit(write, monkeypatch):
    monkeypatch.setattr(table, "MAX_ROWS", 3)
    with pytest.raises(DataError, match="more than 3 rows"):
        read_csv(write(csv_of(records(4))), SCHEMA)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(cell=st.text(min_size=1, max_size=12).filter(lambda text: text.strip(" ,\"'?-.0123456789eE+abcn/uml")))
def test_no_cell_is_ever_quoted(write, cell):
    marked = f"{cell}zq"
    quoted = '"' + marked.replace('"', '""') + '"'
    try:
        content = f"age,cp,num\n{quoted},1,1\n".encode()
    except UnicodeEncodeError:
        return
    with pytest.raises(DataError) as refusal:
        read_csv(write(content), SCHEMA)
    assert "zq" not in str(refusal.value)


def test_without_a_label_records_can_still_be_read(write):
    content = "age,cp\n50,1\n"
    assert read_csv(write(content), SCHEMA, labelled=False).records == [{"age": 50, "cp": 1, "num": 0}]
