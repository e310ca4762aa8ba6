"""What differential privacy has cost a dataset so far: every training that was ever begun on it.

The ledger is a file in the dataset's folder, over all versions, consents, jobs and chains, because the loss is the
records'. A line is written and synced **before** training starts, so that a node killed at any point has counted too
much, never too little: an attempt that was begun twice counts twice.

    one line    canonical JSON: what was trained for, its steps, and the total in millionths with it

The total is the epsilon of all lines together, by composition, at the smallest delta that any of them asked for. It
never falls. Where the chain knows of more than this file, as after an old back-up was restored, the chain's figure is
carried over and what follows is added to it (basic composition: the deltas add too).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock

from protocol.content import canonical
from protocol.errors import BudgetSpent, InvalidInput, JournalError
from protocol.learning.privacy import MICRO, Spending, epsilon, micro
from protocol.spec import DpSpec

LEDGER = "epsilon.jsonl"


@dataclass(frozen=True, slots=True)
class Training:
    """What epsilon is spent on. ``chain``: the genesis hash; ``contract``: the address of TrainingJobs."""

    chain: str
    contract: str
    job_id: int
    round: int
    attempt: int


@dataclass(frozen=True, slots=True)
class _Line:
    """``carried_micro``: what the chain said was spent by trainings that this file does not hold; else 0."""

    training: Training
    cost: Spending
    delta: float
    accountant: str
    carried_micro: int
    total_micro: int

    def to_bytes(self) -> bytes:
        return (
            canonical.dumps(
                {
                    "chain": self.training.chain,
                    "contract": self.training.contract,
                    "job": self.training.job_id,
                    "round": self.training.round,
                    "attempt": self.training.attempt,
                    "noise_multiplier": self.cost.noise_multiplier,
                    "sample_rate": self.cost.sample_rate,
                    "steps": self.cost.steps,
                    "delta": self.delta,
                    "accountant": self.accountant,
                    "carried_micro": self.carried_micro,
                    "total_micro": self.total_micro,
                }
            )
            + b"\n"
        )

    @classmethod
    def parse(cls, data: bytes) -> _Line:
        """Raises InvalidInput or KeyError."""
        held = canonical.loads(data)
        return cls(
            Training(held["chain"], held["contract"], held["job"], held["round"], held["attempt"]),
            Spending(float(held["noise_multiplier"]), float(held["sample_rate"]), held["steps"]),
            float(held["delta"]),
            held["accountant"],
            held["carried_micro"],
            held["total_micro"],
        )


class EpsilonLedger:
    """The ledger of the dataset in ``folder``."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / LEDGER
        self._lock = FileLock(folder / f".{LEDGER}.lock")

    def total_micro(self) -> int:
        """What every training begun so far has spent together, in millionths. Raises JournalError."""
        with self._held() as (lines, _):
            return lines[-1].total_micro if lines else 0

    def forecast(self, cost: Spending, dp: DpSpec, *, spent_micro: int) -> int:
        """What the total would be with one more training of this cost; nothing is written.

        ``spent_micro`` is the dataset's total on the chain. Raises JournalError, LearningError.
        """
        with self._held() as (lines, _):
            return _total(lines, cost, dp, spent_micro)[1]

    def reserve(
        self, training: Training, cost: Spending, dp: DpSpec, *, spent_micro: int, budget_micro: int
    ) -> int:
        """Counts one more training, before it begins; returns the new total in millionths, at least ``spent_micro``.

        It is on the disk when this returns. Raises BudgetSpent when the total would pass ``budget_micro``, the budget
        of the consent in use: then nothing was counted, and nothing may be trained. Raises JournalError, LearningError.
        """
        with self._held() as (lines, valid):
            carried, total = _total(lines, cost, dp, spent_micro)
            if total > budget_micro:
                raise BudgetSpent(
                    f"Training would bring the dataset's epsilon to {total / MICRO:g}; the consent's budget is"
                    f" {budget_micro / MICRO:g}.",
                    "Nothing was trained. The hospital's admin decides whether to mint a consent with a larger budget.",
                )
            line = _Line(training, cost, dp.delta, dp.accountant, carried, total)
            self._append(line.to_bytes(), valid)
            return total

    @contextmanager
    def _held(self) -> Iterator[tuple[list[_Line], int]]:
        """The lines, and how many bytes they take, while no other process writes."""
        with self._lock:
            try:
                data = self.path.read_bytes()
            except FileNotFoundError:
                data = b""
            except OSError as error:
                raise JournalError(f"{self.path} cannot be read: {error.strerror}.") from error
            # What follows the last line's end was never synced, so no training began on it.
            valid = data.rfind(b"\n") + 1
            try:
                lines = [_Line.parse(line) for line in data[:valid].splitlines()]
            except (InvalidInput, KeyError, TypeError, ValueError) as error:
                raise JournalError(
                    f"The epsilon ledger {self.path} is damaged.",
                    "Restore it from a back-up; the node trains nothing with differential privacy meanwhile.",
                ) from error
            yield lines, valid

    def _append(self, line: bytes, valid: int) -> None:
        try:
            new = not self.path.exists()
            descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.truncate(valid)
                file.seek(valid)
                file.write(line)
                file.flush()
                os.fsync(file.fileno())
            if new:
                folder = os.open(self.path.parent, os.O_RDONLY)
                try:
                    os.fsync(folder)
                finally:
                    os.close(folder)
        except OSError as error:
            raise JournalError(
                f"The epsilon ledger {self.path} cannot be written: {error.strerror}.",
                "Free space on the disk; the node trains nothing that it has not counted.",
            ) from error


def _total(lines: list[_Line], cost: Spending, dp: DpSpec, spent_micro: int) -> tuple[int, int]:
    """What must be carried over from the chain now (0: nothing new), and the total, with one more training."""
    known = lines[-1].total_micro if lines else 0
    carried = spent_micro if spent_micro > known else 0
    since: list[_Line] = []
    base = carried
    if not carried:
        last = max((i for i, line in enumerate(lines) if line.carried_micro), default=0)
        since = lines[last:]
        base = since[0].carried_micro if since else 0
    delta = min([dp.delta, *(line.delta for line in lines)])
    spent = epsilon([*(line.cost for line in since), cost], delta, dp.accountant)
    return carried, max(known, spent_micro, base + micro(spent))
