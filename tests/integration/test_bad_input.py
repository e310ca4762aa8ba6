"""What reaches a node from outside and is wrong: it says so in words, sends nothing, and serves its other jobs."""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from protocol.chain.jobs import Jobs
from protocol.chain.rewards import Rewards
from protocol.client import register_dataset
from protocol.content import vectors
from protocol.content.ipfs import Ipfs
from protocol.data.dataset import Dataset
from protocol.devnet import daemon as daemons
from protocol.devnet.jsipfs import JsIpfs
from protocol.errors import PinFailed
from protocol.proposal import proposal_of
from tests.integration.lying_daemon import LyingDaemon, Mood
from tests.integration.stage import PHASES, REWARD_WEI, Stage

DIVERGENT = {"name": "sgd", "learning_rate": 100, "momentum": 0.9, "weight_decay": 100}


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("chain_id", 424242, "chain"),
        ("genesis_hash", "0x" + "00" * 32, "chain"),
        ("contracts", {}, "contract"),
    ],
)
def test_a_node_refuses_another_chain(
    stage: Stage, tmp_path: Path, field: str, value: object, words: str
) -> None:
    """A deployment file of another chain id, of another chain with this id, and of contracts that are not here."""
    deployment = json.loads(stage.devnet.deployment_file.read_text())
    nowhere = {name: "0x" + f"{number:040x}" for number, name in enumerate(deployment["contracts"], 0xD00D)}
    deployment[field] = value or nowhere
    other = tmp_path / "deployment.json"
    other.write_text(json.dumps(deployment))
    actor = stage.hospitals[0]
    command = stage.command(actor)
    command[command.index("--deployment") + 1] = str(other)
    command[command.index("--home") + 1] = str(tmp_path / "home")
    result = subprocess.run(
        command, env=stage.environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert result.returncode == 1
    assert words in result.stderr.lower()
    assert "Traceback" not in result.stderr and "Unexpected" not in result.stderr
    assert not (tmp_path / "home").exists()


def test_bytes_from_a_lying_daemon_are_never_used(stage: Stage) -> None:
    """DESIGN, "Digests": a daemon's word is worth nothing. Nothing is sent until it serves the right bytes."""
    actor = stage.hospitals[3]
    job_id = stage.propose_in_order()
    moods: list[tuple[Mood, str]] = [
        ("altering", "served other bytes for"),
        ("stopping half-way", "failed while fetching"),
        ("refusing", "Nobody serves"),
    ]
    with LyingDaemon(stage.ipfs_api) as daemon:
        for mood, words in moods:
            daemon.mood = mood
            stage.kill(actor)
            stage.start(actor, ipfs_api=daemon.api)
            stage.wait_for_word(actor, words)
        assert stage.submitted(job_id, 1) == set()
        daemon.mood = "honest"
        stage.kill(actor)
        stage.start(actor, ipfs_api=daemon.api)
        stage.start(*stage.hospitals)
        record = stage.finish(job_id)
        stage.stop(actor)
    assert daemon.spoilt >= len(moods)
    assert len(record.round(1).merged_updates) == 4


def test_divergent_training_is_said_and_not_sent(stage: Stage) -> None:
    """NaN or infinity in an update."""
    stage.start(*stage.hospitals)
    job_id = stage.propose(training__optimiser=DIVERGENT, training__batch_size=1, training__local_epochs=10)
    for actor in stage.hospitals:
        stage.wait_for_word(actor, "Training diverged")
        assert "Lower the learning rate" in actor.log
        assert not list(actor.home.glob(f"journal/*-job{job_id}-*"))
    assert stage.submitted(job_id, 1) == set()
    assert all(actor.running for actor in stage.hospitals)


def test_what_the_policy_refuses_is_shown(stage: Stage) -> None:
    stage.start(*stage.hospitals)
    mlp = {"architecture": "mlp", "parameters": {"inputs": 2, "hidden": [4], "outputs": 1}}
    job_id = stage.propose(model=mlp)
    actor = stage.hospitals[0]
    stage.wait_for_word(actor, "architecture mlp is not allowed here")
    shown = stage.salus("node", "status", home=actor.home)
    assert shown.returncode == 0, shown.stderr
    assert f"Not in job {job_id}:" in shown.stdout
    assert "mlp is not allowed" in " ".join(shown.stdout.split())
    assert stage.record(job_id).participants == {}


@pytest.fixture
def broken_job(stage: Stage) -> int:
    """A job whose spec is not what it should be: proposed by hand, since our client proposes no such thing."""
    chain = stage.chain.with_signer(stage.researcher)
    spec = stage.spec()
    token = stage.chain.address("RewardToken")
    proposal = proposal_of(
        spec,
        researcher=stage.researcher.address,
        model_id=stage.model_id,
        base_version=1,
        phases=PHASES,
        reward_token=token,
        reward_amount=REWARD_WEI,
    )
    chain.send("RewardToken", "mint", stage.researcher.address, REWARD_WEI)
    Rewards(chain).approve(token, REWARD_WEI)
    for actor in stage.hospitals:
        stage.consent(actor)
    garbage = stage.ipfs.add(b'{"protocol": "salus/1", "spaces": "are not canonical"}')
    receipt = Jobs(chain).propose(replace(proposal, spec_digest=garbage))
    return receipt.event("JobProposed").args["jobId"]


def test_a_malformed_spec_stops_no_node(stage: Stage, broken_job: int) -> None:
    """Whoever pays the gas may propose anything; the node says what is wrong and goes on with what is right."""
    stage.start(*stage.hospitals)
    actor = stage.hospitals[0]
    stage.wait_for_word(actor, "Job spec")
    assert str(broken_job) in actor.status["refused"]
    job_id = stage.propose(rounds=1)
    stage.finish(job_id)
    assert all(actor.running for actor in stage.hospitals)
    assert stage.record(broken_job).participants == {}


def test_a_full_disk_when_pinning(stage: Stage, tmp_path: Path) -> None:
    """The daemon's disk is full: said in words, and nothing is on the chain that nobody keeps."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(disk)],
        capture_output=True,
        text=True,
        check=False,
    )
    if mounted.returncode != 0:
        pytest.skip(f"a small disk needs the right to mount one: {mounted.stderr.strip()}")
    daemon = JsIpfs(disk / "ipfs", tmp_path / "ipfs.log")
    taken: list[int] = []
    for _ in range(4):
        taken.append(daemons.free_port(taken=taken))
    daemon.api_port, daemon.gateway_port, daemon.grpc_port, daemon.swarm_port = taken
    try:
        daemon.start()
        daemon.wait_ready(60)
        with Ipfs(daemon.api) as ipfs:
            ipfs.add(b"while there is room")
            _fill(disk)
            with pytest.raises(PinFailed) as caught:
                vectors.put_vector(ipfs, np.arange(500_000, dtype=np.int32))
            assert "Is the disk of its repository full?" in caught.value.hint
            registered = stage.chain.call("DatasetRegistry", "datasetCount")
            actor = stage.hospitals[0]
            records = [{"systolic": 120.0 + n, "glucose": 90.0, "ill": n % 2} for n in range(40)]
            splits = np.array([0, 1] * 20, np.uint8)
            dataset = Dataset.create(tmp_path / "patients", stage.schema, records, splits)
            with pytest.raises(PinFailed):
                register_dataset(stage.chain.with_signer(actor.operator), ipfs, dataset)
            assert stage.chain.call("DatasetRegistry", "datasetCount") == registered
            assert dataset.dataset_id is None
    finally:
        daemon.stop()
        subprocess.run(["umount", "--lazy", str(disk)], check=True)


def _fill(disk: Path) -> None:
    with (disk / "filler").open("wb", buffering=0) as filler:
        try:
            while filler.write(b"\0" * 4096):
                pass
        except OSError:
            return
