"""Bonds through the typed calls: deposited, locked by a job, withdrawn, freed."""

from __future__ import annotations

import pytest

from protocol.chain.bonds import Bond, Bonds
from protocol.chain.development import advance
from protocol.chain.jobs import Jobs
from protocol.errors import AccountError, Refused

from .conftest import BOND, DEPOSIT, World, signer_of
from .play import CHECK_SECONDS, HOSPITALS, Started, start


@pytest.fixture
def started(world: World) -> Started:
    return start(world)


def test_enrolling_locks_a_bond_of_what_is_free(started: Started) -> None:
    bonds = Bonds(started.world.chain)
    token = started.world.deployment.address("RewardToken")
    assert (bonds.terms().token, bonds.terms().amount) == (token, BOND)
    for number in HOSPITALS:
        assert bonds.bond_of(started.job_id, number) == Bond(True, token, BOND)
        assert bonds.free_of(number, "RewardToken") == DEPOSIT - BOND
    assert bonds.held_of("RewardToken") == len(HOSPITALS) * DEPOSIT
    assert bonds.dao_owed("RewardToken") == 0


def test_what_is_free_is_withdrawn_to_the_payout_account_and_no_more(started: Started) -> None:
    world = started.world
    admin = Bonds(world.as_("admin-1"))
    with pytest.raises(Refused) as refusal:
        admin.withdraw("RewardToken", DEPOSIT)
    assert refusal.value.name == "NothingToPay"
    admin.withdraw("RewardToken", DEPOSIT - BOND)
    assert admin.free_of(1, "RewardToken") == 0
    assert world.chain.token_balance("RewardToken", signer_of("payout-1").address) == DEPOSIT - BOND


def test_a_hospital_without_enough_cannot_enrol_and_reads_what_is_missing(world: World) -> None:
    Bonds(world.as_("admin-2")).withdraw("RewardToken", DEPOSIT - BOND + 1)
    with pytest.raises(Refused, match=r"Hospital 2 has .* free for bonds; a bond is 100,000,000") as refusal:
        start(world)
    assert refusal.value.name == "BondTooSmall"
    assert "salus bond deposit" in refusal.value.hint


def test_bonds_of_a_cancelled_job_are_freed_when_its_window_is_over(started: Started) -> None:
    world, job_id = started.world, started.job_id
    anyone = Bonds(world.as_("stranger"))
    with pytest.raises(Refused, match=f"The bonds of job {job_id} are locked until"):
        anyone.unlock(job_id, 1)
    Jobs(world.as_("researcher")).cancel(job_id)
    advance(world.chain, CHECK_SECONDS)
    for number in HOSPITALS:
        anyone.unlock(job_id, number)
        assert anyone.free_of(number, "RewardToken") == DEPOSIT
    with pytest.raises(Refused, match="Hospital 1 has no bond"):
        anyone.unlock(job_id, 1)


def test_approving_needs_an_account_and_is_not_sent_twice(world: World) -> None:
    with pytest.raises(AccountError, match="needs an account"):
        Bonds(world.chain).approve("RewardToken", 1)
    bonds = Bonds(world.as_("stranger"))
    assert bonds.approve("RewardToken", 5) is not None
    assert bonds.approve("RewardToken", 5) is None
