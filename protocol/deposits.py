"""What hospitals have deposited for bonds, where it is locked, and moving it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from protocol.chain.bonds import Bonds, BondTerms
from protocol.chain.client import Chain, Receipt
from protocol.chain.events import Event, events
from protocol.chain.hospitals import Hospitals
from protocol.chain.jobs import Jobs
from protocol.chain.rewards import Rewards, Token
from protocol.errors import InvalidInput


@dataclass
class Ledger:
    """The bonds in one token, from their events, in its smallest unit: ``deposited`` = free + locked + ``owed`` +
    ``paid``.

    ``free``: by hospital. ``locked``: by jobs contract, job and hospital. ``owed``: to the DAO.
    """

    token: str
    deposited: int = 0
    owed: int = 0
    paid: int = 0
    free: Counter[int] = field(default_factory=Counter)
    locked: dict[tuple[str, int, int], int] = field(default_factory=dict)

    @classmethod
    def of(cls, token: str, found: Iterable[Event]) -> Ledger:
        """From the events of Bonds, in the order of the chain; those of other tokens are left out."""
        ledger = cls(token)
        for each in found:
            if each.args.get("token") == token and each.name != "BondSet":
                ledger._apply(each)
        return ledger

    @property
    def balanced(self) -> bool:
        return self.deposited == sum(self.free.values()) + sum(self.locked.values()) + self.owed + self.paid

    def _apply(self, event: Event) -> None:
        args, amount = event.args, event.args["amount"]
        match event.name:
            case "Deposited":
                self.deposited += amount
                self.free[args["hospitalId"]] += amount
            case "Withdrawn":
                self.paid += amount
                self.free[args["hospitalId"]] -= amount
            case "Locked":
                self.free[args["hospitalId"]] -= amount
                self.locked[_place(event)] = amount
            case "Unlocked":
                self.free[args["hospitalId"]] += amount
                self.locked.pop(_place(event), None)
            case "Slashed":
                half = amount // 2 if args["to"] else 0
                if half:
                    self.free[args["to"]] += half
                self.owed += amount - half
                self.locked.pop(_place(event), None)
            case "DaoPaid":
                self.owed -= amount
                self.paid += amount


def _place(event: Event) -> tuple[str, int, int]:
    return event.args["jobs"], event.args["jobId"], event.args["hospitalId"]


@dataclass(frozen=True)
class BondBooks:
    """The bonds of one token. ``held``: what the contract owes; ``ledger`` says to whom. ``slashed``: bonds that were
    lost, as events."""

    token: Token
    ledger: Ledger
    held: int
    slashed: list[Event]

    @property
    def balanced(self) -> bool:
        return self.ledger.balanced and self.held == self.ledger.deposited - self.ledger.paid


def bond_books(chain: Chain) -> tuple[BondTerms, list[BondBooks]]:
    """What a bond is now, and the books of every token that was ever deposited."""
    found = list(events(chain, "Bonds"))
    tokens = list(dict.fromkeys(each.args["token"] for each in found if each.name == "Deposited"))
    bonds, rewards = Bonds(chain), Rewards(chain)
    return bonds.terms(), [
        BondBooks(
            rewards.token(token),
            Ledger.of(token, found),
            bonds.held_of(token),
            [each for each in found if each.name == "Slashed" and each.args["token"] == token],
        )
        for token in tokens
    ]


def bond_token(chain: Chain) -> tuple[Token, int]:
    """The token that bonds are in, and what one is. Raises InvalidInput when the DAO asks for no bond."""
    terms = Bonds(chain).terms()
    if not int(terms.token, 16):
        raise InvalidInput("The DAO asks for no bond.", "Nothing needs to be deposited.")
    return Rewards(chain).token(terms.token), terms.amount


def deposit(chain: Chain, hospital_id: int, amount: int) -> Receipt:
    """Deposits ``amount`` of the signer's tokens (smallest unit) for a hospital.

    Raises InvalidInput when the signer has not so much, Refused for an unknown hospital.
    """
    Hospitals(chain).hospital(hospital_id)
    token, _ = bond_token(chain)
    held = chain.token_balance(token.address, chain.signer.address)
    if held < amount:
        whole = 10**token.decimals
        raise InvalidInput(
            f"Account {chain.signer.address} has {held / whole:,g} {token.symbol}; the deposit is"
            f" {amount / whole:,g}.",
            "Fund it first; on a development network --mint does.",
        )
    bonds = Bonds(chain)
    bonds.approve(token.address, amount)
    return bonds.deposit(hospital_id, amount)


def unlock_all(chain: Chain, hospital_id: int) -> dict[int, Receipt]:
    """Frees a hospital's bonds in every job whose window is over; receipts by job. Anyone may."""
    jobs, bonds, now = Jobs(chain), Bonds(chain), chain.now()
    here = chain.address("TrainingJobs")
    _, books = bond_books(chain)
    locked = sorted(
        {
            job_id
            for book in books
            for contract, job_id, hospital in book.ledger.locked
            if (contract, hospital) == (here, hospital_id)
        }
    )
    return {
        job_id: bonds.unlock(job_id, hospital_id) for job_id in locked if jobs.bonds_free_at(job_id) <= now
    }
