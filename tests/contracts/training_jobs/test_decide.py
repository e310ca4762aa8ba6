"""Rulings of the challenges contract: a merge that is proved false is taken back with all that was built on it, and a
challenge of an honest one costs the challenger (invariants 1 and 5)."""

from __future__ import annotations

import pytest
from play import (
    REWARD,
    ZERO,
    Status,
    bits,
    digest_of,
    first_accumulator,
    merge_digest,
    next_accumulator,
    vector,
)

LIE = vector("lie")
BOND = 100 * 10**18


@pytest.fixture
def balanced(bonds, bond_token, lied):
    """Invariant 1: what is held is what is free, locked or the DAO's."""
    yield
    ids = range(1, 5)
    free = sum(bonds.freeOf(i, bond_token) for i in ids)
    job_ids = range(1, lied.jobs.jobCount() + 1)
    locked = sum(bonds.bondOf(lied.jobs, job_id, i)["amount"] for job_id in job_ids for i in ids)
    held = bonds.heldOf(bond_token)
    assert held == free + locked + bonds.daoOwed(bond_token) == bond_token.balanceOf(bonds)


@pytest.fixture(scope="module")
def lied(start):
    """Round 2 of 3 is open upon the lie of hospital 2 (bit 1), attested by two thirds; update 0 is in."""
    play = start(4, rounds=3)
    play.submit_all()
    play.merge(1, state=LIE)
    play.submit(0)
    play.submit(2)
    return play


def _first(play):
    """The accumulator of round 1, from its updates."""
    found = first_accumulator(play.job_id, 1, 1)
    for index in range(len(play.members)):
        found = next_accumulator(found, index, vector("update", index, 1, 1))
    return found


@pytest.mark.usefixtures("balanced")
def test_a_false_merge_is_taken_back(lied, challenges, bonds, bond_token):
    """Though it is final by votes."""
    assert lied.job["finalRounds"] == 1
    lie, first = lied.standing(1), _first(lied)
    assert lie == merge_digest(lied.job_id, 1, 1, first, LIE)
    free = [bonds.freeOf(i, bond_token) for i in range(1, 5)]
    tx = lied.decide(challenges, 3, True, 1, first)

    assert tx.events["MergeVoided"] == {"jobId": lied.job_id, "round": 1, "mergeDigest": "0x" + lie.hex()}
    slashed = tx.events["Slashed"]
    assert (slashed["hospitalId"], slashed["to"], slashed["amount"]) == (2, 4, BOND)
    assert [bonds.freeOf(i, bond_token) for i in range(1, 5)] == [*free[:3], free[3] + BOND // 2]
    assert bonds.daoOwed(bond_token) == BOND // 2
    assert (lied.status, lied.round, lied.job["finalRounds"]) == (Status.RUNNING, 1, 0)
    assert lied.job["present"] == bits(0, 2, 3)
    assert lied.standing(1) == ZERO
    everyone = bits(0, 1, 2, 3)
    assert tuple(lied.slot(1)) == (everyone, everyone, 0, 0, 0, 1, 1, tx.timestamp)
    assert tuple(lied.slot(2)) == (0, 0, 0, 0, 0, 1, 0, 0)
    assert bytes(lied.job["accumulator"]) == first


def test_the_next_in_line_merges_the_same_updates(lied, challenges):
    first = _first(lied)
    lied.decide(challenges, 3, True, 1, first)
    # From round 1 and one void on, among 0, 2 and 3.
    assert [lied.next_merger(turn) for turn in range(3)] == [3, 0, 2]
    lied.merge(3)
    assert lied.standing(1) == merge_digest(lied.job_id, 1, 1, first, lied.state(1))
    assert (lied.slot(2)["attempt"], lied.slot(2)["participants"]) == (2, bits(0, 2, 3))
    assert lied.slot(2)["previous"] == bits(0, 1, 2, 3)
    lied.play_all()
    for index in (0, 2, 3):
        lied.report(index)
    assert lied.finish().events["JobFinished"]["version"] == 2


def test_the_slashed_merger_cannot_merge_until_it_has_another_bond(lied, challenges, jobs, reverts):
    lied.decide(challenges, 3, True, 1, _first(lied))
    lied.sleep(10 * lied.phases.merge)
    assert jobs.mergersInLine(lied.job_id) == bits(0, 2, 3)
    with reverts("NotParticipant", lied.job_id, 1, 2):
        lied.merge(1)
    lied.rejoin(1)
    assert jobs.mergersInLine(lied.job_id) == bits(0, 1, 2, 3)
    lied.merge(1)
    assert lied.slot(1)["merger"] == 2


@pytest.fixture(scope="module")
def deep(start):
    """Four rounds of five are merged, the first falsely by bit 1; round 5 is open, with one update."""
    play = start(4, rounds=5)
    play.submit_all()
    play.merge(1, state=LIE)
    for _ in range(3):
        play.play_round()
    play.submit(0)
    return play


def test_rounds_built_on_it_are_void_too(deep, challenges):
    assert deep.job["finalRounds"] == 3
    digests = [deep.standing(round_) for round_ in range(1, 5)]
    assert ZERO not in digests
    tx = deep.decide(challenges, 0, True, 1, _first(deep))
    assert tx.gas_used < 150_000
    assert len(tx.events["MergeVoided"]) == 1
    assert (deep.round, deep.job["finalRounds"]) == (1, 0)
    for round_ in range(1, 6):
        assert deep.standing(round_) == ZERO
    for round_ in range(2, 6):
        assert tuple(deep.slot(round_)) == (0, 0, 0, 0, 0, 1, 0, 0)


def test_rolled_back_rounds_are_merged_again(deep, challenges, rewards, reward_token):
    """No attempt's number is used twice, and each round is paid once, by who merged it in the end."""
    first = _first(deep)
    deep.decide(challenges, 0, True, 1, first)
    merged = [deep.next_merger()]
    deep.merge()
    assert deep.standing(1) == merge_digest(deep.job_id, 1, 1, first, deep.state(1))
    for round_ in range(2, 6):
        assert (deep.round, deep.slot()["attempt"]) == (round_, 2)
        assert (deep.slot()["submitted"], deep.slot()["voids"]) == (0, 0)
        deep.submit_all()
        merged.append(deep.next_merger())
        deep.merge()
        assert deep.slot(round_)["merger"] == merged[-1] + 1
    assert deep.status == Status.REPORTING
    assert deep.slot()["submitted"] == 0
    for index in (0, 2, 3):
        deep.report(index)
    event = deep.finish().events["JobFinished"]
    assert (event["passed"], event["correct"], event["total"]) == (True, 240, 300)

    # 100, 200, 300, 400 records; hospital 2 took part in the first round alone.
    units = [100 * 5, 200 * 1, 300 * 5, 400 * 5]
    hospitals, mergers = REWARD * 6_000 // 10_000, REWARD * 1_000 // 10_000
    assert [rewards.hospitalCreditOf(i + 1, reward_token)["payout"] for i in range(4)] == [
        hospitals * n // sum(units) + mergers * merged.count(i) // 5 for i, n in enumerate(units)
    ]


@pytest.mark.parametrize("round_", [2, 3, 4])
def test_any_merged_round(deep, challenges, round_):
    """The accumulator is the ruling's: the contract forgot that of an older round."""
    accumulator = digest_of("accumulator", round_)
    merger = deep.slot(round_)["merger"] - 1
    deep.decide(challenges, (merger + 1) % 4, True, round_, accumulator)
    assert (deep.round, deep.job["finalRounds"]) == (round_, round_ - 1)
    assert bytes(deep.job["accumulator"]) == accumulator
    deep.merge()
    assert deep.standing(round_) == merge_digest(deep.job_id, round_, 1, accumulator, deep.state(round_))
    assert deep.job["finalRounds"] == round_ - 1
    deep.play_all()
    assert deep.status == Status.REPORTING


def test_a_merge_before_it_stands_for_good(deep, challenges, reverts):
    """Nobody rejects what was final, and a second challenge may go further back."""
    assert deep.slot(3)["merger"] == 3 + 1
    deep.decide(challenges, 0, True, 3, digest_of("third"))
    with reverts("AlreadyDone", deep.job_id, 2, 1):
        deep.reject(0)
    deep.decide(challenges, 0, True, 1, _first(deep))
    assert (deep.round, deep.slot(1)["voids"], deep.slot(3)["voids"]) == (1, 1, 0)
    deep.rejoin(1)
    deep.rejoin(3)
    deep.merge()
    deep.play_round()
    assert (deep.round, deep.slot(3)["voids"]) == (3, 1)


def test_while_reporting(start, challenges):
    play = start(4, rounds=1)
    play.submit_all()
    play.merge(1, state=LIE)
    play.report(0, correct=10)
    play.decide(challenges, 0, True, 1, _first(play))
    assert (play.status, play.round) == (Status.RUNNING, 1)
    play.merge()
    assert play.slot()["submitted"] == 0
    for index in (0, 2, 3):
        play.report(index, correct=90)
    event = play.finish().events["JobFinished"]
    assert (event["correct"], event["total"]) == (270, 300)


def test_while_paused(start, consents, challenges):
    play = start(3, rounds=2)
    play.submit_all()
    for index in (0, 2):
        consents.revoke(play.consent_ids[index], {"from": play.members[index].admin})
    play.merge(1, state=LIE)
    assert play.status == Status.PAUSED
    tx = play.decide(challenges, 0, True, 1, _first(play))
    assert (play.status, play.round, play.job["since"]) == (Status.RUNNING, 1, tx.timestamp)
    play.merge()
    assert (play.status, play.slot(2)["attempt"]) == (Status.PAUSED, 0)


def test_a_cancelled_job_only_slashes(lied, challenges, bonds, bond_token, jobs, reverts, chain):
    tx = jobs.cancel(lied.job_id, {"from": lied.researcher})
    free = tx.timestamp + lied.phases.check
    assert jobs.bondsFreeAt(lied.job_id) == free
    standing = lied.standing(1)
    tx = lied.decide(challenges, 3, True, 1, _first(lied))
    assert "MergeVoided" not in tx.events
    assert (tx.events["Slashed"]["hospitalId"], tx.events["Slashed"]["to"]) == (2, 4)
    assert (lied.status, lied.round, lied.standing(1)) == (Status.CANCELLED, 2, standing)
    assert lied.job["since"] == free - lied.phases.check
    with reverts("StillLocked", lied.job_id, free):
        bonds.unlock(jobs, lied.job_id, 1, {"from": lied.researcher})

    chain.mine(timestamp=free)
    with reverts("WrongJobStatus", lied.job_id, Status.CANCELLED):
        lied.decide(challenges, 3, True, 1, _first(lied))
    before = bonds.freeOf(1, bond_token)
    bonds.unlock(jobs, lied.job_id, 1, {"from": lied.researcher})
    assert bonds.freeOf(1, bond_token) == before + BOND
    with reverts("NotLocked", lied.job_id, 2):
        bonds.unlock(jobs, lied.job_id, 2, {"from": lied.researcher})


@pytest.mark.usefixtures("balanced")
def test_an_honest_merge_stands(lied, challenges, bonds, bond_token):
    """Its challenger's bond goes, half to the merger."""
    before, standing = tuple(lied.slot()), lied.standing(1)
    free = bonds.freeOf(2, bond_token)
    tx = lied.decide(challenges, 3, False, 1, ZERO)
    assert "MergeVoided" not in tx.events
    assert (tx.events["Slashed"]["hospitalId"], tx.events["Slashed"]["to"]) == (4, 2)
    assert bonds.freeOf(2, bond_token) == free + BOND // 2
    assert (tuple(lied.slot()), lied.standing(1), lied.round) == (before, standing, 2)
    assert lied.job["present"] == bits(0, 1, 2)
    # Its update is still asked for in this attempt, and it may merge again only with another bond.
    lied.submit_all([1, 3])
    lied.merge()
    assert lied.slot()["participants"] == bits(0, 1, 2)
    lied.rejoin(3)
    assert lied.job["present"] == bits(0, 1, 2, 3)


def test_no_challenge_without_a_bond(lied, challenges, admit, jobs, reverts):
    lied.decide(challenges, 3, False, 1, ZERO)
    with reverts("NotEnrolled", lied.job_id, 4):
        lied.decide(challenges, 3, True, 1, _first(lied))
    admit(5)
    with reverts("NotEnrolled", lied.job_id, 5):
        jobs.decide((lied.job_id, 1, ZERO, 5, True), {"from": challenges})


def test_nobody_challenges_its_own_merge(lied, challenges, reverts):
    for proven in (True, False):
        with reverts("OwnMerge", lied.job_id, 1):
            lied.decide(challenges, 1, proven, 1, ZERO)


def test_only_a_merge_that_stands(lied, deep, challenges, reverts):
    for round_ in (0, 2, 3, 65_535):
        with reverts("NotMerged", lied.job_id, round_):
            lied.decide(challenges, 0, True, round_, ZERO)
    deep.decide(challenges, 0, True, 1, _first(deep))
    for round_ in range(1, 6):
        with reverts("NotMerged", deep.job_id, round_):
            deep.decide(challenges, 0, True, round_, ZERO)


def test_only_the_challenges_contract(lied, owner, researcher, reverts):
    for account in (owner, researcher, lied.members[0].operator):
        with reverts("NotChallenges", account):
            lied.decide(account, 0, True, 1, ZERO)


def test_not_before_the_first_round_nor_after_the_end(enrolled, challenges, bonds, jobs, reverts):
    play = enrolled(2)
    with reverts("WrongJobStatus", play.job_id, Status.ENROLLING):
        play.decide(challenges, 0, True, 1, ZERO)
    play.open()
    play.play_all()
    play.report(0)
    play.report(1)
    tx = play.finish()
    with reverts("WrongJobStatus", play.job_id, Status.FINISHED):
        play.decide(challenges, 0, True, 1, ZERO)
    assert jobs.bondsFreeAt(play.job_id) == tx.timestamp
    for index in (1, 2):
        bonds.unlock(jobs, play.job_id, index, {"from": play.researcher})


def test_the_job_stays_slashable_while_it_runs(lied, bonds, jobs, reverts):
    with reverts("StillLocked", lied.job_id, 2**40 - 1):
        bonds.unlock(jobs, lied.job_id, 1, {"from": lied.researcher})
