"""Money in escrow, as a jobs contract (``consumer``) puts it there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

TOKEN = 10**18


class Split(NamedTuple):
    """``IRewardPool.Split``."""

    hospitals_bps: int = 6_000
    caregivers_bps: int = 1_500
    patients_bps: int = 1_000
    merger_bps: int = 1_000
    dao_bps: int = 500


@pytest.fixture(scope="module")
def funded(reward_token, rewards, researcher) -> Any:
    """The researcher, with money that the pool may take."""
    reward_token.mint(researcher, 10**9 * TOKEN, {"from": researcher})
    reward_token.approve(rewards, 10**9 * TOKEN, {"from": researcher})
    return researcher


@pytest.fixture(scope="module")
def escrow(rewards, reward_token, consumer, funded) -> Callable[..., Any]:
    """Puts a job's reward into escrow."""

    def _escrow(
        job_id: int = 1, amount: int = 1_000, split: tuple = Split(), token: Any = reward_token
    ) -> Any:
        return rewards.escrow(job_id, funded, token, amount, split, {"from": consumer})

    return _escrow
