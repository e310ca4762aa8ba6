"""Models and their versions: lineage, candidates, release and withdrawal (invariants 6 and 8)."""

from __future__ import annotations

import pytest

NONE, BASE, CANDIDATE, RELEASED, WITHDRAWN = range(5)
BASE_STATE = (b"\x01" * 32, b"\x02" * 32)
NEXT_STATE = (b"\x03" * 32, b"\x04" * 32)
JOB = 7


@pytest.fixture(scope="module")
def model_id(models, researcher):
    return models.create("heart", BASE_STATE, {"from": researcher}).return_value


@pytest.fixture(scope="module")
def candidate(models, model_id, consumer):
    return models.addCandidate(model_id, 1, JOB, NEXT_STATE, {"from": consumer}).return_value


def as_plain(version):
    return version["status"], version["parent"], version["jobId"], tuple(map(bytes, version["state"]))


def test_create_makes_version_one_the_base(models, stranger):
    before = models.modelCount()

    tx = models.create("heart", BASE_STATE, {"from": stranger})
    model_id = tx.return_value

    assert model_id == models.modelCount() == before + 1
    assert tx.events["ModelCreated"] == {"modelId": model_id, "creator": stranger, "name": "heart"}
    added = tx.events["VersionAdded"]
    assert (added["modelId"], added["version"], added["jobId"], added["parent"]) == (model_id, 1, 0, 0)
    assert added["status"] == BASE
    assert models.versionCount(model_id) == 1
    assert as_plain(models.version(model_id, 1)) == (BASE, 0, 0, BASE_STATE)


@pytest.mark.parametrize(
    ("name", "base"),
    [
        ("", BASE_STATE),
        ("n" * 65, BASE_STATE),
        ("heart", (bytes(32), BASE_STATE[1])),
        ("heart", (BASE_STATE[0], bytes(32))),
    ],
    ids=["no name", "long name", "no cid", "no root"],
)
def test_create_refuses(models, researcher, reverts, name, base):
    with reverts("BadModel"):
        models.create(name, base, {"from": researcher})


def test_create_takes_a_name_of_64_bytes(models, researcher):
    tx = models.create("n" * 64, BASE_STATE, {"from": researcher})
    assert tx.events["ModelCreated"]["name"] == "n" * 64


def test_candidates_append_and_change_nothing_before_them(models, model_id, consumer):
    """Invariant 8."""
    before = models.version(model_id, 1)

    tx = models.addCandidate(model_id, 1, JOB, NEXT_STATE, {"from": consumer})

    assert tx.return_value == models.versionCount(model_id) == 2
    added = tx.events["VersionAdded"]
    assert (added["version"], added["jobId"], added["parent"], added["status"]) == (2, JOB, 1, CANDIDATE)
    assert as_plain(models.version(model_id, 2)) == (CANDIDATE, 1, JOB, NEXT_STATE)
    assert models.version(model_id, 1) == before


def test_candidates_come_only_from_jobs(models, model_id, owner, researcher, consumer, reverts):
    for account in (owner, researcher):
        with reverts("NotJobs", account):
            models.addCandidate(model_id, 1, JOB, NEXT_STATE, {"from": account})
    tx = models.setJobs(consumer, False, {"from": owner})
    assert tx.events["JobsSet"] == {"jobs": consumer, "allowed": False}
    with reverts("NotJobs", consumer):
        models.addCandidate(model_id, 1, JOB, NEXT_STATE, {"from": consumer})


def test_candidates_need_a_parent(models, model_id, consumer, reverts):
    with reverts("UnknownModel", 9):
        models.addCandidate(9, 1, JOB, NEXT_STATE, {"from": consumer})
    with reverts("UnknownModelVersion", model_id, 9):
        models.addCandidate(model_id, 9, JOB, NEXT_STATE, {"from": consumer})


def test_release_and_withdraw(models, model_id, candidate, owner):
    tx = models.release(model_id, candidate, {"from": owner})
    assert tx.events["VersionReleased"] == {"modelId": model_id, "version": candidate}
    assert models.version(model_id, candidate)["status"] == RELEASED

    tx = models.withdraw(model_id, candidate, {"from": owner})
    assert tx.events["VersionWithdrawn"] == {"modelId": model_id, "version": candidate}
    assert models.version(model_id, candidate)["status"] == WITHDRAWN


def test_only_the_owner_releases(models, model_id, candidate, researcher, consumer, reverts):
    """Invariant 6: neither who made it nor the jobs contract."""
    for account in (researcher, consumer):
        with reverts("OwnableUnauthorizedAccount", account):
            models.release(model_id, candidate, {"from": account})
        with reverts("OwnableUnauthorizedAccount", account):
            models.withdraw(model_id, candidate, {"from": account})


def test_only_a_candidate_is_released_and_once(models, model_id, candidate, owner, reverts):
    with reverts("WrongStatus", model_id, 1, BASE):
        models.release(model_id, 1, {"from": owner})
    models.release(model_id, candidate, {"from": owner})
    with reverts("WrongStatus", model_id, candidate, RELEASED):
        models.release(model_id, candidate, {"from": owner})


def test_only_a_release_is_withdrawn_and_for_good(models, model_id, candidate, owner, reverts):
    with reverts("WrongStatus", model_id, candidate, CANDIDATE):
        models.withdraw(model_id, candidate, {"from": owner})
    models.release(model_id, candidate, {"from": owner})
    models.withdraw(model_id, candidate, {"from": owner})
    with reverts("WrongStatus", model_id, candidate, WITHDRAWN):
        models.withdraw(model_id, candidate, {"from": owner})
    with reverts("WrongStatus", model_id, candidate, WITHDRAWN):
        models.release(model_id, candidate, {"from": owner})


def test_any_version_but_a_withdrawn_one_is_a_base(models, model_id, candidate, owner, reverts):
    assert tuple(map(bytes, models.requireBase(model_id, 1))) == BASE_STATE
    assert tuple(map(bytes, models.requireBase(model_id, candidate))) == NEXT_STATE
    models.release(model_id, candidate, {"from": owner})
    assert tuple(map(bytes, models.requireBase(model_id, candidate))) == NEXT_STATE
    models.withdraw(model_id, candidate, {"from": owner})
    with reverts("WrongStatus", model_id, candidate, WITHDRAWN):
        models.requireBase(model_id, candidate)


@pytest.mark.parametrize("name", ["version", "requireBase"])
def test_unknown_versions(models, model_id, reverts, name):
    look = getattr(models, name)
    for unknown in (0, 9):
        with reverts("UnknownModel", unknown):
            look(unknown, 1)
        with reverts("UnknownModelVersion", model_id, unknown):
            look(model_id, unknown)


def test_unknown_models_have_no_count(models, reverts):
    with reverts("UnknownModel", 9):
        models.versionCount(9)


def test_release_names_what_it_does_not_know(models, model_id, owner, reverts):
    with reverts("UnknownModel", 9):
        models.release(9, 1, {"from": owner})
    with reverts("UnknownModelVersion", model_id, 9):
        models.withdraw(model_id, 9, {"from": owner})
