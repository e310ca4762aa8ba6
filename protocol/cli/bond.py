"""``salus bond``: what hospitals stake on merging and submitting honestly."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from protocol.cli.arguments import ID, AmountType, signing
from protocol.cli.command import Group
from protocol.cli.output import PRIVACY_NONE, Result, done, facts, next_commands, table, tokens, working
from protocol.cli.session import Session
from protocol.errors import InvalidInput

if TYPE_CHECKING:
    from protocol.chain.bonds import BondTerms
    from protocol.chain.client import Chain
    from protocol.chain.rewards import Token
    from protocol.deposits import BondBooks


@click.group(cls=Group)
def bond() -> None:
    """Bonds: a job locks one of each hospital that enrols; who merges falsely or withholds loses it."""


@bond.command(examples=["salus bond show", "salus bond show --hospital 1 --json"])
@click.option("--hospital", "hospital_id", type=ID, help="Only this hospital's.")
@click.pass_obj
def show(session: Session, hospital_id: int | None) -> Result:
    """Show what a bond is, what each hospital has free and locked, what was lost, and that the books balance."""
    from protocol.chain.hospitals import Hospitals
    from protocol.deposits import bond_books

    chain = session.chain
    if hospital_id is not None:
        Hospitals(chain).hospital(hospital_id)
    with working("Reading the books"):
        terms, found = bond_books(chain)
        asked = _terms_facts(chain, terms)
        here = chain.address("TrainingJobs")
        shown = {
            job_id
            for each in found
            for contract, job_id, hospital in each.ledger.locked
            if contract == here and hospital_id in (None, hospital)
        }
        notices = _unmasked(chain, shown)
    return Result(
        {
            "bond": {"token": terms.token, "amount": str(terms.amount)},
            "tokens": [_document(each, hospital_id) for each in found],
        },
        [facts({"a bond": asked}), *(part for each in found for part in _view(each, hospital_id))]
        if found
        else [facts({"a bond": asked}), "Nothing has been deposited yet."],
        notices=notices,
    )


@bond.command(
    examples=[
        "salus bond deposit 100 --account cleveland-admin",
        "salus bond deposit 500 --hospital 2 --account anyone --json",
    ],
)
@click.argument("amount", type=AmountType())
@click.option("--hospital", "hospital_id", type=ID, help="For this hospital [the account's own].")
@click.option("--mint", is_flag=True, help="On a development network: make the tokens first.")
@signing
@click.pass_obj
def deposit(
    session: Session,
    amount: Decimal,
    hospital_id: int | None,
    mint: bool,
    account: str,
    password_file: Path | None,
) -> Result:
    """Deposit AMOUNT of the bond's token for a hospital, from the account. Anyone may."""
    from protocol.chain.development import require_development
    from protocol.deposits import bond_token
    from protocol.deposits import deposit as make
    from protocol.payments import units

    chain = session.chain_as(account, password_file)
    hospital_id = hospital_id or _own_hospital(chain)
    token, _ = bond_token(chain)
    wanted = units(amount, token)
    with working("Depositing"):
        if mint:
            require_development(chain.deployment.chain_id)
            chain.send("RewardToken", "mint", chain.signer.address, wanted)
        receipt = make(chain, hospital_id, wanted)
    return _moved(
        chain,
        hospital_id,
        token,
        wanted,
        receipt.tx_hash,
        receipt.gas_used,
        f"deposited for hospital {hospital_id}",
    )


@bond.command(
    examples=[
        "salus bond withdraw 100 --account cleveland-admin",
        "salus bond withdraw 100 --account cleveland-admin --json",
    ],
)
@click.argument("amount", type=AmountType())
@signing
@click.pass_obj
def withdraw(session: Session, amount: Decimal, account: str, password_file: Path | None) -> Result:
    """Pay AMOUNT of the hospital's free deposit to its payout account. Only an admin."""
    from protocol.chain.bonds import Bonds
    from protocol.deposits import bond_token
    from protocol.payments import units

    chain = session.chain_as(account, password_file)
    hospital_id = _own_hospital(chain)
    token, _ = bond_token(chain)
    wanted, free = units(amount, token), Bonds(chain).free_of(hospital_id, token.address)
    if free < wanted:
        raise InvalidInput(
            f"Hospital {hospital_id} has {tokens(free, token.decimals)} {token.symbol} free;"
            f" {tokens(wanted, token.decimals)} were asked for.",
            "Bonds of jobs whose window is over are freed by `salus bond unlock`.",
        )
    with working("Withdrawing"):
        receipt = Bonds(chain).withdraw(token.address, wanted)
    return _moved(
        chain, hospital_id, token, wanted, receipt.tx_hash, receipt.gas_used, "paid to the payout account"
    )


@bond.command(
    examples=[
        "salus bond unlock --account cleveland-admin",
        "salus bond unlock --hospital 2 --account anyone --json",
    ],
)
@click.option("--hospital", "hospital_id", type=ID, help="This hospital's [the account's own].")
@signing
@click.pass_obj
def unlock(session: Session, hospital_id: int | None, account: str, password_file: Path | None) -> Result:
    """Free a hospital's bonds in every job in which nothing can be proved any more. Anyone may."""
    from protocol.chain.bonds import Bonds
    from protocol.deposits import bond_token, unlock_all

    chain = session.chain_as(account, password_file)
    hospital_id = hospital_id or _own_hospital(chain)
    with working("Freeing bonds"):
        freed = unlock_all(chain, hospital_id)
    token, _ = bond_token(chain)
    free = Bonds(chain).free_of(hospital_id, token.address)
    listed = ", ".join(map(str, freed))
    return Result(
        {
            "hospital_id": hospital_id,
            "free": str(free),
            "jobs": [
                {"job_id": job_id, "tx_hash": each.tx_hash, "gas_used": each.gas_used}
                for job_id, each in freed.items()
            ],
        },
        [
            done(f"The bonds of hospital {hospital_id} in {len(freed)} jobs are free: {listed}.")
            if freed
            else f"No bond of hospital {hospital_id} can be freed now.",
            facts({"free": f"{tokens(free, token.decimals)} {token.symbol}"}),
        ],
        notices=_unmasked(chain, freed),
    )


def _unmasked(chain: Chain, job_ids: Iterable[int]) -> list[str]:
    """What must be repeated of these jobs: the chain knows which of them mask nothing."""
    from protocol.chain.jobs import Jobs

    jobs = Jobs(chain)
    return [
        f"job {job_id}: {PRIVACY_NONE}" for job_id in sorted(job_ids) if not jobs.job(job_id).merge.masked
    ]


def _own_hospital(chain: Chain) -> int:
    from protocol.chain.enums import Role
    from protocol.chain.hospitals import Hospitals

    hospital_id, role = Hospitals(chain).role_of(chain.signer.address)
    if role not in (Role.ADMIN, Role.OPERATOR):
        raise InvalidInput(
            f"Account {chain.signer.address} acts for no hospital.", "Say which one with --hospital."
        )
    return hospital_id


def _moved(
    chain: Chain, hospital_id: int, token: Token, amount: int, tx_hash: str, gas_used: int, what: str
) -> Result:
    from protocol.chain.bonds import Bonds

    free = Bonds(chain).free_of(hospital_id, token.address)
    return Result(
        {
            "hospital_id": hospital_id,
            "token": token.address,
            "amount": str(amount),
            "free": str(free),
            "tx_hash": tx_hash,
            "gas_used": gas_used,
        },
        [
            done(f"{tokens(amount, token.decimals)} {token.symbol} {what}."),
            facts({"free": f"{tokens(free, token.decimals)} {token.symbol}", "gas": f"{gas_used:,}"}),
            next_commands(f"salus bond show --hospital {hospital_id}"),
        ],
    )


def _terms_facts(chain: Chain, terms: BondTerms) -> str:
    from protocol.chain.rewards import Rewards

    if not terms.amount:
        return "nothing: the DAO asks for none"
    token = Rewards(chain).token(terms.token)
    return f"{tokens(terms.amount, token.decimals)} {token.symbol} ({token.address})"


def _hospitals(books: BondBooks, hospital_id: int | None) -> list[int]:
    known = {*books.ledger.free, *(place[2] for place in books.ledger.locked)}
    return sorted(each for each in known if hospital_id in (None, each))


def _locked(books: BondBooks, hospital_id: int) -> dict[int, int]:
    """What is locked of a hospital, by job."""
    return {
        job_id: amount for (_, job_id, each), amount in books.ledger.locked.items() if each == hospital_id
    }


def _document(books: BondBooks, hospital_id: int | None) -> dict[str, Any]:
    ledger = books.ledger
    return {
        "token": books.token.address,
        "symbol": books.token.symbol,
        "decimals": books.token.decimals,
        "deposited": str(ledger.deposited),
        "held": str(books.held),
        "paid_out": str(ledger.paid),
        "owed_to_dao": str(ledger.owed),
        "balanced": books.balanced,
        "hospitals": {
            str(each): {
                "free": str(ledger.free[each]),
                "locked": {str(job_id): str(amount) for job_id, amount in _locked(books, each).items()},
            }
            for each in _hospitals(books, hospital_id)
        },
        "slashed": [
            {
                "job_id": each.args["jobId"],
                "hospital_id": each.args["hospitalId"],
                "amount": str(each.args["amount"]),
                "half_to": each.args["to"] or None,
                "tx_hash": each.tx_hash,
            }
            for each in books.slashed
            if hospital_id in (None, each.args["hospitalId"])
        ],
    }


def _view(books: BondBooks, hospital_id: int | None) -> list[Any]:
    def say(amount: int) -> str:
        return tokens(amount, books.token.decimals)

    ledger = books.ledger
    view: list[Any] = [
        table(
            [">hospital", ">free", "locked"],
            (
                (
                    each,
                    say(ledger.free[each]),
                    ", ".join(
                        f"{say(amount)} in job {job_id}" for job_id, amount in _locked(books, each).items()
                    ),
                )
                for each in _hospitals(books, hospital_id)
            ),
            title=f"{books.token.symbol} ({books.token.address})",
        )
    ]
    lost = [each.args for each in books.slashed if hospital_id in (None, each.args["hospitalId"])]
    if lost:
        view.append(
            table(
                [">job", ">hospital", ">lost", "half to"],
                (
                    (
                        args["jobId"],
                        args["hospitalId"],
                        say(args["amount"]),
                        f"hospital {args['to']}" if args["to"] else "the DAO has all",
                    )
                    for args in lost
                ),
                title="Bonds that were lost",
            )
        )
    free, locked = sum(ledger.free.values()), sum(ledger.locked.values())
    sums = (
        f"deposited {say(ledger.deposited)}, free {say(free)}, locked {say(locked)}, owed to the DAO"
        f" {say(ledger.owed)}, paid out {say(ledger.paid)}"
    )
    view.append(f"The books balance: {sums}." if books.balanced else f"The books do not balance: {sums}.")
    return view
