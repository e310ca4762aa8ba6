"""A chain that takes blocks back under running nodes: they say so, go on from what it now says, and no mask stream ever
covers two updates (invariant 11)."""

from __future__ import annotations

import json
from collections import defaultdict

from protocol.chain.rpc import Rpc
from protocol.content.vectors import VectorRef
from protocol.trace import trace
from tests.integration.stage import Stage


def test_updates_that_a_reorganisation_took_back_are_sent_again_byte_for_byte(stage: Stage) -> None:
    """The chain forgets the updates of a round half-way: the journalled ones are sent again."""
    rpc = Rpc(stage.rpc_url)
    first, second = stage.hospitals[:2]
    job_id = stage.propose_in_order()
    remembered = rpc.request("evm_snapshot")
    stage.start(first, second)
    stage.wait_for_submits(job_id, 1, (first, second))
    sent = refs_of(stage, job_id)
    stage.freeze(first, second)
    assert rpc.request("evm_revert", remembered)
    assert refs_of(stage, job_id) == {}

    stage.start(*stage.hospitals)
    record = stage.finish(job_id, timeout=150)
    merged = {update.hospital_id: update.ref for update in record.round(1).merged_updates}
    assert merged.items() >= sent.items()
    for actor in (first, second):
        assert "the chain was reorganised" in actor.log
        assert "was reorganised" in actor.status["chain"]
    assert trace(stage.chain, stage.ipfs, stage.model_id, record.ended.args["version"]).holds


def test_an_enrolment_that_was_taken_back_is_made_again_with_the_same_key(stage: Stage) -> None:
    rpc = Rpc(stage.rpc_url)
    stage.freeze(*stage.hospitals)
    job_id = stage.propose()
    remembered = rpc.request("evm_snapshot")
    actors = stage.hospitals[:2]
    stage.start(*actors)
    stage.wait_until(lambda: stage.job(job_id).enrolled == 2, 60, "two enrolments")
    keys = stage.record(job_id).mask_keys
    stage.freeze(*actors)
    assert rpc.request("evm_revert", remembered)
    assert stage.job(job_id).enrolled == 0

    stage.start(*stage.hospitals)
    record = stage.finish(job_id, timeout=150)
    assert record.mask_keys.items() >= keys.items()
    assert trace(stage.chain, stage.ipfs, stage.model_id, record.ended.args["version"]).holds


def refs_of(stage: Stage, job_id: int) -> dict[int, VectorRef]:
    return {update.hospital_id: update.ref for update in stage.record(job_id).round(1).updates()}


def test_one_context_has_one_update_whatever_the_chain_takes_back(stage: Stage) -> None:
    """Attempts that open again after a reorganisation, with other participants: other contexts, so other streams; and
    every context that a node ever masked for has one record."""
    rpc = Rpc(stage.rpc_url)
    job_id = stage.propose_in_order(rounds=2)
    remembered = rpc.request("evm_snapshot")
    stage.start(*stage.hospitals[:3])
    stage.wait_for_submits(job_id, 1, stage.hospitals[:3])
    stage.devnet.advance_time(120)
    stage.wait_until(lambda: 2 in stage.record(job_id).round(1).attempts, 60, "a second attempt")
    stage.wait_for_submits(job_id, 1, stage.hospitals[:3], attempt=2)
    stage.freeze(*stage.hospitals)
    assert rpc.request("evm_revert", remembered)
    contexts: dict[str, set[str]] = defaultdict(set)
    for actor in stage.hospitals[:3]:
        for path in actor.home.glob(f"journal/*-job{job_id}/round1-*.update"):
            head = json.loads(path.read_bytes().partition(b"\n")[0])
            contexts[f"{actor.name} {json.dumps(head['context'], sort_keys=True)}"].add(head["sha256"])
    assert len(contexts) == 6 and all(len(bodies) == 1 for bodies in contexts.values())
    stage.start(*stage.hospitals)
    record = stage.finish(job_id, timeout=150)
    assert trace(stage.chain, stage.ipfs, stage.model_id, record.ended.args["version"]).holds
