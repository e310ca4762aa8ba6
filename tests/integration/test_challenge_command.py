"""DESIGN, "A round", 5: what a person does about a merge by hand. A false one is proved and voided; an honest one is
left alone, and keeps its bond when it is challenged all the same."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from protocol.chain.bonds import Bonds
from protocol.chain.jobs import Jobs
from protocol.content import vectors
from protocol.content.vectors import VectorRef
from protocol.learning import zoo
from protocol.learning.merge import merge
from tests.integration.stage import Actor, Stage


def test_a_false_merge_is_proved_and_an_honest_one_left_alone(stage: Stage) -> None:
    job_id = stage.propose_in_order()
    updates = submit_all(stage, job_id)
    first, liar = stage.hospitals[:2]
    state = merge(vectors.get_vector(stage.ipfs, stage.base), [updates])
    false = state.copy()
    false[-1] -= 1
    post(stage, liar, job_id, false)

    stranger = stage.salus("job", "challenge", str(job_id), "1", "--account", "researcher")
    assert stranger.returncode == 1
    assert "no hospital with a bond" in stranger.stderr
    found = challenge(stage, first, job_id)
    assert (found["honest"], found["differing"], found["proven"], found["ok"]) == (False, 1, True, True)
    assert [each["hospital_id"] for each in found["slashed"]] == [liar.hospital_id]
    assert stage.record(job_id).round(1).merge is None
    assert not Bonds(stage.chain).bond_of(job_id, liar.hospital_id).exists

    [turn] = [
        each for each in stage.hospitals if stage.jobs.mergers_in_line(job_id) >> index_of(stage, each) & 1
    ]
    [last, *_] = stage.others(first, liar, turn)
    post(stage, turn, job_id, state)
    left_alone = challenge(stage, last, job_id)
    assert left_alone["honest"] and not left_alone["challenged"] and left_alone["ok"]
    assert Bonds(stage.chain).bond_of(job_id, last.hospital_id).exists
    forced = challenge(stage, last, job_id, "--force")
    assert forced["challenged"] and not forced["proven"] and not forced["ok"]
    assert [each["hospital_id"] for each in forced["slashed"]] == [last.hospital_id]
    assert stage.record(job_id).round(1).merge.hospital_id == turn.hospital_id
    assert Bonds(stage.chain).bond_of(job_id, turn.hospital_id).exists

    shown = json.loads(stage.salus("job", "show", str(job_id), "--json").stdout)
    assert [each["proven"] for each in shown["challenges"]] == [True, False]
    assert shown["rounds"][0]["voided_merges"] == 1
    bonds = {each["hospital_id"]: each["bond"] is not None for each in shown["hospitals"]}
    assert bonds == {each.hospital_id: each not in (liar, last) for each in stage.hospitals}
    books = json.loads(stage.salus("bond", "show", "--json").stdout)["tokens"]
    assert all(each["balanced"] for each in books)


def index_of(stage: Stage, actor: Actor) -> int:
    """The hospital's bit: they enrolled in their order."""
    return stage.hospitals.index(actor)


def submit_all(stage: Stage, job_id: int) -> list[np.ndarray]:
    """Four updates that cover every value, as masked ones do."""
    lanes = zoo.layout(stage.spec().model, stage.spec().state).lanes
    draw = np.random.default_rng(1)
    updates = []
    for actor in stage.hospitals:
        updates.append(draw.integers(-(2**31), 2**31, lanes, dtype=np.int32))
        ref = vectors.put_vector(stage.ipfs, updates[-1])
        Jobs(stage.chain.with_signer(actor.operator)).submit(job_id, 1, 1, bytes(32), ref)
    return updates


def post(stage: Stage, merger: Actor, job_id: int, state: np.ndarray) -> VectorRef:
    ref = vectors.put_vector(stage.ipfs, state)
    Jobs(stage.chain.with_signer(merger.operator)).merge(job_id, 1, 1, ref)
    return ref


def challenge(stage: Stage, actor: Actor, job_id: int, *options: str) -> dict[str, Any]:
    """What `salus job challenge` answers; ``ok``: whether it exits 0."""
    result = stage.salus(
        "job", "challenge", str(job_id), "1", *options, "--account", f"{actor.name}-operator", "--json"
    )
    found: dict[str, Any] = json.loads(result.stdout)
    assert "error" not in found, result.stdout
    return {**found, "ok": result.returncode == 0}
