"""DESIGN, "A round", 4 and 5, and invariant 5: a false merge is voided, the next in line merges the same updates."""

from __future__ import annotations

from protocol.content import vectors
from protocol.trace import trace
from tests.integration.stage import Stage


def test_a_false_merge_is_voided_and_the_next_in_line_merges_the_same_updates(stage: Stage) -> None:
    liar, next_in_line = stage.hospitals[1], stage.hospitals[2]
    job_id = stage.propose_in_order()
    stage.kill(liar)
    stage.start_faulty(liar, "lie")
    stage.start(*stage.others(liar))
    try:
        record = stage.finish(job_id)
    finally:
        stage.stop(liar)

    false, true = record.round(1).merges
    assert false.hospital_id == liar.hospital_id
    assert false.voided and false.final is None
    others = {actor.hospital_id for actor in stage.others(liar)}
    assert len(false.rejected) >= 2 and false.rejected <= others, "two thirds of the others, and only they"
    assert false.attested == {liar.hospital_id}

    assert true.hospital_id == next_in_line.hospital_id
    assert not true.rejected and others <= true.attested
    assert true.attempt == false.attempt and len(record.round(1).attempts) == 1, "the same updates"
    posted, corrected = (vectors.get_vector(stage.ipfs, merge.state) for merge in (false, true))
    assert list(posted - corrected).count(0) == len(posted) - 1, "one number was altered"

    version = record.ended.args["version"]
    assert trace(stage.chain, stage.ipfs, stage.model_id, version).failures() == []
