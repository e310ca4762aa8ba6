"""A researcher's job that reads single records out of the merge itself, where no mask hides anything.

The base state is a trap ("Robbing the Fed", Fowl et al. 2022): every neuron of the first layer measures the same
quantity of a record and lets it pass above a threshold of its own. What two neighbouring neurons learn differs by the
records between their thresholds; where that is a single record, the difference is that record. Thresholds that hardly
any but one hospital's records reach single that hospital out. Everything is read from the states that the chain names;
the sum of the hospitals' updates is enough.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from protocol.content.cid import digest_of
from protocol.content.merkle import chunk_root
from protocol.learning import zoo
from protocol.learning.fixed_point import from_floats, to_floats
from protocol.learning.merge import merge, quantise, weights
from protocol.learning.privacy import Spending, epsilon
from protocol.learning.train import train
from protocol.spec import JobSpec
from protocol.templates import Template
from tests.attacks.federation import RETAIN_UNTIL, Federation

NEURONS = 1024
# Small, and of either sign in turn: the trap must hardly move the prediction, or nothing is left to learn.
OUTER = 0.01
LEARNING_RATE = 10.0
# What counts as read: all columns of a record at once, relative to its length.
TOLERANCE = 0.02
# Noise and clip of DP-SGD for which the same job is tried again.
PRIVATE = {
    "unit": "record",
    "noise_multiplier": 1.0,
    "max_grad_norm": 1.0,
    "delta": 0.001,
    "accountant": "rdp",
}


@dataclass(frozen=True)
class Trap:
    """Thresholds float64[neurons] of ``direction`` float64[d], and the state that holds them."""

    template: Template
    direction: np.ndarray
    thresholds: np.ndarray
    base: np.ndarray


def anybody(federation: Federation, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """A direction and thresholds for the records of all. The direction is random: any one tells records apart. The
    thresholds are drawn from a normal distribution, which is all that the schema's constants tell of a column."""
    draw = np.random.default_rng(seed)
    direction = draw.normal(size=_inputs(federation))
    return direction / np.linalg.norm(direction), np.sort(draw.normal(scale=1.6, size=NEURONS))


def one_hospital(federation: Federation, target: int) -> tuple[np.ndarray, np.ndarray]:
    """A direction in which one hospital's records lie apart, and thresholds that few of the others' reach.

    By least squares on all records: a researcher who knows the hospital's patients well, from publications say. The
    thresholds begin where 95 % of the others' records have been left behind.
    """
    records = np.concatenate([part for part, _ in federation.parties]).astype(np.float64)
    owner = np.repeat(np.arange(len(federation.parties)), [len(part) for part, _ in federation.parties])
    with_one = np.c_[records, np.ones(len(records))]
    direction = np.linalg.lstsq(with_one, (owner == target).astype(float), rcond=None)[0][:-1]
    direction /= np.linalg.norm(direction)
    measured = records @ direction
    start = np.quantile(measured[owner != target], 0.95)
    return direction, np.linspace(start, measured[owner == target].max(), NEURONS)


def _inputs(federation: Federation) -> int:
    return federation.parties[0][0].shape[1]


def trap(template: Template, direction: np.ndarray, thresholds: np.ndarray) -> Trap:
    """The base state that a researcher would publish as version 1 of a model, and the job on it."""
    inputs = len(direction)
    document = {
        **template.document,
        "model": {
            "architecture": "mlp",
            "parameters": {"inputs": inputs, "hidden": [NEURONS], "outputs": 1},
        },
        "training": {
            **template.document["training"],
            "optimiser": {"name": "sgd", "learning_rate": LEARNING_RATE, "momentum": 0, "weight_decay": 0},
            "batch_size": 65_536,
            "local_epochs": 1,
        },
        "rounds": 1,
    }
    crafted = Template(document)
    layout = zoo.layout(crafted.model, crafted.state)
    tensors = {
        "0.weight": np.tile(direction, (NEURONS, 1)).astype(np.float32),
        "0.bias": (-thresholds).astype(np.float32),
        "2.weight": _outer()[None].astype(np.float32),
        "2.bias": np.zeros(1, np.float32),
    }
    return Trap(crafted, direction, thresholds, from_floats(tensors, layout))


def _outer() -> np.ndarray:
    return OUTER * (-1.0) ** np.arange(NEURONS)


def sprung(federation: Federation, snare: Trap, privacy: dict[str, Any]) -> np.ndarray:
    """The merge of the job's only round, as the chain names it: int32[lanes]. Masks cancel in it and are left out."""
    spec = _spec(federation, snare, privacy)
    layout = zoo.layout(spec.model, spec.state)
    shares = weights([len(labels) for _, labels in federation.parties])
    updates = [
        quantise(
            train(spec, snare.base, *party, round=1, seed=number).delta,
            share,
            len(shares),
            layout,
            spec.merge.clip_norm,
        )
        for number, (party, share) in enumerate(zip(federation.parties, shares, strict=True))
    ]
    return merge(snare.base, [updates])


def _spec(federation: Federation, snare: Trap, privacy: dict[str, Any]) -> JobSpec:
    return snare.template.complete(
        base_cid=digest_of(snare.base.tobytes()),
        base_root=chunk_root(snare.base),
        schema=federation.schema.to_dict(),
        retain_until=RETAIN_UNTIL,
        privacy=privacy,
        merge={"rule": "mean", "server_step": 65_536, "max_weight_bps": 10_000, "clip_norm": 1_000},
    )


def read(snare: Trap, following: np.ndarray) -> np.ndarray:
    """Candidates for records, float64[m, d]: what each pair of neighbouring neurons learned apart."""
    layout = zoo.layout(snare.template.model, snare.template.state)
    before, after = (to_floats(state, layout) for state in (snare.base, following))
    change = {name: (after[name].astype(np.float64) - before[name]) for name in ("0.weight", "0.bias")}
    outer = _outer()
    lines, offsets = change["0.weight"] / outer[:, None], change["0.bias"] / outer
    apart, weight = np.diff(lines, axis=0), np.diff(offsets)
    there = np.abs(weight) > 1e-3 * np.abs(weight).max()
    return apart[there] / weight[there, None]


def recovered(truth: np.ndarray, candidates: np.ndarray) -> int:
    """How many records, rows of float32[n, d], some candidate shows in all columns."""
    found = 0
    for record in truth.astype(np.float64):
        errors = np.linalg.norm(candidates - record, axis=1) / np.linalg.norm(record)
        found += bool(errors.min(initial=np.inf) < TOLERANCE)
    return found


def run(federation: Federation, names: list[str], seed: int = 1) -> dict[str, Any]:
    """Training records that the merge of a masked job gives away, by hospital: a trap for all of them, one for the
    hospital with the fewest records, and both again with differential privacy."""
    counts = [len(labels) for _, labels in federation.parties]
    target = int(np.argmin(counts))
    snares = {
        "all hospitals": anybody(federation, seed),
        f"{names[target]} alone": one_hospital(federation, target),
    }
    masked = {"mechanism": "masked"}
    result: dict[str, Any] = {
        "records": dict(zip(names, counts, strict=True)),
        "noise_multiplier": PRIVATE["noise_multiplier"],
        "delta": PRIVATE["delta"],
        # One step over all records, of whichever hospital.
        "epsilon": epsilon(
            [Spending(PRIVATE["noise_multiplier"], 1.0, 1)], PRIVATE["delta"], PRIVATE["accountant"]
        ),
        "aimed at": {},
    }
    for aim, (direction, thresholds) in snares.items():
        snare = trap(federation.template, direction, thresholds)
        result["aimed at"][aim] = {
            attempt: {
                name: recovered(records, candidates)
                for name, (records, _) in zip(names, federation.parties, strict=True)
            }
            for attempt, privacy in (("masked", masked), ("masked, DP-SGD", {**masked, "dp": PRIVATE}))
            for candidates in (read(snare, sprung(federation, snare, privacy)),)
        }
    return result
