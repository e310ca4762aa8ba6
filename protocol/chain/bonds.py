"""Bonds: what hospitals deposit, and what jobs lock of it. Amounts are in the token's smallest unit."""

from __future__ import annotations

from dataclasses import dataclass

from protocol.chain import abi
from protocol.chain.client import Chain, Receipt
from protocol.chain.structs import Struct
from protocol.errors import AccountError

CONTRACT = "Bonds"
JOBS = "TrainingJobs"


@dataclass(frozen=True)
class BondTerms:
    """What a job locks of each hospital that enrols now; an amount of zero asks for nothing."""

    token: str
    amount: int


@dataclass(frozen=True)
class Bond(Struct):
    """A hospital's bond in a job; ``exists`` while it is locked."""

    exists: bool
    token: str
    amount: int


class Bonds:
    """Typed calls of Bonds, always about the deployment's own TrainingJobs."""

    def __init__(self, chain: Chain) -> None:
        self.chain = chain

    # -- reading -----------------------------------------------------------------------------------------------------

    def terms(self) -> BondTerms:
        """What a bond is now."""
        return BondTerms(*self.chain.call(CONTRACT, "bond"))

    def bond_of(self, job_id: int, hospital_id: int) -> Bond:
        """A hospital's bond in a job."""
        jobs = self.chain.address(JOBS)
        return Bond.of(self.chain.call(CONTRACT, "bondOf", jobs, job_id, hospital_id))

    def free_of(self, hospital_id: int, token: str) -> int:
        """What a hospital may withdraw or lock."""
        return int(self.chain.call(CONTRACT, "freeOf", hospital_id, self.chain.address(token)))

    def dao_owed(self, token: str) -> int:
        """What the DAO is owed of slashed bonds."""
        return int(self.chain.call(CONTRACT, "daoOwed", self.chain.address(token)))

    def held_of(self, token: str) -> int:
        """What the contract owes in a token: free, locked and the DAO's."""
        return int(self.chain.call(CONTRACT, "heldOf", self.chain.address(token)))

    # -- changing ----------------------------------------------------------------------------------------------------

    def approve(self, token: str, amount: int) -> Receipt | None:
        """Lets the contract take ``amount`` of the signer's tokens; None, and nothing sent, when it may already."""
        if self.chain.signer is None:
            raise AccountError(
                "Approving a deposit needs an account.", "Give --account; `salus account list` shows them."
            )
        bonds = self.chain.address(CONTRACT)
        if self.chain.call(abi.ERC20, "allowance", self.chain.signer.address, bonds, at=token) >= amount:
            return None
        return self.chain.send(abi.ERC20, "approve", bonds, amount, at=token)

    def deposit(self, hospital_id: int, amount: int) -> Receipt:
        """Deposits the signer's tokens, which it has approved, for a hospital; anyone may."""
        return self.chain.send(CONTRACT, "deposit", hospital_id, amount)

    def withdraw(self, token: str, amount: int) -> Receipt:
        """Pays of the signing admin's hospital's free deposit to its payout address."""
        return self.chain.send(CONTRACT, "withdraw", self.chain.address(token), amount)

    def unlock(self, job_id: int, hospital_id: int) -> Receipt:
        """Frees a hospital's bond in a job whose window is over; anyone may."""
        return self.chain.send(CONTRACT, "unlock", self.chain.address(JOBS), job_id, hospital_id)

    def pay_dao(self, token: str) -> Receipt:
        """Pays the DAO what was slashed in its favour; anyone may."""
        return self.chain.send(CONTRACT, "payDao", self.chain.address(token))
