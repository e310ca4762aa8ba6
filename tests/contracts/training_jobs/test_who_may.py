"""Who may take which step of a job: one row a function, each tried by every role, in a job that stands ready for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
from brownie import chain
from play import ZERO, MergeRule, Status, vector

ROLES = (
    "owner",
    "deployer",
    "admin",
    "operator",
    "other_admin",
    "other_operator",
    "researcher",
    "challenges",
    "stranger",
)
EVERYONE = frozenset(ROLES)
OPERATORS = frozenset({"operator", "other_operator"})


class Rule(NamedTuple):
    """Who ``may`` call a function of the ``ready`` job; an operator who may not gets ``refusal``, others that they
    are none."""

    function: str
    may: frozenset[str]
    args: Callable[[Any], tuple[Any, ...]]
    refusal: Callable[[Any], tuple[Any, ...]] | None = None


def enrolling(play: Any) -> None:
    assert play.status == Status.ENROLLING


def running(play: Any) -> None:
    play.open()


def full(play: Any) -> None:
    play.open()
    play.submit_all()


def grouped(play: Any) -> None:
    """The block that decides is there, and the one after it."""
    play.open()
    chain.mine(2)


def merged(play: Any) -> None:
    full(play)
    play.merge(1)


def missed(play: Any) -> None:
    """The first hospital missed its deadline."""
    play.open()
    play.submit(1)
    play.sleep(play.phases.submit)
    play.open()


def reporting(play: Any) -> None:
    play.open()
    play.play_all()


def reported(play: Any) -> None:
    reporting(play)
    for index in (0, 1):
        play.report(index)
    play.sleep(play.phases.check)


RULES = [
    (enrolling, Rule("open", EVERYONE, lambda p: (p.job_id,))),
    (
        enrolling,
        Rule(
            "cancel",
            frozenset({"researcher"}),
            lambda p: (p.job_id,),
            lambda p: ("NotYoursToCancel", p.job_id),
        ),
    ),
    (
        grouped,
        Rule("draw", EVERYONE, lambda p: (p.job_id,)),
    ),
    (
        full,
        Rule(
            "doubt",
            frozenset({"operator"}),
            lambda p: (p.job_id, 1, 1, 2),
            lambda p: ("NotParticipant", p.job_id, 1, 2),
        ),
    ),
    (running, Rule("submit", OPERATORS, lambda p: (p.job_id, p.submission(0)))),
    (
        full,
        Rule(
            "merge",
            frozenset({"other_operator"}),
            lambda p: (p.job_id, 1, 1, p.state(1)),
            lambda p: ("NotYourTurn", p.job_id, 1, p.slot()["since"] + p.phases.merge),
        ),
    ),
    *(
        (
            merged,
            Rule(
                name,
                frozenset({"operator"}),
                lambda p: (p.job_id, 1, p.standing()),
                lambda p: ("AlreadyDone", p.job_id, 1, 2),
            ),
        )
        for name in ("attest", "reject")
    ),
    (
        missed,
        Rule(
            "rejoin",
            frozenset({"operator"}),
            lambda p: (p.job_id,),
            lambda p: ("AlreadyDone", p.job_id, 1, 2),
        ),
    ),
    (reporting, Rule("report", OPERATORS, lambda p: (p.job_id, p.standing(), 50, 100, vector("m")[0]))),
    (
        merged,
        Rule(
            "decide",
            frozenset({"challenges"}),
            lambda p: ((p.job_id, 1, ZERO, 1, True),),
        ),
    ),
    (reported, Rule("finish", EVERYONE, lambda p: (p.job_id, p.state(2)))),
]


@pytest.fixture(scope="module")
def account(owner, deployer, admit, researcher, challenges, stranger) -> dict[str, Any]:
    """Each role's account; hospital 1 is ``admin`` and ``operator``, hospital 2 the others."""
    one, other = admit(2)
    return {
        "owner": owner,
        "deployer": deployer,
        "admin": one.admin,
        "operator": one.operator,
        "other_admin": other.admin,
        "other_operator": other.operator,
        "researcher": researcher,
        "challenges": challenges,
        "stranger": stranger,
    }


@pytest.mark.parametrize(("ready", "rule"), RULES, ids=lambda value: getattr(value, "function", None))
def test_who_may_take_a_step(enrolled, jobs, account, reverts, ready, rule):
    # Groups need three hospitals.
    sizes = {"count": 3, "min_hospitals": 3} if ready is grouped else {"count": 2, "min_hospitals": 1}
    play = enrolled(**sizes, merge=MergeRule(groups=2 if ready is grouped else 1))
    ready(play)
    args = rule.args(play)
    step = getattr(jobs, rule.function)
    for role in ROLES:
        if role in rule.may:
            step.call(*args, {"from": account[role]})
        elif rule.function == "decide":
            with reverts("NotChallenges", account[role]):
                step.call(*args, {"from": account[role]})
        elif role in OPERATORS or rule.function == "cancel":
            with reverts(*rule.refusal(play)):
                step.call(*args, {"from": account[role]})
        else:
            with reverts("NotOperator", account[role]):
                step.call(*args, {"from": account[role]})


def test_who_may_propose(jobs, proposal, account, reverts):
    """Only the researcher whom the purpose names."""
    for role in ROLES:
        if role == "researcher":
            jobs.propose.call(proposal(), {"from": account[role]})
        else:
            with reverts("BadProposal", "researcher"):
                jobs.propose.call(proposal(), {"from": account[role]})


def test_who_may_enrol(jobs, propose, consenting, account, reverts):
    """Only an operator with a consent of its own hospital."""
    _, consent_ids = consenting(2)
    args = (propose(), consent_ids[0], 1, ZERO)
    for role in ROLES:
        if role == "operator":
            jobs.enrol.call(*args, {"from": account[role]})
        elif role == "other_operator":
            with reverts("NotYourConsent", consent_ids[0], 2):
                jobs.enrol.call(*args, {"from": account[role]})
        else:
            with reverts("NotOperator", account[role]):
                jobs.enrol.call(*args, {"from": account[role]})


def test_every_step_has_its_row(jobs):
    steps = {
        item["name"]
        for item in jobs.abi
        if item["type"] == "function" and item["stateMutability"] not in ("view", "pure")
    }
    assert {rule.function for _, rule in RULES} | {"propose", "enrol"} == steps
