"""What it costs to prove a merge false, from real transactions on the real contracts.

    make bench                               (or alone: python scripts/bench_challenge.py)

The vectors have 16.7 million lanes, so that a path has sixteen siblings. Only one chunk of each is made: the other
leaves are any digests. Updates are uniformly random, as masked ones are, so almost none of their bytes comes cheaper as
a zero. The merge of round 1 is challenged, where the state before is the base version's: the dearer case.
"""

from __future__ import annotations

import hashlib
import secrets
import sys
import tempfile
from pathlib import Path
from typing import Any

import bench_gas
import numpy as np
from bench_stage import Hospital, Play, Stage
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from protocol.chain.challenges import Challenges, Chunk, Claim, Part, Previous
from protocol.chain.enums import Rule
from protocol.chain.jobs import Jobs, MergeRule
from protocol.chain.models import Vector
from protocol.content import merkle
from protocol.content.vectors import VectorRef
from protocol.learning import groups
from protocol.learning.merge import ONE, merge

LANES = 2**24
CHUNK = 12_345
# Hospitals, groups of three, and how the groups are combined.
CASES = (
    (3, 1, Rule.MEAN),
    (6, 1, Rule.MEAN),
    (6, 2, Rule.MEAN),
    (6, 2, Rule.MEDIAN),
    (18, 1, Rule.MEAN),
    (18, 6, Rule.MEAN),
    (18, 6, Rule.MEDIAN),
)
LIMITS = {(18, 1, Rule.MEAN): 1_000_000, (18, 6, Rule.MEDIAN): 1_250_000}
# EIP-7623 (Prague): a transaction pays at least this for its calldata, a byte other than zero counting as four.
FLOOR_BASE, FLOOR_PER_TOKEN = 21_000, 10


class LoneChunk:
    """A vector of which only one chunk is known: int32[256]."""

    def __init__(self, lanes: np.ndarray) -> None:
        self.lanes = lanes
        content, path = lanes.astype("<i4").tobytes(), []
        node, place, count = merkle.chunk_leaf(LANES, CHUNK, content), CHUNK, merkle.chunk_count(LANES)
        while count > 1:
            path.append(secrets.token_bytes(32))
            pair = path[-1] + node if place & 1 else node + path[-1]
            node = hashlib.sha256(merkle.NODE_TAG + pair).digest()
            place, count = place >> 1, count >> 1
        self.ref = VectorRef(secrets.token_bytes(32), node)
        self.named = Vector(self.ref.cid, node)
        self.chunk = Chunk(content, path)


def run(stage: Stage) -> dict[str, Any]:
    """Gas of a proven challenge by case, beside its limit and what EIP-7623 would make of it."""
    hospitals = stage.admit(max(size for size, _, _ in CASES))
    for each in hospitals:
        stage.register_digests(each)
    return {
        "lanes": LANES,
        "cases": [
            {
                "hospitals": size,
                "groups": count,
                "rule": rule.name.lower(),
                "limit": LIMITS.get((size, count, rule)),
                **_challenge(stage, hospitals[:size], count, rule),
            }
            for size, count, rule in CASES
        ],
    }


def _challenge(stage: Stage, hospitals: list[Hospital], count: int, rule: Rule) -> dict[str, int]:
    """Plays a round to a merge that is false in one lane, and has another hospital prove it."""
    rng = np.random.default_rng(len(hospitals))
    before = LoneChunk(_random(rng, 2**26))
    job = MergeRule(lanes=LANES, server_step=ONE, rule=rule, groups=count, masked=True)
    play = Play(stage, bench_gas.propose(stage, len(hospitals), job, before.ref), hospitals)
    play.enrol(dataset_version=2)
    jobs = Jobs(stage.chain)
    if count > 1:
        stage.devnet.advance_time(1)
        stage.devnet.advance_time(1)
        stage.paid("TrainingJobs.draw", Jobs(stage.as_(stage.researcher)).draw(play.job_id))
    labels = jobs.draw_of(play.job_id).labels
    updates = [LoneChunk(_random(rng, 2**31)) for _ in hospitals]
    members = groups.split(labels, range(len(hospitals)))
    result = merge(
        before.lanes, [[updates[i].lanes for i in group] for group in members], ONE, rule.name.lower()
    )
    result[0] ^= 1
    claimed = LoneChunk(result)
    play.round(1, [update.ref for update in updates], claimed.ref)
    merger = jobs.round_of(play.job_id, 1).merger - 1
    challenger = next(each for index, each in enumerate(hospitals) if index != merger)
    claim = Claim(
        job_id=play.job_id,
        round=1,
        attempt=1,
        labels=labels,
        chunk_index=CHUNK,
        previous=Previous.none(),
        next=claimed.named,
        parts=[Part(index, update.named, update.chunk) for index, update in enumerate(updates)],
        before=before.chunk,
        claimed=claimed.chunk,
    )
    receipt = Challenges(stage.as_(challenger.operator)).challenge(claim)
    if not receipt.event("Challenged").args["proven"]:
        raise AssertionError("A false merge was not proven.")
    stage.paid("Challenges.challenge", receipt)
    sent = stage.devnet.chain.rpc.request("eth_getTransactionByHash", receipt.tx_hash)["input"]
    data = bytes.fromhex(sent.removeprefix("0x"))
    floor = FLOOR_BASE + FLOOR_PER_TOKEN * (4 * len(data) - 3 * data.count(0))
    return {
        "gas": receipt.gas_used,
        "gas_eip_7623": max(receipt.gas_used, floor),
        "calldata_bytes": len(data),
    }


def _random(rng: np.random.Generator, bound: int) -> np.ndarray:
    return rng.integers(-bound, bound, merkle.CHUNK_LANES, dtype=np.int64).astype(np.int32)


def show(result: dict[str, Any], console: Console) -> None:
    """Prints one row a case."""
    table = Table(
        title=f"A merge proved false: one chunk of {result['lanes']:,} lanes, whole transaction", box=SIMPLE
    )
    for column in ("hospitals", "groups", "rule", "gas", "limit", "under EIP-7623", "calldata, bytes"):
        table.add_column(column, justify="left" if column == "rule" else "right")
    for each in result["cases"]:
        table.add_row(
            str(each["hospitals"]),
            str(each["groups"]),
            each["rule"],
            f"{each['gas']:,}",
            f"{each['limit']:,}" if each["limit"] else "",
            f"{each['gas_eip_7623']:,}",
            f"{each['calldata_bytes']:,}",
        )
    console.print(table)


def main() -> None:
    """This part of the bench alone."""
    console = Console()
    with (
        tempfile.TemporaryDirectory(prefix="salus-bench-") as home,
        Stage(Path(home), lambda line: console.print(f"[dim]{line}[/dim]")) as stage,
    ):
        show(run(stage), console)


if __name__ == "__main__":
    sys.exit(main())
