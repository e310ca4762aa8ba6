"""The edges of what a record can count: an attempt's number is never used twice, so a round has at most 255."""

from __future__ import annotations

import pytest
from play import Status, bits

LAST = 255


@pytest.fixture
def set_attempt(web3, jobs):
    """Writes the attempt of a round where the contract keeps it, as if so many had passed."""

    def _set(job_id: int, round_: int, attempt: int) -> None:
        key = (job_id << 16 | round_).to_bytes(32, "big")
        for place in range(16):
            slot = web3.keccak(key + place.to_bytes(32, "big")).hex()
            word = int.from_bytes(web3.eth.get_storage_at(jobs.address, slot), "big")
            if word >> 200 & 0xFF:
                word = word & ~(0xFF << 200) | attempt << 200
                args = [jobs.address, "0x" + slot.removeprefix("0x"), "0x" + word.to_bytes(32, "big").hex()]
                web3.provider.make_request("evm_setAccountStorageAt", args)
                return
        raise AssertionError("no round is kept under this key")

    return _set


@pytest.fixture(scope="module")
def play(start):
    return start(3)


def test_no_attempt_after_the_last(play, set_attempt, jobs, stranger, reverts):
    set_attempt(play.job_id, 1, LAST)
    assert play.slot()["attempt"] == LAST
    play.submit_all([0, 1])
    play.sleep(play.phases.submit)
    tx = play.open()
    assert tx.events["JobPaused"] == {"jobId": play.job_id, "round": 1, "live": bits(0, 1)}
    with reverts("NothingToOpen", play.job_id):
        play.open()
    play.sleep(play.phases.pause)
    jobs.cancel(play.job_id, {"from": stranger})
    assert play.status == Status.CANCELLED


def test_the_attempt_before_opens_the_last(play, set_attempt):
    set_attempt(play.job_id, 1, LAST - 1)
    play.submit_all([0, 1])
    play.sleep(play.phases.submit)
    play.open()
    assert play.slot()["attempt"] == LAST
    play.play_round()
    assert play.slot()["attempt"] == 1


def test_reports_do_not_need_a_number_of_their_own(start, set_attempt):
    play = start(3, rounds=1)
    play.submit_all()
    play.merge(1)
    set_attempt(play.job_id, 2, LAST)
    play.reject(0)
    play.reject(2)
    play.merge()
    assert (play.status, play.slot()["attempt"]) == (Status.REPORTING, LAST)
