"""Enrolment: a consent that matches, a version of its dataset, one place a hospital."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from play import HMB, ZERO, MergeRule, Play, Status, bits, mask_key

GRU, DS = 1, 3
P = 2**255 - 19
LOW_ORDER = [
    0,
    1,
    325606250916557431795983626356110631294008115727848805560023387167927233504,
    39382357235489614581723060781553021112529911719440698176882885853963445705823,
    P - 1,
    P,
    P + 1,
]


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


def test_enrolment_locks_a_bond(jobs, job_id, consented, bonds, bond_token):
    members, consent_ids = consented
    free = bonds.freeOf(1, bond_token)
    tx = jobs.enrol(job_id, consent_ids[0], 1, ZERO, {"from": members[0].operator})
    amount = tx.events["Locked"]["amount"]
    assert tuple(bonds.bondOf(jobs, job_id, 1)) == (True, bond_token, amount)
    assert bonds.freeOf(1, bond_token) == free - amount


def test_no_place_without_a_bond(jobs, job_id, consented, bonds, bond_token, reverts):
    members, consent_ids = consented
    free = bonds.freeOf(1, bond_token)
    bonds.withdraw(bond_token, free, {"from": members[0].admin})
    with reverts("BondTooSmall", 1, bond_token, 0, bonds.bond()[1]):
        jobs.enrol.call(job_id, consent_ids[0], 1, ZERO, {"from": members[0].operator})


def test_a_masked_job_takes_a_key(jobs, propose, consented):
    members, consent_ids = consented
    job_id = propose(min_hospitals=3, merge=MergeRule(masked=True))
    tx = jobs.enrol(job_id, consent_ids[0], 1, mask_key(0), {"from": members[0].operator})
    assert bytes(tx.events["Enrolled"]["maskKey"]) == mask_key(0)


@pytest.mark.parametrize("top_bit", [0, 0x80], ids=["canonical", "top bit set"])
@pytest.mark.parametrize("number", LOW_ORDER)
def test_but_none_of_low_order(jobs, propose, consented, reverts, number, top_bit):
    """Whoever agrees with one of these agrees on zero: X25519 itself says so."""
    members, consent_ids = consented
    job_id = propose(min_hospitals=3, merge=MergeRule(masked=True))
    key = number.to_bytes(32, "little")
    key = key[:31] + bytes([key[31] | top_bit])
    with pytest.raises(ValueError, match="shared key"):
        X25519PrivateKey.generate().exchange(X25519PublicKey.from_public_bytes(key))
    with reverts("BadMaskKey", key):
        jobs.enrol.call(job_id, consent_ids[0], 1, key, {"from": members[0].operator})


def test_a_job_without_masks_takes_none(jobs, job_id, consented, reverts):
    members, consent_ids = consented
    with reverts("BadMaskKey", mask_key(0)):
        jobs.enrol.call(job_id, consent_ids[0], 1, mask_key(0), {"from": members[0].operator})


def test_play_names_hospitals_by_bit(enrolled):
    play = enrolled(3)
    assert isinstance(play, Play)
    assert tuple(play.jobs.hospitalsOf(play.job_id)) == tuple(one.id for one in play.members)
