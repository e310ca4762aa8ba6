"""How long `trace` takes to re-check a version, from chain and IPFS alone."""

from __future__ import annotations

import time
from collections.abc import Sequence
from fractions import Fraction
from statistics import median
from typing import Any

from bench_stage import Play, Stage
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from protocol.chain.client import Chain
from protocol.chain.votes import Call
from protocol.content import canonical, vectors
from protocol.content.cid import to_cid
from protocol.content.ipfs import Ipfs
from protocol.data.splits import HELD_OUT, TRAIN
from protocol.demo.data import DemoData
from protocol.errors import SalusError
from protocol.learning import metrics, train, zoo
from protocol.learning.context import RoundContext
from protocol.learning.masks import mask
from protocol.learning.merge import merge, quantise, weights
from protocol.spec import PROTOCOL, JobSpec
from protocol.trace import trace

HOSPITALS = 3
ROUNDS = 50
REPEATS = 3


def run(stage: Stage, data: DemoData, large: dict[str, Any]) -> dict[str, Any]:
    """Plays a job of fifty rounds with real updates, masked, releases its version, and traces it; then traces the
    ``large`` version that the bench of rounds left."""
    spec, model_id, version = _played(stage, data)
    stage.decide([Call("ModelRegistry", "release", (model_id, version))], f"Release {model_id}@{version}")
    return {
        f"{spec.model.architecture}, {zoo.layout(spec.model, spec.state).lanes} parameters": {
            "hospitals": HOSPITALS,
            "rounds": ROUNDS,
            **timed(stage, model_id, version),
        },
        f"mlp, {large['parameters']:,} parameters": {
            "hospitals": large["hospitals"],
            "rounds": large["job_rounds"],
            **timed(stage, large["model_id"], large["version"]),
        },
    }


def timed(stage: Stage, model_id: int, version: int) -> dict[str, Any]:
    """Seconds of a trace, each with connections of its own. Raises SalusError when the version does not hold."""
    seconds = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        with Ipfs(stage.network.ipfs_api) as ipfs:
            checked = trace(Chain(stage.network.rpc_url, stage.chain.deployment), ipfs, model_id, version)
        seconds.append(time.perf_counter() - began)
        if not checked.holds:
            failures = ", ".join(f"{each.name}: {each.detail}" for each in checked.failures())
            raise SalusError(f"Version {model_id}@{version} does not hold: {failures}.")
    return {"seconds": median(seconds), "all_seconds": seconds, "checks": checked.count()}


def _played(stage: Stage, data: DemoData) -> tuple[JobSpec, int, int]:
    """Fifty rounds of the demonstration's job, in this process, by three of its hospitals; spec, model and version."""
    hospitals = stage.admit(HOSPITALS)
    datasets = [
        stage.register_records(hospital, records, data.schema)
        for hospital, records in zip(hospitals, data.hospitals[:HOSPITALS], strict=True)
    ]
    job_id, model_id, spec = stage.propose(
        data.template,
        data.schema,
        rounds=ROUNDS,
        hospitals={"min": HOSPITALS, "max": HOSPITALS},
        gate={"accuracy_bps": 1},
    )
    play = Play(stage, job_id, hospitals)
    play.enrol()
    layout, records = zoo.layout(spec.model, spec.state), [each.arrays(TRAIN) for each in datasets]
    shares = weights([len(labels) for _, labels in records], spec.merge.max_weight_bps)
    state = train.initial_state(spec.model, spec.state, spec.training.seed)
    for number in range(1, ROUNDS + 1):
        updates = [
            quantise(
                train.train(spec, state, *own, round=number, seed=index).delta,
                share,
                HOSPITALS,
                layout,
                spec.merge.clip_norm,
            )
            for index, (own, share) in enumerate(zip(records, shares, strict=True))
        ]
        context = _context(play, number, layout.lanes, vectors.reference(state).root, shares)
        state = merge(state, [updates], spec.merge.server_step)
        masked = [
            mask(update, context, hospital.hospital_id, key)
            for update, hospital, key in zip(updates, hospitals, play.keys, strict=True)
        ]
        refs = [vectors.put_vector(stage.ipfs, update) for update in masked]
        last = vectors.put_vector(stage.ipfs, state)
        play.round(number, refs, last)
    for index, (hospital, dataset) in enumerate(zip(hospitals, datasets, strict=True)):
        measured = metrics.evaluate(spec, state, *dataset.arrays(HELD_OUT))
        place = {"job": job_id, "hospital": hospital.hospital_id, "state": to_cid(last.cid)}
        document = canonical.dumps({"protocol": PROTOCOL, **place, **measured.to_dict()})
        play.report(index, measured.correct, measured.total, stage.ipfs.add(document))
    return spec, model_id, play.finish(last).event("JobFinished").args["version"]


def _context(play: Play, number: int, lanes: int, base: bytes, shares: Sequence[Fraction]) -> RoundContext:
    """What the masks of a round are bound to."""
    deployment = play.stage.chain.deployment
    return RoundContext(
        chain_id=deployment.chain_id,
        genesis=deployment.genesis_hash,
        contract=play.stage.chain.address("TrainingJobs"),
        job_id=play.job_id,
        spec=bytes(32),
        round=number,
        attempt=1,
        base=base,
        hospitals=tuple(each.hospital_id for each in play.hospitals),
        weights=tuple((share.numerator, share.denominator) for share in shares),
        mask_keys=tuple(key.public for key in play.keys),
        lanes=lanes,
    )


def show(result: dict[str, Any], console: Console) -> None:
    """Prints seconds of each version that was traced, and per round."""
    table = Table(title=f"trace, median of {REPEATS}", box=SIMPLE)
    for column in ("version", "rounds", "hospitals", "checks", "seconds", "per round"):
        table.add_column(column, justify="left" if column == "version" else "right")
    for name, each in result.items():
        counts = (str(each["rounds"]), str(each["hospitals"]), f"{each['checks']:,}")
        table.add_row(name, *counts, f"{each['seconds']:.2f}", f"{each['seconds'] / each['rounds']:.3f}")
    console.print(table)
