"""Proposals: what they must agree on, and the reward that comes with them."""

from __future__ import annotations

import pytest
from play import HMB, REWARD, ZERO, MergeRule, Phases, Split, Status, digest_of

DS = 3
IRB, GS = 1 << 6, 1 << 7
ALL = (1 << 17) - 1


def test_propose_keeps_what_it_says(jobs, proposal, researcher):
    said = proposal(
        purpose=(str(researcher), DS, 5148, IRB | GS, 276),
        irb_approval=digest_of("irb"),
        rounds=1_000,
        min_hospitals=48,
        max_hospitals=48,
        gate_bps=10_000,
        merge=MergeRule(2**26, 2**32 - 1, 1, 16, True),
    )
    before = jobs.jobCount()
    tx = jobs.propose(said, {"from": researcher})
    job = jobs.job(tx.return_value)

    assert jobs.jobCount() == tx.return_value == before + 1
    assert job["status"] == Status.ENROLLING
    assert job["since"] == tx.timestamp
    assert (job["round"], job["finalRounds"], job["enrolled"], job["present"]) == (0, 0, 0, 0)
    assert (job["rounds"], job["minHospitals"], job["maxHospitals"]) == (1_000, 48, 48)
    assert (job["gateBps"], job["modelId"], job["baseVersion"]) == (10_000, said.model_id, 1)
    assert tuple(job["merge"]) == tuple(jobs.mergeRule(tx.return_value)) == said.merge
    assert tuple(job["phases"]) == said.phases
    assert tuple(job["purpose"]) == said.purpose
    assert (bytes(job["specDigest"]), bytes(job["irbApproval"])) == (said.spec_digest, said.irb_approval)
    assert bytes(job["accumulator"]) == ZERO


def test_propose_tells_everything(jobs, proposal, researcher):
    said = proposal()
    event = jobs.propose(said, {"from": researcher}).events["JobProposed"]
    assert (event["jobId"], event["researcher"]) == (jobs.jobCount(), researcher)
    told = event["proposal"]
    assert tuple(told["merge"]) == said.merge
    assert tuple(told["phases"]) == said.phases
    assert tuple(told["split"]) == said.split
    assert (told["rewardToken"], told["rewardAmount"]) == (said.reward_token, REWARD)


def test_propose_moves_the_reward(rewards, reward_token, propose, researcher):
    held = rewards.heldOf(reward_token)
    job_id = propose()
    assert rewards.heldOf(reward_token) == held + REWARD
    assert rewards.escrowOf(job_id)["researcher"] == researcher
    assert tuple(rewards.escrowOf(job_id)["split"]) == Split()


@pytest.mark.parametrize(
    ("field", "changes"),
    [
        ("specDigest", {"spec_digest": ZERO}),
        ("researcher", {"purpose": ("0x" + "11" * 20, HMB, 0, 0, 0)}),
        ("mondo", {"purpose": (None, DS, 0, 0, 0)}),
        ("mondo", {"purpose": (None, HMB, 5148, 0, 0)}),
        ("pledges", {"purpose": (None, HMB, 0, ALL + 1, 0)}),
        ("region", {"purpose": (None, HMB, 0, GS, 0)}),
        ("region", {"purpose": (None, HMB, 0, 0, 276)}),
        ("irbApproval", {"purpose": (None, HMB, 0, IRB, 0)}),
        ("irbApproval", {"irb_approval": digest_of("irb")}),
        ("rounds", {"rounds": 0}),
        ("rounds", {"rounds": 1_001}),
        ("minHospitals", {"min_hospitals": 0}),
        ("minHospitals", {"min_hospitals": 4}),
        ("maxHospitals", {"max_hospitals": 0}),
        ("maxHospitals", {"max_hospitals": 49}),
        ("gateBps", {"gate_bps": 10_001}),
        ("lanes", {"merge": MergeRule(lanes=0)}),
        ("lanes", {"merge": MergeRule(lanes=2**26 + 1)}),
        ("serverStep", {"merge": MergeRule(server_step=0)}),
        ("groups", {"merge": MergeRule(groups=0)}),
        ("groups", {"merge": MergeRule(groups=17)}),
        ("minHospitals", {"merge": MergeRule(masked=True), "min_hospitals": 2}),
        ("minHospitals", {"merge": MergeRule(groups=2), "min_hospitals": 2}),
        *(("phases", {"phases": Phases()._replace(**{name: 0})}) for name in Phases._fields),
    ],
)
def test_propose_refuses(jobs, proposal, researcher, reverts, field, changes):
    if "purpose" in changes and changes["purpose"][0] is None:
        changes = changes | {"purpose": (str(researcher), *changes["purpose"][1:])}
    with reverts("BadProposal", field):
        jobs.propose.call(proposal(**changes), {"from": researcher})


def test_propose_needs_a_base(jobs, models, proposal, researcher, owner, consumer, reverts):
    with reverts("UnknownModel", 9):
        jobs.propose.call(proposal(model_id=9), {"from": researcher})
    with reverts("UnknownModelVersion", 1, 2):
        jobs.propose.call(proposal(base_version=2), {"from": researcher})
    models.addCandidate(1, 1, 1, (b"\x01" * 32, b"\x02" * 32), {"from": consumer})
    models.release(1, 2, {"from": owner})
    models.withdraw(1, 2, {"from": owner})
    with reverts("WrongStatus", 1, 2, 4):
        jobs.propose.call(proposal(base_version=2), {"from": researcher})


def test_propose_needs_the_money(jobs, proposal, reward_token, rewards, researcher, owner, reverts):
    with reverts("NoReward"):
        jobs.propose.call(proposal(reward_amount=0), {"from": researcher})
    with reverts("SplitSum", 9_999):
        jobs.propose.call(proposal(split=Split(dao_bps=499)), {"from": researcher})
    reward_token.approve(rewards, 0, {"from": researcher})
    with reverts("ERC20InsufficientAllowance", rewards, 0, REWARD):
        jobs.propose.call(proposal(), {"from": researcher})
    rewards.allowToken(reward_token, False, {"from": owner})
    with reverts("TokenNotAllowed", reward_token):
        jobs.propose.call(proposal(), {"from": researcher})


def test_a_job_unknown_to_the_chain(jobs, member, challenges, reverts, researcher):
    """Steps refuse it by name; views of its parts show nothing."""
    operator = {"from": member.operator}
    submission = (1, 1, ZERO, (ZERO, ZERO), 0)
    for step, args, sender in (
        ("job", (9,), {"from": researcher}),
        ("open", (9,), {"from": researcher}),
        ("finish", (9, (ZERO, ZERO)), {"from": researcher}),
        ("cancel", (9,), {"from": researcher}),
        ("enrol", (9, 1, 1, ZERO), operator),
        ("submit", (9, submission), operator),
        ("merge", (9, 1, 1, (ZERO, ZERO)), operator),
        ("attest", (9, 1, ZERO), operator),
        ("reject", (9, 1, ZERO), operator),
        ("report", (9, ZERO, 0, 0, ZERO), operator),
        ("rejoin", (9,), operator),
        ("draw", (9,), operator),
        ("doubt", (9, 1, 1, 1), operator),
        ("decide", ((9, 1, ZERO, 1, True),), {"from": challenges}),
        ("drawOf", (9,), operator),
        ("bondsFreeAt", (9,), operator),
    ):
        with reverts("UnknownJob", 9):
            getattr(jobs, step).call(*args, sender)
    assert tuple(jobs.roundOf(9, 1)) == (0,) * 8
    assert bytes(jobs.mergeDigest(9, 1)) == ZERO
    assert not jobs.participant(9, 1)["exists"]
    assert tuple(jobs.hospitalsOf(9)) == ()
    assert jobs.mergersInLine(9) == 0


def test_the_highest_round_has_no_record(jobs, propose):
    assert tuple(jobs.roundOf(propose(), 2**16 - 1)) == (0,) * 8


def test_a_reentrant_token_cannot_touch_the_new_job(
    ReentrantToken, jobs, rewards, proposal, researcher, owner, deployer, web3
):
    """In the middle of the escrow its own token cancels the job: the pool refuses to settle."""
    token = ReentrantToken.deploy({"from": deployer})
    token.mint(researcher, REWARD, {"from": researcher})
    token.approve(rewards, REWARD, {"from": researcher})
    rewards.allowToken(token, True, {"from": owner})
    job_id = jobs.jobCount() + 1
    token.arm(jobs, jobs.cancel.encode_input(job_id), {"from": researcher})

    answer = jobs.propose(proposal(reward_token=str(token)), {"from": researcher}).events["Answered"]

    assert not answer["success"]
    assert bytes(answer["data"])[:4] == web3.keccak(text="NotYoursToCancel(uint32)")[:4]
    assert rewards.heldOf(token) == token.balanceOf(rewards) == REWARD
    assert jobs.job(job_id)["status"] == Status.ENROLLING
