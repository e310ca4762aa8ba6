"""A whole job in one process: the same training, quantisation and merge, without chain and content."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from protocol.learning import zoo
from protocol.learning.merge import merge, quantise, weights
from protocol.learning.train import train
from protocol.spec import JobSpec


def rehearse(
    spec: JobSpec, state: np.ndarray, parties: Sequence[tuple[np.ndarray, np.ndarray]], seeds: Sequence[int]
) -> Iterator[np.ndarray]:
    """The state int32[lanes] after each round, from the base ``state``.

    Each of ``parties`` is a hospital's training records float32[n, ...] and labels float32[n]; ``seeds``
    are theirs, as for ``train``. Raises what ``train``, ``quantise`` and ``merge`` raise.
    """
    layout = zoo.layout(spec.model, spec.state)
    shares = weights([len(labels) for _, labels in parties], spec.merge.max_weight_bps)
    for number in range(1, spec.rounds + 1):
        updates = [
            quantise(
                train(spec, state, records, labels, round=number, seed=seed).delta,
                share,
                len(parties),
                layout,
                spec.merge.clip_norm,
            )
            for (records, labels), seed, share in zip(parties, seeds, shares, strict=True)
        ]
        state = merge(state, [updates], spec.merge.server_step)
        yield state
