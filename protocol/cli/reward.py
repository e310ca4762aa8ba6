"""``salus reward``: what is owed, and claiming it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from protocol.cli.arguments import ID, AddressType, signing
from protocol.cli.command import Group
from protocol.cli.output import Result, done, facts, table, tokens, working
from protocol.cli.session import Session

if TYPE_CHECKING:
    from protocol.payments import Books


@click.group(cls=Group)
def reward() -> None:
    """Rewards: each final round of a job earns its share for good; what is earned is claimed, never pushed."""


@reward.command(
    examples=["salus reward show", "salus reward show --hospital 1 --json", "salus reward show --job 1"],
)
@click.option("--hospital", "hospital_id", type=ID, help="Only what this hospital is owed.")
@click.option(
    "--job", "job_id", type=ID, help="Also how this job's reward is split, and whether it is settled."
)
@click.pass_obj
def show(session: Session, hospital_id: int | None, job_id: int | None) -> Result:
    """Show who is owed what, and that the books balance: paid out + still held = paid in."""
    from protocol.chain.hospitals import Hospitals
    from protocol.chain.jobs import Jobs
    from protocol.chain.rewards import Rewards
    from protocol.cli.jobs_view import privacy_notices
    from protocol.payments import books
    from protocol.results import job_spec

    chain = session.chain
    if hospital_id is not None:
        Hospitals(chain).hospital(hospital_id)
    with working("Reading the books"):
        found = books(chain)
        timelock = chain.address("TimelockController")
    document: dict[str, Any] = {"tokens": [_document(each, hospital_id) for each in found]}
    view: list[Any] = [part for each in found for part in _view(each, hospital_id, timelock)]
    notices: list[str] = []
    if job_id is not None:
        Jobs(chain).job(job_id)
        escrow = Rewards(chain).escrow_of(job_id)
        notices = privacy_notices(job_spec(chain, session.ipfs, job_id))
        document["escrow"] = {
            "job_id": job_id,
            "token": escrow.token,
            "amount": str(escrow.amount),
            "settled": escrow.settled,
            "split": escrow.split,
        }
        split = ", ".join(
            f"{name.removesuffix('_bps')} {bps / 100:g} %" for name, bps in vars(escrow.split).items()
        )
        state = "settled" if escrow.settled else "in escrow"
        view.append(
            facts({f"job {job_id}": f"{tokens(escrow.amount)} of {escrow.token}, {state}", "split": split})
        )
    return Result(document, view or ["No reward has been put into escrow yet."], notices=notices)


@reward.command(
    examples=[
        "salus reward claim --account cleveland-admin",
        "salus reward claim --for 0x70997970c51812dc3a010c7d01b50e0d17dc79c8 --account anyone --json",
    ],
)
@click.option(
    "--for",
    "other",
    type=AddressType(),
    help="Pay this account what it is owed instead: the DAO's timelock, say.",
)
@signing
@click.pass_obj
def claim(session: Session, other: str | None, account: str, password_file: Path | None) -> Result:
    """Claim all that is owed to the account: its hospital's three shares if it is an admin, and refunds."""
    from protocol.payments import claim_all, claim_for

    chain = session.chain_as(account, password_file)
    with working("Claiming"):
        paid = claim_all(chain) if other is None else claim_for(chain, other)
    return Result(
        {
            "payments": [
                {
                    "token": each.token.address,
                    "symbol": each.token.symbol,
                    "to": each.to,
                    "amount": str(each.amount),
                    "tx_hash": each.receipt.tx_hash,
                    "gas_used": each.receipt.gas_used,
                }
                for each in paid
            ]
        },
        [
            done(f"{tokens(each.amount, each.token.decimals)} {each.token.symbol} paid to {each.to}.")
            for each in paid
        ],
    )


def _document(books: Books, hospital_id: int | None) -> dict[str, Any]:
    return {
        "token": books.token.address,
        "symbol": books.token.symbol,
        "decimals": books.token.decimals,
        "paid_in": str(books.paid_in),
        "paid_out": str(books.paid_out),
        "held": str(books.held),
        "balanced": books.balanced,
        "hospitals": {
            str(each): {name: str(amount) for name, amount in vars(credit).items()}
            for each, credit in books.hospitals.items()
            if hospital_id in (None, each)
        },
        "accounts": {}
        if hospital_id
        else {account: str(amount) for account, amount in books.accounts.items()},
        "escrowed": {}
        if hospital_id
        else {str(job_id): str(amount) for job_id, amount in books.escrowed.items()},
    }


def _view(books: Books, hospital_id: int | None, timelock: str) -> list[Any]:
    def say(amount: int) -> str:
        return tokens(amount, books.token.decimals)

    rows: list[tuple[object, ...]] = [
        (f"hospital {each}", say(credit.payout), say(credit.caregivers), say(credit.patients))
        for each, credit in books.hospitals.items()
        if hospital_id in (None, each)
    ]
    if hospital_id is None:
        rows += [
            ("the DAO" if account == timelock else account, say(amount), "", "")
            for account, amount in books.accounts.items()
        ]
        rows += [
            (f"job {job_id}, in escrow", say(amount), "", "") for job_id, amount in books.escrowed.items()
        ]
    return [
        table(
            ["to claim", ">amount", ">caregivers", ">patients"],
            rows,
            title=f"{books.token.symbol} ({books.token.address})",
            empty="Nothing to claim.",
        ),
        f"Paid in {say(books.paid_in)} = paid out {say(books.paid_out)} + still held {say(books.held)}"
        if books.balanced
        else f"The books do not balance: in {say(books.paid_in)}, out {say(books.paid_out)}, held {say(books.held)}.",
    ]
