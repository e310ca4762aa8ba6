"""DESIGN, "Keys of masking": a node without its job's mask key sits the job out and says why; the others go on."""

from __future__ import annotations

from protocol.node.places import JobPlace
from protocol.trace import trace
from tests.integration.stage import PHASES, Stage, merged_from


def test_a_node_without_its_mask_key_sends_nothing_and_says_why(stage: Stage) -> None:
    victim = stage.hospitals[3]
    job_id = stage.propose_in_order()
    stage.kill(victim)
    (JobPlace.on(stage.chain, job_id).folder(victim.home / "journal") / "mask-key").unlink()
    stage.start(*stage.hospitals)
    stage.wait_for_submits(job_id, 1, stage.others(victim))
    stage.wait_for_word(victim, "its mask key for this job is not in its home")
    assert victim.hospital_id not in stage.submitted(job_id, 1)
    stage.devnet.advance_time(PHASES.submit)
    record = stage.finish(job_id, timeout=120)
    for number in range(1, record.proposal.rounds + 1):
        assert merged_from(record, number) == {actor.hospital_id for actor in stage.others(victim)}
    assert trace(stage.chain, stage.ipfs, stage.model_id, record.ended.args["version"]).holds


def test_the_mask_key_is_gone_when_the_job_has_ended(stage: Stage) -> None:
    """A key stolen later opens nothing."""
    job_id = stage.propose_in_order(rounds=1)
    keys = [JobPlace.on(stage.chain, job_id).folder(each.home / "journal") for each in stage.hospitals]
    assert all((folder / "mask-key").exists() for folder in keys)
    stage.start(*stage.hospitals)
    stage.finish(job_id, timeout=120)
    stage.wait_until(lambda: not any(folder.exists() for folder in keys), 30, "the keys to be gone")
