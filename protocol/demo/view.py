"""The live view of a running job: round, each hospital's state, loss, gas and seconds."""

from __future__ import annotations

import time

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from protocol.chain.jobs import Job


class RoundView:
    """Redraws in place on a terminal; elsewhere prints a line for each round."""

    def __init__(self, console: Console, names: list[str], rounds: int) -> None:
        self.console, self.names, self.rounds = console, names, rounds
        self.seconds: dict[int, float] = {}
        self._notes: list[str] = []
        self._round = 0
        self._since = time.monotonic()
        self._live = (
            Live(console=console, refresh_per_second=5, transient=True) if console.is_terminal else None
        )

    def __enter__(self) -> RoundView:
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live:
            self._live.stop()
            for note in self._notes:
                self.console.print(note, highlight=False)

    def note(self, text: str) -> None:
        """A line that stays."""
        self._notes.append(text)
        if not self._live:
            self.console.print(text, highlight=False)

    def update(self, job: Job, statuses: dict[str, dict], job_id: int) -> None:
        """Shows the job as the chain has it, and what each node says of itself."""
        now = time.monotonic()
        if job.round != self._round:
            if self._round:
                self.seconds[self._round] = now - self._since
                if not self._live:
                    self.console.print(
                        f"   round {self._round:>3} of {self.rounds}  {self.seconds[self._round]:5.1f} s  "
                        + "  ".join(
                            f"{name} {_figure(_job(statuses[name], job_id), 'loss')}" for name in self.names
                        ),
                        highlight=False,
                    )
            self._round, self._since = job.round, now
        if self._live:
            self._live.update(self._draw(job, statuses, job_id, now))

    def _draw(self, job: Job, statuses: dict[str, dict], job_id: int, now: float) -> Group:
        title = (
            f"{job.status.name.lower()}: round {min(job.round, self.rounds)} of {self.rounds}, "
            f"{job.final_rounds} final, {now - self._since:.1f} s in this round"
        )
        table = Table(title=title, title_justify="left")
        for column in ("hospital", "doing", "loss", "accuracy here", "training s", "gas"):
            table.add_column(column, justify="left" if column in ("hospital", "doing") else "right")
        for name in self.names:
            mine = _job(statuses[name], job_id)
            table.add_row(
                name,
                Text(str(statuses[name].get("doing", "")), overflow="ellipsis", no_wrap=True),
                _figure(mine, "loss"),
                _figure(mine, "accuracy"),
                _figure(mine, "train_seconds"),
                f"{mine.get('gas_used', 0):,}",
            )
        return Group(table, *(Text.from_markup(note, style="yellow") for note in self._notes))


def _job(status: dict, job_id: int) -> dict:
    return status.get("jobs", {}).get(str(job_id), {})


def _figure(mine: dict, name: str) -> str:
    value = mine.get(name)
    return "-" if value is None else f"{value:.3f}"
