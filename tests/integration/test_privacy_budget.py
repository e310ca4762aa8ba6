"""Differential privacy from the spec to the chain: invariant 3, and a node that refuses before it trains."""

from __future__ import annotations

from typing import Any

import pytest

from protocol.chain.consents import Consents
from protocol.chain.jobs import Jobs
from protocol.content.vectors import VectorRef
from protocol.errors import Refused
from protocol.learning.privacy import Spending, epsilon, micro
from protocol.node.epsilon_ledger import EpsilonLedger
from protocol.trace import trace
from tests.integration.stage import Stage

ROUNDS = 2
NOISE, DELTA = 8.0, 0.001
DP = {"unit": "record", "noise_multiplier": NOISE, "max_grad_norm": 1, "delta": DELTA, "accountant": "rdp"}
FORCED = VectorRef(cid=b"\x01" * 32, root=b"\x02" * 32)


def cost(rounds: int) -> int:
    """Of whole-batch steps, one a round."""
    return micro(epsilon([Spending(NOISE, 1.0, rounds)], DELTA, "rdp"))


def private_job(stage: Stage, **changes: Any) -> int:
    return stage.propose(
        privacy={"mechanism": "masked", "dp": DP},
        training__batch_size=512,
        training__local_epochs=1,
        rounds=ROUNDS,
        hospitals={"min": 3, "max": 3},
        **changes,
    )


def test_a_private_job_spends_what_the_accountant_says_and_no_more_than_consents_allow(stage: Stage) -> None:
    *able, without_budget = stage.hospitals
    for actor in able:
        stage.mint(actor, epsilon_budget_micro=cost(ROUNDS) + 1)
    job_id = private_job(stage)
    stage.start(*stage.hospitals)
    stage.wait_for_word(without_budget, "has a budget of epsilon 0", timeout=120)
    record = stage.finish(job_id, timeout=240)

    assert set(record.participants) == {actor.hospital_id for actor in able}
    for actor in able:
        declared = [
            update.epsilon_total_micro
            for number in (1, 2)
            for update in record.round(number).updates()
            if update.hospital_id == actor.hospital_id
        ]
        assert declared == [cost(1), cost(2)]
        dataset_id = actor.dataset.dataset_id
        assert Consents(stage.chain).epsilon_spent_micro(dataset_id) == cost(ROUNDS)
        assert EpsilonLedger(actor.dataset.folder).total_micro() == cost(ROUNDS)
    assert Consents(stage.chain).epsilon_spent_micro(without_budget.dataset.dataset_id) == 0

    result = trace(stage.chain, stage.ipfs, stage.model_id, record.ended.args["version"])
    assert result.holds, result.failing_paths()

    # What is left of the budget does not cover the same again: nobody enrols, nothing is trained.
    second = private_job(stage, training__seed=4)
    for actor in able:
        stage.wait_for_word(actor, "the job would bring the dataset to", timeout=120)
        assert EpsilonLedger(actor.dataset.folder).total_micro() == cost(ROUNDS)
    assert stage.job(second).enrolled == 0

    # A hospital that would declare less than before, or more than its budget, is refused by the chain itself.
    stage.freeze(*stage.hospitals)
    liar = able[0]
    stage.enrol(second, *able)
    stage.open(second)
    jobs = Jobs(stage.chain.with_signer(liar.operator))
    for total, error in ((cost(1), "EpsilonFalls"), (10**15, "EpsilonExceeded")):
        with pytest.raises(Refused) as caught:
            jobs.submit(second, 1, 1, bytes(32), FORCED, total)
        assert caught.value.name == error
