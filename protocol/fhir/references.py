"""References in records: what they mean in their source, and what stands for it.

Understood: "Type/id", with a version, as an absolute URL of the source's own server, the full URL of an entry
("urn:uuid:…"), "Type?identifier=system|value", and an identifier alone where one resource of the source has it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from protocol.data.pseudonyms import Pseudonyms
from protocol.fhir.versions import R4

if TYPE_CHECKING:
    from protocol.fhir.index import Index

PATIENT = "Patient"
ISSUER = "fhir"
_ID = r"[A-Za-z0-9\-.]{1,64}"
ID = re.compile(_ID)
_RELATIVE = re.compile(rf"([A-Z][A-Za-z]+)/({_ID})(?:/_history/{_ID})?")
_ABSOLUTE = re.compile(rf"(https?://[^\s?#]+/)([A-Z][A-Za-z]+)/({_ID})(?:/_history/{_ID})?")
_SEARCH = re.compile(r"([A-Z][A-Za-z]+)\?identifier=([^|&]*)\|([^|&]+)")
_URN = re.compile(r"urn:(?:uuid|oid):([A-Za-z0-9\-.]{1,64})")
_MOST_REMEMBERED = 1 << 16
#: For ids: letters that spell no name and no number.
_LETTERS = bytes.maketrans(b"0123456789abcdef", b"bcdfghjklmnpqrst")

Target = tuple[str, str]
_NOTHING = ("", "")


def encoded(key: bytes) -> str:
    """A key as an id of FHIR: 32 consonants."""
    return key.hex().encode("ascii").translate(_LETTERS).decode("ascii")


class Names:
    """What stands for the resources of a source, and for what they name."""

    def __init__(self, pseudonyms: Pseudonyms, index: Index) -> None:
        self._pseudonyms, self._index = pseudonyms, index
        self._references: dict[str, tuple[str, str]] = {}
        self._targets: dict[str, Target] = {}
        self._keys: dict[Target, bytes] = {}

    def patient(self, patient_id: str) -> str:
        """The pseudonym of a patient, by logical id."""
        return self._pseudonyms.patient(patient_id, ISSUER)

    def uid(self, uid: str) -> str:
        """The UID that stands for one, as in images."""
        return self._pseudonyms.uid(uid)

    def identifier(self, system: str, value: str) -> str:
        """What stands for an identifier."""
        return encoded(self._pseudonyms.resource("Identifier", f"{system}|{value}"))

    def key(self, kind: str, resource_id: str) -> bytes:
        """What stands for a resource (16 bytes)."""
        target = kind, resource_id
        key = self._keys.get(target)
        if key is None:
            key = self._pseudonyms.resource(kind, resource_id)
            _remember(self._keys, target, key)
        return key

    def id(self, kind: str, resource_id: str) -> str:
        """The id that stands for one; a patient's is the pseudonym."""
        return self.patient(resource_id) if kind == PATIENT else encoded(self.key(kind, resource_id))

    def refer(self, reference: dict[str, Any]) -> tuple[str, str]:
        """The reference that stands for a Reference, nothing where it cannot be told what it means; and that of the
        patient whose it is, where the source has it."""
        stated = reference.get("reference")
        known = self._references.get(stated) if type(stated) is str else None
        if known is None:
            target = self.told(reference)
            known = (f"{target[0]}/{self.id(*target)}", self._owner(*target)) if target else _NOTHING
            if target and type(stated) is str and "type" not in reference:
                _remember(self._references, stated, known)
        return known

    def _owner(self, kind: str, resource_id: str) -> str:
        if kind != PATIENT:
            stated = self._index.owner((kind, resource_id))
            target = self.told({"reference": stated}) if stated else None
            if target is None or target[0] != PATIENT:
                return ""
            resource_id = target[1]
        return f"{PATIENT}/{self.patient(resource_id)}"

    def told(self, reference: Any) -> Target | None:
        """As `target`, remembered; None for what is no Reference."""
        if type(reference) is not dict:
            return None
        stated = reference.get("reference")
        if type(stated) is not str or "type" in reference:
            return self.target(reference)
        found = self._targets.get(stated)
        if found is None and (found := self.target(reference)):
            _remember(self._targets, stated, found)
        return found

    def target(self, reference: dict[str, Any]) -> Target | None:
        """Type and id of what a Reference means."""
        stated = reference.get("reference")
        if type(stated) is not str:
            return self._identified(reference)
        if len(stated) > 2048:
            return None
        found = self._index.by_url(stated)
        if found is not None:
            return found or None
        if match := _RELATIVE.fullmatch(stated):
            return (match[1], match[2]) if match[1] in R4 else None
        if match := _ABSOLUTE.fullmatch(stated):
            own = match[1] in self._index.servers and match[2] in R4
            return self._index.by_url(stated.partition("/_history/")[0]) or (
                (match[2], match[3]) if own else None
            )
        if match := _SEARCH.fullmatch(stated):
            return self._index.by_identifier(match[1], unquote(match[2]), unquote(match[3]))
        if match := _URN.fullmatch(stated):
            kind = reference.get("type")
            if match[1] in self._index.people and kind in (None, PATIENT):
                return PATIENT, match[1]
            return (kind, match[1]) if type(kind) is str and kind in R4 else None
        return None

    def _identified(self, reference: dict[str, Any]) -> Target | None:
        identifier = reference.get("identifier")
        if type(identifier) is not dict:
            return None
        system, value, kind = identifier.get("system"), identifier.get("value"), reference.get("type")
        if type(value) is not str or type(system) is not str:
            return None
        return self._index.by_identifier(kind if type(kind) is str else "", system, value)


def _remember(known: dict[Any, Any], name: Any, value: Any) -> None:
    """Within bounds: a source may name more than memory holds."""
    if len(known) >= _MOST_REMEMBERED:
        known.clear()
    known[name] = value
