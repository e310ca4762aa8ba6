"""The figures of Salus: masking and merge, gas, time of a round and of Flower's, trace, accuracy, and accuracy
against epsilon.

    make bench

Prints tables and writes ``reports/bench.json``. Times are medians; they mean something on an idle machine only.
"""

from __future__ import annotations

import functools
import json
import os
import platform
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bench_accuracy
import bench_challenge
import bench_eighteen
import bench_fhir
import bench_flower
import bench_gas
import bench_gateway
import bench_imaging
import bench_masks
import bench_notes
import bench_privacy
import bench_rounds
import bench_scale
import bench_trace
import bench_ultrasound
from bench_stage import Stage
from rich.console import Console

from protocol.demo.data import DemoData
from protocol.errors import DataUnavailable

# Chain, IPFS daemon and one process that waits for them.
OWN_LOAD = 1.0
REPORT = Path(__file__).resolve().parent.parent / "reports" / "bench.json"


def main() -> None:
    """Runs everything in three quarters of an hour; what is timed comes first, while the chain is short."""
    console = Console()
    result: dict[str, Any] = {"machine": machine(), "seconds": {}}
    console.print(in_words(result["machine"]))
    result["masks"] = _timed(result, "masks", bench_masks.run)
    bench_masks.show(result["masks"], console)
    data = DemoData.find()
    if data.note:
        console.print(f"[yellow]{data.note}[/yellow]")
    with (
        tempfile.TemporaryDirectory(prefix="salus-bench-") as home,
        Stage(Path(home), lambda line: console.print(f"[dim]{line}[/dim]")) as stage,
    ):
        result["rounds"] = _timed(result, "rounds", lambda: bench_rounds.run(stage, data))
        bench_rounds.show(result["rounds"], console)
        flower = functools.partial(bench_flower.run, data, result["rounds"], console.print)
        result["flower"] = _timed(result, "flower", flower)
        bench_flower.show(result["flower"], console)
        result["trace"] = _timed(result, "trace", lambda: bench_trace.run(stage, data, result["rounds"]))
        bench_trace.show(result["trace"], console)
        # All times of a few processes were taken by now; what follows keeps every core busy by itself.
        result["machine_after"] = machine()
        console.print(f"So far: {in_words(result['machine_after'], OWN_LOAD)}")
        result["gas"] = _timed(result, "gas", lambda: bench_gas.run(stage))
        bench_gas.show(result["gas"], console)
        result["challenge"] = _timed(result, "challenge", lambda: bench_challenge.run(stage))
        bench_challenge.show(result["challenge"], console)
        result["eighteen"] = _timed(result, "eighteen", lambda: bench_eighteen.run(stage, data))
        bench_eighteen.show(result["eighteen"], console)
        result["scale"] = _timed(result, "scale", lambda: bench_scale.run(stage))
        bench_scale.show(result["scale"], console)
    result["imaging"] = _timed(result, "imaging", lambda: bench_imaging.run(console.print))
    bench_imaging.show(result["imaging"], console)
    result["fhir"] = _timed(result, "fhir", lambda: bench_fhir.run(console.print))
    bench_fhir.show(result["fhir"], console)
    result["notes"] = _timed(result, "notes", lambda: bench_notes.run(console.print))
    bench_notes.show(result["notes"], console)
    result["gateway"] = _timed(result, "gateway", bench_gateway.run)
    bench_gateway.show(result["gateway"], console)
    try:
        result["accuracy"] = _timed(result, "accuracy", bench_accuracy.run)
        bench_accuracy.show(result["accuracy"], console)
        result["privacy"] = _timed(result, "privacy", bench_privacy.run)
        bench_privacy.show(result["privacy"], console)
        result["ultrasound"] = _timed(result, "ultrasound", bench_ultrasound.run)
        bench_ultrasound.show(result["ultrasound"], console)
    except DataUnavailable as missing:
        console.print(f"[yellow]No accuracy table: {missing}[/yellow]")
    REPORT.parent.mkdir(exist_ok=True)
    REPORT.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    spent = ", ".join(f"{part} {seconds} s" for part, seconds in result["seconds"].items())
    console.print(f"Time spent: {spent}. Figures: {REPORT}")


def machine() -> dict[str, Any]:
    """What this runs on, and how busy it is: processes that ran or waited to run in the last minute."""
    return {
        "system": f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
        "cores": len(os.sched_getaffinity(0)),
        "load": os.getloadavg()[0],
    }


def in_words(conditions: dict[str, Any], own_load: float = 0.0) -> str:
    """One line; says when times are not to be trusted. ``own_load``: what of the load is the bench itself."""
    idle = conditions["load"] - own_load < conditions["cores"] / 2
    return f"{conditions['system']}, {conditions['cores']} cores, load {conditions['load']:.1f}" + (
        "" if idle else " [yellow](busy: take no times from this run)[/yellow]"
    )


def _timed(result: dict[str, Any], part: str, bench: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Runs a part of the bench, and keeps how long it took."""
    began = time.monotonic()
    figures = bench()
    result["seconds"][part] = round(time.monotonic() - began)
    return figures


if __name__ == "__main__":
    main()
