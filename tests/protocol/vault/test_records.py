"""Records in the vault: each once, encrypted, whole or not at all, and gone when a patient withdraws."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import random
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from itertools import count
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from protocol.errors import DataError, VaultError
from protocol.fhir.resource import Clean
from protocol.vault import backup as backup_module
from protocol.vault import key, record_files, record_import
from protocol.vault.backup import backup, restore
from protocol.vault.records import Records
from protocol.vault.store import Vault, folder_of
from tests.protocol.vault import killed
from tests.protocol.vault.cohorts import KEY, vault_in
from tests.protocol.vault.resources import (
    SMALL,
    bring,
    by_key,
    clean,
    cohort,
    held,
    observation,
    patient,
    rows_on_disk,
)

MASKED = {
    "extension": [
        {"url": "http://hl7.org/fhir/StructureDefinition/data-absent-reason", "valueCode": "masked"}
    ]
}


@pytest.fixture
def vault(tmp_path: Path) -> Vault:
    return vault_in(tmp_path)


@pytest.fixture
def records(vault: Vault) -> Records:
    return Records(vault, SMALL)


def again(vault: Vault) -> Vault:
    """The same vault, as another process opens it."""
    return Vault(vault.folder, KEY)


def files_of(vault: Vault) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (vault.folder / "records").glob("*.*")}


def actions(vault: Vault) -> list[dict]:
    return [json.loads(line) for line in (vault.folder / "access.log").read_text().splitlines()]


# ---- what comes in ----


def test_what_comes_in_comes_out(vault: Vault, records: Records) -> None:
    brought = [*cohort(7, 60), clean("Organization", 1, name="a ward"), clean("Organization", 2)]
    work = bring(records, brought)
    assert len(work._runs) > 1, "more than the memory holds"
    assert (work.outcome.new, work.outcome.unchanged, work.outcome.replaced) == (len(brought), 0, 0)
    assert held(records) == by_key(brought)
    assert records.counts() == {"Observation": 420, "Organization": 2, "Patient": 7}
    assert records.patients() == 7
    assert records.verify() == len(brought)
    assert {each.type for each in records.scan(["Organization", "Patient"])} == {"Organization", "Patient"}
    assert {each.patient for each in records.scan(patients=["P3"])} == {"P3"}
    assert [each.type for each in records.scan(["Patient"], ["P3", "P4"])] == ["Patient"] * 2
    assert list(records.scan(["Basic"])) == list(records.scan(patients=["P99"])) == []
    assert held(Records(again(vault))) == by_key(brought)


def test_a_vault_without_records_has_none(vault: Vault, records: Records) -> None:
    assert (records.counts(), records.patients(), records.verify()) == ({}, 0, 0)
    assert list(records.scan()) == list(records.by_patient()) == records.patient_of("P1") == []
    assert records.withdraw("P1") == 0 and records.withdrawn("P1")
    assert not (vault.folder / "records").exists()
    bring(records, [])
    assert vault.verify() == 0 and held(records) == {}


def test_each_patient_comes_with_all_that_is_theirs(records: Records) -> None:
    brought = [*cohort(40, 12), clean("Organization", 1)]
    random.Random(5).shuffle(brought)
    third = len(brought) // 3
    for start in range(0, len(brought), third):
        bring(records, brought[start : start + third])
    found = list(records.by_patient())
    assert [name for name, _ in found] == sorted(f"P{number}" for number in range(40))
    assert all({each.patient for each in resources} == {name} for name, resources in found)
    assert sum(len(resources) for _, resources in found) == 40 * 13
    assert by_key(each for _, resources in found for each in resources) == by_key(cohort(40, 12))
    only = dict(records.by_patient(["Patient"]))
    assert {len(resources) for resources in only.values()} == {1} and len(only) == 40


def test_brought_again_it_is_unchanged_and_nothing_is_written(vault: Vault, records: Records) -> None:
    brought = cohort(5, 50)
    bring(records, brought)
    before = files_of(vault)
    outcome = bring(Records(again(vault), SMALL), reversed(brought)).outcome
    assert (outcome.new, outcome.unchanged, outcome.replaced) == (0, len(brought), 0)
    assert files_of(vault) == before


def test_other_content_takes_the_place_of_what_was_there(vault: Vault, records: Records) -> None:
    bring(records, cohort(5, 50))
    changed = [observation(7, "P0", 1), observation(77, "P1", 1), observation(250, "P9", 0)]
    work = bring(records, changed)
    assert (work.outcome.new, work.outcome.replaced) == (1, 2)
    assert work.outcome.by_type == {"Observation": {"new": 1, "replaced": 2}}
    assert held(records) == by_key([*cohort(5, 50), *changed])
    assert len(rows_on_disk(vault)) == 5 * 51 + 1, "what was replaced is on the disk no longer"


def test_of_one_key_in_an_import_the_last_content_counts(vault: Vault, records: Records) -> None:
    brought = [each for value in range(4) for each in cohort(3, 60, value)]
    outcome = bring(records, brought).outcome
    assert (outcome.new, outcome.replaced, outcome.unchanged) == (183, 540, 9)
    assert held(records) == by_key(cohort(3, 60, 3))
    back = bring(records, [observation(1, "P0", 9), observation(1, "P0", 3)]).outcome
    assert (back.replaced, back.unchanged) == (2, 0)
    assert held(records) == by_key(cohort(3, 60, 3)) and len(rows_on_disk(vault)) == 183


@pytest.mark.parametrize(
    "changed", [patient("P1", aliases=["MRN1", "IPP1"]), clean("Patient", "p1", "P2", aliases=["MRN1"])]
)
def test_another_alias_or_patient_is_a_change_though_the_content_is_the_same(
    records: Records, changed: Clean
) -> None:
    bring(records, [patient("P1", aliases=["MRN1"])])
    assert bring(records, [changed]).outcome.replaced == 1
    assert held(records) == by_key([changed])
    assert bring(records, [changed]).outcome.unchanged == 1


@pytest.mark.parametrize(
    "wrong",
    [
        Clean(b"short", "Patient", "P1", {}, ()), Clean(bytes(16), "", "P1", {}, ()),
        clean("Basic", 1, "P1", note="\ud800 hidden"), clean("Basic", 1, "\ud800 hidden"),
        clean("Basic", 1, aliases=["\ud800 hidden"]), clean("Basic", 1, note=2**70), clean("Basic", 1, note=object()),
    ],
)  # fmt: skip
def test_what_is_no_resource_is_refused_and_nothing_is_kept(records: Records, wrong: Clean) -> None:
    with pytest.raises(DataError) as raised:
        bring(records, [clean("Basic", 2), wrong])
    assert "hidden" not in str(raised.value) and raised.value.__cause__ is None
    assert held(records) == {}


def test_a_resource_may_be_larger_than_the_memory_for_others(records: Records) -> None:
    large = clean("Binary", 1, data="x" * 4 * SMALL)
    bring(records, [large, *cohort(2, 3)])
    assert held(records) == by_key([large, *cohort(2, 3)])


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_whatever_comes_and_goes_the_vault_is_what_a_dictionary_would_be(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    vault = vault_in(tmp_path_factory.mktemp("vault"))
    # Rows of about 1,300 bytes each as they are counted: a run of a few.
    records = Records(vault, 1 << 14)
    model: dict[bytes, Clean] = {}
    gone: set[str] = set()
    resource = st.builds(
        observation, st.integers(0, 30), st.sampled_from(["", "P1", "P2", "P3", "P4"]), st.integers(0, 2)
    )
    for _ in range(data.draw(st.integers(1, 6))):
        if data.draw(st.booleans()) or data.draw(st.booleans()):
            brought = data.draw(st.lists(resource, max_size=60))
            outcome = bring(records, brought).outcome
            kept = [each for each in brought if each.patient not in gone]
            assert outcome.refused_withdrawn == len(brought) - len(kept)
            assert outcome.new + outcome.unchanged + outcome.replaced == len(kept)
            model |= by_key(kept)
        else:
            leaves = data.draw(st.sampled_from(["P1", "P2", "P3"]))
            there = sum(each.patient == leaves for each in model.values())
            assert records.withdraw(leaves) == there or leaves in gone
            gone.add(leaves)
            model = {each.key: each for each in model.values() if each.patient != leaves}
        assert held(records) == model
        assert len(rows_on_disk(vault)) == len(model)
    grouped = {name: by_key(resources) for name, resources in records.by_patient()}
    assert grouped == {
        name: by_key(each for each in model.values() if each.patient == name)
        for name in sorted({each.patient for each in model.values()} - {""})
    }


def test_many_small_imports_leave_few_files(vault: Vault, records: Records) -> None:
    for number in range(40):
        bring(records, [observation(number, f"P{number % 3}")])
        assert len(files_of(vault)) <= record_import._SMALL_FILES + 1
    assert held(records) == by_key(observation(number, f"P{number % 3}") for number in range(40))


def test_no_more_files_than_are_read_at_once_hold_rows_of_one_patient(
    vault: Vault, records: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(record_import, "_SMALL_BYTES", 0)
    brought: list[Clean] = []
    for number in range(30):
        brought += [observation(10 * number + each, f"P{each}") for each in range(10)]
        bring(records, brought[-10:])
        files = Records(vault)._files.manifest().files
        assert record_import._overlap(files) <= record_import._MAX_OVERLAP + 1
    assert held(records) == by_key(brought)


def test_large_deliveries_take_several_files_which_do_not_overlap(
    vault: Vault, records: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(record_files, "FILE_BYTES", 1 << 16)
    monkeypatch.setattr(record_import, "_SMALL_BYTES", 0)
    brought = cohort(9, 70)
    bring(records, brought)
    files = records._files.manifest().files
    assert len(files) > 3 and record_import._overlap(files) == 1
    assert held(records) == by_key(brought)
    before = files_of(vault)
    assert records.withdraw("P4") == 71
    kept = before.items() & files_of(vault).items()
    assert len(kept) >= len(before) - 4, "files that hold nothing of the patient stay"


# ---- whole or not at all ----


def test_an_exception_in_the_middle_leaves_it_as_it_was(vault: Vault, records: Records) -> None:
    bring(records, cohort(3, 20))
    before, spooled = files_of(vault), 0

    def breaking() -> list[Clean]:
        with records.importing() as work:
            for each in cohort(9, 70, 1):
                work.add(each)
            nonlocal spooled
            spooled = len(files_of(vault)) - len(before)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        breaking()
    assert spooled > 0 and files_of(vault) == before
    assert held(records) == by_key(cohort(3, 20))
    assert [each["action"] for each in actions(vault)] == ["import", "read"]


def import_more(vault: Vault) -> None:
    bring(Records(vault, SMALL), cohort(4, 40, 1))


def withdraw_one(vault: Vault) -> None:
    Records(vault, SMALL).withdraw("P1")


@pytest.fixture
def copies(tmp_path: Path) -> Callable[[], Path]:
    """Copies of a home with records of three patients."""
    template = tmp_path / "template"
    bring(Records(vault_in(template), SMALL), cohort(3, 20))
    numbers = count()

    def copy() -> Path:
        home = tmp_path / f"copy-{next(numbers)}"
        shutil.copytree(template, home)
        return home

    return copy


def test_killed_while_importing_it_is_there_or_not_and_can_be_brought_again(
    copies: Callable[[], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(killed, "_MOST_STEPS", 200)
    before, after = by_key(cohort(3, 20)), by_key([*cohort(3, 20), *cohort(4, 40, 1)])
    states = set()
    for each in killed.deaths(copies, import_more):
        vault = Vault(folder_of(each), KEY)
        records = Records(vault, SMALL)
        there = held(records)
        assert there in (before, after)
        states.add((there == after, len(files_of(vault)) > 2))
        vault.verify()
        bring(records, cohort(4, 40, 1))
        assert held(records) == after and len(rows_on_disk(vault)) == len(after)
        assert len(files_of(vault)) == 2, "nothing is left of the killed one"
    assert states == {(False, False), (False, True), (True, True), (True, False)}


def test_killed_while_withdrawing_nothing_of_the_patient_comes_back(copies: Callable[[], Path]) -> None:
    left = by_key(each for each in cohort(3, 20) if each.patient != "P1")
    begun = False
    for each in killed.deaths(copies, withdraw_one):
        vault = Vault(folder_of(each), KEY)
        records = Records(vault, SMALL)
        begun = records.withdrawn("P1")
        assert held(records) == (left if begun else by_key(cohort(3, 20)))
        if begun:
            assert "P1" not in dict(records.by_patient()) and records.patients() == 2
            assert records.counts() == {"Observation": 40, "Patient": 2}
            # Whoever writes next removes it.
            bring(records, [])
            assert {name for _, name in rows_on_disk(vault)} == {"P0", "P2"}
        assert records.withdraw("P1") == 21, "asked again, it says the same"
        assert bring(records, cohort(3, 20)).outcome.refused_withdrawn == 21
        assert held(records) == left
    assert begun


def test_a_full_disk_is_said_and_the_vault_is_as_it_was(
    vault: Vault, records: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    bring(records, cohort(3, 20))
    before = files_of(vault)

    def full(*args: object) -> None:  # noqa: ARG001
        raise OSError(errno.ENOSPC, "No space left on device")

    for action in (lambda: bring(records, cohort(4, 40, 1)), lambda: records.withdraw("P1")):
        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", full)
            with pytest.raises(VaultError, match="cannot be written: No space left"):
                action()
    assert files_of(vault) == before
    assert held(records) == by_key(cohort(3, 20))


def test_an_import_may_go_on_when_there_is_room_again(
    records: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*args: object) -> None:  # noqa: ARG001
        raise OSError(errno.ENOSPC, "No space left on device")

    failed = 0
    with records.importing() as work:
        for number, each in enumerate(cohort(4, 200)):
            with monkeypatch.context() as patch:
                if 250 < number < 500:
                    patch.setattr(os, "fsync", full)
                try:
                    work.add(each)
                except VaultError:
                    failed += 1
    assert failed > 100 and held(records) == by_key(cohort(4, 200))


FULL = """
import resource, signal, sys
from pathlib import Path
from protocol.errors import VaultError
from protocol.vault.records import Records
from protocol.vault.store import Vault, folder_of
from tests.protocol.vault.cohorts import KEY
from tests.protocol.vault.resources import SMALL, bring, cohort
if sys.argv[2] == "limit":
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
records = Records(Vault(folder_of(Path(sys.argv[1])), KEY), SMALL)
noise = __import__("random").Random(1)
brought = cohort(40, 60)
for each in brought:
    each.content["note"] = noise.randbytes(600).hex()
try:
    bring(records, brought)
except VaultError as error:
    print(error)
"""


@pytest.mark.parametrize("kind", ["limit", "disk"])
def test_a_disk_that_fills_up(tmp_path: Path, kind: str) -> None:
    home = tmp_path / "home"
    home.mkdir()
    if kind == "disk":
        mounted = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(home)], capture_output=True, check=False
        )
        if mounted.returncode:
            pytest.skip("no file system may be mounted here")
    try:
        vault = vault_in(home)
        bring(Records(vault, SMALL), cohort(3, 20))
        before = files_of(vault)
        done = subprocess.run(
            [sys.executable, "-c", FULL, str(home), kind], capture_output=True, text=True, check=True
        )
        said = "No space left on device" if kind == "disk" else "File too large"
        assert f"cannot be written: {said}" in done.stdout
        assert files_of(vault) == before
        assert held(Records(vault)) == by_key(cohort(3, 20)) and vault.verify() == 0
        assert bring(Records(vault), cohort(4, 20)).outcome.new == 21
    finally:
        if kind == "disk":
            subprocess.run(["umount", str(home)], check=True)


IMPORTER = """
import sys
from pathlib import Path
from protocol.vault.records import Records
from protocol.vault.store import Vault, folder_of
from tests.protocol.vault.cohorts import KEY
from tests.protocol.vault.resources import SMALL, bring, cohort, observation
first = int(sys.argv[2])
records = Records(Vault(folder_of(Path(sys.argv[1])), KEY), SMALL)
outcome = bring(records, [observation(n, f"P{n % 7}") for n in range(first, first + 400)]).outcome
print(outcome.new, outcome.unchanged)
"""


def test_two_importers_at_once_take_turns(tmp_path: Path, vault: Vault, records: Records) -> None:
    running = [
        subprocess.Popen(
            [sys.executable, "-c", IMPORTER, str(tmp_path), str(first)], stdout=subprocess.PIPE, text=True
        )
        for first in (0, 200)
    ]
    said = [tuple(map(int, each.communicate()[0].split())) for each in running]
    assert sorted(said) == [(200, 200), (400, 0)]
    assert held(records) == by_key(observation(n, f"P{n % 7}") for n in range(600))
    assert len(rows_on_disk(vault)) == 600


def test_within_an_import_nobody_starts_another(records: Records) -> None:
    with records.importing() as work:
        work.add(observation(1, "P1"))
        with pytest.raises(VaultError, match="has to end first"), records.importing():
            pass
        with pytest.raises(VaultError, match="has to end first"):
            records.withdraw("P2")
    assert held(records) == by_key([observation(1, "P1")])


def test_whoever_waits_too_long_is_told(
    vault: Vault, records: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("protocol.vault.disk.PATIENCE_SECONDS", 0.01)
    other = Records(again(vault), SMALL)
    with records.importing(), pytest.raises(VaultError, match="Another process has been writing"):
        other.withdraw("P1")
    assert records.withdrawn("P1"), "and nothing of the patient is given to anybody"


MEMORY = """
import resource, sys
from pathlib import Path
from protocol.vault.records import Records
from tests.protocol.vault.cohorts import vault_in
from tests.protocol.vault.resources import bring, clean
memory = 64 << 20
vault = vault_in(Path(sys.argv[1]))
records = Records(vault, memory)
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10
# What libraries take the first time is no matter of size.
bring(records, [clean("Basic", each, f"P{each % 9}", note="x" * 40) for each in range(100)])
list(records.by_patient())
before = peak()
bring(records, (clean("Observation", each, f"P{each * 7919 % 20_011}", value=each) for each in range(200_000)))
imported = peak() - before
patients = sum(1 for _ in records.by_patient())
print(imported, peak() - before, records.verify(), patients)
"""


def test_two_hundred_thousand_resources_take_no_more_memory_than_they_may(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", MEMORY, str(tmp_path)], capture_output=True, text=True, check=True
    )
    imported, read, verified, patients = map(int, done.stdout.split())
    assert (verified, patients) == (200_100, 20_011)
    # Beside the setting: what the allocator keeps, and 28 bytes for each resource. All of them at once took 200 MiB.
    assert imported <= (64 + 40) << 20
    assert read <= (64 + 40) << 20


# ---- who reads meanwhile ----


def test_a_reader_sees_the_vault_as_it_was_when_it_began_without_who_withdrew_since(records: Records) -> None:
    bring(records, cohort(30, 30))
    reader, grouped = records.scan(), records.by_patient()
    first, (name, resources) = next(reader), next(grouped)
    bring(records, cohort(30, 30, 1))
    assert records.withdraw("P7") == 31
    rest = list(reader)
    assert len({each.key for each in [first, *rest]}) == 1 + len(rest)
    assert {each.content.get("valueInteger") for each in rest} <= {0, None}
    assert {(each, len(found)) for each, found in grouped} | {(name, len(resources))} >= {
        (f"P{number}", 31) for number in range(30) if number != 7
    }
    assert not list(records.scan(patients=["P7"]))


def test_a_reader_looks_again_when_files_were_replaced_while_it_opened_them(
    vault: Vault, records: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    bring(records, cohort(3, 20))
    real, todo = record_files.RecordFiles.opened, [1]

    def opened(self: record_files.RecordFiles, entry: record_files.Entry) -> object:
        if todo:
            todo.pop()
            bring(Records(again(vault), SMALL), cohort(3, 20, 1))
        return real(self, entry)

    monkeypatch.setattr(record_files.RecordFiles, "opened", opened)
    assert held(records) == by_key(cohort(3, 20, 1))


# ---- who withdraws ----


def test_who_withdrew_is_gone_and_refused(vault: Vault, records: Records) -> None:
    bring(records, cohort(3, 20))
    assert records.withdraw("P1") == 21 == records.withdraw("P1")
    left = by_key(each for each in cohort(3, 20) if each.patient != "P1")
    assert held(records) == left and len(rows_on_disk(vault)) == 42
    assert vault.withdrawn("P1") and records.withdrawn("P1") and not records.withdrawn("P0")
    outcome = bring(records, cohort(3, 20, 1)).outcome
    assert outcome.refused_withdrawn == 21 and outcome.by_type["Patient"]["refused_withdrawn"] == 1
    assert "P1" not in {name for _, name in rows_on_disk(vault)}
    assert actions(vault)[1] == {"time": actions(vault)[1]["time"], "action": "withdraw", "resources": 21}


def test_patients_are_found_by_alias_or_pseudonym_when_they_have_withdrawn_too(records: Records) -> None:
    bring(
        records,
        [patient("P1", aliases=["A", "B"]), patient("P2", aliases=["B", "C"]), observation(1, "P3"), clean("Basic", 1)],
    )  # fmt: skip
    for asked, expected in (("A", ["P1"]), ("B", ["P1", "P2"]), ("P3", ["P3"]), ("D", []), ("", [])):
        assert records.patient_of(asked) == expected
    assert records.aliases(["P1", "P3"]) == {"A", "B"}
    records.withdraw("P1")
    assert records.patient_of("A") == records.patient_of("P1") == ["P1"]
    assert records.patient_of("B") == ["P1", "P2"] and records.aliases(["P1"]) == {"A", "B"}


def test_who_withdrew_before_anything_came_is_known_by_an_alias(vault: Vault, records: Records) -> None:
    vault.withdraw("MRN1")
    brought = cohort(3, 20)
    random.Random(3).shuffle(brought)
    outcome = bring(records, brought).outcome
    assert (outcome.new, outcome.refused_withdrawn) == (42, 21)
    assert outcome.by_type["Observation"] == {"new": 40, "refused_withdrawn": 20}
    assert held(records) == by_key(each for each in cohort(3, 20) if each.patient != "P1")
    assert vault.withdrawn("P1"), "under the pseudonym of the records too"
    assert bring(records, [observation(900, "P1")]).outcome.refused_withdrawn == 1


def test_a_patient_who_turns_out_to_have_withdrawn_goes_with_what_was_there(
    vault: Vault, records: Records
) -> None:
    bring(records, [patient("P1"), observation(1, "P1"), observation(2, "P2")])
    vault.withdraw("MRN1")
    outcome = bring(records, [observation(1, "P1", 5), patient("P1", aliases=["MRN1"])]).outcome
    assert (outcome.replaced, outcome.refused_withdrawn) == (0, 2)
    assert {name for _, name in rows_on_disk(vault)} == {"P2"}


def test_an_alias_of_who_withdrew_does_not_come_back_under_another_id(records: Records) -> None:
    bring(records, [patient("P1", aliases=["NIR1"])])
    records.withdraw("P1")
    outcome = bring(records, [patient("P9", aliases=["IPP9", "NIR1"]), observation(1, "P9")]).outcome
    assert outcome.refused_withdrawn == 2 and held(records) == {}


@pytest.mark.parametrize("memory", [SMALL, 16 * SMALL], ids=["runs", "one run"])
def test_who_withdraws_during_an_import_is_not_in_it(vault: Vault, memory: int) -> None:
    with Records(vault, memory).importing() as work:
        for each in cohort(3, 20):
            work.add(each)
        again(vault).refuse(["P1"])
    assert (work.outcome.new, work.outcome.refused_withdrawn) == (42, 21)
    assert {name for _, name in rows_on_disk(vault)} == {"P0", "P2"}


def test_records_of_the_same_individual_go_together(vault: Vault, records: Records) -> None:
    """FHIR: Patient.link and Person.link concern the same individual; RelatedPerson.patient is somebody else."""
    mother = clean("RelatedPerson", "mother", "CHILD", patient={"reference": "Patient/child"})
    brought = [
        patient("OLD"), patient("NEW", "Patient/old", "RelatedPerson/mother"), patient("THIRD"), patient("CHILD"),
        clean("Person", 1, link=[{"target": {"reference": f"Patient/{each}"}} for each in ("third", "new")]),
        observation(1, "NEW"), observation(2, "OLD"), mother, observation(3, "CHILD"), patient("OTHER"),
    ]  # fmt: skip
    bring(records, brought)
    assert records.same_person(["OLD"]) == ["NEW", "OLD", "THIRD"]
    assert records.same_person(["CHILD"]) == ["CHILD"] and records.same_person([]) == []
    assert records.withdraw("OLD") == 7
    assert held(records) == by_key([patient("CHILD"), observation(3, "CHILD"), patient("OTHER")])
    assert records.same_person(["NEW"]) == ["NEW", "OLD", "THIRD"] and records.withdraw("NEW") == 7
    assert {name for name in ("OLD", "NEW", "THIRD", "CHILD") if vault.withdrawn(name)} == {
        "OLD", "NEW", "THIRD",
    }  # fmt: skip
    outcome = bring(records, [*brought, patient("AGAIN", "Patient/third")]).outcome
    assert (outcome.refused_withdrawn, outcome.unchanged) == (8, 3)


def test_individuals_are_those_that_links_connect(records: Records, monkeypatch: pytest.MonkeyPatch) -> None:
    mother = clean("RelatedPerson", "mother", "CHILD", patient={"reference": "Patient/child"})
    brought = [
        patient("OLD"), patient("NEW", "Patient/old", "RelatedPerson/mother"), patient("THIRD"), patient("CHILD"),
        clean("Person", 1, link=[{"target": {"reference": f"Patient/{each}"}} for each in ("third", "new")]),
        observation(1, "NEW"), mother, patient("ALONE", "Patient/nowhere"),
        # Both link to somebody of whom no resource came.
        patient("LEFT", "Patient/elsewhere"), patient("RIGHT", "Patient/elsewhere"),
        clean("Person", 2, link=[{"target": {"reference": "Patient/child"}}]),
    ]  # fmt: skip
    assert records.individuals() == {}
    bring(records, brought)
    monkeypatch.setattr(record_files.Stored, "tables", None)
    one, two = frozenset({"OLD", "NEW", "THIRD"}), frozenset({"LEFT", "RIGHT"})
    found = records.individuals()
    assert found == {**dict.fromkeys(one, one), **dict.fromkeys(two, two)}
    assert all(sorted(group) == records.same_person([name]) for name, group in found.items())


def test_who_was_refused_under_another_id_is_remembered_as_the_same(records: Records) -> None:
    bring(records, [patient("P1", aliases=["NIR1"]), patient("P2", aliases=["NIR2"])])
    records.withdraw("P1")
    bring(records, [patient("P9", aliases=["IPP9", "NIR1"])])
    bring(records, [patient("P10", "Patient/p9"), patient("P11", aliases=["IPP9"])])
    assert records.patient_of("NIR1") == ["P1", "P9"]
    for each in ("P1", "P9", "P10", "P11"):
        assert records.same_person([each]) == ["P1", "P10", "P11", "P9"]
        assert records.withdraw(each) == 1
    assert records.same_person(["P2"]) == ["P2"]


def test_who_withdraws_as_a_relative_of_another_takes_what_is_in_their_own_record(records: Records) -> None:
    mother = clean("RelatedPerson", "mother", "CHILD", patient={"reference": "Patient/child"})
    bring(records, [patient("MOTHER", "RelatedPerson/mother"), patient("CHILD"), mother])
    assert records.withdraw("CHILD") == 2
    [left] = records.scan()
    assert left.patient == "MOTHER" and left.content["link"] == [{"other": MASKED, "type": "seealso"}]


def test_references_to_who_withdrew_are_masked_in_the_records_of_others(
    vault: Vault, records: Records
) -> None:
    mine = clean("Observation", 1, "P1", subject={"reference": "Patient/p1"})
    theirs = clean(
        "Observation",
        2,
        "P2",
        subject={"reference": "Patient/p2"},
        focus=[{"reference": "Patient/p1/_history/3"}],
    )
    group = clean("Group", 1, member=[{"entity": {"reference": f"Patient/p{each}"}} for each in (1, 2, 11)])
    bring(records, [patient("P1"), patient("P2"), mine, theirs, group])
    assert records.withdraw("P1") == 2
    for _ in range(2):
        found = held(records)
        assert found[theirs.key].content == {**theirs.content, "focus": [MASKED]}
        assert found[group.key].content["member"] == [
            {"entity": MASKED}, {"entity": {"reference": "Patient/p2"}}, {"entity": {"reference": "Patient/p11"}},
        ]  # fmt: skip
        assert records.verify() == 3 == len(rows_on_disk(vault))
        # What comes again is masked before it is compared.
        outcome = bring(records, [mine, theirs, group]).outcome
        assert (outcome.unchanged, outcome.refused_withdrawn) == (2, 1)


def test_several_withdraw_at_once(vault: Vault, records: Records) -> None:
    bring(records, cohort(4, 5))
    assert records.withdraw("P1", "P3", "P9") == 12 == records.withdraw("P3", "P1")
    assert records.withdraw("P1") == 6
    assert {name for _, name in rows_on_disk(vault)} == {"P0", "P2"}


# ---- what was altered ----


@pytest.mark.parametrize("kind", ["*.parquet", "manifest.sealed"])
def test_a_flipped_bit_is_noticed_and_no_content_changes(vault: Vault, records: Records, kind: str) -> None:
    bring(records, cohort(2, 3))
    expected = held(records)
    [path] = (vault.folder / "records").glob(kind)
    intact = path.read_bytes()
    noticed = 0
    for place in {*range(0, len(intact), 41), *range(40), *range(len(intact) - 40, len(intact))}:
        altered = bytearray(intact)
        altered[place] ^= 1 << place % 8
        path.write_bytes(altered)
        try:
            assert held(Records(again(vault))) == expected
            again(vault).verify()
        except VaultError:
            noticed += 1
    assert noticed > 40
    path.write_bytes(intact)
    assert held(Records(again(vault))) == expected


def test_a_file_in_the_place_of_another_or_missing_is_noticed(vault: Vault, records: Records) -> None:
    bring(records, cohort(2, 3))
    bring(records, [observation(100, "P5")])
    first, second = sorted((vault.folder / "records").glob("*.parquet"))
    kept = first.read_bytes(), second.read_bytes()
    first.write_bytes(kept[1])
    for use in (lambda: held(records), vault.verify, lambda: bring(records, cohort(2, 3))):
        with pytest.raises(VaultError, match="does not open"):
            use()
    first.unlink()
    with pytest.raises(VaultError, match="lacks a file"):
        held(records)
    first.write_bytes(kept[0])
    assert vault.verify() == 0 and records.verify() == 9


def test_a_lost_manifest_is_said_and_nothing_is_removed(
    tmp_path: Path, vault: Vault, records: Records
) -> None:
    bring(records, cohort(2, 3))
    manifest = vault.folder / "records" / "manifest.sealed"
    kept = manifest.read_bytes()
    manifest.unlink()
    left = files_of(vault)
    uses = (
        vault.verify, again(vault).verify, records.counts, records.patients, lambda: held(records),
        lambda: list(records.by_patient()), lambda: records.patient_of("MRN1"), lambda: bring(records, cohort(3, 3)),
        lambda: records.withdraw("P1"), lambda: backup(vault, tmp_path / "one.backup", "pw"),
    )  # fmt: skip
    for use in uses:
        with pytest.raises(VaultError, match=r"lacks manifest\.sealed") as raised:
            use()
        assert "back-up" in raised.value.hint
        assert files_of(vault) == left
    assert not again(vault).is_unused() and not (tmp_path / "one.backup").exists()
    manifest.write_bytes(kept)
    assert bring(records, cohort(2, 3)).outcome.unchanged == 3 + 1, "P1 was refused meanwhile"
    assert records.verify() == 4


def test_a_manifest_lost_during_an_import_removes_nothing(vault: Vault, records: Records) -> None:
    bring(records, cohort(2, 3))
    before = files_of(vault)

    def breaking() -> None:
        with records.importing() as work:
            for each in cohort(9, 70, 1):
                work.add(each)
            (vault.folder / "records" / "manifest.sealed").unlink()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        breaking()
    assert {*before} - {"manifest.sealed"} <= {*files_of(vault)}


def test_a_first_import_has_a_manifest_before_its_files(vault: Vault, records: Records) -> None:
    with records.importing() as work:
        assert files_of(vault) == {}
        for each in cohort(9, 70):
            work.add(each)
        assert "manifest.sealed" in files_of(vault) and len(files_of(vault)) > 1
        reader = Records(again(vault))
        assert (held(reader), reader.verify(), again(vault).verify()) == ({}, 0, 0)
    assert held(records) == by_key(cohort(9, 70))


def import_first(vault: Vault) -> None:
    bring(Records(vault, SMALL), cohort(4, 40))


def test_killed_while_importing_for_the_first_time_it_can_be_brought_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(killed, "_MOST_STEPS", 200)
    numbers = count()

    def empty() -> Path:
        home = tmp_path / f"copy-{next(numbers)}"
        vault_in(home)
        return home

    spooled = False
    for each in killed.deaths(empty, import_first):
        vault = Vault(folder_of(each), KEY)
        records = Records(vault, SMALL)
        there = held(records)
        assert there in ({}, by_key(cohort(4, 40)))
        spooled |= not there and len(files_of(vault)) > 1
        vault.verify()
        bring(records, cohort(4, 40))
        assert held(records) == by_key(cohort(4, 40)) and len(files_of(vault)) == 2
    assert spooled


@pytest.mark.usefixtures("cheap")
def test_a_back_up_of_a_vault_without_records_or_with_an_import_begun(
    tmp_path: Path, vault: Vault, records: Records
) -> None:
    backup(vault, tmp_path / "none.backup", "pw")
    with records.importing() as work:
        for each in cohort(9, 70):
            work.add(each)
        backup(again(vault), tmp_path / "begun.backup", "pw")
    for name in ("none", "begun"):
        found = restore(tmp_path / f"{name}.backup", "pw", tmp_path / name)
        assert (found.verify(), held(Records(found))) == (0, {})
        assert bring(Records(found), cohort(2, 3)).outcome.new == 8


def test_content_that_is_not_what_its_digest_says_is_noticed(
    vault: Vault, records: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = hashlib.sha256
    with monkeypatch.context() as patch:
        patch.setattr(record_import.hashlib, "sha256", lambda content: real(content + b"x"))
        bring(records, cohort(1, 1))
    with pytest.raises(VaultError, match="not as it was"):
        vault.verify()


def test_another_key_opens_nothing(vault: Vault, records: Records) -> None:
    bring(records, cohort(1, 1))
    with pytest.raises(VaultError):
        held(Records(Vault(vault.folder, bytes(32))))


def test_nothing_on_the_disk_or_in_the_log_can_be_read_without_the_key(
    vault: Vault, records: Records
) -> None:
    bring(records, [*cohort(6, 60), clean("Organization", 1, name="READABLE-WARD")])
    records.withdraw("P1")
    list(records.scan()), list(records.by_patient()), records.patient_of("MRN2"), vault.verify()
    for path in vault.folder.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            for word in (b"MRN", b"Observation", b"READABLE", b"resourceType", b"valueInteger", b"content"):
                assert word not in content, path
            assert path.name == "lock" or path.stat().st_mode & 0o777 == 0o600
    assert [each["action"] for each in actions(vault)] == ["import", "withdraw", "read", "read", "verify"]
    logged = [value for each in actions(vault) for name, value in each.items() if name != "action"]
    assert {type(value) for value in logged} == {int}


# ---- the whole vault ----


@pytest.fixture
def cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(key, "SCRYPT_N", 2)
    monkeypatch.setattr(backup_module, "_SCRYPT_N", 2)


@pytest.mark.usefixtures("cheap")
def test_a_back_up_has_the_records_in_it(tmp_path: Path, vault: Vault, records: Records) -> None:
    brought = [*cohort(5, 50), clean("Organization", 1)]
    bring(records, brought)
    bring(records, [observation(1, "P0", 4)])
    records.withdraw("P3")
    # What a killed import left is no part of it.
    (vault.folder / "records" / "000009-0123456789abcdef.parquet").write_bytes(b"left")
    assert backup(vault, tmp_path / "one.backup", "pw") == 1 + len(records._files.manifest().files) + 1 + 2
    found = restore(tmp_path / "one.backup", "pw", tmp_path / "new")
    again_there = Records(found, SMALL)
    assert held(again_there) == held(records) and found.verify() == 0
    assert again_there.counts() == records.counts() and again_there.withdrawn("P3")
    assert bring(again_there, brought).outcome.refused_withdrawn == 51
    assert {path.stat().st_mode & 0o777 for path in (found.folder / "records").glob("*.*")} == {0o600}


@pytest.mark.usefixtures("cheap")
def test_a_back_up_is_of_one_moment_whatever_comes_and_goes_meanwhile(
    tmp_path: Path, vault: Vault, records: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    bring(records, cohort(3, 20))
    real, todo = backup_module._put, [1]

    def put(archive: object, name: str, *rest: object) -> None:
        if name.endswith("manifest.sealed") and todo:
            todo.pop()
            bring(Records(again(vault), SMALL), cohort(3, 20, 1))
            Records(again(vault), SMALL).withdraw("P1")
        real(archive, name, *rest)

    monkeypatch.setattr(backup_module, "_put", put)
    backup(vault, tmp_path / "one.backup", "pw")
    assert not todo
    found = restore(tmp_path / "one.backup", "pw", tmp_path / "new")
    assert held(Records(found)) == by_key(each for each in cohort(3, 20) if each.patient != "P1")
    bring(Records(found), [])
    assert {name for _, name in rows_on_disk(found)} == {"P0", "P2"}


def test_a_vault_that_holds_records_is_no_unused_one(vault: Vault, records: Records) -> None:
    assert vault.is_unused()
    bring(records, [clean("Basic", 1)])
    assert not again(vault).is_unused()


def test_the_gateway_can_store_images_while_records_come_in(vault: Vault, records: Records) -> None:
    with records.importing() as work:
        work.add(observation(1, "P1"))
        again(vault).refuse(["SOMEBODY"])
        assert again(vault).flush() is None
    assert Counter(each.type for each in records.scan()) == {"Observation": 1}


def test_the_rules_that_resources_came_by_are_remembered(records: Records) -> None:
    for number, digest in enumerate(("bb", "aa", "bb")):
        with records.importing(digest) as work:
            work.add(observation(number, "P"))
    assert records.rules() == ["aa", "bb"]
    with records.importing("cc") as work:
        work.add(observation(0, "P"))
    assert records.rules() == ["aa", "bb"], "nothing came by these"
    records.withdraw("P")
    assert records.rules() == ["aa", "bb"]
