"""Escrow: what comes in, and what is refused."""

from __future__ import annotations

import pytest

FLOOR = (5_000, 1_000, 500, 0, 500)


def test_escrow_takes_the_reward(rewards, reward_token, escrow, researcher):
    before = reward_token.balanceOf(researcher)

    tx = escrow(1, 1_000)

    assert reward_token.balanceOf(researcher) == before - 1_000
    assert reward_token.balanceOf(rewards) == rewards.heldOf(reward_token) == 1_000
    event = tx.events["Escrowed"]
    assert (event["jobId"], event["token"], event["researcher"]) == (1, reward_token, researcher)
    assert (event["amount"], tuple(event["split"])) == (1_000, (6_000, 1_500, 1_000, 1_000, 500))
    kept = rewards.escrowOf(1)
    assert (kept["token"], kept["researcher"]) == (reward_token, researcher)
    assert (kept["settled"], kept["amount"]) == (False, 1_000)
    assert tuple(kept["split"]) == (6_000, 1_500, 1_000, 1_000, 500)


def test_only_an_allowed_contract_escrows(rewards, reward_token, researcher, owner, consumer, reverts):
    args = (1, researcher, reward_token, 1_000, (10_000, 0, 0, 0, 0))
    with reverts("NotJobs", researcher):
        rewards.escrow(*args, {"from": researcher})
    tx = rewards.setJobs(consumer, False, {"from": owner})
    assert tx.events["JobsSet"] == {"jobs": consumer, "allowed": False}
    with reverts("NotJobs", consumer):
        rewards.escrow(*args, {"from": consumer})


def test_only_listed_tokens(rewards, reward_token, escrow, owner, reverts):
    tx = rewards.allowToken(reward_token, False, {"from": owner})
    assert tx.events["TokenAllowed"] == {"token": reward_token, "allowed": False}
    assert not rewards.isAllowed(reward_token)
    with reverts("TokenNotAllowed", reward_token):
        escrow()


def test_no_reward_of_zero(escrow, reverts):
    with reverts("NoReward"):
        escrow(1, 0)


@pytest.mark.parametrize("split", [(6_000, 1_500, 1_000, 1_000, 499), (6_000, 1_500, 1_000, 1_000, 501)])
def test_the_split_sums_to_the_whole(escrow, reverts, split):
    with reverts("SplitSum", sum(split)):
        escrow(split=split)


def test_a_job_is_escrowed_once(rewards, escrow, consumer, reverts):
    escrow(1)
    with reverts("AlreadyEscrowed", 1):
        escrow(1)
    rewards.settle(1, 0, 1, [], {"from": consumer})
    with reverts("AlreadyEscrowed", 1):
        escrow(1)


@pytest.mark.parametrize("place", [0, 1, 2, 4])
def test_no_share_below_its_floor(rewards, escrow, owner, reverts, place):
    tx = rewards.setSplitFloor(FLOOR, {"from": owner})
    assert tuple(tx.events["SplitFloorSet"]["floor"]) == FLOOR
    assert tuple(rewards.splitFloor()) == FLOOR
    split = list(FLOOR)
    split[3] = 10_000 - sum(FLOOR)
    escrow(1, split=tuple(split))
    split[place] -= 1
    split[3] += 1
    with reverts("SplitBelowFloor"):
        escrow(2, split=tuple(split))


def test_a_merger_floor_counts_too(rewards, escrow, owner, reverts):
    rewards.setSplitFloor((0, 0, 0, 10, 0), {"from": owner})
    with reverts("SplitBelowFloor"):
        escrow(split=(9_991, 0, 0, 9, 0))


def test_a_floor_leaves_room(rewards, owner, reverts):
    with reverts("SplitSum", 10_001):
        rewards.setSplitFloor((10_000, 0, 0, 0, 1), {"from": owner})
    rewards.setSplitFloor((10_000, 0, 0, 0, 0), {"from": owner})


def test_a_floor_changes_no_escrow(rewards, escrow, consumer, owner):
    escrow(1, split=(0, 0, 0, 0, 10_000))
    rewards.setSplitFloor((10_000, 0, 0, 0, 0), {"from": owner})
    rewards.settle(1, 1, 1, [(1, 1, 1)], {"from": consumer})
    assert rewards.escrowOf(1)["settled"]


@pytest.mark.parametrize(
    ("step", "args"),
    [
        ("allowToken", ("0x" + "11" * 20, True)),
        ("setSplitFloor", (FLOOR,)),
        ("setJobs", ("0x" + "11" * 20, True)),
    ],
)
def test_only_the_owner_sets(rewards, researcher, consumer, reverts, step, args):
    for account in (researcher, consumer):
        with reverts("OwnableUnauthorizedAccount", account):
            getattr(rewards, step)(*args, {"from": account})


def test_tokens_that_take_a_fee_are_refused(FeeToken, rewards, escrow, researcher, owner, deployer, reverts):
    token = FeeToken.deploy({"from": deployer})
    token.mint(researcher, 10_000, {"from": researcher})
    token.approve(rewards, 10_000, {"from": researcher})
    rewards.allowToken(token, True, {"from": owner})
    with reverts("AmountMismatch", 10_000, 9_900):
        escrow(1, 10_000, token=token)
    assert rewards.heldOf(token) == token.balanceOf(rewards) == 0


def test_no_escrow_without_the_money(rewards, reward_token, researcher, escrow, reverts):
    reward_token.approve(rewards, 999, {"from": researcher})
    with reverts("ERC20InsufficientAllowance", rewards, 999, 1_000):
        escrow(1, 1_000)
