"""Challenges on the real jobs contract: who wins, who pays, and what a challenge costs."""

from __future__ import annotations

import numpy as np
import pytest
from claims import LoneChunk, Merge
from play import MergeRule

from protocol.learning.merge import merge

DEPTH_16 = 2**24  # lanes: 65,536 chunks
SOME_CHUNK = 12_345
LIMITS = {"mean": 1_000_000, "median": 1_250_000}


@pytest.fixture(scope="module")
def challenges(Challenges, deployer):
    """The real contract, where other tests have an account."""
    return Challenges.deploy({"from": deployer})


def masked(rng, scale=2**31):
    return rng.integers(-scale, scale, 256, dtype=np.int64).astype(np.int32)


@pytest.fixture
def large(start, models, researcher):
    """A merged round of ``count`` hospitals with 16.7 million lanes, of which one chunk is known. The base is its state
    before; the merge is honest but for what ``lie`` adds to the first lane."""

    def _large(count, rule="mean", groups=1, lie=0, chain=None):
        rng = np.random.default_rng(count)

        def lone(chunk, name):
            return LoneChunk(DEPTH_16, SOME_CHUNK, chunk, name)

        before = lone(masked(rng, 2**26), "base")
        models.create("large", before.named, {"from": researcher})
        merge_rule = MergeRule(DEPTH_16, 65_536, int(rule == "median"), groups)
        play = start(
            count, rounds=2, min_hospitals=3, model_id=models.modelCount(), merge=merge_rule
        )
        if groups > 1:
            chain.mine(3)
            play.jobs.draw(play.job_id, {"from": researcher})
        labels = play.jobs.drawOf(play.job_id)["labels"]
        updates = {i: lone(masked(rng), i) for i in range(count)}
        for index, update in updates.items():
            play.submit(index, update=update.named)
        members = {}
        for index, update in updates.items():
            members.setdefault(labels >> 4 * index & 15, []).append(update.lanes)
        result = merge(before.lanes, list(members.values()), 65_536, rule)
        result[0] += lie
        done = Merge(before, updates, lone(result, "next"), job_id=play.job_id, labels=labels)
        play.merge(state=done.next.named)
        assert play.standing(1) == done.digest
        return play, done

    return _large


@pytest.mark.parametrize("count", [3, 6, 18])
@pytest.mark.parametrize("rule", ["mean", "median"])
def test_gas(large, challenges, jobs, chain, count, rule):
    groups = count // 3 if rule == "median" else 1
    play, done = large(count, rule, groups, lie=1, chain=chain)
    challenger = next(i for i in range(count) if i != play.jobs.roundOf(play.job_id, 1)["merger"] - 1)
    tx = challenges.challenge(jobs, done.claim(SOME_CHUNK), {"from": play.members[challenger].operator})
    assert tx.events["Challenged"]["proven"]
    print(count, rule, groups, tx.gas_used)
    assert tx.gas_used <= LIMITS[rule]
