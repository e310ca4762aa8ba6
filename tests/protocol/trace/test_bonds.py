"""Bonds as a verifier sees them: every loss has its cause, every cause its loss."""

from __future__ import annotations

import pytest

from protocol.chain.events import Event
from protocol.deposits import Ledger
from protocol.trace.bonds import check_bonds
from protocol.trace.check import Check
from tests.protocol.trace.histories import HOSPITALS, JOBS, TOKEN, FakeEvidence, History, block_hash, failures

A, B, C, D, E, F = HOSPITALS


def checked(history: History, *left_out: str) -> list[str]:
    root = Check("root")
    check_bonds(FakeEvidence(history, frozenset(left_out)), root, history.record, history.of_jobs)
    return failures(root)


def merged(liar: int = A, state: str = "lie") -> History:
    history = History()
    history.open()
    history.submit()
    history.merge(liar, state)
    return history


def test_a_job_without_incident_holds() -> None:
    history = merged()
    history.end()
    assert checked(history) == []


@pytest.mark.parametrize("name", ["Deposited", "Locked", "Slashed"])
def test_events_that_a_node_leaves_out_are_missed(name: str) -> None:
    history = merged()
    history.challenge(B, proven=True)
    history.on("MergeVoided", same=True, round=1, mergeDigest=bytes(32))
    history.bond("Slashed", A, to=B)
    assert checked(history) == []
    assert checked(history, name) != []


def test_an_enrolment_without_a_bond_is_found() -> None:
    history = History()
    history.events = [
        each for each in history.events if each.name != "Locked" or each.args["hospitalId"] != C
    ]
    assert checked(history) == [
        f"each hospital's bond was locked when it enrolled: not those of hospitals {C}"
    ]


def test_a_proven_challenge_costs_the_merger() -> None:
    history = merged()
    history.challenge(B, proven=True)
    history.on("MergeVoided", same=True, round=1, mergeDigest=bytes(32))
    history.bond("Slashed", A, to=B)
    assert checked(history) == []


def test_a_voided_merge_whose_merger_kept_its_bond_is_found() -> None:
    history = merged()
    history.challenge(B, proven=True)
    history.on("MergeVoided", same=True, round=1, mergeDigest=bytes(32))
    assert checked(history) == [
        f"whoever gave a cause lost its bond: hospital {A}: its merge of round 1 was proved false"
    ]


def test_a_bond_that_was_lost_for_nothing_is_found() -> None:
    history = merged()
    history.on("Attested", round=1, hospitalId=B, mergeDigest=bytes(32))
    history.bond("Slashed", C)
    assert checked(history) == [f"hospital {C} lost its bond for a cause: the record shows none"]


def test_half_of_it_goes_to_nobody_but_the_challenger() -> None:
    history = merged()
    history.challenge(B, proven=True)
    history.on("MergeVoided", same=True, round=1, mergeDigest=bytes(32))
    history.bond("Slashed", A, to=C)
    assert len(checked(history)) == 2


def test_a_failed_challenge_costs_the_challenger() -> None:
    history = merged(state="true")
    history.challenge(B, proven=False)
    history.bond("Slashed", B, to=A)
    assert checked(history) == []


def test_a_merge_that_was_voted_down_costs_its_merger_all_of_it() -> None:
    history = merged()
    for each in (B, C, D, E):
        history.on("Rejected", round=1, hospitalId=each, mergeDigest=bytes(32))
    history.on("MergeVoided", same=True, round=1, mergeDigest=bytes(32))
    history.bond("Slashed", A)
    assert checked(history) == []


def test_a_dropped_update_costs_its_hospital() -> None:
    history = History()
    history.open()
    history.submit(A)
    for each in (B, C, D, E):
        history.on("Doubted", round=1, attempt=1, hospitalId=A, by=each)
    history.on("Dropped", same=True, round=1, attempt=1, hospitalId=A)
    history.on("AttemptOpened", same=True, round=1, attempt=2, participants=0b111110)
    history.bond("Slashed", A)
    assert checked(history) == []


def withheld(*, late: bool, slashed: bool) -> History:
    history = History(groups=2)
    opened = history.open()
    history.on("GroupsDrawn", round=1, seed=block_hash(opened.block + 1), labels=0x111000)
    history.submit(A, B, C, D, E)
    if late:
        history.block += 10
    history.open(attempt=2, hospitals=(A, B, C, D, E))
    if slashed:
        history.bond("Slashed", F)
    return history


def test_an_update_withheld_from_its_group_may_cost_a_bond() -> None:
    """Not where the consent was dead by then, or the merge before was rejected: the contract knows."""
    assert checked(withheld(late=True, slashed=True)) == []
    assert checked(withheld(late=True, slashed=False)) == []


def test_an_update_whose_consent_is_dead_costs_nothing() -> None:
    assert checked(withheld(late=False, slashed=False)) == []
    assert len(checked(withheld(late=False, slashed=True))) == 1


def test_a_bond_that_was_freed_before_the_end_is_found() -> None:
    history = merged()
    history.on("Attested", round=1, hospitalId=B, mergeDigest=bytes(32))
    history.bond("Unlocked", C)
    history.end()
    assert checked(history) == ["none was freed before the job had finished: 1 are free again"]


def test_the_ledger_of_bonds_balances_to_the_last_unit() -> None:
    """Invariant 1, with an amount that cannot be halved."""

    def event(name: str, **args: object) -> Event:
        return Event(name, "Bonds", {"token": TOKEN, "jobs": JOBS, "jobId": 1, **args}, 1, 0, "0x")

    ledger = Ledger.of(
        TOKEN,
        [
            event("BondSet", amount=7),
            event("Deposited", hospitalId=A, amount=10),
            event("Deposited", hospitalId=B, amount=20),
            event("Deposited", hospitalId=C, amount=9, token="0x" + "cc" * 20),
            event("Locked", hospitalId=A, amount=7),
            event("Locked", hospitalId=B, amount=7),
            event("Slashed", hospitalId=A, amount=7, to=B),
            event("Unlocked", hospitalId=B, amount=7),
            event("Withdrawn", hospitalId=B, amount=23),
            event("DaoPaid", amount=4),
        ],
    )
    assert (ledger.free[A], ledger.free[B], ledger.owed, ledger.paid, ledger.deposited) == (3, 0, 0, 27, 30)
    assert ledger.locked == {} and ledger.balanced
