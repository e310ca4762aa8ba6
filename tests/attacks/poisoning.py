"""False updates: what a few hospitals can do to the model, and what the job's rules leave of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import fmean
from typing import Any

import numpy as np

from protocol.data import breast_cancer
from protocol.data.splits import HospitalRecords
from protocol.demo.data import DemoData
from protocol.learning.fixed_point import INT32_MAX, INT32_MIN
from protocol.templates import Template
from tests.attacks.federation import Behaviour, Federation, Rules, Seen

SEEDS = (1, 2, 3)
MANY = 18
ATTACKERS = (0, 6, 12)
CLIP = 0.5
NO_BOUND = Rules("mean")
CLIPPED = Rules(f"mean, clip {CLIP}", clip_norm=CLIP)
RULES = {
    4: (
        NO_BOUND,
        CLIPPED,
        Rules(f"mean, clip {CLIP}, weight at most 25 %", clip_norm=CLIP, max_weight_bps=2_500),
    ),
    MANY: (
        NO_BOUND,
        CLIPPED,
        Rules("median of 6 groups", groups=6, rule="median"),
        Rules(f"median of 6 groups, clip {CLIP}", groups=6, rule="median", clip_norm=CLIP),
    ),
}


class LabelFlip(Behaviour):
    """Trains on inverted labels: poisoned records at a hospital whose node is honest."""

    def data(self, records: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return records, 1 - labels


class SignFlip(Behaviour):
    """Sends the opposite of what it learned."""

    def send(self, update: np.ndarray, seen: Seen) -> np.ndarray:
        del seen
        return saturated(-update.astype(np.int64))


class Scaled(Behaviour):
    """Multiplies what it learned before its own node clips it: poisoned training, honest node."""

    def __init__(self, factor: int) -> None:
        self.factor = factor

    def train(self, honest: np.ndarray) -> np.ndarray:
        return self.factor * honest


class ScaledPastClip(Scaled):
    """Multiplies after the clip: a modified node, which no clip binds."""

    def train(self, honest: np.ndarray) -> np.ndarray:
        return honest

    def send(self, update: np.ndarray, seen: Seen) -> np.ndarray:
        del seen
        return saturated(self.factor * update.astype(np.int64))


class AnotherJobs(Behaviour):
    """Sends what was masked for another job: to this one, uniformly random numbers."""

    def send(self, update: np.ndarray, seen: Seen) -> np.ndarray:
        return seen.random.integers(INT32_MIN, INT32_MAX, len(update), np.int32, endpoint=True)


class Noise(Behaviour):
    """A free rider: random numbers of the size that a round changes the model by."""

    def send(self, update: np.ndarray, seen: Seen) -> np.ndarray:
        step = np.std(_last_step(seen)) or 1.0
        return saturated(np.rint(seen.random.normal(0.0, seen.weight * step, len(update))).astype(np.int64))


class LastRound(Behaviour):
    """A free rider: the change that the last merge made, at its own weight."""

    def send(self, update: np.ndarray, seen: Seen) -> np.ndarray:
        del update
        return saturated(np.rint(seen.weight * _last_step(seen)).astype(np.int64))


def saturated(update: np.ndarray) -> np.ndarray:
    """int64[lanes] as int32, cut at its ends."""
    return np.clip(update, INT32_MIN, INT32_MAX).astype(np.int32)


def _last_step(seen: Seen) -> np.ndarray:
    if len(seen.states) < 2:
        return np.zeros(len(seen.states[0]))
    return seen.states[-1].astype(np.float64) - seen.states[-2]


WORST = "sign flip and x100 (modified node)"
POISONINGS: dict[str, Behaviour] = {
    "label flip (poisoned records, honest node)": LabelFlip(),
    "scaling x100, before the node's own clip": Scaled(100),
    "sign flip (modified node)": SignFlip(),
    "scaling x100, after the clip (modified node)": ScaledPastClip(100),
    WORST: ScaledPastClip(-100),
    "an update masked for another job, or copied (modified node)": AnotherJobs(),
}
FREE_RIDERS: dict[str, Behaviour] = {
    "noise of the size of a round's change": Noise(),
    "last round's change, sent again": LastRound(),
}


def four() -> tuple[str, str, Federation]:
    """The demonstration's four hospitals: what they are, a note, the federation."""
    data = DemoData.find()
    return data.title, data.note, Federation.of(data.hospitals, data.schema, data.template)


def eighteen() -> tuple[str, Federation]:
    """Eighteen hospitals of equal size: the Wisconsin set that scikit-learn carries, dealt out in turn."""
    hospitals = breast_cancer.load()
    records = [record for hospital in hospitals for record in hospital.records]
    splits = np.concatenate([hospital.splits for hospital in hospitals])
    parts = [
        HospitalRecords(f"hospital-{number + 1}", records[number::MANY], splits[number::MANY])
        for number in range(MANY)
    ]
    schema = breast_cancer.schema(hospitals)
    title = f"Wisconsin breast cancer, dealt out to {MANY} hospitals"
    return title, Federation.of(parts, schema, Template.load("breast-cancer"))


def run(say: Callable[[str], None]) -> dict[str, Any]:
    """All tables: one of four hospitals attacks, three of eighteen do, and from how many on the median gives way."""
    title, note, federation = four()
    largest = int(np.argmax(federation.shares))
    say(f"False updates of one of four hospitals ({title})")
    result: dict[str, Any] = {
        "four": {"title": title, "note": note, **table(federation, [largest], {**POISONINGS, **FREE_RIDERS})}
    }
    title, federation = eighteen()
    say(f"False updates of {len(ATTACKERS)} of {MANY} hospitals")
    result["eighteen"] = {"title": title, **table(federation, ATTACKERS, {**POISONINGS, **FREE_RIDERS})}
    result["threshold"] = {
        str(count): table(federation, ATTACKERS[:count], {WORST: POISONINGS[WORST]})["cells"][WORST]
        for count in range(1, len(ATTACKERS) + 1)
    }
    return result


def table(federation: Federation, attackers: Sequence[int], attacks: dict[str, Behaviour]) -> dict[str, Any]:
    """Accuracy by attack and rules: the mean over ``SEEDS``, the worst, and how many of the jobs pass the gate."""
    rules = RULES[len(federation.parties)]
    rows = {"no attack": {}, **{name: dict.fromkeys(attackers, each) for name, each in attacks.items()}}
    cells = {}
    for name, behaviours in rows.items():
        cells[name] = {}
        for each in rules:
            outcomes = [federation.run(each, behaviours, seed) for seed in SEEDS]
            cells[name][each.name] = {
                "accuracy": fmean(outcome.accuracy for outcome in outcomes),
                "worst": min(outcome.accuracy for outcome in outcomes),
                "passed": sum(outcome.passes for outcome in outcomes),
                "overrun": fmean(outcome.overrun for outcome in outcomes),
            }
    return {
        "hospitals": len(federation.parties),
        "attackers": len(attackers),
        "share": sum(federation.shares[i] for i in attackers),
        "gate": federation.template.document["gate"]["accuracy_bps"] / 10_000,
        "jobs": len(SEEDS),
        "cells": cells,
    }
