"""DESIGN, "A round", 3: an update whose bytes do not match, or cannot be had, is dropped by two thirds of the rest."""

from __future__ import annotations

import pytest

from protocol.chain.bonds import Bonds
from protocol.trace import trace
from tests.integration.stage import PHASES, Actor, Stage, merged_from


def dropped(stage: Stage, job_id: int, actor: Actor) -> bool:
    attempts = stage.record(job_id).round(1).attempts
    return 1 in attempts and actor.hospital_id in attempts[1].dropped


@pytest.mark.parametrize("fault", ["mismatch", "hide"])
def test_an_update_that_is_of_no_use_is_dropped_and_costs_its_bond(stage: Stage, fault: str) -> None:
    culprit = stage.hospitals[3]
    job_id = stage.propose_in_order()
    stage.kill(culprit)
    stage.start_faulty(culprit, fault)
    stage.start(*stage.others(culprit))
    try:
        if fault == "hide":
            stage.wait_until(
                lambda: len(stage.submitted(job_id, 1)) == len(stage.hospitals), 150, "every update"
            )
            # Until then it may yet come: nobody doubts before half of the phase has passed.
            stage.wait_until(
                lambda: all("Nobody serves" in each.log for each in stage.others(culprit)), 120, "all to try"
            )
            assert not stage.record(job_id).round(1).attempts[1].doubts
            stage.devnet.advance_time(PHASES.merge // 2)
        stage.wait_until(lambda: dropped(stage, job_id, culprit), 150, "the update to be dropped")
        record = stage.finish(job_id, timeout=150)
    finally:
        stage.stop(culprit)
    first = record.round(1).attempts[1]
    others = {actor.hospital_id for actor in stage.others(culprit)}
    assert first.doubts[culprit.hospital_id] <= others and len(first.doubts[culprit.hospital_id]) == 2
    assert set(first.doubts) == {culprit.hospital_id}, "nobody else is doubted"
    assert merged_from(record, 1) == others
    # A new attempt has fresh masks: not one update is the same.
    again = {update.ref for update in record.round(1).merged_updates}
    assert not again & {update.ref for update in first.updates}
    assert not Bonds(stage.chain).bond_of(job_id, culprit.hospital_id).exists
    assert trace(stage.chain, stage.ipfs, stage.model_id, record.ended.args["version"]).holds
