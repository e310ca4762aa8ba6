"""One job's differential privacy at one hospital: who is protected, what a round costs, and whether it may be spent."""

from __future__ import annotations

import numpy as np

from protocol.chain.client import Chain
from protocol.chain.consents import Consents
from protocol.chain.jobs import Participant
from protocol.data.splits import TRAIN
from protocol.errors import AdmissionRefused, BudgetSpent, LearningError
from protocol.learning.context import RoundContext
from protocol.learning.privacy import MICRO, spending
from protocol.node.epsilon_ledger import EpsilonLedger, Training
from protocol.spec import DpSpec, JobSpec
from protocol.vault.images import HospitalDataset


class PrivacyBudget:
    """The budget of ``dataset`` in a job whose spec has ``dp``. ``patients``: int[n], the training records' patients
    where the unit is the patient, else None. Raises AdmissionRefused where the dataset cannot tell patients apart."""

    def __init__(self, chain: Chain, spec: JobSpec, dp: DpSpec, dataset: HospitalDataset) -> None:
        self.consents, self.spec, self.dp, self.dataset = Consents(chain), spec, dp, dataset
        self.ledger = EpsilonLedger(dataset.folder)
        self.patients: np.ndarray | None = None
        self.units = dataset.train_records
        if dp.unit == "patient":
            self.patients = dataset.patients(TRAIN)
            if self.patients is None:
                raise AdmissionRefused(
                    "The job protects patients; this dataset cannot tell whose its records are.",
                    "Make it anew with `--patient COLUMN`, or ask for a job whose unit is the record.",
                )
            self.units = len(np.unique(self.patients))

    @classmethod
    def of(cls, chain: Chain, spec: JobSpec, dataset: HospitalDataset) -> PrivacyBudget | None:
        """None for a job without differential privacy."""
        return cls(chain, spec, spec.privacy.dp, dataset) if spec.privacy.dp else None

    def reasons_against(self, consent_id: int) -> list[str]:
        """Why this hospital would not enrol with a consent, in words; empty when it would.

        All rounds must fit, each trained once. That no attempt is repeated is not promised: then later rounds are sat
        out.
        """
        if self.dp.delta * self.units >= 1:
            return [
                f"delta {self.dp.delta:g} allows to publish one of {self.units:,} {self.dp.unit}s whole; it must be"
                f" below 1 / {self.units:,}"
            ]
        terms = self.consents.consent(consent_id).terms
        spent = self.consents.epsilon_spent_micro(terms.dataset_id)
        try:
            total = self.ledger.forecast(
                spending(self.spec, self.units, self.spec.rounds), self.dp, spent_micro=spent
            )
        except LearningError as error:
            return [error.message]
        if total > terms.epsilon_budget_micro:
            return [
                f"consent {consent_id} has a budget of epsilon {terms.epsilon_budget_micro / MICRO:g}; the job would"
                f" bring the dataset to {total / MICRO:g}"
            ]
        return []

    def reserve(self, context: RoundContext, place: Participant) -> None:
        """Counts one training, before it begins. Raises BudgetSpent, JournalError: then nothing may be trained."""
        terms = self.consents.consent(place.consent_id).terms
        training = Training(context.genesis, context.contract, context.job_id, context.round, context.attempt)
        self.ledger.reserve(
            training,
            spending(self.spec, self.units),
            self.dp,
            spent_micro=self.consents.epsilon_spent_micro(place.dataset_id),
            budget_micro=terms.epsilon_budget_micro,
        )

    def declared_micro(self, place: Participant) -> int:
        """The total to declare with an update: of every training begun so far, sent or not, and no less than the chain
        knows of. Raises BudgetSpent where meanwhile another job has taken it past the consent's budget."""
        spent = self.consents.epsilon_spent_micro(place.dataset_id)
        total = max(spent, self.ledger.total_micro())
        budget = self.consents.consent(place.consent_id).terms.epsilon_budget_micro
        if total > budget:
            raise BudgetSpent(
                f"The dataset's epsilon has come to {total / MICRO:g}, past the {budget / MICRO:g} of consent"
                f" {place.consent_id}.",
                "The update stays here. The hospital's admin decides whether to mint a consent with a larger budget.",
            )
        return total
