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
from play import ZERO, MergeRule

TABLE = Path(__file__).parent.parent / "gas.json"
TOLERANCE = 0.01
SIZES = (3, 6, 18)
REGISTER_LIMIT = 120_000
SUBMIT_LIMIT = 95_000
ROUND_OF_THREE_LIMIT = 390_000
HOSPITAL_AND_ROUND_LIMIT = 110_000


@pytest.fixture(scope="session")
def measured() -> dict[str, Any]:
    """What this run measured, filled by the tests in their order."""
    return {"transactions": {}, "rounds": {}, "rounds_with_groups": {}, "code_bytes": {}}


def test_steps_of_a_job(
    enrolled, jobs, datasets, consents, rewards, reward_token, bonds, bond_token, proposal, version, measured
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
        table[f"TrainingJobs.enrol ({name})"] = jobs.enrol(
            other, play.consent_ids[index], 1, ZERO, sender
        ).gas_used
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
    table["Bonds.unlock"] = bonds.unlock(jobs, play.job_id, 1, {"from": one.operator}).gas_used
    table["Bonds.withdraw"] = bonds.withdraw(bond_token, 1, {"from": one.admin}).gas_used
    table["RewardPool.claimHospital"] = rewards.claimHospital(reward_token, {"from": one.admin}).gas_used

    assert table["DatasetRegistry.register"] <= REGISTER_LIMIT
    assert table["TrainingJobs.submit (attests)"] <= SUBMIT_LIMIT


def test_steps_of_a_dispute(start, challenges, measured):
    """Four hospitals: two doubts drop an update; a merge that became final is proved false, and one is not."""
    table = measured["transactions"]
    play = start(4, rounds=4)
    play.submit_all()
    table["TrainingJobs.doubt (first)"] = play.doubt(1, 0).gas_used
    table["TrainingJobs.doubt (drops)"] = play.doubt(2, 0).gas_used
    table["TrainingJobs.rejoin"] = play.rejoin(0).gas_used
    play.submit_all()
    accumulator = bytes(play.job["accumulator"])
    merger = play.next_merger()
    play.merge()
    play.play_round()
    play.play_round()
    proven = play.decide(challenges, (merger + 1) % 4, True, 1, accumulator)
    table["TrainingJobs.decide (proven)"] = proven.gas_used
    merger = play.next_merger()
    play.merge()
    challenger = next(i for i in range(4) if i != merger and play.job["present"] >> i & 1)
    not_proven = play.decide(challenges, challenger, False, 1, accumulator)
    table["TrainingJobs.decide (not proven)"] = not_proven.gas_used


@pytest.mark.parametrize("size", SIZES)
def test_a_round(start, measured, size):
    """Masked, one group. Each submit attests the merge before. ``with_last_attestations`` adds what a last round needs
    where nobody reports: attestations up to two thirds, its merger counted."""
    play = start(size, rounds=3, min_hospitals=size, merge=MergeRule(masked=True))
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
        "of_each_hospital": round(total / size),
    }

    assert max(submits) <= SUBMIT_LIMIT
    if size == 3:
        assert total + sum(attests) <= ROUND_OF_THREE_LIMIT
    if size == 18:
        assert total <= HOSPITAL_AND_ROUND_LIMIT * size


def test_a_job_from_enrolment_to_finish(start, jobs, web3, chain, measured):
    """All that 18 hospitals send: two rounds played, and reckoned for a job of twelve, as the demo's is."""
    size, before = max(SIZES), chain.height
    play = start(size, rounds=2, min_hospitals=size, merge=MergeRule(masked=True))
    play.play_round()
    first = chain.height
    play.play_round()
    last = chain.height
    for index in range(size):
        play.report(index)
    play.finish(by=play.members[0].operator)

    def used(blocks: range) -> int:
        found = [tx for n in blocks for tx in web3.eth.get_block(n, True)["transactions"]]
        mine = [tx for tx in found if tx["to"] == jobs.address and tx["from"] != play.researcher.address]
        return sum(web3.eth.get_transaction_receipt(tx["hash"])["gasUsed"] for tx in mine)

    once, round_ = used(range(before + 1, chain.height + 1)), used(range(first + 1, last + 1))
    measured["job_of_18"] = {
        "enrolments_reports_and_finish": once - 2 * round_,
        "of_each_hospital_and_round_of_twelve": round((once + 10 * round_) / (12 * size)),
    }
    assert once + 10 * round_ <= HOSPITAL_AND_ROUND_LIMIT * 12 * size


@pytest.mark.parametrize("size", SIZES[1:])
def test_a_round_with_groups(start, chain, measured, size):
    """Masked, as many groups as there can be: a round has its draw besides."""
    play = start(size, rounds=3, min_hospitals=size, merge=MergeRule(rule=1, groups=size // 3, masked=True))
    play.draw()
    play.play_round()
    # In the second of the round's opening its time would be written unchanged, which costs less.
    chain.sleep(1)
    draw = play.draw().gas_used
    submits = [tx.gas_used for tx in play.submit_all()]
    merge = play.merge().gas_used
    total = draw + sum(submits) + merge
    measured["rounds_with_groups"][str(size)] = {
        "draw": draw,
        "submit_mean": round(sum(submits) / size),
        "merge": merge,
        "draw_submits_and_merge": total,
        "of_each_hospital": round(total / size),
    }

    assert max(submits) <= SUBMIT_LIMIT
    assert total <= HOSPITAL_AND_ROUND_LIMIT * size


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
