"""The story with records: FHIR bundles of four hospitals become one cohort's datasets, and one model; a patient
withdraws.

Read `RecordsDemo` from top to bottom: the rest of the story is `story.Demo`'s.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from protocol.client import register_dataset
from protocol.cohort.build import build
from protocol.cohort.mapping import CohortMapping
from protocol.cohort.members import left_alone, without
from protocol.data import synthea
from protocol.data.pseudonyms import SECRET, Pseudonyms
from protocol.data.schema import DataSchema
from protocol.data.splits import MIN_RECORDS, split_key
from protocol.demo.figures import Outcome
from protocol.demo.report import DemoReport, RecordsResult
from protocol.demo.stage import HospitalActor
from protocol.demo.story import Demo
from protocol.errors import DataUnavailable, DevnetError
from protocol.fhir import synthetic
from protocol.fhir.importing import deidentified
from protocol.fhir.reading import Refused, Source
from protocol.fhir.rules import Rules
from protocol.holdings import proven_version, registered_version
from protocol.notes.deidentify import Deidentifier
from protocol.processing import register
from protocol.templates import Template
from protocol.vault.leaves import verify_erasure, verify_record
from protocol.vault.record_dataset import RecordDataset
from protocol.vault.records import Records
from protocol.vault.store import Vault, folder_of
from protocol.withdrawal import models_that_used

#: Made-up hospitals, to whom the patients are dealt.
NAMES = ("north", "east", "south", "west")
COHORT = "prediabetes"
SEED, PATIENTS = 7, 120
HELD_OUT_SHARE = 0.5


@dataclass(frozen=True)
class Bundles:
    """A hospital's patients, a FHIR bundle each."""

    name: str
    bundles: list[Mapping[str, Any]]


@dataclass(frozen=True)
class RecordsData:
    """Patients by hospital, the cohort's mapping and schema, and the job template. ``note`` says why the patients are
    not the first choice."""

    title: str
    hospitals: list[Bundles]
    mapping: CohortMapping
    schema: DataSchema
    template: Template
    note: str = ""
    name: str = COHORT

    @classmethod
    def find(cls) -> RecordsData:
        """The Synthea patients; where they cannot be had, patients that are made here, in their shape."""
        mapping = CohortMapping.packaged(COHORT)
        try:
            patients, title, note = list(synthea.bundles()), "Synthea patients", ""
        except DataUnavailable as missing:
            patients, title = list(synthetic.patients(PATIENTS, SEED)), "made-up patients"
            note = f"The Synthea patients cannot be had: {missing} Patients are made here instead."
        return cls(
            f"{len(patients)} {title}, dealt to four hospitals",
            [Bundles(name, each) for name, each in zip(NAMES, _dealt(patients), strict=True)],
            mapping,
            mapping.schema(),
            Template.load(COHORT),
            note,
        )


class RecordsDemo(Demo):
    """The story, with records that are imported, and a patient who withdraws at its end."""

    data: RecordsData

    def _dataset(self, actor: HospitalActor) -> RecordDataset:
        """A hospital's dataset, made from its bundles the first time."""
        vault, place = self._vault(actor.home), actor.home / "datasets" / self.data.name
        if place.exists():
            return RecordDataset.open(place, vault=vault)
        pseudonyms = Pseudonyms.open(actor.home / SECRET, make=True)
        vault.bind(pseudonyms.check)
        self._import(actor, vault, pseudonyms)
        cohort = build(Records(vault), self.data.mapping, at=pseudonyms.today)
        left_out = sum(cohort.left_out.values())
        self._line(
            f"   a cohort of {len(cohort.rows)} patients, {cohort.labels[1]} with the diagnosis, nobody in a class of"
            f" fewer than {cohort.report['k']}; {left_out} left out"
        )
        rows = [(row.patient, row.record) for row in cohort.rows]
        return RecordDataset.create(
            place,
            self.data.schema,
            rows,
            vault,
            held_out=HELD_OUT_SHARE,
            source=cohort.report,
            split_key=split_key([patient for patient, _ in rows], HELD_OUT_SHARE),
        )

    def _vault(self, home: Path) -> Vault:
        make = Vault.open if folder_of(home).exists() else Vault.create
        return make(home, self.stage.devnet.accounts.password)

    def _import(self, actor: HospitalActor, vault: Vault, pseudonyms: Pseudonyms) -> None:
        """What `salus records import` does."""
        bundles = actor.records.bundles
        with tempfile.TemporaryDirectory(prefix="salus-bundles-") as folder:
            paths = []
            for number, bundle in enumerate(bundles):
                paths.append(Path(folder) / f"{number:04}.json")
                paths[-1].write_text(json.dumps(bundle), encoding="utf-8")
            rules = Rules.packaged()
            source = deidentified(Source(paths), rules, pseudonyms, Deidentifier())
            with Records(vault).importing(rules.digest().hex()) as work:
                for each in source:
                    if isinstance(each, Refused):
                        raise DevnetError(f"{each.file}, {each.number}: {each.reason}")
                    work.add(each)
        self._line(
            f"{actor.name}: {len(bundles)} FHIR bundles, {work.outcome.new:,} resources kept, encrypted"
        )

    def _second_act(self, outcome: Outcome, report: DemoReport) -> None:  # noqa: ARG002
        actor = self.hospitals[0]
        self._step(12, f"A patient of {actor.name} withdraws")
        before: RecordDataset = actor.dataset
        vault = self._vault(actor.home)
        patient = self._somebody(actor, before)
        if patient is None:
            self._line("nobody this time: it would leave fewer than 10 records on a side")
            return
        index = before.indices_of([patient])[0]
        proof = before.prove(index)
        version = proven_version(self.chain, before.dataset_id, proof)
        self._line(f"before: record {index} is in version {version.number}, and its proof holds")
        roots = [RecordDataset.open(before.folder, number).root for number in before.held([patient])]
        gone = Records(vault).withdraw(patient)
        after = without(before, [patient])
        register_dataset(self.chain.with_signer(actor.operator), self.ipfs, after)
        newest = registered_version(self.chain, after)
        if verify_record(newest.version.root, proof):
            raise DevnetError("A proof of a withdrawn record still holds.")
        erased = after.erasure([patient])
        if not verify_erasure(newest.version.root, erased):
            raise DevnetError("The proof of erasure does not hold.")
        actor.dataset = after
        self._line(
            f"{gone} resources went, salts with them; version {newest.number} holds nothing at"
            f" {len(erased.places)} place, which its proof of erasure shows and names nobody"
        )
        used = models_that_used(self.chain, after.dataset_id, roots)
        models = [f"{each.model_id}@{each.version}" for each in used]
        self._line(f"models that had learned from it, and keep what they learned: {', '.join(models)}")
        self._step(13, "The hospital's record of processing activities (GDPR Art. 30) shows it")
        [activity] = register(self.chain, self.ipfs, actor.hospital_id).activities
        withdrawn = activity.versions[-1].withdrawn or 0
        self._line(
            f"dataset {activity.dataset_id}: {len(activity.versions)} versions, {withdrawn} withdrawn;"
            f" {len(activity.trainings)} jobs, {len(activity.consents)} consent tokens"
        )
        report.records = RecordsResult(
            actor.name,
            gone,
            after.dataset_id,
            [version.number, newest.number],
            len(erased.places),
            models,
            withdrawn,
        )

    def _somebody(self, actor: HospitalActor, dataset: RecordDataset) -> str | None:
        """The first patient of the hospital's bundles, by pseudonym, without whose record enough are left to train on
        and to report on; None when there is none."""
        pseudonyms = Pseudonyms.open(actor.home / SECRET)
        sides = (dataset.train_records, dataset.held_out_records)
        for bundle in actor.records.bundles:
            patient = pseudonyms.patient(_patient_id(bundle), "fhir")
            places = dataset.indices_of([patient])
            if not places or left_alone(dataset, [patient]):
                continue
            if sides[dataset.prove(places[0]).split] > MIN_RECORDS:
                return patient
        return None


def _dealt(patients: list[Mapping[str, Any]]) -> Iterator[list[Mapping[str, Any]]]:
    """Patients to hospitals in turn, in an order that says nothing of them."""
    shuffled = sorted(patients, key=lambda each: hashlib.sha256(_patient_id(each).encode()).digest())
    for place in range(len(NAMES)):
        yield list(islice(shuffled, place, None, len(NAMES)))


def _patient_id(bundle: Mapping[str, Any]) -> str:
    resources: Iterable[Mapping[str, Any]] = (each["resource"] for each in bundle["entry"])
    return next(each["id"] for each in resources if each["resourceType"] == "Patient")
