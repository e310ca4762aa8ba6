"""Datasets of records: crashes, damage, and others at work."""

from __future__ import annotations

import errno
import json
import os
import shutil
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from protocol.data import files
from protocol.data.backup import backup, restore
from protocol.data.dataset import TRAIN
from protocol.errors import DataError, VaultError
from protocol.vault import disk, record_evidence, segments
from protocol.vault.leaves import verify_erasure, verify_record
from protocol.vault.next_records import Draws, Withdrawn
from protocol.vault.record_dataset import RecordDataset
from protocol.vault.store import Vault
from protocol.vault.tree import GrowingTree
from tests.protocol.vault.cohorts import vault_in
from tests.protocol.vault.tables import (
    PATIENTS,
    SEGMENT,
    again,
    files_of,
    made,
    pseudonym,
    record,
    rows,
    salts_on_disk,
)

# -- crashes, damage, others at work ----------------------------------------------------------------------------------


class Killed(BaseException):
    """The process ends here."""


STEPS = ("fsync", "replace", "rename", "unlink", "open")


def killed_at(patch: pytest.MonkeyPatch, step: int, error: BaseException) -> list[int]:
    """Stops whoever changes something on the disk for the given time; how often there was something to do."""
    calls = [0]

    def dying(real: Any, counts: Callable[..., bool]) -> Any:
        def call(*arguments: Any, **named: Any) -> Any:
            if counts(*arguments):
                calls[0] += 1
                if calls[0] == step:
                    raise error
            return real(*arguments, **named)

        return call

    def writes(_path: Any, flags: int = os.O_RDONLY, *_: Any) -> bool:
        return bool(flags & (os.O_WRONLY | os.O_RDWR))

    for name in STEPS:
        patch.setattr(os, name, dying(getattr(os, name), writes if name == "open" else lambda *_: True))
    return calls


def grow(dataset: RecordDataset, vault: Vault) -> RecordDataset | None:
    return dataset.extend(rows(range(100, 125)), vault)


def shrink(dataset: RecordDataset, vault: Vault) -> RecordDataset | None:  # noqa: ARG001
    return dataset.withdraw([pseudonym(5), pseudonym(40)])


@pytest.mark.parametrize("change", [grow, shrink])
@pytest.mark.parametrize(
    "error", [Killed(), OSError(errno.ENOSPC, "No space left on device")], ids=["kill", "full"]
)
def test_wherever_it_stops_the_version_is_that_before_or_after(
    template: Path, tmp_path: Path, change: Callable[..., Any], error: BaseException
) -> None:
    step = 0
    while True:
        step += 1
        home = Path(shutil.copytree(template, tmp_path / "home"))
        vault = vault_in(home)
        dataset = RecordDataset.open(home / "datasets" / "cohort", vault=vault)
        with pytest.MonkeyPatch.context() as patch:
            calls = killed_at(patch, step, error)
            with suppress(Killed, DataError, VaultError):
                change(dataset, vault)
        ended = calls[0] < step
        left = again(dataset, vault)
        assert left.version in (1, 2)
        left.verify()
        index = left.leaves - 1
        assert verify_record(left.root, left.prove(index)), "a tree between two versions is made anew"
        latest = again(dataset, vault)
        # Whatever was cut short is done again, or made an end of.
        then = change(latest, vault) if latest.version == 1 else latest
        then.verify()
        assert then.version == 2
        if change is shrink:
            assert then.held([pseudonym(5), pseudonym(40)]) == []
            assert verify_erasure(then.root, then.erasure([pseudonym(5), pseudonym(40)]))
        assert then.extend(rows(range(300, 310)), vault).version == 3
        assert len(files_of(then)) == -(-again(then, vault).leaves // SEGMENT), "what was left behind is gone"
        shutil.rmtree(home)
        if ended:
            break
    assert step > 20


def test_a_withdrawal_that_was_cut_short_is_ended_by_whoever_writes_next(
    dataset: RecordDataset, vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: Any, **__: Any) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(GrowingTree, "replace_all", killed)
        with pytest.raises(Killed):
            dataset.withdraw([pseudonym(5)])
    left = again(dataset, vault)
    assert left.version == 1 and left.held([pseudonym(5)]) == [1]
    assert left.extend([], vault).version == 2
    second = again(dataset, vault)
    assert second.held([pseudonym(5)]) == []
    code = Draws((second.folder / "split.key").read_bytes()).code(pseudonym(5))
    assert Withdrawn(second.folder, vault).all()[code] == (2, [5])


def test_salts_that_a_crash_left_go_with_the_next_who_writes(
    dataset: RecordDataset, vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    salt = dataset.prove(5).salt

    def killed(_: Any) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(disk, "remove", killed)
        with pytest.raises(Killed):
            dataset.withdraw([pseudonym(5)])
    assert salt in salts_on_disk(dataset, vault)
    left = again(dataset, vault)
    assert left.version == 2
    assert left.withdraw([pseudonym(5)]) is None
    assert salt not in salts_on_disk(dataset, vault)


def test_a_create_that_was_killed_leaves_no_dataset_and_goes_with_the_next(
    home: Path, vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(home / "datasets" / "cohort", home / "datasets" / ".cohort-ab_12xyz")
    shutil.rmtree(home / "datasets" / "cohort")
    with monkeypatch.context() as patch:
        killed_at(patch, 5, Killed())
        with pytest.raises(Killed):
            made(home, vault, rows(range(PATIENTS)))
    assert not (home / "datasets" / "cohort").exists()
    made(home, vault, rows(range(PATIENTS))).verify()
    assert [path.name for path in (home / "datasets").iterdir()] == ["cohort"]


def test_two_that_write_at_once_do_so_one_after_the_other(dataset: RecordDataset, vault: Vault) -> None:
    lock = FileLock(dataset.folder / ".lock")
    outcomes: list[int] = []

    def extend(first: int) -> None:
        own = RecordDataset.open(dataset.folder, vault=vault)
        outcomes.append(own.extend(rows(range(first, first + 10)), vault).version)

    lock.acquire()
    threads = [threading.Thread(target=extend, args=(first,)) for first in (100, 200)]
    for each in threads:
        each.start()
    for each in threads:
        each.join(0.2)
        assert each.is_alive(), "it waits for the lock"
    assert again(dataset, vault).version == 1
    lock.release()
    for each in threads:
        each.join()
    latest = again(dataset, vault)
    assert (latest.version, latest.leaves) == (3, 80)
    assert max(outcomes) == 3
    latest.verify()


def test_a_reader_goes_on_where_another_rewrote_a_segment(
    dataset: RecordDataset, vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, grown = segments.read, []

    def meanwhile(folder: Path, entry: Any, sealer: Any) -> Any:
        if not grown:
            grown.append(None)
            again(dataset, vault).extend(rows(range(100, 110)), vault)
        return real(folder, entry, sealer)

    monkeypatch.setattr(segments, "read", meanwhile)
    dataset.verify()
    assert (dataset.version, dataset.leaves) == (1, 60)


def test_a_lost_segment_is_said(dataset: RecordDataset, vault: Vault) -> None:
    name = sorted(files_of(dataset))[-1]
    (dataset.folder / segments.FOLDER / name).unlink()
    for use in (dataset.verify, lambda: dataset.extend(rows(range(100, 120)), vault)):
        with pytest.raises(DataError, match="lacks a segment"):
            use()


def test_an_altered_segment_is_said(dataset: RecordDataset, vault: Vault) -> None:
    path = sorted((dataset.folder / segments.FOLDER).iterdir())[1]
    content = bytearray(path.read_bytes())
    content[-20] ^= 1
    path.write_bytes(content)
    for use in (dataset.verify, lambda: dataset.prove(20), lambda: dataset.withdraw([pseudonym(20)])):
        with pytest.raises(VaultError, match="altered"):
            use()
    assert again(dataset, vault).version == 1


def manifest_of(dataset: RecordDataset, change: Callable[[dict], None]) -> None:
    path = dataset.folder / "manifest.json"
    manifest = json.loads(path.read_text())
    change(manifest)
    path.write_text(json.dumps(manifest))


def test_segments_in_another_order_are_found(dataset: RecordDataset, vault: Vault) -> None:
    manifest_of(dataset, lambda manifest: manifest["segments"].insert(0, manifest["segments"].pop(1)))
    stale = again(dataset, vault)
    with pytest.raises(DataError, match="not those that version 1 committed to"):
        stale.verify()
    with pytest.raises(DataError, match="not those that version 1"):
        stale.arrays(TRAIN)
    with pytest.raises(DataError, match="not those of version 1"):
        stale.prove(3)


def test_counts_that_are_not_those_of_the_records_are_found(dataset: RecordDataset, vault: Vault) -> None:
    for by in (1, -1):
        manifest_of(
            dataset,
            lambda manifest, by=by: manifest["versions"][0].update(train_records=dataset.train_records + by),
        )
        with pytest.raises(DataError, match="has not the records that it counts"):
            again(dataset, vault).arrays(TRAIN)
        with pytest.raises(DataError, match="has not the records that it counts"):
            record_evidence.audit(again(dataset, vault))
    manifest_of(dataset, lambda manifest: manifest["segments"].pop())
    with pytest.raises(DataError, match="fewer records"):
        again(dataset, vault).verify()


def test_a_tree_that_was_altered_is_made_anew(dataset: RecordDataset, vault: Vault) -> None:
    for level, index in (("00", 1), ("01", 2), ("03", 8)):
        path = dataset.folder / "tree" / level
        content = bytearray(path.read_bytes())
        content[5] ^= 1
        path.write_bytes(content)
        assert verify_record(dataset.root, dataset.prove(index))
        path.write_bytes(content)
        second = again(dataset, vault).withdraw([pseudonym(index)])
        second.verify()
        dataset = second
    shutil.rmtree(dataset.folder / "tree")
    assert verify_record(dataset.root, dataset.prove(50))
    dataset.extend(rows(range(100, 110)), vault).verify()


def test_a_back_up_brings_it_back(dataset: RecordDataset, vault: Vault, tmp_path: Path) -> None:
    second = dataset.withdraw([pseudonym(5)])
    backup(tmp_path / "kept", "password", datasets=[second.folder])
    restore(tmp_path / "kept", "password", tmp_path / "new")
    restored = RecordDataset.open(tmp_path / "new" / "datasets" / "cohort", vault=vault)
    restored.verify()
    assert (restored.root, restored.evidence()) == (second.root, second.evidence())
    assert verify_record(restored.root, restored.prove(6))
    assert restored.extend(rows([5, *range(100, 110)]), vault).leaves == 70


def test_files_are_the_owners_alone_and_say_nothing_of_patients(dataset: RecordDataset, vault: Vault) -> None:
    second = dataset.withdraw([pseudonym(5)])
    draws = Draws((dataset.folder / "split.key").read_bytes())
    known = [pseudonym(each) for each in range(PATIENTS)] + [
        str(record(7 * n)["hba1c %"]) for n in range(9, 60)
    ]
    secret = {each.encode() for each in known if len(each) > 6}
    secret |= {draws.code(pseudonym(each)) for each in range(PATIENTS)}
    secret |= {draws.code(pseudonym(each)).hex().encode() for each in range(PATIENTS)}
    secret |= salts_on_disk(second, vault)
    for path in dataset.folder.rglob("*"):
        assert path.stat().st_mode & 0o077 == 0, path
        if path.is_file() and path.name != "split.key":
            content = path.read_bytes()
            assert not any(each in content for each in secret), path


def test_files_of_a_writer_are_written_whole(
    dataset: RecordDataset, vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The manifest comes last: until then the folder is the version before."""
    written: list[str] = []
    real = files.write_new

    def noted(path: Path, content: bytes) -> None:
        written.append(path.name)
        real(path, content)

    monkeypatch.setattr(files, "write_new", noted)
    dataset.extend(rows(range(100, 120)), vault)
    assert written[-1] == ".manifest.json.part"
