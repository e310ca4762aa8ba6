"""The main job, each step real: real chain, real IPFS, real contracts, a process for each hospital.

Read `Demo.run` from top to bottom: it is the story. Run again, it goes on where the chain is: hospitals that are
admitted stay admitted, data that is registered stays registered, and another job trains another version.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from rich.console import Console

from protocol.chain import duo
from protocol.chain.accounts import Signer
from protocol.chain.client import Chain
from protocol.chain.consents import Consents, Terms
from protocol.chain.deployment import Deployment
from protocol.chain.enums import JobStatus, ModelStatus, Role, Support
from protocol.chain.events import Event, events
from protocol.chain.hospitals import Funds, Hospitals
from protocol.chain.jobs import Jobs, Phases
from protocol.chain.models import Models
from protocol.chain.rewards import Rewards
from protocol.chain.votes import Call, Votes
from protocol.client import create_model, propose_job, pull_state, register_dataset
from protocol.content import vectors
from protocol.content.cid import to_cid
from protocol.content.ipfs import Ipfs
from protocol.content.vectors import VectorRef
from protocol.data.dataset import Dataset
from protocol.data.splits import HELD_OUT, TRAIN
from protocol.demo.data import DemoData, HospitalRecords
from protocol.demo.report import (
    TOKEN_UNIT,
    DemoReport,
    HospitalResult,
    RoundResult,
    gas_by_operation,
)
from protocol.demo.view import RoundView
from protocol.devnet import Devnet
from protocol.devnet.deploy import HOLDERS
from protocol.errors import DevnetError
from protocol.learning import metrics, train
from protocol.learning.merge import merge, quantise, weights
from protocol.learning.zoo import layout
from protocol.node.policy import Policy
from protocol.record import JobRecord
from protocol.results import reported
from protocol.spec import JobSpec
from protocol.trace import Check, trace

REWARD_WEI = 1_000 * TOKEN_UNIT
GAS_MONEY_WEI = 10**18
YEAR_SECONDS = 365 * 86_400
DEPLOYMENT_EVENTS = ("OwnershipTransferred", "ConsumerSet", "JobsSet", "TokenAllowed")
PHASES = Phases(enrol=600, submit=60, merge=30, check=60, report=60, pause=600)


@dataclass
class HospitalActor:
    """One hospital of the demonstration: its accounts, its home, its node."""

    name: str
    home: Path
    records: HospitalRecords
    admin: Signer
    operator: Signer
    funds: Funds
    hospital_id: int = 0
    consent_id: int = 0
    dataset: Dataset | None = None
    process: subprocess.Popen | None = None


@dataclass
class Demo:
    """One run. ``home`` is the folder of the development network; ``say`` prints one line of the story."""

    home: Path
    console: Console
    data: DemoData
    hospitals: list[HospitalActor] = field(default_factory=list)

    def run(self) -> DemoReport:
        """All of it; returns the figures. Nodes and daemons are stopped at the end, however it ends."""
        started = time.monotonic()
        self.devnet = devnet = Devnet(self.home / "devnet")
        try:
            self._step(1, "Starting a chain and an IPFS daemon")
            self.network = devnet.up(self._line)
            self.ipfs = Ipfs(self.network.ipfs_api)
            self.chain = Chain(self.network.rpc_url, Deployment.load(devnet.deployment_file))
            self._step(
                2,
                f"Contracts deployed; every right lies with the timelock {self.chain.address('TimelockController')}",
            )
            self._cast()
            self._step(3, "The DAO admits the hospitals")
            self._admit()
            self._step(4, f"Each hospital registers its anonymised dataset: {self.data.title}")
            self._register()
            self._step(5, "Each hospital mints a consent token")
            self._mint()
            self._step(6, "A researcher proposes a training job, its reward in escrow")
            job_id, spec, model_id = self._propose()
            self._step(7, "A node for each hospital: they enrol, train, merge in turn and check one another")
            revoked, from_round = self._train(job_id, spec)
            record = self._record(job_id)
            version = record.ended.args["version"]
            if not record.ended.args["passed"]:
                raise DevnetError("The job finished, but did not pass its gate.", "See `salus job show`.")
            self._step(
                9, f"Version {model_id}@{version} is a candidate: token holders look, vote and release it"
            )
            self._release(record, model_id, version)
            self._step(10, "Hospitals claim their rewards")
            paid, payments = self._claim(record)
            self._step(11, f"Anyone re-checks {model_id}@{version}, from chain and IPFS alone")
            checked = trace(self.chain, self.ipfs, model_id, version)
            predictions, right = self._predict(model_id, version)
            report = self._report(record, spec, version, revoked, from_round, paid, payments, checked)
            report.predictions, report.predictions_right = predictions, right
            report.seconds = time.monotonic() - started
            return report
        finally:
            self._stop_nodes()
            devnet.down()

    # -- the story ---------------------------------------------------------------------------------------------------

    def _cast(self) -> None:
        """The people: keystores for hospitals and researcher, gas money from the development chain's first account."""
        self.researcher = self._account("researcher")
        for records in self.data.hospitals:
            name = records.name
            self.hospitals.append(
                HospitalActor(
                    name=name,
                    home=self.home / "hospitals" / name,
                    records=records,
                    admin=self._account(f"{name}-admin"),
                    operator=self._account(f"{name}-operator"),
                    funds=Funds(
                        *(self._address(f"{name}-{fund}") for fund in ("payout", "caregivers", "patients"))
                    ),
                )
            )

    def _address(self, name: str) -> str:
        accounts = self.devnet.accounts
        if name not in {account.name for account in accounts.keystore.list()}:
            accounts.keystore.new(name, accounts.password)
        return accounts.keystore.find(name).address

    def _account(self, name: str) -> Signer:
        address = self._address(name)
        if self.chain.balance(address) < GAS_MONEY_WEI:
            self.devnet.fund(address)
        return self.devnet.accounts.keystore.unlock(name, self.devnet.accounts.password)

    def _admit(self) -> None:
        registry = Hospitals(self.chain)
        new = [actor for actor in self.hospitals if registry.role_of(actor.admin.address)[1] == Role.NONE]
        if new:
            calls = [
                Call(
                    "HospitalRegistry",
                    "admit",
                    (actor.name, actor.admin.address, actor.operator.address, actor.funds),
                )
                for actor in new
            ]
            self._pass(calls, f"Admit {', '.join(actor.name for actor in new)}")
        for actor in self.hospitals:
            actor.hospital_id, _ = registry.role_of(actor.admin.address)
        self._line("hospitals " + ", ".join(f"{actor.hospital_id} {actor.name}" for actor in self.hospitals))

    def _pass(self, calls: list[Call], description: str) -> None:
        """The real governor: propose, wait, vote, wait, queue, wait, execute. Only the waiting is skipped."""
        holders = [Votes(self.chain.with_signer(self._account(name))) for name in HOLDERS]
        proposal_id = holders[0].propose(calls, description).event("ProposalCreated").args["proposalId"]
        self.devnet.advance_time(holders[0].voting_delay() + 1)
        for holder in holders:
            holder.cast(proposal_id, Support.FOR)
        self.devnet.advance_time(holders[0].voting_period() + 1)
        holders[0].queue(proposal_id)
        self.devnet.advance_time(holders[0].timelock_delay() + 1)
        holders[0].execute(proposal_id)
        self._line(f"proposal {str(proposal_id)[:8]}…: proposed, {len(holders)} votes for, queued, executed")

    def _register(self) -> None:
        for actor in self.hospitals:
            folder = actor.home / "datasets" / self.data.name
            if folder.exists():
                actor.dataset = Dataset.open(folder)
            else:
                actor.dataset = Dataset.create(
                    folder, self.data.schema, actor.records.records, actor.records.splits
                )
            if actor.dataset.dataset_id is None:
                register_dataset(self.chain.with_signer(actor.operator), self.ipfs, actor.dataset)
            self._line(
                f"{actor.name}: dataset {actor.dataset.dataset_id}, {actor.dataset.train_records} records to train on,"
                f" {actor.dataset.held_out_records} held out; root {actor.dataset.root.hex()[:16]}…"
            )

    def _mint(self) -> None:
        expires_at = self.chain.now() + YEAR_SECONDS
        for actor in self.hospitals:
            consents = Consents(self.chain.with_signer(actor.admin))
            terms = Terms(
                dataset_id=actor.dataset.dataset_id,
                grantee="0x" + "00" * 20,
                permission=duo.Permission.HMB,
                mondo=0,
                modifiers=duo.bits(["PUB", "NCU"]),
                region=0,
                expires_at=expires_at,
                max_rounds=100,
                epsilon_budget_micro=0,
            )
            live = [
                consent_id
                for consent_id in consents.ids_of_dataset(actor.dataset.dataset_id)
                if consents.live([consent_id])
            ]
            actor.consent_id = (
                live[0] if live else consents.mint(terms).event("ConsentMinted").args["consentId"]
            )
            self._line(
                f"{actor.name}: consent {actor.consent_id}, HMB with PUB and NCU, a year, at most 100 rounds"
            )

    def _propose(self) -> tuple[int, JobSpec, int]:
        chain, template = self.chain.with_signer(self.researcher), self.data.template
        model_id = self._model_named(template.document["title"])
        if model_id is None:
            base = train.initial_state(template.model, template.state, template.seed)
            model_id, ref = create_model(chain, self.ipfs, template.document["title"], base)
        else:
            state = Models(chain).version(model_id, 1).state
            ref = VectorRef(state.cid, state.root)
        spec = template.complete(
            base_cid=ref.cid,
            base_root=ref.root,
            schema=self.data.schema.to_dict(),
            retain_until=chain.now() + YEAR_SECONDS,
        )
        chain.send("RewardToken", "mint", self.researcher.address, REWARD_WEI)
        receipt = propose_job(
            chain,
            self.ipfs,
            spec,
            model_id=model_id,
            base_version=1,
            phases=PHASES,
            reward_token=chain.address("RewardToken"),
            reward_amount=REWARD_WEI,
        )
        job_id = receipt.event("JobProposed").args["jobId"]
        self._line(
            f"job {job_id}: {spec.rounds} rounds of {spec.model.architecture}, spec {to_cid(spec.digest)}"
        )
        self._line("[yellow]privacy: none. This job's updates lie unmasked on IPFS[/yellow]")
        return job_id, spec, model_id

    def _model_named(self, name: str) -> int | None:
        created = Models(self.chain).created()
        return next((event.args["modelId"] for event in created if event.args["name"] == name), None)

    def _train(self, job_id: int, spec: JobSpec) -> tuple[HospitalActor, int]:
        """Starts the nodes, shows the rounds live, and lets one hospital revoke when half of them are merged."""
        for actor in self.hospitals:
            self._start_node(actor, spec)
        jobs = Jobs(self.chain)
        revoker, revoked = self.hospitals[-1], False
        with RoundView(self.console, [actor.name for actor in self.hospitals], spec.rounds) as view:
            while True:
                job = jobs.job(job_id)
                view.update(job, {actor.name: self._status(actor) for actor in self.hospitals}, job_id)
                if not revoked and job.status == JobStatus.RUNNING and job.round > spec.rounds // 2:
                    Consents(self.chain.with_signer(revoker.admin)).revoke(revoker.consent_id)
                    revoked = True
                    view.note(f"[bold] 8[/bold] Half-way {revoker.name} revokes its consent")
                if job.status in (JobStatus.FINISHED, JobStatus.CANCELLED):
                    break
                self._check_nodes()
                time.sleep(0.2)
        if job.status == JobStatus.CANCELLED:
            raise DevnetError(
                f"Job {job_id} was cancelled.", "The nodes' logs say why: .salus/hospitals/*/node.log."
            )
        self._merged_after = view.seconds
        record = self._record(job_id)
        revoked_from = next(
            number
            for number in range(1, spec.rounds + 1)
            if revoker.hospital_id
            not in {update.hospital_id for update in record.round(number).merged_updates}
        )
        self._line(f"{revoker.name} revoked consent {revoker.consent_id}: out from round {revoked_from}")
        return revoker, revoked_from

    def _release(self, record: JobRecord, model_id: int, version: int) -> None:
        """Token holders look at what `salus vote show` prints, and vote."""
        if Models(self.chain).version(model_id, version).status != ModelStatus.CANDIDATE:
            raise DevnetError(f"Version {model_id}@{version} is no candidate.")
        for each in reported(self.ipfs, record):
            name = next(actor.name for actor in self.hospitals if actor.hospital_id == each.hospital_id)
            self._line(f"{name}: {each.correct} of {each.total} right ({each.accuracy:.3f})")
        checked = trace(self.chain, self.ipfs, model_id, version)
        self._line(f"trace of the candidate: {'holds' if checked.holds else 'does not hold'}")
        self._pass([Call("ModelRegistry", "release", (model_id, version))], f"Release {model_id}@{version}")

    def _claim(self, record: JobRecord) -> tuple[dict[int, dict[str, int]], dict[str, int]]:
        """Each admin claims for its hospital; the DAO's share goes to the timelock, whoever asks for it."""
        token, paid, others = record.proposal.reward_token, {}, {}
        for actor in self.hospitals:
            rewards = Rewards(self.chain.with_signer(actor.admin))
            credit = rewards.hospital_credit_of(actor.hospital_id, token)
            rewards.claim_hospital(token)
            paid[actor.hospital_id] = {
                "payout": credit.payout,
                "caregivers": credit.caregivers,
                "patients": credit.patients,
            }
        for name, account in (
            ("DAO", self.chain.address("TimelockController")),
            ("researcher", self.researcher.address),
        ):
            rewards = Rewards(self.chain.with_signer(self.researcher))
            others[name] = rewards.credit_of(account, token)
            if others[name]:
                rewards.claim(account, token)
        return paid, others

    def _predict(self, model_id: int, version: int) -> tuple[int, int]:
        """A verifier pulls the model by its content id, and predicts for patients that no training has seen."""
        spec, state = pull_state(self.chain, self.ipfs, model_id, version)
        right = total = 0
        for actor in self.hospitals:
            X, y = actor.dataset.arrays(HELD_OUT)
            predicted = metrics.predict(spec, state, X) > 0.5
            right += int((predicted == (y == 1)).sum())
            total += len(y)
        self._line(f"{right} of {total} held-out patients predicted right")
        return total, right

    # -- the figures -------------------------------------------------------------------------------------------------

    def _report(
        self,
        record: JobRecord,
        spec: JobSpec,
        version: int,
        revoker: HospitalActor,
        revoked_from: int,
        paid: dict[int, dict[str, int]],
        payments: dict[str, int],
        checked: Check,
    ) -> DemoReport:
        finals = [record.round(number).merge.state for number in range(1, spec.rounds + 1)]
        base = Models(self.chain).version(record.proposal.model_id, record.proposal.base_version).state
        refs = [VectorRef(base.cid, base.root), *finals]
        states = [vectors.get_vector(self.ipfs, ref) for ref in refs]
        results = []
        for actor in self.hospitals:
            held_out = actor.dataset.arrays(HELD_OUT)
            curve = [
                (number, metrics.evaluate(spec, state, *held_out).accuracy)
                for number, state in enumerate(states)
            ]
            alone = self._trained_alone(spec, states[0], [actor])
            results.append(
                HospitalResult(
                    hospital_id=actor.hospital_id,
                    name=actor.name,
                    train_records=actor.dataset.train_records,
                    held_out_records=actor.dataset.held_out_records,
                    rounds=sum(
                        actor.hospital_id
                        in {update.hospital_id for update in record.round(number).merged_updates}
                        for number in range(1, spec.rounds + 1)
                    ),
                    alone=metrics.evaluate(spec, alone, *held_out).accuracy,
                    alone_on_all=self._pooled(spec, alone),
                    together=curve[-1][1],
                    curve=curve,
                    paid=paid[actor.hospital_id],
                )
            )
        token = record.proposal.reward_token
        paid_out = sum(sum(funds.values()) for funds in paid.values()) + sum(payments.values())
        return DemoReport(
            dataset=self.data.title,
            privacy=spec.privacy.mechanism,
            job_id=record.job_id,
            model_id=record.proposal.model_id,
            version=version,
            state_cid=to_cid(finals[-1].cid),
            revoked=revoker.name,
            revoked_from_round=revoked_from,
            hospitals=results,
            pooled_together=self._pooled(spec, states[-1]),
            pooled_central=self._pooled(spec, self._trained_alone(spec, states[0], self.hospitals)),
            rounds=self._rounds(record),
            gas=gas_by_operation(self.chain, self._all_events()),
            payments=payments,
            reward_token="RewardToken",
            books={
                "paid_in": record.proposal.reward_amount,
                "paid_out": paid_out,
                "held": Rewards(self.chain).held_of(token),
            },
            trace_ok=checked.holds,
            trace_checks=checked.count(),
            predictions=0,
            predictions_right=0,
            seconds=0.0,
        )

    def _trained_alone(self, spec: JobSpec, state: np.ndarray, actors: list[HospitalActor]) -> np.ndarray:
        """What the same recipe reaches on these hospitals' records in one place: as many rounds, one participant."""
        parts = [actor.dataset.arrays(TRAIN) for actor in actors]
        X, y = np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts])
        share = weights([len(X)])[0]
        for number in range(1, spec.rounds + 1):
            result = train.train(spec, state, X, y, round=number, seed=spec.training.seed)
            update = quantise(result.delta, share, 1, layout(spec.model, spec.state), spec.merge.clip_norm)
            state = merge(state, [update])
        return state

    def _pooled(self, spec: JobSpec, state: np.ndarray) -> float:
        """Accuracy over the held-out records of all hospitals."""
        measured = [
            metrics.evaluate(spec, state, *actor.dataset.arrays(HELD_OUT)) for actor in self.hospitals
        ]
        return sum(each.correct for each in measured) / sum(each.total for each in measured)

    def _rounds(self, record: JobRecord) -> list[RoundResult]:
        results = []
        for number in range(1, record.proposal.rounds + 1):
            merged = record.round(number).merge
            mined = [*(update.event for update in record.round(number).merged_updates), merged.event]
            gas = sum(self.chain.cost_of(event.tx_hash)[1] for event in mined)
            seconds = self._merged_after.get(number, 0.0)
            results.append(RoundResult(number, len(record.round(number).merged_updates), seconds, gas))
        return results

    def _all_events(self) -> list[Event]:
        contracts = (
            "HospitalRegistry",
            "DatasetRegistry",
            "ConsentToken",
            "ModelRegistry",
            "TrainingJobs",
            "RewardPool",
        )
        found = [event for contract in contracts for event in events(self.chain, contract)]
        return [event for event in found if event.name not in DEPLOYMENT_EVENTS]

    # -- the stage ---------------------------------------------------------------------------------------------------

    def _record(self, job_id: int) -> JobRecord:
        record = JobRecord(job_id)
        record.apply(events(self.chain, "TrainingJobs", jobId=job_id))
        return record

    def _start_node(self, actor: HospitalActor, spec: JobSpec) -> None:
        policy = Policy(
            architectures=(spec.model.architecture,),
            purposes=(spec.purpose.permission,),
            privacy=(spec.privacy.mechanism,),
            researchers=(self.researcher.address,),
        )
        (actor.home / "policy.json").write_text(json.dumps(policy.as_dict(), indent=2))
        with (actor.home / "node.log").open("ab") as log:
            actor.process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "protocol.cli", "--home", str(actor.home)),
                    *("--rpc-url", self.network.rpc_url, "--ipfs-api", self.network.ipfs_api),
                    *(
                        "--deployment",
                        str(self.devnet.deployment_file),
                        "--keystore",
                        str(self.devnet.accounts.folder),
                    ),
                    *("node", "run", "--account", f"{actor.name}-operator", "--until-idle"),
                    *(
                        "--policy",
                        str(actor.home / "policy.json"),
                        "--password-file",
                        str(self.devnet.accounts.password_file),
                    ),
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, "OMP_NUM_THREADS": "1"},
            )

    def _status(self, actor: HospitalActor) -> dict:
        try:
            return json.loads((actor.home / "status.json").read_text())
        except (FileNotFoundError, ValueError):
            return {"doing": "starting", "jobs": {}}

    def _check_nodes(self) -> None:
        for actor in self.hospitals:
            if actor.process.poll() not in (None, 0):
                tail = (actor.home / "node.log").read_text(errors="replace").splitlines()[-5:]
                raise DevnetError(f"The node of {actor.name} stopped: {' / '.join(tail)}")

    def _stop_nodes(self) -> None:
        running = [
            actor.process for actor in self.hospitals if actor.process and actor.process.poll() is None
        ]
        for process in running:
            process.send_signal(signal.SIGTERM)
        for process in running:
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def _step(self, number: int, title: str) -> None:
        self.console.print(f"[bold]{number:>2}[/bold] {title}")

    def _line(self, text: str) -> None:
        self.console.print(f"   {text}", highlight=False)
