"""The stage of the demonstration: the development network, its people, and the processes of each hospital."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from protocol.chain.accounts import Signer
from protocol.chain.client import Chain
from protocol.chain.deployment import Deployment
from protocol.chain.hospitals import Funds
from protocol.chain.votes import Call, Votes
from protocol.content.ipfs import Ipfs
from protocol.dao import pass_proposal
from protocol.data.dataset import Dataset
from protocol.data.splits import HospitalRecords
from protocol.devnet import Devnet
from protocol.devnet.deploy import HOLDERS
from protocol.errors import DevnetError
from protocol.node.policy import Policy
from protocol.spec import JobSpec
from protocol.vault.store import folder_of

GAS_MONEY_WEI = 10**18
STOP_SECONDS = 20
LOG_LINES = 5
BATCH_INSTANCES, BATCH_SECONDS, MIN_PATIENTS = 30, 8, 5
POLL_SECONDS = 0.1


@dataclass
class HospitalActor:
    """One hospital of the demonstration: its accounts, its home, and its node or gateway with what that writes."""

    name: str
    home: Path
    records: HospitalRecords
    admin: Signer
    operator: Signer
    funds: Funds
    dataset: Dataset | None = None
    hospital_id: int = 0
    consent_id: int = 0
    process: subprocess.Popen[bytes] | None = None
    log: Path = Path()

    def status(self) -> dict:
        """What its node last said of itself."""
        try:
            return json.loads((self.home / "status.json").read_text())
        except (FileNotFoundError, ValueError):
            return {"doing": "starting", "jobs": {}}


class Stage:
    """A development network in ``home``/devnet, and whoever acts on it. As a context it leaves nothing running."""

    def __init__(self, home: Path, say: Callable[[str], None]) -> None:
        self.home = home
        self.devnet = Devnet(home / "devnet")
        self._say = say
        self._processes: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Stage:
        self.network = self.devnet.up(self._say)
        self.ipfs = Ipfs(self.network.ipfs_api)
        self.chain = Chain(self.network.rpc_url, Deployment.load(self.devnet.deployment_file))
        return self

    def __exit__(self, *_: object) -> None:
        self._stop_processes()
        self.devnet.down()

    def address(self, name: str) -> str:
        """An account's address; the account is made when it is not there."""
        accounts = self.devnet.accounts
        if name not in {account.name for account in accounts.keystore.list()}:
            accounts.keystore.new(name, accounts.password)
        return accounts.keystore.find(name).address

    def account(self, name: str) -> Signer:
        """An account that can sign and pay for gas."""
        address = self.address(name)
        if self.chain.balance(address) < GAS_MONEY_WEI:
            self.devnet.fund(address)
        return self.devnet.accounts.keystore.unlock(name, self.devnet.accounts.password)

    def hospital(self, records: HospitalRecords) -> HospitalActor:
        """A hospital with its accounts and home; it has no dataset yet."""
        return HospitalActor(
            name=records.name,
            home=self.home / "hospitals" / records.name,
            records=records,
            admin=self.account(f"{records.name}-admin"),
            operator=self.account(f"{records.name}-operator"),
            funds=Funds(
                *(self.address(f"{records.name}-{fund}") for fund in ("payout", "caregivers", "patients"))
            ),
        )

    def passed(self, calls: list[Call], description: str) -> None:
        """The real governor: propose, wait, vote, wait, queue, wait, execute. Only the waiting is skipped."""
        holders = [self.account(name) for name in HOLDERS]
        votes = Votes(self.chain.with_signer(holders[0]))
        proposal_id = votes.propose(calls, description).event("ProposalCreated").args["proposalId"]
        pass_proposal(self.chain, holders, proposal_id)
        self._say(f"proposal {votes.number_of(proposal_id)}: {len(holders)} holders for it, queued, executed")

    def start_node(self, actor: HospitalActor, spec: JobSpec, researcher: str) -> None:
        """Starts a hospital's node, with a policy that admits this researcher's jobs of this kind and nothing else."""
        policy = Policy(
            architectures=(spec.model.architecture,),
            purposes=(spec.purpose.permission,),
            privacy=(spec.privacy.mechanism,),
            researchers=(researcher,),
            # The demonstration has seconds for what a real job has days for.
            min_submit_seconds=1,
            min_check_seconds=1,
        )
        (actor.home / "policy.json").write_text(json.dumps(policy.as_dict(), indent=2))
        actor.process = self._start(
            actor,
            "node.log",
            *("node", "run", "--account", f"{actor.name}-operator", "--until-idle"),
            *("--policy", str(actor.home / "policy.json")),
            *self._vault_of(actor),
        )

    def _vault_of(self, actor: HospitalActor) -> list[str]:
        """What opens the hospital's vault, where its dataset is sealed in one."""
        sealed = folder_of(actor.home).exists()
        return ["--vault-password-file", str(self.devnet.accounts.password_file)] if sealed else []

    def start_gateway(self, actor: HospitalActor) -> dict[str, Any]:
        """Starts a hospital's gateway on a free port; what it says of itself once it listens."""
        actor.process = self._start(
            actor,
            "gateway.log",
            *("gateway", "run", "--port", "0", "--account", f"{actor.name}-operator"),
            *("--vault-password-file", str(self.devnet.accounts.password_file)),
            # The demonstration has seconds for what a hospital has hours for.
            *("--batch-instances", str(BATCH_INSTANCES), "--batch-seconds", str(BATCH_SECONDS)),
            *("--min-patients", str(MIN_PATIENTS)),
        )
        while True:
            self.require_running(actor)
            try:
                said = json.loads((actor.home / "gateway" / "status.json").read_text())
            except FileNotFoundError:
                said = {}
            if said.get("pid") == actor.process.pid:
                return said
            time.sleep(POLL_SECONDS)

    def _start(self, actor: HospitalActor, log_name: str, *words: str) -> subprocess.Popen[bytes]:
        accounts = self.devnet.accounts
        actor.log = actor.home / log_name
        with actor.log.open("ab") as log:
            process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "protocol.cli", "--home", str(actor.home)),
                    *("--rpc-url", self.network.rpc_url, "--ipfs-api", self.network.ipfs_api),
                    *("--deployment", str(self.devnet.deployment_file), "--keystore", str(accounts.folder)),
                    *words,
                    *("--password-file", str(accounts.password_file)),
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, "OMP_NUM_THREADS": "1"},
            )
        self._processes.append(process)
        return process

    def require_running(self, actor: HospitalActor) -> None:
        """Raises DevnetError with the end of its log when a hospital's node or gateway has failed."""
        if actor.process is not None and actor.process.poll() not in (None, 0):
            lines = actor.log.read_text(errors="replace").splitlines()[-LOG_LINES:]
            raise DevnetError(f"What runs at {actor.name} stopped: {' / '.join(lines)}")

    def _stop_processes(self) -> None:
        running = [process for process in self._processes if process.poll() is None]
        for process in running:
            process.send_signal(signal.SIGTERM)
        for process in running:
            try:
                process.wait(timeout=STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
