"""Deploys Salus, hands every right to the DAO's timelock, and proves that the deployer kept none.

    brownie run deploy --network NETWORK

Environment:
  SALUS_DEPLOY_PARAMETERS  JSON file with any of the fields of `Parameters`; `holders` is needed outside development:
                           {"holders": {"0x…": 600000, "0x…": 400000}, "voting_period_seconds": 604800, …}
  SALUS_DEPLOYER           account to deploy from: a name that Brownie knows, or a keystore file
  SALUS_DEPLOYER_PASSWORD_FILE  file with its password; without one, Brownie asks for it
  SALUS_DEPLOYMENT_OUT     where to write the deployment, by default .salus/NETWORK/deployment.json
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from brownie import (
    Bonds,
    Challenges,
    ConsentToken,
    DatasetRegistry,
    DevToken,
    HospitalRegistry,
    ModelRegistry,
    Proposals,
    RewardPool,
    SalusGovernor,
    TimelockController,
    TrainingJobs,
    VoteToken,
    accounts,
    network,
    web3,
)

ZERO = "0x" + "00" * 20
TOKEN = 10**18
DEVELOPMENT_CHAINS = (1337, 31337)
DEVELOPMENT_BOND = 100 * TOKEN


@dataclass(frozen=True)
class Parameters:
    """What the first token holders get, and how they decide. Votes are whole tokens."""

    holders: dict[str, int]
    voting_delay_seconds: int = 86_400
    voting_period_seconds: int = 7 * 86_400
    timelock_delay_seconds: int = 2 * 86_400
    proposal_threshold: int = 10_000
    quorum_percent: int = 20
    reward_tokens: tuple[str, ...] = ()
    #: What each hospital locks in a job; in the token's smallest unit. Without a token no bond is asked for.
    bond_token: str = ""
    bond_amount: int = 0


def parameters(development: bool) -> Parameters:
    """Reads the parameters; a development chain has short periods, and its first accounts hold the votes."""
    given: dict[str, Any] = {}
    if path := os.environ.get("SALUS_DEPLOY_PARAMETERS"):
        given = json.loads(Path(path).read_text())
    if unknown := set(given) - {field.name for field in fields(Parameters)}:
        raise SystemExit(f"Unknown deployment parameters: {', '.join(sorted(unknown))}.")
    if development:
        given = {
            "voting_delay_seconds": 10,
            "voting_period_seconds": 60,
            "timelock_delay_seconds": 10,
            **given,
        }
        if "holders" not in given:
            given["holders"] = {str(account): 250_000 for account in list(accounts)[1:5]}
    if not given.get("holders"):
        raise SystemExit("Nobody would hold votes. Name `holders` in the file of SALUS_DEPLOY_PARAMETERS.")
    return Parameters(**given)


def deployer_account(development: bool) -> Any:
    """The account that deploys."""
    if name := os.environ.get("SALUS_DEPLOYER"):
        password_file = os.environ.get("SALUS_DEPLOYER_PASSWORD_FILE")
        return accounts.load(name, Path(password_file).read_text().strip() if password_file else None)
    if development and len(accounts) > 0:
        return accounts[0]
    raise SystemExit(
        "No account to deploy from. Name one in SALUS_DEPLOYER; `brownie accounts list` shows them."
    )


def create(deployer: Any, container: Any, *arguments: Any) -> Any:
    """Deploys one contract.

    By hand, since ``container.deploy`` of Brownie 1.22.2 fails on its own types when it notes a deployment to a live
    network; what we keep is the file that `write` makes.
    """
    transaction = deployer.transfer(data=container.deploy.encode_input(*arguments))
    return container.at(transaction.contract_address, deployer, transaction, persist=False)


def deploy(deployer: Any, given: Parameters, development: bool) -> dict[str, Any]:
    """Deploys and wires everything. Returns the contracts by name."""
    sender = {"from": deployer}
    holders = list(given.holders)
    votes = create(deployer, VoteToken, holders, [given.holders[holder] * TOKEN for holder in holders])
    # Nobody proposes but the governor; anyone may execute what it has passed.
    timelock = create(deployer, TimelockController, given.timelock_delay_seconds, [], [ZERO], deployer)
    governor = create(
        deployer,
        SalusGovernor,
        votes,
        timelock,
        given.voting_delay_seconds,
        given.voting_period_seconds,
        given.proposal_threshold * TOKEN,
        given.quorum_percent,
    )
    timelock.grantRole(timelock.PROPOSER_ROLE(), governor, sender)
    timelock.grantRole(timelock.CANCELLER_ROLE(), governor, sender)

    hospitals = create(deployer, HospitalRegistry, deployer)
    datasets = create(deployer, DatasetRegistry, hospitals)
    consents = create(deployer, ConsentToken, deployer, hospitals, datasets)
    models = create(deployer, ModelRegistry, deployer)
    rewards = create(deployer, RewardPool, deployer, hospitals)
    bonds = create(deployer, Bonds, deployer, hospitals)
    challenges = create(deployer, Challenges)
    # A library: the jobs contract names its address, and Brownie links the last one that was deployed.
    create(deployer, Proposals)
    jobs = create(deployer, TrainingJobs, hospitals, datasets, consents, models, rewards, bonds, challenges)
    consents.setConsumer(jobs, True, sender)
    models.setJobs(jobs, True, sender)
    rewards.setJobs(jobs, True, sender)
    bonds.setJobs(jobs, True, sender)

    contracts = {
        "VoteToken": votes,
        "TimelockController": timelock,
        "SalusGovernor": governor,
        "HospitalRegistry": hospitals,
        "DatasetRegistry": datasets,
        "ConsentToken": consents,
        "ModelRegistry": models,
        "RewardPool": rewards,
        "Bonds": bonds,
        "Challenges": challenges,
        "TrainingJobs": jobs,
    }
    reward_tokens = list(given.reward_tokens)
    if development:
        contracts["RewardToken"] = create(deployer, DevToken)
        reward_tokens.append(contracts["RewardToken"].address)
        bonds.setBond(contracts["RewardToken"], DEVELOPMENT_BOND, sender)
    elif given.bond_token:
        bonds.setBond(given.bond_token, given.bond_amount, sender)
    for token in reward_tokens:
        rewards.allowToken(token, True, sender)

    for owned in (hospitals, consents, models, rewards, bonds):
        owned.transferOwnership(timelock, sender)
    timelock.renounceRole(timelock.DEFAULT_ADMIN_ROLE(), deployer, sender)
    return contracts


def require(holds: bool, claim: str) -> None:
    """Stops the deployment when a claim about rights does not hold."""
    if not holds:
        raise AssertionError(f"Deployment is not as it must be: {claim}.")


def check_rights(contracts: dict[str, Any], deployer: Any) -> None:
    """Proves from the chain that every right lies with the timelock, and none with the deployer.

    Raises:
        AssertionError: names the claim that does not hold.
    """
    timelock, governor = contracts["TimelockController"], contracts["SalusGovernor"]
    for name, contract in contracts.items():
        if hasattr(contract, "owner"):
            require(contract.owner() == timelock, f"{name} is owned by the timelock")
    roles = {
        "DEFAULT_ADMIN_ROLE": timelock,
        "PROPOSER_ROLE": governor,
        "CANCELLER_ROLE": governor,
        "EXECUTOR_ROLE": ZERO,
    }
    for name, holder in roles.items():
        role = getattr(timelock, name)()
        require(timelock.hasRole(role, holder), f"{name} of the timelock is held by {holder}")
        require(not timelock.hasRole(role, deployer), f"the deployer does not hold {name} of the timelock")
    require(governor.timelock() == timelock, "the governor acts through the timelock")
    require(governor.token() == contracts["VoteToken"], "the governor counts the vote token")
    jobs = contracts["TrainingJobs"]
    require(contracts["ConsentToken"].isConsumer(jobs), "jobs may use consents")
    require(contracts["ModelRegistry"].isJobs(jobs), "jobs may add candidates")
    require(contracts["RewardPool"].isJobs(jobs), "jobs may move escrow")
    require(contracts["Bonds"].isJobs(jobs), "jobs may lock bonds")
    require(jobs.challenges() == contracts["Challenges"], "jobs listen to the challenges contract")


def write(path: Path, contracts: dict[str, Any], first_block: int) -> None:
    """Writes the deployment, whole or not at all."""
    content = {
        "chain_id": web3.eth.chain_id,
        "genesis_hash": "0x" + bytes(web3.eth.get_block(0)["hash"]).hex(),
        "block": first_block,
        "contracts": {name: contract.address for name, contract in contracts.items()},
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(content, indent=2) + "\n")
    partial.replace(path)


def main() -> None:
    """Deploys to the network that Brownie is connected to."""
    development = web3.eth.chain_id in DEVELOPMENT_CHAINS
    deployer = deployer_account(development)
    given = parameters(development)
    first_block = web3.eth.block_number + 1
    contracts = deploy(deployer, given, development)
    check_rights(contracts, deployer)
    default = Path(".salus") / network.show_active() / "deployment.json"
    path = Path(os.environ.get("SALUS_DEPLOYMENT_OUT", default))
    write(path, contracts, first_block)
    print(f"The deployer holds no right. Deployment written to {path}.")
