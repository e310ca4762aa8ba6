"""A whole job in one process: the same training, quantisation and merge, without chain and content.

Masks are left out: they cancel to the bit.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from protocol.errors import LearningError
from protocol.learning import zoo
from protocol.learning.groups import split
from protocol.learning.merge import merge, quantise, weights
from protocol.learning.train import train
from protocol.spec import JobSpec


def rehearse(
    spec: JobSpec,
    state: np.ndarray,
    parties: Sequence[tuple[np.ndarray, np.ndarray]],
    seeds: Sequence[int],
    draws: Sequence[int] | None = None,
) -> Iterator[np.ndarray]:
    """The state int32[lanes] after each round, from the base ``state``.

    Each of ``parties`` is a hospital's training records float32[n, ...] and labels float32[n]; ``seeds``
    are theirs, as for ``train``. ``draws`` are the labels of each round's groups, where the spec has groups. Raises
    what ``train``, ``quantise`` and ``merge`` raise, and LearningError when draws are missing or too many.
    """
    layout = zoo.layout(spec.model, spec.state)
    draws = draws if draws is not None else [0] * spec.rounds if spec.merge.groups == 1 else []
    if len(draws) != spec.rounds:
        raise LearningError(f"{len(draws)} draws of groups do not make {spec.rounds} rounds.")
    for number, drawn in enumerate(draws, start=1):
        groups = split(drawn, range(len(parties)))
        updates = []
        for group in groups:
            counts = [len(parties[index][1]) for index in group]
            shares = weights(counts, spec.merge.max_weight_bps)
            updates.append(
                [
                    quantise(
                        train(spec, state, *parties[index], round=number, seed=seeds[index]).delta,
                        share,
                        len(group),
                        layout,
                        spec.merge.clip_norm,
                    )
                    for index, share in zip(group, shares, strict=True)
                ]
            )
        state = merge(state, updates, spec.merge.server_step, spec.merge.rule)
        yield state
