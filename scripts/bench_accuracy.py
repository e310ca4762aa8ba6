"""Accuracy of the heart disease job, beside each hospital alone, pooled training and FLamby's published
results.

    python scripts/bench_accuracy.py

Everything goes through the integer pipeline of the protocol: the same training, quantisation and merge as
the nodes'.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Any

import numpy as np
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from protocol.content import canonical
from protocol.content.cid import digest_of
from protocol.content.merkle import chunk_root
from protocol.data import heart_disease
from protocol.learning.metrics import evaluate
from protocol.learning.rehearsal import rehearse
from protocol.learning.train import initial_state
from protocol.spec import JobSpec
from protocol.templates import Template

SEEDS = (1, 2, 3, 4, 5)
OTHER_SPLITS = tuple(range(10))
FLAMBY_SPLIT = 43
# du Terrail et al. 2022, Fed-Heart-Disease, pooled test accuracy.
PUBLISHED = {"pooled": 0.795, "best federated": 0.785, "FedAvg": 0.748}
RETAIN_UNTIL = 2_000_000_000

Arrays = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Score:
    """Held-out accuracy: over all records together, and by hospital."""

    pooled: float
    by_hospital: tuple[float, ...]


@dataclass(frozen=True)
class Split:
    """Records of the four hospitals, encoded by one schema: float32[n, 13] and float32[n] each."""

    schema: dict[str, Any]
    names: tuple[str, ...]
    train: tuple[Arrays, ...]
    held_out: tuple[Arrays, ...]

    @classmethod
    def of(cls, random_state: int) -> Split:
        """FLamby's rows and manner of splitting, with this random state; constants as ``heart_disease``
        makes them."""
        hospitals = heart_disease.load(random_state=random_state)
        schema = heart_disease.schema(hospitals)
        encoded = [(schema.encode(hospital.records), hospital.splits) for hospital in hospitals]
        parts = [
            tuple((records[splits == part], labels[splits == part]) for (records, labels), splits in encoded)
            for part in (0, 1)
        ]
        return cls(schema.to_dict(), tuple(hospital.name for hospital in hospitals), parts[0], parts[1])

    def score(self, spec: JobSpec, state: np.ndarray) -> Score:
        metrics = [evaluate(spec, state, *part) for part in self.held_out]
        pooled = sum(each.correct for each in metrics) / sum(each.total for each in metrics)
        return Score(pooled, tuple(each.accuracy for each in metrics))

    def trained(self, seed: int, parties: tuple[Arrays, ...]) -> Score:
        """Trains the template's job on these parties from the base state of ``seed``."""
        template = Template.load("heart-disease")
        base = initial_state(template.model, template.state, seed)
        spec = template.complete(
            base_cid=digest_of(base.tobytes()),
            base_root=chunk_root(base),
            schema=self.schema,
            retain_until=RETAIN_UNTIL,
            training={**template.document["training"], "seed": seed},
        )
        *_, last = rehearse(spec, base, parties, range(len(parties)))
        return self.score(spec, last)

    def federated(self, seed: int) -> Score:
        return self.trained(seed, self.train)

    def central(self, seed: int) -> Score:
        """All training records in one place, for the same number of steps."""
        records, labels = zip(*self.train, strict=True)
        return self.trained(seed, ((np.concatenate(records), np.concatenate(labels)),))

    def alone(self, hospital: int, seed: int) -> Score:
        """One hospital's training records only, for the same number of steps."""
        return self.trained(seed, (self.train[hospital],))


def run() -> dict[str, Any]:
    """All figures of the bench; accuracies lie between 0 and 1. Raises DataUnavailable."""
    split = Split.of(FLAMBY_SPLIT)
    federated = [split.federated(seed) for seed in SEEDS]
    central = [split.central(seed) for seed in SEEDS]
    alone = [[split.alone(hospital, seed) for seed in SEEDS] for hospital in range(len(split.names))]
    others = {}
    for random_state in OTHER_SPLITS:
        other = Split.of(random_state)
        others[random_state] = {
            "federated": fmean(other.federated(seed).pooled for seed in SEEDS),
            "central": fmean(other.central(seed).pooled for seed in SEEDS),
        }
    return {
        "seeds": list(SEEDS),
        "schema": canonical.dumps(split.schema).decode(),
        "federated": _summary(federated, split.names),
        "central": _summary(central, split.names),
        "alone": {
            name: _summary(scores, split.names) for name, scores in zip(split.names, alone, strict=True)
        },
        "other_splits": others,
        "other_splits_mean": {
            kind: fmean(each[kind] for each in others.values()) for kind in ("federated", "central")
        },
        "published": PUBLISHED,
        "records": {
            "train": {name: len(labels) for name, (_, labels) in zip(split.names, split.train, strict=True)},
            "held_out": {
                name: len(labels) for name, (_, labels) in zip(split.names, split.held_out, strict=True)
            },
        },
    }


def _summary(scores: list[Score], names: tuple[str, ...]) -> dict[str, Any]:
    """Means over seeds, and each seed's pooled accuracy."""
    pooled = [score.pooled for score in scores]
    columns = zip(*(score.by_hospital for score in scores), strict=True)
    return {
        "mean": fmean(pooled),
        "deviation": stdev(pooled),
        "by_seed": pooled,
        "by_hospital": {name: fmean(column) for name, column in zip(names, columns, strict=True)},
    }


def show(result: dict[str, Any], console: Console) -> None:
    """Prints the figures as two tables."""
    names = list(result["federated"]["by_hospital"])
    title = f"Held-out accuracy on FLamby's split, mean of {len(result['seeds'])} seeds"
    table = Table(title=title, box=SIMPLE, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column("trained on", no_wrap=True)
    for column in ("all", "±", *names):
        table.add_column(column, justify="right", overflow="fold", min_width=5)
    rows = {
        "federated (ours)": result["federated"],
        "records pooled": result["central"],
        **{f"{name} alone": summary for name, summary in result["alone"].items()},
    }
    for label, summary in rows.items():
        cells = [f"{summary['by_hospital'][name]:.3f}" for name in names]
        table.add_row(label, f"{summary['mean']:.3f}", f"{summary['deviation']:.3f}", *cells)
    table.add_section()
    for label, accuracy in result["published"].items():
        table.add_row(f"FLamby {label}", f"{accuracy:.3f}", "", *[""] * len(names))
    console.print(table)

    others = Table(title="Other random splits", box=SIMPLE)
    others.add_column("random state", justify="right")
    others.add_column("federated", justify="right")
    others.add_column("pooled", justify="right")
    for random_state, scores in result["other_splits"].items():
        others.add_row(str(random_state), f"{scores['federated']:.3f}", f"{scores['central']:.3f}")
    mean = result["other_splits_mean"]
    others.add_section()
    others.add_row("mean", f"{mean['federated']:.3f}", f"{mean['central']:.3f}")
    console.print(others)


if __name__ == "__main__":
    show(run(), Console())
