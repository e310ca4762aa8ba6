"""DESIGN, "A round", 3 and 4, and invariants 2 and 4: what a revocation stops, and what it does not."""

from __future__ import annotations

import json

import pytest

from protocol.chain.jobs import Jobs
from protocol.content.vectors import VectorRef
from protocol.errors import Refused
from protocol.trace import trace
from tests.integration.stage import Stage, merged_from

FORCED = VectorRef(cid=b"\x01" * 32, root=b"\x02" * 32)


def test_a_forced_submit_after_revocation_is_refused_in_words(stage: Stage) -> None:
    """Invariant 2, while the attempt still asks for this hospital's update; then the job goes on without it."""
    revoker = stage.hospitals[3]
    job_id = stage.propose_in_order()
    stage.start(*stage.others(revoker))
    stage.wait_for_submits(job_id, 1, stage.others(revoker))
    stage.freeze(*stage.others(revoker))

    consent_id = stage.consent(revoker)
    result = stage.salus("consent", "revoke", str(consent_id), "--account", f"{revoker.name}-admin", "--json")
    assert result.returncode == 0, result.stderr
    jobs = Jobs(stage.chain.with_signer(revoker.operator))
    with pytest.raises(
        Refused, match=f"Consent {consent_id} was revoked; it can never be used again"
    ) as caught:
        jobs.submit(job_id, 1, 1, bytes(32), FORCED)
    assert caught.value.name == "ConsentIsRevoked"
    assert "salus consent mint" in caught.value.hint

    stage.start(*stage.hospitals)
    record = stage.finish(job_id)
    for number in range(1, record.proposal.rounds + 1):
        assert revoker.hospital_id not in merged_from(record, number)
    assert sorted(record.round(1).attempts) == [1, 2], (
        "its update could never come: the others did not wait for it"
    )
    assert revoker.hospital_id not in record.reports


def test_a_merger_that_revokes_still_merges_its_round(stage: Stage) -> None:
    """Once all updates are in the participants are settled; merging and attesting need no consent."""
    last, merger = stage.hospitals[0], stage.hospitals[1]
    job_id = stage.propose_in_order()
    stage.start(*stage.others(last))
    stage.wait_for_submits(job_id, 1, stage.others(last))
    stage.freeze(merger)
    stage.start(last)
    stage.wait_for_submits(job_id, 1, [last])
    revoked = stage.revoke(merger)
    stage.thaw(merger)
    record = stage.finish(job_id)

    merge = record.round(1).merge
    assert merge.hospital_id == merger.hospital_id
    assert revoked.block < merge.event.block
    assert merger.hospital_id in merged_from(record, 1)
    remaining = {actor.hospital_id for actor in stage.others(merger)}
    for number in range(2, record.proposal.rounds + 1):
        assert merged_from(record, number) == remaining
    assert set(record.reports) == remaining
    version = record.ended.args["version"]
    assert trace(stage.chain, stage.ipfs, stage.model_id, version).failures() == []
    assert json.dumps(merger.status["jobs"]), "its own node saw the job to its end"


def test_a_revoked_consent_never_lives_again(stage: Stage) -> None:
    """Invariant 4: what is minted anew is another consent."""
    actor = stage.hospitals[0]
    first = stage.consent(actor)
    stage.revoke(actor)
    assert stage.consent(actor) != first
    with pytest.raises(Refused) as caught:
        stage.jobs.chain.call("ConsentToken", "check", first, actor.hospital_id, stage.purpose())
    assert caught.value.name == "ConsentIsRevoked"
