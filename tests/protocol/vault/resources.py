"""De-identified resources as an import of FHIR hands them to the vault."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any

from protocol.fhir.resource import Clean
from protocol.vault.records import Import, Records
from protocol.vault.store import Vault

#: Little enough that a few hundred resources are spooled and merged.
SMALL = 1 << 18


def clean(
    kind: str, number: object, patient: str = "", /, *, aliases: Iterable[str] = (), **content: Any
) -> Clean:
    """Resource `kind`/`number`, the same key whatever else it has."""
    key = hashlib.sha256(f"{kind}/{number}".encode()).digest()[:16]
    return Clean(
        key, kind, patient, {"resourceType": kind, "id": str(number), **content}, tuple(sorted(aliases))
    )


def observation(number: int, patient: str, value: object = 0) -> Clean:
    return clean("Observation", number, patient, valueInteger=value, note="n" * 200)


def patient(name: str, *links: str, aliases: Iterable[str] = ()) -> Clean:
    """The Patient resource of a pseudonym; its id is in small letters."""
    linked = {"link": [{"other": {"reference": each}, "type": "seealso"} for each in links]} if links else {}
    return clean("Patient", name.lower(), name, aliases=aliases, **linked)


def cohort(patients: int, each: int, value: object = 0) -> list[Clean]:
    """Patients P0, P1 … with observations, in an order that is nobody's."""
    found = [patient(f"P{number}", aliases=[f"MRN{number}"]) for number in range(patients)]
    found += [
        observation(number * each + place, f"P{number}", value)
        for place in range(each)
        for number in range(patients)
    ]
    return found


def bring(records: Records, cleans: Iterable[Clean]) -> Import:
    """Imports all of them."""
    with records.importing() as work:
        for each in cleans:
            work.add(each)
    return work


def held(records: Records) -> dict[bytes, Clean]:
    """Everything that is there, each key once."""
    found: dict[bytes, Clean] = {}
    for each in records.scan():
        assert each.key not in found, "each key once"
        found[each.key] = each
    return found


def by_key(cleans: Iterable[Clean]) -> dict[bytes, Clean]:
    return {each.key: each for each in cleans}


def rows_on_disk(vault: Vault) -> list[tuple[bytes, str]]:
    """Key and patient of every row in every file that counts, of those too who withdrew."""
    return [
        row
        for head in Records(vault)._heads(withdrawn=True)
        for row in zip(head["key"].to_pylist(), head["patient"].to_pylist(), strict=True)
    ]
