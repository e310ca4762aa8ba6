"""A proposal from vote to deed, where waiting can be skipped: on a development chain."""

from __future__ import annotations

from collections.abc import Sequence

from protocol.chain import development
from protocol.chain.accounts import Signer
from protocol.chain.client import Chain, Receipt
from protocol.chain.enums import ProposalState, Support
from protocol.chain.votes import STATES, Votes
from protocol.errors import ChainError


def pass_proposal(chain: Chain, voters: Sequence[Signer], proposal_id: int) -> Receipt:
    """Lets every voter vote for a proposal, queues and executes it, and moves the chain's clock in between.

    The governor and its timelock do all that they do elsewhere; only the waiting is skipped. Raises WrongChain on any
    chain but a development chain, ChainError when the vote does not pass.
    """
    development.require_development(chain.deployment.chain_id)
    votes = Votes(chain)
    proposal = votes.find(proposal_id)
    _reach(chain, proposal.vote_start + 1)
    for voter in voters:
        Votes(chain.with_signer(voter)).cast(proposal_id, Support.FOR)
    _reach(chain, proposal.vote_end + 1)
    state = votes.state(proposal_id)
    if state != ProposalState.SUCCEEDED:
        raise ChainError(
            f"Proposal {proposal.number} did not pass: {STATES[state]}.", "`salus vote show` has the votes."
        )
    last = Votes(chain.with_signer(voters[-1]))
    last.queue(proposal_id)
    _reach(chain, votes.eta(proposal_id) + 1)
    return last.execute(proposal_id)


def _reach(chain: Chain, moment: int) -> None:
    """Moves the chain's clock to a moment, unless it is past that already."""
    seconds = moment - chain.now()
    if seconds > 0:
        development.advance(chain, seconds)
