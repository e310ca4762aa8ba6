"""The journal: whole or not at all, never overwritten, bound to its context (invariant 11)."""

from __future__ import annotations

import stat
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from protocol.errors import JournalError
from protocol.node.journal import KEPT_ROUNDS, Journal
from tests.protocol.node.contexts import CONTEXT, UPDATE, place_of


def record_of(folder: Path) -> Path:
    (path,) = folder.glob("*/*.update")
    return path


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    Journal(tmp_path).write(CONTEXT, UPDATE)
    again = Journal(tmp_path).read(CONTEXT)
    assert again is not None and np.array_equal(again, UPDATE)
    assert stat.S_IMODE(record_of(tmp_path).stat().st_mode) == 0o600


def test_nothing_is_read_where_nothing_was_written(tmp_path: Path) -> None:
    assert Journal(tmp_path).read(CONTEXT) is None


def test_a_context_is_journalled_once(tmp_path: Path) -> None:
    """Invariant 11: one context never has two updates."""
    journal = Journal(tmp_path)
    journal.write(CONTEXT, UPDATE)
    with pytest.raises(JournalError, match="already holds"):
        journal.write(CONTEXT, UPDATE + 1)
    assert np.array_equal(journal.read(CONTEXT), UPDATE)


@pytest.mark.parametrize(
    "changed",
    [
        {"round": 3},
        {"attempt": 2},
        {"base": b"\x02" * 32},
        {"hospitals": (1, 2, 4)},
        {"weights": ((1, 3), (1, 3), (1, 3))},
        {"mask_keys": (b"\x01" * 32, b"\x02" * 32, b"\x03" * 32)},
        {"genesis": CONTEXT.genesis[:-2] + "cc"},
        {"contract": CONTEXT.contract[:-2] + "cc"},
        {"chain_id": 1},
    ],
)
def test_another_context_has_a_record_of_its_own(tmp_path: Path, changed: dict) -> None:
    """Invariant 11: the same attempt, opened again in another context, has other streams; and both are kept. Another
    genesis is what a network that was reset has."""
    journal, other = Journal(tmp_path), replace(CONTEXT, **changed)
    journal.write(CONTEXT, UPDATE)
    assert journal.read(other) is None
    journal.write(other, UPDATE + 1)
    assert np.array_equal(journal.read(CONTEXT), UPDATE)
    assert np.array_equal(journal.read(other), UPDATE + 1)


@pytest.mark.parametrize("place", [0, 40, -1])
def test_damage_is_noticed(tmp_path: Path, place: int) -> None:
    journal = Journal(tmp_path)
    journal.write(CONTEXT, UPDATE)
    path = record_of(tmp_path)
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(data)
    with pytest.raises(JournalError, match="damaged"):
        journal.read(CONTEXT)


def test_a_record_cut_short_is_noticed(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.write(CONTEXT, UPDATE)
    path = record_of(tmp_path)
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(JournalError, match="damaged"):
        journal.read(CONTEXT)


def test_a_record_of_another_context_under_this_name_is_not_believed(tmp_path: Path) -> None:
    journal, other = Journal(tmp_path), replace(CONTEXT, attempt=2)
    journal.write(CONTEXT, UPDATE)
    path = record_of(tmp_path)
    path.rename(path.with_name(f"round2-attempt2-{other.digest().hex()[:32]}.update"))
    with pytest.raises(JournalError, match="damaged"):
        journal.read(other)


def test_a_lost_record_is_not_written_again(tmp_path: Path) -> None:
    """Invariant 11: what may have been published and is lost is never replaced by other bytes."""
    journal = Journal(tmp_path)
    journal.write(CONTEXT, UPDATE)
    record_of(tmp_path).unlink()
    for again in (journal, Journal(tmp_path)):
        with pytest.raises(JournalError, match="no longer"):
            again.read(CONTEXT)
        with pytest.raises(JournalError, match="already holds"):
            again.write(CONTEXT, UPDATE + 1)


def test_old_rounds_are_let_go_of_and_still_known(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    for number in range(1, KEPT_ROUNDS + 3):
        journal.write(replace(CONTEXT, round=number), UPDATE)
    assert journal.trim(place_of(CONTEXT), KEPT_ROUNDS + 2) == 2
    assert len(list(tmp_path.glob("*/*.update"))) == KEPT_ROUNDS
    assert np.array_equal(journal.read(replace(CONTEXT, round=3)), UPDATE)
    with pytest.raises(JournalError, match="no longer"):
        journal.read(replace(CONTEXT, round=2))


def test_half_a_record_is_none(tmp_path: Path) -> None:
    """A process killed while it wrote leaves a part, which the next one clears away."""
    Journal(tmp_path).write(replace(CONTEXT, attempt=9), UPDATE)
    part = record_of(tmp_path).with_name("round2-attempt1-00.update.part")
    part.write_bytes(b"half")
    assert Journal(tmp_path).read(CONTEXT) is None
    assert not part.exists()


def test_a_record_whose_context_was_not_listed_yet_is_listed_when_it_is_read(tmp_path: Path) -> None:
    """Killed between the two: the record is there whole, so the same bytes are sent."""
    journal = Journal(tmp_path)
    journal.write(CONTEXT, UPDATE)
    listed = record_of(tmp_path).with_name("contexts")
    listed.write_bytes(b"\nhalf a li")
    assert np.array_equal(journal.read(CONTEXT), UPDATE)
    record_of(tmp_path).unlink()
    with pytest.raises(JournalError, match="no longer"):
        journal.read(CONTEXT)


def test_a_full_disk_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fault that cannot be caused on a shared machine otherwise."""

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    journal = Journal(tmp_path)
    monkeypatch.setattr("protocol.node.places.os.fsync", full)
    with pytest.raises(JournalError, match="No space left"):
        journal.write(CONTEXT, UPDATE)
    monkeypatch.undo()
    assert not list(tmp_path.glob("*/*"))
    assert journal.read(CONTEXT) is None


def test_a_job_that_ended_is_forgotten_and_no_other(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.write(CONTEXT, UPDATE)
    others = [replace(CONTEXT, job_id=11), replace(CONTEXT, genesis="0x" + "dd" * 32)]
    for other in others:
        journal.write(other, UPDATE)
    assert journal.forget(place_of(CONTEXT))
    assert not journal.forget(place_of(CONTEXT))
    assert all(journal.read(other) is not None for other in others)
