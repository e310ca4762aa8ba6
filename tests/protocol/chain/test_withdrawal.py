"""The models that a withdrawn patient's records went into, from the chain alone."""

from __future__ import annotations

import pytest

from protocol.chain.datasets import Datasets
from protocol.chain.development import advance
from protocol.chain.enums import ModelStatus
from protocol.chain.events import Event
from protocol.chain.votes import Call
from protocol.errors import Refused
from protocol.withdrawal import ModelUse, _descended, models_that_used

from .conftest import World, pass_vote, version_of
from .play import CHECK_SECONDS, HOSPITALS, ZERO, start, vector
from .test_jobs import play_round

ROOT, LATER = b"\1" * 32, b"\4" * 32


def test_a_model_is_found_by_the_version_that_its_job_pinned(world: World) -> None:
    started = start(world)
    dataset_id = Datasets(world.chain).ids_of_hospital(1)[0]
    Datasets(world.as_("operator-1")).append(dataset_id, version_of(120, root=LATER))
    assert models_that_used(world.chain, dataset_id, [ROOT, LATER]) == [], "no model yet"

    started.as_(1).open(started.job_id)
    digest = play_round(started, 2, play_round(started, 1, ZERO))
    for hospital in HOSPITALS:
        started.as_(hospital).report(started.job_id, digest, 40, 50, b"\5" * 32)
    advance(world.chain, CHECK_SECONDS)
    started.as_(1).finish(started.job_id, vector("state 2"))
    assert models_that_used(world.chain, dataset_id, [ROOT]) == [
        ModelUse(started.model_id, 2, started.job_id, ModelStatus.CANDIDATE, [1])
    ]
    assert models_that_used(world.chain, dataset_id, [LATER]) == []
    assert models_that_used(world.chain, dataset_id, []) == []

    pass_vote(world, [Call("ModelRegistry", "release", (started.model_id, 2))], "Release")
    [use] = models_that_used(world.chain, dataset_id, [ROOT, LATER])
    assert use.status is ModelStatus.RELEASED


def test_a_dataset_that_is_not_there_is_refused(world: World) -> None:
    with pytest.raises(Refused):
        models_that_used(world.chain, 99, [ROOT])


def test_versions_that_go_back_to_one_are_found_too() -> None:
    def added(model_id: int, version: int, job_id: int, parent: int) -> Event:
        args = {"modelId": model_id, "version": version, "jobId": job_id, "parent": parent}
        return Event("VersionAdded", "ModelRegistry", args, version, 0, "0x")

    history = [
        added(1, 1, 0, 0), added(2, 1, 0, 0), added(1, 2, 5, 1), added(1, 3, 6, 1), added(1, 4, 7, 2),
        added(2, 2, 8, 1), added(1, 5, 9, 4),
    ]  # fmt: skip
    assert _descended(history, {5: [1]}) == [(1, 2, 5), (1, 4, 7), (1, 5, 9)]
    assert _descended(history, {}) == []
