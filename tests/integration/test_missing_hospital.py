"""DESIGN, "A round", 3: a new attempt opens without whom the deadline found missing, and who comes back is back in."""

from __future__ import annotations

from protocol.trace import trace
from tests.integration.stage import PHASES, Stage, merged_from


def test_a_job_goes_on_without_a_missing_hospital_and_takes_it_back(stage: Stage) -> None:
    missing = stage.hospitals[3]
    present = {actor.hospital_id for actor in stage.others(missing)}
    job_id = stage.propose_in_order(rounds=4)
    stage.start(*stage.others(missing))
    stage.wait_for_submits(job_id, 1, stage.others(missing))
    stage.devnet.advance_time(PHASES.submit)
    stage.wait_until(lambda: 2 in stage.record(job_id).round(1).attempts, 30, "a second attempt")
    stage.start(missing)
    record = stage.finish(job_id)

    first, second = record.round(1).attempts[1], record.round(1).attempts[2]
    assert record.members(first.participants) == [actor.hospital_id for actor in stage.hospitals]
    assert set(record.members(second.participants)) == present
    assert merged_from(record, 1) == present
    assert merged_from(record, 4) == present | {missing.hospital_id}
    version = record.ended.args["version"]
    assert trace(stage.chain, stage.ipfs, stage.model_id, version).failures() == []
