"""Enrolment: a consent that matches, a version of its dataset, one place a hospital."""

from __future__ import annotations

import pytest
from play import HMB, ZERO, Play, Status, bits

GRU, DS = 1, 3


@pytest.fixture(scope="module")
def consented(consenting):
    return consenting(3)


@pytest.fixture(scope="module")
def job_id(propose):
    return propose(max_hospitals=2)


def test_enrol_pins_the_version(jobs, job_id, consented, datasets, version):
    members, consent_ids = consented
    one = members[1]
    datasets.append(2, version(train_records=7, held_out_records=5), {"from": one.operator})

    tx = jobs.enrol(job_id, consent_ids[1], 1, ZERO, {"from": one.operator})

    place = jobs.participant(job_id, one.id)
    assert tuple(place) == (True, 0, consent_ids[1], 2, 1, 200, 100)
    event = tx.events["Enrolled"]
    assert (event["jobId"], event["hospitalId"]) == (job_id, one.id)
    assert tuple(event["participant"]) == tuple(place)
    assert tuple(jobs.hospitalsOf(job_id)) == (one.id,)
    assert (jobs.job(job_id)["enrolled"], jobs.job(job_id)["present"]) == (1, bits(0))


def test_bits_follow_the_order_of_enrolment(jobs, job_id, consented, datasets, version):
    members, consent_ids = consented
    datasets.append(3, version(train_records=7, held_out_records=0), {"from": members[2].operator})
    jobs.enrol(job_id, consent_ids[2], 2, ZERO, {"from": members[2].operator})
    jobs.enrol(job_id, consent_ids[0], 1, ZERO, {"from": members[0].operator})
    assert tuple(jobs.hospitalsOf(job_id)) == (3, 1)
    assert tuple(jobs.participant(job_id, 3)) == (True, 0, consent_ids[2], 3, 2, 7, 0)
    assert jobs.participant(job_id, 1)["index"] == 1
    assert jobs.job(job_id)["present"] == bits(0, 1)


def test_only_operators_of_active_hospitals(jobs, hospitals, job_id, consented, owner, researcher, reverts):
    members, consent_ids = consented
    for account in (members[0].admin, researcher):
        with reverts("NotOperator", account):
            jobs.enrol.call(job_id, consent_ids[0], 1, ZERO, {"from": account})
    hospitals.suspend(1, {"from": owner})
    with reverts("Suspended", 1):
        jobs.enrol.call(job_id, consent_ids[0], 1, ZERO, {"from": members[0].operator})


def test_one_place_a_hospital(jobs, job_id, consented, reverts):
    members, consent_ids = consented
    jobs.enrol(job_id, consent_ids[0], 1, ZERO, {"from": members[0].operator})
    with reverts("AlreadyEnrolled", job_id, 1):
        jobs.enrol.call(job_id, consent_ids[0], 1, ZERO, {"from": members[0].operator})


def test_enrolment_closes_when_full(jobs, job_id, consented, reverts):
    members, consent_ids = consented
    for i in range(2):
        jobs.enrol(job_id, consent_ids[i], 1, ZERO, {"from": members[i].operator})
    with reverts("EnrolmentClosed", job_id):
        jobs.enrol.call(job_id, consent_ids[2], 1, ZERO, {"from": members[2].operator})


def test_enrolment_closes_in_time(jobs, job_id, consented, chain, reverts):
    members, consent_ids = consented
    deadline = jobs.job(job_id)["since"] + jobs.job(job_id)["phases"]["enrol"]
    chain.mine(timestamp=deadline - 10)
    jobs.enrol(job_id, consent_ids[0], 1, ZERO, {"from": members[0].operator})
    chain.mine(timestamp=deadline)
    with reverts("EnrolmentClosed", job_id):
        jobs.enrol(job_id, consent_ids[1], 1, ZERO, {"from": members[1].operator})


def test_no_enrolment_into_a_job_under_way(start, consented, jobs, reverts):
    play = start(2)
    members, consent_ids = consented
    with reverts("WrongJobStatus", play.job_id, Status.RUNNING):
        jobs.enrol.call(play.job_id, consent_ids[2], 1, ZERO, {"from": members[2].operator})


def test_the_consent_must_match(
    jobs, consents, propose, consent_terms, consented, researcher, owner, reverts
):
    """Invariant 2 begins here: whoever could never submit does not enrol."""
    members, consent_ids = consented
    one = members[0]
    job_id = propose()

    def enrol(consent_id, version=1):
        jobs.enrol.call(job_id, consent_id, version, ZERO, {"from": one.operator})

    with reverts("UnknownConsent", 99):
        enrol(99)
    with reverts("NotYourConsent", consent_ids[1], 1):
        enrol(consent_ids[1])
    narrow = consents.mint(consent_terms(1, permission=DS, mondo=5148), {"from": one.admin}).return_value
    with reverts("PurposeNotAllowed", narrow, DS, HMB):
        enrol(narrow)
    foreign = consents.mint(consent_terms(1, grantee=str(owner)), {"from": one.admin}).return_value
    with reverts("NotGrantee", foreign, owner, researcher):
        enrol(foreign)
    consents.revoke(consent_ids[0], {"from": one.admin})
    with reverts("ConsentIsRevoked", consent_ids[0]):
        enrol(consent_ids[0])


def test_the_version_must_exist(jobs, job_id, consented, reverts):
    members, consent_ids = consented
    with reverts("UnknownVersion", 1, 2):
        jobs.enrol.call(job_id, consent_ids[0], 2, ZERO, {"from": members[0].operator})


def test_play_names_hospitals_by_bit(enrolled):
    play = enrolled(3)
    assert isinstance(play, Play)
    assert tuple(play.jobs.hospitalsOf(play.job_id)) == tuple(one.id for one in play.members)
