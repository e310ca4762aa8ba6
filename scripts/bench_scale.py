"""A network of 18 hospitals and five million records: seconds, memory and gas to commit, append, withdraw and prove.

python scripts/bench_scale.py [--records N ...]

The records are drawn, all else is real: datasets on the disk, sealed under a vault's key, their versions on the chain
of the stage, their evidence on its IPFS daemon. Two processes make the datasets, see `scale_hospital`.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import scale_hospital
from bench_stage import Hospital, Stage
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table
from scale_hospital import MB, Order, pseudonym, rows

from protocol.client import register_dataset
from protocol.vault.leaves import verify_erasure, verify_record
from protocol.vault.record_dataset import RecordDataset
from protocol.vault.sealed import KEY_BYTES
from protocol.vault.segments import SEGMENT_RECORDS

HOSPITALS = 18
SIZES = (50_000, 500_000, 5_000_000)
PROCESSES = 2
APPENDED = 1_000
LIMIT_RATIO = 1.2
# Of what takes a second the median of some says more.
REPEATED = 1_000_000
REPEATS = 5
_TIMES = 20


def run(
    stage: Stage,
    sizes: Sequence[int] = SIZES,
    hospitals: int = HOSPITALS,
    processes: int = PROCESSES,
    segment_records: int = SEGMENT_RECORDS,
) -> dict[str, Any]:
    """Figures by the number of records in all, for a network of ``hospitals`` and for one dataset alone."""
    members = stage.admit(hospitals)
    gas: dict[str, list[int]] = defaultdict(list)
    networks, single = {}, {}
    for size in sizes:
        networks[size] = _network(stage, members, size, processes, segment_records, gas)
        single[size] = _single(size, segment_records)
    return {
        "hospitals": hospitals,
        "segment_records": segment_records,
        "drawing_us": _drawing(),
        "networks": networks,
        "single": single,
        "gas": {name: {"times": len(used), "median": median(used), "most": max(used)} for name, used in gas.items()},
    }  # fmt: skip


def _network(
    stage: Stage, members: list[Hospital], size: int, processes: int, segment_records: int, gas: dict[str, list[int]]
) -> dict[str, Any]:  # fmt: skip
    """All hospitals commit their share, register it, append to it and withdraw a patient. Of one: medians."""
    with tempfile.TemporaryDirectory(prefix="salus-scale-") as home:
        shares = [size // len(members) + (number < size % len(members)) for number in range(len(members))]
        orders = [
            Order(f"{home}/{each.name}", os.urandom(KEY_BYTES).hex(), number, share, segment_records)
            for number, (each, share) in enumerate(zip(members, shares, strict=True))
        ]
        figures = _committed(orders, processes)
        figures["register_seconds"] = median(
            _registered(stage, gas, "register", member, order.dataset())
            for member, order in zip(members, orders, strict=True)
        )
        one = [
            _changes(
                order, lambda name, dataset, member=member: _registered(stage, gas, name, member, dataset)
            )
            for member, order in zip(members, orders, strict=True)
        ]
        return {**figures, **{name: median(each[name] for each in one) for name in one[0]}}


def _single(size: int, segment_records: int) -> dict[str, Any]:
    """One dataset of all records, the median of several where they are soon made."""
    found = []
    for _ in range(REPEATS if size < REPEATED else 1):
        with tempfile.TemporaryDirectory(prefix="salus-scale-") as home:
            order = Order(home, os.urandom(KEY_BYTES).hex(), 0, size, segment_records)
            found.append({**_committed([order], 1), **_changes(order, lambda _name, _dataset: None)})
    return {name: median(each[name] for each in found) for name in found[0]}


def _committed(orders: list[Order], processes: int) -> dict[str, float]:
    """Makes all datasets, and recomputes the root of each."""
    size = sum(order.records for order in orders)
    made, checked = (_shared(task, orders, processes) for task in ("commit", "verify"))
    worked = sum(each["core_seconds"] for each in made)
    return {
        "seconds": max(each["seconds"] for each in made),
        "core_us": worked / size * 1e6,
        "records_per_core_second": size / worked,
        "before_mb": max(each["before_mb"] for each in made),
        "peak_mb": max(each["peak_mb"] for each in made),
        "disk_mb": sum(_bytes(order.folder) for order in orders) / MB,
        "verify_seconds": max(each["seconds"] for each in checked),
        "verify_us": sum(each["core_seconds"] for each in checked) / size * 1e6,
    }


def _shared(task: str, orders: list[Order], processes: int) -> list[dict[str, float]]:
    """What each of some processes says of its share of the orders."""
    script = Path(scale_hospital.__file__)
    environment = {**os.environ, "PYTHONPATH": str(script.parent.parent)}

    def ran(share: list[Order]) -> dict[str, float]:
        given = json.dumps([order.to_dict() for order in share])
        command = [sys.executable, str(script), task]
        done = subprocess.run(
            command, input=given, env=environment, stdout=subprocess.PIPE, text=True, check=True
        )
        return json.loads(done.stdout)

    with ThreadPoolExecutor(processes) as pool:
        return list(pool.map(ran, filter(None, (orders[number::processes] for number in range(processes)))))


def _bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _changes(order: Order, then: Callable[[str, RecordDataset], object]) -> dict[str, float]:
    """Seconds to append `APPENDED` records and to withdraw one patient, to prove a record and an erasure and to verify
    each."""
    began = time.perf_counter()
    grown = order.dataset().extend(
        rows(APPENDED, [scale_hospital.APPENDED, order.number], first=order.records),
        order.vault,
        source={"cohort": "scale", "rows": order.records + APPENDED},
    )
    figures = {"append_seconds": time.perf_counter() - began}
    assert grown is not None
    then("append", grown)
    gone = pseudonym(order.records // 2)
    began = time.perf_counter()
    shrunk = grown.withdraw([gone])
    figures["withdraw_seconds"] = time.perf_counter() - began
    assert shrunk is not None
    then("withdraw", shrunk)
    places = np.linspace(0, order.records // 2 - 1, _TIMES).astype(int).tolist()
    began = time.perf_counter()
    proofs = [shrunk.prove(place) for place in places]
    figures["prove_seconds"] = (time.perf_counter() - began) / _TIMES
    began = time.perf_counter()
    assert all(verify_record(shrunk.root, proof) for proof in proofs)
    figures["verify_one_seconds"] = (time.perf_counter() - began) / _TIMES
    began = time.perf_counter()
    erased = shrunk.erasure([gone])
    figures["erasure_seconds"] = time.perf_counter() - began
    assert verify_erasure(shrunk.root, erased)
    return figures


def _registered(
    stage: Stage, gas: dict[str, list[int]], name: str, member: Hospital, dataset: RecordDataset
) -> float:
    """Pins what belongs to a version and puts it on the chain; seconds."""
    began = time.perf_counter()
    receipt = register_dataset(stage.as_(member.operator), stage.ipfs, dataset)
    gas[name].append(receipt.gas_used)
    return time.perf_counter() - began


def _drawing(count: int = 100_000) -> float:
    """Microseconds of a core that drawing a record takes, which those of committing it hold."""
    worked = time.process_time()
    for _ in rows(count, [1]):
        pass
    return (time.process_time() - worked) / count * 1e6


_SHOWN = (
    ("commit, seconds", "seconds", "{:.1f}"),
    ("commit, µs of a core a record", "core_us", "{:.1f}"),
    ("commit, records a second and core", "records_per_core_second", "{:,.0f}"),
    ("peak memory of a process, MB", "peak_mb", "{:.0f}"),
    ("of it before the first record, MB", "before_mb", "{:.0f}"),
    ("on the disk, MB", "disk_mb", "{:,.0f}"),
    ("register a dataset, evidence pinned, seconds", "register_seconds", "{:.2f}"),
    (f"append {APPENDED:,}, seconds", "append_seconds", "{:.2f}"),
    ("withdraw one patient, seconds", "withdraw_seconds", "{:.2f}"),
    ("prove one record, ms", "prove_seconds", "{:.1f}"),
    ("verify that proof, ms", "verify_one_seconds", "{:.2f}"),
    ("prove an erasure, ms", "erasure_seconds", "{:.1f}"),
    ("verify the whole, seconds", "verify_seconds", "{:.1f}"),
    ("verify the whole, µs of a core a record", "verify_us", "{:.1f}"),
)


def show(result: dict[str, Any], console: Console) -> None:
    """Prints both tables, whether the cost of a record is flat, and gas."""
    titles = {
        "networks": f"A network of {result['hospitals']} hospitals, by its records; of one hospital the median",
        "single": "One dataset, by its records",
    }
    for part, title in titles.items():
        by_size = result[part]
        table = Table(title=title, box=SIMPLE)
        table.add_column("operation")
        for size in by_size:
            table.add_column(f"{int(size):,}", justify="right")
        table.add_column("last / first", justify="right")
        for words, name, form in _SHOWN:
            values = [
                each[name] * (1_000 if words.endswith("ms") else 1)
                for each in by_size.values()
                if name in each
            ]
            if values:
                ratio = f"{values[-1] / values[0]:.2f}" if values[0] else ""
                table.add_row(words, *(form.format(value) for value in values), ratio)
        console.print(table)
        costs = [each["core_us"] for each in by_size.values()]
        drawn = result["drawing_us"]
        words = (
            f"A record costs {min(costs):.1f} to {max(costs):.1f} µs of a core, {drawn:.1f} of them to draw"
        )
        if part == "single":
            flat = max(costs) / min(costs)
            words += f": a factor of {flat:.2f}, " + (
                f"within the {LIMIT_RATIO}"
                if flat <= LIMIT_RATIO
                else f"[yellow]over the {LIMIT_RATIO}[/yellow]"
            )
        else:
            words += "; files and their fsync cost each hospital some milliseconds, however few its records"
        console.print(f"{words}.")
    gas = Table(title="Gas of a version", box=SIMPLE)
    for column in ("operation", "times", "median", "most"):
        gas.add_column(column, justify="left" if column == "operation" else "right")
    for name, used in result["gas"].items():
        gas.add_row(name, str(used["times"]), f"{used['median']:,.0f}", f"{used['most']:,}")
    console.print(gas)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, nargs="+", default=SIZES)
    parser.add_argument("--segment-records", type=int, default=SEGMENT_RECORDS)
    given = parser.parse_args()
    console = Console()
    with (
        tempfile.TemporaryDirectory(prefix="salus-bench-") as home,
        Stage(Path(home), console.print) as stage,
    ):
        figures = run(stage, given.records, segment_records=given.segment_records)
    show(figures, console)
    console.print(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
