"""What a job is said to cost is what the contracts' committed table says that it costs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from protocol import costs

TABLE = json.loads((Path(__file__).parents[1] / "contracts" / "gas.json").read_text())
TENTH = 0.1


@pytest.mark.parametrize(
    ("transaction", "stated"),
    [
        ("TrainingJobs.propose", costs.PROPOSE),
        ("TrainingJobs.enrol (next)", costs.ENROL),
        ("Bonds.unlock", costs.UNLOCK),
        ("TrainingJobs.open", costs.OPEN + 3 * costs.OPEN_PER_HOSPITAL),
        ("TrainingJobs.submit (attests)", costs.SUBMIT),
        ("TrainingJobs.merge", costs.MERGE + 3 * costs.OPEN_PER_HOSPITAL),
        ("TrainingJobs.report (next)", costs.REPORT),
        ("TrainingJobs.finish", costs.FINISH + 3 * costs.FINISH_PER_HOSPITAL),
    ],
)
def test_a_transaction(transaction: str, stated: int) -> None:
    assert stated == pytest.approx(TABLE["transactions"][transaction], rel=TENTH)


@pytest.mark.parametrize("hospitals", [3, 6, 18])
def test_a_round_more(hospitals: int) -> None:
    more = costs.job_cost(8, hospitals).total - costs.job_cost(7, hospitals).total
    assert more == pytest.approx(TABLE["rounds"][str(hospitals)]["submits_and_merge"], rel=TENTH)


@pytest.mark.parametrize("hospitals", [6, 18])
def test_a_round_more_with_groups(hospitals: int) -> None:
    more = costs.job_cost(8, hospitals, grouped=True).total - costs.job_cost(7, hospitals, grouped=True).total
    table = TABLE["rounds_with_groups"][str(hospitals)]
    assert more == pytest.approx(table["draw_submits_and_merge"], rel=TENTH)
    assert costs.DRAW + hospitals * costs.DRAW_PER_HOSPITAL == pytest.approx(table["draw"], rel=TENTH)


def test_a_whole_job_of_three_hospitals_and_two_rounds() -> None:
    paid = {
        name.removeprefix("TrainingJobs.").removeprefix("Bonds."): gas
        for name, gas in TABLE["transactions"].items()
    }
    total = paid["propose"] + paid["enrol (first)"] + 2 * paid["enrol (next)"] + paid["open"]
    total += (
        3 * paid["submit (round 1)"] + paid["merge"] + 3 * paid["submit (attests)"] + paid["merge (last)"]
    )
    total += paid["report (first)"] + 2 * paid["report (next)"] + paid["finish"] + 3 * paid["unlock"]
    assert costs.job_cost(2, 3).total == pytest.approx(total, rel=TENTH)


def test_no_hospital_pays_more_than_all_together() -> None:
    for rounds, hospitals in ((1, 3), (12, 4), (50, 18)):
        cost = costs.job_cost(rounds, hospitals)
        assert cost.hospital + cost.researcher < cost.total
