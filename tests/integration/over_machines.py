"""The story that `test_namespaces` tells: a job over five machines, one of them cut off for a while, one slow.

Runs inside a user namespace, as root of a network that exists for it alone: see `machines`.
"""

from __future__ import annotations

import json
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from protocol.chain.jobs import Phases
from protocol.content.ipfs import Ipfs
from protocol.devnet import Devnet
from protocol.devnet.daemon import free_port
from protocol.devnet.jsipfs import JsIpfs
from tests.integration.machines import Lan, Machine
from tests.integration.stage import Actor, Stage, merged_from

# Longer than the chain takes to answer many times over, and a round trip that every request of the slow one feels.
DELAY_SECONDS = 0.05
ROUNDS = 6
# No hospital is ever left out because this machine is busy: the test moves the chain's time itself.
PHASES = Phases(enrol=600, submit=1_200, merge=600, check=1_200, report=1_200, pause=6_000)
IPFS_SECONDS = 60


@dataclass
class Site:
    """A hospital on a machine of its own, with its own daemon and no way to the repository of another."""

    actor: Actor
    machine: Machine
    daemon: JsIpfs

    def start(self, stage: Stage) -> None:
        with self.machine.entered():
            stage.start(self.actor, ipfs_api=self.daemon.api)

    def pins(self) -> set[bytes]:
        with self.machine.entered(), Ipfs(self.daemon.api) as ipfs:
            return ipfs.pins()

    def connect(self, address: str) -> None:
        """Joins this daemon to another over libp2p."""
        query = urllib.parse.urlencode({"arg": address})
        request = f"{self.daemon.api}/api/v0/swarm/connect?{query}"
        with self.machine.entered(), urllib.request.urlopen(request, data=b"", timeout=30) as answer:
            assert answer.status == 200


@dataclass
class Network:
    """Everything of the test: the chain and the researcher on the first machine, four hospitals on others."""

    lan: Lan
    stage: Stage
    sites: list[Site]

    @property
    def slow(self) -> Site:
        return self.sites[-1]


@pytest.fixture
def network(tmp_path: Path) -> Iterator[Network]:
    lan = Lan()
    machines = [lan.add(), lan.add(), lan.add(), lan.add(DELAY_SECONDS)]
    with ExitStack() as stack:
        devnet = Devnet(tmp_path / "devnet", lan.first.address)
        stack.callback(devnet.reset)
        devnet.up()
        stage = Stage(devnet, tmp_path / "hospitals")
        stack.callback(stage.kill, *stage.hospitals)
        sites = [
            Site(*each, _daemon(each[0], each[1])) for each in zip(stage.hospitals, machines, strict=True)
        ]
        for site in sites:
            with site.machine.entered():
                stack.callback(site.daemon.stop)
                site.daemon.start()
        for number, site in enumerate(sites):
            with site.machine.entered():
                site.daemon.wait_ready(IPFS_SECONDS)
            for known in (devnet.ipfs, *(each.daemon for each in sites[:number])):
                site.connect(known.peer_address)
        yield Network(lan, stage, sites)


def _daemon(actor: Actor, machine: Machine) -> JsIpfs:
    daemon = JsIpfs(actor.home / "ipfs", actor.home / "ipfs.log", machine.address)
    with machine.entered():
        ports: list[int] = []
        for _ in range(4):
            ports.append(free_port(taken=ports))
    daemon.api_port, daemon.gateway_port, daemon.grpc_port, daemon.swarm_port = ports
    return daemon


def test_one_is_cut_off_and_comes_back_and_one_is_slow(network: Network) -> None:
    lan, stage, sites = network.lan, network.stage, network.sites
    victim = sites[1]
    with network.slow.machine.entered():
        began = time.monotonic()
        assert stage.chain.rpc.request("eth_chainId")
        assert time.monotonic() - began > 2 * DELAY_SECONDS, "the slow machine is not slow"
    job_id = stage.propose(PHASES, rounds=ROUNDS)
    for site in sites:
        site.start(stage)
    stage.wait_until(lambda: stage.job(job_id).round == 2, 300, "round 2")

    # An update that nobody could fetch any more would be dropped, and its hospital's bond with it.
    stage.freeze(sites[0].actor)
    stage.wait_until(
        lambda: _only_missing(stage, job_id) == _bit(stage, sites[0].actor, job_id),
        120,
        "the updates of three",
    )
    for site in (sites[2], sites[3]):
        stage.wait_until(
            lambda site=site: _updates(stage, job_id) <= site.pins(), 120, f"all updates at {site.actor.name}"
        )
    lan.cut(victim.machine)
    stage.thaw(sites[0].actor)
    missed = _goes_on_without(stage, victim.actor, job_id)
    stage.wait_until(
        lambda: stage.job(job_id).round > missed, 120, f"round {missed} without {victim.actor.name}"
    )
    # The others do not end the job before the lost one has found its way back.
    stage.freeze(sites[0].actor)
    stage.wait_for_word(victim.actor, "does not answer")
    lan.heal(victim.machine)
    bit = _bit(stage, victim.actor, job_id)
    stage.wait_until(lambda: stage.job(job_id).present & bit, 120, f"{victim.actor.name} back in the job")
    stage.thaw(sites[0].actor)

    record = stage.finish(job_id, timeout=240)
    everyone = {site.actor.hospital_id for site in sites}
    assert merged_from(record, 1) == everyone
    assert merged_from(record, missed) == everyone - {victim.actor.hospital_id}
    assert merged_from(record, ROUNDS) == everyone
    _each_keeps_everything(stage, sites, {ref.cid for ref in record.vectors()})

    version = f"{stage.model_id}@{record.ended.args['version']}"
    with network.slow.machine.entered():
        done = stage.salus("trace", version, "--json", ipfs_api=network.slow.daemon.api, timeout=180)
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(done.stdout)["ok"] is True


def _bit(stage: Stage, actor: Actor, job_id: int) -> int:
    return 1 << stage.jobs.participant(job_id, actor.hospital_id).index


def _only_missing(stage: Stage, job_id: int) -> int:
    """The bits of those whose update the open attempt waits for."""
    record = stage.jobs.round_of(job_id, stage.job(job_id).round)
    return record.participants & ~record.submitted


def _updates(stage: Stage, job_id: int) -> set[bytes]:
    """The CIDs of the open attempt's updates."""
    return {each.ref.cid for each in stage.record(job_id).round(stage.job(job_id).round).newest.updates}


def _goes_on_without(stage: Stage, absent: Actor, job_id: int) -> int:
    """Moves the chain's time over each deadline that waits for a hospital, once, until a round's attempt leaves it out.
    Returns that round."""
    bit = _bit(stage, absent, job_id)
    passed: set[tuple[int, int, int]] = set()
    deadline = time.monotonic() + 180
    while time.monotonic() < deadline:
        job = stage.job(job_id)
        record = stage.jobs.round_of(job_id, job.round)
        if not record.participants & bit:
            return job.round
        missing = record.participants & ~record.submitted
        waits = (job.round, record.attempt, missing)
        if missing in (0, bit) and waits not in passed:
            stage.devnet.advance_time(PHASES.submit if missing else PHASES.merge)
            passed.add(waits)
        time.sleep(1)
    raise AssertionError(f"no attempt without {absent.name}\n{stage.scene()}")


def _each_keeps_everything(stage: Stage, sites: list[Site], vectors: set[bytes]) -> None:
    """DESIGN, "A round": all updates and states stay pinned by every participant; on daemons of their own."""
    for site in sites:
        stage.wait_until(
            lambda site=site: vectors <= site.pins(), 90, f"all vectors on the daemon of {site.actor.name}"
        )
