"""RewardPool: escrow and shares of rewards. Amounts are in a token's smallest unit."""

from __future__ import annotations

from dataclasses import dataclass

from protocol.chain import abi
from protocol.chain.client import Chain, Receipt
from protocol.chain.events import events
from protocol.chain.structs import Struct
from protocol.errors import AccountError, InvalidInput

CONTRACT = "RewardPool"
ALL_BPS = 10_000


@dataclass(frozen=True)
class Split(Struct):
    """Shares in basis points; they sum to 10,000."""

    hospitals_bps: int
    caregivers_bps: int
    patients_bps: int
    merger_bps: int
    dao_bps: int

    @property
    def sum_bps(self) -> int:
        return self.hospitals_bps + self.caregivers_bps + self.patients_bps + self.merger_bps + self.dao_bps

    def require_whole(self) -> None:
        """Raises InvalidInput unless the shares sum to 10,000."""
        if self.sum_bps != ALL_BPS:
            raise InvalidInput(
                f"The split sums to {self.sum_bps:,} basis points; it must be {ALL_BPS:,}.",
                "Correct reward.split_bps.",
            )


@dataclass(frozen=True)
class Escrow(Struct):
    """A job's reward. ``settled`` once its shares are credited."""

    token: str
    researcher: str
    settled: bool
    amount: int
    split: Split


@dataclass(frozen=True)
class HospitalCredit(Struct):
    """What a hospital may claim, by fund."""

    payout: int
    caregivers: int
    patients: int

    @property
    def sum(self) -> int:
        return self.payout + self.caregivers + self.patients


@dataclass(frozen=True)
class Token:
    """An ERC-20 token. One whole token is 10 to the power of ``decimals`` of its smallest unit."""

    address: str
    symbol: str
    decimals: int


class Rewards:
    """Typed calls of RewardPool and of the tokens that rewards are paid in."""

    def __init__(self, chain: Chain) -> None:
        self.chain = chain

    def approve(self, token: str, amount: int) -> Receipt | None:
        """Lets the pool take ``amount`` of the signer's tokens; None, and nothing sent, when it may already."""
        if self.chain.signer is None:
            raise AccountError(
                "Approving a payment needs an account.", "Give --account; `salus account list` shows them."
            )
        pool = self.chain.address(CONTRACT)
        if self.chain.call(abi.ERC20, "allowance", self.chain.signer.address, pool, at=token) >= amount:
            return None
        return self.chain.send(abi.ERC20, "approve", pool, amount, at=token)

    def claim_hospital(self, token: str) -> Receipt:
        """Pays the signing admin's hospital its three shares."""
        return self.chain.send(CONTRACT, "claimHospital", self.chain.address(token))

    def claim(self, account: str, token: str) -> Receipt:
        """Pays an account what it is owed: a researcher's refund, the DAO's share. Anyone may call it."""
        return self.chain.send(CONTRACT, "claim", self.chain.address(account), self.chain.address(token))

    def escrow_of(self, job_id: int) -> Escrow:
        """A job's escrow; all zero when it has none."""
        return Escrow.of(self.chain.call(CONTRACT, "escrowOf", job_id))

    def hospital_credit_of(self, hospital_id: int, token: str) -> HospitalCredit:
        """What a hospital may claim in a token."""
        credit = self.chain.call(CONTRACT, "hospitalCreditOf", hospital_id, self.chain.address(token))
        return HospitalCredit.of(credit)

    def credit_of(self, account: str, token: str) -> int:
        """What an account may claim in a token."""
        return int(
            self.chain.call(CONTRACT, "creditOf", self.chain.address(account), self.chain.address(token))
        )

    def held_of(self, token: str) -> int:
        """What the pool owes in a token, escrow and credits together."""
        return int(self.chain.call(CONTRACT, "heldOf", self.chain.address(token)))

    def split_floor(self) -> Split:
        """The least that each share of a new job must be."""
        return Split.of(self.chain.call(CONTRACT, "splitFloor"))

    def is_allowed(self, token: str) -> bool:
        """Whether rewards may be paid in a token."""
        return bool(self.chain.call(CONTRACT, "isAllowed", self.chain.address(token)))

    def tokens(self) -> list[Token]:
        """The tokens that rewards may be paid in now."""
        latest = {
            event.args["token"]: event.args["allowed"]
            for event in events(self.chain, CONTRACT, ["TokenAllowed"])
        }
        return [self.token(address) for address, allowed in latest.items() if allowed]

    def token(self, token: str) -> Token:
        """A token by name or address. Raises WrongChain when no ERC-20 is there."""
        address = self.chain.address(token)
        symbol = self.chain.call(abi.ERC20, "symbol", at=address)
        return Token(address, symbol, int(self.chain.call(abi.ERC20, "decimals", at=address)))
