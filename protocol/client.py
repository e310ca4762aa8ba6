"""What a person does in several steps at once: pin the documents, then tell the chain.

Each function validates first, pins next and sends last, so that a refusal leaves files, pins and chain as they were,
and work that died half-way can simply be done again. The command line and the demonstration both call these.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from filelock import FileLock

from protocol.chain.client import Chain, Receipt
from protocol.chain.consents import Consents, Terms
from protocol.chain.datasets import Datasets, Version
from protocol.chain.hospitals import Hospitals
from protocol.chain.jobs import Jobs, Phases
from protocol.chain.models import Models
from protocol.chain.rewards import Rewards
from protocol.content import canonical, digests, vectors
from protocol.content.cid import digest_of
from protocol.content.ipfs import Ipfs
from protocol.content.vectors import VectorRef
from protocol.errors import ContentError, InvalidInput, LearningError, Refused
from protocol.learning import privacy, zoo
from protocol.proposal import proposal_of
from protocol.spec import JobSpec

if TYPE_CHECKING:
    from protocol.vault.images import HospitalDataset

REGISTERING = ".registering"


@dataclass(frozen=True)
class Match:
    """Whether one consent would allow a job, and the first reason why not."""

    hospital_id: int
    dataset_id: int
    consent_id: int
    reason: str

    @property
    def allowed(self) -> bool:
        return not self.reason


def register_dataset(chain: Chain, ipfs: Ipfs, dataset: HospitalDataset) -> Receipt:
    """Pins schema and evidence of an anonymised dataset and registers it, or appends it as the next version.

    One process at a time: the chain has the versions in the folder's order, and each once. Raises InvalidInput when the
    folder has a newer version, or the chain has this one.
    """
    with FileLock(dataset.folder / REGISTERING, mode=0o600):
        newest = dataset.newest()
        if newest.root != dataset.root:
            raise InvalidInput(
                f"{dataset.folder.name} has a newer version than this one.", "Register that one."
            )
        if is_newest(chain, newest):
            raise InvalidInput(
                f"Dataset {newest.dataset_id} is already registered with exactly these records.",
                "Nothing needs to be done.",
            )
        datasets, version = Datasets(chain), version_of(dataset)
        for document in (canonical.dumps(dataset.schema.to_dict()), dataset.evidence()):
            ipfs.add(document)
        if newest.dataset_id is not None:
            return datasets.append(newest.dataset_id, version)
        receipt = datasets.register(version)
        dataset.remember_id(receipt.event("DatasetVersionRegistered").args["datasetId"])
        return receipt


def version_of(dataset: HospitalDataset) -> Version:
    """What the chain gets of a dataset's version."""
    return Version(
        root=dataset.root,
        train_records=dataset.train_records,
        held_out_records=dataset.held_out_records,
        schema_digest=dataset.schema.digest(),
        profile=digests.profile_bytes(dataset.profile),
        evidence_digest=digest_of(dataset.evidence()),
    )


def is_newest(chain: Chain, dataset: HospitalDataset) -> bool:
    """Whether a dataset's version is the chain's newest, by its newest block."""
    if dataset.dataset_id is None:
        return False
    datasets, version = Datasets(chain), version_of(dataset)
    stored = datasets.version(dataset.dataset_id, datasets.version_count(dataset.dataset_id))
    return stored.commitment == digests.dataset_commitment(
        version.root, version.schema_digest, version.profile, version.evidence_digest
    )


def create_model(chain: Chain, ipfs: Ipfs, name: str, base: np.ndarray) -> tuple[int, VectorRef]:
    """Pins a base state int32[lanes] and creates a model that starts from it; returns its id and the state's name."""
    ref = vectors.put_vector(ipfs, base)
    receipt = Models(chain).create(name, ref)
    return receipt.event("ModelCreated").args["modelId"], ref


def check_base(chain: Chain, spec: JobSpec, model_id: int, base_version: int) -> None:
    """Raises InvalidInput unless the spec starts from exactly this version's state."""
    state = Models(chain).version(model_id, base_version).state
    if (state.cid, state.root) != (spec.base.cid, spec.base.root):
        raise InvalidInput(
            f"The spec starts from another state than version {base_version} of model {model_id}.",
            "Put that version's state into `base` (`salus model show`).",
        )


def propose_job(
    chain: Chain,
    ipfs: Ipfs,
    spec: JobSpec,
    *,
    model_id: int,
    base_version: int,
    phases: Phases,
    reward_token: str,
    reward_amount: int,
) -> Receipt:
    """Pins a spec and proposes it with its reward in escrow. ``reward_amount`` in the token's smallest unit."""
    check_base(chain, spec, model_id, base_version)
    ipfs.add(spec.to_bytes())
    Rewards(chain).approve(reward_token, reward_amount)
    return Jobs(chain).propose(
        proposal_of(
            spec,
            researcher=chain.signer.address,
            model_id=model_id,
            base_version=base_version,
            phases=phases,
            reward_token=reward_token,
            reward_amount=reward_amount,
        )
    )


def matching_consents(chain: Chain, spec: JobSpec, researcher: str) -> list[Match]:
    """Every consent on the chain held against a spec: which would match, and why the others would not."""
    purpose = proposal_of(
        spec,
        researcher=researcher,
        model_id=0,
        base_version=0,
        phases=Phases.of_seconds(1),
        reward_token="",
        reward_amount=0,
    ).purpose
    consents, datasets = Consents(chain), Datasets(chain)
    matches = []
    for consent_id in range(1, consents.count() + 1):
        consent = consents.consent(consent_id)
        dataset_id = consent.terms.dataset_id
        reason = ""
        try:
            consents.check(consent_id, consent.hospital_id, purpose)
        except Refused as refusal:
            reason = refusal.message
        if not reason and datasets.latest(dataset_id).schema_digest != spec.schema_digest:
            reason = f"Dataset {dataset_id} has another schema than the spec."
        if not reason and Hospitals(chain).hospital(consent.hospital_id).suspended:
            reason = f"Hospital {consent.hospital_id} is suspended."
        if not reason and spec.privacy.dp:
            reason = _over_budget(consents, consent.terms, spec, datasets.latest(dataset_id).train_records)
        matches.append(Match(consent.hospital_id, dataset_id, consent_id, reason))
    return matches


def _over_budget(consents: Consents, terms: Terms, spec: JobSpec, train_records: int) -> str:
    """Why a consent's budget cannot cover all rounds of a job with differential privacy; empty when it may."""
    spent = consents.epsilon_spent_micro(terms.dataset_id)
    try:
        needed = max(spent, privacy.least_micro(spec, train_records, spec.rounds))
    except LearningError as error:
        return error.message
    if needed <= terms.epsilon_budget_micro:
        return ""
    return (
        f"The job brings dataset {terms.dataset_id} to an epsilon of at least {needed / privacy.MICRO:g}; the consent"
        f" allows {terms.epsilon_budget_micro / privacy.MICRO:g}."
    )


def pull_state(chain: Chain, ipfs: Ipfs, model_id: int, version: int) -> tuple[JobSpec | None, np.ndarray]:
    """A version's state, int32[lanes], matched to both digests, and the spec of its job (None for a base)."""
    stored = Models(chain).version(model_id, version)
    state = vectors.get_vector(ipfs, VectorRef(stored.state.cid, stored.state.root), None)
    if not stored.job_id:
        return None, state
    spec = JobSpec.parse(ipfs.fetch(Jobs(chain).job(stored.job_id).spec_digest, canonical.MAX_DOCUMENT_BYTES))
    lanes = zoo.layout(spec.model, spec.state).lanes
    if len(state) != lanes:
        raise ContentError(
            f"Version {version} of model {model_id} holds {len(state):,} numbers; its architecture has {lanes:,}."
        )
    return spec, state
