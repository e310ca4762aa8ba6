"""Who may call what (invariant 6, and every "Only …" of the interfaces).

One row a function. A role that is listed gets through the gate; every other gets the error named beside it. To cover
another contract, add its rows and its fixture's name to ``COVERED``: a test fails while a function lacks its row.
"""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest

DAY = 86_400
WHOLE_BPS = 10_000
ZERO = "0x" + "00" * 20

ROLES = (
    "owner",
    "deployer",
    "admin",
    "operator",
    "other_admin",
    "other_operator",
    "researcher",
    "consumer",
    "holder",
    "stranger",
)
EVERYONE = frozenset(ROLES)

# Refusals: from a role and the scene to the error's name and arguments.
Refusal = Callable[[str, Any], tuple[Any, ...]]


def not_owner(role: str, scene: Any) -> tuple[Any, ...]:
    return ("OwnableUnauthorizedAccount", scene.account[role])


def not_admin(role: str, scene: Any) -> tuple[Any, ...]:
    return ("NotAdmin", scene.account[role])


def not_operator(role: str, scene: Any) -> tuple[Any, ...]:
    return ("NotOperator", scene.account[role])


def not_consumer(role: str, scene: Any) -> tuple[Any, ...]:
    return ("NotConsumer", scene.account[role])


def not_jobs(role: str, scene: Any) -> tuple[Any, ...]:
    return ("NotJobs", scene.account[role])


def not_your_dataset(gate: Refusal, neighbour: str) -> Refusal:
    """The gate's own error, but for a hospital's neighbour: that the dataset is not its own."""
    return lambda role, scene: (
        ("NotYourDataset", scene.dataset_id, scene.other_id) if role == neighbour else gate(role, scene)
    )


def not_your_consent(role: str, scene: Any) -> tuple[Any, ...]:
    if role == "other_admin":
        return ("NotYourConsent", scene.consent_id, scene.other_id)
    return not_admin(role, scene)


def not_the_dao(role: str, scene: Any) -> tuple[Any, ...]:
    return ("GovernorOnlyExecutor", scene.account[role])


def soulbound(_role: str, scene: Any) -> tuple[Any, ...]:
    return ("Soulbound", scene.consent_id)


class Rule(NamedTuple):
    """Who ``may`` call a function, with arguments given or taken from the scene; others get ``refusal``."""

    contract: str
    function: str
    args: tuple[Any, ...] | Callable[[Any], tuple[Any, ...]]
    may: frozenset[str]
    refusal: Refusal | None = None


def only(*roles: str) -> frozenset[str]:
    return frozenset(roles)


RULES = [
    # HospitalRegistry
    Rule("hospitals", "admit", lambda s: ("New", s.new, s.newer, s.funds), only("owner"), not_owner),
    Rule("hospitals", "suspend", (1,), only("owner"), not_owner),
    Rule("hospitals", "reinstate", (3,), only("owner"), not_owner),
    Rule("hospitals", "replaceAdmin", lambda s: (1, s.new), only("owner"), not_owner),
    Rule("hospitals", "rotateOperator", lambda s: (s.new,), only("admin", "other_admin"), not_admin),
    Rule("hospitals", "setFunds", lambda s: (s.funds,), only("admin", "other_admin"), not_admin),
    Rule("hospitals", "transferOwnership", lambda s: (s.new,), only("owner"), not_owner),
    Rule("hospitals", "renounceOwnership", (), only("owner"), not_owner),
    # DatasetRegistry
    Rule("datasets", "register", lambda s: (s.version,), only("operator", "other_operator"), not_operator),
    Rule(
        "datasets",
        "append",
        lambda s: (s.dataset_id, s.version),
        only("operator"),
        not_your_dataset(not_operator, "other_operator"),
    ),
    # ConsentToken
    Rule("consents", "mint", lambda s: (s.terms,), only("admin"), not_your_dataset(not_admin, "other_admin")),
    Rule("consents", "mintBySignature", lambda s: (s.terms, s.deadline, s.signature), EVERYONE),
    Rule("consents", "cancelSignatures", (), EVERYONE),
    Rule("consents", "revoke", lambda s: (s.consent_id,), only("admin"), not_your_consent),
    Rule(
        "consents", "use", lambda s: (s.consent_id, s.member_id, s.purpose, 0), only("consumer"), not_consumer
    ),
    Rule("consents", "setConsumer", lambda s: (s.new, True), only("owner"), not_owner),
    Rule("consents", "transferOwnership", lambda s: (s.new,), only("owner"), not_owner),
    Rule("consents", "renounceOwnership", (), only("owner"), not_owner),
    Rule("consents", "transferFrom", lambda s: (s.holder, s.new, s.consent_id), only(), soulbound),
    Rule("consents", "safeTransferFrom", lambda s: (s.holder, s.new, s.consent_id), only(), soulbound),
    Rule(
        "consents",
        "approve",
        lambda s: (s.new, s.consent_id),
        only("researcher"),
        lambda role, s: ("ERC721InvalidApprover", s.account[role]),
    ),
    Rule("consents", "setApprovalForAll", lambda s: (s.new, True), EVERYONE),
    # ModelRegistry: the first model has a base, a candidate and a released version
    Rule("models", "create", ("New", (b"\x01" * 32, b"\x02" * 32)), EVERYONE),
    Rule("models", "addCandidate", (1, 1, 1, (b"\x01" * 32, b"\x02" * 32)), only("consumer"), not_jobs),
    Rule("models", "release", (1, 2), only("owner"), not_owner),
    Rule("models", "withdraw", (1, 3), only("owner"), not_owner),
    Rule("models", "setJobs", lambda s: (s.new, True), only("owner"), not_owner),
    Rule("models", "transferOwnership", lambda s: (s.new,), only("owner"), not_owner),
    Rule("models", "renounceOwnership", (), only("owner"), not_owner),
    # RewardPool: a first reward is in escrow, a second was shared by both hospitals
    Rule(
        "rewards",
        "escrow",
        lambda s: (3, s.account["researcher"], s.reward_token, 1, (WHOLE_BPS, 0, 0, 0, 0)),
        only("consumer"),
        not_jobs,
    ),
    Rule("rewards", "settle", (1, 1, 1, [(1, 1, 1)]), only("consumer"), not_jobs),
    Rule("rewards", "claimHospital", lambda s: (s.reward_token,), only("admin", "other_admin"), not_admin),
    Rule("rewards", "claim", lambda s: (s.account["owner"], s.reward_token), EVERYONE),
    Rule("rewards", "allowToken", lambda s: (s.new, True), only("owner"), not_owner),
    Rule("rewards", "setSplitFloor", ((0, 0, 0, 0, 0),), only("owner"), not_owner),
    Rule("rewards", "setJobs", lambda s: (s.new, True), only("owner"), not_owner),
    Rule("rewards", "transferOwnership", lambda s: (s.new,), only("owner"), not_owner),
    Rule("rewards", "renounceOwnership", (), only("owner"), not_owner),
    # Bonds: both hospitals have deposits; a jobs contract holds a bond of the first, which is free, and slashed one
    Rule("bonds", "setBond", lambda s: (s.new, 1), only("owner"), not_owner),
    Rule("bonds", "setJobs", lambda s: (s.new, True), only("owner"), not_owner),
    Rule("bonds", "deposit", lambda s: (s.other_id, 1), EVERYONE),
    Rule("bonds", "withdraw", lambda s: (s.bond_token, 1), only("admin", "other_admin"), not_admin),
    Rule("bonds", "lock", lambda s: (9, s.member_id), only("consumer"), not_jobs),
    # Whoever locked nothing reaches nothing.
    Rule("bonds", "slash", lambda s: (1, s.member_id, 0), EVERYONE),
    Rule("bonds", "unlock", lambda s: (s.locker, 1, s.member_id), EVERYONE),
    Rule("bonds", "payDao", lambda s: (s.bond_token,), EVERYONE),
    Rule("bonds", "transferOwnership", lambda s: (s.new,), only("owner"), not_owner),
    Rule("bonds", "renounceOwnership", (), only("owner"), not_owner),
]

# Fixtures of contracts of which every state-changing function must have its row.
# The steps of a job have their table in training_jobs/test_who_may.py: each needs a job that stands ready for it.
COVERED = ("hospitals", "datasets", "consents", "models", "rewards", "bonds")

# What only the DAO's own vote may do, through the timelock: refused to every role.
DAO_ONLY = [
    Rule("governor", "setVotingDelay", (1,), only(), not_the_dao),
    Rule("governor", "setVotingPeriod", (1,), only(), not_the_dao),
    Rule("governor", "setProposalThreshold", (1,), only(), not_the_dao),
    Rule("governor", "updateQuorumNumerator", (1,), only(), not_the_dao),
    Rule("governor", "updateTimelock", lambda s: (s.new,), only(), not_the_dao),
    Rule("governor", "relay", lambda s: (s.new, 0, b""), only(), not_the_dao),
    Rule(
        "timelock",
        "updateDelay",
        (0,),
        only(),
        lambda role, s: ("TimelockUnauthorizedCaller", s.account[role]),
    ),
    Rule(
        "timelock",
        "schedule",
        lambda s: (s.new, 0, b"", bytes(32), bytes(32), DAY),
        only(),
        lambda role, s: ("AccessControlUnauthorizedAccount", s.account[role], s.proposer_role),
    ),
    Rule(
        "timelock",
        "scheduleBatch",
        lambda s: ([s.new], [0], [b""], bytes(32), bytes(32), DAY),
        only(),
        lambda role, s: ("AccessControlUnauthorizedAccount", s.account[role], s.proposer_role),
    ),
    Rule(
        "timelock",
        "cancel",
        (bytes(32),),
        only(),
        lambda role, s: ("AccessControlUnauthorizedAccount", s.account[role], s.canceller_role),
    ),
    Rule(
        "timelock",
        "grantRole",
        lambda s: (s.proposer_role, s.account["deployer"]),
        only(),
        lambda role, s: ("AccessControlUnauthorizedAccount", s.account[role], bytes(32)),
    ),
    Rule(
        "timelock",
        "revokeRole",
        lambda s: (s.proposer_role, s.account["deployer"]),
        only(),
        lambda role, s: ("AccessControlUnauthorizedAccount", s.account[role], bytes(32)),
    ),
]


@pytest.fixture(scope="module")
def released(models, consumer, owner) -> Any:
    """The registry of models with a base, a candidate and a released version."""
    state = (b"\x01" * 32, b"\x02" * 32)
    models.create("heart", state, {"from": owner})
    for _ in range(2):
        models.addCandidate(1, 1, 1, state, {"from": consumer})
    models.release(1, 3, {"from": owner})
    return models


@pytest.fixture(scope="module")
def rewarded(rewards, reward_token, researcher, consumer) -> Any:
    """The reward pool with one reward in escrow, and one that two hospitals and the DAO may claim."""
    reward_token.mint(researcher, 3 * WHOLE_BPS, {"from": researcher})
    reward_token.approve(rewards, 3 * WHOLE_BPS, {"from": researcher})
    for job_id in (1, 2):
        split = (9_000, 0, 0, 0, 1_000)
        rewards.escrow(job_id, researcher, reward_token, WHOLE_BPS, split, {"from": consumer})
    rewards.settle(2, 1, 1, [(1, 1, 1), (2, 1, 0)], {"from": consumer})
    return rewards


@pytest.fixture(scope="module")
def locker(TimedJobs, bonds, bond_token, members, deposit, deployer, owner, account) -> Any:
    """A jobs contract with a bond of the first hospital that is free, and one of the second that it slashed. Every role
    has money for a deposit."""
    contract = TimedJobs.deploy(bonds, {"from": deployer})
    bonds.setJobs(contract, True, {"from": owner})
    for job_id, one in enumerate(members[:2], 1):
        deposit(one)
        contract.lock(job_id, one.id, {"from": deployer})
    contract.slash(2, members[1].id, 0, {"from": deployer})
    contract.freeFrom(0, {"from": deployer})
    for each in account.values():
        bond_token.mint(each, 1, {"from": deployer})
        bond_token.approve(bonds, 1, {"from": each})
    return contract


@pytest.fixture(scope="module")
def account(owner, deployer, members, researcher, consumer, holders, stranger) -> dict[str, Any]:
    """Each role's account; hospital 1 is ``admin`` and ``operator``, hospital 2 the others."""
    member, other, _ = members
    return {
        "owner": owner,
        "deployer": deployer,
        "admin": member.admin,
        "operator": member.operator,
        "other_admin": other.admin,
        "other_operator": other.operator,
        "researcher": researcher,
        "consumer": consumer,
        "holder": holders[0],
        "stranger": stranger,
    }


@pytest.fixture(scope="module")
def contracts(hospitals, datasets, consents, released, rewarded, bonds, governor, timelock) -> dict[str, Any]:
    """The contracts that rows name."""
    return {
        "hospitals": hospitals,
        "datasets": datasets,
        "consents": consents,
        "models": released,
        "rewards": rewarded,
        "bonds": bonds,
        "governor": governor,
        "timelock": timelock,
    }


@pytest.fixture
def scene(
    contracts,
    account,
    locker,
    bond_token,
    chain,
    owner,
    members,
    researcher,
    spare,
    dataset_id,
    terms,
    purpose,
    version,
    mint,
    sign_consent,
    reward_token,
) -> Any:
    """Three members, the third suspended; a dataset and a consent of the first, its receipt with the researcher."""
    member, other, suspended = members
    contracts["hospitals"].suspend(suspended.id, {"from": owner})
    deadline = chain.time() + DAY
    given = terms()
    return SimpleNamespace(
        account=account,
        locker=locker,
        bond_token=bond_token,
        new=spare[0],
        newer=spare[1],
        holder=researcher,
        funds=other.funds,
        version=version(),
        dataset_id=dataset_id,
        consent_id=mint(grantee=str(researcher)),
        member_id=member.id,
        other_id=other.id,
        terms=given,
        purpose=purpose(),
        deadline=deadline,
        reward_token=reward_token,
        signature=sign_consent(member.admin, given, 0, deadline),
        proposer_role=bytes(contracts["timelock"].PROPOSER_ROLE()),
        canceller_role=bytes(contracts["timelock"].CANCELLER_ROLE()),
    )


def functions_of(contract: Any) -> set[str]:
    return {
        item["name"]
        for item in contract.abi
        if item["type"] == "function" and item["stateMutability"] not in ("view", "pure")
    }


def function_of(contract: Any, name: str, args: tuple[Any, ...]) -> Any:
    """The function of this name; among overloads, the one with as many arguments."""
    found = getattr(contract, name)
    if not hasattr(found, "methods"):
        return found
    return next(method for method in found.methods.values() if len(method.abi["inputs"]) == len(args))


@pytest.mark.parametrize("rule", RULES + DAO_ONLY, ids=lambda rule: f"{rule.contract}.{rule.function}")
def test_who_may_call_what(rule, scene, contracts, reverts):
    """Calls without sending, so that every role meets the same scene."""
    args = rule.args(scene) if callable(rule.args) else rule.args
    function = function_of(contracts[rule.contract], rule.function, args)
    for role in ROLES:
        sender = {"from": scene.account[role]}
        if role in rule.may:
            function.call(*args, sender)
        else:
            with reverts(*rule.refusal(role, scene)):
                function.call(*args, sender)


@pytest.mark.parametrize("name", COVERED)
def test_every_function_has_its_row(name, contracts):
    rows = {rule.function for rule in RULES if rule.contract == name}
    assert rows == functions_of(contracts[name])
