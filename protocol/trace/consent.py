"""A consent's life from its events, and whether it allowed an update at a place in the chain."""

from __future__ import annotations

from dataclasses import dataclass, field

from protocol.chain.consents import Purpose, Terms, reasons_against
from protocol.chain.events import Event


@dataclass
class ConsentLife:
    """A consent's events: its terms, when it was minted, used and revoked."""

    hospital_id: int
    terms: Terms
    minted: Event
    revoked: Event | None = None
    uses: list[Event] = field(default_factory=list)

    @classmethod
    def of(cls, found: list[Event]) -> ConsentLife | None:
        """From a consent's events, in the order of the chain; None when nothing mints it."""
        minted = next((event for event in found if event.name == "ConsentMinted"), None)
        if minted is None:
            return None
        return cls(
            minted.args["hospitalId"],
            Terms.of(minted.args["terms"]),
            minted,
            next((event for event in found if event.name == "ConsentRevoked"), None),
            [event for event in found if event.name == "ConsentUsed"],
        )

    def reasons_against(self, at: Event, timestamp: int, hospital_id: int, purpose: Purpose) -> list[str]:
        """Why it did not allow an update at this place in the chain; empty when it did."""
        reasons = []
        if self.hospital_id != hospital_id:
            reasons.append(f"given by hospital {self.hospital_id}")
        if at.place < self.minted.place:
            reasons.append("minted later")
        if self.revoked and self.revoked.place < at.place:
            reasons.append("revoked before")
        if timestamp >= self.terms.expires_at:
            reasons.append("expired before")
        if sum(use.place < at.place for use in self.uses) >= self.terms.max_rounds:
            reasons.append("used more often than allowed")
        return reasons + reasons_against(self.terms, purpose)
