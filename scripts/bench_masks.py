"""Speed of masking and of the merge, and the memory that a merge needs. No chain, no IPFS.

    python scripts/bench_masks.py

What is compared runs in turns, so that both meet the same machine. Files lie in the system's temporary folder and are
read again and again: from the page cache, as those of a round that has just been verified.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import ChaCha20
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from protocol.content import vectors
from protocol.content.spool import VectorFile
from protocol.learning.context import RoundContext
from protocol.learning.masks import BLOCK_BYTES, JobKey, mask
from protocol.learning.merge import merge

LANES = 10_000_000
STATE_BYTES = 4 * LANES
GROUPS_OF = (3, 18)
HOSPITALS = 18
REPEATS = 7
# The same merge with one group, and with groups of three.
MERGES = (("one group", 1, "mean"), ("mean of six groups", 6, "mean"), ("median of six groups", 6, "median"))


def run() -> dict[str, Any]:
    """Measures all of it."""
    rng = np.random.default_rng(1)
    with tempfile.TemporaryDirectory(prefix="salus-bench-") as name:
        folder = Path(name)
        for number in range(HOSPITALS + 1):
            rng.integers(-(2**31), 2**31, LANES, np.int32).tofile(_path(folder, number))
        return {
            "parameters": LANES,
            "masking": masking(),
            "merge": merging(folder),
            "memory": [
                memory(folder, hospitals, rule) for rule in ("mean", "median") for hospitals in GROUPS_OF
            ],
        }


def masking() -> dict[str, Any]:
    """Parameters per second and pair, beside the bare keystream: of that length in place, and in one block of cache."""
    update, whole, block = (
        np.zeros(LANES, np.int32),
        np.zeros(LANES, "<u4"),
        np.zeros(BLOCK_BYTES // 4, "<u4"),
    )
    candidates: dict[str, Callable[[], object]] = {
        "keystream, in place": lambda: _keystream(whole),
        "keystream, one block again and again": lambda: _keystream(block, LANES),
    }
    pairs = dict.fromkeys(candidates, 1)
    for hospitals in GROUPS_OF:
        context, key = _context(hospitals)
        name = f"mask among {hospitals}"
        candidates[name] = lambda context=context, key=key: mask(update, context, 2, key, out=update)
        pairs[name] = hospitals - 1
    speeds = {name: LANES * pairs[name] / each for name, each in _in_turns(candidates).items()}
    fastest = max(speeds["keystream, in place"], speeds["keystream, one block again and again"])
    return {
        name: {"parameters_per_second_and_pair": speed, "of_the_keystream": speed / fastest}
        for name, speed in speeds.items()
    }


def merging(folder: Path) -> dict[str, Any]:
    """Seconds of a merge of 18 verified updates in files, beside reading and adding them with NumPy; and of verifying
    them."""
    state = np.fromfile(_path(folder, HOSPITALS), "<i4")
    files = [VectorFile(_path(folder, number), LANES) for number in range(HOSPITALS)]
    candidates: dict[str, Callable[[], object]] = {"read and add with NumPy": lambda: _read_and_add(folder)}
    for name, groups, rule in MERGES:
        parts = [files[number::groups] for number in range(groups)]
        candidates[name] = lambda parts=parts, rule=rule: merge(state, parts, rule=rule)
    seconds = _in_turns(candidates)
    began = time.perf_counter()
    for file in files[:3]:
        vectors.reference(file.array())
    verification = (time.perf_counter() - began) / 3 * HOSPITALS
    return {
        **{
            name: {"seconds": each, "speed_of_numpy": seconds["read and add with NumPy"] / each}
            for name, each in seconds.items()
        },
        "verification of both digests": {"seconds": verification, "speed_of_numpy": None},
    }


def memory(folder: Path, hospitals: int, rule: str) -> dict[str, Any]:
    """Peak resident memory of a merge in a process of its own, in states; the state before and the result count."""
    command = [sys.executable, __file__, "memory", str(folder), str(hospitals), rule]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return {"hospitals": hospitals, "rule": rule, "states": json.loads(done.stdout)}


def _measure_memory(folder: Path, hospitals: int, rule: str) -> float:
    """In the process of its own: the peak above what it held before it read the state."""
    files = [VectorFile(_path(folder, number), LANES) for number in range(hospitals)]
    groups = (
        [files] if rule == "mean" else [files[number :: hospitals // 3] for number in range(hospitals // 3)]
    )
    merge(np.zeros(1, np.int32), [[np.zeros(1, np.int32)]])
    before = _status("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")
    state = np.fromfile(_path(folder, HOSPITALS), "<i4")
    merge(state, groups, rule=rule)
    return (_status("VmHWM") - before) / STATE_BYTES


def _status(field: str) -> int:
    """Bytes, of this process."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(f"{field}:"))


def _in_turns(candidates: dict[str, Callable[[], object]]) -> dict[str, float]:
    """Median seconds of each, after one turn that is not counted."""
    seconds: dict[str, list[float]] = {name: [] for name in candidates}
    for turn in range(REPEATS + 1):
        for name, candidate in candidates.items():
            began = time.perf_counter()
            candidate()
            if turn:
                seconds[name].append(time.perf_counter() - began)
    return {name: median(each) for name, each in seconds.items()}


def _keystream(buffer: np.ndarray, lanes: int | None = None) -> None:
    """ChaCha20 over the buffer in place, 64 KiB at a time; over and over until ``lanes`` are done."""
    stream, raw = Cipher(ChaCha20(bytes(32), bytes(16)), None).encryptor(), memoryview(buffer).cast("B")
    for start in range(0, 4 * (lanes or len(buffer)), BLOCK_BYTES):
        piece = raw if lanes else raw[start : start + BLOCK_BYTES]
        stream.update_into(piece, piece)


def _read_and_add(folder: Path) -> np.ndarray:
    total, update = np.zeros(LANES, np.uint32), np.empty(LANES, "<u4")
    for number in range(HOSPITALS):
        with _path(folder, number).open("rb", buffering=0) as file:
            file.readinto(update)
        total += update
    return total


def _context(hospitals: int) -> tuple[RoundContext, JobKey]:
    """A round of that many, and the key of hospital 2."""
    keys = [JobKey.new() for _ in range(hospitals)]
    ids = tuple(range(1, hospitals + 1))
    context = RoundContext(
        chain_id=1337,
        genesis="0x" + "00" * 32,
        contract="0x" + "00" * 20,
        job_id=1,
        spec=bytes(32),
        round=1,
        attempt=1,
        base=bytes(32),
        hospitals=ids,
        weights=tuple((1, hospitals) for _ in ids),
        mask_keys=tuple(key.public for key in keys),
        lanes=LANES,
    )
    return context, keys[1]


def _path(folder: Path, number: int) -> Path:
    """Updates are 0 to 17; 18 is the state."""
    return folder / f"{number}.vector"


def show(result: dict[str, Any], console: Console) -> None:
    """Prints speeds beside what they are compared with, and peak memory."""
    console.print(
        _table(
            f"Masking, {LANES:,} parameters, median of {REPEATS} (goal: 0.6)",
            ("", "million parameters/s and pair", "of the faster keystream"),
            [
                (
                    name,
                    f"{each['parameters_per_second_and_pair'] / 1e6:,.0f}",
                    f"{each['of_the_keystream']:.2f}",
                )
                for name, each in result["masking"].items()
            ],
        )
    )
    console.print(
        _table(
            f"Merge of {HOSPITALS} updates of {LANES:,} parameters in files (goal: 0.5)",
            ("", "seconds", "speed beside NumPy's"),
            [
                (
                    name,
                    f"{each['seconds']:.3f}",
                    "" if each["speed_of_numpy"] is None else f"{each['speed_of_numpy']:.2f}",
                )
                for name, each in result["merge"].items()
            ],
        )
    )
    console.print(
        _table(
            "Peak memory of a merge, in states (goal: under 3)",
            ("rule", "hospitals", "states"),
            [(each["rule"], str(each["hospitals"]), f"{each['states']:.2f}") for each in result["memory"]],
        )
    )


def _table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    table = Table(title=title, box=SIMPLE)
    for number, column in enumerate(columns):
        table.add_column(column, justify="right" if number else "left")
    for row in rows:
        table.add_row(*row)
    return table


if __name__ == "__main__":
    if sys.argv[1:2] == ["memory"]:
        print(_measure_memory(Path(sys.argv[2]), int(sys.argv[3]), sys.argv[4]))
    else:
        show(run(), Console())
