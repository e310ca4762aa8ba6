"""The vault: what was added is there, once, whatever happens; and nobody else reads it."""

from __future__ import annotations

import dataclasses
import errno
import json
import os
import shutil
import signal
import threading
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from protocol.data import files
from protocol.errors import AccountError, DataError, InvalidInput, SalusError, VaultError
from protocol.vault import batches, parquet, store
from protocol.vault import key as key_module
from protocol.vault.batches import Batches
from protocol.vault.store import Instance, Vault, folder_of
from tests.protocol.vault import instances, killed
from tests.protocol.vault.cohorts import KEY, vault_in


@pytest.fixture
def vault(tmp_path: Path) -> Vault:
    return vault_in(tmp_path)


def filled(vault: Vault, *numbers: int, flush: bool = True) -> list[Instance]:
    """Adds instances, and puts them into a batch."""
    added = [instances.of(number) for number in numbers]
    assert all([vault.add(each) for each in added])
    if flush:
        vault.flush()
    return added


def again(vault: Vault) -> Vault:
    """As another process opens it."""
    return Vault(vault.folder, KEY)


def assert_holds(vault: Vault, expected: list[Instance]) -> None:
    """Each of these and nothing else, each once, pending or in a batch."""
    uids = [row.uid for row in vault.index()] + [each.uid for each in vault.pending()]
    assert sorted(uids) == sorted(each.uid for each in expected)
    assert dict(vault.contents(uids)) == {each.uid: each.content for each in expected}
    assert vault.verify() == len(expected)


def sign(device: str, message: bytes) -> bytes:
    return f"{device} signs ".encode() + message


# ---- adding ----


def test_what_was_added_waits_and_then_is_in_a_batch(vault: Vault) -> None:
    one = instances.of(1, BodyPartExamined="BREAST", ManufacturerModelName="Sonic 3")
    assert vault.add(one)
    assert [dataclasses.astuple(each) for each in vault.pending()] == [
        (one.uid, one.patient, "probe", one.received_at)
    ]
    assert vault.content(one.uid) == one.content and vault.index() == []
    assert vault.flush() == 1
    assert vault.pending() == []
    (row,) = vault.index()
    assert (row.uid, row.patient, row.device, row.modality) == (one.uid, one.patient, "probe", "US")
    assert (row.body_part, row.model, row.rows, row.columns, row.frames) == ("BREAST", "Sonic 3", 16, 16, 1)
    assert (row.received_at, row.batch, row.report, row.label) == (one.received_at, 1, {"frames": 1}, None)
    assert len(row.sha256) == 32
    assert vault.content(one.uid) == one.content
    assert vault.flush() is None


def test_the_same_again_changes_nothing_and_other_content_is_refused(vault: Vault) -> None:
    one, other = instances.of(1), instances.of(1, Manufacturer="Another")
    assert one.content != other.content
    for _ in ("pending", "in a batch"):
        vault.add(one)
        assert not vault.add(one) and not again(vault).add(one)
        for each in (vault, again(vault)):
            with pytest.raises(DataError, match="other content"):
                each.add(other)
        vault.flush()
    assert_holds(vault, [one])


@pytest.mark.parametrize(
    "change",
    [{"uid": "2.25.2"}, {"patient": "ANOTHER"}, {"uid": "../../etc/passwd"}, {"uid": ""}, {"content": b"no DICOM"}],
    ids=str,
)  # fmt: skip
def test_a_file_that_is_not_what_it_is_said_to_be_is_refused(vault: Vault, change: dict[str, object]) -> None:
    with pytest.raises(DataError):
        vault.add(dataclasses.replace(instances.of(1), **change))
    assert vault.pending() == [] and list(vault.folder.rglob("*.sealed")) == []


def test_adding_reads_no_other_instance(vault: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    filled(vault, *range(20))
    filled(vault, *range(20, 40), flush=False)
    monkeypatch.setattr(Batches, "states", None)
    monkeypatch.setattr(Batches, "index", None)
    monkeypatch.setattr(Path, "glob", None)
    assert vault.add(instances.of(100)) and not vault.add(instances.of(3))


def test_flushing_reads_no_earlier_batch(vault: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    for start in (0, 5):
        filled(vault, *range(start, start + 5))
    read: list[int] = []
    real = Batches.index
    monkeypatch.setattr(Batches, "index", lambda self, number: read.append(number) or real(self, number))
    filled(vault, 10, 11)
    assert set(read) == {3}


def test_large_flushes_take_several_batches(vault: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "MAX_ROWS", 3)
    added = filled(vault, *range(7), flush=False)
    assert vault.flush() == 3
    assert [row.batch for row in vault.index()] == [1, 1, 1, 2, 2, 2, 3]
    assert_holds(vault, added)


def test_a_batch_is_in_the_order_of_arrival(vault: Vault) -> None:
    for number in (5, 2, 9, 1):
        vault.add(instances.of(number))
    vault.flush()
    assert [row.received_at - 1_700_000_000 for row in vault.index()] == [1, 2, 5, 9]


# ---- several at once ----


def test_processes_see_what_others_wrote(vault: Vault) -> None:
    other = again(vault)
    one, two, three = filled(vault, 1), filled(other, 2), filled(vault, 3, flush=False)
    assert_holds(other, one + two + three)
    other.flush()
    assert_holds(vault, one + two + three)
    assert not vault.add(two[0]) and not other.add(three[0])


def test_threads_that_add_while_others_flush_lose_nothing(vault: Vault) -> None:
    failed: list[BaseException] = []

    def work(start: int) -> None:
        try:
            mine = vault if start % 2 else again(vault)
            for number in range(start * 10, start * 10 + 10):
                mine.add(instances.of(number))
                mine.add(instances.of(5))
                if number % 4 == 0:
                    mine.flush()
                list(mine.contents(row.uid for row in mine.index()))
        except BaseException as error:  # noqa: BLE001 - whatever it is, it fails the test
            failed.append(error)

    threads = [threading.Thread(target=work, args=(start,)) for start in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert failed == []
    assert_holds(vault, [instances.of(number) for number in range(40)])


def test_reading_goes_on_while_batches_are_rewritten(vault: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "_GROUP_ROWS", 2)
    added = filled(vault, *range(12))
    left = {each.uid: each.content for each in added if each.patient != "PATIENT1"}
    stream = vault.contents(left)
    first = dict([next(stream)])
    again(vault).withdraw("PATIENT1")
    assert first | dict(stream) == left
    reader = again(vault)
    list(reader.contents(left))
    again(vault).withdraw("PATIENT2")
    left = {uid: content for uid, content in left.items() if int(uid[5:]) % 4 != 2}
    assert dict(reader.contents(left)) == left, "its index is of before"


# ---- crashes ----


@pytest.fixture
def copies(tmp_path: Path) -> tuple[Callable[[], Path], list[Instance]]:
    """Homes with a batch of eight, four pending and labels; and these instances."""
    template = vault_in(tmp_path / "template")
    added = filled(template, *range(8))
    template.label({each.uid: 1 for each in added})
    added += filled(template, *range(8, 12), flush=False)
    count = iter(range(1000))

    def copy() -> Path:
        home = tmp_path / f"copy-{next(count)}"
        shutil.copytree(tmp_path / "template", home)
        return home

    return copy, added


def test_killed_while_adding_the_instance_is_there_or_not(
    copies: tuple[Callable[[], Path], list[Instance]],
) -> None:
    home, added = copies
    new = instances.of(killed.NEW)
    for each in killed.deaths(home, killed.add):
        vault = Vault(folder_of(each), KEY)
        there = new.uid in {waiting.uid for waiting in vault.pending()}
        assert_holds(vault, [*added, new] if there else added)
        assert vault.add(new) != there
        vault.flush()
        assert_holds(vault, [*added, new])
    assert there, "the last child lived"


def test_killed_while_flushing_each_instance_is_there_once(
    copies: tuple[Callable[[], Path], list[Instance]],
) -> None:
    home, added = copies
    states = set()
    for each in killed.deaths(home, killed.flush):
        vault = Vault(folder_of(each), KEY)
        states.add((len(vault.batches()), len(list((vault.folder / "pending").glob("2*")))))
        assert_holds(vault, added)
        vault.flush()
        assert_holds(vault, added)
        assert vault.batches() == [1, 2] and list((vault.folder / "pending").glob("*.sealed")) == []
    assert {(1, 4), (2, 4), (2, 2), (2, 0)} <= states, "before, between and after"


def test_killed_while_withdrawing_nothing_of_the_patient_comes_back(
    copies: tuple[Callable[[], Path], list[Instance]],
) -> None:
    home, added = copies
    left = [each for each in added if each.patient != "PATIENT1"]
    uids = sorted({each.uid for each in added} - {each.uid for each in left})
    for each in killed.deaths(home, killed.withdraw):
        vault = Vault(folder_of(each), KEY)
        begun = vault.withdrawn("PATIENT1")
        if begun:
            assert not {row.uid for row in vault.index()} & set(uids), "known is gone"
            with pytest.raises(DataError, match="no such instance"):
                vault.content(uids[0])
            vault.flush()
            assert_holds(vault, left)
            assert not vault._labels.value.keys() & set(uids)
        else:
            assert_holds(vault, added)
        assert vault.withdraw("PATIENT1") == uids, "asked again, it says the same"
        assert_holds(vault, left)
    assert begun


def test_every_acknowledged_instance_survives_a_kill(tmp_path: Path) -> None:
    vault_in(tmp_path)
    told, telling = killed.context.Pipe(duplex=False)
    child = killed.context.Process(target=killed.add_for_ever, args=(tmp_path, telling))
    child.start()
    telling.close()
    acknowledged = [told.recv() for _ in range(40)]
    os.kill(child.pid or 0, signal.SIGKILL)
    try:
        while True:
            acknowledged.append(told.recv())
    except EOFError:
        child.join()
    vault = Vault(folder_of(tmp_path), KEY)
    here = {row.uid for row in vault.index()} | {each.uid for each in vault.pending()}
    assert {f"2.25.{number}" for number in acknowledged} <= here
    assert_holds(vault, [instances.of(int(uid.removeprefix("2.25."))) for uid in here])


@pytest.mark.parametrize("where", ["replace", "fsync"])
def test_a_full_disk_is_said_and_loses_nothing(
    vault: Vault, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    added = filled(vault, 1, 2) + filled(vault, 3, flush=False)

    def full(*args: object) -> None:  # noqa: ARG001
        raise OSError(errno.ENOSPC, "No space left on device")

    actions: list[Callable[[], object]] = [
        lambda: vault.add(instances.of(4)),
        lambda: vault.label({"2.25.1": 1}),
        lambda: vault.withdraw("PATIENT1"),
    ]
    if where == "fsync":
        actions.append(vault.flush)
    for action in actions:
        with monkeypatch.context() as patch:
            patch.setattr(*((files, "replace") if where == "replace" else (os, "fsync")), full)
            with pytest.raises(VaultError, match="cannot be written: No space left"):
                action()
    assert list(vault.folder.rglob("*.part")) == []
    assert_holds(vault, added)
    assert vault.add(instances.of(4))
    vault.flush()
    assert_holds(vault, [*added, instances.of(4)])


# ---- what was altered ----


def flips(path: Path, every: int = 1) -> list[tuple[int, int]]:
    """Places in a file and a bit of each, all over it and densely at both ends."""
    size = path.stat().st_size
    places = {*range(0, size, every), *range(min(size, 64)), *range(max(0, size - 64), size)}
    return [(place, place % 8) for place in sorted(places)]


@pytest.mark.parametrize(
    "kind", ["pending/*.sealed", "batches/*.parquet", "labels.sealed", "withdrawn.sealed"]
)
def test_a_flipped_bit_is_noticed_and_no_content_changes(vault: Vault, kind: str) -> None:
    added = filled(vault, 0, 1, 2) + filled(vault, 4, flush=False)
    vault.label({"2.25.1": 1})
    vault.withdraw("PATIENT2")
    expected = {each.uid: each.content for each in added if each.patient != "PATIENT2"}
    labels = {row.uid: row.label for row in vault.index()}
    (path,) = vault.folder.glob(kind)
    intact = path.read_bytes()
    said = []
    for place, bit in flips(path, 41):
        altered = bytearray(intact)
        altered[place] ^= 1 << bit
        files.replace(path, bytes(altered))
        found = again(vault)
        try:
            assert found.verify() == len(expected)
            assert dict(found.contents(expected)) == expected
            assert {row.uid: row.label for row in found.index()} == labels
        except (VaultError, DataError) as error:
            said.append(str(error))
    assert len(said) >= len(flips(path, 41)) * 0.9, "but for bytes that nobody reads"
    assert not any("PATIENT" in each or "2.25." in each.replace(str(path), "") for each in said)
    files.replace(path, intact)
    assert dict(again(vault).contents(expected)) == expected


@pytest.mark.parametrize("kind", ["pending/*.sealed", "batches/*.parquet"])
@pytest.mark.parametrize("share", [0, 0.3, 0.9, 0.999])
def test_a_file_that_was_cut_is_noticed(vault: Vault, kind: str, share: float) -> None:
    filled(vault, 1)
    filled(vault, 2, flush=False)
    (path,) = vault.folder.glob(kind)
    files.replace(path, path.read_bytes()[: int(path.stat().st_size * share)])
    with pytest.raises(VaultError):
        again(vault).verify()


def test_files_do_not_pass_for_one_another(vault: Vault) -> None:
    filled(vault, 1)
    filled(vault, 2)
    folder = vault.folder / "batches"
    shutil.copy(folder / "000001.parquet", folder / "000002.parquet")
    with pytest.raises(VaultError, match=r"000002\.parquet does not open"):
        again(vault).index()
    (folder / "000002.parquet").unlink()
    filled(again(vault), 3, 4, flush=False)
    pending = vault.folder / "pending"
    shutil.copy(pending / "2.25.3.sealed", pending / "2.25.4.sealed")
    assert [each.uid for each in again(vault).pending()] == ["2.25.3"]
    with pytest.raises(VaultError):
        again(vault).verify()


def flip(path: Path, place: int) -> None:
    altered = bytearray(path.read_bytes())
    altered[place] ^= 1
    files.replace(path, bytes(altered))


@pytest.mark.parametrize("place", [0, 30, -1], ids=["length", "head", "content"])
def test_a_damaged_pending_file_is_set_aside_and_holds_no_other_up(
    vault: Vault, place: int, caplog: pytest.LogCaptureFixture
) -> None:
    added = filled(vault, 1, 2, 3, 6, flush=False)
    flip(vault.folder / "pending" / "2.25.1.sealed", place)
    found = again(vault)
    assert {"2.25.2", "2.25.3", "2.25.6"} <= {each.uid for each in found.pending()}
    assert found.withdraw("PATIENT2") == ["2.25.2", "2.25.6"]
    assert found.flush() == 1
    assert_holds(found, [added[2]])
    assert found.damaged() == 1 and (vault.folder / "damaged" / "2.25.1.sealed").exists()
    (line,) = [each for each in caplog.messages if "set aside" in each]
    assert "PATIENT" not in line and "2.25." not in line
    assert found.add(added[0]) and found.flush() == 2
    assert_holds(found, [added[0], added[2]])
    assert found.damaged() == 0, "it came again"


def test_a_device_is_not_told_that_a_damaged_instance_is_here_and_may_send_it_again(vault: Vault) -> None:
    (added,) = filled(vault, 1, flush=False)
    flip(vault.folder / "pending" / "2.25.1.sealed", 30)
    found = again(vault)
    assert not found.holds("2.25.1")
    assert found.add(added)
    assert_holds(found, [added])


def test_damaged_pending_files_alone_make_no_batch(vault: Vault) -> None:
    filled(vault, 1, flush=False)
    flip(vault.folder / "pending" / "2.25.1.sealed", -1)
    assert again(vault).flush() is None
    assert vault.batches() == []


def test_a_damaged_batch_stops_neither_adding_nor_withdrawing(vault: Vault) -> None:
    filled(vault, 0, 1)
    filled(vault, 4, 5)
    path = vault.folder / "batches" / "000001.parquet"
    intact = path.read_bytes()
    flip(path, -40)
    found = again(vault)
    assert found.add(instances.of(2))
    assert [each.uid for each in found.pending()] == ["2.25.2"]
    with pytest.raises(VaultError, match=r"000001\.parquet does not open"):
        found.withdraw("PATIENT1")
    assert found.withdrawn("PATIENT1")
    assert found.flush() == 3
    with pytest.raises(VaultError, match=r"000001\.parquet does not open"):
        found.index()
    files.replace(path, intact)
    assert found.withdraw("PATIENT1") == ["2.25.1", "2.25.5"]
    assert sorted(row.uid for row in found.index()) == ["2.25.0", "2.25.2", "2.25.4"]


def test_what_came_again_while_its_batch_was_damaged_goes_with_its_patient(vault: Vault) -> None:
    filled(vault, 1, 2)
    path = vault.folder / "batches" / "000001.parquet"
    intact = path.read_bytes()
    flip(path, -40)
    found = again(vault)
    filled(found, 1, 3)
    files.replace(path, intact)
    assert found.withdraw("PATIENT1") == ["2.25.1"]
    assert again(vault).flush() is None
    assert again(vault).verify() == 2
    assert sorted(row.uid for row in again(vault).index()) == ["2.25.2", "2.25.3"]


# ---- whose pseudonyms ----


def test_pseudonyms_of_another_secret_are_refused_for_ever(vault: Vault) -> None:
    assert vault.is_unused()
    vault.bind(b"one")
    again(vault).bind(b"one")
    with pytest.raises(VaultError, match=r"another pseudonyms\.key"):
        again(vault).bind(b"two")
    assert not again(vault).is_unused()


@pytest.mark.parametrize("use", ["add", "flush", "label", "withdraw"])
def test_a_vault_that_held_something_is_no_unused_one(vault: Vault, use: str) -> None:
    if use in ("add", "flush"):
        filled(vault, 1, flush=use == "flush")
    elif use == "label":
        vault.label({"2.25.1": 1})
    else:
        vault.withdraw("PATIENT1")
    assert not vault.is_unused()


def test_a_plain_parquet_file_is_no_batch(vault: Vault) -> None:
    filled(vault, 1)
    path = vault.folder / "batches" / "000001.parquet"
    table = pq.read_table(
        path, decryption_properties=parquet.encryption.create_decryption_properties(
            vault._batches._key(1), aad_prefix=path.name.encode()
        ),
    )  # fmt: skip
    pq.write_table(table, path)
    with pytest.raises(VaultError, match="does not open"):
        again(vault).index()


def test_nothing_on_the_disk_or_in_the_log_can_be_read_without_the_key(vault: Vault) -> None:
    added = filled(vault, 1, 2, 3) + filled(vault, 4, flush=False)
    vault.label({"2.25.1": 1})
    vault.withdraw("PATIENT2")
    vault.index("patient = 'PATIENT3'")
    vault.content("2.25.1")
    for path in vault.folder.rglob("*"):
        if path.is_file():
            held = path.read_bytes()
            for word in (b"PATIENT", b"2.25.", b"probe", b"DICM", b"content", added[0].content[-64:]):
                assert word not in held, path
            assert path.name in ("changes", "lock") or path.stat().st_mode & 0o777 == 0o600
    lines = [json.loads(line) for line in (vault.folder / "access.log").read_text().splitlines()]
    assert [line["action"] for line in lines] == ["flush", "label", "withdraw", "query", "read"]
    assert {type(value) for line in lines for name, value in line.items() if name != "action"} == {int}


# ---- asking ----


def test_conditions_choose(vault: Vault) -> None:
    vault.add(instances.of(1, BodyPartExamined="BREAST"))
    vault.add(instances.of(2, BodyPartExamined="THYROID", device="other"))
    vault.flush()
    vault.label({"2.25.1": 1, "2.25.2": 0})
    assert [row.uid for row in vault.index("modality = 'US' AND body_part = 'BREAST' AND label = 1")] == [
        "2.25.1"
    ]
    assert [row.uid for row in vault.index("device = 'other' OR label = 1")] == ["2.25.1", "2.25.2"]
    assert [row.uid for row in vault.index("rows = 16 AND columns = 16 AND frames = 1 AND batch = 1")] != []
    assert [row.uid for row in vault.index("received_at > 1700000001 -- later")] == ["2.25.2"]
    assert vault.index("label = 7") == [] and len(vault.index(" ")) == 2
    assert vault_in(vault.folder.parent / "empty").index("label = 1") == []


@pytest.mark.parametrize(
    "condition",
    [
        "nonsense", "label =", "label = 1; DROP TABLE instances", "1 = 1) UNION SELECT * FROM instances --",
        "true, true", "count(*) > 0", "label = 1 LIMIT 1", "true; COPY instances TO '{file}'",
        "uid IN (SELECT * FROM read_csv('{file}'))", "uid IN (SELECT content FROM read_text('{file}'))",
        "EXISTS (FROM read_blob('{file}'))", "EXISTS (FROM glob('/*'))", "EXISTS (FROM '{file}')",
        "EXISTS (FROM read_parquet('https://example.org/x'))", "getenv('HOME') = 'x'", "EXISTS (FROM secret)",
        "uid IN (SELECT uid FROM table)", "report = ''", "content = ''", "(ATTACH '{file}')", "(SET threads = 4)",
        "(PRAGMA version)", "(LOAD httpfs)", "(CALL pragma_version())", "uid", "patient::int = 1",
    ],
)  # fmt: skip
def test_a_condition_reads_no_file_and_changes_nothing(tmp_path: Path, condition: str) -> None:
    secret = tmp_path / "secret.csv"
    secret.write_text("HOSPITAL SECRET\n")
    vault = vault_in(tmp_path)
    added = filled(vault, 1)
    with pytest.raises(InvalidInput) as caught:
        vault.index(condition.format(file=secret))
    assert "HOSPITAL SECRET" not in str(caught.value) and "PATIENT1" not in str(caught.value)
    assert secret.read_text() == "HOSPITAL SECRET\n" and sorted(tmp_path.iterdir()) == [secret, vault.folder]
    assert_holds(vault, added)


@pytest.mark.parametrize(
    "condition",
    ["random() < 0.5", "received_at < epoch(NOW())", "current_date > '2020-01-01'", "localtimestamp IS NULL",
     "uid IN (SELECT CAST(uuid() AS VARCHAR))"],
)  # fmt: skip
def test_a_condition_is_of_the_rows_alone_and_neither_of_chance_nor_of_the_hour(
    vault: Vault, condition: str
) -> None:
    with pytest.raises(InvalidInput, match="another each time"):
        vault.index(condition)


def test_asking_reads_no_pixels(vault: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    filled(vault, 1, 2, 3)
    read: list[str] = []
    real = Batches._read

    def remembering(self: Batches, file: pq.ParquetFile, group: int | None, columns: list[str]) -> object:
        read.extend(columns)
        return real(self, file, group, columns)

    monkeypatch.setattr(Batches, "_read", remembering)
    found = again(vault)
    assert len(found.index("rows = 16")) == 3
    assert "uid" in read and "content" not in read
    read.clear()
    found.index()
    assert read == [], "each file once"


# ---- reading ----


def test_contents_are_read_a_row_group_at_a_time(vault: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "_GROUP_ROWS", 2)
    added = filled(vault, *range(9))
    more = filled(vault, *range(9, 12))
    read: list[int] = []
    real = Batches._read

    def counting(self: Batches, file: pq.ParquetFile, group: int | None, columns: list[str]) -> object:
        if group is not None:
            read.append(group)
        return real(self, file, group, columns)

    found = again(vault)
    found.index()
    monkeypatch.setattr(Batches, "_read", counting)
    stream = found.contents([each.uid for each in (added + more)[::-1]])
    assert read == []
    assert next(stream) == (added[0].uid, added[0].content)
    assert read == [0]
    assert [uid for uid, _ in stream] == [each.uid for each in (added + more)[1:]], "in the vault's order"
    assert read == [0, 1, 2, 3, 4, 0, 1]
    read.clear()
    assert found.content("2.25.5") == added[5].content and read == [2]


def test_row_groups_are_small_in_bytes(vault: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "_GROUP_BYTES", len(instances.of(1).content) * 2)
    filled(vault, *range(5))
    assert vault._batches.index(1)["group"].to_pylist() == [0, 0, 1, 1, 2]


def test_what_is_not_there_is_said_before_anything_is_read(vault: Vault) -> None:
    filled(vault, 1)
    for uids in (["2.25.404"], ["2.25.1", "2.25.404"], ["../key"]):
        with pytest.raises(DataError):
            vault.contents(uids)
    assert list(vault.contents([])) == []
    assert [uid for uid, _ in vault.contents(["2.25.1", "2.25.1"])] == ["2.25.1"]


# ---- labels ----


def test_labels_come_before_and_after_the_instance(vault: Vault) -> None:
    assert vault.label({"2.25.1": 1, "2.25.2": 0}) == 2
    filled(vault, 1, 2, 3)
    assert vault.label({"2.25.2": 0, "2.25.3": 5}) == 1
    assert again(vault).label({"2.25.2": 3}) == 1
    assert [row.label for row in vault.index()] == [1, 3, 5]


@pytest.mark.parametrize(
    "values", [{"2.25.1": True}, {"2.25.1": 2**31}, {"2.25.1": 0.5}, {"no uid": 1}, {"2.25.1": "1"}]
)
def test_what_is_no_label_is_refused(vault: Vault, values: dict[str, int]) -> None:
    with pytest.raises(DataError):
        vault.label({"2.25.9": 1, **values})
    assert vault.label({"2.25.9": 1}) == 1, "nothing was changed"


# ---- withdrawing ----


def test_a_patient_who_withdraws_is_gone_and_refused(vault: Vault) -> None:
    added = filled(vault, *range(8)) + filled(vault, 8, 9, flush=False)
    vault.label({each.uid: 1 for each in added})
    left = [each for each in added if each.patient != "PATIENT1"]
    uids = ["2.25.1", "2.25.5", "2.25.9"]
    other = again(vault)
    assert vault.withdraw("PATIENT1") == uids
    assert_holds(vault, left)
    assert_holds(other, left)
    assert not any(map(vault.holds, uids)) and vault.holds("2.25.2") and vault.holds("2.25.8")
    assert vault.label(dict.fromkeys(uids, 1)) == 0
    assert vault.label({each.uid: 1 for each in left}) == 0, "theirs stay"
    for each in (vault, other):
        with pytest.raises(DataError, match="withdrawn"):
            each.add(instances.of(1))
        with pytest.raises(DataError, match="withdrawn"):
            each.add(instances.of(41))
    assert again(vault).withdraw("PATIENT1") == uids and vault.withdraw("NOBODY") == []
    assert vault.withdrawn("PATIENT1") and vault.withdrawn("NOBODY") and not vault.withdrawn("PATIENT2")


def test_a_number_is_never_given_again(vault: Vault) -> None:
    filled(vault, 1)
    vault.withdraw("PATIENT1")
    assert vault.batches() == [1] and vault.index() == [] and vault.verify() == 0
    filled(vault, 2)
    assert [row.batch for row in vault.index()] == [2]


# ---- signatures ----


def test_each_device_signs_what_came_from_it(vault: Vault) -> None:
    for number, device in enumerate(["one", "two", "one"]):
        vault.add(instances.of(number, device=device))
    vault.flush(sign)
    signed = vault.signatures(1)
    assert {device: json.loads(each.message)["instances"] for device, each in signed.items()} == {
        "one": 2,
        "two": 1,
    }
    for device, each in signed.items():
        assert each.signature == sign(device, each.message)
        stated = json.loads(each.message)
        assert (stated["batch"], stated["device"]) == (1, device)
        assert stated["digest"] == batches.digest_of(
            row.sha256 for row in vault.index() if row.device == device
        )
    assert vault.verify() == 3
    filled(vault, 5)
    assert vault.signatures(2) == {}


def test_a_batch_is_written_without_the_signature_of_a_device_that_is_not_known(
    vault: Vault, caplog: pytest.LogCaptureFixture
) -> None:
    def known(device: str, message: bytes) -> bytes:
        if device == "lost":
            raise InvalidInput("There is no device 'lost'.")
        return sign(device, message)

    for number, device in ((1, "lost"), (2, "probe"), (5, "lost")):
        vault.add(instances.of(number, f"SECRET{number}", device))
    assert vault.flush(known) == 1
    assert set(vault.signatures(1)) == {"probe"}
    vault.withdraw("SECRET5", known)
    assert set(vault.signatures(1)) == {"probe"} and vault.verify() == 2
    assert "without a device's signature" in caplog.text
    assert "SECRET" not in caplog.text and "2.25." not in caplog.text


@pytest.mark.parametrize("key", [None, sign])
def test_who_loses_instances_signs_anew_or_not_at_all(vault: Vault, key: batches.Sign | None) -> None:
    for number, device in [(0, "one"), (1, "one"), (2, "two"), (3, "two")]:
        vault.add(instances.of(number, device=device))
    vault.flush(sign)
    before = vault.signatures(1)
    vault.withdraw("PATIENT1", key)
    after = vault.signatures(1)
    assert after["two"] == before["two"]
    assert ("one" in after) == (key is not None) and after.get("one") != before["one"]
    assert vault.verify() == 3


def test_a_signature_over_something_else_is_noticed(vault: Vault) -> None:
    filled(vault, 1, flush=False)
    vault.flush(sign)
    digest = vault.index()[0].sha256
    record = {
        **vault._batches.index(1).drop_columns(["group"]).to_pylist()[0],
        "content": instances.of(1).content,
    }
    vault._batches.write(1, [record], lambda _, message: message)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(batches, "digest_of", lambda digests: "00")  # noqa: ARG005
        vault._batches.write(1, [record], sign)
    assert again(vault).index()[0].sha256 == digest
    with pytest.raises(VaultError, match="what a device signed"):
        again(vault).verify()


# ---- opening ----


@pytest.fixture
def cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(key_module, "SCRYPT_N", 2)


@pytest.mark.usefixtures("cheap")
def test_the_password_opens_it_and_another_does_not(tmp_path: Path) -> None:
    made = Vault.create(tmp_path, "pw")
    added = filled(made, 1)
    assert_holds(Vault.open(tmp_path, "pw"), added)
    with pytest.raises(AccountError, match="does not open with this password"):
        Vault.open(tmp_path, "another")
    actions = [json.loads(line)["action"] for line in (made.folder / "access.log").read_text().splitlines()]
    assert actions[0] == "create" and "open" in actions


@pytest.mark.usefixtures("cheap")
def test_a_vault_is_made_once_and_opened_where_there_is_one(tmp_path: Path) -> None:
    with pytest.raises(VaultError, match="no vault"):
        Vault.open(tmp_path, "pw")
    with pytest.raises(AccountError, match="needs a password"):
        Vault.create(tmp_path, "")
    Vault.create(tmp_path, "pw")
    with pytest.raises(VaultError, match="exists already"):
        Vault.create(tmp_path, "pw")


def test_only_one_writes_at_a_time(vault: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("protocol.vault.disk.PATIENCE_SECONDS", 0.05)
    other = again(vault)
    with vault.writing():
        with pytest.raises(VaultError, match="Another process"):
            other.add(instances.of(1))
        assert other.index() == [], "readers wait for nobody"
    assert other.add(instances.of(1))


def test_all_errors_are_ours(vault: Vault) -> None:
    shutil.rmtree(vault.folder / "batches")
    for action in (vault.flush, vault.index, vault.verify, vault.batches):
        with pytest.raises(SalusError):
            action()
