"""Who is a member, and while it is suspended."""

from __future__ import annotations

import pytest

ADMIN, OPERATOR = 1, 2


def test_admit_gives_the_next_id_and_says_who_acts_for_it(hospitals, candidates, owner):
    first, second = candidates[:2]
    tx = hospitals.admit("Cleveland", first.admin, first.operator, first.funds, {"from": owner})
    hospitals.admit("Hungary", second.admin, second.operator, second.funds, {"from": owner})

    assert tx.return_value == 1
    assert tx.events["HospitalAdmitted"] == {
        "hospitalId": 1,
        "name": "Cleveland",
        "admin": first.admin,
        "operator": first.operator,
        "funds": first.funds,
    }
    assert hospitals.hospitalCount() == 2
    assert tuple(hospitals.hospital(2)) == (second.admin, False, second.operator, second.funds)
    assert tuple(hospitals.roleOf(second.admin)) == (2, ADMIN)
    assert tuple(hospitals.roleOf(second.operator)) == (2, OPERATOR)
    assert hospitals.requireAdmin(second.admin) == 2
    assert hospitals.requireOperator(second.operator) == 2


@pytest.mark.parametrize("name", ["", "x" * 65])
def test_admit_refuses_a_name_of_another_length(hospitals, candidates, owner, reverts, name):
    first = candidates[0]
    with reverts("BadName"):
        hospitals.admit(name, first.admin, first.operator, first.funds, {"from": owner})


@pytest.mark.parametrize("name", ["x", "x" * 64])
def test_admit_takes_the_shortest_and_longest_name(hospitals, candidates, owner, name):
    first = candidates[0]
    assert hospitals.admit(name, first.admin, first.operator, first.funds, {"from": owner}).return_value == 1


@pytest.mark.parametrize("missing", range(5))
def test_admit_refuses_a_missing_address(hospitals, candidates, owner, reverts, missing):
    first = candidates[0]
    addresses = [first.admin, first.operator, *first.funds]
    addresses[missing] = "0x" + "00" * 20
    with reverts("ZeroAddress"):
        hospitals.admit("Cleveland", *addresses[:2], addresses[2:], {"from": owner})


def test_admit_refuses_an_account_that_serves_a_hospital(hospitals, members, candidates, owner, reverts):
    new = candidates[5]
    for taken in (members[0].admin, members[0].operator):
        with reverts("AccountTaken", taken, 1):
            hospitals.admit("Again", taken, new.operator, new.funds, {"from": owner})
        with reverts("AccountTaken", taken, 1):
            hospitals.admit("Again", new.admin, taken, new.funds, {"from": owner})


def test_admit_refuses_one_account_in_both_roles(hospitals, candidates, owner, reverts):
    new = candidates[0]
    with reverts("AccountTaken", new.admin, 1):
        hospitals.admit("One key", new.admin, new.admin, new.funds, {"from": owner})


def test_suspend_stops_the_operator_and_leaves_the_admin(hospitals, member, owner, reverts):
    tx = hospitals.suspend(member.id, {"from": owner})

    assert tx.events["HospitalSuspended"] == {"hospitalId": member.id}
    assert hospitals.hospital(member.id)["suspended"]
    assert hospitals.requireAdmin(member.admin) == member.id
    with reverts("Suspended", member.id):
        hospitals.requireOperator(member.operator)


def test_suspend_leaves_the_other_hospitals(hospitals, member, other_member, owner):
    hospitals.suspend(member.id, {"from": owner})
    assert hospitals.requireOperator(other_member.operator) == other_member.id


def test_suspend_refuses_a_second_time(hospitals, member, owner, reverts):
    hospitals.suspend(member.id, {"from": owner})
    with reverts("Suspended", member.id):
        hospitals.suspend(member.id, {"from": owner})


def test_reinstate_lets_the_operator_go_on(hospitals, member, owner):
    hospitals.suspend(member.id, {"from": owner})
    tx = hospitals.reinstate(member.id, {"from": owner})

    assert tx.events["HospitalReinstated"] == {"hospitalId": member.id}
    assert not hospitals.hospital(member.id)["suspended"]
    assert hospitals.requireOperator(member.operator) == member.id


def test_reinstate_refuses_a_hospital_that_is_not_suspended(hospitals, member, owner, reverts):
    with reverts("NotSuspended", member.id):
        hospitals.reinstate(member.id, {"from": owner})


@pytest.mark.usefixtures("members")
@pytest.mark.parametrize("hospital_id", [0, 4, 2**32 - 1])
def test_an_unknown_hospital_is_refused_by_name(hospitals, owner, spare, reverts, hospital_id):
    with reverts("UnknownHospital", hospital_id):
        hospitals.hospital(hospital_id)
    with reverts("UnknownHospital", hospital_id):
        hospitals.suspend(hospital_id, {"from": owner})
    with reverts("UnknownHospital", hospital_id):
        hospitals.reinstate(hospital_id, {"from": owner})
    with reverts("UnknownHospital", hospital_id):
        hospitals.replaceAdmin(hospital_id, spare[0], {"from": owner})
