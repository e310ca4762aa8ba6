"""Bonds: each was locked at enrolment, lost only for a cause that the record shows, and the books balance."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator

from protocol.chain.bonds import Bonds
from protocol.chain.events import Event
from protocol.deposits import Ledger
from protocol.record import Attempt, JobRecord
from protocol.trace.check import Check
from protocol.trace.evidence import Evidence

#: A transaction, the hospital that loses its bond in it, and the one that gets half (0: the DAO gets all).
Slashing = tuple[str, int, int]


def check_bonds(evidence: Evidence, parent: Check, record: JobRecord, history: list[Event]) -> None:
    """Invariants 1 and 5 for bonds. ``history``: the job's events of TrainingJobs, in the order of the chain."""
    node = parent.add("bonds")
    everything = evidence.events("Bonds")
    jobs = evidence.chain.address("TrainingJobs")
    mine = [
        each
        for each in everything
        if each.args.get("jobs") == jobs and each.args.get("jobId") == record.job_id
    ]
    _check_locked(evidence, node, record, history, mine)
    _check_slashed(evidence, node, record, history, mine)
    freed = [each for each in mine if each.name == "Unlocked"]
    node.add(
        "none was freed before the job had finished",
        all(record.ended is not None and each.place > record.ended.place for each in freed),
        f"{len(freed)} are free again",
    )
    moved = [each for each in everything if "token" in each.args and each.name != "BondSet"]
    for token in dict.fromkeys(each.args["token"] for each in moved):
        _check_books(evidence, node, token, everything)


def _check_locked(
    evidence: Evidence, parent: Check, record: JobRecord, history: list[Event], mine: list[Event]
) -> None:
    """Every hospital's bond was locked when it enrolled, and again when it came back without one."""
    joined = {
        (each.tx_hash, each.args["hospitalId"]) for each in history if each.name in ("Enrolled", "Rejoined")
    }
    locked = {(each.tx_hash, each.args["hospitalId"]) for each in mine if each.name == "Locked"}
    missing = [each for each, event in record.enrolments.items() if (event.tx_hash, each) not in locked]
    parent.add(
        "each hospital's bond was locked when it enrolled",
        not missing and locked <= joined,
        f"not those of hospitals {', '.join(map(str, missing))}" if missing else "",
    )
    still = Counter({each: 0 for each in record.participants})
    for each in mine:
        still[each.args["hospitalId"]] += 1 if each.name == "Locked" else -1
    asked = sorted(still)
    found = evidence.chain.call_many(
        ("Bonds", "bondOf", (evidence.chain.address("TrainingJobs"), record.job_id, each)) for each in asked
    )
    parent.add(
        "what is locked agrees with what the contract stores",
        [int(each["exists"]) for each in found] == [still[each] for each in asked],
    )


def _check_slashed(
    evidence: Evidence, parent: Check, record: JobRecord, history: list[Event], mine: list[Event]
) -> None:
    certain = {slashing: (event, reason) for slashing, event, reason in _causes(record)}
    causes = certain | {
        slashing: (event, reason) for slashing, event, reason in _withheld(evidence, record, history)
    }
    slashed: dict[Slashing, Event] = {
        (each.tx_hash, each.args["hospitalId"], each.args["to"]): each
        for each in mine
        if each.name == "Slashed"
    }
    for slashing in slashed:
        parent.add(
            f"hospital {slashing[1]} lost its bond for a cause",
            slashing in causes,
            causes[slashing][1] if slashing in causes else "the record shows none",
        )
    spared = [
        f"hospital {slashing[1]}: {reason}"
        for slashing, (event, reason) in certain.items()
        if slashing not in slashed and _had_bond(slashing[1], event, mine)
    ]
    parent.add("whoever gave a cause lost its bond", not spared, "; ".join(spared))


def _had_bond(hospital_id: int, at: Event, mine: list[Event]) -> bool:
    """Whether the hospital's bond was locked at that place in the chain."""
    before = [each for each in mine if each.args["hospitalId"] == hospital_id and each.place < at.place]
    return bool(before) and before[-1].name == "Locked"


def _causes(record: JobRecord) -> Iterator[tuple[Slashing, Event, str]]:
    """What the record says must have cost a bond, each with the reason."""
    proven = {each.event.tx_hash: each for each in record.challenges if each.proven}
    for number, rounds in record.rounds.items():
        for each in rounds.merges:
            if each.void is None or each.void.args["round"] != number:
                continue
            if challenge := proven.get(each.void.tx_hash):
                slashing = (each.void.tx_hash, each.hospital_id, challenge.challenger_id)
                yield slashing, each.void, f"its merge of round {number} was proved false"
            else:
                slashing = (each.void.tx_hash, each.hospital_id, 0)
                yield slashing, each.void, f"its merge of round {number} was voted down"
        for attempt in rounds.attempts.values():
            for hospital_id, event in attempt.dropped.items():
                yield (event.tx_hash, hospital_id, 0), event, f"its update of round {number} was dropped"
    for challenge in record.challenges:
        if challenge.proven:
            continue
        merges = record.round(challenge.round).merges
        standing = [each for each in merges if each.event.place < challenge.event.place]
        slashing = (
            challenge.event.tx_hash,
            challenge.challenger_id,
            standing[-1].hospital_id if standing else 0,
        )
        yield slashing, challenge.event, f"its challenge of round {challenge.round} failed"


def _withheld(
    evidence: Evidence, record: JobRecord, history: list[Event]
) -> Iterator[tuple[Slashing, Event, str]]:
    """Whose update was missing at its deadline, after the groups were drawn. It may have cost the bond; not of one
    whose consent was dead by then, or who had rejected the merge before."""
    if record.proposal.merge.groups < 2:
        return
    seconds = record.proposal.phases.submit
    names: dict[str, set[str]] = defaultdict(set)
    for each in history:
        names[each.tx_hash].add(each.name)
    open_attempt: Attempt | None = None
    for event in history:
        if event.name not in ("AttemptOpened", "JobPaused", "ReportingOpened", "MergeVoided"):
            continue
        late = open_attempt is not None and (
            evidence.chain.timestamp(event.block)
            >= evidence.chain.timestamp(_began(open_attempt).block) + seconds
        )
        if late and open_attempt.drawing and not {"Dropped", "Merged", "MergeVoided"} & names[event.tx_hash]:
            came = {update.hospital_id for update in open_attempt.updates}
            for hospital_id in record.members(open_attempt.participants):
                if hospital_id not in came:
                    slashing = (event.tx_hash, hospital_id, 0)
                    yield slashing, event, "it withheld its update from its group"
        open_attempt = None
        if event.name == "AttemptOpened":
            open_attempt = record.round(event.args["round"]).attempts[event.args["attempt"]]


def _began(attempt: Attempt) -> Event:
    """From when the time to submit ran: nobody could before the draw."""
    drawn = attempt.drawing.event if attempt.drawing else attempt.opened
    return max(attempt.opened, drawn, key=lambda event: event.place)


def _check_books(evidence: Evidence, parent: Check, token: str, everything: list[Event]) -> None:
    """All bonds in this token, of all jobs: deposited = free + locked + owed to the DAO + paid out."""
    bonds, ledger = Bonds(evidence.chain), Ledger.of(token, everything)
    hospitals = sorted(ledger.free)
    stored = evidence.chain.call_many(("Bonds", "freeOf", (each, token)) for each in hospitals)
    balance = evidence.chain.token_balance(token, evidence.chain.address("Bonds"))
    parent.add(
        "deposited = free + locked + owed to the DAO + paid out",
        ledger.balanced
        and bonds.held_of(token) == ledger.deposited - ledger.paid
        and stored == [ledger.free[each] for each in hospitals]
        and bonds.dao_owed(token) == ledger.owed
        and balance >= ledger.deposited - ledger.paid,
        f"{ledger.deposited} = {sum(ledger.free.values())} + {sum(ledger.locked.values())} + {ledger.owed}"
        f" + {ledger.paid}",
    )
