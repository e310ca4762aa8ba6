"""What each step costs, and how large each contract is: committed in ``gas.json``, so that a change is part of review.

After a change that is meant:
``SALUS_WRITE_GAS=1 make contracts-test TESTS=tests/contracts/training_jobs/test_gas.py``
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

TABLE = Path(__file__).parent.parent / "gas.json"
TOLERANCE = 0.01
SIZES = (3, 6, 18)
REGISTER_LIMIT = 120_000
SUBMIT_LIMIT = 95_000
ROUND_OF_THREE_LIMIT = 390_000


@pytest.fixture(scope="session")
def measured() -> dict[str, Any]:
    """What this run measured, filled by the tests in their order."""
    return {"transactions": {}, "rounds": {}, "code_bytes": {}}


def test_steps_of_a_job(
    enrolled, jobs, datasets, consents, rewards, reward_token, proposal, version, measured
):
    """Three hospitals, two rounds. Updates of round 1 have no merge to attest; those of round 2 do."""
    play = enrolled(3)
    one = play.members[0]
    table = measured["transactions"]
    table["DatasetRegistry.register"] = datasets.register(version(), {"from": one.operator}).gas_used
    table["DatasetRegistry.append"] = datasets.append(1, version(), {"from": one.operator}).gas_used
    given = tuple(consents.consent(play.consent_ids[0])["terms"])
    table["ConsentToken.mint"] = consents.mint(given, {"from": one.admin}).gas_used
    table["ConsentToken.revoke"] = consents.revoke(4, {"from": one.admin}).gas_used
    table["TrainingJobs.propose"] = jobs.propose(proposal(), {"from": play.researcher}).gas_used
    other = jobs.jobCount()
    for name, index in (("first", 0), ("next", 1)):
        sender = {"from": play.members[index].operator}
        table[f"TrainingJobs.enrol ({name})"] = jobs.enrol(other, play.consent_ids[index], 1, ZERO, sender).gas_used
    table["TrainingJobs.cancel (enrolling)"] = jobs.cancel(other, {"from": play.researcher}).gas_used

    table["TrainingJobs.open"] = play.open().gas_used
    table["TrainingJobs.submit (round 1)"] = max(tx.gas_used for tx in play.submit_all())
    table["TrainingJobs.merge"] = play.merge().gas_used
    table["TrainingJobs.submit (attests)"] = max(tx.gas_used for tx in play.submit_all())
    table["TrainingJobs.merge (last)"] = play.merge().gas_used
    table["TrainingJobs.report (first)"] = play.report(0).gas_used
    table["TrainingJobs.report (next)"] = play.report(1).gas_used
    play.report(2)
    table["TrainingJobs.finish"] = play.finish().gas_used
    table["RewardPool.claimHospital"] = rewards.claimHospital(reward_token, {"from": one.admin}).gas_used

    assert table["DatasetRegistry.register"] <= REGISTER_LIMIT
    assert table["TrainingJobs.submit (attests)"] <= SUBMIT_LIMIT


@pytest.mark.parametrize("size", SIZES)
def test_a_round(start, measured, size):
    """Each submit attests the merge before. ``with_last_attestations`` adds what a last round needs where nobody
    reports: attestations up to two thirds, its merger counted."""
    play = start(size, rounds=3, min_hospitals=size)
    play.play_round()
    submits = [tx.gas_used for tx in play.submit_all()]
    merge = play.merge().gas_used
    waiting = [i for i in range(size) if not play.slot()["attested"] >> i & 1]
    attests = [play.attest(i).gas_used for i in waiting[: -(-2 * size // 3) - 1]]
    assert play.job["finalRounds"] == 2
    total = sum(submits) + merge
    measured["rounds"][str(size)] = {
        "submit_mean": round(sum(submits) / size),
        "merge": merge,
        "attest_mean": round(sum(attests) / len(attests)),
        "submits_and_merge": total,
        "with_last_attestations": total + sum(attests),
    }

    assert max(submits) <= SUBMIT_LIMIT
    if size == 3:
        assert total + sum(attests) <= ROUND_OF_THREE_LIMIT


def test_the_committed_table(measured, compiled):
    measured["code_bytes"] = {
        container._name: len(container._build["deployedBytecode"].removeprefix("0x")) // 2
        for container in compiled
        if Path(container._build["sourcePath"]).parent == Path("contracts")
        and container._build["deployedBytecode"]
    }
    if os.environ.get("SALUS_WRITE_GAS"):
        TABLE.write_text(json.dumps(measured, indent=2, sort_keys=True) + "\n")
    committed = flat(json.loads(TABLE.read_text()))
    now = flat(measured)
    assert now.keys() == committed.keys(), "run this whole file, or write the table anew"
    moved = {
        name: (committed[name], value)
        for name, value in now.items()
        if abs(value - committed[name]) > TOLERANCE * committed[name]
    }
    assert moved == {}, "cost moved: committed and now"


def flat(table: dict[str, Any], prefix: str = "") -> dict[str, int]:
    """The leaves by their path."""
    found: dict[str, int] = {}
    for name, value in table.items():
        if isinstance(value, dict):
            found |= flat(value, f"{prefix}{name}/")
        else:
            found[prefix + name] = value
    return found
