"""From a proposal to what it does: propose, vote, queue, execute (must show 5: only the timelock admits)."""

from __future__ import annotations

import pytest

DAY = 86_400
TOKEN = 10**18
AGAINST, FOR, ABSTAIN = range(3)
PENDING, ACTIVE, CANCELED, DEFEATED, SUCCEEDED, QUEUED, EXPIRED, EXECUTED = range(8)
ZERO = "0x" + "00" * 20


@pytest.fixture(autouse=True)
def _owned_by_the_dao(hospitals, timelock, owner):
    hospitals.transferOwnership(timelock, {"from": owner})


@pytest.fixture
def admission(hospitals, candidates):
    """A proposal's targets, values and calls: to admit a hospital."""
    new = candidates[0]
    return [hospitals], [0], [hospitals.admit.encode_input("Cleveland", new.admin, new.operator, new.funds)]


@pytest.fixture
def dao(governor, chain, web3):
    """The steps of a vote, with their waiting."""
    # Votes count as of the second before a proposal: the token must be older than that.
    chain.mine(timedelta=2)

    class Dao:
        def propose(self, proposal, by, description="Admit Cleveland"):
            self.proposal = proposal
            self.description_hash = web3.keccak(text=description)
            self.id = governor.propose(*proposal, description, {"from": by}).return_value
            return self.id

        def open(self):
            chain.mine(timestamp=governor.proposalSnapshot(self.id) + 1)

        def close(self):
            chain.mine(timestamp=governor.proposalDeadline(self.id) + 1)

        def queue(self, by):
            return governor.queue(*self.proposal, self.description_hash, {"from": by})

        def ripen(self):
            chain.mine(timestamp=governor.proposalEta(self.id))

        def execute(self, by):
            return governor.execute(*self.proposal, self.description_hash, {"from": by})

    return Dao()


def test_a_vote_admits_a_hospital(
    governor, hospitals, timelock, dao, admission, candidates, holders, stranger
):
    proposal_id = dao.propose(admission, holders[0])
    assert governor.state(proposal_id) == PENDING
    dao.open()
    assert governor.state(proposal_id) == ACTIVE
    governor.castVote(proposal_id, FOR, {"from": holders[0]})
    governor.castVote(proposal_id, AGAINST, {"from": holders[1]})
    dao.close()
    assert governor.state(proposal_id) == SUCCEEDED
    dao.queue(stranger)
    assert governor.state(proposal_id) == QUEUED
    assert hospitals.hospitalCount() == 0
    dao.ripen()
    tx = dao.execute(stranger)

    assert governor.state(proposal_id) == EXECUTED
    assert hospitals.hospital(1)["admin"] == candidates[0].admin
    assert tx.events["HospitalAdmitted"]["name"] == "Cleveland"
    assert tx.events["CallExecuted"]["target"] == hospitals
    assert hospitals.owner() == timelock


def test_nothing_happens_before_the_timelocks_delay(governor, dao, admission, chain, holders, reverts):
    proposal_id = dao.propose(admission, holders[0])
    dao.open()
    governor.castVote(proposal_id, FOR, {"from": holders[0]})
    dao.close()
    queued = dao.queue(holders[0])
    chain.mine(timestamp=governor.proposalEta(proposal_id) - 60)
    operation = queued.events["CallScheduled"]["id"]
    ready = (1 << 2).to_bytes(32, "big")
    with reverts("TimelockUnexpectedOperationState", bytes(operation), ready):
        dao.execute(holders[0])


@pytest.mark.parametrize(
    ("votes", "outcome"),
    [
        ([(0, FOR)], SUCCEEDED),
        ([(1, FOR)], DEFEATED),
        ([(1, FOR), (2, ABSTAIN)], SUCCEEDED),
        ([(0, AGAINST), (1, FOR), (2, FOR)], DEFEATED),
        ([(0, ABSTAIN)], DEFEATED),
    ],
    ids=["half for", "below the quorum", "abstentions make the quorum", "a tie", "nobody for"],
)
def test_a_majority_and_a_quorum_decide(governor, dao, admission, holders, reverts, votes, outcome):
    proposal_id = dao.propose(admission, holders[0])
    dao.open()
    for voter, vote in votes:
        governor.castVote(proposal_id, vote, {"from": holders[voter]})
    dao.close()
    assert governor.state(proposal_id) == outcome
    if outcome == DEFEATED:
        succeeded = (1 << SUCCEEDED).to_bytes(32, "big")
        with reverts("GovernorUnexpectedProposalState", proposal_id, DEFEATED, succeeded):
            dao.queue(holders[0])


def test_a_vote_counts_once(governor, dao, admission, holders, reverts):
    proposal_id = dao.propose(admission, holders[0])
    dao.open()
    governor.castVote(proposal_id, FOR, {"from": holders[0]})
    with reverts("GovernorAlreadyCastVote", holders[0]):
        governor.castVote(proposal_id, FOR, {"from": holders[0]})


def test_votes_bought_after_the_snapshot_do_not_count(
    governor, vote_token, dao, admission, holders, stranger
):
    proposal_id = dao.propose(admission, holders[0])
    dao.open()
    vote_token.delegate(stranger, {"from": stranger})
    vote_token.transfer(stranger, 500_000 * TOKEN, {"from": holders[0]})
    governor.castVote(proposal_id, FOR, {"from": stranger})
    assert tuple(governor.proposalVotes(proposal_id)) == (0, 0, 0)


def test_a_proposal_needs_one_percent(admission, dao, stranger, reverts):
    with reverts("GovernorInsufficientProposerVotes", stranger, 0, 10_000 * TOKEN):
        dao.propose(admission, stranger)


def test_the_proposer_may_cancel_before_the_vote(governor, dao, admission, holders):
    proposal_id = dao.propose(admission, holders[0])
    governor.cancel(*dao.proposal, dao.description_hash, {"from": holders[0]})
    assert governor.state(proposal_id) == CANCELED


def test_a_call_that_its_contract_refuses_undoes_the_whole_proposal(
    governor, hospitals, dao, admission, holders, reverts
):
    _, _, calls = admission
    twice = [hospitals] * 2, [0] * 2, calls * 2
    proposal_id = dao.propose(twice, holders[0])
    dao.open()
    governor.castVote(proposal_id, FOR, {"from": holders[0]})
    dao.close()
    dao.queue(holders[0])
    dao.ripen()
    admin = hospitals.admit.decode_input(calls[0])[1]
    with reverts("AccountTaken", admin, 1):
        dao.execute(holders[0])
    assert hospitals.hospitalCount() == 0


def test_the_dao_changes_its_own_rules(governor, dao, holders):
    proposal_id = dao.propose(
        ([governor], [0], [governor.setVotingPeriod.encode_input(3 * DAY)]), holders[0], "Vote faster"
    )
    dao.open()
    governor.castVote(proposal_id, FOR, {"from": holders[0]})
    dao.close()
    dao.queue(holders[0])
    dao.ripen()
    dao.execute(holders[0])
    assert governor.votingPeriod() == 3 * DAY


def test_settings_are_seconds_and_shares_of_the_supply(governor, timelock, vote_token, chain):
    assert governor.CLOCK_MODE() == "mode=timestamp"
    assert governor.clock() == chain[-1].timestamp
    assert (governor.votingDelay(), governor.votingPeriod()) == (DAY, 7 * DAY)
    assert governor.proposalThreshold() == 10_000 * TOKEN
    chain.mine(timestamp=chain[-1].timestamp + 10)
    assert governor.quorum(chain[-1].timestamp - 5) == 400_000 * TOKEN
    assert (governor.token(), governor.timelock()) == (vote_token, timelock)


def test_the_deployer_ends_with_no_right(timelock, governor, deployer):
    roles = [
        timelock.DEFAULT_ADMIN_ROLE(),
        timelock.PROPOSER_ROLE(),
        timelock.CANCELLER_ROLE(),
        timelock.EXECUTOR_ROLE(),
    ]
    assert not any(timelock.hasRole(role, deployer) for role in roles)
    assert timelock.hasRole(timelock.PROPOSER_ROLE(), governor)
    assert timelock.hasRole(timelock.EXECUTOR_ROLE(), ZERO)
