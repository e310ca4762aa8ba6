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
def fund(reward_token, rewards, researcher) -> None:
    """The researcher's money, approved."""
    reward_token.mint(researcher, 10**9 * TOKEN, {"from": researcher})
    reward_token.approve(rewards, 10**9 * TOKEN, {"from": researcher})


@pytest.fixture(scope="module")
def escrow(rewards, reward_token, researcher, consumer, fund) -> Callable[..., Any]:
    """Puts a job's reward into escrow."""

    def _escrow(job_id: int = 1, amount: int = 1_000, split: tuple = Split(), token: Any = reward_token) -> Any:
        return rewards.escrow(job_id, researcher, token, amount, split, {"from": consumer})

    return _escrow
