"""Four hospitals on a development network, as tests need them: admitted by the real DAO, with registered data, consents
and node processes that a test starts, freezes and kills.

Hospitals and nodes last for the session; each test mints what consents it needs and proposes a job of its own.
"""

from __future__ import annotations

import copy
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from protocol.chain import duo
from protocol.chain.accounts import Signer
from protocol.chain.client import Chain, Receipt
from protocol.chain.consents import ANYONE, Consents, Purpose, Terms
from protocol.chain.deployment import Deployment
from protocol.chain.enums import JobStatus, Support
from protocol.chain.events import events
from protocol.chain.hospitals import Funds, Hospitals
from protocol.chain.jobs import NO_KEY, Job, Jobs, Phases
from protocol.chain.votes import Call, Votes
from protocol.client import create_model, propose_job, register_dataset
from protocol.content.cid import to_cid
from protocol.content.ipfs import Ipfs
from protocol.content.vectors import VectorRef
from protocol.data.dataset import Dataset
from protocol.data.schema import DataSchema
from protocol.data.splits import HELD_OUT, TRAIN
from protocol.deposits import deposit
from protocol.devnet import Devnet
from protocol.devnet.deploy import HOLDERS
from protocol.learning import train
from protocol.node.job_keys import JobKeys
from protocol.node.places import JobPlace
from protocol.node.policy import Policy
from protocol.record import JobRecord
from protocol.spec import JobSpec, ModelSpec, StateSpec

ROOT = Path(__file__).resolve().parents[2]
PHASES = Phases(enrol=600, submit=120, merge=60, check=120, report=120, pause=600)
YEAR_SECONDS = 365 * 86_400
REWARD_WEI = 1_000 * 10**18 + 7
DEPOSIT_WEI = 100_000 * 10**18
TRAIN_RECORDS, HELD_OUT_RECORDS = 40, 20
ENDED = (JobStatus.FINISHED, JobStatus.CANCELLED)
POLL_SECONDS = 0.1
# Other tests run beside these.
PATIENCE = 3
FAULTY = "tests.integration.faulty_node"
HONEST = "protocol.cli"

SCHEMA = {
    "kind": "tabular",
    "name": "two-measurements",
    "columns": [
        {"name": "systolic", "type": "number", "centre": 130, "scale": 20},
        {"name": "glucose", "type": "number", "centre": 100, "scale": 25},
    ],
    "label": {"name": "ill", "positive": "> 0"},
}
DOCUMENT: dict[str, Any] = {
    "protocol": "salus/1",
    "title": "Illness from two measurements",
    "model": {"architecture": "logistic_regression", "parameters": {"inputs": 2, "outputs": 1}},
    "state": {"fraction_bits": 24},
    "data": {"schema": SCHEMA},
    "training": {
        "loss": "binary_cross_entropy",
        "optimiser": {"name": "sgd", "learning_rate": 0.5, "momentum": 0, "weight_decay": 0},
        "batch_size": 10,
        "local_epochs": 2,
        "seed": 3,
    },
    "rounds": 3,
    "merge": {"rule": "mean", "server_step": 65536, "max_weight_bps": 10000, "clip_norm": 10},
    "privacy": {"mechanism": "masked"},
    "purpose": {"permission": "HMB", "mondo": None, "pledges": ["PUB"], "region": None, "irb_approval": None},
    "hospitals": {"min": 3, "max": 4},
    "gate": {"accuracy_bps": 5000},
    "reward": {
        "split_bps": {"hospitals": 6000, "caregivers": 1500, "patients": 1500, "merger": 500, "dao": 500}
    },
}


@dataclass
class Actor:
    """One hospital: its accounts, its home, and its node while one runs."""

    name: str
    home: Path
    admin: Signer
    operator: Signer
    funds: Funds
    hospital_id: int = 0
    dataset: Dataset | None = None
    process: subprocess.Popen[bytes] | None = None
    frozen: bool = False
    consents: list[int] = field(default_factory=list)

    @property
    def status(self) -> dict[str, Any]:
        """What its node last said; empty before it said anything."""
        try:
            return json.loads((self.home / "status.json").read_text())
        except FileNotFoundError:
            return {}

    @property
    def log(self) -> str:
        path = self.home / "node.log"
        return path.read_text(errors="replace") if path.exists() else ""

    @property
    def running(self) -> bool:
        return self.process is not None and self.process.poll() is None


def merged_from(record: JobRecord, round: int) -> set[int]:
    """Ids of the hospitals whose updates a round's standing merge sums."""
    return {update.hospital_id for update in record.round(round).merged_updates}


class Stage:
    """The development network, its people, and what they do. ``folder`` holds the homes of the hospitals."""

    # Nodes work for the researcher of their own stage alone: several stages share a network.
    name = "stage"

    def __init__(self, devnet: Devnet, folder: Path, size: int = 4) -> None:
        self.devnet, self.folder = devnet, folder
        status = devnet.status()
        self.rpc_url, self.ipfs_api = status.rpc_url, status.ipfs_api
        self.chain = Chain(status.rpc_url, Deployment.load(devnet.deployment_file))
        self.ipfs = Ipfs(status.ipfs_api)
        self.jobs = Jobs(self.chain)
        self.schema = DataSchema.parse(SCHEMA)
        self.researcher = self.account(f"{self.name}-researcher")
        self.hospitals = [self._actor(f"hospital-{number}") for number in range(1, size + 1)]
        self._admit()
        for actor in self.hospitals:
            self.deposit(actor)
        for number, actor in enumerate(self.hospitals):
            self._register(actor, seed=number)
        self.model_id, self.base = self._model()

    # -- people ------------------------------------------------------------------------------------------------------

    def account(self, name: str) -> Signer:
        """A funded account of the network's keystore; made when it is new."""
        accounts = self.devnet.accounts
        if name not in {each.name for each in accounts.keystore.list()}:
            accounts.keystore.new(name, accounts.password)
            self.devnet.fund(accounts.keystore.find(name).address)
        return self.devnet.signer(name)

    def _actor(self, name: str) -> Actor:
        funds = Funds(
            *(self.account(f"{name}-{fund}").address for fund in ("payout", "caregivers", "patients"))
        )
        admin, operator = self.account(f"{name}-admin"), self.account(f"{name}-operator")
        return Actor(name, self.folder / name, admin, operator, funds)

    def _admit(self) -> None:
        calls = [
            Call(
                "HospitalRegistry",
                "admit",
                (each.name, each.admin.address, each.operator.address, each.funds),
            )
            for each in self.hospitals
        ]
        self.vote(calls, "Admit the hospitals")
        for actor in self.hospitals:
            actor.hospital_id, _ = Hospitals(self.chain).role_of(actor.admin.address)

    def deposit(self, actor: Actor, amount: int = DEPOSIT_WEI) -> None:
        """The actor's admin deposits for bonds: enough for all jobs of a session, unless a test says less."""
        chain = self.chain.with_signer(actor.admin)
        chain.send("RewardToken", "mint", actor.admin.address, amount)
        deposit(chain, actor.hospital_id, amount)

    def vote(self, calls: list[Call], description: str) -> None:
        """The real governor: proposed, voted, queued, executed; only the waiting is skipped."""
        holders = [Votes(self.chain.with_signer(self.devnet.signer(name))) for name in HOLDERS]
        proposal_id = holders[0].propose(calls, description).event("ProposalCreated").args["proposalId"]
        self.devnet.advance_time(holders[0].voting_delay() + 1)
        for holder in holders:
            holder.cast(proposal_id, Support.FOR)
        self.devnet.advance_time(holders[0].voting_period() + 1)
        holders[0].queue(proposal_id)
        self.devnet.advance_time(holders[0].timelock_delay() + 1)
        holders[0].execute(proposal_id)

    def _register(self, actor: Actor, seed: int) -> None:
        """Patients whose illness shows in both measurements, a little differently at each hospital."""
        draw = np.random.default_rng(seed)
        records = []
        for _ in range(TRAIN_RECORDS + HELD_OUT_RECORDS):
            systolic, glucose = draw.normal(130 + seed, 20), draw.normal(100 - seed, 25)
            ill = (systolic - 130) / 20 + (glucose - 100) / 25 + draw.normal(0, 0.3) > 0
            records.append({"systolic": round(systolic, 1), "glucose": round(glucose, 1), "ill": int(ill)})
        splits = np.array([TRAIN] * TRAIN_RECORDS + [HELD_OUT] * HELD_OUT_RECORDS, np.uint8)
        actor.dataset = Dataset.create(actor.home / "datasets" / "patients", self.schema, records, splits)
        register_dataset(self.chain.with_signer(actor.operator), self.ipfs, actor.dataset)

    def _model(self) -> tuple[int, VectorRef]:
        model, state = ModelSpec(**DOCUMENT["model"]), StateSpec(DOCUMENT["state"]["fraction_bits"], {})
        base = train.initial_state(model, state, DOCUMENT["training"]["seed"])
        return create_model(self.chain.with_signer(self.researcher), self.ipfs, DOCUMENT["title"], base)

    # -- consents ----------------------------------------------------------------------------------------------------

    def mint(self, actor: Actor, **changes: Any) -> int:
        """Mints a consent for the actor's dataset; ``changes`` replace terms. Returns its id."""
        terms = {
            "dataset_id": actor.dataset.dataset_id,
            "grantee": ANYONE,
            "permission": duo.Permission.HMB,
            "mondo": 0,
            "modifiers": duo.bits(["PUB"]),
            "region": 0,
            "expires_at": self.chain.now() + YEAR_SECONDS,
            "max_rounds": 1_000,
            "epsilon_budget_micro": 0,
        }
        receipt = Consents(self.chain.with_signer(actor.admin)).mint(Terms(**{**terms, **changes}))
        actor.consents.append(receipt.event("ConsentMinted").args["consentId"])
        return actor.consents[-1]

    def consent(self, actor: Actor) -> int:
        """The actor's live consent; minted when it has none."""
        live = [each for each in actor.consents if Consents(self.chain).live([each])]
        return live[0] if live else self.mint(actor)

    def revoke(self, actor: Actor) -> Receipt:
        """Revokes the consent that `consent` answers."""
        return Consents(self.chain.with_signer(actor.admin)).revoke(self.consent(actor))

    # -- jobs --------------------------------------------------------------------------------------------------------

    def propose(self, phases: Phases = PHASES, spec: JobSpec | None = None, **changes: Any) -> int:
        """Proposes a job with its reward in escrow, all four hospitals consenting. ``changes`` replace fields of the
        spec; ``training__seed`` names a field within a field. Returns the job's id."""
        for actor in self.hospitals:
            self.consent(actor)
        chain = self.chain.with_signer(self.researcher)
        chain.send("RewardToken", "mint", self.researcher.address, REWARD_WEI)
        receipt = propose_job(
            chain,
            self.ipfs,
            spec or self.spec(**changes),
            model_id=self.model_id,
            base_version=1,
            phases=phases,
            reward_token=self.chain.address("RewardToken"),
            reward_amount=REWARD_WEI,
        )
        return receipt.event("JobProposed").args["jobId"]

    def spec(self, **changes: Any) -> JobSpec:
        document = copy.deepcopy(DOCUMENT)
        document["base"] = {"cid": to_cid(self.base.cid), "root": "0x" + self.base.root.hex()}
        document["retain_until"] = self.chain.now() + YEAR_SECONDS
        for path, value in changes.items():
            *outer, last = path.split("__")
            place = document
            for name in outer:
                place = place[name]
            place[last] = value
        return JobSpec.from_dict(document)

    def enrol(self, job_id: int, *actors: Actor) -> None:
        """Enrols hospitals in this order, so that the first has bit 0; their nodes then take the job up."""
        masked = self.job(job_id).merge.masked
        for actor in actors or self.hospitals:
            keys = JobKeys(actor.home / "journal", actor.operator)
            key = keys.make(JobPlace.on(self.chain, job_id)).public if masked else NO_KEY
            Jobs(self.chain.with_signer(actor.operator)).enrol(job_id, self.consent(actor), 1, key)

    def propose_in_order(self, phases: Phases = PHASES, **changes: Any) -> int:
        """A job in which the hospitals have bits 0 to 3 in their order. Every node that runs is frozen: nothing happens
        before the test says so. Round 1 is open, and its merger is hospital 2."""
        self.freeze(*self.hospitals)
        job_id = self.propose(phases, **changes)
        self.enrol(job_id)
        self.open(job_id)
        return job_id

    def purpose(self) -> Purpose:
        """What the jobs here are for."""
        return Purpose(self.researcher.address, duo.Permission.HMB, 0, duo.bits(["PUB"]), 0)

    def open(self, job_id: int) -> None:
        """Opens the next attempt, as anyone may."""
        Jobs(self.chain.with_signer(self.researcher)).open(job_id)

    def job(self, job_id: int) -> Job:
        return self.jobs.job(job_id)

    def record(self, job_id: int) -> JobRecord:
        record = JobRecord(job_id)
        record.apply(events(self.chain, "TrainingJobs", jobId=job_id))
        return record

    def submitted(self, job_id: int, round: int, attempt: int = 1) -> set[int]:
        """Ids of the hospitals whose update of an attempt is on the chain."""
        attempts = self.record(job_id).round(round).attempts
        return {update.hospital_id for update in attempts[attempt].updates} if attempt in attempts else set()

    def finish(self, job_id: int, timeout: float = 180) -> JobRecord:
        """Waits until a job has ended well; returns its record."""
        self.wait_until(lambda: self.has_ended(job_id), timeout, f"the end of job {job_id}")
        assert self.job(job_id).status == JobStatus.FINISHED, self.scene()
        return self.record(job_id)

    def has_ended(self, job_id: int) -> bool:
        """Whether a job has ended. Once every report is in, only the window in which fraud can be proved is left: the
        chain's clock is moved over it."""
        job, record = self.jobs.job_and_round(job_id)
        if job.status == JobStatus.REPORTING and record.submitted == record.participants:
            [*_, last] = self.record(job_id).round(job.rounds).merges
            over = self.chain.timestamp(last.event.block) + job.phases.check
            if (seconds := over - self.chain.now()) > 0:
                self.devnet.advance_time(seconds)
        return job.status in ENDED

    def end_jobs(self) -> None:
        """Lets no job outlive the test that proposed it."""
        own = events(self.chain, "TrainingJobs", ["JobProposed"], researcher=self.researcher.address)
        for job_id in [each.args["jobId"] for each in own]:
            if self.job(job_id).status == JobStatus.REPORTING:
                self.start(*self.hospitals)
                self.wait_until(lambda job_id=job_id: self.has_ended(job_id), 60, f"the end of job {job_id}")
            elif self.job(job_id).status not in ENDED:
                Jobs(self.chain.with_signer(self.researcher)).cancel(job_id)

    # -- processes ---------------------------------------------------------------------------------------------------

    def command(self, actor: Actor, module: str = HONEST, ipfs_api: str | None = None) -> list[str]:
        """The command line of a hospital's node."""
        policy = actor.home / "policy.json"
        if not policy.exists():
            policy.write_text(json.dumps(self.policy().as_dict()))
        return [
            *(sys.executable, "-m", module),
            *self.options(actor.home, ipfs_api),
            *("node", "run", "--account", f"{actor.name}-operator", "--policy", str(policy)),
        ]

    def policy(self) -> Policy:
        return Policy(
            architectures=("logistic_regression",),
            purposes=("HMB",),
            privacy=("masked",),
            researchers=(self.researcher.address,),
            min_submit_seconds=1,
            min_check_seconds=1,
        )

    def options(self, home: Path, ipfs_api: str | None = None) -> list[str]:
        """The root options that lead a command to this network."""
        return [
            *("--home", str(home), "--rpc-url", self.rpc_url, "--ipfs-api", ipfs_api or self.ipfs_api),
            *(
                "--deployment",
                str(self.devnet.deployment_file),
                "--keystore",
                str(self.devnet.accounts.folder),
            ),
        ]

    @property
    def environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "OMP_NUM_THREADS": "1",
            "XDG_STATE_HOME": str(self.folder / "state"),
            "SALUS_PASSWORD_FILE": str(self.devnet.password_file),
        }

    def salus(
        self, *words: str, home: Path | None = None, timeout: float = 60, ipfs_api: str | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Runs a command to its end."""
        command = [sys.executable, "-m", HONEST, *self.options(home or self.folder, ipfs_api), *words]
        return subprocess.run(
            command,
            cwd=ROOT,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    def start(
        self, *actors: Actor, module: str = HONEST, fault: str = "", ipfs_api: str | None = None
    ) -> None:
        """Starts the nodes that do not run, and thaws those that are frozen."""
        for actor in actors:
            if actor.running:
                self.thaw(actor)
                continue
            with (actor.home / "node.log").open("ab") as log:
                actor.process = subprocess.Popen(
                    self.command(actor, module, ipfs_api),
                    cwd=ROOT,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    env={**self.environment, "FAULT": fault},
                )
            actor.frozen = False

    def start_faulty(self, actor: Actor, fault: str) -> None:
        """Starts a node that does one thing wrong: see `faulty_node`."""
        self.start(actor, module=FAULTY, fault=fault)

    def freeze(self, *actors: Actor) -> None:
        """Stops nodes where they are (SIGSTOP): they keep what they know, and do nothing."""
        for actor in actors:
            if actor.running:
                actor.process.send_signal(signal.SIGSTOP)
                actor.frozen = True

    def thaw(self, *actors: Actor) -> None:
        for actor in actors:
            if actor.frozen:
                actor.process.send_signal(signal.SIGCONT)
                actor.frozen = False

    def kill(self, *actors: Actor) -> None:
        """SIGKILL, wherever they are."""
        for actor in actors:
            if actor.running:
                actor.process.kill()
                actor.process.wait()
            actor.frozen = False

    def stop(self, *actors: Actor) -> None:
        """SIGTERM, and waits for an orderly end."""
        self.thaw(*actors)
        running = [actor for actor in actors if actor.running]
        for actor in running:
            actor.process.terminate()
        for actor in running:
            try:
                actor.process.wait(timeout=30)
            except subprocess.TimeoutExpired:
                self.kill(actor)
                raise

    def collect_garbage(self) -> None:
        """The daemon removes whatever nobody pinned."""
        request = urllib.request.Request(f"{self.ipfs_api}/api/v0/repo/gc", method="POST")
        with urllib.request.urlopen(request, timeout=60) as answer:
            answer.read()

    # -- waiting -----------------------------------------------------------------------------------------------------

    def wait_until(self, condition: Callable[[], Any], timeout: float, what: str) -> None:
        """Returns once the condition holds; fails with what the nodes say when it does not in time. ``timeout``: in
        seconds, on a machine that has nothing else to do."""
        deadline = time.monotonic() + timeout * PATIENCE
        while not condition():
            assert time.monotonic() < deadline, f"{what}: not within {timeout * PATIENCE:g} s\n{self.scene()}"
            time.sleep(POLL_SECONDS)

    def wait_for_submits(self, job_id: int, round: int, actors: Iterable[Actor], attempt: int = 1) -> None:
        wanted = {actor.hospital_id for actor in actors}
        self.wait_until(
            lambda: wanted <= self.submitted(job_id, round, attempt),
            180,
            f"updates of {sorted(wanted)} in round {round}",
        )

    def wait_for_word(self, actor: Actor, words: str, timeout: float = 120) -> None:
        """Until the actor's node says these words in its status file."""
        self.wait_until(lambda: words in json.dumps(actor.status), timeout, f"{actor.name} to say {words!r}")

    def others(self, *actors: Actor) -> Sequence[Actor]:
        return [each for each in self.hospitals if each not in actors]

    def tale(self, job_id: int) -> str:
        """What happened in a job: one line an event, with its block's time."""
        told = events(self.chain, "TrainingJobs", jobId=job_id)
        return "\n".join(
            f"{self.chain.timestamp(each.block)} block {each.block}: {each.name} {dict(each.args)}"
            for each in told
        )

    def scene(self) -> str:
        lines = []
        for job_id in range(1, self.jobs.job_count() + 1):
            job = self.job(job_id)
            if job.status not in ENDED:
                lines.append(f"job {job_id}: {job.status.name}, {self.jobs.round_of(job_id, job.round)}")
        for actor in self.hospitals:
            lines.append(f"{actor.name}: {'runs' if actor.running else 'down'}, {actor.status.get('doing')}")
            lines += ["    " + line for line in actor.log.splitlines()[-8:]]
        return "\n".join(lines)
