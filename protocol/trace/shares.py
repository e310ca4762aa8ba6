"""Who is owed what for a finished job, worked out again from its record: `RewardPool.settle` in integers of our own."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from protocol.chain.rewards import ALL_BPS, HospitalCredit, Split
from protocol.record import JobRecord


@dataclass(frozen=True)
class Due:
    """Credits in the token's smallest unit: ``hospitals`` by id, those that are owed something."""

    hospitals: dict[int, HospitalCredit]
    dao: int
    researcher: int


def due(record: JobRecord, amount: int, split: Split, final_rounds: int) -> Due:
    """The shares of ``final_rounds`` of the job's rounds.

    Hospitals, caregivers and patients by training records x rounds taken part, mergers by merges. Every division rounds
    down, what is left over is the DAO's, and what was not earned goes back to the researcher.
    """
    units: Counter[int] = Counter()
    merges: Counter[int] = Counter()
    for number in range(1, final_rounds + 1):
        merges[record.round(number).merge.hospital_id] += 1
        for update in record.round(number).merged_updates:
            units[update.hospital_id] += record.participants[update.hospital_id].train_records
    total = sum(units.values())
    earned = amount * final_rounds // record.proposal.rounds if total else 0

    def part(pot_bps: int, done: int, of: int) -> int:
        return earned * pot_bps // ALL_BPS * done // of

    hospitals = {
        each: HospitalCredit(
            payout=part(split.hospitals_bps, units[each], total)
            + part(split.merger_bps, merges[each], final_rounds),
            caregivers=part(split.caregivers_bps, units[each], total),
            patients=part(split.patients_bps, units[each], total),
        )
        for each in (record.participants if earned else ())
    }
    hospitals = {each: credit for each, credit in hospitals.items() if credit.sum}
    return Due(hospitals, earned - sum(credit.sum for credit in hospitals.values()), amount - earned)
