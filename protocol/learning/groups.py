"""Groups of a round's participants, as contracts/libraries/Groups.sol draws them.

A hospital's index is the place of its bit. ``labels`` is one whole number with four bits for each hospital: the one at
index i is in group ``(labels >> 4i) & 15``. Zero: all are in one group.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256

from protocol.errors import LearningError

SMALLEST = 3
MOST_GROUPS = 16
MOST_HOSPITALS = 48
LABEL_BITS = 4


def draw(seed: bytes, members: Sequence[int], most: int) -> int:
    """The labels of ``members`` (indices, ascending) in at most ``most`` groups of at least three, as equal as can be.

    A Fisher-Yates shuffle: for i from the last down to 1, ``j = sha256(seed || uint256(i)) mod (i + 1)`` swaps places;
    the k-th then gets the label k modulo the number of groups. ``seed`` is the hash of a block, 32 bytes. Raises
    LearningError for another seed, members that are not ascending, or ``most`` outside 1 to 16.
    """
    if len(seed) != 32:
        raise LearningError(f"The seed of a draw has 32 bytes, not {len(seed)}.")
    if not 1 <= most <= MOST_GROUPS:
        raise LearningError(f"{most} groups: there are between 1 and {MOST_GROUPS}.")
    _require_indices(members)
    count = min(most, len(members) // SMALLEST)
    if count < 2:
        return 0
    shuffled = list(members)
    for i in range(len(shuffled) - 1, 0, -1):
        j = int.from_bytes(sha256(seed + i.to_bytes(32, "big")).digest(), "big") % (i + 1)
        shuffled[i], shuffled[j] = shuffled[j], shuffled[i]
    return sum((k % count) << (LABEL_BITS * index) for k, index in enumerate(shuffled))


def label_of(labels: int, index: int) -> int:
    """The group of the hospital at ``index``."""
    return labels >> (LABEL_BITS * index) & (2**LABEL_BITS - 1)


def split(labels: int, indices: Sequence[int]) -> list[list[int]]:
    """``indices`` by group, in the order of the labels, ascending inside; no group is empty."""
    _require_indices(sorted(indices))
    groups: dict[int, list[int]] = {}
    for index in sorted(indices):
        groups.setdefault(label_of(labels, index), []).append(index)
    return [groups[label] for label in sorted(groups)]


def large(labels: int, indices: Sequence[int]) -> list[int]:
    """Those of ``indices`` whose group still has three of them, ascending: who takes part in a later attempt."""
    return sorted(index for group in split(labels, indices) if len(group) >= SMALLEST for index in group)


def _require_indices(members: Sequence[int]) -> None:
    if any(not 0 <= index < MOST_HOSPITALS for index in members) or list(members) != sorted(set(members)):
        raise LearningError(f"The members {list(members)} are not indices of hospitals in ascending order.")
