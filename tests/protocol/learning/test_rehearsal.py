"""A rehearsal does what the nodes of a job do."""

from __future__ import annotations

import numpy as np
import pytest

from protocol.errors import LearningError, WrongLength
from protocol.learning import zoo
from protocol.learning.groups import draw, split
from protocol.learning.merge import merge, quantise, weights
from protocol.learning.metrics import evaluate
from protocol.learning.rehearsal import rehearse
from protocol.learning.train import initial_state, train
from protocol.spec import JobSpec
from tests.protocol.job_documents import job

SPEC = JobSpec.from_dict(job(rounds=5))


def parties(counts: tuple[int, ...] = (40, 25, 60)) -> list[tuple[np.ndarray, np.ndarray]]:
    rng = np.random.default_rng(1)
    records = [rng.normal(size=(count, 3)).astype(np.float32) for count in counts]
    return [(each, (each[:, 1] > 0).astype(np.float32)) for each in records]


def test_each_round_is_one_merge_of_all_updates():
    base = initial_state(SPEC.model, SPEC.state, 1)
    layout = zoo.layout(SPEC.model, SPEC.state)
    shares = weights([40, 25, 60], SPEC.merge.max_weight_bps)
    updates = [
        quantise(train(SPEC, base, *party, round=1, seed=seed).delta, share, 3, layout, SPEC.merge.clip_norm)
        for party, share, seed in zip(parties(), shares, (7, 8, 9), strict=True)
    ]
    states = list(rehearse(SPEC, base, parties(), (7, 8, 9)))
    assert len(states) == 5
    assert np.array_equal(states[0], merge(base, [updates], SPEC.merge.server_step))


def test_groups_have_weights_of_their_own_and_are_combined_by_the_rule():
    spec = JobSpec.from_dict(
        job(rounds=2, merge__groups=3, merge__rule="median", hospitals={"min": 3, "max": 9})
    )
    counts = (40, 25, 60, 30, 20, 50, 10, 35, 45)
    base, layout = initial_state(spec.model, spec.state, 1), zoo.layout(spec.model, spec.state)
    draws = [draw(bytes(32), range(9), 3), draw(b"\x01" * 32, range(9), 3)]
    updates = []
    for group in split(draws[0], range(9)):
        shares = weights([counts[index] for index in group], spec.merge.max_weight_bps)
        deltas = [train(spec, base, *parties(counts)[index], round=1, seed=index).delta for index in group]
        updates.append(
            [
                quantise(delta, share, 3, layout, spec.merge.clip_norm)
                for delta, share in zip(deltas, shares, strict=True)
            ]
        )
    states = list(rehearse(spec, base, parties(counts), range(9), draws))
    assert len(states) == 2
    assert np.array_equal(states[0], merge(base, updates, spec.merge.server_step, "median"))
    for wrong in (None, draws[:1]):
        with pytest.raises(LearningError, match="draws of groups"):
            next(rehearse(spec, base, parties(counts), range(9), wrong))


def test_a_rehearsal_learns():
    base = initial_state(SPEC.model, SPEC.state, 1)
    *_, last = rehearse(SPEC, base, parties(), (1, 2, 3))
    records, labels = (np.concatenate(each) for each in zip(*parties(), strict=True))
    assert evaluate(SPEC, last, records, labels).accuracy > 0.9


def test_a_rehearsal_refuses_a_state_of_another_model():
    with pytest.raises(WrongLength):
        next(rehearse(SPEC, np.zeros(3, np.int32), parties(), (1, 2, 3)))
