"""The Synthea patients are imported; then every byte that is kept or published is searched for what names them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
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

_FULL_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
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
    words = sorted({word for bundle in bundles for word in _words(bundle)})
    assert len(words) > 99 * 8, "the search must know what it searches for"
    wanted = re.compile("|".join(rf"(?<![\w-]){re.escape(word)}(?![\w-])" for word in words))

    vault = Vault.open(actor.home, one.devnet.accounts.password)
    pseudonyms = Pseudonyms.open(actor.home / SECRET)
    own_dates = {
        pseudonyms.patient(_patient(bundle)["id"], "fhir"): set(_FULL_DATE.findall(json.dumps(bundle)))
        for bundle in bundles
    }
    seen = 0
    for clean in Records(vault).scan():
        text = json.dumps(clean.content, ensure_ascii=False)
        assert not wanted.search(text), f"a {clean.type}"
        assert not own_dates.get(clean.patient, set()) & set(_FULL_DATE.findall(text)), (
            f"a date of a {clean.type}"
        )
        seen += 1
    assert seen > 20_000

    everywhere = re.compile("|".join(re.escape(word) for word in words if len(word) > 7).encode())
    dates = re.compile("|".join(sorted({d for each in own_dates.values() for d in each})).encode())
    places = [*_files(actor.home), *_files(one.devnet.folder), *_of_chain(one)]
    assert any(b"salus/evidence" in content for _, content in places), "the evidence must be among them"
    for place, content in places:
        assert not everywhere.search(content), place
        # Years of the patients' dates are not ours: no log of today holds one by chance.
        assert not dates.search(content), place


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
