"""How a hospital comes into a job: its policy, its data, its consents, its bond, its mask key."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from protocol.chain.bonds import Bonds
from protocol.chain.consents import Consents
from protocol.chain.datasets import Datasets
from protocol.chain.jobs import NO_KEY, Job, Jobs, Participant
from protocol.chain.models import Models
from protocol.content import vectors
from protocol.content.ipfs import Ipfs
from protocol.content.spool import Spool
from protocol.content.unhurried import Unhurried
from protocol.content.vectors import VectorRef
from protocol.errors import AdmissionRefused, JobKeyError, NodeError, Refused
from protocol.learning import zoo
from protocol.learning.masks import JobKey
from protocol.node.content import JobContent
from protocol.node.history import JobHistory
from protocol.node.job_keys import JobKeys
from protocol.node.journal import Journal
from protocol.node.places import JobPlace
from protocol.node.policy import Policy
from protocol.node.privacy_budget import PrivacyBudget
from protocol.node.updates import Updates
from protocol.node.watch import ChainWatch
from protocol.node.worker import JobWorker
from protocol.proposal import differences
from protocol.spec import JobSpec
from protocol.vault.images import HospitalDataset, opened

if TYPE_CHECKING:
    from protocol.vault.store import Vault

log = logging.getLogger(__name__)

SPOOL = "spool"


class Joining:
    """Brings one hospital into jobs, and takes up those that it is already in."""

    def __init__(
        self,
        jobs: Jobs,
        ipfs: Ipfs,
        home: Path,
        policy: Policy,
        hospital_id: int,
        journal: Journal,
        keys: JobKeys,
        vault: Vault | None = None,
    ) -> None:
        self.jobs, self.chain, self.ipfs, self.home = jobs, jobs.chain, ipfs, home
        self.policy, self.hospital_id, self.journal, self.keys = policy, hospital_id, journal, keys
        self.vault = vault
        self._bases = Unhurried(ipfs)

    def join(
        self, watch: ChainWatch, job_id: int, job: Job, spec: JobSpec, place: Participant | None
    ) -> JobWorker:
        """Enrols, where ``place`` is None, if policy, consents, bond and spec allow it; the worker of the job.

        A job that the hospital is in though its policy is against it (a stolen operator key enrolled it, or the policy
        has changed) gets no update; its merges are still checked. Raises AdmissionRefused with every reason against it,
        Refused, NodeError, ContentError.
        """
        dataset = self._dataset_for(spec, place)
        base = self._checked_base(spec, job_id)
        lanes = zoo.layout(spec.model, spec.state).lanes
        against = self.policy.reasons_against(spec, job.purpose.researcher, dataset.train_records, job.phases)
        if place is None:
            self.policy.require(against, job_id)
            # A hospital that cannot begin would only hold the others up.
            vectors.get_vector(self._bases, base, lanes)
            self._enrol(job_id, job, spec, dataset)
        key, unable = self._key(job_id) if spec.masked else (None, "")
        if against:
            unable = f"this hospital's policy does not admit it: {'; '.join(against)}"
        if unable:
            log.error("job %s: this hospital sends no update: %s", job_id, unable)
        spool = Spool(JobPlace.on(self.chain, job_id).folder(self.home / SPOOL))
        return JobWorker(
            self.jobs,
            JobHistory(watch, job_id),
            JobContent(self.ipfs, spool, lanes, job_id),
            Updates(
                self.chain,
                self.journal,
                self.hospital_id,
                job_id,
                spec,
                dataset,
                self.policy.max_round_seconds,
                key,
                unable,
            ),
            bond_again=self.policy.bond_again,
        )

    def _key(self, job_id: int) -> tuple[JobKey | None, str]:
        """This hospital's mask key for a job that it is in, or why there is none."""
        try:
            key = self.keys.find(JobPlace.on(self.chain, job_id))
        except JobKeyError as error:
            return None, error.message
        return (key, "") if key else (None, "its mask key for this job is not in its home")

    def _checked_base(self, spec: JobSpec, job_id: int) -> VectorRef:
        """The state that the job starts from, once the spec says what the proposal says, as its confirmed event has it:
        the newest blocks may yet go."""
        proposal = self.jobs.proposal(job_id)
        base = Models(self.chain).version(proposal.model_id, proposal.base_version).state
        if differing := differences(spec, proposal, base):
            raise AdmissionRefused(
                f"The spec of job {job_id} says other things than the chain: {'; '.join(differing)}.",
                "Ask the researcher to cancel it and propose it again.",
            )
        return VectorRef(base.cid, base.root)

    def _dataset_for(self, spec: JobSpec, place: Participant | None) -> HospitalDataset:
        """This hospital's dataset with the spec's schema: its newest version, or the one pinned at enrolment."""
        for manifest in sorted((self.home / "datasets").glob("*/manifest.json")):
            dataset = opened(manifest.parent, vault=self.vault)
            if dataset.dataset_id is None or dataset.schema.digest() != spec.schema_digest:
                continue
            if place is not None and dataset.dataset_id != place.dataset_id:
                continue
            if dataset.needs_vault and self.vault is None:
                raise AdmissionRefused(
                    f"{dataset.folder.name} has the schema that the job asks for, but its records are sealed, and"
                    " the vault that holds them is closed.",
                    "Start the node with --vault-password-file, or set SALUS_VAULT_PASSWORD_FILE.",
                )
            return dataset if place is None else self._pinned_version(dataset, place)
        raise AdmissionRefused(
            "No registered dataset of this hospital has the schema that the job asks for.",
            "Register one with `salus dataset register`, made with the schema of the spec.",
        )

    def _pinned_version(self, dataset: HospitalDataset, place: Participant) -> HospitalDataset:
        """The version that the chain pinned when this hospital enrolled, however many were appended since."""
        root = Datasets(self.chain).versions(place.dataset_id)[place.dataset_version - 1].version.root
        for number in range(dataset.version, 0, -1):
            version = opened(dataset.folder, number, self.vault)
            if version.root == root:
                return version
        raise NodeError(
            f"{dataset.folder} does not hold version {place.dataset_version} of dataset {place.dataset_id}.",
            "Restore the folder from a back-up: the job pinned that version when this hospital enrolled.",
        )

    def _enrol(self, job_id: int, job: Job, spec: JobSpec, dataset: HospitalDataset) -> None:
        """Enrols with the first of this hospital's consents for the dataset that allows the job."""
        version = Datasets(self.chain).version_with_root(dataset.dataset_id, dataset.root)
        consents, budget = Consents(self.chain), PrivacyBudget.of(self.chain, spec, dataset)
        reasons = []
        for consent_id in consents.ids_of_dataset(dataset.dataset_id):
            try:
                consents.check(consent_id, self.hospital_id, job.purpose)
            except Refused as refusal:
                reasons.append(refusal.message)
                continue
            if too_dear := budget.reasons_against(consent_id) if budget else []:
                reasons += [f"{each}." for each in too_dear]
                continue
            self._check_bond(job_id)
            # Before the chain knows of it: after a crash between the two the same key is there.
            mask_key = self.keys.make(JobPlace.on(self.chain, job_id)).public if spec.masked else NO_KEY
            receipt = self.jobs.enrol(job_id, consent_id, version, mask_key)
            log.info("enrolled in job %s with consent %s, gas %s", job_id, consent_id, receipt.gas_used)
            return
        raise AdmissionRefused(
            f"No consent of this hospital allows job {job_id}: {' '.join(reasons) or 'none was minted.'}",
            "The hospital's admin mints one with `salus consent mint`.",
        )

    def _check_bond(self, job_id: int) -> None:
        """That the deposit covers the bond which enrolling locks."""
        bonds = Bonds(self.chain)
        if bonds.bond_of(job_id, self.hospital_id).exists:
            return
        terms = bonds.terms()
        if not terms.amount:
            return
        free = bonds.free_of(self.hospital_id, terms.token)
        if free < terms.amount:
            raise AdmissionRefused(
                f"Job {job_id} locks a bond of {terms.amount} of token {terms.token}, in its smallest unit; this"
                f" hospital has {free} free.",
                f"Deposit {terms.amount - free} more with `salus bond deposit`.",
            )
