"""What each step costs, from real transactions on the real contracts, and how a round grows with its hospitals.

python scripts/bench_gas.py
"""

from __future__ import annotations

import secrets
from statistics import median
from typing import Any

from bench_stage import PHASES, REWARD_WEI, Hospital, Play, Stage, some_vector
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from protocol.chain import duo
from protocol.chain.consents import Consents, Permission, Purpose
from protocol.chain.enums import Rule
from protocol.chain.jobs import Jobs, MergeRule, Proposal
from protocol.chain.models import Models
from protocol.chain.rewards import Rewards, Split
from protocol.content.vectors import VectorRef
from protocol.learning.merge import ONE

SIZES = (3, 6, 9, 12, 18)
ROUNDS = 3
MERGE = MergeRule(lanes=400_000, server_step=ONE, rule=Rule.MEAN, groups=1, masked=True)
# ChainLearn's published figures. Its submit checks no consent.
PUBLISHED = {"register": 174_764, "submit": 252_464, "round": 901_265}
LIMITS = {"register": 120_000, "submit": 95_000, "round": 390_000}


def run(stage: Stage) -> dict[str, Any]:
    """Gas by operation (all transactions of the bench), and of a round by the number of its hospitals."""
    hospitals = stage.admit(max(SIZES))
    for each in hospitals:
        stage.register_digests(each)
    rounds = {size: _job(stage, hospitals[:size]) for size in SIZES}
    token = stage.chain.address("RewardToken")
    for each in hospitals:
        stage.paid("RewardPool.claimHospital", Rewards(stage.as_(each.admin)).claim_hospital(token))
    dao = stage.chain.address("TimelockController")
    stage.paid("RewardPool.claim", Rewards(stage.as_(stage.researcher)).claim(dao, token))
    for each in hospitals:
        stage.paid("ConsentToken.revoke", Consents(stage.as_(each.admin)).revoke(each.consent_id))
    three = rounds[3]
    return {
        "register": max(stage.gas["DatasetRegistry.register"] + stage.gas["DatasetRegistry.append"]),
        "submit": max(three["submits"]),
        "round": three["alone"],
        "rounds": rounds,
        "operations": {name: _summary(used) for name, used in sorted(stage.gas.items())},
        "published": PUBLISHED,
        "limits": LIMITS,
    }


def _job(stage: Stage, hospitals: list[Hospital]) -> dict[str, Any]:
    """A job of three rounds. The submits of the first have no merge to attest; those of the second attest it; the merge
    of the third is attested alone, as when no report follows. So a round by itself costs as the first, with the
    attestations of the third; in a row of rounds each costs as the second."""
    size = len(hospitals)
    play = Play(stage, propose(stage, size), hospitals)
    enrolled = len(stage.gas["TrainingJobs.enrol"])
    play.enrol(dataset_version=2)
    last = some_vector()
    first, second, third = (
        play.round(number, [some_vector() for _ in hospitals], some_vector() if number < ROUNDS else last)
        for number in range(1, ROUNDS + 1)
    )
    attests = play.attest(ROUNDS)
    for index in range(size):
        play.report(index, 80, 100, secrets.token_bytes(32))
    finish = play.finish(last).gas_used
    return {
        "enrol": median(stage.gas["TrainingJobs.enrol"][enrolled:]),
        "open": stage.gas["TrainingJobs.open"][-1],
        "submits": second.submits + third.submits,
        "merge": third.merge,
        "first": first.total,
        "running": second.total,
        "attests": attests,
        "alone": first.total + sum(attests),
        "closed": second.total + sum(attests),
        "report": median(stage.gas["TrainingJobs.report"][-size:]),
        "finish": finish,
    }


def propose(stage: Stage, size: int, merge: MergeRule = MERGE, base: VectorRef | None = None) -> int:
    """Creates a model and proposes a job for ``size`` hospitals of which there are only digests. Returns its id."""
    chain = stage.as_(stage.researcher)
    model = Models(chain).create(f"gas of {size}", base or some_vector())
    stage.paid("ModelRegistry.create", model)
    chain.send("RewardToken", "mint", stage.researcher.address, REWARD_WEI)
    Rewards(chain).approve("RewardToken", REWARD_WEI)
    proposal = Proposal(
        spec_digest=secrets.token_bytes(32),
        model_id=model.event("ModelCreated").args["modelId"],
        base_version=1,
        purpose=Purpose(stage.researcher.address, Permission.HMB, 0, duo.bits(["PUB", "NCU"]), 0),
        irb_approval=bytes(32),
        rounds=ROUNDS,
        min_hospitals=3,
        max_hospitals=size,
        gate_bps=7_000,
        merge=merge,
        phases=PHASES,
        reward_token=chain.address("RewardToken"),
        reward_amount=REWARD_WEI,
        split=Split(6_000, 1_500, 1_500, 500, 500),
    )
    receipt = stage.paid("TrainingJobs.propose", Jobs(chain).propose(proposal))
    return int(receipt.event("JobProposed").args["jobId"])


def _summary(used: list[int]) -> dict[str, int]:
    return {"times": len(used), "median": round(median(used)), "most": max(used)}


def show(result: dict[str, Any], console: Console) -> None:
    """Prints the comparison, the growth of a round, and all operations."""
    against = Table(title="Gas beside ChainLearn's published figures (ours: the dearest)", box=SIMPLE)
    for column in ("step", "ours", "limit", "ChainLearn", "saved"):
        against.add_column(column, justify="left" if column == "step" else "right")
    steps = {
        "register": "register a dataset version",
        "submit": "submit an update, consent checked",
        "round": "a round of three, by itself",
    }
    for step, words in steps.items():
        ours, published = result[step], result["published"][step]
        saved = f"{1 - ours / published:.0%}"
        against.add_row(words, f"{ours:,}", f"{result['limits'][step]:,}", f"{published:,}", saved)
    console.print(against)

    growth = Table(title="How a round grows (in a row, where submits attest the merge before)", box=SIMPLE)
    for column in (
        "hospitals",
        "submit, median",
        "merge",
        "round",
        "per hospital",
        "by itself",
    ):
        growth.add_column(column, justify="right")
    for size, each in result["rounds"].items():
        cells = (
            median(each["submits"]),
            each["merge"],
            each["running"],
            each["running"] / size,
            each["alone"],
        )
        growth.add_row(str(size), *(f"{cell:,.0f}" for cell in cells))
    console.print(growth)

    around = Table(title="Around the rounds, by hospitals in the job", box=SIMPLE)
    for column in ("hospitals", "enrol, each", "open", "report, each", "finish"):
        around.add_column(column, justify="right")
    for size, each in result["rounds"].items():
        cells = (each[name] for name in ("enrol", "open", "report", "finish"))
        around.add_row(str(size), *(f"{cell:,.0f}" for cell in cells))
    console.print(around)

    operations = Table(title="Every operation", box=SIMPLE)
    for column in ("operation", "times", "median", "most"):
        operations.add_column(column, justify="left" if column == "operation" else "right")
    for name, used in result["operations"].items():
        operations.add_row(name, str(used["times"]), f"{used['median']:,}", f"{used['most']:,}")
    console.print(operations)
