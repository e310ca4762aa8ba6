"""The journal: whole or not at all, never overwritten, bound to its context."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from protocol.errors import JournalError
from protocol.node.journal import Context, Journal

CONTEXT = Context(
    "0x" + "aa" * 32, "0x" + "bb" * 20, 1, 2, 1, b"\x01" * 32, (1, 2, 3), ((1, 2), (1, 4), (1, 4))
)
UPDATE = np.arange(-500, 500, dtype=np.int32)


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    Journal(tmp_path).write(CONTEXT, UPDATE)
    again = Journal(tmp_path).read(CONTEXT)
    assert again is not None and np.array_equal(again, UPDATE)


def test_nothing_is_read_where_nothing_was_written(tmp_path: Path) -> None:
    assert Journal(tmp_path).read(CONTEXT) is None


def test_an_attempt_is_journalled_once(tmp_path: Path) -> None:
    """Invariant 11 rests on it: one attempt never has two updates."""
    journal = Journal(tmp_path)
    journal.write(CONTEXT, UPDATE)
    with pytest.raises(JournalError, match="already holds"):
        journal.write(CONTEXT, UPDATE + 1)
    assert np.array_equal(journal.read(CONTEXT), UPDATE)


@pytest.mark.parametrize(
    "changed",
    [
        {"base": b"\x02" * 32},
        {"hospitals": (1, 2)},
        {"weights": ((1, 3), (1, 3), (1, 3))},
        {"genesis": CONTEXT.genesis[:10] + "cc" * 28},
    ],
)
def test_another_context_for_the_same_attempt_is_refused(tmp_path: Path, changed: dict) -> None:
    journal = Journal(tmp_path)
    journal.write(CONTEXT, UPDATE)
    with pytest.raises(JournalError, match="another context"):
        journal.read(replace(CONTEXT, **changed))


def test_another_attempt_has_a_record_of_its_own(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.write(CONTEXT, UPDATE)
    assert journal.read(replace(CONTEXT, attempt=2)) is None


def test_damage_is_noticed(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.write(CONTEXT, UPDATE)
    (path,) = tmp_path.glob("*.update")
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(JournalError, match="damaged"):
        journal.read(CONTEXT)


def test_half_a_record_is_none(tmp_path: Path) -> None:
    """A process killed while it wrote leaves a part, which the next one clears away."""
    Journal(tmp_path)
    (tmp_path / "aaaa-job1-round2-attempt1.part").write_bytes(b"half")
    assert Journal(tmp_path).read(CONTEXT) is None
    assert not list(tmp_path.glob("*.part"))


def test_a_full_disk_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fault that cannot be caused on a shared machine otherwise."""

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    journal = Journal(tmp_path)
    monkeypatch.setattr("protocol.node.journal.os.fsync", full)
    with pytest.raises(JournalError, match="No space left"):
        journal.write(CONTEXT, UPDATE)
    assert not list(tmp_path.iterdir())


def test_a_job_that_ended_is_forgotten_and_no_other(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.write(CONTEXT, UPDATE)
    other_chain = replace(CONTEXT, genesis="0x" + "dd" * 32)
    journal.write(replace(CONTEXT, job_id=11), UPDATE)
    journal.write(other_chain, UPDATE)
    assert journal.forget(CONTEXT.genesis, CONTEXT.contract, 1) == 1
    assert journal.read(replace(CONTEXT, job_id=11)) is not None
    assert journal.read(other_chain) is not None
