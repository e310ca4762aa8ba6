"""Groups: drawn once a round from a block that came after its participants were fixed."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import eth_abi
import pytest
from play import MergeRule, Status, bits, first_accumulator, vector

VECTORS = json.loads((Path(__file__).parents[2] / "vectors" / "groups.json").read_text())
MEDIAN_OF_TWO = MergeRule(rule=1, groups=2)
LIE = vector("lie")


def drawn(seed: bytes, members: list[int], most: int) -> int:
    """The labels, by the rule in words."""
    shuffled, groups = list(members), min(most, len(members) // 3)
    for i in range(len(members) - 1, 0, -1):
        drawn_number = hashlib.sha256(eth_abi.encode(["bytes32", "uint256"], [seed, i])).digest()
        j = int.from_bytes(drawn_number, "big") % (i + 1)
        shuffled[i], shuffled[j] = shuffled[j], shuffled[i]
    return sum(place % groups << 4 * index for place, index in enumerate(shuffled)) if groups > 1 else 0


def group_of(labels: int, index: int) -> list[int]:
    """All of six hospitals that have the label of this one."""
    return [i for i in range(6) if (labels >> 4 * i & 15) == (labels >> 4 * index & 15)]


@pytest.fixture(scope="module")
def play(start):
    """Six hospitals, two groups; round 1 is open."""
    return start(6, rounds=3, min_hospitals=3, merge=MEDIAN_OF_TWO)


@pytest.fixture(scope="module")
def libraries(PureLibraries, deployer):
    return PureLibraries.deploy({"from": deployer})


@pytest.mark.parametrize("case", VECTORS["cases"], ids=lambda case: f"{len(case['members'])}-{case['most']}")
def test_the_vectors(libraries, case):
    """As Python draws them."""
    seed, members = bytes.fromhex(case["seed"][2:]), case["members"]
    labels = libraries.draw(seed, bits(*members), case["most"])
    assert labels == int(case["labels"], 16) == drawn(seed, members, case["most"])
    for label, group in enumerate(case["groups"]):
        assert {libraries.labelOf(labels, index) for index in group} == {label}


def test_a_group_below_three_is_left_out(libraries):
    labels = sum(index % 3 << 4 * index for index in range(9))
    assert libraries.large(bits(*range(9)), labels) == bits(*range(9))
    assert libraries.large(bits(*range(8)), labels) == bits(0, 1, 3, 4, 6, 7)
    assert libraries.large(bits(*range(7)), labels) == bits(0, 3, 6)
    assert libraries.large(bits(*range(6)), labels) == 0
    assert libraries.large(bits(0, 1, 2), 0) == bits(0, 1, 2)
    assert libraries.large(bits(0, 47), 0) == 0


def test_the_participants_are_fixed_before_the_block(start, jobs, researcher, reverts):
    play = start(6, min_hospitals=3, merge=MEDIAN_OF_TWO)
    block = jobs.drawOf(play.job_id)["blockNumber"]
    assert tuple(jobs.drawOf(play.job_id)) == (1, False, block, 0)
    with reverts("NothingToDraw", play.job_id, block):
        tx = jobs.draw(play.job_id, {"from": researcher})
    tx = jobs.draw(play.job_id, {"from": researcher})
    assert tx.block_number == block + 1
    assert jobs.drawOf(play.job_id)["drawn"]


def test_the_draw_is_of_that_blocks_hash(play, jobs, web3):
    block = jobs.drawOf(play.job_id)["blockNumber"]
    tx = play.draw()
    seed = bytes(web3.eth.get_block(block)["hash"])
    labels = drawn(seed, list(range(6)), 2)
    assert tuple(jobs.drawOf(play.job_id)) == (1, True, block, labels)
    event = tx.events["GroupsDrawn"]
    assert (event["jobId"], event["round"], bytes(event["seed"]), event["labels"]) == (
        play.job_id,
        1,
        seed,
        labels,
    )
    assert sorted(len(group_of(labels, i)) for i in range(6)) == [3] * 6
    assert bytes(play.job["accumulator"]) == first_accumulator(play.job_id, 1, 1, labels)


def test_the_time_to_submit_begins_with_the_draw(play):
    play.sleep(500)
    tx = play.draw()
    assert play.slot()["since"] == tx.timestamp


def test_no_update_before(play, reverts):
    with reverts("NotDrawn", play.job_id, 1):
        play.submit(0)
    play.draw()
    play.submit(0)


def test_once_a_round(play, jobs, reverts):
    play.draw()
    block = jobs.drawOf(play.job_id)["blockNumber"]
    with reverts("NothingToDraw", play.job_id, block):
        play.draw()
    play.play_round()
    assert not jobs.drawOf(play.job_id)["drawn"]
    with reverts("NotDrawn", play.job_id, 2):
        play.submit(0)
    play.draw()
    assert jobs.drawOf(play.job_id)["round"] == 2
    play.play_round()


def test_jobs_of_one_group_draw_nothing(start, jobs, researcher, reverts):
    play = start(3)
    with reverts("NothingToDraw", play.job_id, 0):
        jobs.draw(play.job_id, {"from": researcher})
    assert tuple(jobs.drawOf(play.job_id)) == (0, False, 0, 0)


def test_a_forgotten_block_is_replaced(play, jobs, chain, researcher):
    chain.mine(260)
    tx = jobs.draw(play.job_id, {"from": researcher})
    assert "GroupsDrawn" not in tx.events
    assert tuple(jobs.drawOf(play.job_id)) == (1, False, tx.block_number + 1, 0)
    assert "GroupsDrawn" in play.draw().events


def test_who_withholds_after_the_draw_loses_its_bond(play, jobs):
    """And the two left of its group sit the round out, at no cost. The groups stay as they are."""
    play.draw()
    before = tuple(jobs.drawOf(play.job_id))
    mates = group_of(before[3], 0)
    others = [i for i in range(6) if i not in mates]
    play.submit_all(range(1, 6))
    play.sleep(play.phases.submit)
    tx = play.open()
    assert [(e["hospitalId"], e["to"]) for e in tx.events["Slashed"]] == [(1, 0)]
    assert play.slot()["participants"] == bits(*others)
    assert play.job["present"] == bits(1, 2, 3, 4, 5)
    assert tuple(jobs.drawOf(play.job_id)) == before
    assert bytes(play.job["accumulator"]) == first_accumulator(play.job_id, 1, 2, before[3])
    play.play_round()
    # Five are one group.
    assert play.slot()["participants"] == bits(1, 2, 3, 4, 5)
    play.draw()
    assert jobs.drawOf(play.job_id)["labels"] == 0
    play.play_round()


def test_who_is_late_before_the_draw_does_not(play):
    play.sleep(play.phases.submit)
    tx = play.open()
    assert "Slashed" not in tx.events
    assert play.status == Status.PAUSED


def test_nor_one_whose_consent_is_dead(play, consents):
    """Who revokes its consent pays nothing for that."""
    play.draw()
    consents.revoke(play.consent_ids[0], {"from": play.members[0].admin})
    play.submit_all(range(2, 6))
    play.sleep(play.phases.submit)
    tx = play.open()
    assert [e["hospitalId"] for e in tx.events["Slashed"]] == [2]


def test_nor_one_that_rejected_the_merge(play):
    """It cannot build on a merge that it rejected."""
    play.draw()
    play.play_round()
    play.draw()
    merger = play.slot(1)["merger"] - 1
    rejecter, silent, *others = [i for i in range(6) if i != merger]
    play.reject(rejecter)
    play.submit_all([merger, others[0]])
    play.sleep(play.phases.submit)
    tx = play.open()
    assert sorted(e["hospitalId"] for e in tx.events["Slashed"]) == sorted(
        i + 1 for i in (silent, *others[1:])
    )


def test_a_pause_ends_with_a_new_draw(start, jobs, reverts, researcher):
    play = start(6, min_hospitals=6, merge=MEDIAN_OF_TWO)
    play.draw()
    play.submit_all(range(5))
    play.sleep(play.phases.submit)
    play.open()
    assert play.status == Status.PAUSED
    with reverts("WrongJobStatus", play.job_id, Status.PAUSED):
        jobs.draw(play.job_id, {"from": researcher})
    play.rejoin(5)
    tx = play.open()
    assert tuple(jobs.drawOf(play.job_id)) == (1, False, tx.block_number + 1, 0)


@pytest.mark.parametrize("ahead", [0, 1])
def test_a_round_after_a_void_is_drawn_anew(play, jobs, challenges, ahead):
    """Nobody may know a round's groups before its participants are fixed: a draw of a round that was rolled back does
    not come back."""
    play.draw()
    play.submit_all()
    accumulator = bytes(play.job["accumulator"])
    merger = play.next_merger()
    play.merge(state=LIE)
    play.draw()
    if ahead:
        play.play_round()
        play.draw()
    play.decide(challenges, (merger + 1) % 6, True, 1, accumulator)
    assert (play.round, tuple(jobs.drawOf(play.job_id))) == (1, (0, False, 0, 0))
    for round_ in (2, 3)[: 1 + ahead]:
        tx = play.merge()
        assert tuple(jobs.drawOf(play.job_id)) == (round_, False, tx.block_number + 1, 0)
        play.draw()
        play.submit_all()
