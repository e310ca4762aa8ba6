"""What came in for a job is what was credited, each share worked out again, and the pool's books balance."""

from __future__ import annotations

from protocol.chain.rewards import HospitalCredit, Split
from protocol.record import JobRecord
from protocol.trace.check import Check
from protocol.trace.evidence import Evidence
from protocol.trace.shares import due


def check_payments(evidence: Evidence, parent: Check, record: JobRecord) -> None:
    """Invariant 1 for this job, and each share worked out again from the record."""
    node = parent.add("reward")
    pool = evidence.events("RewardPool", jobId=record.job_id)
    escrowed = [each for each in pool if each.name == "Escrowed"]
    settled = [each for each in pool if each.name == "Settled"]
    if len(escrowed) != 1 or len(settled) != 1:
        node.add("escrowed once and settled once", False)
        return
    proposal, promised = record.proposal, escrowed[0].args
    node.add(
        "escrowed as it was proposed",
        (promised["token"], promised["researcher"], promised["amount"], Split.of(promised["split"]))
        == (proposal.reward_token, proposal.purpose.researcher, proposal.reward_amount, proposal.split),
    )
    owed = due(record, proposal.reward_amount, proposal.split, proposal.rounds)
    credited = {
        each.args["hospitalId"]: HospitalCredit.of(each.args)
        for each in pool
        if each.name == "HospitalCredited"
    }
    for hospital_id in sorted(owed.hospitals | credited):
        share, given = owed.hospitals.get(hospital_id), credited.get(hospital_id)
        node.add(
            f"hospital {hospital_id}: credited by its records, rounds and merges",
            share == given,
            f"{given.sum if given else 0} of {share.sum if share else 0}",
        )
    accounts = sum(each.args["amount"] for each in pool if each.name == "AccountCredited")
    hospitals = sum(each.sum for each in credited.values())
    node.add(
        "credited to hospitals, DAO and researcher: what was escrowed",
        hospitals + accounts == promised["amount"] and accounts == owed.dao + owed.researcher,
        f"{hospitals} + {accounts} of {promised['amount']}",
    )
    _check_claims(evidence, node, promised["token"])


def _check_claims(evidence: Evidence, parent: Check, token: str) -> None:
    """The whole pool in this token: paid out + still held = paid in, and the pool has what it holds."""
    everything = evidence.events("RewardPool")
    jobs = {
        each.args["jobId"] for each in everything if each.name == "Escrowed" and each.args["token"] == token
    }
    paid_in = sum(
        each.args["amount"] for each in everything if each.name == "Escrowed" and each.args["jobId"] in jobs
    )
    paid_out = sum(
        each.args["amount"]
        for each in everything
        if each.name in ("HospitalPaid", "AccountPaid") and each.args["token"] == token
    )
    held = evidence.chain.call("RewardPool", "heldOf", token)
    balance = evidence.chain.token_balance(token, evidence.chain.address("RewardPool"))
    parent.add(
        "paid out + still held = paid in",
        paid_out + held == paid_in and balance >= held,
        f"{paid_out} + {held} = {paid_in}",
    )
