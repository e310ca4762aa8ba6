"""Proposals, consents and jobs at each stage."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from brownie import chain
from play import (
    DAY,
    HMB,
    REWARD,
    ZERO,
    MergeRule,
    Phases,
    Play,
    Proposal,
    Split,
    digest_of,
    mask_key,
    vector,
)


@pytest.fixture(scope="module")
def model_id(models, researcher) -> int:
    """A model with a base version."""
    models.create("heart", vector("base"), {"from": researcher})
    return models.modelCount()


@pytest.fixture(scope="module")
def funded(reward_token, rewards, researcher, owner) -> Any:
    """The researcher, with money that the pool may take."""
    reward_token.mint(researcher, 100 * REWARD, {"from": owner})
    reward_token.approve(rewards, 100 * REWARD, {"from": researcher})
    return researcher


@pytest.fixture(scope="module")
def proposal(model_id, reward_token, funded) -> Callable[..., Proposal]:
    """A sound proposal of two rounds for two to three hospitals, with what the caller changes."""

    def _proposal(**changes: Any) -> Proposal:
        plain = Proposal(
            spec_digest=digest_of("spec"),
            model_id=model_id,
            base_version=1,
            purpose=(str(funded), HMB, 0, 0, 0),
            irb_approval=ZERO,
            rounds=2,
            min_hospitals=2,
            max_hospitals=3,
            gate_bps=7_000,
            merge=MergeRule(),
            phases=Phases(),
            reward_token=str(reward_token),
            reward_amount=REWARD,
            split=Split(),
        )
        return plain._replace(**changes)

    return _proposal


@pytest.fixture(scope="module")
def consent_terms() -> Callable[..., tuple]:
    """Consent to any biomedical research for a year, with what the caller changes."""

    def _terms(dataset_id: int, **changes: Any) -> tuple:
        plain = {
            "grantee": "0x" + "00" * 20,
            "permission": HMB,
            "mondo": 0,
            "modifiers": 0,
            "region": 0,
            "expires_at": chain.time() + 365 * DAY,
            "max_rounds": 1_000,
            "epsilon": 0,
        } | changes
        return (dataset_id, *plain.values())

    return _terms


@pytest.fixture(scope="module")
def consenting(
    admit, datasets, version, consents, consent_terms, deposit
) -> Callable[..., tuple[list[Any], list[int]]]:
    """Members with a dataset of 100, 200, … training records, a consent and a deposit of ten bonds each; their ids."""

    def _consenting(count: int, **changes: Any) -> tuple[list[Any], list[int]]:
        members = admit(count)
        consent_ids = []
        for place, one in enumerate(members):
            said = version(train_records=100 * (place + 1), held_out_records=100)
            datasets.register(said, {"from": one.operator})
            consents.mint(consent_terms(datasets.datasetCount(), **changes), {"from": one.admin})
            consent_ids.append(consents.consentCount())
            deposit(one)
        return members, consent_ids

    return _consenting


@pytest.fixture(scope="module")
def propose(jobs, proposal, researcher) -> Callable[..., int]:
    """Proposes a job and returns its id."""

    def _propose(**changes: Any) -> int:
        jobs.propose(proposal(**changes), {"from": researcher})
        return jobs.jobCount()

    return _propose


@pytest.fixture(scope="module")
def enrolled(jobs, propose, consenting, researcher) -> Callable[..., Play]:
    """A job in which ``count`` hospitals enrolled: all that it takes unless ``max_hospitals`` says otherwise."""

    def _enrolled(count: int = 3, *, terms: dict[str, Any] | None = None, **changes: Any) -> Play:
        members, consent_ids = consenting(count, **(terms or {}))
        changes = {"max_hospitals": count, "merge": MergeRule()} | changes
        job_id = propose(**changes)
        for index, (one, consent_id) in enumerate(zip(members, consent_ids, strict=True)):
            key = mask_key(index) if changes["merge"].masked else ZERO
            jobs.enrol(job_id, consent_id, 1, key, {"from": one.operator})
        return Play(jobs, job_id, members, consent_ids, researcher, changes.get("phases", Phases()))

    return _enrolled


@pytest.fixture(scope="module")
def start(enrolled) -> Callable[..., Play]:
    """The same with round 1 open."""

    def _start(count: int = 3, **changes: Any) -> Play:
        play = enrolled(count, **changes)
        play.open()
        return play

    return _start
