"""Attacks on the protocol, on a development network with real nodes: false merges, replays, stolen keys, a researcher.

What is refused is refused by the deployed contracts or by the nodes' own policy; each row names the error.
"""

from __future__ import annotations

import copy
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from protocol.chain.bonds import Bonds
from protocol.chain.challenges import Challenges
from protocol.chain.consents import Consents
from protocol.chain.events import Event, events
from protocol.chain.hospitals import Hospitals
from protocol.chain.jobs import Jobs
from protocol.chain.rewards import Rewards
from protocol.challenge import claim_of
from protocol.content import vectors
from protocol.content.vectors import VectorRef
from protocol.devnet import Devnet
from protocol.errors import JobKeyError, Refused
from protocol.learning.merge import merge
from protocol.node.job_keys import JobKeys
from protocol.node.places import JobPlace
from protocol.spec import JobSpec
from protocol.trace import trace
from tests.attacks.misbehaving_node import FAULTS
from tests.integration.stage import DOCUMENT, Actor, Stage

NODE = "tests.attacks.misbehaving_node"
JOB_SECONDS = 180
WORDS = {
    "lane": "the merger alters one number of one chunk",
    "drop": "the merger leaves one hospital's update out",
    "old": "the merger posts the state from before the round",
}


def run(say: Callable[[str], None]) -> dict[str, Any]:
    """All of them, one after the other, on one network. Raises what a network that does not come up raises."""
    with tempfile.TemporaryDirectory(prefix="salus-attacks-") as folder:
        devnet = Devnet(Path(folder) / "devnet")
        try:
            devnet.up(say)
            return _on(Stage(devnet, Path(folder) / "stage"), say)
        finally:
            devnet.reset()


def _on(stage: Stage, say: Callable[[str], None]) -> dict[str, Any]:
    try:
        result: dict[str, Any] = {"bond": Bonds(stage.chain).terms().amount, "false merges": {}}
        say("False merges that nobody looks at, until somebody does")
        result["unchecked"] = unchecked(stage)
        say("Replays, and submissions across jobs")
        result["submissions"] = submissions(stage)
        for fault in FAULTS:
            say(f"Real nodes: {WORDS[fault]}")
            result["false merges"][fault] = false_merge(stage, fault)
        say("A researcher's job that hospitals did not ask for")
        result["researcher"] = researcher(stage)
        say("A stolen operator key")
        result["stolen operator"] = stolen_operator(stage)
        return result
    finally:
        stage.kill(*stage.hospitals)
        stage.ipfs.close()


# -- false merges ----------------------------------------------------------------------------------------------------


def false_merge(stage: Stage, fault: str) -> dict[str, Any]:
    """A real node lies when it is the first in line; the other three are honest. The job goes on to its end."""
    liar = stage.hospitals[1]
    stage.kill(liar)
    job_id = stage.propose_in_order()
    stage.start(liar, module=NODE, fault=fault)
    stage.start(*stage.others(liar))
    stage.wait_until(lambda: _keys_at_home(stage, job_id), 60, "mask keys")
    record = stage.finish(job_id, JOB_SECONDS)
    stage.wait_until(lambda: not _keys_at_home(stage, job_id), 60, "that the nodes forget their keys")
    stage.stop(liar)
    false, true = record.round(1).merges[:2]
    chain = stage.chain
    slashed = [_amount(each) for each in _of(stage, "Bonds", job_id) if each.name == "Slashed"]
    version = record.ended.args["version"]
    challenged = [each for each in _of(stage, "Challenges", job_id) if each.name == "Challenged"]
    return {
        "voided": false.voided and not true.voided,
        "by challenge": bool(challenged) and challenged[0].args["proven"],
        "seconds": chain.timestamp(false.void.block) - chain.timestamp(false.event.block),
        "slashed": sum(slashed),
        "merged by another": true.hospital_id != false.hospital_id,
        "same updates": true.attempt == false.attempt,
        "trace failures": len(trace(chain, stage.ipfs, stage.model_id, version).failures()),
        "keys left": _keys_at_home(stage, job_id),
    }


def unchecked(stage: Stage) -> dict[str, Any]:
    """What a false merge achieves when the others sign without looking; then one of them looks."""
    job_id = stage.propose_in_order()
    base = vectors.get_vector(stage.ipfs, stage.base)
    draw = np.random.default_rng(1)
    updates = [draw.integers(-(2**20), 2**20, len(base), np.int32) for _ in stage.hospitals]
    refs = [vectors.put_vector(stage.ipfs, update) for update in updates]
    for actor, ref in zip(stage.hospitals, refs, strict=True):
        _as(stage, actor).submit(job_id, 1, 1, bytes(32), ref)
    honest = merge(base, [updates])
    false = honest.copy()
    false[0] += 1
    posted = _as(stage, stage.hospitals[1]).merge(job_id, 1, 1, vectors.put_vector(stage.ipfs, false))
    digest = posted.event("Merged").args["mergeDigest"]
    for actor, ref in zip(stage.hospitals, refs, strict=True):
        _as(stage, actor).submit(job_id, 2, 1, digest, ref)
    final = stage.record(job_id).round(1).merges[0].final is not None

    known = dict(zip(refs, updates, strict=True))
    claim = claim_of(stage.record(job_id), 1, 0, base, known, false)
    looked = Challenges(stage.chain.with_signer(stage.hospitals[2].operator)).challenge(claim)
    after = stage.job(job_id).round
    # The next in line merges the same updates, rightly; whoever has an operator's key can still attack that.
    in_line = stage.jobs.mergers_in_line(job_id)
    next_in_line = next(each for index, each in enumerate(stage.hospitals) if in_line >> index & 1)
    _as(stage, next_in_line).merge(job_id, 1, 1, vectors.put_vector(stage.ipfs, honest))
    claim = claim_of(stage.record(job_id), 1, 0, base, known, honest)
    wasted = Challenges(stage.chain.with_signer(stage.hospitals[0].operator)).challenge(claim)
    slashed = [each for each in _of(stage, "Bonds", job_id) if each.name == "Slashed"]
    stage.end_jobs()
    return {
        "final without a look": final,
        "proven": looked.event("Challenged").args["proven"],
        "back to round": after,
        "challenge gas": looked.gas_used,
        "honest merge proven false": wasted.event("Challenged").args["proven"],
        "slashed": [[each.args["hospitalId"], _amount(each), each.args["to"]] for each in slashed],
    }


# -- submissions and keys --------------------------------------------------------------------------------------------


def submissions(stage: Stage) -> dict[str, str]:
    """Replays and submissions across jobs, each by the account that would try it."""
    first, second, third = stage.hospitals[:3]
    lanes = len(vectors.get_vector(stage.ipfs, stage.base))
    other_job, job_id = stage.propose_in_order(), stage.propose_in_order()
    ref, other = (_some_vector(stage, lanes, seed) for seed in (2, 3))
    _as(stage, first).submit(other_job, 1, 1, bytes(32), other)
    _as(stage, first).submit(job_id, 1, 1, bytes(32), ref)
    outsider = Jobs(stage.chain.with_signer(stage.researcher))
    rows = {
        "an outsider sends a hospital's submission again": lambda: outsider.submit(
            job_id, 1, 1, bytes(32), ref
        ),
        "a hospital sends its submission again": lambda: _as(stage, first).submit(
            job_id, 1, 1, bytes(32), ref
        ),
        "a hospital sends another update for the same attempt": lambda: _as(stage, first).submit(
            job_id, 1, 1, bytes(32), other
        ),
        "a submission for a round that is not open": lambda: _as(stage, second).submit(
            job_id, 2, 1, bytes(32), ref
        ),
        "a submission for an attempt that is not open": lambda: _as(stage, second).submit(
            job_id, 1, 2, bytes(32), ref
        ),
        "a submission that attests a merge which does not stand": lambda: _as(stage, second).submit(
            job_id, 1, 1, b"\1" * 32, ref
        ),
        "a merge before all updates are in": lambda: _as(stage, second).merge(job_id, 1, 1, ref),
        "a hospital's own update of another job": lambda: _as(stage, second).submit(
            job_id, 1, 1, bytes(32), other
        ),
        "another hospital's update as one's own": lambda: _as(stage, third).submit(
            job_id, 1, 1, bytes(32), ref
        ),
    }
    outcome = {name: tried(attack) for name, attack in rows.items()}
    stage.end_jobs()
    return outcome


def stolen_operator(stage: Stage) -> dict[str, str]:
    """All that a thief of hospital 1's operator key tries, while a job is open; then the admin replaces the key."""
    victim = stage.hospitals[0]
    lanes = len(vectors.get_vector(stage.ipfs, stage.base))
    job_id = stage.propose_in_order()
    thief = stage.chain.with_signer(victim.operator)
    token = stage.chain.address("RewardToken")
    mine = stage.account("thief").address
    ref, false = (_some_vector(stage, lanes, seed) for seed in (4, 5))
    place = JobPlace.on(stage.chain, job_id)
    rows: dict[str, Callable[[], object]] = {
        "claim the hospital's reward": lambda: Rewards(thief).claim_hospital(token),
        "send its payouts elsewhere": lambda: Hospitals(thief).set_funds(replace(victim.funds, payout=mine)),
        "withdraw its deposit": lambda: Bonds(thief).withdraw(token, 1),
        "revoke its consent": lambda: Consents(thief).revoke(stage.consent(victim)),
        "lock the hospital out, with an operator of its own": lambda: Hospitals(thief).rotate_operator(mine),
        "read the mask key with the account alone": lambda: _found(
            JobKeys(stage.folder / "thief", victim.operator), place
        ),
        "read the mask key with a copy of the home alone": lambda: _found(
            JobKeys(victim.home / "journal", stage.account("thief")), place
        ),
        "read the mask key with both, while the job runs": lambda: _found(
            JobKeys(victim.home / "journal", victim.operator), place
        ),
        "send a poisoned update": lambda: Jobs(thief).submit(job_id, 1, 1, bytes(32), ref),
        "send a second one": lambda: Jobs(thief).submit(job_id, 1, 1, bytes(32), false),
        "merge out of turn": lambda: Jobs(thief).merge(job_id, 1, 1, false),
    }
    outcome = {name: tried(attack) for name, attack in rows.items()}
    fresh = stage.account("hospital-1-fresh-operator")
    Hospitals(stage.chain.with_signer(victim.admin)).rotate_operator(fresh.address)
    outcome["anything, once the admin has replaced the key"] = tried(
        lambda: Jobs(thief).attest(job_id, 1, b"\1" * 32)
    )
    stage.end_jobs()
    return outcome


def researcher(stage: Stage) -> dict[str, str]:
    """Jobs built to see one hospital, as far as contracts and nodes refuse them."""
    proposal = stage.jobs.proposal(stage.propose())
    jobs = Jobs(stage.chain.with_signer(stage.researcher))
    rows = {
        "a masked job for two hospitals": lambda: jobs.propose(replace(proposal, min_hospitals=2)),
        "a masked job for one hospital": lambda: jobs.propose(
            replace(proposal, min_hospitals=1, max_hospitals=1)
        ),
    }
    outcome = {name: tried(attack) for name, attack in rows.items()}
    stage.end_jobs()
    outcome["a base state that is a trap, in an architecture that no policy lists"] = _declined(stage)
    stage.end_jobs()
    return outcome


def _declined(stage: Stage) -> str:
    """What running nodes say of a job with a multi-layer model, when their policy lists logistic regression only."""
    document = copy.deepcopy(stage.spec().to_dict())
    document["model"] = {
        "architecture": "mlp",
        "parameters": {"inputs": DOCUMENT["model"]["parameters"]["inputs"], "hidden": [1024], "outputs": 1},
    }
    before = {actor.name: len(actor.log) for actor in stage.hospitals}
    stage.start(*stage.hospitals)
    job_id = stage.propose(spec=JobSpec.from_dict(document))
    words = "architecture mlp is not allowed here"
    stage.wait_until(
        lambda: all(words in actor.log[before[actor.name] :] for actor in stage.hospitals),
        60,
        "every node's no",
    )
    enrolled = stage.job(job_id).enrolled
    stage.freeze(*stage.hospitals)
    return f"declined by {len(stage.hospitals) - enrolled} of {len(stage.hospitals)} nodes: policy"


def tried(attack: Callable[[], object]) -> str:
    """Whether an attack went through; else by which error it was refused."""
    try:
        attack()
    except Refused as refusal:
        return f"refused: {refusal.name}"
    except JobKeyError:
        return "refused: JobKeyError"
    return "goes through"


def _found(keys: JobKeys, place: JobPlace) -> None:
    if keys.find(place) is None:
        raise JobKeyError("There is no key here.")


def _keys_at_home(stage: Stage, job_id: int) -> int:
    """How many hospitals still keep a mask key, or an update, of a job."""
    place = JobPlace.on(stage.chain, job_id)
    return sum(place.folder(actor.home / "journal").exists() for actor in stage.hospitals)


def _as(stage: Stage, actor: Actor) -> Jobs:
    return Jobs(stage.chain.with_signer(actor.operator))


def _some_vector(stage: Stage, lanes: int, seed: int) -> VectorRef:
    return vectors.put_vector(stage.ipfs, np.random.default_rng(seed).integers(-9, 9, lanes, np.int32))


def _of(stage: Stage, contract: str, job_id: int) -> list[Event]:
    return list(events(stage.chain, contract, jobId=job_id))


def _amount(slashed: Event) -> int:
    return int(slashed.args["amount"])
