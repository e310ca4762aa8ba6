"""A job on the tests' chain, played through the typed calls: three hospitals, masked, two rounds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from protocol.chain import duo
from protocol.chain.consents import Purpose
from protocol.chain.enums import Rule
from protocol.chain.jobs import Jobs, MergeRule, Phases, Proposal
from protocol.chain.models import Models, Vector, VectorDigests
from protocol.chain.rewards import Rewards, Split
from protocol.learning.masks import JobKey

from .conftest import World, signer_of

REWARD = 1_000_000
CHECK_SECONDS = 600
SPLIT = Split(6000, 1000, 1000, 1000, 1000)
ZERO = bytes(32)
HOSPITALS = [1, 2, 3]


def vector(name: str) -> Vector:
    return Vector(name.encode().ljust(32, b"."), name.encode().ljust(32, b"-"))


def rule_of(lanes: int) -> MergeRule:
    return MergeRule(lanes, 1 << 16, Rule.MEAN, 1, True)


def proposal_of(world: World, model_id: int, **changed: Any) -> Proposal:
    values: dict[str, Any] = {
        "spec_digest": b"\7" * 32,
        "model_id": model_id,
        "base_version": 1,
        "purpose": Purpose(signer_of("researcher").address, duo.Permission.HMB, 0, duo.bits(["PUB"]), 0),
        "irb_approval": ZERO,
        "rounds": 2,
        "min_hospitals": 3,
        "max_hospitals": 3,
        "gate_bps": 5000,
        "merge": rule_of(4),
        "phases": Phases.of_seconds(CHECK_SECONDS),
        "reward_token": world.deployment.address("RewardToken"),
        "reward_amount": REWARD,
        "split": SPLIT,
    }
    return Proposal(**{**values, **changed})


def mask_key_of(number: int) -> bytes:
    """An X25519 public key of a hospital, the same in every run."""
    return JobKey.from_bytes(bytes([number]) * 32).public


@dataclass
class Started:
    """A job with three hospitals enrolled."""

    world: World
    job_id: int
    model_id: int
    consents: dict[int, int]

    def as_(self, number: int) -> Jobs:
        return Jobs(self.world.as_(f"operator-{number}"))


def start(world: World, lanes: int = 4, base: VectorDigests | None = None) -> Started:
    """Proposes a masked job of two rounds, and enrols all three hospitals. ``base``: what it starts from."""
    researcher = world.as_("researcher")
    model_id = (
        Models(researcher).create("Heart", base or vector("base")).event("ModelCreated").args["modelId"]
    )
    researcher.send("RewardToken", "mint", researcher.signer.address, REWARD)
    Rewards(researcher).approve("RewardToken", REWARD)
    receipt = Jobs(researcher).propose(proposal_of(world, model_id, merge=rule_of(lanes)))
    job_id = receipt.event("JobProposed").args["jobId"]
    consents = {number: world.consent(number, modifiers=duo.bits(["PUB"])) for number in HOSPITALS}
    for number, consent_id in consents.items():
        Jobs(world.as_(f"operator-{number}")).enrol(job_id, consent_id, 1, mask_key_of(number))
    return Started(world, job_id, model_id, consents)
