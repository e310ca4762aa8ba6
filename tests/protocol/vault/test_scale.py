"""The bench of scale, run small: its steps are those of the product, and its figures are there."""

from __future__ import annotations

import io
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

SCRIPTS = Path(__file__).resolve().parents[3] / "scripts"


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(SCRIPTS))
    import bench_scale

    return bench_scale


def test_records_are_drawn_the_same_each_time(bench: Any) -> None:
    first, again, other = (list(bench.rows(5_000, [seed])) for seed in (1, 1, 2))
    assert first == again != other
    assert len({patient for patient, _ in first}) == 5_000


def test_it_runs_small_and_gives_every_figure(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    registered: list[tuple[str, int, int]] = []

    def register(operator: str, _ipfs: object, dataset: Any) -> Any:
        registered.append((operator, dataset.version, dataset.train_records + dataset.held_out_records))
        return SimpleNamespace(gas_used=80_000 + dataset.version)

    members = [SimpleNamespace(name=f"hospital-{number}", operator=f"operator-{number}") for number in (1, 2)]
    stage = SimpleNamespace(admit=lambda _count: members, as_=lambda operator: operator, ipfs=None)
    monkeypatch.setattr(bench, "register_dataset", register)
    monkeypatch.setattr(bench, "REPEATS", 1)
    result = bench.run(stage, sizes=(201, 600), hospitals=2, segment_records=64)
    assert sorted(registered)[:3] == [
        ("operator-1", 1, 101),
        ("operator-1", 1, 300),
        ("operator-1", 2, 1_101),
    ]
    assert len(registered) == 12
    assert result["gas"]["withdraw"] == {"times": 4, "median": 80_003, "most": 80_003}
    for part in ("networks", "single"):
        for figures in result[part].values():
            assert all(value > 0 for value in figures.values()), figures
    console = Console(record=True, width=140, file=io.StringIO())
    bench.show(result, console)
    said = console.export_text()
    assert "withdraw one patient, seconds" in said and "600" in said


def test_the_limit_of_the_issue_is_the_limit(bench: Any) -> None:
    assert (bench.HOSPITALS, bench.SIZES[0], bench.SIZES[-1], bench.LIMIT_RATIO) == (
        18,
        50_000,
        5_000_000,
        1.2,
    )
