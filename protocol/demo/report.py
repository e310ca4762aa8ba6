"""What the demonstration found: tables for people, ``report.json`` for programs, a picture of the learning curves."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

import matplotlib
from matplotlib.figure import Figure
from rich.console import Console
from rich.table import Table

from protocol.chain.client import Chain
from protocol.chain.events import Event
from protocol.demo.ultrasound import UltrasoundResult

matplotlib.use("Agg")

TOKEN_UNIT = 10**18


@dataclass
class HospitalResult:
    """One hospital: its data, what it reaches alone, what the common model reaches on its held-out records."""

    hospital_id: int
    name: str
    train_records: int
    held_out_records: int
    rounds: int
    alone: float
    alone_on_all: float
    together: float
    curve: list[tuple[int, float]]


@dataclass
class RoundResult:
    """One round as the chain timed it: seconds from its opening to its merge, and all gas spent on it."""

    number: int
    participants: int
    seconds: float
    gas: int


@dataclass
class RecordsResult:
    """What became of the patient who withdrew. ``erased``: places that hold nothing since; ``registered``: how many
    withdrawals the record of processing activities shows."""

    hospital: str
    resources: int
    dataset_id: int
    versions: list[int]
    erased: int
    models: list[str]
    registered: int


@dataclass
class DemoReport:
    """All figures of one run."""

    dataset: str
    privacy: str
    job_id: int
    model_id: int
    version: int
    state_cid: str
    revoked: str
    revoked_from_round: int
    hospitals: list[HospitalResult]
    pooled_together: float
    pooled_central: float
    rounds: list[RoundResult]
    gas: dict[str, list[int]]
    payments: dict[str, dict[str, int]]
    reward_token: str
    books: dict[str, int]
    trace_ok: bool
    trace_checks: int
    predictions: int
    predictions_right: int
    seconds: float
    ultrasound: UltrasoundResult | None = None
    records: RecordsResult | None = None

    def write(self, folder: Path) -> tuple[Path, Path]:
        """Writes ``report.json`` and ``learning-curves.png``; returns their paths."""
        folder.mkdir(parents=True, exist_ok=True)
        document = folder / "report.json"
        document.write_text(json.dumps(asdict(self), indent=2) + "\n", encoding="utf-8")
        return document, self.draw(folder / "learning-curves.png")

    def draw(self, path: Path) -> Path:
        """Accuracy on each hospital's held-out records, round by round; dashed: what it reaches alone."""
        figure = Figure(figsize=(9, 5), layout="constrained")
        axes = figure.add_subplot()
        for index, hospital in enumerate(self.hospitals):
            colour = f"C{index}"
            axes.plot(
                *zip(*hospital.curve, strict=True),
                color=colour,
                label=f"{hospital.name} (n={hospital.held_out_records})",
            )
            axes.axhline(hospital.alone, color=colour, linestyle=":", linewidth=1)
        numbers = sorted(set.intersection(*(set(dict(hospital.curve)) for hospital in self.hospitals)))
        total = sum(hospital.held_out_records for hospital in self.hospitals)
        pooled = [
            sum(dict(hospital.curve)[number] * hospital.held_out_records for hospital in self.hospitals)
            / total
            for number in numbers
        ]
        axes.plot(numbers, pooled, color="black", linewidth=2.5, label=f"all held-out records (n={total})")
        axes.axvline(self.revoked_from_round - 0.5, color="grey", linestyle="--", linewidth=1)
        axes.annotate(
            f"{self.revoked} has revoked",
            (self.revoked_from_round - 0.4, axes.get_ylim()[0]),
            fontsize=8,
            color="grey",
            va="bottom",
        )
        axes.set(
            xlabel="round",
            ylabel="accuracy on held-out records",
            title=f"{self.dataset}: one model, no record moved",
        )
        axes.legend(fontsize=8, title="solid: together, dotted: alone", title_fontsize=8)
        axes.grid(alpha=0.3)
        figure.savefig(path, dpi=120)
        return path

    def show(self, console: Console) -> None:
        """The tables."""
        accuracy = Table(title="Accuracy on held-out records", title_justify="left")
        for name in (
            "hospital",
            "training",
            "held out",
            "rounds",
            "alone",
            "together",
            "gain",
            "alone, on all records",
        ):
            accuracy.add_column(name, justify="left" if name == "hospital" else "right")
        for hospital in self.hospitals:
            accuracy.add_row(
                hospital.name,
                str(hospital.train_records),
                str(hospital.held_out_records),
                str(hospital.rounds),
                f"{hospital.alone:.3f}",
                f"{hospital.together:.3f}",
                f"{hospital.together - hospital.alone:+.3f}",
                f"{hospital.alone_on_all:.3f}",
            )
        accuracy.add_section()
        accuracy.add_row(
            "all records",
            str(sum(hospital.train_records for hospital in self.hospitals)),
            str(sum(hospital.held_out_records for hospital in self.hospitals)),
            "",
            "",
            f"{self.pooled_together:.3f}",
        )
        console.print(accuracy)
        console.print(
            f"Trained in one place on all records (which no hospital may do): {self.pooled_central:.3f}\n"
        )
        self._show_payments(console)
        self._show_gas(console)
        if self.ultrasound:
            self._show_ultrasound(console, self.ultrasound)
        if self.records:
            self._show_records(console, self.records)

    def _show_ultrasound(self, console: Console, found: UltrasoundResult) -> None:
        table = Table(title=f"Ultrasound at {found.hospital}", title_justify="left", show_header=False)
        table.add_row("sent now", str(found.sent))
        table.add_row("clean in the vault", str(found.clean))
        for reason, count in found.kept_back.items():
            table.add_row(f"in quarantine: {reason}", str(count))
        table.add_row(f"versions of dataset {found.dataset_id}", ", ".join(map(str, found.versions)))
        console.print(table)

    def _show_records(self, console: Console, found: RecordsResult) -> None:
        table = Table(
            title=f"A patient of {found.hospital} withdrew", title_justify="left", show_header=False
        )
        table.add_row("resources removed from the vault", str(found.resources))
        table.add_row(
            f"versions of dataset {found.dataset_id}, with and without", ", ".join(map(str, found.versions))
        )
        table.add_row("places that hold nothing since, by the proof of erasure", str(found.erased))
        table.add_row("models that had learned from the record", ", ".join(found.models) or "none")
        console.print(table)

    def _show_payments(self, console: Console) -> None:
        table = Table(title=f"Who was paid what ({self.reward_token})", title_justify="left")
        for name in ("", "payout", "caregivers", "patients"):
            table.add_column(name, justify="right" if name else "left")
        for name, funds in self.payments.items():
            table.add_row(name, *(_tokens(funds.get(fund)) for fund in ("payout", "caregivers", "patients")))
        console.print(table)
        console.print(
            f"Paid in {_tokens(self.books['paid_in'])} = paid out {_tokens(self.books['paid_out'])}"
            f" + still held {_tokens(self.books['held'])}\n"
        )

    def _show_gas(self, console: Console) -> None:
        table = Table(title="Gas per operation", title_justify="left")
        for name in ("operation", "times", "median", "most"):
            table.add_column(name, justify="left" if name == "operation" else "right")
        for operation, used in self.gas.items():
            table.add_row(operation, str(len(used)), f"{median(used):,.0f}", f"{max(used):,}")
        console.print(table)
        rounds = Table(title="Rounds", title_justify="left")
        for name in ("round", "hospitals", "seconds", "gas"):
            rounds.add_column(name, justify="right")
        for each in self.rounds:
            rounds.add_row(str(each.number), str(each.participants), f"{each.seconds:.1f}", f"{each.gas:,}")
        console.print(rounds)


def gas_by_operation(chain: Chain, events: list[Event]) -> dict[str, list[int]]:
    """Gas of each transaction behind the events, by contract function."""
    used: dict[str, list[int]] = defaultdict(list)
    for tx_hash in dict.fromkeys(event.tx_hash for event in events):
        operation, gas = chain.cost_of(tx_hash)
        used[operation].append(gas)
    return dict(sorted(used.items()))


def _tokens(amount: int | None) -> str:
    return "" if amount is None else f"{amount / TOKEN_UNIT:,.2f}"
