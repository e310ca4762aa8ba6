"""The record of processing activities that GDPR Art. 30(1) asks of a hospital, from the chain and its evidence.

What was done with its datasets is on the chain already: which versions there were, under which terms, in whose jobs,
until when. The vault adds counts. No patient is in it, and nobody writes it by hand; what only people know (the data
protection officer, the legal basis, transfers) is left for them, and said to be missing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from protocol.chain import duo
from protocol.chain.client import Chain
from protocol.chain.consents import ANYONE, Consent, Consents
from protocol.chain.datasets import Datasets, Registered
from protocol.chain.enums import JobStatus
from protocol.chain.events import events
from protocol.chain.hospitals import Hospitals
from protocol.chain.jobs import CONTRACT as JOBS
from protocol.chain.jobs import Jobs
from protocol.chain.models import CONTRACT as MODELS
from protocol.chain.models import Models
from protocol.content import canonical
from protocol.content.ipfs import Ipfs
from protocol.data.images import schema_of
from protocol.errors import ContentError, InvalidInput
from protocol.results import job_record, job_spec
from protocol.spec import JobSpec

if TYPE_CHECKING:
    from protocol.vault.store import Vault

#: What Art. 30(1) asks for and neither chain nor vault knows.
FOR_PEOPLE = (
    "contact of the controller and of its data protection officer (a)",
    "legal basis, and joint controllers if any (a)",
    "transfers to third countries (e)",
)
#: Art. 30(1)(g), as the protocol gives them.
MEASURES = (
    "records, images, salts and keys stay at the hospital, encrypted under a password",
    "identifiers are removed or replaced before anything is kept, by the profile that each version names",
    "the chain holds Merkle roots over salted leaves, counts and terms; IPFS evidence in counts, and model states",
    "a consent token is checked by the contract at every update, and can be revoked at once",
    "a deleted salt makes a record unprovable, and a version without it follows",
)


@dataclass(frozen=True)
class DatasetVersion:
    """A version as registered. ``withdrawn``: records withdrawn up to it, by its evidence; None where that cannot be
    had, or tells of none. ``registered_at``: unix seconds."""

    number: int
    registered_at: int
    train_records: int
    held_out_records: int
    profile: str
    withdrawn: int | None


@dataclass(frozen=True)
class Terms:
    """A consent token's terms in words. ``expires_at``: unix seconds."""

    consent_id: int
    permission: str
    modifiers: list[str]
    grantee: str
    expires_at: int
    revoked: bool
    rounds_used: int
    max_rounds: int


@dataclass(frozen=True)
class Training:
    """A job in which a dataset was used. ``retain_until``: unix seconds; None where its spec cannot be had."""

    job_id: int
    title: str
    researcher: str
    purpose: str
    dataset_version: int
    rounds: int
    status: str
    proposed_at: int
    privacy: str
    retain_until: int | None
    hospitals: list[str]
    models: list[str]


@dataclass(frozen=True)
class Activity:
    """What is done with one dataset. ``data``: what a record holds, by its schema."""

    dataset_id: int
    schema: str
    data: list[str]
    versions: list[DatasetVersion]
    consents: list[Terms]
    trainings: list[Training]


@dataclass(frozen=True)
class Register:
    """The register of one hospital. ``at``: unix seconds of the block it was read at; ``vault``: counts of what is
    kept, empty where the vault was not asked."""

    hospital_id: int
    hospital: str
    at: int
    activities: list[Activity]
    vault: Mapping[str, Any] = field(default_factory=dict)


def register(chain: Chain, ipfs: Ipfs, hospital_id: int, vault: Mapping[str, Any] | None = None) -> Register:
    """What the chain tells of a hospital's datasets. Raises Refused (UnknownHospital)."""
    names = Hospitals(chain).names()
    name = names.get(hospital_id) or Hospitals(chain).name(hospital_id)
    used = _trainings(chain, ipfs, hospital_id, names)
    activities = [
        _activity(chain, ipfs, dataset_id, used.get(dataset_id, []))
        for dataset_id in Datasets(chain).ids_of_hospital(hospital_id)
    ]
    return Register(hospital_id, name, chain.now(), activities, vault or {})


def vault_counts(vault: Vault) -> dict[str, int]:
    """How much the vault keeps, by kind. Raises VaultError."""
    from protocol.vault.records import Records

    images, records = vault.index(), Records(vault)
    return {
        "images": len(images),
        "patients with images": len({each.patient for each in images}),
        "patients with records": records.patients(),
        **{f"records, {kind}": count for kind, count in sorted(records.counts().items())},
    }


def _activity(chain: Chain, ipfs: Ipfs, dataset_id: int, trainings: list[Training]) -> Activity:
    versions, consents = Datasets(chain).versions(dataset_id), Consents(chain)
    ids = consents.ids_of_dataset(dataset_id)
    schema, data = _schema(ipfs, versions[-1].version.schema_digest)
    return Activity(
        dataset_id,
        schema,
        data,
        [_version(chain, ipfs, each) for each in versions],
        [_terms(number, each) for number, each in zip(ids, consents.consents(ids), strict=True)],
        trainings,
    )


def _version(chain: Chain, ipfs: Ipfs, registered: Registered) -> DatasetVersion:
    stated = registered.version
    return DatasetVersion(
        registered.number,
        chain.timestamp(registered.event.block),
        stated.train_records,
        stated.held_out_records,
        stated.profile.rstrip(b"\0").decode("ascii", "replace"),
        _withdrawn(ipfs, stated.evidence_digest),
    )


def _withdrawn(ipfs: Ipfs, digest: bytes) -> int | None:
    found = _document(ipfs, digest).get("withdrawn")
    return found if isinstance(found, int) else None


def _schema(ipfs: Ipfs, digest: bytes) -> tuple[str, list[str]]:
    try:
        schema = schema_of(_document(ipfs, digest))
    except InvalidInput:
        return "cannot be had", []
    # A schema of pictures has no columns.
    return schema.name, list(getattr(schema, "names", ["pictures", "label"]))


def _document(ipfs: Ipfs, digest: bytes) -> dict[str, Any]:
    """The JSON object under a digest; empty where there is none."""
    try:
        found = canonical.loads(ipfs.fetch(digest, canonical.MAX_DOCUMENT_BYTES))
    except (ContentError, InvalidInput):
        return {}
    return found if isinstance(found, dict) else {}


def _terms(consent_id: int, consent: Consent) -> Terms:
    terms = consent.terms
    return Terms(
        consent_id,
        duo.PERMISSIONS[terms.permission][1],
        duo.modifiers(terms.modifiers),
        "anyone" if terms.grantee == ANYONE else terms.grantee,
        terms.expires_at,
        consent.revoked,
        consent.rounds_used,
        terms.max_rounds,
    )


def _trainings(
    chain: Chain, ipfs: Ipfs, hospital_id: int, names: Mapping[int, str]
) -> dict[int, list[Training]]:
    """Jobs that the hospital enrolled in, by dataset."""
    models: dict[int, list[tuple[int, int]]] = {}
    for event in events(chain, MODELS, ["VersionAdded"]):
        models.setdefault(event.args["jobId"], []).append((event.args["modelId"], event.args["version"]))
    found: dict[int, list[Training]] = {}
    for event in events(chain, JOBS, ["Enrolled"], hospitalId=hospital_id):
        place, job_id = event.args["participant"], event.args["jobId"]
        training = _training(chain, ipfs, job_id, place["datasetVersion"], names, models.get(job_id, []))
        found.setdefault(place["datasetId"], []).append(training)
    return found


def _training(
    chain: Chain,
    ipfs: Ipfs,
    job_id: int,
    version: int,
    names: Mapping[int, str],
    made: list[tuple[int, int]],
) -> Training:
    job, record = Jobs(chain).job(job_id), job_record(chain, job_id)
    spec = _spec(chain, ipfs, job_id)
    return Training(
        job_id,
        spec.title if spec else "spec cannot be had",
        job.purpose.researcher,
        _purpose(job.purpose.permission, job.purpose.mondo, job.purpose.pledges),
        version,
        job.final_rounds,
        JobStatus(job.status).name.lower(),
        chain.timestamp(record.proposed.block),
        _privacy(spec),
        spec.retain_until if spec else None,
        [names.get(each, f"hospital {each}") for each in record.hospital_ids],
        [
            f"{model_id}@{number} {Models(chain).version(model_id, number).status.name.lower()}"
            for model_id, number in made
        ],
    )


def _spec(chain: Chain, ipfs: Ipfs, job_id: int) -> JobSpec | None:
    try:
        return job_spec(chain, ipfs, job_id)
    except (ContentError, InvalidInput):
        return None


def _purpose(permission: duo.Permission, mondo: int, pledges: int) -> str:
    disease = f", MONDO:{mondo:07}" if mondo else ""
    pledged = ", ".join(duo.modifiers(pledges))
    return duo.PERMISSIONS[permission][1] + disease + (f"; pledges {pledged}" if pledged else "")


def _privacy(spec: JobSpec | None) -> str:
    if spec is None:
        return "not known"
    noise = f", differential privacy by {spec.privacy.dp.unit}" if spec.privacy.dp else ""
    return f"{spec.privacy.mechanism}{noise}"
