"""What was done to resources, in counts: for the evidence. No count tells of one patient, and none quotes a value."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Tally:
    """Counts of what became of elements; ``taken`` and ``refused`` by type and reason; ``texts`` by kind of what was
    found in them."""

    kept: int = 0
    moved: int = 0
    generalised: int = 0
    pseudonymised: int = 0
    cleaned: int = 0
    unnamed: int = 0
    mistyped: int = 0
    unknown_systems: int = 0
    unknown_codes: int = 0
    unresolved: int = 0
    before_birth: int = 0
    unread_texts: int = 0
    found_again: int = 0
    repeated: int = 0
    taken: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    texts: Counter[str] = field(default_factory=Counter)

    def to_dict(self) -> dict[str, Any]:
        """The counts: of resources by type and reason, of elements by what became of them, of texts by kind."""
        return {
            "resources": dict(sorted(self.taken.items())),
            "refused": dict(sorted(self.refused.items())),
            "repeated": self.repeated,
            "elements": {
                "kept": self.kept,
                "date-shift": self.moved,
                "generalise": self.generalised,
                "pseudonymise": self.pseudonymised,
                "text": self.cleaned,
            },
            "removed": {
                "named by no rule": self.unnamed,
                "not of its type": self.mistyped,
                "of a code system that the rules do not list": self.unknown_systems,
                "no code of its system": self.unknown_codes,
                "reference to what cannot be told": self.unresolved,
                "date before the year of birth as shown": self.before_birth,
                "text that nobody de-identifies": self.unread_texts,
                "found again by name, number or day of birth": self.found_again,
            },
            "in_texts": dict(sorted(self.texts.items())),
        }
