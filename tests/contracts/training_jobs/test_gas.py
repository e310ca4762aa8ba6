"""What each step costs: committed in ``gas.json``, so that a change of cost is part of its review.

After a change that is meant: ``SALUS_WRITE_GAS=1 make contracts-test TESTS=tests/contracts/training_jobs/test_gas.py``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

TABLE = Path(__file__).parent.parent / "gas.json"
TOLERANCE = 0.01
SIZES = (3, 6, 18)
SUBMIT_LIMIT = 95_000
REGISTER_LIMIT = 120_000
ROUND_OF_THREE_LIMIT = 390_000
MAX_CODE_BYTES = 24_576


@pytest.fixture(scope="module")
def measured() -> dict[str, Any]:
    """What this run measured, filled by the tests in their order."""
    return {}


@pytest.mark.parametrize("size", SIZES)
def test_round(start, measured, size):
    play = start(size, rounds=3, min_hospitals=size)
    play.play_round()
    # The second round: every hospital attests the first merge by its submit. The first has no merge to attest, the
    # last is attested by reports.
    submits = [tx.gas_used for tx in play.submit_all()]
    merge = play.merge().gas_used
    # Who attests alone: as many as make the merge final with its merger.
    attests = [play.attest(i).gas_used for i in range(size) if not play.slot()["attested"] >> i & 1][
        : -(-2 * size // 3) - 1
    ]
    measured[f"round_of_{size}"] = {
        "submit_most": max(submits),
        "submit_mean": round(sum(submits) / size),
        "merge": merge,
        "round": sum(submits) + merge,
        "attest_alone": attests[0],
        "last_round": sum(submits) + merge + sum(attests),
    }

    assert max(submits) <= SUBMIT_LIMIT
    if size == 3:
        assert sum(submits) + merge + sum(attests) <= ROUND_OF_THREE_LIMIT
