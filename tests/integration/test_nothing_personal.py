"""The Synthea patients are imported; then every byte that is kept or published is searched for what names them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from protocol.data import synthea
from protocol.data.pseudonyms import SECRET, Pseudonyms
from protocol.devnet import Devnet
from protocol.errors import DataUnavailable
from protocol.vault.records import Records
from protocol.vault.store import Vault
from tests.integration.recording import Recording

_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
_MOMENT = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}")
_TOKEN = re.compile(r"[\w-]+")
#: Shorter texts are parts of others by chance.
_SHORTEST = 4
_NAMING = ("name", "address", "telecom", "identifier", "photo", "contact", "extension")
#: What coded elements of Patient extensions say of nobody alone.
_CODED = {"url", "system", "code", "use", "display"}


class Anonymous(Recording):
    """One hospital, beside those of the other tests."""

    name = "anonymous"


@pytest.fixture(scope="module")
def one(devnet: Devnet, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Anonymous]:
    stage = Anonymous(devnet, tmp_path_factory.mktemp("anonymous"), size=1)
    try:
        yield stage
    finally:
        stage.ipfs.close()


def test_no_identifier_of_the_synthea_patients_survives_anywhere(one: Anonymous, tmp_path: Path) -> None:
    try:
        bundles = list(synthea.bundles())
    except DataUnavailable as missing:
        pytest.skip(missing.message)
    actor = one.hospitals[0]
    one.fill(actor, bundles, tmp_path / "bundles")
    wanted = Wanted(word for bundle in bundles for word in _words(bundle))
    assert len(wanted.words) > 99 * 8, "the search must know what it searches for"

    vault = Vault.open(actor.home, one.devnet.accounts.password)
    pseudonyms = Pseudonyms.open(actor.home / SECRET)
    moments = {pseudonyms.patient(_patient(each)["id"], "fhir"): set(_moments(each)) for each in bundles}
    born = {pseudonyms.patient(_patient(each)["id"], "fhir"): _patient(each)["birthDate"] for each in bundles}
    kept = []
    for clean in Records(vault).scan():
        text = json.dumps(clean.content, ensure_ascii=False)
        # A moved day may be another of the patient's by chance; day and time of day together are not.
        assert not moments.get(clean.patient, set()) & set(_moments(clean.content)), (
            f"a date of a {clean.type}"
        )
        assert clean.type != "Patient" or born[clean.patient] not in text
        kept.append(text)
    assert len(kept) > 20_000
    assert not wanted.found_in("\n".join(kept), least=_SHORTEST)

    days = {day for bundle in bundles for day in _DAY.findall(json.dumps(bundle))}
    places = [*_files(actor.home), *_files(one.devnet.deployment_file.parent), *_of_chain(one)]
    assert any(b"salus/evidence" in content for _, content in places), "the evidence must be among them"
    for place, content in places:
        text = content.decode("utf-8", "replace")
        # What is encrypted holds short words by chance.
        assert not wanted.found_in(text, least=8), place
        assert not days & set(_DAY.findall(text)), place


class Wanted:
    """Words and phrases to be searched for, many at once."""

    def __init__(self, words: Iterable[str]) -> None:
        self.words = set(words)
        self._tokens = {each for each in self.words if _TOKEN.fullmatch(each)}

    def found_in(self, text: str, least: int) -> set[str]:
        """Those of at least so many characters that stand in a text as whole words."""
        tokens = self._tokens.intersection(_TOKEN.findall(text))
        found = tokens | self._phrases(text)
        # Four digits are a year too.
        return {each for each in found if len(each) >= (max(5, least) if each.isdigit() else least)}

    def _phrases(self, text: str) -> set[str]:
        return {each for each in self.words - self._tokens if each in text}


def _moments(value: Any) -> Iterator[str]:
    """Every dateTime in a resource, in UTC to the second."""
    if isinstance(value, dict | list):
        for each in value.values() if isinstance(value, dict) else value:
            yield from _moments(each)
    elif isinstance(value, str) and _MOMENT.match(value):
        yield datetime.fromisoformat(value).astimezone(UTC).isoformat(timespec="seconds")


def _words(bundle: Mapping[str, Any]) -> Iterator[str]:
    """Names, addresses, numbers and ids of everybody in a bundle."""
    for resource in (each["resource"] for each in bundle["entry"]):
        yield resource["id"]
        if resource["resourceType"] in ("Patient", "Practitioner", "Organization"):
            if resource["resourceType"] == "Patient":
                yield resource["birthDate"]
            for element in _NAMING:
                if resource["resourceType"] != "Organization" or element != "name":
                    yield from (text for text in _texts(resource.get(element)) if len(text) >= _SHORTEST)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for name, each in value.items():
            if name not in _CODED and not name.startswith("valueCod"):
                yield from _texts(each)
    elif isinstance(value, list):
        for each in value:
            yield from _texts(each)
    elif isinstance(value, str):
        yield value


def _patient(bundle: Mapping[str, Any]) -> Mapping[str, Any]:
    resources = (each["resource"] for each in bundle["entry"])
    return next(each for each in resources if each["resourceType"] == "Patient")


def _files(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Every file, the blocks of IPFS among them."""
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            yield str(path.relative_to(folder)), path.read_bytes()


def _of_chain(stage: Recording) -> Iterable[tuple[str, bytes]]:
    """Inputs of all transactions, and what events say."""
    rpc = stage.chain.rpc
    for number in range(int(rpc.request("eth_blockNumber"), 16) + 1):
        block = rpc.request("eth_getBlockByNumber", hex(number), True)
        for transaction in block["transactions"]:
            yield f"transaction {transaction['hash']}", bytes.fromhex(transaction["input"][2:])
            receipt = rpc.request("eth_getTransactionReceipt", transaction["hash"])
            for entry in receipt["logs"]:
                yield f"event of {transaction['hash']}", bytes.fromhex(entry["data"][2:])
