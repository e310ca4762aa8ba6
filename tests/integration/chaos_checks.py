"""What must hold after a job that lived under kills, read from chain, daemon and disk alone."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from protocol.chain import abi
from protocol.chain.client import Chain
from protocol.chain.enums import JobStatus
from protocol.content.cid import to_cid
from protocol.record import JobRecord
from protocol.spec import JobSpec
from protocol.trace import trace
from tests.integration.stage import Actor, Stage

# A node whose daemon was killed under it tries again after 30 s, and after 60 s more.
RELEASE_SECONDS = 180
LOG_BYTES = 2_000_000
#: All that a hospital's home may hold when no job is under way, besides its datasets.
LASTING = {"node.log", "policy.json", "status.json"}


@dataclass(frozen=True)
class Check:
    """One thing that must hold, and what was seen of it."""

    name: str
    holds: bool
    seen: str


def checks(stage: Stage, job_id: int, first_block: int, pins_before: set[bytes]) -> list[Check]:
    """Every check, in an order in which later ones may change the network: the last moves the chain's time."""
    job, record = stage.job(job_id), stage.record(job_id)
    if job.status != JobStatus.FINISHED:
        return [
            Check("the job is finished", False, f"{job.status.name} in round {job.round}\n{stage.scene()}")
        ]
    return [
        Check("the job is finished", job.final_rounds == job.rounds, f"{job.final_rounds} rounds are final"),
        _trace(stage, record),
        *_transactions(stage, record, first_block),
        _published(stage, record, pins_before),
        _files(stage),
        _retention(stage, record),
    ]


def _trace(stage: Stage, record: JobRecord) -> Check:
    found = trace(stage.chain, stage.ipfs, stage.model_id, record.ended.args["version"])
    return Check("trace", found.holds, "holds" if found.holds else str(found))


def _transactions(stage: Stage, record: JobRecord, first_block: int) -> Iterator[Check]:
    operators = {actor.operator.address.lower(): actor for actor in stage.hospitals}
    sent = [each for each in _mined(stage.chain, first_block) if each["from"] in operators]
    failed = [each for each in sent if each["status"] != 1]
    yield Check("no failed transaction", not failed, f"{len(sent)} sent, failed: {_names(failed)}")
    idle = [each for each in sent if not each["logs"]]
    yield Check("no transaction without effect", not idle, _names(idle))
    updates = [
        (
            operators[each["from"]].hospital_id,
            *(each["args"]["submission"][key] for key in ("round", "attempt")),
        )
        for each in sent
        if each["function"] == "submit"
    ]
    twice = [key for key, times in Counter(updates).items() if times > 1]
    yield Check("no update sent twice", not twice, f"{len(updates)} updates; twice: {twice or 'none'}")
    attempts = sum(len(each.attempts) for each in record.rounds.values())
    gas = sum(each["gas"] for each in sent) / record.proposal.rounds / len(operators)
    yield Check(
        "every round has an attempt",
        attempts >= record.proposal.rounds,
        f"{attempts} attempts; {gas:,.0f} gas a hospital and round",
    )


def _mined(chain: Chain, first_block: int) -> Iterator[dict[str, Any]]:
    """Transactions since a block: sender, what they called, and what came of it."""
    for number in range(first_block, chain.head() + 1):
        for found in chain.rpc.request("eth_getBlockByNumber", hex(number), True)["transactions"]:
            receipt = chain.rpc.request("eth_getTransactionReceipt", found["hash"])
            contract = chain.deployment.name_of(found["to"] or "")
            call = abi.decode_call(contract, bytes.fromhex(found["input"][2:])) if contract else ("", {})
            yield {
                "from": receipt["from"].lower(),
                "function": call[0],
                "args": call[1],
                "status": int(receipt["status"], 16),
                "logs": receipt["logs"],
                "gas": int(receipt["gasUsed"], 16),
            }


def _names(transactions: list[dict[str, Any]]) -> str:
    return ", ".join(each["function"] for each in transactions) or "none"


def _published(stage: Stage, record: JobRecord, before: set[bytes]) -> Check:
    """What the job left pinned is what the chain names, no more and no less: a second update would show here."""
    vectors = {ref.cid for ref in record.vectors()}
    documents = {record.proposal.spec_digest, *(report.metrics for report in record.reports.values())}
    deadline = time.monotonic() + RELEASE_SECONDS
    # Of what a killed node had pinned and never sent, it lets go when it sees the job's end.
    while (stray := stage.ipfs.pins() - before - vectors - documents) and time.monotonic() < deadline:
        time.sleep(0.1)
    missing = vectors - stage.ipfs.pins()
    return Check(
        "pins are what the chain names",
        not missing and not stray,
        f"{len(vectors)} vectors; missing: {_cids(missing)}; nobody named: {_cids(stray)}",
    )


def _cids(digests: set[bytes]) -> str:
    return ", ".join(to_cid(each) for each in digests) or "none"


def _files(stage: Stage) -> Check:
    """Homes hold no journal of a job that has ended, nothing half-written, and no log without bound."""
    deadline = time.monotonic() + RELEASE_SECONDS
    while (
        left := [path for actor in stage.hospitals for path in _passing(actor)]
    ) and time.monotonic() < deadline:
        time.sleep(0.1)
    largest = max((actor.home / "node.log").stat().st_size for actor in stage.hospitals)
    return Check(
        "no files pile up",
        not left and largest < LOG_BYTES,
        f"left: {left or 'none'}; longest log {largest:,} bytes",
    )


def _passing(actor: Actor) -> list[str]:
    """Files of a home that should not outlive a job."""
    files = [path.relative_to(actor.home) for path in actor.home.rglob("*") if path.is_file()]
    lasting = [path for path in files if path.parts[0] == "datasets" or str(path) in LASTING]
    return [f"{actor.name}/{path}" for path in files if path not in lasting]


def _retention(stage: Stage, record: JobRecord) -> Check:
    """Pins stay until ``retain_until``, and no longer."""
    spec = JobSpec.parse(stage.ipfs.fetch(record.proposal.spec_digest))
    vectors = {ref.cid for ref in record.vectors()}
    early = vectors - stage.ipfs.pins()
    stage.devnet.advance_time(spec.retain_until - stage.chain.now() + 1)
    deadline = time.monotonic() + RELEASE_SECONDS
    while (late := vectors & stage.ipfs.pins()) and time.monotonic() < deadline:
        time.sleep(0.1)
    return Check(
        "pins follow retention", not early and not late, f"{len(early)} released early, {len(late)} late"
    )
