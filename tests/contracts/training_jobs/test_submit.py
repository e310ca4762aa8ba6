"""Updates: membership, consent, attempt and the merge they build on (invariant 2)."""

from __future__ import annotations

import pytest
from play import ZERO, Status, bits, first_accumulator, next_accumulator, vector


@pytest.fixture(scope="module")
def play(start):
    return start(3)


def test_submit_is_recorded(play):
    update = vector("update of 0")
    tx = play.submit(0, update=update, epsilon=0)
    event = tx.events["UpdateSubmitted"]
    assert (event["jobId"], event["round"], event["hospitalId"], event["attempt"]) == (play.job_id, 1, 1, 1)
    assert tuple(map(bytes, event["update"])) == update
    assert event["epsilonTotalMicro"] == 0
    assert play.slot()["submitted"] == bits(0)
    assert "Attested" not in tx.events


def test_submit_uses_the_consent_once(play, consents):
    tx = play.submit(0)
    assert tx.events["ConsentUsed"] == {"consentId": play.consent_ids[0], "roundsUsed": 1}
    assert consents.consent(play.consent_ids[0])["roundsUsed"] == 1


def test_submit_spends_declared_epsilon(start, consents):
    """Invariant 3 is the consent token's; the job passes on what it was told."""
    play = start(2, terms={"epsilon": 1_000})
    tx = play.submit(0, epsilon=400)
    assert tx.events["EpsilonSpent"]["totalMicro"] == 400
    assert tx.events["UpdateSubmitted"]["epsilonTotalMicro"] == 400
    dataset_id = consents.consent(play.consent_ids[0])["terms"]["datasetId"]
    assert consents.epsilonSpentMicro(dataset_id) == 400


def test_the_accumulator_hashes_updates_in_their_order(play):
    accumulator = first_accumulator(play.job_id, 1, 1)
    assert bytes(play.job["accumulator"]) == accumulator
    for index in (2, 0, 1):
        update = vector("any", index)
        play.submit(index, update=update)
        accumulator = next_accumulator(accumulator, index, update)
        assert bytes(play.job["accumulator"]) == accumulator


def test_the_last_update_starts_the_next_phase(play):
    opened = play.slot()["since"]
    play.sleep(100)
    play.submit_all([0, 1])
    assert play.slot()["since"] == opened
    tx = play.submit(2)
    assert play.slot()["since"] == tx.timestamp


def test_only_operators(play, jobs, researcher, reverts):
    for account in (play.members[0].admin, researcher):
        with reverts("NotOperator", account):
            jobs.submit.call(play.job_id, play.submission(0), {"from": account})


def test_only_the_open_round_and_attempt(play, reverts):
    for round_, attempt in ((0, 1), (2, 1), (1, 0), (1, 2)):
        with reverts("NotOpen", play.job_id, 1, 1):
            play.submit(0, round=round_, attempt=attempt)


def test_only_the_enrolled(play, jobs, admit, reverts):
    fourth = admit(4)[3]
    with reverts("NotEnrolled", play.job_id, 4):
        jobs.submit(play.job_id, play.submission(0), {"from": fourth.operator})


def test_only_participants(enrolled, consents, reverts):
    play = enrolled(3)
    consents.revoke(play.consent_ids[1], {"from": play.members[1].admin})
    play.open()
    with reverts("NotParticipant", play.job_id, 1, 2):
        play.submit(1)


def test_only_once(play, reverts):
    play.submit(0)
    with reverts("AlreadyDone", play.job_id, 1, 1):
        play.submit(0)


@pytest.mark.parametrize("update", [(ZERO, b"\x01" * 32), (b"\x01" * 32, ZERO)])
def test_no_empty_digest(play, reverts, update):
    with reverts("EmptyDigest"):
        play.submit(0, update=update)


def test_not_without_a_live_consent(play, consents, reverts):
    """Invariant 2: at that block."""
    consents.revoke(play.consent_ids[0], {"from": play.members[0].admin})
    with reverts("ConsentIsRevoked", play.consent_ids[0]):
        play.submit(0)
    assert play.slot()["submitted"] == 0


def test_not_after_the_consent_expired(start, chain, consents, reverts):
    play = start(2, terms={"expires_at": chain.time() + 500})
    play.submit(0)
    play.sleep(600)
    expiry = consents.consent(play.consent_ids[1])["terms"]["expiresAt"]
    with reverts("ConsentExpired", play.consent_ids[1], expiry):
        play.submit(1)


def test_an_attempt_uses_a_round_of_the_consent(start):
    """An update sent again in a later attempt was published too."""
    play = start(3, terms={"max_rounds": 1})
    play.submit_all([0, 1])
    play.sleep(play.phases.submit)
    play.open()
    assert play.status == Status.PAUSED


def test_submit_attests_the_merge_it_builds_on(play):
    play.play_round()
    merger = play.slot(1)["merger"] - 1
    other = next(i for i in range(3) if i != merger)
    standing = play.standing()
    tx = play.submit(other)
    assert tx.events["Attested"] == {
        "jobId": play.job_id,
        "round": 1,
        "hospitalId": play.members[other].id,
        "mergeDigest": "0x" + standing.hex(),
    }
    assert tx.events["RoundFinal"] == {"jobId": play.job_id, "round": 1}
    assert play.slot()["attested"] == bits(merger, other)
    assert play.job["finalRounds"] == 1


def test_final_is_said_once(play):
    play.play_round()
    said = [len(tx.events["RoundFinal"]) if "RoundFinal" in tx.events else 0 for tx in play.submit_all()]
    assert sum(said) == 1
    assert "RoundFinal" not in play.merge().events
    assert play.job["finalRounds"] == 1


def test_the_merger_attested_by_merging(play):
    play.play_round()
    assert "Attested" not in play.submit(play.slot(1)["merger"] - 1).events


def test_submit_names_the_standing_merge(play, reverts):
    with reverts("WrongMerge", play.job_id, 0, ZERO):
        play.submit(0, attests=b"\x01" * 32)
    play.play_round()
    with reverts("WrongMerge", play.job_id, 1, play.standing()):
        play.submit(0, attests=ZERO)


def test_who_rejected_a_merge_does_not_build_on_it(play, reverts):
    play.play_round()
    merger = play.slot(1)["merger"] - 1
    other = next(i for i in range(3) if i != merger)
    play.reject(other)
    with reverts("AlreadyDone", play.job_id, 1, play.members[other].id):
        play.submit(other)


def test_not_before_the_first_round(enrolled, reverts):
    play = enrolled(2)
    with reverts("WrongJobStatus", play.job_id, Status.ENROLLING):
        play.submit(0)
