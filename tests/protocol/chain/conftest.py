"""A Ganache of this test run's own, with the real contracts on it: three hospitals admitted by the real governor.

Every test starts from the same state: a snapshot is taken back after it.
"""

from __future__ import annotations

import hashlib
import re
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from eth_abi import encode

from protocol.chain import abi
from protocol.chain.accounts import Signer
from protocol.chain.bonds import Bonds
from protocol.chain.client import Chain
from protocol.chain.consents import ANYONE, Consents, Terms
from protocol.chain.datasets import Datasets, Version
from protocol.chain.deployment import Deployment
from protocol.chain.development import DevSigner, advance
from protocol.chain.duo import Permission
from protocol.chain.hospitals import Funds
from protocol.chain.rpc import Rpc
from protocol.chain.votes import Call, Votes
from protocol.errors import ChainError

from .compiled import NODE_MODULES, compile_all

CHAIN_ID = 1337
TOKEN = 10**18
HOSPITALS = 3
BOND = 100 * TOKEN
# Enough for two bonds and a half.
DEPOSIT = 250 * TOKEN
DAY = 86_400
# Where the bytecode of TrainingJobs names the one library that it is linked to.
LIBRARY = re.compile(r"__\$[0-9a-f]{34}\$__")


def key_of(name: str) -> str:
    """A private key that a test names: nobody else's, the same in every run."""
    return "0x" + hashlib.sha256(f"salus test account {name}".encode()).hexdigest()


def signer_of(name: str) -> Signer:
    return Signer.from_key(key_of(name))


NAMES = ["deployer", "holder-1", "holder-2", "researcher", "stranger"]
NAMES += [f"{role}-{number}" for number in range(1, HOSPITALS + 1) for role in ("admin", "operator")]


@dataclass
class World:
    """A chain with Salus on it. ``chain`` reads; ``as_`` signs."""

    url: str
    deployment: Deployment
    lock_folder: Path

    @property
    def chain(self) -> Chain:
        return Chain(self.url, self.deployment, lock_folder=self.lock_folder)

    def as_(self, name: str, **options: Any) -> Chain:
        return Chain(self.url, self.deployment, signer_of(name), lock_folder=self.lock_folder, **options)

    def register(self, number: int, records: int = 100) -> int:
        """A dataset of hospital ``number``; returns its id."""
        receipt = Datasets(self.as_(f"operator-{number}")).register(version_of(records))
        return receipt.event("DatasetVersionRegistered").args["datasetId"]

    def consent(self, number: int, **terms: Any) -> int:
        """A dataset of hospital ``number`` with a consent for it; returns the consent's id."""
        chain = self.as_(f"admin-{number}")
        dataset_id = terms.pop("dataset_id", None) or self.register(number)
        receipt = Consents(chain).mint(terms_of(chain, dataset_id, **terms))
        return receipt.event("ConsentMinted").args["consentId"]


def version_of(records: int = 100, root: bytes = b"\1" * 32) -> Version:
    return Version(root, records, records // 2, b"\2" * 32, b"tabular-v1".ljust(32, b"\0"), b"\3" * 32)


def terms_of(chain: Chain, dataset_id: int, **changed: Any) -> Terms:
    terms = {
        "dataset_id": dataset_id,
        "grantee": ANYONE,
        "permission": Permission.HMB,
        "mondo": 0,
        "modifiers": 0,
        "region": 0,
        "expires_at": chain.now() + 30 * DAY,
        "max_rounds": 10,
        "epsilon_budget_micro": 0,
    }
    return Terms(**{**terms, **changed})


@pytest.fixture(scope="session")
def compiled(request: pytest.FixtureRequest) -> dict[str, dict[str, Any]]:
    return compile_all(request.config.cache.mkdir("solc"))


@pytest.fixture(scope="session")
def ganache_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [str(NODE_MODULES / ".bin" / "ganache"), "--hardfork", "shanghai", "--server.port", str(port)]
    command += ["--chain.chainId", str(CHAIN_ID), "--logging.quiet"]
    for name in NAMES:
        command += ["--wallet.accounts", f"{key_of(name)},{hex(1000 * TOKEN)}"]
    log = tmp_path_factory.mktemp("ganache") / "log"
    with log.open("w") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output)
    try:
        url = f"http://127.0.0.1:{port}"
        _wait_for(url, process, log)
        yield url
    finally:
        process.terminate()
        process.wait(10)


def _wait_for(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", int(url.rsplit(":", 1)[1]))) == 0:
                Rpc(url).request("eth_chainId")
                return
        time.sleep(0.1)
    raise AssertionError(f"Ganache did not start: {log.read_text()}")


@pytest.fixture(scope="session")
def deployed(ganache_url: str, compiled: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> World:
    """The contracts as the deploy script wires them, and three hospitals admitted by a vote, with deposits."""
    rpc = Rpc(ganache_url)
    deployment = _deploy(rpc, compiled)
    world = World(ganache_url, deployment, tmp_path_factory.mktemp("locks"))
    calls = [
        Call(
            "HospitalRegistry",
            "admit",
            (
                f"Hospital {number}",
                signer_of(f"admin-{number}").address,
                signer_of(f"operator-{number}").address,
                funds_of(number),
            ),
        )
        for number in range(1, HOSPITALS + 1)
    ]
    pass_vote(world, calls, "Admit three hospitals")
    for number in range(1, HOSPITALS + 1):
        chain = world.as_(f"admin-{number}")
        chain.send("RewardToken", "mint", chain.signer.address, DEPOSIT)
        Bonds(chain).approve("RewardToken", DEPOSIT)
        Bonds(chain).deposit(number, DEPOSIT)
    return world


def funds_of(number: int) -> Funds:
    return Funds(*(signer_of(f"{fund}-{number}").address for fund in ("payout", "caregivers", "patients")))


def pass_vote(world: World, calls: list[Call], description: str) -> int:
    """Propose, vote, queue, execute; returns the proposal's id."""
    votes = Votes(world.as_("holder-1"))
    # A proposer's votes are counted a second before.
    advance(votes.chain, 2)
    proposal_id: int = votes.propose(calls, description).event("ProposalCreated").args["proposalId"]
    advance(votes.chain, votes.voting_delay() + 1)
    votes.cast(proposal_id, "for")
    advance(votes.chain, votes.voting_period() + 1)
    votes.queue(proposal_id)
    advance(votes.chain, votes.timelock_delay() + 1)
    votes.execute(proposal_id)
    return proposal_id


@pytest.fixture
def world(deployed: World) -> Iterator[World]:
    rpc = Rpc(deployed.url)
    before = rpc.request("evm_snapshot")
    yield deployed
    rpc.request("evm_revert", before)


def _deploy(rpc: Rpc, compiled: dict[str, Any]) -> Deployment:
    deployer = signer_of("deployer").address
    holders = [signer_of("holder-1").address, signer_of("holder-2").address]
    first_block = int(rpc.request("eth_blockNumber"), 16) + 1
    contracts: dict[str, str] = {}

    def create(name: str, *args: Any, kept_as: str | None = None) -> str:
        constructor = next(
            (each for each in compiled[name]["abi"] if each["type"] == "constructor"), {"inputs": []}
        )
        data = (
            LIBRARY.sub(contracts.get("Proposals", "0x")[2:].lower(), compiled[name]["bytecode"])
            + encode([abi.type_of(each) for each in constructor["inputs"]], args).hex()
        )
        sent = rpc.request("eth_sendTransaction", {"from": deployer, "data": data, "gas": hex(15_000_000)})
        receipt = rpc.request("eth_getTransactionReceipt", sent)
        if receipt["status"] != "0x1":
            raise ChainError(f"{name} cannot be deployed.")
        contracts[kept_as or name] = receipt["contractAddress"]
        return str(receipt["contractAddress"])

    votes = create("VoteToken", holders, [600 * TOKEN, 400 * TOKEN])
    timelock = create("TimelockController", 5, [], [ANYONE], deployer)
    governor = create("SalusGovernor", votes, timelock, 5, 60, TOKEN, 20)
    hospitals = create("HospitalRegistry", deployer)
    datasets = create("DatasetRegistry", hospitals)
    consents = create("ConsentToken", deployer, hospitals, datasets)
    models = create("ModelRegistry", deployer)
    rewards = create("RewardPool", deployer, hospitals)
    bonds, challenges = create("Bonds", deployer, hospitals), create("Challenges")
    create("Proposals")
    jobs = create("TrainingJobs", hospitals, datasets, consents, models, rewards, bonds, challenges)
    token = create("DevToken", kept_as="RewardToken")
    genesis = rpc.request("eth_getBlockByNumber", "0x0", False)["hash"]
    deployment = Deployment(
        CHAIN_ID, genesis, first_block, {name: to for name, to in contracts.items() if name != "Proposals"}
    )

    chain = Chain(rpc.url, deployment, DevSigner(deployer))
    for role in ("PROPOSER_ROLE", "CANCELLER_ROLE"):
        chain.send("TimelockController", "grantRole", chain.call("TimelockController", role), governor)
    chain.send("ConsentToken", "setConsumer", jobs, True)
    chain.send("ModelRegistry", "setJobs", jobs, True)
    chain.send("RewardPool", "setJobs", jobs, True)
    chain.send("RewardPool", "allowToken", token, True)
    chain.send("Bonds", "setJobs", jobs, True)
    chain.send("Bonds", "setBond", token, BOND)
    for owned in ("HospitalRegistry", "ConsentToken", "ModelRegistry", "RewardPool", "Bonds"):
        chain.send(owned, "transferOwnership", timelock)
    return deployment
