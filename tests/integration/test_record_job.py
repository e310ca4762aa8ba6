"""FHIR records from import to a traced version; a patient withdraws, and the next job trains without the record."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from protocol.data.pseudonyms import SECRET, Pseudonyms
from protocol.devnet import Devnet
from protocol.fhir import synthetic
from protocol.trace import trace
from tests.integration.recording import NAME, Recording

PATIENTS = 50


@pytest.fixture(scope="module")
def four(devnet: Devnet, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Recording]:
    stage = Recording(devnet, tmp_path_factory.mktemp("recording"))
    try:
        yield stage
    finally:
        stage.kill(*stage.hospitals)
        stage.ipfs.close()


def test_records_become_a_model_and_who_withdraws_is_out_of_the_next(four: Recording, tmp_path: Path) -> None:
    patients = list(synthetic.patients(PATIENTS * len(four.hospitals), 11))
    for number, actor in enumerate(four.hospitals):
        four.fill(actor, patients[number :: len(four.hospitals)], tmp_path / actor.name)
    spec = four.record_spec()
    job_id = four.propose(spec=spec)
    four.start(*four.hospitals)
    record = four.finish(job_id, timeout=240)
    everyone = {actor.hospital_id for actor in four.hospitals}
    assert {each.hospital_id for each in record.round(2).merged_updates} == everyone
    version = record.ended.args["version"]
    assert trace(four.chain, four.ipfs, four.model_id, version).holds

    actor = four.hospitals[0]
    pseudonyms = Pseudonyms.open(actor.home / SECRET)
    before = four.dataset(actor)
    number, pseudonym = next(
        (own, each)
        for own in (_patient_of(bundle) for bundle in patients[:: len(four.hospitals)])
        if before.held([each := pseudonyms.patient(own, "fhir")])
    )
    [place] = before.indices_of([pseudonym])
    proof = tmp_path / "proof.json"
    four.said(actor, "dataset", "verify", "--name", NAME, "--prove", str(place), "--out", str(proof))
    assert four.said(actor, "dataset", "verify", "--proof", str(proof))["version"] == 1
    exported = tmp_path / "held.zip"
    assert four.said(
        actor, "vault", "export", "-", "--issuer", "fhir", "--out", str(exported), stdin=f"{number}\n"
    )["resources"]

    gone = four.said(actor, "vault", "withdraw", "-", "--issuer", "fhir", stdin=f"{number}\n")
    assert gone["records"] and gone["datasets"] == [
        {"dataset": NAME, "dataset_id": before.dataset_id, "version": 2, "places": [place]}
    ]
    assert [each["version"] for each in gone["models"]] == [version]
    four.said(actor, "dataset", "append", "--name", NAME, "--account", f"{actor.name}-operator")
    after = four.dataset(actor)
    assert after.indices_of([pseudonym]) == [] and after.revoked() == [1]
    assert (
        four.ran(actor, "dataset", "verify", "--name", NAME, "--prove", str(place), "--out", "x").returncode
        == 1
    )
    register = four.said(actor, "hospital", "processing", str(actor.hospital_id))
    [activity] = [each for each in register["activities"] if each["dataset_id"] == before.dataset_id]
    assert [each["withdrawn"] for each in activity["versions"]] == [0, 1]
    assert (
        four.ran(
            actor,
            "vault",
            "export",
            "-",
            "--issuer",
            "fhir",
            "--out",
            str(exported) + "2",
            stdin=f"{number}\n",
        ).returncode
        == 1
    )

    later = four.finish(four.propose(spec=spec), timeout=240)
    assert later.participants[actor.hospital_id].dataset_version == 2
    assert {each.hospital_id for each in later.round(1).merged_updates} == everyone


def _patient_of(bundle: dict[str, Any]) -> str:
    resources = (each["resource"] for each in bundle["entry"])
    return next(each["id"] for each in resources if each["resourceType"] == "Patient")
