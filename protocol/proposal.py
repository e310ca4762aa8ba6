"""A job spec and the chain's proposal of it: what the one says, the other must say too."""

from __future__ import annotations

from dataclasses import fields

from protocol.chain import duo
from protocol.chain.consents import Permission, Purpose
from protocol.chain.enums import Rule
from protocol.chain.jobs import MergeRule, Phases, Proposal
from protocol.chain.models import VectorDigests
from protocol.chain.rewards import Split
from protocol.content.cid import to_cid
from protocol.learning import zoo
from protocol.spec import JobSpec

ZERO_DIGEST = bytes(32)


def proposal_of(
    spec: JobSpec,
    *,
    researcher: str,
    model_id: int,
    base_version: int,
    phases: Phases,
    reward_token: str,
    reward_amount: int,
) -> Proposal:
    """The proposal that says on the chain what ``spec`` says. ``reward_amount`` in the token's smallest unit."""
    return Proposal(
        spec_digest=spec.digest,
        model_id=model_id,
        base_version=base_version,
        purpose=Purpose(
            researcher=researcher,
            permission=Permission[spec.purpose.permission],
            mondo=spec.purpose.mondo,
            pledges=duo.bits(spec.purpose.pledges),
            region=spec.purpose.region,
        ),
        irb_approval=spec.purpose.irb_approval or ZERO_DIGEST,
        rounds=spec.rounds,
        min_hospitals=spec.hospitals.min,
        max_hospitals=spec.hospitals.max,
        gate_bps=spec.gate.accuracy_bps,
        merge=MergeRule(
            lanes=zoo.layout(spec.model, spec.state).lanes,
            server_step=spec.merge.server_step,
            rule=Rule[spec.merge.rule.upper()],
            groups=spec.merge.groups,
            masked=spec.masked,
        ),
        phases=phases,
        reward_token=reward_token,
        reward_amount=reward_amount,
        split=Split(
            hospitals_bps=spec.split.hospitals,
            caregivers_bps=spec.split.caregivers,
            patients_bps=spec.split.patients,
            merger_bps=spec.split.merger,
            dao_bps=spec.split.dao,
        ),
    )


def differences(spec: JobSpec, proposal: Proposal, base: VectorDigests) -> list[str]:
    """Where the chain's proposal says something else than the spec, in words; empty when they agree.

    ``base``: the state of the version that the proposal starts from. The spec does not say who proposes, on which
    model's version, with which reward and deadlines: the chain does.
    """
    expected = proposal_of(
        spec,
        researcher=proposal.purpose.researcher,
        model_id=proposal.model_id,
        base_version=proposal.base_version,
        phases=proposal.phases,
        reward_token=proposal.reward_token,
        reward_amount=proposal.reward_amount,
    )
    found = [
        f"{field.name}: the chain has {getattr(proposal, field.name)}, the spec {getattr(expected, field.name)}"
        for field in fields(Proposal)
        if getattr(proposal, field.name) != getattr(expected, field.name)
    ]
    if (base.cid, base.root) != (spec.base.cid, spec.base.root):
        found.append(f"base: the chain starts from {to_cid(base.cid)}, the spec from {to_cid(spec.base.cid)}")
    return found
