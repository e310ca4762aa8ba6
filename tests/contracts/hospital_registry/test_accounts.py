"""Replaceable accounts: authority follows the hospital's id."""

from __future__ import annotations

import pytest

RETIRED = 3


def test_rotate_operator_retires_the_old_account(hospitals, member, spare, reverts):
    tx = hospitals.rotateOperator(spare[0], {"from": member.admin})

    assert tx.events["OperatorRotated"] == {
        "hospitalId": member.id,
        "previous": member.operator,
        "current": spare[0],
    }
    assert hospitals.requireOperator(spare[0]) == member.id
    assert hospitals.hospital(member.id)["operator"] == spare[0]
    assert tuple(hospitals.roleOf(member.operator)) == (member.id, RETIRED)
    with reverts("NotOperator", member.operator):
        hospitals.requireOperator(member.operator)


def test_rotate_operator_does_not_lift_a_suspension(hospitals, member, owner, spare, reverts):
    hospitals.suspend(member.id, {"from": owner})
    hospitals.rotateOperator(spare[0], {"from": member.admin})

    assert hospitals.hospital(member.id)["suspended"]
    with reverts("Suspended", member.id):
        hospitals.requireOperator(spare[0])

    hospitals.reinstate(member.id, {"from": owner})
    assert hospitals.requireOperator(spare[0]) == member.id


def test_rotate_operator_refuses_every_account_that_ever_served(
    hospitals, member, other_member, spare, reverts
):
    hospitals.rotateOperator(spare[0], {"from": member.admin})
    for account, hospital_id in (
        (member.operator, member.id),
        (spare[0], member.id),
        (member.admin, member.id),
        (other_member.operator, other_member.id),
    ):
        with reverts("AccountTaken", account, hospital_id):
            hospitals.rotateOperator(account, {"from": member.admin})


def test_rotate_operator_refuses_no_account(hospitals, member, reverts):
    with reverts("ZeroAddress"):
        hospitals.rotateOperator("0x" + "00" * 20, {"from": member.admin})


def test_replace_admin_retires_the_lost_key(hospitals, member, owner, spare, reverts):
    tx = hospitals.replaceAdmin(member.id, spare[0], {"from": owner})

    assert tx.events["AdminReplaced"] == {
        "hospitalId": member.id,
        "previous": member.admin,
        "current": spare[0],
    }
    assert hospitals.requireAdmin(spare[0]) == member.id
    assert hospitals.hospital(member.id)["admin"] == spare[0]
    assert tuple(hospitals.roleOf(member.admin)) == (member.id, RETIRED)
    with reverts("NotAdmin", member.admin):
        hospitals.rotateOperator(spare[1], {"from": member.admin})


def test_replace_admin_refuses_a_taken_or_missing_account(hospitals, member, other_member, owner, reverts):
    with reverts("AccountTaken", other_member.admin, other_member.id):
        hospitals.replaceAdmin(member.id, other_member.admin, {"from": owner})
    with reverts("ZeroAddress"):
        hospitals.replaceAdmin(member.id, "0x" + "00" * 20, {"from": owner})


def test_set_funds_changes_where_the_hospital_is_paid(hospitals, member, other_member):
    tx = hospitals.setFunds(other_member.funds, {"from": member.admin})

    assert tx.events["FundsChanged"] == {"hospitalId": member.id, "funds": other_member.funds}
    assert tuple(hospitals.hospital(member.id)["funds"]) == other_member.funds


@pytest.mark.parametrize("missing", range(3))
def test_set_funds_refuses_a_missing_address(hospitals, member, reverts, missing):
    funds = list(member.funds)
    funds[missing] = "0x" + "00" * 20
    with reverts("ZeroAddress"):
        hospitals.setFunds.call(funds, {"from": member.admin})


def test_an_account_without_a_hospital_has_no_role(hospitals, member, stranger, reverts):
    assert tuple(hospitals.roleOf(stranger)) == (0, 0)
    with reverts("NotAdmin", stranger):
        hospitals.requireAdmin(stranger)
    with reverts("NotOperator", stranger):
        hospitals.requireOperator(stranger)
    with reverts("NotAdmin", member.operator):
        hospitals.requireAdmin(member.operator)
    with reverts("NotOperator", member.admin):
        hospitals.requireOperator(member.admin)
