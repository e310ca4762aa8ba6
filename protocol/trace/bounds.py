"""How large an unmasked update may be. Once updates are masked nobody can tell."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from protocol.learning.merge import l2_norm, weights
from protocol.spec import JobSpec
from protocol.trace.check import Check


def update_bounds(spec: JobSpec, groups: Sequence[Mapping[int, int]]) -> dict[int, float]:
    """The largest L2 norm that each participant's quantised update may have: its weight of the spec's clip norm.

    ``groups``: training records by hospital, in the order of their bits, for each group; weights are those within it.
    Where tensors have other fraction bits than the rest, the most of them bound all. Rounding may add half a unit a
    lane, which is not counted here.
    """
    bits = max(spec.state.fraction_bits, *spec.state.tensors.values(), 0)
    return {
        each: float(share) * spec.merge.clip_norm * 2.0**bits
        for counts in groups
        for each, share in zip(counts, weights(list(counts.values()), spec.merge.max_weight_bps), strict=True)
    }


def check_bound(parent: Check, x: np.ndarray, bound: float) -> None:
    norm, rounding = l2_norm(x.astype(np.float64)), 0.5 * math.sqrt(len(x))
    allowed = bound * (1 + 1e-9) + rounding
    parent.add("it stays within its weight of the clip norm", norm <= allowed, f"{norm / allowed:.1%} of it")
