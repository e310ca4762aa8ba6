"""A chain that takes blocks back, on a real Ganache: what a node read of them is forgotten and read again."""

from __future__ import annotations

import pytest

from protocol.chain.development import mine
from protocol.chain.rpc import Rpc
from protocol.node.history import JobHistory
from protocol.node.watch import ChainWatch
from tests.protocol.chain.conftest import World, compiled, deployed, ganache_url, world
from tests.protocol.chain.play import ZERO, Started, start, vector

__all__ = ["compiled", "deployed", "ganache_url", "world"]


@pytest.fixture
def job(world: World) -> Started:
    """Round 1 is open."""
    started = start(world)
    started.as_(1).open(started.job_id)
    return started


@pytest.fixture
def rpc(job: Started) -> Rpc:
    return Rpc(job.world.url)


def remember(rpc: Rpc) -> str:
    return str(rpc.request("evm_snapshot"))


def take_back(rpc: Rpc, remembered: str) -> None:
    assert rpc.request("evm_revert", remembered)


def submit(job: Started, number: int, name: str) -> None:
    job.as_(number).submit(job.job_id, 1, 1, ZERO, vector(name))


def submitted(history: JobHistory) -> dict[int, bytes]:
    return {each.hospital_id: each.ref.cid for each in history.record.round(1).updates()}


def read_and_lost(job: Started, rpc: Rpc, history: JobHistory) -> None:
    """Hospital 1's update is read, and the chain takes its block back."""
    history.read()
    remembered = remember(rpc)
    submit(job, 1, "one")
    history.read()
    take_back(rpc, remembered)


def following(job: Started, confirmations: int) -> JobHistory:
    chain = job.world.as_("operator-3", confirmations=confirmations)
    return JobHistory(ChainWatch(chain), job.job_id)


def test_blocks_that_were_read_and_replaced_are_read_again(job: Started, rpc: Rpc) -> None:
    """A reorganisation longer than the confirmations (here none) is detected and said, and the node goes on from what
    the chain now says."""
    history = following(job, 0)
    remembered = remember(rpc)
    submit(job, 1, "one")
    history.read()
    read_to = history.read_to
    assert submitted(history) == {1: vector("one").cid}
    take_back(rpc, remembered)
    submit(job, 2, "two")
    submit(job, 1, "another")
    history.read()
    assert submitted(history) == {2: vector("two").cid, 1: vector("another").cid}
    (seen,) = history.watch.reorganisations
    assert (seen.fork < read_to, seen.read_to) == (True, read_to)
    assert "was reorganised" in str(seen) and "0 confirmations" in str(seen)


def test_a_block_of_the_same_number_is_not_taken_for_the_same(job: Started, rpc: Rpc) -> None:
    history = following(job, 0)
    read_and_lost(job, rpc, history)
    submit(job, 1, "another")
    history.read()
    assert submitted(history) == {1: vector("another").cid}
    assert len(history.watch.reorganisations) == 1


def test_a_chain_that_is_shorter_takes_back_what_it_lacks(job: Started, rpc: Rpc) -> None:
    history = following(job, 0)
    read_and_lost(job, rpc, history)
    history.read()
    assert submitted(history) == {}
    submit(job, 1, "one")
    history.read()
    assert submitted(history) == {1: vector("one").cid}


def test_a_reorganisation_shorter_than_the_confirmations_changes_nothing_that_was_read(
    job: Started, rpc: Rpc
) -> None:
    history = following(job, 3)
    for _ in range(3):
        mine(rpc)
    history.read()
    remembered = remember(rpc)
    submit(job, 1, "one")
    mine(rpc)
    history.read()
    assert submitted(history) == {}
    take_back(rpc, remembered)
    submit(job, 1, "another")
    for _ in range(3):
        mine(rpc)
    history.read()
    assert submitted(history) == {1: vector("another").cid}
    assert history.watch.reorganisations == []


def test_times_of_replaced_blocks_are_asked_for_again(job: Started, rpc: Rpc) -> None:
    history = following(job, 0)
    history.read()
    remembered = remember(rpc)
    submit(job, 1, "one")
    history.read()
    block, chain = history.read_to, history.watch.chain
    before = chain.timestamp(block)
    take_back(rpc, remembered)
    rpc.request("evm_increaseTime", 1_000)
    submit(job, 1, "one")
    history.read()
    assert chain.timestamp(block) >= before + 1_000


def test_an_enrolment_that_was_taken_back_is_not_in_the_record(world: World) -> None:
    rpc = Rpc(world.url)
    remembered = remember(rpc)
    job = start(world)
    history = following(job, 0)
    history.read()
    assert set(history.record.participants) == {1, 2, 3}
    take_back(rpc, remembered)
    mine(rpc)
    history.read()
    assert history.record.participants == {} and history.record.proposal is None


def test_a_history_made_after_a_reorganisation_does_not_rewind_for_it(job: Started, rpc: Rpc) -> None:
    history = following(job, 0)
    read_and_lost(job, rpc, history)
    submit(job, 2, "two")
    history.read()
    later = JobHistory(history.watch, job.job_id)
    later.read()
    assert submitted(later) == submitted(history) == {2: vector("two").cid}
