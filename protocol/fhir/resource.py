"""A de-identified FHIR resource."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Clean:
    """A de-identified resource.

    ``key``: 16 bytes, a keyed hash of "Type/id", the same whenever this resource comes again. ``patient``: pseudonym,
    empty where it is of no patient. ``content``: FHIR JSON with pseudonymised ids and references. ``aliases``: of a
    Patient alone, pseudonyms by which it is found.
    """

    key: bytes
    type: str
    patient: str
    content: dict[str, Any]
    aliases: tuple[str, ...] = ()
