"""Synthea's patients, where they can be had: all are taken, and no name, number or date of theirs survives."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from protocol.data import synthea
from protocol.errors import DataUnavailable
from protocol.fhir.known import names_in
from tests.protocol.fhir import planted
from tests.protocol.fhir.made import PSEUDONYMS, KnownOnly, imported, parted, write

PSEUDONYM = re.compile(r"(?:[A-Za-z]+/)?(?:[bcdfghjklmnpqrst]{32}|[A-Z2-7]{16})")
NAMED = ("Patient", "Practitioner", "Organization")


@pytest.fixture(scope="module")
def bundles() -> list[dict[str, Any]]:
    try:
        return list(synthea.bundles())
    except DataUnavailable as missing:
        pytest.skip(missing.message)


def words(bundle: dict[str, Any]) -> Iterator[str]:
    """Names, addresses, numbers and ids of everybody in a bundle."""
    for resource in (each["resource"] for each in bundle["entry"]):
        yield resource["id"]
        if resource["resourceType"] in NAMED[:2]:
            # Short numbers are within others by chance.
            yield from (each for each in names_in(resource) if len(each) > (7 if each.isdigit() else 3))


def people(bundles: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for bundle in bundles:
        resources = (each["resource"] for each in bundle["entry"])
        yield from (each for each in resources if each["resourceType"] == "Patient")


def test_all_are_taken_and_nothing_of_them_survives(bundles, tmp_path):
    for number, each in enumerate(bundles):
        write(tmp_path / f"{number:02}.json", each)
    items = imported(tmp_path, notes=KnownOnly())
    clean, refused = parted(items)
    assert not refused
    given = Counter(each["resource"]["resourceType"] for bundle in bundles for each in bundle["entry"])
    shared = {each for each in given if each in NAMED[1:]}
    assert Counter(each.type for each in clean if each.type not in shared) == Counter(
        {kind: count for kind, count in given.items() if kind not in shared}
    )
    texts = {text for each in clean for text in planted.texts_of(each.content)}
    text = "\n".join(each for each in texts if not PSEUDONYM.fullmatch(each))
    wanted = {word for bundle in bundles for word in words(bundle)}
    assert len(wanted) > 1_200
    assert not [word for word in wanted if word in text]
    own = {each.patient: each.content["birthDate"] for each in clean if each.type == "Patient"}
    born = {PSEUDONYMS.patient(each["id"], "fhir"): each["birthDate"] for each in people(bundles)}
    assert all(len(year) == 4 and year != born[patient][:4] for patient, year in own.items())
    # Codes, units and quantities are there.
    report = items.report
    assert report["elements"]["kept"] > 250_000
    assert report["removed"]["no code of its system"] < 200
