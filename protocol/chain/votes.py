"""The DAO: proposals are calls of contracts by name, decided by the governor and executed by its timelock.

OpenZeppelin's Governor with the timestamp as its clock: delays and periods are in seconds.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from eth_utils import keccak

from protocol.chain import abi
from protocol.chain.client import Chain, Receipt
from protocol.chain.enums import ProposalState, Support
from protocol.chain.events import Event, events
from protocol.errors import InvalidInput

GOVERNOR = "SalusGovernor"
TOKEN = "VoteToken"
TIMELOCK = "TimelockController"
# The governor takes a description that ends so from this account alone.
PROPOSER = re.compile(r"#proposer=0x[0-9a-fA-F]{40}\Z")

STATES: dict[ProposalState, str] = {
    ProposalState.PENDING: "the vote has not begun",
    ProposalState.ACTIVE: "the vote is open",
    ProposalState.CANCELED: "withdrawn by its proposer",
    ProposalState.DEFEATED: "defeated, or too few voted",
    ProposalState.SUCCEEDED: "passed; anyone may queue it",
    ProposalState.QUEUED: "queued; anyone may execute it once the timelock's delay is over",
    ProposalState.EXPIRED: "expired before it was executed",
    ProposalState.EXECUTED: "executed",
}


@dataclass(frozen=True)
class Call:
    """One call that a proposal makes: a contract by name, a function, its arguments.

    Read back from the chain, structs are dictionaries by Solidity's names; a call of a contract that is not ours has
    its address as ``contract``, its selector as ``function`` and its data as the only argument.
    """

    contract: str
    function: str
    arguments: tuple[Any, ...]

    @property
    def in_words(self) -> str:
        return f"{self.contract}.{self.function}({', '.join(map(_argument, self.arguments))})"


@dataclass(frozen=True)
class Proposal:
    """A proposal. ``number`` counts from 1 in the order of the chain; ``vote_start``, ``vote_end``: unix seconds."""

    number: int
    proposal_id: int
    proposer: str
    calls: tuple[Call, ...]
    description: str
    vote_start: int
    vote_end: int
    event: Event


@dataclass(frozen=True)
class Tally:
    """Votes in the token's smallest unit. ``quorum``: what for and abstain must reach; None before the vote."""

    for_: int
    against: int
    abstain: int
    quorum: int | None


class Votes:
    """Typed calls of the governor, its timelock and the vote token."""

    def __init__(self, chain: Chain) -> None:
        self.chain = chain

    # -- changing ----------------------------------------------------------------------------------------------------

    def propose(self, calls: Sequence[Call], description: str) -> Receipt:
        """Makes a proposal; its id is ``proposalId`` of the receipt's ProposalCreated.

        A proposal's id hashes its calls and its description, and exists once: whoever saw it in the pool could make it
        first, and withdraw it. So the description ends with the signer's address, which the governor checks.
        """
        if not calls:
            raise InvalidInput("A proposal needs at least one call.")
        if self.chain.signer is not None:
            description = f"{PROPOSER.sub('', description)}#proposer={self.chain.signer.address}"
        targets = [self.chain.address(call.contract) for call in calls]
        data = [abi.encode_call(call.contract, call.function, call.arguments) for call in calls]
        return self.chain.send(GOVERNOR, "propose", targets, [0] * len(calls), data, description)

    def cast(self, proposal_id: int, support: Support | str, reason: str = "") -> Receipt:
        """Votes ``for``, ``against`` or ``abstain`` with all the signer's votes."""
        if isinstance(support, str):
            if support.upper() not in Support.__members__:
                raise InvalidInput(f"{support!r} is no vote.", "Vote for, against or abstain.")
            support = Support[support.upper()]
        if reason:
            return self.chain.send(GOVERNOR, "castVoteWithReason", proposal_id, support, reason)
        return self.chain.send(GOVERNOR, "castVote", proposal_id, support)

    def queue(self, proposal_id: int) -> Receipt:
        """Hands a passed proposal to the timelock; anyone may."""
        return self.chain.send(GOVERNOR, "queue", *self._operation(proposal_id))

    def execute(self, proposal_id: int) -> Receipt:
        """Executes a queued proposal once its delay is over; anyone may."""
        return self.chain.send(GOVERNOR, "execute", *self._operation(proposal_id))

    def cancel(self, proposal_id: int) -> Receipt:
        """Withdraws the signer's own proposal before its vote begins."""
        return self.chain.send(GOVERNOR, "cancel", *self._operation(proposal_id))

    def delegate(self, to: str) -> Receipt:
        """Gives the signer's votes to an account, its own included: votes that nobody delegated do not count."""
        return self.chain.send(TOKEN, "delegate", to)

    # -- reading -----------------------------------------------------------------------------------------------------

    def proposals(self) -> list[Proposal]:
        """Every proposal ever made, in the order of the chain."""
        found = events(self.chain, GOVERNOR, ["ProposalCreated"])
        return [self._proposal(number, event) for number, event in enumerate(found, 1)]

    def find(self, reference: int) -> Proposal:
        """By number or id. Raises InvalidInput when there is none."""
        for proposal in self.proposals():
            if reference in (proposal.number, proposal.proposal_id):
                return proposal
        raise InvalidInput(f"There is no proposal {reference}.", "`salus vote show` lists the proposals.")

    def number_of(self, proposal_id: int) -> int:
        """A proposal's number, counted from 1."""
        return self.find(proposal_id).number

    def state(self, proposal_id: int) -> ProposalState:
        """Raises Refused (GovernorNonexistentProposal). `STATES` has it in words."""
        return ProposalState(self.chain.call(GOVERNOR, "state", proposal_id))

    def states(self, proposal_ids: Sequence[int]) -> list[ProposalState]:
        """Several in one round trip."""
        return [
            ProposalState(each)
            for each in self.chain.call_many((GOVERNOR, "state", (i,)) for i in proposal_ids)
        ]

    def tally(self, proposal_id: int) -> Tally:
        """Votes so far. Raises Refused (GovernorNonexistentProposal)."""
        begun = self.state(proposal_id) != ProposalState.PENDING
        against, for_, abstain = self.chain.call(GOVERNOR, "proposalVotes", proposal_id)
        snapshot = self.chain.call(GOVERNOR, "proposalSnapshot", proposal_id)
        # The votes of a moment can be counted once it is over.
        quorum = int(self.chain.call(GOVERNOR, "quorum", snapshot)) if begun else None
        return Tally(for_, against, abstain, quorum)

    def ballots(self, proposal_id: int) -> list[Event]:
        """The VoteCast events of a proposal: ``voter``, ``support``, ``weight``, ``reason``."""
        cast = events(self.chain, GOVERNOR, ["VoteCast", "VoteCastWithParams"])
        return [event for event in cast if event.args["proposalId"] == proposal_id]

    def eta(self, proposal_id: int) -> int:
        """From when a queued proposal can be executed, unix seconds; zero when it is not queued."""
        return int(self.chain.call(GOVERNOR, "proposalEta", proposal_id))

    def power(self, account: str) -> int:
        """Votes delegated to an account now, in the token's smallest unit."""
        return int(self.chain.call(TOKEN, "getVotes", account))

    def threshold(self) -> int:
        """Votes that a proposer needs, in the token's smallest unit."""
        return int(self.chain.call(GOVERNOR, "proposalThreshold"))

    def voting_delay(self) -> int:
        """Seconds from a proposal to the start of its vote."""
        return int(self.chain.call(GOVERNOR, "votingDelay"))

    def voting_period(self) -> int:
        """Seconds that a vote lasts."""
        return int(self.chain.call(GOVERNOR, "votingPeriod"))

    def timelock_delay(self) -> int:
        """Seconds from queueing to execution."""
        return int(self.chain.call(TIMELOCK, "getMinDelay"))

    def _operation(self, proposal_id: int) -> tuple[list[str], list[int], list[bytes], bytes]:
        """What the governor wants to be told again: targets, values, calls, hash of the description."""
        args = self.find(proposal_id).event.args
        return args["targets"], args["values"], args["calldatas"], keccak(text=args["description"])

    def _proposal(self, number: int, event: Event) -> Proposal:
        args = event.args
        return Proposal(
            number=number,
            proposal_id=args["proposalId"],
            proposer=args["proposer"],
            calls=tuple(map(self._call, args["targets"], args["calldatas"])),
            description=PROPOSER.sub("", args["description"]),
            vote_start=args["voteStart"],
            vote_end=args["voteEnd"],
            event=event,
        )

    def _call(self, target: str, data: bytes) -> Call:
        contract = self.chain.deployment.name_of(target)
        if contract is not None:
            try:
                function, arguments = abi.decode_call(contract, data)
                return Call(contract, function, tuple(arguments.values()))
            except InvalidInput:
                # Anyone may propose nonsense; it is shown as it is.
                return Call(contract, "0x" + data[:4].hex(), (data[4:],))
        return Call(target, "0x" + data[:4].hex(), (data[4:],))


def _argument(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name}: {_argument(each)}" for name, each in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_argument, value)) + "]"
    if isinstance(value, bytes):
        return "0x" + value.hex()
    return str(value)
