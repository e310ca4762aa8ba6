"""Seconds of a round in Flower's simulation, beside ours: same model, start, records, hospitals and rounds.

Flower sends messages inside one machine and trusts its server; ours masks every update, pins it on IPFS, and every
hospital computes every merge again and attests it on a chain. Flower lives in an environment of its own,
``build/flower``, made here from ``scripts/flower/requirements.lock`` (2 GB, a minute).
"""

from __future__ import annotations

import functools
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import bench_rounds
import numpy as np
from bench_anvil import on_anvil
from bench_peer import Peer
from bench_stage import Stage
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from protocol.data.splits import HELD_OUT, TRAIN
from protocol.demo.data import DemoData
from protocol.errors import DevnetError
from protocol.learning import zoo
from protocol.learning.fixed_point import to_floats
from protocol.learning.train import initial_state
from protocol.templates import Template

LONG_EPOCHS = 20
FLOWER = Peer(
    "flower",
    "Flower",
    # Also for the processes that Ray starts: one thread each, as ours have, and nothing is reported to anyone.
    {
        "PYTHONPATH": str(Path(__file__).with_name("flower")),
        "OMP_NUM_THREADS": "1",
        "FLWR_TELEMETRY_ENABLED": "0",
        "RAY_USAGE_STATS_ENABLED": "0",
    },
)


def run(data: DemoData, short: dict[str, Any], say: Callable[[str], None]) -> list[dict[str, Any]]:
    """Two jobs side by side: the one that ``bench_rounds.run`` ran with the result ``short``, and one with
    ``LONG_EPOCHS`` of local training in place of one epoch; ours on Anvil as well, whose own time is hardly any.

    Raises DevnetError when Flower or Anvil cannot be installed or one of the jobs fails, with the end of what it said.
    """
    FLOWER.install(say)
    training = {**bench_rounds.template(data).document["training"], "local_epochs": LONG_EPOCHS}
    with (
        tempfile.TemporaryDirectory(prefix="salus-anvil-") as home,
        Stage(Path(home), say, functools.partial(on_anvil, say=say)) as stage,
    ):
        fast = bench_rounds.run(stage, data)
        long = bench_rounds.run(stage, data, measured=6, training=training)
    return [
        _beside(data, {"Ganache": short, "Anvil": fast}, say),
        _beside(data, {"Anvil": long}, say),
    ]


def _beside(data: DemoData, ours: dict[str, dict[str, Any]], say: Callable[[str], None]) -> dict[str, Any]:
    """The same job in Flower, and all results. ``ours``: by the chain that it ran on."""
    template, one = bench_rounds.template(data), next(iter(ours.values()))
    with tempfile.TemporaryDirectory(prefix="salus-flower-") as folder:
        job, out = Path(folder) / "job.npz", Path(folder) / "out.json"
        np.savez(job, **_job(data, template, one))
        say("Flower's simulation of the same job")
        FLOWER.run(out, str(time.monotonic()), FLOWER_JOB=str(job))
        theirs = json.loads(out.read_text(encoding="utf-8"))
    skipped = one["job_rounds"] - len(one["rounds"])
    flower = _spread(theirs["rounds"][skipped:])
    spread = {
        chain: _spread([each["seconds"] for each in result["rounds"]]) for chain, result in ours.items()
    }
    return {
        "hospitals": one["hospitals"],
        "parameters": one["parameters"],
        "local_epochs": one["local_epochs"],
        "privacy": one["privacy"],
        "flower": flower,
        "flower_start_up": theirs["start_up"],
        "ours": spread,
        "processor": {chain: result["processor"] for chain, result in ours.items()},
        "times_flower": {chain: each["median"] / flower["median"] for chain, each in spread.items()},
    }


def _spread(seconds: list[float]) -> dict[str, float]:
    return {"median": median(seconds), "least": min(seconds), "most": max(seconds)}


def _job(data: DemoData, template: Template, ours: dict[str, Any]) -> dict[str, np.ndarray]:
    """What ``flower/run.py`` reads: the base state of our job, and the records as our hospitals encode them."""
    base = initial_state(template.model, template.state, template.seed)
    floats = to_floats(base, zoo.layout(template.model, template.state))
    arrays = {f"state.{name}": tensor for name, tensor in floats.items()}
    for number, hospital in enumerate(data.hospitals):
        records, labels = data.schema.encode(hospital.records)
        for name, part in (("train", TRAIN), ("held_out", HELD_OUT)):
            arrays[f"{name}_x.{number}"] = records[hospital.splits == part]
            arrays[f"{name}_y.{number}"] = labels[hospital.splits == part]
    training = template.document["training"]
    if training["optimiser"]["name"] != "sgd" or training["optimiser"]["momentum"]:
        raise DevnetError("flower/clients.py trains with plain SGD only, as the template did.")
    job = {
        "hidden": template.model.parameters["hidden"],
        "learning_rate": training["optimiser"]["learning_rate"],
        "batch_size": training["batch_size"],
        "local_epochs": ours["local_epochs"],
        "rounds": ours["job_rounds"],
        "clients": len(data.hospitals),
    }
    return {**arrays, "job": np.array(json.dumps(job))}


def show(result: list[dict[str, Any]], console: Console) -> None:
    """Prints all side by side."""
    one = result[0]
    table = Table(
        title=f"Seconds of a round after start-up: {one['hospitals']} hospitals, {one['parameters']:,} parameters",
        box=SIMPLE,
    )
    for column in ("local training", "", "median", "least", "most", "times Flower's"):
        table.add_column(column, justify="left" if column in ("local training", "") else "right")
    for each in result:
        epochs = "1 epoch" if each["local_epochs"] == 1 else f"{each['local_epochs']} epochs"
        table.add_row(
            epochs,
            "Flower's simulation: no masks, no chain, a trusted server",
            *_cells(each["flower"]),
            "1.0",
        )
        for chain, spread in each["ours"].items():
            words = f"ours: privacy {each['privacy']}, IPFS, every merge attested on {chain}"
            table.add_row("", words, *_cells(spread), f"{each['times_flower'][chain]:.1f}")
    console.print(table)
    console.print("The goal is at most 1.0 times Flower's.")


def _cells(spread: dict[str, float]) -> list[str]:
    return [f"{spread[column]:.3f}" for column in ("median", "least", "most")]
