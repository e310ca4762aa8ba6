"""k-anonymity: nobody's quasi-identifiers are shared by fewer than k rows (Sweeney 2002).

Each quasi-identifier is generalised to one level for all rows (full-domain), and rows whose class is still smaller than
k are left out, up to a declared share: the lattice of levels of Samarati (2001). What satisfies k stays so when it is
generalised further, hence what lies below a node that fails is not looked at (Incognito; LeFevre et al. 2005). Of the
nodes that satisfy k the one of least loss is taken: the mean over rows and weighted quasi-identifiers of the NCP (see
`hierarchies`), where a row left out loses all, 1, after the GCP of Ghinita et al. (2007).
"""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from protocol.cohort.hierarchies import Hierarchy
from protocol.errors import DataError

MAX_NODES = 10_000
# Below so many possible classes a row, marking those there are is faster than sorting.
_SPARSE = 16


@dataclass(frozen=True)
class Choice:
    """Levels by quasi-identifier, their loss from 0 to 1, and how many rows their classes leave out."""

    levels: dict[str, int]
    loss: float
    suppressed: int


def choose(
    columns: Mapping[str, np.ndarray], hierarchies: Sequence[Hierarchy], k: int, max_suppressed: float
) -> Choice:
    """The levels of least loss at which all rows but a share of ``max_suppressed`` are in classes of k or more.

    ``columns``: float64[n] by name, at level 0. The order of the rows changes nothing. Equal losses: fewest rows left
    out, then the lowest levels, then those of the last quasi-identifiers. Raises `DataError` when no levels will do.
    """
    nodes = math.prod(each.height + 1 for each in hierarchies)
    if nodes > MAX_NODES:
        raise DataError(
            f"The quasi-identifiers have {nodes:,} combinations of levels; {MAX_NODES:,} are allowed.",
            "Give them fewer levels, or declare fewer of them.",
        )
    lattice = _Lattice(columns, hierarchies)
    most = math.floor(max_suppressed * lattice.rows)
    best: tuple[float, int, int, tuple[int, ...]] | None = None
    failed: set[tuple[int, ...]] = set()
    for node in _from_the_top(hierarchies):
        if failed and any(above in failed for above in _above(node, hierarchies)):
            failed.add(node)
            continue
        loss, suppressed = lattice.cost(node, k)
        if suppressed > most or suppressed == lattice.rows:
            failed.add(node)
            continue
        found = (round(loss, 12), suppressed, sum(node), node)
        best = found if best is None else min(best, found)
    if best is None:
        raise DataError(
            f"The patients cannot be put into classes of {k}, however far they are generalised,"
            f" with at most {max_suppressed:.0%} of them left out.",
            "Wait for more patients, or declare a smaller k or a coarser last level.",
        )
    levels = {each.name: level for each, level in zip(hierarchies, best[3], strict=True)}
    return Choice(levels, best[0], best[1])


def generalise(
    columns: Mapping[str, np.ndarray], hierarchies: Sequence[Hierarchy], levels: Mapping[str, int]
) -> dict[str, np.ndarray]:
    """The quasi-identifiers at these levels: float64[n] by name. Raises `DataError` for levels that are not theirs."""
    if {each.name for each in hierarchies} != set(levels):
        raise DataError("The levels are not of the mapping's quasi-identifiers.")
    if any(not 0 <= levels[each.name] <= each.height for each in hierarchies):
        raise DataError("A quasi-identifier has no such level.", "Use the mapping that the levels are of.")
    return {each.name: each.at(columns[each.name], levels[each.name])[0] for each in hierarchies}


def loss_of(
    columns: Mapping[str, np.ndarray],
    hierarchies: Sequence[Hierarchy],
    levels: Mapping[str, int],
    kept: np.ndarray,
) -> float:
    """The loss that `choose` minimises, at given levels; ``kept``: bool[n], whether a row is not left out."""
    if not len(kept):
        return 0.0
    penalty = np.mean([each.at(columns[each.name], levels[each.name])[1] for each in hierarchies], axis=0)
    return float(np.where(kept, penalty, 1.0).mean())


def class_sizes(columns: Sequence[np.ndarray]) -> np.ndarray:
    """int64[n]: how many rows have the same values as each."""
    numbers, count = _classes([_numbered(each) for each in columns])
    return np.bincount(numbers, minlength=count)[numbers]


def too_small(classes: Iterable[Hashable], k: int) -> set[Hashable]:
    """Of one class for each row: those that fewer than k rows have. After a withdrawal the remainder of such a class
    goes too."""
    return {each for each, count in Counter(classes).items() if count < k}


def distinct_labels(columns: Sequence[np.ndarray], labels: np.ndarray) -> int:
    """The fewest different labels in a class: distinct l-diversity (Machanavajjhala et al. 2007). Where it is 1, who
    knows a patient's class knows the label."""
    numbers, count = _classes([_numbered(each) for each in columns])
    pairs = np.unique(np.stack([numbers, _numbered(labels)[0]]), axis=1)
    return int(np.bincount(pairs[0], minlength=count).min()) if count else 0


class _Lattice:
    """Costs of nodes, over the distinct combinations of values."""

    def __init__(self, columns: Mapping[str, np.ndarray], hierarchies: Sequence[Hierarchy]) -> None:
        distinct = [np.unique(columns[each.name], return_inverse=True) for each in hierarchies]
        numbered = [(inverse.reshape(-1), len(values)) for values, inverse in distinct]
        combination, count = _classes(numbered)
        first = np.zeros(count, np.int64)
        first[combination[::-1]] = np.arange(len(combination))[::-1]
        self.rows = len(combination)
        total = sum(each.weight for each in hierarchies)
        self._shares = [each.weight / total for each in hierarchies]
        self._counts = np.bincount(combination, minlength=count)
        self._levels: list[list[tuple[tuple[np.ndarray, int], np.ndarray]]] = []
        for (values, _), (inverse, _), hierarchy in zip(distinct, numbered, hierarchies, strict=True):
            place = inverse[first]
            made = [hierarchy.at(values, level) for level in range(hierarchy.height + 1)]
            self._levels.append(
                [
                    ((codes[place], size), loss[place])
                    for (codes, size), loss in ((_numbered(g), n) for g, n in made)
                ]
            )

    def cost(self, node: tuple[int, ...], k: int) -> tuple[float, int]:
        """Loss, and how many rows are left out."""
        each = [levels[level] for levels, level in zip(self._levels, node, strict=True)]
        numbers, count = _classes([codes for codes, _ in each])
        small = np.bincount(numbers, self._counts, minlength=count)[numbers] < k
        penalty = sum(loss * share for (_, loss), share in zip(each, self._shares, strict=True))
        kept = float((penalty * self._counts)[~small].sum())
        suppressed = int(self._counts[small].sum())
        return (kept + suppressed) / max(self.rows, 1), suppressed


def _classes(columns: Sequence[tuple[np.ndarray, int]]) -> tuple[np.ndarray, int]:
    """One number for each different row of columns of small numbers, from 0 without gaps, and how many there are."""
    numbers, count = columns[0]
    for column, size in columns[1:]:
        # Both stay below the number of rows, so that the product fits into 64 bits.
        joined, span = numbers * size + column, count * size
        if span > _SPARSE * len(joined) or not span:
            numbers, count = _numbered(joined)
            continue
        there = np.zeros(span, np.bool_)
        there[joined] = True
        ranks = np.cumsum(there)
        numbers, count = ranks[joined] - 1, int(ranks[-1])
    return numbers, count


def _numbered(values: np.ndarray) -> tuple[np.ndarray, int]:
    distinct, inverse = np.unique(values, return_inverse=True)
    return inverse.reshape(-1), len(distinct)


def _from_the_top(hierarchies: Sequence[Hierarchy]) -> Iterator[tuple[int, ...]]:
    nodes = itertools.product(*(range(each.height + 1) for each in hierarchies))
    return iter(sorted(nodes, key=lambda node: (-sum(node), node)))


def _above(node: tuple[int, ...], hierarchies: Sequence[Hierarchy]) -> Iterator[tuple[int, ...]]:
    for index, each in enumerate(hierarchies):
        if node[index] < each.height:
            yield (*node[:index], node[index] + 1, *node[index + 1 :])
