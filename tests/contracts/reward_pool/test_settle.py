"""Settlement: earned rounds by contribution, the rest back, remainders to the DAO."""

from __future__ import annotations

import pytest


def test_shares_by_contribution(rewards, reward_token, escrow, consumer, owner, researcher):
    escrow(1, 10_000)

    tx = rewards.settle(1, 3, 4, [(1, 300, 2), (2, 100, 1)], {"from": consumer})

    # 7,500 earned: hospitals 4,500, caregivers 1,125, patients 750, mergers 750, DAO 375.
    assert tuple(rewards.hospitalCreditOf(1, reward_token)) == (3_375 + 500, 843, 562)
    assert tuple(rewards.hospitalCreditOf(2, reward_token)) == (1_125 + 250, 281, 187)
    assert rewards.creditOf(owner, reward_token) == 375 + 2
    assert rewards.creditOf(researcher, reward_token) == 2_500
    assert tx.events["Settled"] == {"jobId": 1, "earned": 7_500, "refunded": 2_500}
    assert tx.events["HospitalCredited"][0] == {
        "jobId": 1,
        "hospitalId": 1,
        "payout": 3_875,
        "caregivers": 843,
        "patients": 562,
    }
    assert [(e["account"], e["amount"]) for e in tx.events["AccountCredited"]] == [
        (owner, 377),
        (researcher, 2_500),
    ]
    assert rewards.heldOf(reward_token) == 10_000


def test_nothing_is_earned_without_a_final_round(rewards, reward_token, escrow, consumer, owner, researcher):
    escrow(1, 1_000)
    tx = rewards.settle(1, 0, 4, [], {"from": consumer})
    assert rewards.creditOf(researcher, reward_token) == 1_000
    assert rewards.creditOf(owner, reward_token) == 0
    assert tx.events["Settled"] == {"jobId": 1, "earned": 0, "refunded": 1_000}


def test_nothing_is_earned_without_a_contribution(rewards, reward_token, escrow, consumer, researcher):
    escrow(1, 1_000)
    rewards.settle(1, 2, 4, [(1, 0, 2)], {"from": consumer})
    assert rewards.creditOf(researcher, reward_token) == 1_000
    assert tuple(rewards.hospitalCreditOf(1, reward_token)) == (0, 0, 0)


@pytest.mark.parametrize("amount", [1, 2, 3, 9_999])
def test_every_remainder_goes_to_the_dao(rewards, reward_token, escrow, consumer, owner, researcher, amount):
    escrow(1, amount)
    rewards.settle(1, 3, 3, [(i, 1, 1) for i in (1, 2, 3)], {"from": consumer})
    credits = [sum(rewards.hospitalCreditOf(i, reward_token)) for i in (1, 2, 3)]
    assert sum(credits) + rewards.creditOf(owner, reward_token) == amount
    assert rewards.creditOf(researcher, reward_token) == 0


def test_amounts_near_the_limit_of_a_word(rewards, reward_token, escrow, consumer, owner, researcher):
    """Products pass 256 bits; the shares do not."""
    amount = 2**256 - 1 - reward_token.totalSupply()
    reward_token.mint(researcher, amount, {"from": researcher})
    reward_token.approve(rewards, 2**256 - 1, {"from": researcher})
    escrow(1, amount)
    rewards.settle(1, 999, 1_000, [(1, 2**64 - 1 - 10**6, 999), (2, 10**6, 0)], {"from": consumer})
    credits = [sum(rewards.hospitalCreditOf(i, reward_token)) for i in (1, 2)]
    assert sum(credits) + rewards.creditOf(owner, reward_token) == amount * 999 // 1_000
    assert rewards.creditOf(researcher, reward_token) == amount - amount * 999 // 1_000


def test_only_an_allowed_contract_settles(rewards, escrow, researcher, owner, reverts):
    escrow(1)
    for account in (researcher, owner):
        with reverts("NotJobs", account):
            rewards.settle(1, 1, 1, [], {"from": account})


def test_settled_once(rewards, escrow, consumer, reverts):
    with reverts("NotHeld", 1):
        rewards.settle(1, 1, 1, [(1, 1, 1)], {"from": consumer})
    escrow(1)
    rewards.settle(1, 1, 1, [(1, 1, 1)], {"from": consumer})
    with reverts("NotHeld", 1):
        rewards.settle(1, 1, 1, [(1, 1, 1)], {"from": consumer})


def test_a_changed_dao_is_paid_from_then_on(rewards, reward_token, escrow, consumer, owner, spare):
    escrow(1, 10_000)
    rewards.transferOwnership(spare[0], {"from": owner})
    rewards.settle(1, 1, 1, [(1, 1, 1)], {"from": consumer})
    assert rewards.creditOf(spare[0], reward_token) == 500
    assert rewards.creditOf(owner, reward_token) == 0
