"""A hospital's update of one attempt: trained, quantised, journalled, masked. What leaves is the masked one alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from protocol.chain.client import Chain
from protocol.content import vectors
from protocol.data.splits import TRAIN
from protocol.errors import JobKeyError
from protocol.learning import train, zoo
from protocol.learning.context import RoundContext
from protocol.learning.masks import JobKey, mask
from protocol.learning.merge import quantise, weights
from protocol.node.journal import Journal
from protocol.node.privacy_budget import PrivacyBudget
from protocol.record import Attempt, JobRecord
from protocol.spec import JobSpec
from protocol.vault.images import HospitalDataset

# What a hospital's own training showed it: loss and seconds, for its own eyes.
Note = Callable[[float | None, float], None]


@dataclass(frozen=True)
class Outgoing:
    """What is published of an attempt: the update, int32[lanes], masked where the job is; and the dataset's total
    epsilon in millionths, zero without differential privacy."""

    update: np.ndarray
    epsilon_total_micro: int


class Updates:
    """The updates of one hospital in one job. ``key``: its mask key; None where the job is not masked, or where it is
    not to be had. ``barred``: why this hospital sends none, for want of a key or against its policy; empty when it
    does."""

    def __init__(
        self,
        chain: Chain,
        journal: Journal,
        hospital_id: int,
        job_id: int,
        spec: JobSpec,
        dataset: HospitalDataset,
        max_round_seconds: float,
        key: JobKey | None = None,
        barred: str = "",
    ) -> None:
        self.chain, self.journal, self.hospital_id, self.job_id = chain, journal, hospital_id, job_id
        self.spec, self.spec_digest, self.dataset = spec, spec.digest, dataset
        self.max_round_seconds, self.key, self.barred = max_round_seconds, key, barred
        self.layout = zoo.layout(spec.model, spec.state)
        self._budget = PrivacyBudget.of(chain, spec, dataset)
        self._train_arrays: tuple[np.ndarray, np.ndarray] | None = None

    def unable(self, record: JobRecord) -> str:
        """Why this hospital can send no update in this job; empty when it can."""
        if self.barred or not self.spec.masked:
            return self.barred
        if self.key is None:
            return "its mask key for this job is not in its home"
        if record.mask_keys.get(self.hospital_id) != self.key.public:
            return "the mask key in its home is not the one that the chain has of it"
        return ""

    def context(self, record: JobRecord, number: int, attempt_number: int, base: np.ndarray) -> RoundContext:
        """What this hospital's update of an attempt is bound to: its group's members, weights and keys."""
        attempt = record.round(number).attempts[attempt_number]
        members = self._group(record, attempt)
        counts = [record.participants[each].train_records for each in members]
        shares = weights(counts, self.spec.merge.max_weight_bps)
        keys = tuple(record.mask_keys[each] for each in members) if self.spec.masked else ()
        return RoundContext(
            chain_id=self.chain.deployment.chain_id,
            genesis=self.chain.deployment.genesis_hash,
            contract=self.chain.address("TrainingJobs"),
            job_id=self.job_id,
            spec=self.spec_digest,
            round=number,
            attempt=attempt_number,
            base=vectors.reference(base).root,
            hospitals=tuple(members),
            weights=tuple((share.numerator, share.denominator) for share in shares),
            mask_keys=keys,
            lanes=self.layout.lanes,
        )

    def outgoing(
        self,
        context: RoundContext,
        record: JobRecord,
        base: np.ndarray,
        journalled: np.ndarray | None,
        note: Note,
    ) -> Outgoing:
        """What leaves for this context: the journalled update, else one that is trained, and journalled before it is
        masked.

        Raises JournalError when it cannot be kept, JobKeyError without the job's key, BudgetSpent when the consent's
        budget does not allow the training, DataError and VaultError when the dataset cannot be read, or holds a patient
        who withdrew.
        """
        update = journalled
        place = record.participants[self.hospital_id]
        if update is None:
            if self._budget:
                self._budget.reserve(context, place)
            update = self._trained(context, record, base, note)
            self.journal.write(context, update)
        if self.spec.masked:
            if self.key is None:
                raise JobKeyError(f"Job {self.job_id}: {self.unable(record)}.")
            update = mask(update, context, self.hospital_id, self.key)
        return Outgoing(update, self._budget.declared_micro(place) if self._budget else 0)

    def _group(self, record: JobRecord, attempt: Attempt) -> list[int]:
        return next(group for group in record.groups(attempt) if self.hospital_id in group)

    def _trained(self, context: RoundContext, record: JobRecord, base: np.ndarray, note: Note) -> np.ndarray:
        if self._train_arrays is None:
            self._train_arrays = self.dataset.arrays(TRAIN)
        else:
            # A patient may have withdrawn since the last round.
            self.dataset.verify()
        result = train.train(
            self.spec,
            base,
            *self._train_arrays,
            round=context.round,
            seed=self._seed(),
            max_seconds=self.max_round_seconds,
            patients=self._budget.patients if self._budget else None,
        )
        note(result.loss, result.seconds)
        members = context.hospitals
        counts = [record.participants[each].train_records for each in members]
        share = weights(counts, self.spec.merge.max_weight_bps)[context.index_of(self.hospital_id)]
        return quantise(result.delta, share, len(members), self.layout, self.spec.merge.clip_norm)

    def _seed(self) -> int:
        return self.spec.training.seed * 1_000_003 + self.hospital_id
