"""Accounts by role, the contracts, and a way to expect a named error.

For a contract alone, ``owner`` stands where the DAO's timelock stands after deployment. The governor's own tests use
the real timelock.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from inspect import isfunction
from typing import Any, NamedTuple

import eth_abi
import pytest
import requests
from brownie import convert, project, web3
from brownie.exceptions import VirtualMachineError, decode_typed_error
from eth_account import Account
from eth_account.hdaccount import key_from_seed
from eth_account.hdaccount.mnemonic import Mnemonic
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test
from web3 import HTTPProvider

DAY = 86_400
TOKEN = 10**18
BOND = 100 * TOKEN
HOSPITALS = 18

HMB = 2  # DUO permissions: NRES, GRU, HMB, DS

MINT_CONSENT = {
    "MintConsent": [
        {"name": "terms", "type": "Terms"},
        {"name": "nonce", "type": "uint256"},
        {"name": "deadline", "type": "uint256"},
    ],
    "Terms": [
        {"name": "datasetId", "type": "uint32"},
        {"name": "grantee", "type": "address"},
        {"name": "permission", "type": "uint8"},
        {"name": "mondo", "type": "uint32"},
        {"name": "modifiers", "type": "uint32"},
        {"name": "region", "type": "uint16"},
        {"name": "expiresAt", "type": "uint40"},
        {"name": "maxRounds", "type": "uint32"},
        {"name": "epsilonBudgetMicro", "type": "uint64"},
    ],
}


class Member(NamedTuple):
    """A hospital: its id and its accounts; the funds are addresses that only receive."""

    id: int
    admin: Any
    operator: Any
    funds: tuple[str, str, str]


class Terms(NamedTuple):
    """``IConsentToken.Terms``."""

    dataset_id: int
    grantee: str
    permission: int
    mondo: int
    modifiers: int
    region: int
    expires_at: int
    max_rounds: int
    epsilon_budget_micro: int


class Purpose(NamedTuple):
    """``IConsentToken.Purpose``."""

    researcher: str
    permission: int
    mondo: int
    pledges: int
    region: int


class Version(NamedTuple):
    """``IDatasetRegistry.Version``."""

    root: bytes
    train_records: int
    held_out_records: int
    schema_digest: bytes
    profile: bytes
    evidence_digest: bytes


@pytest.fixture(scope="session", autouse=True)
def _session():
    """Takes a third off the run: asks for the chain's id once, for proxies never, and lets no collector see Brownie.

    web3 asks for the id with every request, requests looks for proxies in the environment, and Brownie collects
    garbage at each snapshot, among some million objects that stay.
    """
    with requests.Session() as session:
        session.trust_env = False
        web3.provider = HTTPProvider(
            web3.provider.endpoint_uri,
            {"timeout": 30},
            session=session,
            cache_allowed_requests=True,
            cacheable_requests={"eth_chainId"},
        )
        gc.freeze()
        yield


@pytest.fixture(scope="module", autouse=True)
def _module(_session, module_isolation):
    """Each file starts on an empty chain."""


@pytest.fixture(autouse=True)
def _function(fn_isolation):
    """Each test starts where its file's fixtures left off."""


@pytest.fixture
def run_machine(chain) -> Callable[..., None]:
    """Runs a Hypothesis state machine with ``context`` as its attributes, each example from the chain as it is now.

    Hypothesis keeps its first ten examples to a step or two: with fewer than some 25 it tries next to nothing.
    Brownie 1.22.2 has a fixture for this, which fails with a TypeError: its base class is compiled and final.
    """

    def _run(
        machine: type[RuleBasedStateMachine], examples: int = 30, steps: int = 20, **context: Any
    ) -> None:
        plain = {name: staticmethod(value) if isfunction(value) else value for name, value in context.items()}
        bound = type(machine.__name__, (machine,), plain)
        chain.snapshot()

        def start() -> RuleBasedStateMachine:
            chain.revert()
            return bound()

        run_state_machine_as_test(
            start,
            settings=settings(
                max_examples=examples,
                stateful_step_count=steps,
                derandomize=True,
                deadline=None,
                # Without `target`: it runs every example four times more, each a chain's worth of transactions.
                phases=(Phase.generate, Phase.shrink),
                suppress_health_check=HealthCheck.all(),
            ),
        )

    return _run


# --- errors -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def compiled() -> Any:
    """Brownie's project: every compiled contract."""
    return project.get_loaded_projects()[0]


@pytest.fixture(scope="session")
def errors(compiled) -> dict[str, dict[str, Any]]:
    """Every custom error that any contract of the project declares, by name."""
    return {item["name"]: item for container in compiled for item in container.abi if item["type"] == "error"}


@pytest.fixture(scope="session")
def reverts(errors) -> Callable[..., Any]:
    """``with reverts("NotAdmin", account): …`` expects this error with exactly these arguments."""

    @contextmanager
    def expect(name: str, *args: Any) -> Iterator[None]:
        types = [_canonical(item) for item in errors[name]["inputs"]]
        selector = web3.keccak(text=f"{name}({','.join(types)})")[:4]
        values = [_plain(kind, value) for kind, value in zip(types, args, strict=True)]
        expected = decode_typed_error(web3.to_hex(selector + eth_abi.encode(types, values)))
        with pytest.raises(VirtualMachineError) as caught:
            yield
        assert caught.value.revert_msg == expected

    return expect


def _canonical(item: dict[str, Any]) -> str:
    if not item["type"].startswith("tuple"):
        return item["type"]
    return f"({','.join(_canonical(part) for part in item['components'])}){item['type'][5:]}"


def _plain(kind: str, value: Any) -> Any:
    return convert.to_address(str(value)) if kind == "address" else value


# --- accounts by role ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def deployer(accounts) -> Any:
    """Holds no right after deployment."""
    return accounts[0]


@pytest.fixture(scope="session")
def owner(accounts) -> Any:
    """Acts as the timelock."""
    return accounts[1]


@pytest.fixture(scope="session")
def researcher(accounts) -> Any:
    """Proposes jobs."""
    return accounts[2]


@pytest.fixture(scope="session")
def stranger(accounts) -> Any:
    """Has no role at all."""
    return accounts[3]


@pytest.fixture(scope="session")
def consumer(accounts) -> Any:
    """Acts as a contract that the DAO allows to use consents, add candidates and move escrow."""
    return accounts[4]


@pytest.fixture(scope="module")
def challenges(accounts) -> Any:
    """Acts as the contract that says which merges are proved false."""
    return accounts[14]


@pytest.fixture(scope="session")
def spare(accounts) -> list[Any]:
    """Accounts that no fixture gives a role: for new admins and operators."""
    return accounts[5:9]


@pytest.fixture(scope="session")
def holders(accounts) -> list[Any]:
    """Token holders with 50, 30 and 20 % of the votes."""
    return accounts[10:13]


@pytest.fixture(scope="session")
def private_key_of(accounts) -> Callable[[Any], bytes]:
    """The key of an account that Ganache derived from Brownie's mnemonic, for signing typed data."""
    seed = Mnemonic.to_seed("brownie", "")
    addresses = [str(account) for account in accounts]
    return lambda account: key_from_seed(seed, f"m/44'/60'/0'/0/{addresses.index(str(account))}")


# --- the DAO ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def vote_token(VoteToken, deployer, holders) -> Any:
    """One million votes, delegated by their holders to themselves."""
    return VoteToken.deploy(holders, [500_000 * TOKEN, 300_000 * TOKEN, 200_000 * TOKEN], {"from": deployer})


@pytest.fixture(scope="module")
def timelock(TimelockController, deployer) -> Any:
    """A delay of a day; nobody proposes until ``governor`` does; anyone executes."""
    zero = convert.to_address("0x" + "00" * 20)
    return TimelockController.deploy(DAY, [], [zero], deployer, {"from": deployer})


@pytest.fixture(scope="module")
def governor(SalusGovernor, vote_token, timelock, deployer) -> Any:
    """A day's delay, a week's vote, 1 % to propose, a quorum of 40 %. Afterwards the deployer holds nothing."""
    contract = SalusGovernor.deploy(
        vote_token, timelock, DAY, 7 * DAY, 10_000 * TOKEN, 40, {"from": deployer}
    )
    timelock.grantRole(timelock.PROPOSER_ROLE(), contract, {"from": deployer})
    timelock.grantRole(timelock.CANCELLER_ROLE(), contract, {"from": deployer})
    timelock.renounceRole(timelock.DEFAULT_ADMIN_ROLE(), deployer, {"from": deployer})
    return contract


# --- registries ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def hospitals(HospitalRegistry, deployer, owner) -> Any:
    """The empty registry of hospitals."""
    return HospitalRegistry.deploy(owner, {"from": deployer})


@pytest.fixture(scope="module")
def datasets(DatasetRegistry, hospitals, deployer) -> Any:
    """The empty registry of datasets."""
    return DatasetRegistry.deploy(hospitals, {"from": deployer})


@pytest.fixture(scope="module")
def consents(ConsentToken, hospitals, datasets, consumer, deployer, owner) -> Any:
    """The consent token, with ``consumer`` allowed to use consents."""
    contract = ConsentToken.deploy(owner, hospitals, datasets, {"from": deployer})
    contract.setConsumer(consumer, True, {"from": owner})
    return contract


@pytest.fixture(scope="module")
def reward_token(DevToken, deployer) -> Any:
    """An ERC-20 that anyone may mint."""
    return DevToken.deploy({"from": deployer})


# --- hospitals, datasets, consents --------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def candidates(accounts) -> list[Member]:
    """Up to 18 hospitals as they would be admitted, in this order, on an empty registry."""
    found = []
    for i in range(HOSPITALS):
        funds = tuple(convert.to_address(f"0x{kind}{i + 1:038x}") for kind in ("a0", "b0", "c0"))
        found.append(Member(i + 1, accounts[20 + 2 * i], accounts[21 + 2 * i], funds))
    return found


@pytest.fixture(scope="module")
def admit(hospitals, owner, candidates) -> Callable[[int], list[Member]]:
    """Admits the first ``count`` candidates and returns them."""

    def _admit(count: int) -> list[Member]:
        for member in candidates[hospitals.hospitalCount() : count]:
            hospitals.admit(
                f"Hospital {member.id}", member.admin, member.operator, member.funds, {"from": owner}
            )
        return candidates[:count]

    return _admit


@pytest.fixture(scope="module")
def members(admit) -> list[Member]:
    """Three admitted hospitals."""
    return admit(3)


@pytest.fixture(scope="module")
def member(members) -> Member:
    """The hospital that most tests look at."""
    return members[0]


@pytest.fixture(scope="module")
def other_member(members) -> Member:
    """A hospital that must not be able to act for ``member``."""
    return members[1]


@pytest.fixture(scope="session")
def version() -> Callable[..., Version]:
    """A valid dataset version, with what the caller changes."""

    def _version(**changes: Any) -> Version:
        plain = Version(
            root=b"\x01" * 32,
            train_records=200,
            held_out_records=100,
            schema_digest=b"\x02" * 32,
            profile=b"safe-harbor".ljust(32, b"\0"),
            evidence_digest=b"\x03" * 32,
        )
        return plain._replace(**changes)

    return _version


@pytest.fixture(scope="module")
def register(datasets, version) -> Callable[..., int]:
    """Registers a dataset of a hospital and returns its id."""

    def _register(of: Member, **changes: Any) -> int:
        return datasets.register(version(**changes), {"from": of.operator}).return_value

    return _register


@pytest.fixture(scope="module")
def dataset_id(register, member) -> int:
    """A dataset of ``member``."""
    return register(member)


@pytest.fixture
def terms(chain, dataset_id) -> Callable[..., Terms]:
    """Terms that allow biomedical research to anyone for 30 days, with what the caller changes."""

    def _terms(**changes: Any) -> Terms:
        plain = Terms(
            dataset_id=dataset_id,
            grantee=convert.to_address("0x" + "00" * 20),
            permission=HMB,
            mondo=0,
            modifiers=0,
            region=0,
            expires_at=chain.time() + 30 * DAY,
            max_rounds=10,
            epsilon_budget_micro=0,
        )
        return plain._replace(**changes)

    return _terms


@pytest.fixture
def purpose(researcher) -> Callable[..., Purpose]:
    """The researcher's biomedical research without pledges, with what the caller changes."""

    def _purpose(**changes: Any) -> Purpose:
        return Purpose(str(researcher), HMB, 0, 0, 0)._replace(**changes)

    return _purpose


@pytest.fixture
def mint(consents, member, terms) -> Callable[..., int]:
    """Mints a consent of ``member`` (or of the hospital given) and returns its id."""

    def _mint(of: Member = member, **changes: Any) -> int:
        return consents.mint(terms(**changes), {"from": of.admin}).return_value

    return _mint


# --- models, rewards, jobs ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def models(ModelRegistry, consumer, deployer, owner) -> Any:
    """The registry of models, to which ``consumer`` may add candidates."""
    contract = ModelRegistry.deploy(owner, {"from": deployer})
    contract.setJobs(consumer, True, {"from": owner})
    return contract


@pytest.fixture(scope="module")
def rewards(RewardPool, hospitals, reward_token, consumer, deployer, owner) -> Any:
    """The reward pool: ``reward_token`` is allowed, and ``consumer`` may move escrow."""
    contract = RewardPool.deploy(owner, hospitals, {"from": deployer})
    contract.setJobs(consumer, True, {"from": owner})
    contract.allowToken(reward_token, True, {"from": owner})
    return contract


@pytest.fixture(scope="module")
def bond_token(DevToken, deployer) -> Any:
    """The ERC-20 that bonds are made of."""
    return DevToken.deploy({"from": deployer})


@pytest.fixture(scope="module")
def bonds(Bonds, hospitals, bond_token, consumer, deployer, owner) -> Any:
    """The bonds: ``BOND`` each, which ``consumer`` may lock and slash."""
    contract = Bonds.deploy(owner, hospitals, {"from": deployer})
    contract.setJobs(consumer, True, {"from": owner})
    contract.setBond(bond_token, BOND, {"from": owner})
    return contract


@pytest.fixture(scope="module")
def deposit(bonds, bond_token) -> Callable[..., Any]:
    """Deposits for a hospital, by its admin: ten bonds unless said otherwise."""

    def _deposit(of: Member, amount: int = 10 * BOND, token: Any = bond_token) -> Any:
        token.mint(of.admin, amount, {"from": of.admin})
        token.approve(bonds, amount, {"from": of.admin})
        return bonds.deposit(of.id, amount, {"from": of.admin})

    return _deposit


@pytest.fixture(scope="module")
def jobs(
    TrainingJobs,
    Proposals,
    hospitals,
    datasets,
    consents,
    models,
    rewards,
    bonds,
    challenges,
    deployer,
    owner,
) -> Any:
    """The jobs contract, which may use consents, add candidates, move escrow and lock bonds."""
    Proposals.deploy({"from": deployer})
    contract = TrainingJobs.deploy(
        hospitals, datasets, consents, models, rewards, bonds, challenges, {"from": deployer}
    )
    consents.setConsumer(contract, True, {"from": owner})
    models.setJobs(contract, True, {"from": owner})
    rewards.setJobs(contract, True, {"from": owner})
    bonds.setJobs(contract, True, {"from": owner})
    return contract


@pytest.fixture
def sign_consent(consents, private_key_of, chain) -> Callable[..., bytes]:
    """An admin's EIP-712 signature over terms, nonce and deadline; ``domain`` overrides fields of the domain."""

    def _sign(account: Any, given: Terms, nonce: int, deadline: int, **domain: Any) -> bytes:
        full = {
            "name": "Salus ConsentToken",
            "version": "1",
            "chainId": chain.id,
            "verifyingContract": consents.address,
            **domain,
        }
        named = {field["name"]: value for field, value in zip(MINT_CONSENT["Terms"], given, strict=True)}
        message = {"terms": named, "nonce": nonce, "deadline": deadline}
        return Account.sign_typed_data(private_key_of(account), full, MINT_CONSENT, message).signature

    return _sign
