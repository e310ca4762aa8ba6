"""How commands put something before the DAO: propose, and on a development network pass it through at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from protocol.cli.output import Result, done, facts, moment, next_commands, working
from protocol.cli.session import Session

if TYPE_CHECKING:
    from protocol.chain.accounts import Signer
    from protocol.chain.client import Receipt
    from protocol.chain.events import Event
    from protocol.chain.votes import Call

F = TypeVar("F", bound=Callable[..., Any])


GOVERNANCE = ("SalusGovernor", "TimelockController")


def execute_option(command: F) -> F:
    """``--execute`` of the commands that make a proposal."""
    return click.option(
        "--execute",
        is_flag=True,
        help="On the development network: let its voters pass the proposal at once, by moving the chain's clock.",
    )(command)


def propose(
    session: Session,
    calls: Sequence[Call],
    description: str,
    account: str,
    password_file: Path | None,
    *,
    execute: bool,
) -> Result:
    """Makes a proposal and says what to do next."""
    from protocol.chain.development import require_development
    from protocol.chain.votes import Votes
    from protocol.dao import pass_proposal

    chain = session.chain_as(account, password_file)
    if execute:
        require_development(chain.deployment.chain_id)
    votes = Votes(chain)
    with working("Proposing") as work:
        receipt = votes.propose(calls, description)
        args = receipt.event("ProposalCreated").args
        proposal_id = args["proposalId"]
        executed = None
        if execute:
            work.say("Voting, queueing and executing")
            executed = pass_proposal(chain, _holders(session), proposal_id)
    number = votes.number_of(proposal_id)
    document = {
        "proposal": number,
        "proposal_id": str(proposal_id),
        "description": description,
        "vote_start": args["voteStart"],
        "vote_end": args["voteEnd"],
        "state": votes.state(proposal_id),
        "tx_hash": receipt.tx_hash,
        "gas_used": receipt.gas_used,
    }
    if executed is not None:
        document["executed"] = {
            "tx_hash": executed.tx_hash,
            "events": [event_document(each) for each in executed.events],
        }
        return Result(
            document,
            [
                done(f"{description}: passed and executed."),
                facts({"proposal": number, **{each.name: _arguments(each) for each in _deeds(executed)}}),
            ],
        )
    return Result(
        document,
        [
            done(f"Proposal {number}: {description}."),
            facts(
                {
                    "id": proposal_id,
                    "voting starts": moment(args["voteStart"]),
                    "voting ends": moment(args["voteEnd"]),
                }
            ),
            next_commands(
                f"salus vote show {number}",
                f"salus vote cast {number} for --account NAME",
                f"salus vote queue {number} --account NAME",
                f"salus vote execute {number} --account NAME",
            ),
        ],
    )


def _holders(session: Session) -> list[Signer]:
    """The token holders of the development network."""
    from protocol.devnet.deploy import HOLDERS

    accounts = session.devnet.accounts
    return [accounts.keystore.unlock(name, accounts.password) for name in HOLDERS]


def event_document(event: Event) -> dict[str, Any]:
    """An event for programs."""
    return {"event": event.name, "contract": event.contract, "arguments": event.args}


def _deeds(receipt: Receipt) -> list[Event]:
    """What the proposal did, without the governor's and timelock's own events."""
    return [each for each in receipt.events if each.contract not in GOVERNANCE]


def _arguments(event: Any) -> str:
    return ", ".join(
        f"{name} {value}" for name, value in event.args.items() if not isinstance(value, dict | bytes)
    )
