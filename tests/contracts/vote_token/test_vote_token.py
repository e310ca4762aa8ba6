"""The DAO's votes: a fixed supply, counted by timestamp."""

from __future__ import annotations

from eth_account import Account

DAY = 86_400
TOKEN = 10**18
MUTABLE = {"transfer", "transferFrom", "approve", "permit", "delegate", "delegateBySig"}


def test_the_supply_goes_to_the_first_holders_who_vote_for_themselves(vote_token, holders, deployer):
    assert vote_token.totalSupply() == 1_000_000 * TOKEN
    for holder, share in zip(holders, (500_000, 300_000, 200_000), strict=True):
        assert vote_token.balanceOf(holder) == share * TOKEN
        assert vote_token.getVotes(holder) == share * TOKEN
        assert vote_token.delegates(holder) == holder
    assert vote_token.balanceOf(deployer) == 0


def test_nobody_can_mint_burn_or_administer(VoteToken):
    changing = {
        item["name"]
        for item in VoteToken.abi
        if item["type"] == "function" and item["stateMutability"] not in ("view", "pure")
    }
    assert changing == MUTABLE


def test_every_holder_needs_an_amount(VoteToken, holders, deployer, reverts):
    with reverts("HoldersMismatch", 3, 2):
        VoteToken.deploy(holders, [1, 2], {"from": deployer})


def test_its_clock_is_the_timestamp(vote_token, chain):
    """ERC-6372."""
    assert vote_token.CLOCK_MODE() == "mode=timestamp"
    chain.mine(timestamp=chain.time() + DAY)
    assert vote_token.clock() == chain[-1].timestamp


def test_votes_follow_delegation_and_transfer(vote_token, holders, stranger):
    first, second, _ = holders
    vote_token.delegate(second, {"from": first})
    assert vote_token.getVotes(second) == 800_000 * TOKEN
    vote_token.transfer(stranger, 100_000 * TOKEN, {"from": first})
    assert vote_token.getVotes(second) == 700_000 * TOKEN
    assert vote_token.getVotes(stranger) == 0


def test_past_votes_stay_what_they_were(vote_token, chain, holders, stranger):
    first = holders[0]
    then = chain[-1].timestamp
    chain.mine(timestamp=then + DAY)
    vote_token.transfer(stranger, 500_000 * TOKEN, {"from": first})
    chain.mine(timestamp=then + 2 * DAY)
    assert vote_token.getPastVotes(first, then) == 500_000 * TOKEN
    assert vote_token.getVotes(first) == 0
    assert vote_token.getPastTotalSupply(then) == 1_000_000 * TOKEN


def test_the_past_does_not_reach_the_present(vote_token, holders, reverts):
    now = vote_token.clock()
    with reverts("ERC5805FutureLookup", now, now):
        vote_token.getPastVotes(holders[0], now)


def test_permit_allows_by_signature_once(
    vote_token, chain, deployer, holders, private_key_of, stranger, reverts
):
    """ERC-2612."""
    holder, deadline = holders[0], chain.time() + DAY
    signed = Account.sign_typed_data(
        private_key_of(holder),
        {"name": "Salus Vote", "version": "1", "chainId": chain.id, "verifyingContract": vote_token.address},
        {
            "Permit": [
                {"name": "owner", "type": "address"},
                {"name": "spender", "type": "address"},
                {"name": "value", "type": "uint256"},
                {"name": "nonce", "type": "uint256"},
                {"name": "deadline", "type": "uint256"},
            ]
        },
        {"owner": str(holder), "spender": str(stranger), "value": 5, "nonce": 0, "deadline": deadline},
    )
    order = (
        holder,
        stranger,
        5,
        deadline,
        signed.v,
        signed.r.to_bytes(32, "big"),
        signed.s.to_bytes(32, "big"),
    )
    vote_token.permit(*order, {"from": deployer})
    assert vote_token.allowance(holder, stranger) == 5
    assert vote_token.nonces(holder) == 1
    chain.mine(timestamp=deadline + 1)
    with reverts("ERC2612ExpiredSignature", deadline):
        vote_token.permit(*order, {"from": deployer})
