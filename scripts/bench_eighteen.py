"""A masked, attested round of 18 hospitals on one machine, a node process each: seconds, and gas with everything in it.

python scripts/bench_eighteen.py
"""

from __future__ import annotations

import json
import tempfile
from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import bench_rounds
import numpy as np
from bench_stage import Stage
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from protocol.chain.events import events
from protocol.data.splits import HELD_OUT, TRAIN, HospitalRecords
from protocol.demo.data import DemoData

HOSPITALS = 18
WARM_UP = 1
MEASURED = 4
# As many as the demonstration's job has.
JOB_ROUNDS = 12
# Eighteen nodes begin on two cores.
PATIENCE_SECONDS = 1_200
LIMIT_GAS = 110_000
MERGE = {"server_step": 65_536, "max_weight_bps": 10_000, "clip_norm": 10}
RULES = {
    "one sum of all": {**MERGE, "rule": "mean"},
    "median of six groups": {**MERGE, "rule": "median", "groups": 6},
}


def run(stage: Stage, data: DemoData) -> dict[str, Any]:
    """Seconds of a round and gas for each hospital and round, for each of ``RULES``.

    Raises DevnetError when a node stops or a job takes too long.
    """
    many = replace(data, hospitals=dealt(data))
    return {name: _job(stage, many, merge) for name, merge in RULES.items()}


def dealt(data: DemoData) -> list[HospitalRecords]:
    """The records of all hospitals dealt out to 18, those for training and those held out each in turn."""
    records = [record for hospital in data.hospitals for record in hospital.records]
    splits = np.concatenate([hospital.splits for hospital in data.hospitals])
    hands: list[list[int]] = [[] for _ in range(HOSPITALS)]
    for side in (TRAIN, HELD_OUT):
        for turn, place in enumerate(np.flatnonzero(splits == side)):
            hands[turn % HOSPITALS].append(int(place))
    return [
        HospitalRecords(f"hospital-{number}", [records[place] for place in hand], splits[hand])
        for number, hand in enumerate(hands, start=1)
    ]


def _job(stage: Stage, data: DemoData, merge: dict[str, Any]) -> dict[str, Any]:
    result = bench_rounds.run(
        stage, data, warm_up=WARM_UP, measured=MEASURED, patience_seconds=PATIENCE_SECONDS, merge=merge
    )
    return {**result, "gas": _gas(stage, result["job_id"], WARM_UP)}


def _gas(stage: Stage, job_id: int, warm_up: int) -> dict[str, Any]:
    """Gas of every transaction of a job. A round's are those after the merge before it, up to its own."""
    found = list(events(stage.chain, "TrainingJobs", jobId=job_id))
    merged = [(event.place, event.args["round"]) for event in found if event.name == "Merged"]
    rounds: dict[int, int] = defaultdict(int)
    functions: dict[str, list[int]] = defaultdict(list)
    whole = 0
    # In order of the chain: of each transaction the first event, which a merge's own is never after.
    for tx_hash, place in {event.tx_hash: event.place for event in reversed(found)}.items():
        function, used = stage.chain.cost_of(tx_hash)
        functions[function].append(used)
        whole += used
        number = next((number for until, number in merged if place <= until), None)
        if number is not None and number > warm_up:
            rounds[number] += used
    return {
        "each": {number: used / HOSPITALS for number, used in sorted(rounds.items())},
        "median": median(rounds.values()) / HOSPITALS,
        "whole_job_each": _over(
            whole / HOSPITALS, warm_up + len(rounds), median(rounds.values()) / HOSPITALS
        ),
        "functions": {name: [len(used), median(used)] for name, used in sorted(functions.items())},
        "limit": LIMIT_GAS,
    }


def _over(job: float, rounds: int, round_: float) -> float:
    """Gas for each of ``JOB_ROUNDS`` rounds, by what a shorter job took and a round in it."""
    return (job + (JOB_ROUNDS - rounds) * round_) / JOB_ROUNDS


def show(result: dict[str, Any], console: Console) -> None:
    """Prints seconds and gas by rule."""
    one = next(iter(result.values()))
    table = Table(
        title=f"{one['hospitals']} hospitals, a node each, {one['parameters']:,} parameters, privacy: {one['privacy']}",
        box=SIMPLE,
    )
    for column in ("", "seconds of a round", "least", "most", f"gas, each hospital (limit {LIMIT_GAS:,})"):
        table.add_column(column, justify="right" if column else "left")
    for name, each in result.items():
        seconds = [part["seconds"] for part in each["rounds"]]
        cells = (f"{value:.1f}" for value in (median(seconds), min(seconds), max(seconds)))
        table.add_row(name, *cells, f"{each['gas']['median']:,.0f}")
    console.print(table)
    for name, each in result.items():
        console.print(
            f"{name}: with enrolment, last attestations, reports and end, reckoned for a job of {JOB_ROUNDS} rounds:"
            f" {each['gas']['whole_job_each']:,.0f} gas for each hospital and round."
        )


if __name__ == "__main__":
    console = Console()
    with (
        tempfile.TemporaryDirectory(prefix="salus-bench-") as home,
        Stage(Path(home), console.print) as stage,
    ):
        figures = run(stage, DemoData.find())
        show(figures, console)
        console.print(json.dumps({name: each["gas"] for name, each in figures.items()}, indent=1))
