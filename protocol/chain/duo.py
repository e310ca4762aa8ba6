"""GA4GH Data Use Ontology: modifiers as bits and permissions by name, as in `Duo.sol` and `IConsentToken.sol`.

TS (DUO:0000025, time limit) has no bit: every consent has an expiry.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum

from protocol.errors import InvalidInput


class Permission(IntEnum):
    """What data may be used for, widest first: each allows itself and whatever follows it."""

    NRES = 0
    GRU = 1
    HMB = 2
    DS = 3


PERMISSIONS: dict[Permission, tuple[str, str]] = {
    Permission.NRES: ("DUO:0000004", "no restriction"),
    Permission.GRU: ("DUO:0000042", "general research use"),
    Permission.HMB: ("DUO:0000006", "health, medical and biomedical research"),
    Permission.DS: ("DUO:0000007", "research on one disease"),
}

# Bit, term and label of each.
MODIFIERS: dict[str, tuple[int, str, str]] = {
    "RS": (1 << 0, "DUO:0000012", "research specific restrictions"),
    "NMDS": (1 << 1, "DUO:0000015", "no general methods research"),
    "GSO": (1 << 2, "DUO:0000016", "genetic studies only"),
    "NPUNCU": (1 << 3, "DUO:0000018", "not for profit, non commercial use only"),
    "PUB": (1 << 4, "DUO:0000019", "publication required"),
    "COL": (1 << 5, "DUO:0000020", "collaboration required"),
    "IRB": (1 << 6, "DUO:0000021", "ethics approval required"),
    "GS": (1 << 7, "DUO:0000022", "geographical restriction"),
    "MOR": (1 << 8, "DUO:0000024", "publication moratorium"),
    "US": (1 << 9, "DUO:0000026", "user specific restriction"),
    "PS": (1 << 10, "DUO:0000027", "project specific restriction"),
    "IS": (1 << 11, "DUO:0000028", "institution specific restriction"),
    "RTN": (1 << 12, "DUO:0000029", "return to database or resource"),
    "CC": (1 << 13, "DUO:0000043", "clinical care use"),
    "NPOA": (1 << 14, "DUO:0000044", "population origins or ancestry research prohibited"),
    "NPU": (1 << 15, "DUO:0000045", "not for profit organisation use only"),
    "NCU": (1 << 16, "DUO:0000046", "non-commercial use only"),
}

ALL = (1 << len(MODIFIERS)) - 1


def bits(modifiers: Iterable[str]) -> int:
    """The bit set of modifiers by name. Raises InvalidInput for one that DUO does not have."""
    found = 0
    for name in modifiers:
        if name not in MODIFIERS:
            raise InvalidInput(f"{name!r} is not a DUO modifier.", f"Known: {', '.join(MODIFIERS)}.")
        found |= MODIFIERS[name][0]
    return found


def modifiers(mask: int) -> list[str]:
    """The names of the modifiers that are set. Raises InvalidInput for bits that mean nothing."""
    if mask & ~ALL:
        raise InvalidInput(f"{mask:#x} has bits that are no DUO modifier.")
    return [name for name, (bit, _, _) in MODIFIERS.items() if mask & bit]


def permission(name: str) -> Permission:
    """A permission by its name. Raises InvalidInput for one that DUO does not have."""
    if name not in Permission.__members__:
        raise InvalidInput(
            f"{name!r} is not a DUO permission.", f"Known: {', '.join(Permission.__members__)}."
        )
    return Permission[name]


def in_words(mask: int) -> str:
    """Modifiers for people: ``IRB (ethics approval required), PUB (publication required)``; ``none``."""
    return ", ".join(f"{name} ({MODIFIERS[name][2]})" for name in modifiers(mask)) or "none"
