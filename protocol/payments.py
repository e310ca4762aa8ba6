"""Who is owed what, and paying it: rewards are pulled, never pushed."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from protocol.chain.client import Chain, Receipt
from protocol.chain.enums import Role
from protocol.chain.events import events
from protocol.chain.hospitals import Hospitals
from protocol.chain.rewards import HospitalCredit, Rewards, Token
from protocol.errors import InvalidInput


@dataclass(frozen=True)
class Books:
    """One token in the reward pool, in its smallest unit: ``paid_in`` = ``paid_out`` + ``held``.

    ``hospitals``: what each may claim, by id; ``accounts``: what each other account may claim; ``escrowed``: of jobs
    that are not settled, by job id.
    """

    token: Token
    paid_in: int
    paid_out: int
    held: int
    hospitals: dict[int, HospitalCredit]
    accounts: dict[str, int]
    escrowed: dict[int, int]

    @property
    def balanced(self) -> bool:
        return self.paid_in == self.paid_out + self.held


@dataclass(frozen=True)
class Payment:
    """A claim that was paid. ``to`` is the account, or the hospital's three funds."""

    token: Token
    to: str
    amount: int
    receipt: Receipt


def units(amount: Decimal, token: Token) -> int:
    """Whole tokens in the token's smallest unit. Raises InvalidInput when it has not so many decimals."""
    found = amount.scaleb(token.decimals)
    if found != found.to_integral_value():
        raise InvalidInput(
            f"{amount} {token.symbol} cannot be paid.", f"The token has {token.decimals} decimals."
        )
    return int(found)


def require_reward(chain: Chain, token: Token, amount: int) -> None:
    """Raises InvalidInput unless rewards may be paid in the token and the signer has so much (smallest unit) of it."""
    if not Rewards(chain).is_allowed(token.address):
        raise InvalidInput(
            f"The DAO does not allow rewards in {token.symbol} ({token.address}).",
            "`salus vote propose --call` can.",
        )
    held = chain.token_balance(token.address, chain.signer.address)
    if held < amount:
        whole = 10**token.decimals
        raise InvalidInput(
            f"Account {chain.signer.address} has {held / whole:,g} {token.symbol}; the reward is {amount / whole:,g}.",
            "Fund it first; on a development network --mint-reward does.",
        )


def books(chain: Chain) -> list[Books]:
    """The pool's books, one for each token in which a reward was ever escrowed."""
    found = list(events(chain, "RewardPool"))
    tokens = list(dict.fromkeys(event.args["token"] for event in found if event.name == "Escrowed"))
    return [_books(chain, token, found) for token in tokens]


def claim_all(chain: Chain) -> list[Payment]:
    """Claims all that the signer may claim: its hospital's shares if it is an admin, and what it is owed itself.

    Raises InvalidInput when that is nothing.
    """
    rewards = Rewards(chain)
    account = chain.signer.address
    hospital_id, role = Hospitals(chain).role_of(account)
    payments = []
    for each in books(chain):
        if role == Role.ADMIN and each.hospitals.get(hospital_id, HospitalCredit(0, 0, 0)).sum:
            receipt = rewards.claim_hospital(each.token.address)
            paid = sum(event.args["amount"] for event in receipt.events if event.name == "HospitalPaid")
            payments.append(Payment(each.token, f"hospital {hospital_id}", paid, receipt))
        if each.accounts.get(account):
            payments.append(_claim(rewards, each.token, account))
    if not payments:
        raise InvalidInput(f"Nothing is owed to {account}.", "`salus reward show` says who is owed what.")
    return payments


def claim_for(chain: Chain, account: str) -> list[Payment]:
    """Pays another account, such as the DAO's timelock; anyone may. Raises InvalidInput when it is owed nothing."""
    rewards = Rewards(chain)
    payments = [_claim(rewards, each.token, account) for each in books(chain) if each.accounts.get(account)]
    if not payments:
        raise InvalidInput(f"Nothing is owed to {account}.", "`salus reward show` says who is owed what.")
    return payments


def _claim(rewards: Rewards, token: Token, account: str) -> Payment:
    receipt = rewards.claim(account, token.address)
    return Payment(token, account, receipt.event("AccountPaid").args["amount"], receipt)


def _books(chain: Chain, token: str, found: list) -> Books:
    rewards = Rewards(chain)
    mine = [event for event in found if event.args.get("token") == token]
    escrows = {event.args["jobId"]: event.args["amount"] for event in mine if event.name == "Escrowed"}
    settled = {event.args["jobId"] for event in found if event.name == "Settled"}
    credited = [event for event in found if event.args.get("jobId") in escrows]
    hospital_ids = sorted(
        {event.args["hospitalId"] for event in credited if event.name == "HospitalCredited"}
    )
    accounts = list(
        dict.fromkeys(event.args["account"] for event in credited if event.name == "AccountCredited")
    )
    return Books(
        token=rewards.token(token),
        paid_in=sum(escrows.values()),
        paid_out=sum(event.args["amount"] for event in mine if event.name in ("HospitalPaid", "AccountPaid")),
        held=rewards.held_of(token),
        hospitals={each: rewards.hospital_credit_of(each, token) for each in hospital_ids},
        accounts={each: rewards.credit_of(each, token) for each in accounts},
        escrowed={job_id: amount for job_id, amount in escrows.items() if job_id not in settled},
    )
