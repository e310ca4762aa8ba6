"""Accuracy against epsilon: the heart disease job with differential privacy, beside FLamby's published figures.

    python scripts/bench_privacy.py

Everything goes through the protocol's own pipeline: DP-SGD as the nodes run it, quantisation and merge. Epsilon is that
of a hospital's whole job, every round, and of one record. The noise is fresh from the system each time: figures move by
a hundredth or two at the smallest epsilon and by some thousandths at the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import fmean, stdev
from typing import Any

import numpy as np
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from protocol.content.cid import digest_of
from protocol.content.merkle import chunk_root
from protocol.data import heart_disease
from protocol.data.splits import HELD_OUT, TRAIN
from protocol.learning.metrics import evaluate
from protocol.learning.privacy import Spending, epsilon, spending
from protocol.learning.rehearsal import rehearse
from protocol.learning.train import initial_state
from protocol.spec import JobSpec
from protocol.templates import Template

SEEDS = (1, 2, 3, 4, 5)
# Of noise, from each seed's base state: five runs alone would leave the smallest epsilon's figure to chance.
DRAWS = 4
FLAMBY_SPLIT = 43
DELTA = 0.001
EPSILONS = (0.1, 1.0, 10.0, None)
# du Terrail et al. 2022, Fed-Heart-Disease, DP-FedAvg at delta 0.001; None: without differential privacy.
PUBLISHED = {0.1: 0.629, 1.0: 0.702, 10.0: 0.698, None: 0.712}
ACCOUNTANT = "prv"
RETAIN_UNTIL = 2_000_000_000

TRAINING = {"batch_size": 512, "local_epochs": 1}
MAX_GRAD_NORM = 1.0
ROUNDS_AND_RATE = {0.1: (6, 0.5), 1.0: (12, 1.0), 10.0: (12, 1.0), None: (12, 1.0)}
"""Whole-batch steps, few of them, and fewer and shorter under much noise: the best of eight combinations on random
states 0 to 4 of the split, two seeds each; never chosen on the state that is reported."""

Arrays = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Setting:
    """How a job is trained so that no hospital spends more than ``epsilon``; None: without differential privacy."""

    epsilon: float | None
    rounds: int
    learning_rate: float
    noise_multiplier: float | None

    @classmethod
    def of(cls, target: float | None, counts: Sequence[int]) -> Setting:
        """For hospitals with so many training records."""
        rounds, rate = ROUNDS_AND_RATE[target]
        return cls(target, rounds, rate, None if target is None else _noise_for(target, rounds, counts))

    def spec(self, schema: dict[str, Any], seed: int) -> tuple[JobSpec, np.ndarray]:
        """The job, and its base state int32[lanes]."""
        template = Template.load("heart-disease")
        base = initial_state(template.model, template.state, seed)
        privacy = dict(template.document["privacy"])
        if self.noise_multiplier is not None:
            privacy["dp"] = {
                "unit": "record",
                "noise_multiplier": self.noise_multiplier,
                "max_grad_norm": MAX_GRAD_NORM,
                "delta": DELTA,
                "accountant": ACCOUNTANT,
            }
        optimiser = {"name": "sgd", "learning_rate": self.learning_rate, "momentum": 0, "weight_decay": 0}
        spec = template.complete(
            base_cid=digest_of(base.tobytes()),
            base_root=chunk_root(base),
            schema=schema,
            retain_until=RETAIN_UNTIL,
            training={**template.document["training"], **TRAINING, "optimiser": optimiser, "seed": seed},
            rounds=self.rounds,
            privacy=privacy,
        )
        return spec, base


@dataclass(frozen=True)
class Hospitals:
    """Training and held-out records of the four, float32[n, 13] and float32[n] each."""

    names: tuple[str, ...]
    schema: dict[str, Any]
    train: tuple[Arrays, ...]
    held_out: tuple[Arrays, ...]

    @classmethod
    def of(cls, random_state: int, *, own_constants: bool) -> Hospitals:
        """FLamby's rows and manner of splitting. ``own_constants``: each hospital is normalised with its own training
        statistics, as in FLamby's figures; else all with Cleveland's, as the protocol's schema does."""
        hospitals = heart_disease.load(random_state=random_state)
        shared = heart_disease.schema(hospitals)
        parts: dict[int, list[Arrays]] = {TRAIN: [], HELD_OUT: []}
        for hospital in hospitals:
            schema = heart_disease.schema([hospital]) if own_constants else shared
            records, labels = schema.encode(hospital.records)
            for side, arrays in parts.items():
                chosen = hospital.splits == side
                arrays.append((records[chosen], labels[chosen]))
        names = tuple(hospital.name for hospital in hospitals)
        return cls(names, shared.to_dict(), tuple(parts[TRAIN]), tuple(parts[HELD_OUT]))

    @property
    def counts(self) -> list[int]:
        return [len(labels) for _, labels in self.train]

    def accuracies(self, setting: Setting, seed: int) -> list[float]:
        """Held-out accuracy of the job's last state at each hospital."""
        spec, base = setting.spec(self.schema, seed)
        *_, last = rehearse(spec, base, self.train, range(len(self.train)))
        return [evaluate(spec, last, *arrays).accuracy for arrays in self.held_out]

    def spent(self, setting: Setting) -> dict[str, float]:
        """Epsilon that each hospital spends in the whole job, by name."""
        spec, _ = setting.spec(self.schema, SEEDS[0])
        return {
            name: epsilon([spending(spec, count, spec.rounds)], DELTA, ACCOUNTANT)
            for name, count in zip(self.names, self.counts, strict=True)
        }


def _noise_for(target: float, rounds: int, counts: Sequence[int]) -> float:
    """The least noise multiplier, to four digits, with which no hospital spends more than ``target``."""
    assert max(counts) <= TRAINING["batch_size"], "every step takes the whole batch"

    def within(noise: float, accountant: str) -> bool:
        return epsilon([Spending(noise, 1.0, rounds * TRAINING["local_epochs"])], DELTA, accountant) <= target

    high = 0.05
    while not within(high, "rdp"):
        high *= 2
    low = high / 4
    while high / low > 1.0001:
        middle = (low * high) ** 0.5
        low, high = (low, middle) if within(middle, ACCOUNTANT) else (middle, high)
    return high


def run() -> dict[str, Any]:
    """All figures of the bench; accuracies lie between 0 and 1. Raises DataUnavailable."""
    constants = {
        "own constants": Hospitals.of(FLAMBY_SPLIT, own_constants=True),
        "shared constants": Hospitals.of(FLAMBY_SPLIT, own_constants=False),
    }
    own, shared = constants.values()
    rows = []
    for target in EPSILONS:
        setting = Setting.of(target, own.counts)
        row: dict[str, Any] = {**asdict(setting), "published": PUBLISHED[target]}
        for name, hospitals in constants.items():
            row[name] = _summary(hospitals, setting)
        row["spent"] = shared.spent(setting) if setting.noise_multiplier else {}
        rows.append(row)
    return {
        "delta": DELTA,
        "seeds": list(SEEDS),
        "draws": DRAWS,
        "rows": rows,
    }


def _summary(hospitals: Hospitals, setting: Setting) -> dict[str, Any]:
    """Mean of the hospitals' accuracies (each counts the same), over runs; and over all held-out records together."""
    draws = DRAWS if setting.noise_multiplier else 1
    runs = [hospitals.accuracies(setting, seed) for seed in SEEDS for _ in range(draws)]
    sizes = [len(labels) for _, labels in hospitals.held_out]
    means = [fmean(each) for each in runs]
    pooled = [fmean(each, weights=sizes) for each in runs]
    return {"mean": fmean(means), "deviation": stdev(means), "by_run": means, "pooled": fmean(pooled)}


def show(result: dict[str, Any], console: Console) -> None:
    """Prints the figures as one table."""
    table = Table(title=f"Held-out accuracy against epsilon, delta {result['delta']}", box=SIMPLE)
    for column in ("epsilon", "noise", "steps", "own constants", "shared", "shared, pooled", "FLamby"):
        table.add_column(column, justify="right", no_wrap=True)
    for row in result["rows"]:
        own, shared = row["own constants"], row["shared constants"]
        table.add_row(
            "none" if row["epsilon"] is None else f"{row['epsilon']:g}",
            "" if row["noise_multiplier"] is None else f"{row['noise_multiplier']:.2f}",
            str(row["rounds"]),
            f"{own['mean']:.3f} ± {own['deviation']:.3f}",
            f"{shared['mean']:.3f} ± {shared['deviation']:.3f}",
            f"{shared['pooled']:.3f}",
            f"{row['published']:.3f}",
        )
    console.print(table)
    console.print(
        f"FLamby's split, means of {len(result['seeds'])} seeds with {result['draws']} draws of noise each; epsilon is"
        " of one record over a hospital's whole job, all rounds.\n"
        "own constants: mean of the four hospitals' tests, each normalised with its own training statistics: the"
        " protocol of FLamby's published figures.\n"
        "shared: the same mean, every hospital normalised with Cleveland's, as our schema is; pooled: over all"
        " held-out records. Those statistics carry no noise."
    )


if __name__ == "__main__":
    show(run(), Console())
