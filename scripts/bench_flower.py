"""Seconds of a round in Flower's simulation, beside ours: same model, start, records, hospitals and rounds.

Flower sends messages inside one machine and trusts its server; ours masks every update, pins it on IPFS, and every
hospital computes every merge again and attests it on a chain. Flower lives in an environment of its own,
``build/flower``, made here from ``scripts/flower/requirements.lock`` (2 GB, a minute).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from statistics import median
from typing import Any

import bench_rounds
import numpy as np
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

ROOT = Path(__file__).resolve().parent.parent
ENVIRONMENT = ROOT / "build" / "flower"
SCRIPTS = Path(__file__).with_name("flower")
LOCK = SCRIPTS / "requirements.lock"
PATIENCE_SECONDS = 300
LONG_EPOCHS = 20
# For Flower and the processes that Ray starts: one thread each, as ours have, and nothing is reported to anyone.
OWN = {
    "PYTHONPATH": str(SCRIPTS),
    "OMP_NUM_THREADS": "1",
    "FLWR_TELEMETRY_ENABLED": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
}


def run(
    stage: Stage, data: DemoData, short: dict[str, Any], say: Callable[[str], None]
) -> list[dict[str, Any]]:
    """Two jobs side by side: the one that ``bench_rounds.run`` ran with the result ``short``, and one with
    ``LONG_EPOCHS`` of local training in place of one epoch.

    Raises DevnetError when Flower cannot be installed or one of the jobs fails, with the end of what it said.
    """
    _install(say)
    training = {**bench_rounds.template(data).document["training"], "local_epochs": LONG_EPOCHS}
    long = bench_rounds.run(stage, data, warm_up=2, measured=6, training=training)
    return [_beside(data, ours, say) for ours in (short, long)]


def _beside(data: DemoData, ours: dict[str, Any], say: Callable[[str], None]) -> dict[str, Any]:
    """The same job in Flower, and both results."""
    template = bench_rounds.template(data)
    with tempfile.TemporaryDirectory(prefix="salus-flower-") as folder:
        job, out = Path(folder) / "job.npz", Path(folder) / "out.json"
        np.savez(job, **_job(data, template, ours))
        say("Flower's simulation of the same job")
        _call(
            [ENVIRONMENT / "bin" / "python", SCRIPTS / "run.py", out, str(time.monotonic())],
            FLOWER_JOB=str(job),
        )
        theirs = json.loads(out.read_text(encoding="utf-8"))
    skipped = ours["job_rounds"] - len(ours["rounds"])
    rounds = theirs["rounds"][skipped:]
    return {
        "hospitals": ours["hospitals"],
        "parameters": ours["parameters"],
        "local_epochs": ours["local_epochs"],
        "rounds": len(rounds),
        "flower": {"seconds": median(rounds), "least": min(rounds), "most": max(rounds), "all": theirs},
        "ours": {
            "seconds": ours["seconds"],
            "least": min(each["seconds"] for each in ours["rounds"]),
            "most": max(each["seconds"] for each in ours["rounds"]),
            "privacy": ours["privacy"],
        },
        "times_flower": ours["seconds"] / median(rounds),
    }


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


def _install(say: Callable[[str], None]) -> None:
    """Flower's environment at the locked versions; does nothing when it is there."""
    stamp, wanted = ENVIRONMENT / "installed", sha256(LOCK.read_bytes()).hexdigest()
    if stamp.exists() and stamp.read_text(encoding="utf-8") == wanted:
        return
    say("Installing Flower into an environment of its own (a minute)")
    _call([sys.executable, "-m", "venv", "--clear", ENVIRONMENT])
    pip = [ENVIRONMENT / "bin" / "pip", "install", "-qq", "--disable-pip-version-check"]
    _call([*pip, "-r", LOCK])
    stamp.write_text(wanted, encoding="utf-8")


def _call(command: list[str | Path], **environment: str) -> None:
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
        env={**os.environ, **OWN, **environment},
    )
    if done.returncode:
        end = "\n".join((done.stdout + done.stderr).splitlines()[-8:])
        raise DevnetError(f"{Path(command[0]).name} failed with code {done.returncode}.", end)


def show(result: list[dict[str, Any]], console: Console) -> None:
    """Prints both, side by side."""
    one = result[0]
    table = Table(
        title=f"Seconds of a round after start-up: {one['hospitals']} hospitals, {one['parameters']:,} parameters",
        box=SIMPLE,
    )
    for column in ("local training", "", "median", "least", "most"):
        table.add_column(column, justify="right" if column in ("median", "least", "most") else "left")
    for each in result:
        words = {
            "flower": "Flower's simulation: no masks, no chain, a trusted server",
            "ours": f"ours: chain, IPFS, every merge attested, privacy: {each['ours']['privacy']}",
        }
        epochs = "1 epoch" if each["local_epochs"] == 1 else f"{each['local_epochs']} epochs"
        for name, meaning in words.items():
            seconds = (f"{each[name][column]:.3f}" for column in ("seconds", "least", "most"))
            table.add_row(epochs if name == "flower" else "", meaning, *seconds)
    console.print(table)
    times = " and ".join(f"{each['times_flower']:.1f}" for each in result)
    console.print(f"Ours takes {times} times as long as Flower's; the goal is at most 1.")
