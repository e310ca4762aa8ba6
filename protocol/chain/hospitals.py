"""HospitalRegistry: members, and the accounts that act for them. Admission and suspension are votes (`votes.Call`)."""

from __future__ import annotations

from dataclasses import dataclass

from protocol.chain.client import Chain, Receipt
from protocol.chain.enums import Role
from protocol.chain.events import events
from protocol.chain.structs import Struct
from protocol.errors import AccountError, ChainError

CONTRACT = "HospitalRegistry"


@dataclass(frozen=True)
class Funds(Struct):
    """Addresses that a hospital's three shares of a reward are paid to."""

    payout: str
    caregivers: str
    patients: str


@dataclass(frozen=True)
class Hospital(Struct):
    """A member. Suspended ones keep their history and money, and train no more."""

    admin: str
    suspended: bool
    operator: str
    funds: Funds


class Hospitals:
    """Typed calls of HospitalRegistry."""

    def __init__(self, chain: Chain) -> None:
        self.chain = chain

    def hospital(self, hospital_id: int) -> Hospital:
        """Raises Refused (UnknownHospital)."""
        return Hospital.of(self.chain.call(CONTRACT, "hospital", hospital_id))

    def count(self) -> int:
        """How many were ever admitted: ids run from 1 to this."""
        return int(self.chain.call(CONTRACT, "hospitalCount"))

    def hospitals(self) -> list[tuple[int, str, Hospital]]:
        """Id, name and record of every hospital, in the order of admission."""
        named = self.names()
        records = self.chain.call_many((CONTRACT, "hospital", (hospital_id,)) for hospital_id in named)
        return [
            (each, name, Hospital.of(record))
            for (each, name), record in zip(named.items(), records, strict=True)
        ]

    def names(self) -> dict[int, str]:
        """Names by id, from the events of admission."""
        admitted = events(self.chain, CONTRACT, ["HospitalAdmitted"])
        return {event.args["hospitalId"]: event.args["name"] for event in admitted}

    def name(self, hospital_id: int) -> str:
        """A hospital's name. Raises Refused (UnknownHospital)."""
        for event in events(self.chain, CONTRACT, ["HospitalAdmitted"], hospitalId=hospital_id):
            return str(event.args["name"])
        self.hospital(hospital_id)
        raise ChainError(
            f"Hospital {hospital_id} was admitted too recently.", "Wait for its block to be confirmed."
        )

    def role_of(self, account: str) -> tuple[int, Role]:
        """The hospital that an account acts or acted for, and as what; (0, NONE) when it has none."""
        hospital_id, role = self.chain.call(CONTRACT, "roleOf", account)
        return hospital_id, Role(role)

    def require_operator(self) -> int:
        """The hospital that the signer operates. Raises Refused (NotOperator, Suspended), or AccountError."""
        if self.chain.signer is None:
            raise AccountError(
                "This needs an operator's account.", "Give --account; `salus account list` shows them."
            )
        return int(self.chain.call(CONTRACT, "requireOperator", self.chain.signer.address))

    def rotate_operator(self, operator: str) -> Receipt:
        """Replaces the operator of the signing admin's hospital; the old account never acts again."""
        return self.chain.send(CONTRACT, "rotateOperator", operator)

    def set_funds(self, funds: Funds) -> Receipt:
        """Changes where the signing admin's hospital is paid."""
        return self.chain.send(CONTRACT, "setFunds", funds)
