"""Differential privacy: what local training spends of a dataset's budget, and what many trainings spend together.

The mechanism is DP-SGD (Abadi et al. 2016): each step draws every unit (a record, or a patient) on its own with the
same probability, clips each unit's gradient, and adds Gaussian noise to their sum. Accounting is Opacus's: Rényi
(``rdp``, Mironov 2017) or privacy loss random variables (``prv``, Gopi et al. 2021). Two datasets are neighbours when
one has one unit more; how many there are is public, as the training counts on the chain are.

Opacus takes seconds to import and only jobs with differential privacy need it: here it is imported where it is used.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from protocol.errors import LearningError
from protocol.spec import DpSpec, JobSpec

MICRO = 1_000_000
# Opacus's own orders and larger ones, which a small epsilon needs. Any choice gives a true bound.
ORDERS = (
    *(1 + tenth / 10 for tenth in range(1, 100)),
    *range(12, 64),
    *(64, 80, 96, 128, 160, 192, 256, 384, 512, 768, 1024),
)
# By how much a bound of the `prv` accountant may lie above its estimate.
PRV_ERROR = 0.01
# Another machine's arithmetic may differ in the last digits: a verifier asks for this share less.
TOLERANCE = 1e-6


@dataclass(frozen=True, slots=True)
class Spending:
    """Steps of DP-SGD with one setting. ``noise_multiplier``: deviation of the noise as a multiple of the gradient's
    bound; ``sample_rate``: with what probability each unit takes part in a step."""

    noise_multiplier: float
    sample_rate: float
    steps: int


def dp_of(spec: JobSpec) -> DpSpec:
    """What the spec says of differential privacy. Raises LearningError when it has none."""
    if spec.privacy.dp is None:
        raise LearningError("The job does not train with differential privacy.")
    return spec.privacy.dp


def spending(spec: JobSpec, units: int, rounds: int = 1) -> Spending:
    """What ``rounds`` rounds of local training on so many units cost. Raises LearningError."""
    if units < 1 or rounds < 1:
        raise LearningError("Nothing is spent on no units or in no round.")
    batch = min(spec.training.batch_size, units)
    steps = rounds * spec.training.local_epochs * math.ceil(units / batch)
    return Spending(dp_of(spec).noise_multiplier, batch / units, steps)


def epsilon(history: Sequence[Spending], delta: float, accountant: str) -> float:
    """An upper bound on the epsilon of all of ``history`` together at this delta; 0 for none.

    Raises LearningError when the accountant can bound nothing, as with next to no noise.
    """
    if not history:
        return 0.0
    from opacus.accountants import PRVAccountant, RDPAccountant

    merged: dict[tuple[float, float], int] = {}
    for each in history:
        setting = (each.noise_multiplier, each.sample_rate)
        merged[setting] = merged.get(setting, 0) + each.steps
    try:
        with warnings.catch_warnings(), np.errstate(invalid="raise", divide="ignore", over="ignore"):
            # Opacus's words when the best order is the first or the last: the bound is true, if not the tightest.
            warnings.simplefilter("ignore", UserWarning)
            if accountant == "rdp":
                rdp = RDPAccountant()
                rdp.history = [(*setting, steps) for setting, steps in merged.items()]
                spent = rdp.get_epsilon(delta, alphas=list(ORDERS))
            else:
                prv = PRVAccountant()
                prv.history = [(*setting, steps) for setting, steps in merged.items()]
                spent = prv.get_epsilon(delta, eps_error=PRV_ERROR)
    except (ValueError, RuntimeError, ArithmeticError, MemoryError) as error:
        raise LearningError(
            f"The {accountant} accountant cannot bound this training: {error}.",
            "A larger noise multiplier, or the rdp accountant, may do.",
        ) from error
    if not math.isfinite(spent):
        raise LearningError(
            "This training has no finite epsilon.", "The spec's noise multiplier is too small."
        )
    # Below zero where delta alone covers all that the noise lets through.
    return max(0.0, float(spent))


def micro(value: float) -> int:
    """Epsilon in millionths, rounded up: never less than was spent."""
    return math.ceil(value * MICRO)


def least_micro(spec: JobSpec, train_records: int, trainings: int) -> int:
    """The least total in millionths that a hospital can honestly declare with its update of that number in this job.

    It may declare more: other jobs on the dataset count too, and trainings that were never sent. Computed from the spec
    and the training count on the chain, so anyone can. 0 when the unit is the patient, for how many there are is not
    public. Raises LearningError.
    """
    dp = dp_of(spec)
    if dp.unit != "record":
        return 0
    spent = epsilon([spending(spec, train_records, trainings)], dp.delta, dp.accountant)
    # With other jobs in it, a bound of `prv` lies elsewhere between its estimate less and more the error.
    slack = 2 * PRV_ERROR if dp.accountant == "prv" else 0.0
    return max(0, math.floor((spent - slack) * MICRO * (1 - TOLERANCE)))
