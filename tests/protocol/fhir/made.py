"""FHIR for tests: small resources, files of them, and a stand-in for the notes' de-identification."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from protocol.data.pseudonyms import Pseudonyms
from protocol.fhir.importing import Deidentified, deidentified
from protocol.fhir.reading import Refused, Source
from protocol.fhir.resource import Clean
from protocol.fhir.rules import Rules

PSEUDONYMS = Pseudonyms(bytes(range(32)))
RULES = Rules.packaged()
TODAY = date(2026, 1, 1)
LOINC, SNOMED = "http://loinc.org", "http://snomed.info/sct"

JSON = dict[str, Any]


@dataclass
class CleanedText:
    text: str
    found: dict[str, int]


class KnownOnly:
    """Masks what is known, and nothing else."""

    def clean(self, text: str, known: Iterable[str] = ()) -> CleanedText:
        found = 0
        for value in sorted(known, key=len, reverse=True):
            text, times = re.subn(re.escape(value), "[KNOWN]", text, flags=re.IGNORECASE)
            found += times
        return CleanedText(text, dict(Counter({"KNOWN": found})))

    def clean_html(self, html: str, known: Iterable[str] = ()) -> CleanedText:
        return self.clean(re.sub(r"<[^>]*>", " ", html), known)


class Nothing:
    """Finds nothing: what then survives, the second look has to find."""

    def clean(self, text: str, known: Iterable[str] = ()) -> CleanedText:  # noqa: ARG002
        return CleanedText(text, {})

    clean_html = clean


def patient(own: str = "p1", **more: Any) -> JSON:
    return {"resourceType": "Patient", "id": own, "gender": "female", "birthDate": "1980-02-03", **more}


def observation(own: str = "o1", of: str = "Patient/p1", **more: Any) -> JSON:
    return {
        "resourceType": "Observation",
        "id": own,
        "status": "final",
        "code": {"coding": [{"system": LOINC, "code": "8302-2", "display": "Body Height"}]},
        "subject": {"reference": of},
        **more,
    }


def condition(own: str = "c1", of: str = "Patient/p1", code: str = "44054006", **more: Any) -> JSON:
    return {
        "resourceType": "Condition",
        "id": own,
        "code": {"coding": [{"system": SNOMED, "code": code}]},
        "subject": {"reference": of},
        **more,
    }


def bundle(*resources: JSON, kind: str = "collection", urls: Sequence[str] = ()) -> JSON:
    entries = [{"resource": each} for each in resources]
    for entry, url in zip(entries, urls, strict=False):
        entry["fullUrl"] = url
    return {"resourceType": "Bundle", "type": kind, "entry": entries}


def write(path: Path, *documents: Any) -> Path:
    """One JSON document, or NDJSON of several."""
    path.write_text("\n".join(json.dumps(each, ensure_ascii=False) for each in documents), encoding="utf-8")
    return path


def ndjson(folder: Path, *resources: Any) -> Path:
    path = folder / "resources.ndjson"
    path.write_text(
        "".join(json.dumps(each, ensure_ascii=False) + "\n" for each in resources), encoding="utf-8"
    )
    return path


def imported(*paths: Path, notes: Any = None, rules: Rules = RULES, **more: Any) -> Deidentified:
    return deidentified(Source(list(paths)), rules, PSEUDONYMS, notes, today=TODAY, **more)


def parted(items: Iterable[Clean | Refused]) -> tuple[list[Clean], list[Refused]]:
    """What was taken, and what was refused."""
    clean: list[Clean] = []
    refused: list[Refused] = []
    for each in items:
        (clean if isinstance(each, Clean) else refused).append(each)  # type: ignore[arg-type]
    return clean, refused


def cleaned(folder: Path, *resources: Any, **more: Any) -> list[Clean]:
    """Of resources of which none may be refused."""
    clean, refused = parted(imported(ndjson(folder, *resources), **more))
    assert not refused
    return clean


def one(folder: Path, resource: JSON, *others: Any, **more: Any) -> JSON:
    """The content of one resource, brought in beside others."""
    others = others or (patient(),)
    return next(
        each.content
        for each in cleaned(folder, *others, resource, **more)
        if each.key == PSEUDONYMS.resource(resource["resourceType"], resource["id"])
    )


def text_of(items: Iterable[Clean]) -> str:
    return json.dumps([each.content for each in items], ensure_ascii=False)
