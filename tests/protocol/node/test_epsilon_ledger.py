"""The epsilon ledger: counted before training, never too little, never past the budget (DESIGN invariant 3)."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from protocol.errors import BudgetSpent, JournalError
from protocol.learning.privacy import Spending, epsilon, micro
from protocol.node.epsilon_ledger import LEDGER, EpsilonLedger, Training
from protocol.spec import DpSpec

ROOT = Path(__file__).parents[3]
COST = Spending(10.0, 1.0, 3)
DP = DpSpec("record", 10.0, 1.0, 1e-3, "rdp")
AMPLE = 10**12


def training(round: int = 1, attempt: int = 1, job_id: int = 1, chain: str = "0x" + "11" * 32) -> Training:
    return Training(chain, "0x" + "22" * 20, job_id, round, attempt)


def reserve(ledger: EpsilonLedger, *, spent: int = 0, budget: int = AMPLE, cost=COST, dp=DP, **of) -> int:
    return ledger.reserve(training(**of), cost, dp, spent_micro=spent, budget_micro=budget)


def together(*costs: Spending, delta: float = 1e-3, accountant: str = "rdp") -> int:
    return micro(epsilon(costs, delta, accountant))


def test_an_untouched_dataset_has_spent_nothing(tmp_path: Path) -> None:
    assert EpsilonLedger(tmp_path).total_micro() == 0
    assert not (tmp_path / LEDGER).exists()


def test_rounds_compose(tmp_path: Path) -> None:
    ledger = EpsilonLedger(tmp_path)
    totals = [reserve(ledger, round=round) for round in (1, 2, 3)]
    assert totals == [together(*[COST] * rounds) for rounds in (1, 2, 3)]
    assert totals[2] < 3 * totals[0]
    assert ledger.total_micro() == totals[2]


def test_attempts_and_restarts_of_one_round_each_count(tmp_path: Path) -> None:
    reserve(EpsilonLedger(tmp_path))
    assert reserve(EpsilonLedger(tmp_path), attempt=2) == together(COST, COST)
    # The node was killed while it trained, and trains the same attempt again.
    assert reserve(EpsilonLedger(tmp_path), attempt=2) == together(COST, COST, COST)


def test_two_jobs_on_one_dataset_compose(tmp_path: Path) -> None:
    ledger, other = EpsilonLedger(tmp_path), Spending(4.0, 0.25, 8)
    reserve(ledger)
    assert reserve(ledger, cost=other, job_id=2) == together(COST, other)
    assert reserve(ledger, round=2) == together(COST, other, COST)


def test_a_new_chain_buys_no_fresh_budget(tmp_path: Path) -> None:
    ledger = EpsilonLedger(tmp_path)
    reserve(ledger)
    assert reserve(ledger, chain="0x" + "33" * 32, spent=0) == together(COST, COST)


def test_past_the_budget_nothing_is_counted_and_nothing_may_be_trained(tmp_path: Path) -> None:
    ledger = EpsilonLedger(tmp_path)
    budget = together(COST, COST)
    reserve(ledger, budget=budget)
    assert reserve(ledger, round=2, budget=budget) == budget
    before = (tmp_path / LEDGER).read_bytes()
    with pytest.raises(BudgetSpent, match="Nothing was trained"):
        reserve(ledger, round=3, budget=budget)
    with pytest.raises(BudgetSpent):
        reserve(EpsilonLedger(tmp_path / "other_of_no_budget"), budget=0)
    assert (tmp_path / LEDGER).read_bytes() == before
    assert ledger.total_micro() == budget


def test_a_forecast_counts_nothing(tmp_path: Path) -> None:
    ledger = EpsilonLedger(tmp_path)
    reserve(ledger)
    assert ledger.forecast(Spending(10.0, 1.0, 33), DP, spent_micro=0) == together(*[COST] * 12)
    assert ledger.total_micro() == together(COST)


def test_the_total_never_falls_when_a_tighter_accountant_takes_over(tmp_path: Path) -> None:
    ledger = EpsilonLedger(tmp_path)
    before = [reserve(ledger, round=round) for round in range(1, 30)][-1]
    tight = DpSpec("record", 60.0, 1.0, 1e-3, "prv")
    cost = Spending(60.0, 1.0, 1)
    assert together(*[COST] * 29, cost, accountant="prv") < before
    assert reserve(ledger, cost=cost, dp=tight, job_id=2) == before


def test_the_smallest_delta_of_any_job_speaks_for_all(tmp_path: Path) -> None:
    ledger = EpsilonLedger(tmp_path)
    reserve(ledger)
    stricter = DpSpec("record", 10.0, 1.0, 1e-5, "rdp")
    assert reserve(ledger, dp=stricter, job_id=2) == together(COST, COST, delta=1e-5)
    assert reserve(ledger, round=2) == together(COST, COST, COST, delta=1e-5)


def test_what_only_the_chain_knows_of_is_carried_over(tmp_path: Path) -> None:
    """An old back-up was restored: the chain says more was spent than the file holds."""
    ledger = EpsilonLedger(tmp_path)
    reserve(ledger)
    carried = 2_000_000
    assert reserve(ledger, round=9, spent=carried) == carried + together(COST)
    # Later ones compose with those that the file holds since, on top of it.
    assert reserve(ledger, round=10, spent=carried + together(COST)) == carried + together(COST, COST)
    assert ledger.forecast(COST, DP, spent_micro=0) == carried + together(COST, COST, COST)


def test_it_is_never_below_the_chain(tmp_path: Path) -> None:
    assert reserve(EpsilonLedger(tmp_path), spent=5_000_000) > 5_000_000
    with pytest.raises(BudgetSpent):
        reserve(EpsilonLedger(tmp_path), spent=6_000_000, budget=6_000_000)


def test_a_line_cut_short_never_counted_and_is_written_over(tmp_path: Path) -> None:
    """A crash while the line was written: it was not synced, so nothing was trained on it."""
    ledger = EpsilonLedger(tmp_path)
    reserve(ledger)
    whole = (tmp_path / LEDGER).read_bytes()
    (tmp_path / LEDGER).write_bytes(whole + whole[:40])
    assert ledger.total_micro() == together(COST)
    assert reserve(ledger, round=2) == together(COST, COST)
    assert len((tmp_path / LEDGER).read_bytes().splitlines()) == 2


@pytest.mark.parametrize("damage", [b"nonsense\n", b"{}\n", b'{"round":1}\n'])
def test_a_damaged_ledger_stops_all_private_training(tmp_path: Path, damage: bytes) -> None:
    ledger = EpsilonLedger(tmp_path)
    reserve(ledger)
    with (tmp_path / LEDGER).open("ab") as file:
        file.write(damage)
    with pytest.raises(JournalError, match="damaged"):
        reserve(ledger, round=2)


def test_only_its_owner_may_read_it(tmp_path: Path) -> None:
    reserve(EpsilonLedger(tmp_path))
    assert (tmp_path / LEDGER).stat().st_mode & 0o777 == 0o600


def test_no_training_without_a_place_to_count_it(tmp_path: Path) -> None:
    (tmp_path / LEDGER).mkdir()
    with pytest.raises(JournalError, match="cannot be"):
        reserve(EpsilonLedger(tmp_path))


def test_a_node_killed_between_reservation_and_training_has_counted(tmp_path: Path) -> None:
    script = textwrap.dedent(
        """
        import os, signal, sys
        from pathlib import Path
        from protocol.node.epsilon_ledger import EpsilonLedger, Training
        from protocol.learning.privacy import Spending
        from protocol.spec import DpSpec

        training = Training("0x" + "11" * 32, "0x" + "22" * 20, 1, 1, 1)
        dp = DpSpec("record", 10.0, 1.0, 1e-3, "rdp")
        EpsilonLedger(Path(sys.argv[1])).reserve(
            training, Spending(10.0, 1.0, 3), dp, spent_micro=0, budget_micro=10**12
        )
        os.kill(os.getpid(), signal.SIGKILL)
        """
    )
    killed = subprocess.run([sys.executable, "-c", script, str(tmp_path)], cwd=ROOT, check=False)
    assert killed.returncode == -signal.SIGKILL
    ledger = EpsilonLedger(tmp_path)
    assert ledger.total_micro() == together(COST)
    assert reserve(ledger) == together(COST, COST)


def test_the_line_is_synced_before_the_training_begins(tmp_path: Path, monkeypatch) -> None:
    synced: list[str] = []
    real = os.fsync
    monkeypatch.setattr(
        "os.fsync", lambda file: (synced.append(os.readlink(f"/proc/self/fd/{file}")), real(file))
    )
    reserve(EpsilonLedger(tmp_path))
    assert synced == [str(tmp_path / LEDGER), str(tmp_path)]
