"""A jobs contract that locks and slashes on command."""

from __future__ import annotations

from typing import Any

import pytest

BOND = 100 * 10**18


@pytest.fixture(scope="module")
def locker(TimedJobs, bonds, deployer, owner) -> Any:
    """A jobs contract that the DAO allows."""
    contract = TimedJobs.deploy(bonds, {"from": deployer})
    bonds.setJobs(contract, True, {"from": owner})
    return contract


@pytest.fixture(scope="module")
def locked(locker, member, deposit, stranger) -> Any:
    """The same, with a bond of ``member`` locked in job 1; nine more are free."""
    deposit(member)
    locker.lock(1, member.id, {"from": stranger})
    return locker
