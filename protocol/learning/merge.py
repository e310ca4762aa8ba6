"""Weights, quantised updates and the merge: arithmetic that every hospital and verifier repeats.

An update is ``q = rint(w * clip(local - global) * 2**f)``; a merge is
``saturate(x + ((eta * sum(q)) >> 16))`` with the sum taken modulo 2**32. Integer sums do not depend on their
order, so any machine gets the same bytes.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from fractions import Fraction

import numpy as np

from protocol.errors import LearningError, NotFinite, WrongLength
from protocol.learning.fixed_point import INT32_MAX, INT32_MIN, Layout, require_vector

ONE = 1 << 16
FULL_BPS = 10_000
# One block of int64 scratch stays inside the processor's cache, and bounds what a merge needs beside two
# states.
BLOCK_LANES = 1 << 15


def weights(counts: Sequence[int], max_weight_bps: int = FULL_BPS) -> list[Fraction]:
    """Each participant's share of the merge, exact; the shares sum to 1.

    ``counts`` are training records, as the chain has them. No share exceeds ``max_weight_bps / 10000``:
    what is above it goes to the others in proportion to their counts, again and again until none exceeds
    it. When even equal shares would exceed it, all are equal. Raises LearningError for no participants, a
    count below 1, or a cap outside 1 to 10,000.
    """
    if not counts or min(counts) < 1:
        raise LearningError("A merge needs participants with at least one training record each.")
    if not 1 <= max_weight_bps <= FULL_BPS:
        raise LearningError(f"max_weight_bps is {max_weight_bps}; it lies between 1 and {FULL_BPS}.")
    cap = Fraction(max_weight_bps, FULL_BPS)
    if cap * len(counts) <= 1:
        return [Fraction(1, len(counts))] * len(counts)
    capped: set[int] = set()
    while True:
        rest = 1 - cap * len(capped)
        total = sum(count for index, count in enumerate(counts) if index not in capped)
        shares = [cap if index in capped else rest * count / total for index, count in enumerate(counts)]
        above = {index for index, share in enumerate(shares) if share > cap}
        if not above:
            return shares
        capped |= above


def quantise(
    delta: np.ndarray, weight: Fraction, participants: int, layout: Layout, clip_norm: float
) -> np.ndarray:
    """A hospital's update q, int32[lanes].

    ``delta`` is local minus global, float64[lanes]; ``weight`` its share of the merge. It is clipped to the
    L2 norm ``clip_norm`` over the whole vector, then coordinate by coordinate to ``(2**31 - 1 -
    participants) / 2**f``, so that the sum over honest participants stays inside int32. Raises NotFinite,
    WrongLength, and LearningError for a weight outside (0, 1], no participants or a clip norm that is not
    positive.
    """
    if delta.shape != (layout.lanes,):
        raise WrongLength(f"The update has shape {delta.shape}; the model's has ({layout.lanes},).")
    if not 0 < weight <= 1 or participants < 1 or not (math.isfinite(clip_norm) and clip_norm > 0):
        raise LearningError(
            f"Weight {weight}, {participants} participants, clip norm {clip_norm}: out of range."
        )
    clipped = np.array(delta, np.float64)
    if not np.isfinite(clipped).all():
        raise NotFinite("The update holds NaN or infinity.", "Lower the learning rate.")
    norm = l2_norm(clipped)
    if norm > clip_norm:
        clipped *= clip_norm / norm
    share = float(weight)
    q = np.empty(layout.lanes, np.int32)
    for _, _, bits, place in layout.slices():
        bound = math.ldexp(INT32_MAX - participants, -bits)
        part = np.clip(clipped[place], -bound, bound)
        q[place] = np.rint(np.ldexp(share * part, bits))
    return q


def l2_norm(vector: np.ndarray) -> float:
    """The Euclidean norm of float64[n], which neither overflows nor depends on the number of threads."""
    largest = float(np.abs(vector).max(initial=0.0))
    if largest == 0.0:
        return 0.0
    # Blocks of numpy's own pairwise sum, then an exact sum of the blocks: BLAS would split the work by
    # threads.
    blocks = (vector[start : start + BLOCK_LANES] / largest for start in range(0, len(vector), BLOCK_LANES))
    return largest * math.sqrt(math.fsum(float(np.sum(block * block)) for block in blocks))


def merge(state: np.ndarray, updates: Iterable[np.ndarray], server_step: int = ONE) -> np.ndarray:
    """The next state int32[lanes]: ``saturate(state + ((server_step * sum of updates) >> 16))``, floor.

    ``updates`` are int32[lanes] and may be a generator: one is held at a time, and none is changed.
    ``server_step`` is a uint32 with 16 fraction bits (65,536 is one). Raises WrongLength, and LearningError
    for another dtype, no updates or a step outside uint32.
    """
    if not 0 <= server_step < 2**32:
        raise LearningError(f"server_step is {server_step}; it lies between 0 and {2**32 - 1}.")
    require_vector(state, len(state), "The state")
    total = np.zeros(len(state), np.uint32)
    merged = 0
    for update in updates:
        merged += 1
        require_vector(update, len(state), f"Update {merged}")
        np.add(total, update.view(np.uint32), out=total)
        # Else it would live on while the next one is fetched.
        del update
    if not merged:
        raise LearningError("There is no update to merge.")
    result = total.view(np.int32)
    for start in range(0, len(state), BLOCK_LANES):
        block = slice(start, start + BLOCK_LANES)
        # |server_step * S| <= (2**32 - 1) * 2**31 < 2**63: the product fits int64.
        step = (result[block].astype(np.int64) * server_step) >> 16
        result[block] = np.clip(step + state[block], INT32_MIN, INT32_MAX)
    return result
