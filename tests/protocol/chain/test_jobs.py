"""A whole job through the typed calls: three hospitals, two rounds, a release and the books."""

from __future__ import annotations

import pytest

from protocol.chain import duo
from protocol.chain.consents import Consents
from protocol.chain.development import advance
from protocol.chain.enums import JobStatus, ModelStatus
from protocol.chain.events import events
from protocol.chain.jobs import (
    NEVER,
    Draw,
    Jobs,
    Look,
    Participant,
    Round,
)
from protocol.chain.models import Models
from protocol.chain.rewards import HospitalCredit, Rewards, Split
from protocol.chain.votes import Call
from protocol.errors import ChainError, Refused

from .conftest import World, pass_vote, signer_of
from .play import (
    CHECK_SECONDS,
    HOSPITALS,
    REWARD,
    SPLIT,
    ZERO,
    Started,
    mask_key_of,
    proposal_of,
    start,
    vector,
)


@pytest.fixture
def started(world: World) -> Started:
    return start(world)


def play_round(started: Started, number: int, attests: bytes) -> bytes:
    """Every hospital submits, the one in line merges; returns the merge's digest."""
    jobs = started.as_(1)
    attempt = jobs.round_of(started.job_id, number).attempt
    for hospital in HOSPITALS:
        started.as_(hospital).submit(
            started.job_id, number, attempt, attests, vector(f"update {number} {hospital}")
        )
    line = jobs.mergers_in_line(started.job_id)
    merger = Round.members(line, jobs.hospitals_of(started.job_id))[0]
    started.as_(merger).merge(started.job_id, number, attempt, vector(f"state {number}"))
    return jobs.merge_digest(started.job_id, number)


def test_a_job_from_proposal_to_claims(started: Started) -> None:
    world, job_id = started.world, started.job_id
    jobs = Jobs(world.chain)
    job = jobs.job(job_id)
    assert (job.status, job.enrolled, job.rounds, job.purpose.permission) == (
        JobStatus.ENROLLING,
        3,
        2,
        duo.Permission.HMB,
    )
    assert jobs.proposal(job_id) == proposal_of(world, started.model_id)
    assert jobs.participant(job_id, 2) == Participant(True, 1, started.consents[2], 2, 1, 100, 50)
    assert jobs.job_and_round(job_id) == (job, Round.empty())

    started.as_(1).open(job_id)
    live = [started.consents[number] for number in HOSPITALS]
    assert jobs.look(job_id, 1, live) == Look(*jobs.job_and_round(job_id), 0, 0b111, Draw.empty())
    digest = play_round(started, 1, ZERO)
    job, record = jobs.job_and_round(job_id)
    assert jobs.look(job_id, 1, live) == Look(job, record, 0, 0b111, jobs.draw_of(job_id))
    assert (job.status, job.round) == (JobStatus.RUNNING, 2)
    assert Round.members(record.previous, jobs.hospitals_of(job_id)) == HOSPITALS
    digest = play_round(started, 2, digest)
    assert jobs.job(job_id).status is JobStatus.REPORTING
    for hospital in HOSPITALS:
        started.as_(hospital).report(job_id, digest, 40, 50, b"\5" * 32)
    with pytest.raises(Refused, match="Fraud in job 1 can still be proved until"):
        started.as_(1).finish(job_id, vector("state 2"))
    assert jobs.bonds_free_at(job_id) == NEVER
    advance(world.chain, CHECK_SECONDS)
    finished = started.as_(1).finish(job_id, vector("state 2")).event("JobFinished").args
    assert jobs.bonds_free_at(job_id) == jobs.job(job_id).since
    assert (finished["passed"], finished["correct"], finished["total"], finished["version"]) == (
        True,
        120,
        150,
        2,
    )

    models = Models(world.chain)
    assert [each.status for each in models.versions(started.model_id)] == [
        ModelStatus.BASE,
        ModelStatus.CANDIDATE,
    ]
    assert models.version(started.model_id, 2).state == vector("state 2")
    pass_vote(world, [Call("ModelRegistry", "release", (started.model_id, 2))], "Release")
    assert models.version(started.model_id, 2).status is ModelStatus.RELEASED

    names = [event.name for event in events(world.chain, "TrainingJobs", jobId=job_id)]
    assert names[0] == "JobProposed"
    assert names[-1] == "JobFinished"
    assert names.count("UpdateSubmitted") == 6
    assert names.count("RoundFinal") == 2


def test_the_books_balance(started: Started) -> None:
    world, job_id = started.world, started.job_id
    rewards = Rewards(world.chain)
    assert rewards.escrow_of(job_id).amount == rewards.held_of("RewardToken") == REWARD
    assert rewards.escrow_of(job_id).split == SPLIT
    started.as_(1).open(job_id)
    digest = play_round(started, 2, play_round(started, 1, ZERO))
    for hospital in HOSPITALS:
        started.as_(hospital).report(job_id, digest, 40, 50, b"\5" * 32)
    advance(world.chain, CHECK_SECONDS)
    started.as_(1).finish(job_id, vector("state 2"))
    assert rewards.escrow_of(job_id).settled

    paid = 0
    for hospital in HOSPITALS:
        credit = rewards.hospital_credit_of(hospital, "RewardToken")
        receipt = Rewards(world.as_(f"admin-{hospital}")).claim_hospital("RewardToken")
        amounts = [event.args["amount"] for event in receipt.events if event.name == "HospitalPaid"]
        assert sum(amounts) == credit.sum
        assert (
            world.chain.token_balance("RewardToken", signer_of(f"payout-{hospital}").address) == credit.payout
        )
        assert rewards.hospital_credit_of(hospital, "RewardToken") == HospitalCredit(0, 0, 0)
        paid += credit.sum
    owed = rewards.credit_of("TimelockController", "RewardToken")
    Rewards(world.as_("stranger")).claim("TimelockController", "RewardToken")
    assert paid + owed + rewards.credit_of(signer_of("researcher").address, "RewardToken") == REWARD
    assert rewards.held_of("RewardToken") == 0
    with pytest.raises(Refused, match="nothing to claim"):
        Rewards(world.as_("admin-1")).claim_hospital("RewardToken")


def test_a_revoked_consent_stops_the_next_submit_in_words(started: Started) -> None:
    """Invariant 2, as a hospital reads it."""
    job_id = started.job_id
    started.as_(1).open(job_id)
    Consents(started.world.as_("admin-3")).revoke(started.consents[3])
    attempt = started.as_(1).round_of(job_id, 1).attempt
    with pytest.raises(
        Refused, match=rf"Consent {started.consents[3]} was revoked; it can never be used again\."
    ):
        started.as_(3).submit(job_id, 1, attempt, ZERO, vector("late"))


def test_refusals_name_job_round_and_hospital(started: Started) -> None:
    job_id = started.job_id
    with pytest.raises(Refused, match="There is no job 99"):
        Jobs(started.world.chain).job(99)
    with pytest.raises(Refused, match="There is no job 99"):
        Jobs(started.world.chain).proposal(99)
    with pytest.raises(Refused, match=r"enrolled in job|Enrolment in job"):
        started.as_(1).enrol(job_id, started.consents[1], 1, mask_key_of(1))
    started.as_(1).open(job_id)
    started.as_(1).submit(job_id, 1, 1, ZERO, vector("update"))
    with pytest.raises(Refused, match="Hospital 1 has done this in round 1"):
        started.as_(1).submit(job_id, 1, 1, ZERO, vector("another"))
    with pytest.raises(Refused, match="waits for the updates of 2 hospitals"):
        started.as_(1).merge(job_id, 1, 1, vector("state"))
    with pytest.raises(Refused, match="only its researcher"):
        started.as_(2).cancel(job_id)


def test_the_researcher_cancels_and_is_refunded(started: Started) -> None:
    world = started.world
    receipt = Jobs(world.as_("researcher")).cancel(started.job_id)
    assert receipt.event("JobCancelled").args["finalRounds"] == 0
    assert Jobs(world.chain).job(started.job_id).status is JobStatus.CANCELLED
    assert Rewards(world.chain).credit_of(signer_of("researcher").address, "RewardToken") == REWARD


def test_a_split_that_is_not_whole_is_refused_by_the_chain_too(world: World) -> None:
    researcher = world.as_("researcher")
    model_id = Models(researcher).create("Heart", vector("base")).event("ModelCreated").args["modelId"]
    researcher.send("RewardToken", "mint", researcher.signer.address, REWARD)
    assert Rewards(researcher).approve("RewardToken", REWARD) is not None
    assert Rewards(researcher).approve("RewardToken", REWARD) is None
    with pytest.raises(Refused) as refusal:
        Jobs(researcher).propose(proposal_of(world, model_id, split=Split(6000, 1000, 1000, 1000, 999)))
    assert refusal.value.name in ("SplitSum", "BadProposal")
    with pytest.raises(Refused, match="There is no model 9"):
        Jobs(researcher).propose(proposal_of(world, 9))


def test_members_are_the_hospitals_whose_bits_are_set() -> None:
    assert Round.members(0b101, [7, 8, 9]) == [7, 9]
    assert Round.members(0, [7, 8, 9]) == []


def test_a_proposal_that_is_not_confirmed_yet_is_told_from_one_that_never_was(
    started: Started, monkeypatch: pytest.MonkeyPatch
) -> None:
    chain = started.world.chain
    monkeypatch.setattr(chain.clock, "head", lambda: 0)
    with pytest.raises(ChainError, match="too recently"):
        Jobs(chain).proposal(started.job_id)
