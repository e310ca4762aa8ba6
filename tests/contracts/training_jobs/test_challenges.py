"""Challenges of real vectors on the real jobs contract: who wins, who pays, and what a challenge costs (invariant 5).

What follows from a ruling in every state of a job is tested in ``test_decide``; what a claim must show, and its
arithmetic, in ``tests/contracts/challenges``."""

from __future__ import annotations

import numpy as np
import pytest
from claims import LoneChunk, Merge, Vector
from play import MergeRule

from protocol.learning.merge import merge

LANES = 700  # three chunks
DEPTH_16 = 2**24  # lanes: 65,536 chunks
SOME_CHUNK = 12_345
LIMITS = {"mean": 1_000_000, "median": 1_250_000}
BOND = 100 * 10**18


@pytest.fixture(scope="module")
def challenges(Challenges, deployer):
    """The real contract, where other tests have an account."""
    return Challenges.deploy({"from": deployer})


def drawn(rng, lanes, bound=2**31):
    return rng.integers(-bound, bound, lanes, dtype=np.int64).astype(np.int32)


@pytest.fixture(scope="module")
def rounds(start, models, researcher):
    """Two merges of three hospitals: that of round 1 is honest, that of round 2 false in one lane of its last chunk."""
    rng = np.random.default_rng(3)
    state = Vector(drawn(rng, LANES, 2**26))
    models.create("small", state.named, {"from": researcher})
    play = start(3, rounds=3, model_id=models.modelCount(), merge=MergeRule(LANES))
    merges = []
    for number in (1, 2):
        updates = {index: Vector(drawn(rng, LANES)) for index in (2, 0, 1)}
        for index, update in updates.items():
            play.submit(index, update=update.named)
        result = merge(state.lanes, [[update.lanes for update in updates.values()]])
        if number == 2:
            result[650] += 1
        last = merges[-1] if merges else None
        previous = {"previous": (1, last.accumulator, last.next.named)} if last else {}
        merges.append(Merge(state, updates, Vector(result), number, play.job_id, **previous))
        state = merges[-1].next
        play.merge(state=state.named)
        assert play.standing(number) == merges[-1].digest
    return play, merges


def challenged(challenges, play, claim, index):
    return challenges.challenge(play.jobs, claim, {"from": play.members[index].operator})


def honest(done):
    """What the merge should have been."""
    return Vector(merge(done.before.lanes, [[update.lanes for update in done.updates.values()]]))


def balanced(bonds, token, job):
    """Invariant 1: what is held is what is free, locked or the DAO's."""
    free = sum(bonds.freeOf(one.id, token) for one in job.members)
    locked = sum(bonds.bondOf(job.jobs, job.job_id, one.id)["amount"] for one in job.members)
    return bonds.heldOf(token) == free + locked + bonds.daoOwed(token) == token.balanceOf(bonds)


def test_a_single_false_lane_costs_the_merger(rounds, challenges, bonds, bond_token):
    play, (_, false) = rounds
    liar = play.slot(2)["merger"] - 1
    winner = next(i for i in range(3) if i != liar)
    assert challenges.check(play.jobs, false.claim(2)) is True
    assert challenges.check(play.jobs, false.claim(0)) is False
    free = bonds.freeOf(play.members[winner].id, bond_token)
    tx = challenged(challenges, play, false.claim(2), winner)

    assert tx.events["Challenged"]["proven"]
    assert tx.events["MergeVoided"]["round"] == 2
    slashed = tx.events["Slashed"]
    assert (slashed["hospitalId"], slashed["to"]) == (play.members[liar].id, play.members[winner].id)
    assert bonds.freeOf(play.members[winner].id, bond_token) == free + BOND // 2
    assert balanced(bonds, bond_token, play)
    assert play.round == 2
    # The next in line merges the same updates, and nothing is left to prove.
    true = false.but(next=honest(false))
    line = play.jobs.mergersInLine(play.job_id)
    play.merge(next(i for i in range(3) if line >> i & 1), true.next.named)
    assert play.standing(2) == true.digest
    assert not any(challenges.check(play.jobs, true.claim(chunk)) for chunk in range(3))


def test_an_honest_merge_costs_the_challenger(rounds, challenges, bonds, bond_token):
    play, (true, false) = rounds
    merger = play.slot(1)["merger"] - 1
    challenger = next(i for i in range(3) if i != merger)
    free = bonds.freeOf(play.members[merger].id, bond_token)
    tx = challenged(challenges, play, true.claim(1), challenger)

    assert not tx.events["Challenged"]["proven"]
    assert "MergeVoided" not in tx.events
    slashed = tx.events["Slashed"]
    assert (slashed["hospitalId"], slashed["to"]) == (play.members[challenger].id, play.members[merger].id)
    assert bonds.freeOf(play.members[merger].id, bond_token) == free + BOND // 2
    assert bonds.bondOf(play.jobs, play.job_id, play.members[merger].id)["exists"]
    assert balanced(bonds, bond_token, play)
    assert play.standing(1) == true.digest
    assert play.standing(2) == false.digest


def test_a_chunk_that_is_right_proves_nothing(rounds, challenges):
    """The merge is false, but not there: the challenger loses."""
    play, (_, false) = rounds
    challenger = next(i for i in range(3) if i != play.slot(2)["merger"] - 1)
    tx = challenged(challenges, play, false.claim(0), challenger)
    assert not tx.events["Challenged"]["proven"]
    assert play.standing(2) == false.digest


def test_who_may_challenge(rounds, challenges, admit, stranger, reverts):
    play, (_, false) = rounds
    with reverts("NotOperator", stranger):
        challenges.challenge(play.jobs, false.claim(2), {"from": stranger})
    with reverts("NotOperator", play.members[0].admin):
        challenges.challenge(play.jobs, false.claim(2), {"from": play.members[0].admin})
    outsider = admit(4)[3]
    with reverts("NotEnrolled", play.job_id, outsider.id):
        challenges.challenge(play.jobs, false.claim(2), {"from": outsider.operator})
    with reverts("OwnMerge", play.job_id, 2):
        challenged(challenges, play, false.claim(2), play.slot(2)["merger"] - 1)


def test_a_void_merge_is_not_proved_twice(rounds, challenges, reverts):
    play, (_, false) = rounds
    liar = play.slot(2)["merger"] - 1
    first, second = (i for i in range(3) if i != liar)
    challenged(challenges, play, false.claim(2), first)
    with reverts("WrongClaim", play.job_id, 2):
        challenged(challenges, play, false.claim(2), second)


@pytest.mark.parametrize(("count", "groups", "rule"), [(18, 1, "mean"), (18, 6, "mean"), (18, 6, "median")])
def test_gas_at_eighteen_hospitals(start, models, researcher, challenges, jobs, count, groups, rule):
    """Paths of sixteen siblings and masked updates, in round 1, where the state before is dearest to find. The table
    for fewer hospitals is printed by ``make bench``."""
    rng = np.random.default_rng(count)

    def lone(chunk, name):
        return LoneChunk(DEPTH_16, SOME_CHUNK, chunk, name)

    before = lone(drawn(rng, 256, 2**26), "base")
    models.create("large", before.named, {"from": researcher})
    play = start(
        count,
        rounds=2,
        min_hospitals=3,
        model_id=models.modelCount(),
        merge=MergeRule(DEPTH_16, 65_536, int(rule == "median"), groups),
    )
    if groups > 1:
        play.draw()
    labels = jobs.drawOf(play.job_id)["labels"]
    updates = {i: lone(drawn(rng, 256), i) for i in range(count)}
    members = {}
    for index, update in updates.items():
        play.submit(index, update=update.named)
        members.setdefault(labels >> 4 * index & 15, []).append(update.lanes)
    result = merge(before.lanes, list(members.values()), 65_536, rule)
    assert len(members) == groups
    result[255] ^= 1
    false = Merge(before, updates, lone(result, "next"), job_id=play.job_id, labels=labels)
    play.merge(state=false.next.named)
    challenger = next(i for i in range(count) if i != play.slot(1)["merger"] - 1)
    tx = challenged(challenges, play, false.claim(SOME_CHUNK), challenger)

    assert tx.events["Challenged"]["proven"]
    print(f"{count} hospitals, {groups} groups, {rule}: {tx.gas_used:,} gas")
    assert tx.gas_used <= LIMITS[rule]
