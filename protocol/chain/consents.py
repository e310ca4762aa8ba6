"""ConsentToken: what a hospital allows with a dataset, minted directly or by its admin's EIP-712 signature."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from eth_utils import is_address

from protocol.chain import duo
from protocol.chain.accounts import Signer
from protocol.chain.client import Chain, Receipt
from protocol.chain.duo import Permission
from protocol.chain.events import events
from protocol.chain.structs import Struct, camel
from protocol.errors import AccountError, InvalidInput

CONTRACT = "ConsentToken"
ANYONE = "0x" + "00" * 20

_TERMS_TYPE = [
    {"name": "datasetId", "type": "uint32"},
    {"name": "grantee", "type": "address"},
    {"name": "permission", "type": "uint8"},
    {"name": "mondo", "type": "uint32"},
    {"name": "modifiers", "type": "uint32"},
    {"name": "region", "type": "uint16"},
    {"name": "expiresAt", "type": "uint40"},
    {"name": "maxRounds", "type": "uint32"},
    {"name": "epsilonBudgetMicro", "type": "uint64"},
]
_TYPES = {
    "EIP712Domain": [
        {"name": "name", "type": "string"},
        {"name": "version", "type": "string"},
        {"name": "chainId", "type": "uint256"},
        {"name": "verifyingContract", "type": "address"},
    ],
    "MintConsent": [
        {"name": "terms", "type": "Terms"},
        {"name": "nonce", "type": "uint256"},
        {"name": "deadline", "type": "uint256"},
    ],
    "Terms": _TERMS_TYPE,
}


@dataclass(frozen=True)
class Terms(Struct):
    """What a hospital allows. ``grantee``: zero is anyone whom the other terms allow. ``mondo``, ``region``: zero is
    none. ``modifiers``: DUO bits. ``expires_at``: unix seconds. ``epsilon_budget_micro``: millionths."""

    dataset_id: int
    grantee: str
    permission: Permission
    mondo: int
    modifiers: int
    region: int
    expires_at: int
    max_rounds: int
    epsilon_budget_micro: int


@dataclass(frozen=True)
class Purpose(Struct):
    """What a job is for, and what it pledges (DUO bits)."""

    researcher: str
    permission: Permission
    mondo: int
    pledges: int
    region: int


@dataclass(frozen=True)
class Consent(Struct):
    """A token's terms and its life so far."""

    terms: Terms
    hospital_id: int
    rounds_used: int
    revoked: bool


@dataclass(frozen=True)
class SignedTerms:
    """Terms with an admin's signature (65 bytes) over them, its ``nonce`` and ``deadline`` (unix seconds).

    ``chain_id`` and ``contract`` say where it is good.
    """

    terms: Terms
    nonce: int
    deadline: int
    signature: bytes
    chain_id: int
    contract: str

    def save(self, path: Path) -> None:
        """Writes it as JSON."""
        document = {**asdict(self), "signature": "0x" + self.signature.hex()}
        path.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> Self:
        """Raises InvalidInput when the file holds no signed terms."""
        try:
            values: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            terms = Terms.of({camel(name): value for name, value in values["terms"].items()})
            signature = bytes.fromhex(values["signature"].removeprefix("0x"))
            return cls(**{**values, "terms": terms, "signature": signature})
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise InvalidInput(
                f"{path} holds no signed terms: {error}.", "Make it with `salus consent sign`."
            ) from error


class Consents:
    """Typed calls of ConsentToken."""

    def __init__(self, chain: Chain) -> None:
        self.chain = chain

    def mint(self, terms: Terms) -> Receipt:
        """Mints a consent; the signer is the admin of the dataset's hospital."""
        return self.chain.send(CONTRACT, "mint", terms)

    def sign(self, terms: Terms, deadline: int) -> SignedTerms:
        """Signs terms as admin, over its current nonce, and sends nothing. ``deadline``: unix seconds."""
        signer = self.chain.signer
        if not isinstance(signer, Signer):
            raise AccountError(
                "Signing terms needs the admin's own key.", "Give --account; `salus account list`."
            )
        return self.sign_terms(signer, terms, self.nonce(signer.address), deadline)

    def sign_terms(self, signer: Signer, terms: Terms, nonce: int, deadline: int) -> SignedTerms:
        """Terms signed (EIP-712) for this chain and contract, good once for this nonce and until the deadline."""
        contract = self.chain.address(CONTRACT)
        chain_id = self.chain.deployment.chain_id
        signature = signer.sign_typed_data(typed_data(terms, nonce, deadline, chain_id, contract))
        return SignedTerms(terms, nonce, deadline, signature, chain_id, contract)

    def mint_by_signature(self, signed: SignedTerms) -> Receipt:
        """Mints what an admin signed; anyone may. Raises InvalidInput when that was for another chain or contract."""
        here = (self.chain.deployment.chain_id, self.chain.address(CONTRACT))
        if (signed.chain_id, signed.contract) != here:
            raise InvalidInput(
                f"The signature is for contract {signed.contract} on chain {signed.chain_id}, not for {here[1]}"
                f" on {here[0]}.",
                "Name the network that it was signed for.",
            )
        return self.chain.send(CONTRACT, "mintBySignature", signed.terms, signed.deadline, signed.signature)

    def cancel_signatures(self) -> Receipt:
        """Makes every unused signature of the signer void."""
        return self.chain.send(CONTRACT, "cancelSignatures")

    def revoke(self, consent_id: int) -> Receipt:
        """Ends a consent at once and for good; the signer is its hospital's admin."""
        return self.chain.send(CONTRACT, "revoke", consent_id)

    def consent(self, consent_id: int) -> Consent:
        """Raises Refused (UnknownConsent)."""
        return Consent.of(self.chain.call(CONTRACT, "consent", consent_id))

    def consents(self, consent_ids: Sequence[int]) -> list[Consent]:
        """Several in one round trip."""
        return [
            Consent.of(each)
            for each in self.chain.call_many((CONTRACT, "consent", (i,)) for i in consent_ids)
        ]

    def count(self) -> int:
        """How many were ever minted: ids run from 1 to this."""
        return int(self.chain.call(CONTRACT, "consentCount"))

    def check(self, consent_id: int, hospital_id: int, purpose: Purpose) -> None:
        """Raises Refused with the first reason why the consent does not allow this purpose now."""
        self.chain.call(CONTRACT, "check", consent_id, hospital_id, purpose)

    def live(self, consent_ids: Sequence[int]) -> int:
        """Bit i is set when the i-th consent is neither revoked nor expired nor used up. At most 256."""
        return int(self.chain.call(CONTRACT, "live", list(consent_ids)))

    def ids_of_dataset(self, dataset_id: int) -> list[int]:
        """Every consent ever minted for a dataset, the oldest first."""
        return [
            event.args["consentId"]
            for event in events(self.chain, CONTRACT, ["ConsentMinted"], datasetId=dataset_id)
        ]

    def epsilon_spent_micro(self, dataset_id: int) -> int:
        """Epsilon spent on a dataset over all its versions and consents, in millionths."""
        return int(self.chain.call(CONTRACT, "epsilonSpentMicro", dataset_id))

    def nonce(self, admin: str) -> int:
        """The nonce that an admin's next signature must carry."""
        return int(self.chain.call(CONTRACT, "nonces", admin))


def typed_data(terms: Terms, nonce: int, deadline: int, chain_id: int, contract: str) -> dict[str, Any]:
    """The EIP-712 message that `ConsentToken.mintBySignature` checks."""
    values = {camel(name): value for name, value in asdict(terms).items()}
    return {
        "types": _TYPES,
        "primaryType": "MintConsent",
        "domain": {
            "name": "Salus ConsentToken",
            "version": "1",
            "chainId": chain_id,
            "verifyingContract": contract,
        },
        "message": {
            "terms": {**values, "permission": int(terms.permission)},
            "nonce": nonce,
            "deadline": deadline,
        },
    }


def reasons_against(terms: Terms, purpose: Purpose) -> list[str]:
    """Why terms do not allow a purpose, all reasons in words; empty when they do. Says nothing of a consent's life."""
    reasons = []
    if int(terms.grantee, 16) and terms.grantee.lower() != purpose.researcher.lower():
        reasons.append(f"it is for researcher {terms.grantee}")
    if purpose.permission < terms.permission:
        reasons.append(f"it allows {terms.permission.name}, the job asks for {purpose.permission.name}")
    if terms.permission == Permission.DS and purpose.mondo != terms.mondo:
        reasons.append(f"it is for disease MONDO:{terms.mondo:07d}")
    if missing := terms.modifiers & ~purpose.pledges:
        reasons.append(f"the job does not pledge {duo.in_words(missing)}")
    if terms.modifiers & duo.MODIFIERS["GS"][0] and purpose.region != terms.region:
        reasons.append(f"it is for region {terms.region} (UN M49)")
    return reasons


def require_sound(terms: Terms, now: int) -> None:
    """Raises InvalidInput with the reasons when the contract would refuse the terms as BadTerms."""
    reasons = []
    if not is_address(terms.grantee):
        reasons.append(f"{terms.grantee!r} is not an address")
    if (terms.mondo != 0) != (terms.permission == Permission.DS):
        reasons.append("a disease goes with the permission DS, and only with it")
    if (terms.region != 0) != bool(terms.modifiers & duo.MODIFIERS["GS"][0]):
        reasons.append("a region goes with the modifier GS, and only with it")
    if terms.modifiers & ~duo.ALL:
        reasons.append("a modifier is unknown")
    if terms.expires_at <= now:
        reasons.append("the expiry is not in the future")
    if terms.max_rounds == 0:
        reasons.append("no rounds are allowed")
    if reasons:
        raise InvalidInput(
            f"The terms contradict themselves: {'; '.join(reasons)}.", "Correct them; nothing was minted."
        )
