"""The largest and longest job, and the one voided most often: each ends, at a price that a chain takes."""

from __future__ import annotations

import random
from collections.abc import Callable

import eth_abi
import pytest
from play import REWARD, Phases, Status, bits, digest_of, merge_digest, vector

DAY = 86_400
ROUNDS, HOSPITALS = 1_000, 48
# EIP-7825: most gas of one transaction.
TRANSACTION_GAS = 1 << 24
JOBS, ROUNDS_SLOT, DIGESTS, PLACES = range(1, 5)
VOIDS = 208


@pytest.fixture
def store(web3, jobs) -> Callable[[int, int], None]:
    """Writes a word of the jobs contract where it keeps it, as if all that leads there had happened."""

    def _store(slot: int, word: int) -> None:
        args = [jobs.address, f"0x{slot:064x}", f"0x{word:064x}"]
        web3.provider.make_request("evm_setAccountStorageAt", args)

    return _store


@pytest.fixture
def kept(web3) -> Callable[[int, int], int]:
    """The slot of a mapping's value."""
    return lambda mapping, key: int.from_bytes(
        web3.keccak(eth_abi.encode(["uint256", "uint256"], [key, mapping])), "big"
    )


def test_no_lie_outlives_the_last_void(start, jobs, store, kept, web3, stranger):
    """Two hospitals, 255 voids: a rejection that can void no more still keeps silence from making the merge final."""
    play = start(2)
    play.submit_all()
    slot = kept(ROUNDS_SLOT, play.job_id << 16 | 1)
    word = int.from_bytes(web3.eth.get_storage_at(jobs.address, slot), "big")
    store(slot, word | 255 << VOIDS)
    assert play.slot()["voids"] == 255
    liar = play.next_merger()
    play.merge(liar, state=vector("lie"))
    lie = play.standing()

    tx = play.reject(1 - liar)
    assert "MergeVoided" not in tx.events
    assert play.standing() == lie
    play.sleep(play.phases.check)
    assert play.job["finalRounds"] == 0
    jobs.cancel(play.job_id, {"from": stranger})
    assert play.status == Status.CANCELLED


@pytest.mark.parametrize("name", Phases._fields)
def test_a_phase_ends_within_a_lifetime(jobs, proposal, researcher, reverts, name):
    longest = proposal(phases=Phases()._replace(**{name: 366 * DAY}))
    assert jobs.propose.call(longest, {"from": researcher})
    with reverts("BadProposal", "phases"):
        jobs.propose.call(proposal(phases=Phases()._replace(**{name: 366 * DAY + 1})), {"from": researcher})


def test_the_longest_job_of_most_hospitals_can_end(
    jobs, propose, rewards, reward_token, researcher, owner, chain, store, kept
):
    """All rounds of all hospitals, each time others: whoever comes and goes cannot make the end too dear."""
    job_id = propose(rounds=ROUNDS, min_hospitals=1, max_hospitals=HOSPITALS)
    now, everyone = chain[-1].timestamp, bits(*range(HOSPITALS))
    record = kept(JOBS, job_id)
    store(
        record,
        Status.REPORTING
        | ROUNDS + 1 << 8
        | ROUNDS - 1 << 24
        | HOSPITALS << 40
        | everyone << 48
        | now << 96
        | ROUNDS << 136
        | 1 << 152
        | HOSPITALS << 160
        | now << 168,
    )
    for place in range(6):
        ids = (place * 8 + i + 1 for i in range(8))
        store(record + 8 + place, sum(one << 32 * i for i, one in enumerate(ids)))
    for i in range(HOSPITALS):
        place = 1 | i << 8 | 1 << 16 | 1 << 48 | 1 << 80 | i + 1 << 112 | 10 << 144
        store(kept(PLACES, job_id << 32 | i + 1), place)
    random_ = random.Random(1)
    taken, merges = [0] * HOSPITALS, [0] * HOSPITALS
    previous = merger = 0
    for round_ in range(1, ROUNDS + 2):
        members = random_.getrandbits(HOSPITALS) | 1
        votes = previous << 96 | previous << 144 | merger << 192
        store(
            kept(ROUNDS_SLOT, job_id << 16 | round_), members | members << 48 | votes | 1 << 200 | now << 216
        )
        if round_ <= ROUNDS:
            merger = random_.randrange(HOSPITALS) + 1
            merges[merger - 1] += 1
            taken = [n + (members >> i & 1) for i, n in enumerate(taken)]
        previous = members
    accumulator, state = digest_of("accumulator"), vector("last")
    store(record + 4 + ROUNDS % 2, int.from_bytes(accumulator, "big"))
    digest = merge_digest(job_id, ROUNDS, 1, accumulator, state)
    store(kept(DIGESTS, job_id << 16 | ROUNDS), int.from_bytes(digest, "big"))
    assert jobs.job(job_id)["enrolled"] == HOSPITALS
    assert tuple(jobs.hospitalsOf(job_id)) == tuple(range(1, HOSPITALS + 1))

    chain.mine(timestamp=now + Phases().check)
    tx = jobs.finish(job_id, state, {"from": researcher, "gas_limit": 29_000_000})

    assert tx.gas_used < TRANSACTION_GAS
    units = [n * (i + 1) for i, n in enumerate(taken)]
    hospitals, caregivers, patients, mergers = (
        REWARD * bps // 10_000 for bps in (6_000, 1_500, 1_000, 1_000)
    )
    paid = [tuple(rewards.hospitalCreditOf(i + 1, reward_token)) for i in range(HOSPITALS)]
    assert paid == [
        (
            hospitals * n // sum(units) + mergers * merged // ROUNDS,
            caregivers * n // sum(units),
            patients * n // sum(units),
        )
        for n, merged in zip(units, merges, strict=True)
    ]
    assert rewards.creditOf(owner, reward_token) == REWARD - sum(map(sum, paid))
