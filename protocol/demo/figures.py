"""The figures of one run: what each hospital reaches alone and together, who was paid, what it cost."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

import numpy as np

from protocol.chain.events import Event, events
from protocol.chain.models import Models
from protocol.content import vectors
from protocol.content.cid import to_cid
from protocol.content.vectors import VectorRef
from protocol.data.splits import HELD_OUT, TRAIN
from protocol.demo.data import DemoData
from protocol.demo.report import DemoReport, HospitalResult, RoundResult, gas_by_operation
from protocol.demo.stage import HospitalActor, Stage
from protocol.learning import metrics
from protocol.learning.rehearsal import rehearse
from protocol.payments import Payment, books
from protocol.record import JobRecord
from protocol.spec import JobSpec
from protocol.trace import Check

DEPLOYMENT_EVENTS = ("OwnershipTransferred", "ConsumerSet", "JobsSet", "TokenAllowed", "BondSet")
CONTRACTS = (
    "HospitalRegistry",
    "DatasetRegistry",
    "ConsentToken",
    "ModelRegistry",
    "TrainingJobs",
    "RewardPool",
    "Bonds",
)


@dataclass
class Outcome:
    """A job that finished. ``seconds`` are by round, as the live view saw them."""

    record: JobRecord
    spec: JobSpec
    revoker: HospitalActor
    revoked_from: int
    seconds: dict[int, float]
    predicted: int = 0
    predicted_right: int = 0

    @property
    def model_id(self) -> int:
        return self.record.proposal.model_id

    @property
    def version(self) -> int:
        return self.record.ended.args["version"]

    @property
    def name(self) -> str:
        return f"{self.model_id}@{self.version}"


@dataclass
class Claims:
    """What was paid in this run, by whom and fund, in the token's smallest unit."""

    token: str = ""
    paid: dict[str, dict[str, int]] = field(default_factory=lambda: defaultdict(dict))

    def add(self, name: str, payment: Payment) -> None:
        self.token = payment.token.symbol
        paid = [event for event in payment.receipt.events if event.name == "HospitalPaid"]
        for fund, event in zip(("payout", "caregivers", "patients"), paid, strict=False):
            self.paid[name][fund] = event.args["amount"]
        if not paid:
            self.paid[name]["payout"] = payment.amount


def figures(
    stage: Stage,
    data: DemoData,
    hospitals: list[HospitalActor],
    outcome: Outcome,
    claims: Claims,
    checked: Check,
) -> DemoReport:
    """Everything that the report says. Training alone and in one place is repeated here, with the job's own recipe."""
    record, spec = outcome.record, outcome.spec
    base = Models(stage.chain).version(record.proposal.model_id, record.proposal.base_version).state
    refs = [VectorRef(base.cid, base.root)]
    refs += [record.round(number).merge.state for number in range(1, spec.rounds + 1)]
    states = [vectors.get_vector(stage.ipfs, ref) for ref in refs]
    held_out = [actor.dataset.arrays(HELD_OUT) for actor in hospitals]
    results = []
    for actor, own in zip(hospitals, held_out, strict=True):
        alone = _trained(spec, states[0], [actor])
        curve = [
            (number, metrics.evaluate(spec, state, *own).accuracy) for number, state in enumerate(states)
        ]
        results.append(
            HospitalResult(
                hospital_id=actor.hospital_id,
                name=actor.name,
                train_records=actor.dataset.train_records,
                held_out_records=actor.dataset.held_out_records,
                rounds=_rounds_of(record, actor),
                alone=metrics.evaluate(spec, alone, *own).accuracy,
                alone_on_all=_pooled(spec, alone, held_out),
                together=curve[-1][1],
                curve=curve,
            )
        )
    (book,) = [each for each in books(stage.chain) if each.token.address == record.proposal.reward_token]
    return DemoReport(
        dataset=data.title,
        privacy=spec.privacy.mechanism,
        job_id=record.job_id,
        model_id=outcome.model_id,
        version=outcome.version,
        state_cid=to_cid(refs[-1].cid),
        revoked=outcome.revoker.name,
        revoked_from_round=outcome.revoked_from,
        hospitals=results,
        pooled_together=_pooled(spec, states[-1], held_out),
        pooled_central=_pooled(spec, _trained(spec, states[0], hospitals), held_out),
        rounds=_rounds(stage, outcome),
        gas=gas_by_operation(stage.chain, _operations(stage)),
        payments=dict(claims.paid),
        reward_token=claims.token,
        books={"paid_in": book.paid_in, "paid_out": book.paid_out, "held": book.held},
        trace_ok=checked.holds,
        trace_checks=checked.count(),
        predictions=outcome.predicted,
        predictions_right=outcome.predicted_right,
        seconds=0.0,
    )


def _trained(spec: JobSpec, state: np.ndarray, actors: list[HospitalActor]) -> np.ndarray:
    """What the recipe reaches on these hospitals' training records in one place, after as many rounds."""
    parts = [actor.dataset.arrays(TRAIN) for actor in actors]
    together = tuple(np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    return list(rehearse(spec, state, [together], [spec.training.seed]))[-1]


def _pooled(spec: JobSpec, state: np.ndarray, held_out: list[tuple[np.ndarray, np.ndarray]]) -> float:
    """Accuracy over the held-out records of all hospitals."""
    measured = [metrics.evaluate(spec, state, *each) for each in held_out]
    return sum(each.correct for each in measured) / sum(each.total for each in measured)


def _rounds_of(record: JobRecord, actor: HospitalActor) -> int:
    merged = [record.round(number).merged_updates for number in range(1, record.proposal.rounds + 1)]
    return sum(actor.hospital_id in {update.hospital_id for update in updates} for updates in merged)


def _rounds(stage: Stage, outcome: Outcome) -> list[RoundResult]:
    results = []
    for number in range(1, outcome.spec.rounds + 1):
        merged = outcome.record.round(number)
        mined = [*(update.event for update in merged.merged_updates), merged.merge.event]
        gas = sum(stage.chain.cost_of(event.tx_hash)[1] for event in mined)
        seconds = outcome.seconds.get(number, 0.0)
        results.append(RoundResult(number, len(merged.merged_updates), seconds, gas))
    return results


def _operations(stage: Stage) -> list[Event]:
    """Every event of our contracts that comes of using them, not of deploying them."""
    found = [event for contract in CONTRACTS for event in events(stage.chain, contract)]
    return [event for event in found if event.name not in DEPLOYMENT_EVENTS]
