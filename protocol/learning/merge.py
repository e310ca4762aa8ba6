"""Weights, quantised updates and the merge: arithmetic that every hospital and verifier repeats.

An update is ``q = rint(w * clip(local - global) * 2**f)``; a merge is
``saturate(x + ((eta * M) >> 16))``, where M combines the sums of groups, each taken modulo 2**32. Integer sums do
not depend on their order, so any machine gets the same bytes; and masks that cancel modulo 2**32 leave none.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from fractions import Fraction
from itertools import chain

import numpy as np

from protocol.content.spool import VectorFile
from protocol.errors import LearningError, NotFinite, WrongLength
from protocol.learning.fixed_point import INT32_MAX, INT32_MIN, Layout, require_vector

ONE = 1 << 16
RULES = ("mean", "median")
FULL_BPS = 10_000
# One block of int64 scratch stays inside the processor's cache, and bounds what a merge needs beside two
# states.
BLOCK_LANES = 1 << 15

# An update in memory, int32[lanes], or in a file.
Lanes = np.ndarray | VectorFile


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


def merge(
    state: np.ndarray, groups: Iterable[Iterable[Lanes]], server_step: int = ONE, rule: str = "mean"
) -> np.ndarray:
    """The next state int32[lanes]: ``saturate(state + ((server_step * M) >> 16))``, floor.

    ``groups`` hold the updates of each group, in any order: int32[lanes], or files of as many. S is a group's sum
    modulo 2**32, read as int32. M is, lane by lane, the floor of the mean of the groups' S, or with ``rule`` "median"
    their median (of an even number the floor of the mean of the two middle ones); with one group both are its sum.
    ``server_step`` is a uint32 with 16 fraction bits (65,536 is one).

    Goes through all updates block by block: beside ``state`` and the result it needs a block of each group and, for an
    update in a file, one more. Nothing that it was given is changed. Raises WrongLength, and LearningError for another
    dtype or rule, a group without updates, or a step outside uint32.
    """
    if not 0 <= server_step < 2**32:
        raise LearningError(f"server_step is {server_step}; it lies between 0 and {2**32 - 1}.")
    if rule not in RULES:
        raise LearningError(f"There is no merge rule {rule!r}.", f"There are: {', '.join(RULES)}.")
    require_vector(state, len(state), "The state")
    members = [list(group) for group in groups]
    if not members or not all(members):
        raise LearningError("There is no update to merge, or none of a group.")
    for number, update in enumerate(chain.from_iterable(members), start=1):
        _require_update(update, len(state), f"Update {number}")
    result = np.empty(len(state), np.int32)
    sums, scratch = np.empty((len(members), BLOCK_LANES), np.uint32), np.empty(BLOCK_LANES, "<i4")
    for start in range(0, len(state), BLOCK_LANES):
        block = result[start : start + BLOCK_LANES]
        here = sums[:, : len(block)]
        for total, group in zip(here, members, strict=True):
            _sum(group, start, total, scratch[: len(block)])
        combined = _combine(here.view(np.int32), rule)
        # |server_step * M| <= (2**32 - 1) * 2**31 < 2**63: the product fits int64.
        combined *= server_step
        combined >>= 16
        combined += state[start : start + len(block)]
        np.clip(combined, INT32_MIN, INT32_MAX, out=block, casting="unsafe")
    return result


def _require_update(update: Lanes, lanes: int, what: str) -> None:
    if not isinstance(update, VectorFile):
        require_vector(update, lanes, what)
    elif update.lanes != lanes:
        raise WrongLength(f"{what} has {update.lanes:,} lanes; the model has {lanes:,}.")


def _sum(group: Sequence[Lanes], start: int, total: np.ndarray, scratch: np.ndarray) -> None:
    """Sets ``total``, uint32[n], to the sum modulo 2**32 of the group's lanes from ``start`` on."""
    total[:] = 0
    for update in group:
        if isinstance(update, VectorFile):
            update.read(start, scratch)
            lanes = scratch
        else:
            lanes = update[start : start + len(total)]
        np.add(total, lanes.view(np.uint32), out=total)


def _combine(sums: np.ndarray, rule: str) -> np.ndarray:
    """Mean or median over the groups, floor; ``sums``, int32[groups, n], is scratch; the result int64[n]."""
    count = len(sums)
    if count == 1:
        return sums[0].astype(np.int64)
    if rule == "mean":
        return sums.sum(axis=0, dtype=np.int64) // count
    # Odd-even transposition: whole rows at a time, where a sort would take the lanes one by one.
    for turn in range(count):
        for row in range(turn % 2, count - 1, 2):
            low, high = sums[row], sums[row + 1]
            larger = np.maximum(low, high)
            np.minimum(low, high, out=low)
            high[:] = larger
    middle = sums[count // 2].astype(np.int64)
    return middle if count % 2 else (middle + sums[count // 2 - 1]) >> 1
