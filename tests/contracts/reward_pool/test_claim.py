"""Claims: pull only, to the addresses registered at that moment, and never twice."""

from __future__ import annotations

import pytest
from brownie import convert


@pytest.fixture
def settled(rewards, escrow, consumer, admit):
    """10,000 earned by two hospitals, 3 to 1."""
    escrow(1, 10_000)
    parts = [(one.id, units, merges) for one, units, merges in zip(admit(2), (300, 100), (1, 0), strict=True)]
    rewards.settle(1, 1, 1, parts, {"from": consumer})


@pytest.mark.usefixtures("settled")
def test_a_hospital_is_paid_its_three_shares(rewards, reward_token, member):
    tx = rewards.claimHospital(reward_token, {"from": member.admin})

    assert tuple(tx.return_value) == (4_500 + 1_000, 1_125, 750)
    assert [reward_token.balanceOf(fund) for fund in member.funds] == [5_500, 1_125, 750]
    assert [(e["to"], e["amount"]) for e in tx.events["HospitalPaid"]] == list(
        zip(member.funds, [5_500, 1_125, 750], strict=True)
    )
    assert all(e["hospitalId"] == member.id and e["token"] == reward_token for e in tx.events["HospitalPaid"])
    assert tuple(rewards.hospitalCreditOf(member.id, reward_token)) == (0, 0, 0)
    assert rewards.heldOf(reward_token) == reward_token.balanceOf(rewards) == 2_625


@pytest.mark.usefixtures("settled")
def test_a_hospital_is_paid_once(rewards, reward_token, member, reverts):
    rewards.claimHospital(reward_token, {"from": member.admin})
    with reverts("NothingToClaim"):
        rewards.claimHospital(reward_token, {"from": member.admin})


@pytest.mark.usefixtures("settled")
def test_only_its_admin_claims(rewards, reward_token, member, stranger, reverts):
    for account in (member.operator, stranger):
        with reverts("NotAdmin", account):
            rewards.claimHospital(reward_token, {"from": account})


@pytest.mark.usefixtures("settled")
def test_paid_to_the_funds_of_now(rewards, reward_token, hospitals, member):
    funds = [convert.to_address(f"0x{i:040x}") for i in (0xD1, 0xD2, 0xD3)]
    hospitals.setFunds(funds, {"from": member.admin})
    rewards.claimHospital(reward_token, {"from": member.admin})
    assert [reward_token.balanceOf(fund) for fund in funds] == [5_500, 1_125, 750]


@pytest.mark.usefixtures("settled")
def test_a_suspended_hospital_keeps_its_money(rewards, reward_token, hospitals, member, owner):
    hospitals.suspend(member.id, {"from": owner})
    rewards.claimHospital(reward_token, {"from": member.admin})
    assert reward_token.balanceOf(member.funds[0]) == 5_500


def test_shares_of_nothing_are_not_sent(rewards, reward_token, escrow, consumer, member):
    escrow(1, 10_000, split=(10_000, 0, 0, 0, 0))
    rewards.settle(1, 1, 1, [(1, 1, 1)], {"from": consumer})
    tx = rewards.claimHospital(reward_token, {"from": member.admin})
    assert [e["amount"] for e in tx.events["HospitalPaid"]] == [10_000]


@pytest.mark.usefixtures("settled")
def test_anyone_has_an_account_paid(rewards, reward_token, owner, stranger):
    tx = rewards.claim(owner, reward_token, {"from": stranger})
    assert tx.return_value == 500
    assert tx.events["AccountPaid"] == {"account": owner, "token": reward_token, "amount": 500}
    assert reward_token.balanceOf(owner) == 500
    assert rewards.creditOf(owner, reward_token) == 0


@pytest.mark.usefixtures("settled")
def test_an_account_is_paid_once(rewards, reward_token, owner, stranger, reverts):
    rewards.claim(owner, reward_token, {"from": stranger})
    for account in (owner, stranger):
        with reverts("NothingToClaim"):
            rewards.claim(account, reward_token, {"from": stranger})


@pytest.mark.usefixtures("settled")
def test_credits_of_a_delisted_token_are_still_paid(rewards, reward_token, owner, member):
    rewards.allowToken(reward_token, False, {"from": owner})
    rewards.claimHospital(reward_token, {"from": member.admin})
    rewards.claim(owner, reward_token, {"from": member.admin})
    assert reward_token.balanceOf(owner) == 500


@pytest.fixture
def reentrant(ReentrantToken, rewards, researcher, owner, deployer):
    token = ReentrantToken.deploy({"from": deployer})
    token.mint(researcher, 100_000, {"from": researcher})
    token.approve(rewards, 100_000, {"from": researcher})
    rewards.allowToken(token, True, {"from": owner})
    return token


def guarded(selector, event):
    return not event["success"] and bytes(event["data"]) == selector


def test_a_reentrant_token_gains_nothing(rewards, reentrant, escrow, consumer, researcher, web3):
    """Each way back in, from each transfer: refused, and the books agree to the last wei."""
    guard = bytes(web3.keccak(text="ReentrancyGuardReentrantCall()")[:4])
    way_in = rewards.claim.encode_input(researcher, reentrant)

    reentrant.arm(rewards, way_in, {"from": researcher})
    answer = escrow(1, 10_000, token=reentrant).events["Answered"]
    assert guarded(guard, answer)
    escrow(2, 5_000, token=reentrant)
    rewards.settle(1, 0, 1, [], {"from": consumer})

    reentrant.arm(rewards, way_in, {"from": researcher})
    answer = rewards.claim(researcher, reentrant, {"from": researcher}).events["Answered"]
    assert guarded(guard, answer)
    assert reentrant.balanceOf(researcher) == 100_000 - 5_000
    assert rewards.heldOf(reentrant) == reentrant.balanceOf(rewards) == 5_000
    assert rewards.creditOf(researcher, reentrant) == 0


def test_a_reentrant_token_cannot_claim_for_a_hospital_twice(
    rewards, reentrant, escrow, consumer, hospitals, member, web3
):
    """The token itself is the hospital's admin: the one caller that could come back in."""
    guard = bytes(web3.keccak(text="ReentrancyGuardReentrantCall()")[:4])
    escrow(1, 10_000, token=reentrant)
    rewards.settle(1, 1, 1, [(member.id, 1, 1)], {"from": consumer})
    hospitals.replaceAdmin(member.id, reentrant, {"from": hospitals.owner()})
    held = rewards.heldOf(reentrant)

    reentrant.arm(rewards, rewards.claimHospital.encode_input(reentrant), {"from": consumer})
    answer = rewards.claim(rewards.owner(), reentrant, {"from": consumer}).events["Answered"]

    assert guarded(guard, answer)
    assert rewards.heldOf(reentrant) == reentrant.balanceOf(rewards) == held - 500
