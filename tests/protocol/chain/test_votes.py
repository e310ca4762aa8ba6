"""Proposals made of calls by name, through the real governor and timelock."""

from __future__ import annotations

import pytest

from protocol.chain.development import advance
from protocol.chain.enums import ProposalState, Support
from protocol.chain.hospitals import Hospitals
from protocol.chain.votes import STATES, Call, Votes
from protocol.errors import InvalidInput, Refused

from .conftest import TOKEN, World, funds_of, pass_vote, signer_of


def test_admission_went_through_the_governor(deployed: World) -> None:
    votes = Votes(deployed.chain)
    first = votes.proposals()[0]
    assert votes.state(first.proposal_id) is ProposalState.EXECUTED
    assert (first.number, first.description) == (1, "Admit three hospitals")
    assert first.calls[0].contract == "HospitalRegistry"
    assert first.calls[0].function == "admit"
    name, admin, operator, funds = first.calls[0].arguments
    assert (name, admin) == ("Hospital 1", signer_of("admin-1").address)
    assert operator == signer_of("operator-1").address
    assert funds["payout"] == funds_of(1).payout
    assert first.calls[0].in_words.startswith("HospitalRegistry.admit(Hospital 1, 0x")
    assert votes.find(first.proposal_id) == votes.find(1) == first
    assert Hospitals(deployed.chain).count() == 3


def test_state_and_tally_follow_the_vote(world: World) -> None:
    votes = Votes(world.as_("holder-2"))
    call = Call("HospitalRegistry", "suspend", (2,))
    proposal_id = votes.propose([call], "Suspend hospital 2").event("ProposalCreated").args["proposalId"]
    assert votes.state(proposal_id) is ProposalState.PENDING
    assert votes.tally(proposal_id).quorum is None
    advance(votes.chain, votes.voting_delay() + 1)
    votes.cast(proposal_id, Support.AGAINST, reason="It has done nothing wrong.")
    Votes(world.as_("holder-1")).cast(proposal_id, "abstain")
    tally = votes.tally(proposal_id)
    assert (tally.for_, tally.against, tally.abstain) == (0, 400 * TOKEN, 600 * TOKEN)
    assert tally.quorum == 200 * TOKEN
    assert [each.args["reason"] for each in votes.ballots(proposal_id)] == ["It has done nothing wrong.", ""]
    advance(votes.chain, votes.voting_period() + 1)
    assert votes.state(proposal_id) is ProposalState.DEFEATED
    with pytest.raises(Refused) as refusal:
        votes.queue(proposal_id)
    assert refusal.value.name == "GovernorUnexpectedProposalState"
    assert refusal.value.message == f"Proposal {proposal_id} is defeated; this step needs it succeeded."


def test_nobody_takes_a_proposal_from_its_proposer(world: World) -> None:
    """Who saw it in the pool could make it first and withdraw it, and its id would be gone."""
    mine, thief = Votes(world.as_("holder-1")), world.as_("holder-2")
    call = Call("HospitalRegistry", "suspend", (2,))
    event = mine.propose([call], "Suspend hospital 2").event("ProposalCreated")
    told = event.args["description"]
    assert told == f"Suspend hospital 2#proposer={signer_of('holder-1').address}"
    assert mine.find(event.args["proposalId"]).description == "Suspend hospital 2"
    again = told.replace("Suspend", "Stop")
    with pytest.raises(Refused) as refusal:
        thief.send("SalusGovernor", "propose", event.args["targets"], [0], event.args["calldatas"], again)
    assert refusal.value.name == "GovernorRestrictedProposer"


def test_executed_suspension_and_reinstatement(world: World) -> None:
    pass_vote(world, [Call("HospitalRegistry", "suspend", (2,))], "Suspend hospital 2")
    assert Hospitals(world.chain).hospital(2).suspended
    proposal_id = pass_vote(world, [Call("HospitalRegistry", "reinstate", (2,))], "Reinstate hospital 2")
    assert not Hospitals(world.chain).hospital(2).suspended
    assert Votes(world.chain).number_of(proposal_id) == 3


def test_eta_is_kept_while_queued(world: World) -> None:
    votes = Votes(world.as_("holder-1"))
    call = Call("RewardPool", "allowToken", (world.deployment.address("VoteToken"), True))
    proposal_id = votes.propose([call], "Pay in votes").event("ProposalCreated").args["proposalId"]
    assert votes.eta(proposal_id) == 0
    advance(votes.chain, votes.voting_delay() + 1)
    votes.cast(proposal_id, "for")
    advance(votes.chain, votes.voting_period() + 1)
    queued = votes.queue(proposal_id)
    assert votes.eta(proposal_id) == queued.timestamp + votes.timelock_delay()
    with pytest.raises(Refused) as refusal:
        votes.execute(proposal_id)
    assert refusal.value.name == "TimelockUnexpectedOperationState"


def test_proposer_may_cancel_before_the_vote(world: World) -> None:
    votes = Votes(world.as_("holder-1"))
    receipt = votes.propose([Call("HospitalRegistry", "suspend", (1,))], "A mistake")
    proposal_id = receipt.event("ProposalCreated").args["proposalId"]
    votes.cancel(proposal_id)
    assert votes.state(proposal_id) is ProposalState.CANCELED


def test_two_votes_of_one_holder_are_refused(world: World) -> None:
    votes = Votes(world.as_("holder-1"))
    receipt = votes.propose([Call("HospitalRegistry", "suspend", (1,))], "Suspend hospital 1")
    proposal_id = receipt.event("ProposalCreated").args["proposalId"]
    advance(votes.chain, votes.voting_delay() + 1)
    votes.cast(proposal_id, "for")
    with pytest.raises(Refused) as refusal:
        votes.cast(proposal_id, "against")
    assert refusal.value.name == "GovernorAlreadyCastVote"


def test_refuses_what_cannot_be_proposed(world: World) -> None:
    votes = Votes(world.as_("holder-1"))
    with pytest.raises(InvalidInput, match="at least one call"):
        votes.propose([], "Nothing")
    with pytest.raises(InvalidInput, match="no function dissolve"):
        votes.propose([Call("HospitalRegistry", "dissolve", ())], "Dissolve")
    with pytest.raises(InvalidInput, match="no contract Parliament"):
        votes.propose([Call("Parliament", "suspend", (1,))], "Suspend")
    with pytest.raises(InvalidInput, match="takes 1 arguments"):
        votes.propose([Call("HospitalRegistry", "suspend", (1, 2))], "Suspend")
    with pytest.raises(InvalidInput, match="is no vote"):
        votes.cast(1, "perhaps")
    with pytest.raises(InvalidInput, match="no proposal 99"):
        votes.queue(99)


def test_a_stranger_has_too_few_votes_to_propose(world: World) -> None:
    with pytest.raises(Refused) as refusal:
        Votes(world.as_("stranger")).propose(
            [Call("HospitalRegistry", "suspend", (1,))], "Suspend hospital 1"
        )
    assert refusal.value.name == "GovernorInsufficientProposerVotes"
    assert "has 0 votes; a proposal needs 1,000,000,000,000,000,000" in refusal.value.message


def test_power_follows_delegation(world: World) -> None:
    votes = Votes(world.as_("holder-2"))
    assert votes.power(signer_of("holder-2").address) == 400 * TOKEN
    votes.delegate(signer_of("stranger").address)
    assert votes.power(signer_of("stranger").address) == 400 * TOKEN
    assert votes.threshold() == TOKEN


def test_every_state_has_words() -> None:
    assert set(STATES) == set(ProposalState)


def test_calls_of_foreign_contracts_are_shown_as_they_are(world: World) -> None:
    votes = Votes(world.as_("holder-1"))
    target = signer_of("stranger").address
    votes.chain.send("SalusGovernor", "propose", [target], [0], [b"\1\2\3\4\5"], "Call a stranger")
    assert votes.proposals()[-1].calls == (Call(target, "0x01020304", (b"\5",)),)
