"""The challenges contract and jobs that say what a test writes down."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from claims import ZERO, Claim, Merge

MEAN, MEDIAN = 0, 1


@pytest.fixture(scope="module")
def challenges(Challenges, deployer) -> Any:
    """The contract under test."""
    return Challenges.deploy({"from": deployer})


@pytest.fixture(scope="module")
def scripted(ScriptedJobs, deployer) -> Any:
    """Stands for the jobs and for both registries."""
    return ScriptedJobs.deploy({"from": deployer})


@pytest.fixture(scope="module")
def post(scripted, deployer) -> Callable[..., None]:
    """Makes a merge the one that stands, in a job with this rule."""

    def _post(merge: Merge, rule: int = MEAN, server_step: int = 65_536) -> None:
        lanes = len(merge.before.lanes)
        base = merge.before.named[1] if merge.round == 1 else ZERO
        scripted.script((lanes, server_step, rule, 16, False), base, {"from": deployer})
        scripted.scriptMerge(merge.round, merge.digest, {"from": deployer})
        if merge.round > 1:
            scripted.scriptMerge(merge.round - 1, merge.previous_digest, {"from": deployer})

    return _post


@pytest.fixture(scope="module")
def check(challenges, scripted) -> Callable[[Claim], bool]:
    """What the contract says of a claim."""
    return lambda claim: challenges.check(scripted, claim)
