"""What the spec says and what the chain says are held against each other, field by field."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from protocol.chain.enums import Rule
from protocol.chain.jobs import MergeRule, Phases, Proposal
from protocol.proposal import differences, proposal_of
from protocol.spec import JobSpec
from tests.protocol.job_documents import job

SPEC = JobSpec.from_dict(job())


def a_proposal() -> Proposal:
    return proposal_of_spec(SPEC)


def proposal_of_spec(spec: JobSpec) -> Proposal:
    return proposal_of(
        spec,
        researcher="0x" + "ab" * 20,
        model_id=1,
        base_version=2,
        phases=Phases.of_seconds(60),
        reward_token="0x" + "cd" * 20,
        reward_amount=10**18,
    )


def test_a_proposal_made_from_the_spec_agrees_with_it() -> None:
    assert differences(SPEC, a_proposal(), SPEC.base) == []


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("spec_digest", bytes(32)),
        ("irb_approval", b"\x01" * 32),
        ("rounds", 99),
        ("min_hospitals", 1),
        ("max_hospitals", 48),
        ("gate_bps", 0),
    ],
)
def test_each_field_that_differs_is_named(field: str, value: Any) -> None:
    (difference,) = differences(SPEC, replace(a_proposal(), **{field: value}), SPEC.base)
    assert difference.startswith(f"{field}:")


def test_the_merge_is_the_specs() -> None:
    merge = proposal_of_spec(
        JobSpec.from_dict(
            job(
                privacy={"mechanism": "masked"},
                merge__rule="median",
                merge__groups=3,
                merge__server_step=98304,
                hospitals={"min": 9, "max": 12},
            )
        )
    ).merge
    assert merge == MergeRule(lanes=4, server_step=98304, rule=Rule.MEDIAN, groups=3, masked=True)
    plain = a_proposal()
    assert plain.merge == MergeRule(lanes=4, server_step=65536, rule=Rule.MEAN, groups=1, masked=False)
    for change in (
        {"lanes": 5},
        {"server_step": 1},
        {"rule": Rule.MEDIAN},
        {"groups": 2},
        {"masked": True},
    ):
        other = replace(plain, merge=replace(plain.merge, **change))
        assert differences(SPEC, other, SPEC.base)[0].startswith("merge:")


def test_a_wider_purpose_or_another_split_is_noticed() -> None:
    proposal = a_proposal()
    wider = replace(proposal, purpose=replace(proposal.purpose, pledges=0))
    assert differences(SPEC, wider, SPEC.base)[0].startswith("purpose:")
    other = replace(proposal, split=replace(proposal.split, hospitals_bps=1))
    assert differences(SPEC, other, SPEC.base)[0].startswith("split:")


def test_what_only_the_chain_decides_makes_no_difference() -> None:
    free = replace(a_proposal(), model_id=9, base_version=9, phases=Phases.of_seconds(1), reward_amount=1)
    assert differences(SPEC, free, SPEC.base) == []


def test_another_base_than_the_spec_names_is_noticed() -> None:
    other = replace(SPEC.base, root=b"\x07" * 32)
    (difference,) = differences(SPEC, a_proposal(), other)
    assert difference.startswith("base:")
