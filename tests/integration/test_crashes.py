"""DESIGN: "after `kill -9` at any point it reads chain and IPFS and goes on", and the journal of "Keys of masking"."""

from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path

import pytest

from protocol.content import canonical, vectors
from protocol.content.cid import digest_of
from protocol.learning.context import RoundContext
from protocol.learning.masks import mask
from protocol.node.job_keys import JobKeys
from protocol.node.places import JobPlace
from protocol.record import JobRecord
from protocol.trace import trace
from tests.integration.stage import PHASES, Actor, Stage, merged_from


def one_update_each(stage: Stage, record: JobRecord) -> None:
    """Every hospital sent one update in each round, and no attempt had to be repeated."""
    everyone = sorted(actor.hospital_id for actor in stage.hospitals)
    for number in range(1, record.proposal.rounds + 1):
        attempts = record.round(number).attempts
        assert list(attempts) == [1], f"{stage.tale(record.job_id)}\n{stage.scene()}"
        assert sorted(update.hospital_id for update in attempts[1].updates) == everyone


def holds(stage: Stage, record: JobRecord) -> bool:
    return trace(stage.chain, stage.ipfs, stage.model_id, record.ended.args["version"]).holds


def journalled(actor: Actor, job_id: int) -> Path:
    (path,) = actor.home.glob(f"journal/*-job{job_id}/round1-attempt1-*.update")
    return path


def masked_digest(stage: Stage, actor: Actor, job_id: int) -> bytes:
    """The content id of what the actor must send for the update that it has journalled."""
    head, _, body = journalled(actor, job_id).read_bytes().partition(b"\n")
    bound = canonical.loads(head)["context"]
    context = RoundContext(
        bound["chain_id"],
        bound["genesis"],
        bound["contract"],
        bound["job"],
        bytes.fromhex(bound["spec"]),
        bound["round"],
        bound["attempt"],
        bytes.fromhex(bound["base"]),
        tuple(bound["hospitals"]),
        tuple(tuple(map(int, each.split("/"))) for each in bound["weights"]),
        tuple(bytes.fromhex(each) for each in bound["mask_keys"]),
        bound["lanes"],
    )
    key = JobKeys(actor.home / "journal", actor.operator).find(JobPlace.on(stage.chain, job_id))
    return digest_of(vectors.encode(mask(vectors.decode(body), context, actor.hospital_id, key)))


def test_nodes_killed_at_any_moment_go_on(stage: Stage) -> None:
    """One node a round, at a moment that chance picks: while it trains, submits, merges, checks or reports."""
    draw = random.Random(time.time_ns())
    stage.start(*stage.hospitals)
    job_id = stage.propose()
    for number in range(1, stage.job(job_id).rounds + 2):
        stage.wait_until(lambda number=number: stage.job(job_id).round >= number, 60, f"round {number}")
        pause, victim = draw.uniform(0, 0.8), draw.choice(stage.hospitals)
        print(
            f"round {number}: {victim.name} is killed after {pause:.3f} s"
        )  # what a failure needs to be repeated
        time.sleep(pause)
        stage.kill(victim)
        stage.start(victim)
    record = stage.finish(job_id, timeout=120)
    one_update_each(stage, record)
    assert holds(stage, record)


def test_the_journalled_update_is_the_one_that_is_sent(stage: Stage) -> None:
    """Invariant 11. One node is killed once its journal is written, one between pinning and submitting. What they send
    after that are the journalled updates under the same masks, not what they would train now."""
    journaller, pinner = stage.hospitals[2:]
    job_id = stage.propose_in_order()
    stage.kill(journaller, pinner)
    stage.start_faulty(journaller, "journal")
    stage.start_faulty(pinner, "pin")
    stage.wait_until(lambda: not journaller.running and not pinner.running, 60, "both ends")
    assert journaller.process.returncode == pinner.process.returncode == -signal.SIGKILL
    kept = {actor.hospital_id: masked_digest(stage, actor, job_id) for actor in (journaller, pinner)}
    pinned = {actor.name: stage.ipfs.is_pinned(kept[actor.hospital_id]) for actor in (journaller, pinner)}
    assert pinned == {journaller.name: False, pinner.name: True}
    assert stage.submitted(job_id, 1) == set()

    stage.start(*stage.hospitals)
    record = stage.finish(job_id)
    one_update_each(stage, record)
    sent = {each.hospital_id: each.ref.cid for each in record.round(1).merged_updates}
    assert sent.items() >= kept.items()
    assert holds(stage, record)
    stage.wait_until(
        lambda: (
            not [path for actor in (journaller, pinner) for path in actor.home.glob(f"journal/*-job{job_id}")]
        ),
        20,
        "the journals of a job that has ended to be gone",
    )


def test_a_damaged_journal_sits_the_attempt_out(stage: Stage) -> None:
    """No second update for an attempt that may have seen a first; in the next the hospital is back."""
    victim = stage.hospitals[3]
    job_id = stage.propose_in_order(rounds=4)
    stage.kill(victim)
    stage.start_faulty(victim, "journal")
    stage.wait_until(lambda: not victim.running, 40, "the victim's end")
    path = journalled(victim, job_id)
    path.write_bytes(path.read_bytes()[:-1] + b"\xff")
    stage.start(*stage.hospitals)
    stage.wait_for_submits(job_id, 1, stage.others(victim))
    stage.wait_for_word(victim, "sits the attempt out")
    assert "is damaged" in victim.log
    assert victim.hospital_id not in stage.submitted(job_id, 1)
    stage.devnet.advance_time(PHASES.submit)
    record = stage.finish(job_id)
    assert merged_from(record, 1) == {actor.hospital_id for actor in stage.others(victim)}
    assert victim.hospital_id in merged_from(record, 4)
    assert holds(stage, record)


@pytest.mark.parametrize("name", ["ipfs", "chain"])
def test_a_daemon_killed_under_running_nodes(stage: Stage, name: str) -> None:
    stage.start(*stage.hospitals)
    job_id = stage.propose(rounds=4)
    stage.wait_for_submits(job_id, 1, stage.hospitals[:1])
    daemon = getattr(stage.devnet, name)
    os.kill(daemon.pid(), signal.SIGKILL)
    time.sleep(1.5)
    stage.devnet.up()
    record = stage.finish(job_id, timeout=120)
    one_update_each(stage, record)
    assert all(actor.running for actor in stage.hospitals), "no node was restarted"
    assert holds(stage, record)


def test_a_node_that_starts_before_its_chain_waits_for_it(stage: Stage) -> None:
    actor = stage.hospitals[0]
    stage.kill(actor)
    said = len(actor.log)
    stage.devnet.chain.stop()
    try:
        stage.start(actor)
        stage.wait_until(lambda: "does not answer" in actor.log[said:], 60, "the node's complaint")
    finally:
        stage.devnet.up()
    stage.wait_until(lambda: actor.status.get("pid") == actor.process.pid, 60, "the node's work")
    assert actor.running
