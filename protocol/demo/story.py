"""The main job, each step real: real chain, real IPFS, real contracts, a process for each hospital.

Read `Demo.run` from top to bottom: it is the story. Run again, it goes on where the chain is: hospitals that are
admitted stay admitted, data that is registered stays registered, and another job trains another version.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console

from protocol.chain import development, duo
from protocol.chain.bonds import Bonds
from protocol.chain.consents import ANYONE, Consents, Terms
from protocol.chain.enums import JobStatus, Role
from protocol.chain.events import events
from protocol.chain.hospitals import Hospitals
from protocol.chain.jobs import Jobs, Phases
from protocol.chain.models import Models
from protocol.chain.votes import Call
from protocol.client import create_model, propose_job, pull_state, register_dataset
from protocol.content.cid import to_cid
from protocol.content.vectors import VectorRef
from protocol.data.dataset import Dataset
from protocol.data.splits import HELD_OUT
from protocol.demo.data import DemoData
from protocol.demo.figures import Claims, Outcome, figures
from protocol.demo.report import TOKEN_UNIT, DemoReport
from protocol.demo.stage import HospitalActor, Stage
from protocol.demo.ultrasound import UltrasoundAct
from protocol.demo.view import RoundView
from protocol.deposits import bond_token, deposit, unlock_all
from protocol.errors import DevnetError
from protocol.learning import metrics, train
from protocol.payments import claim_all, claim_for
from protocol.record import JobRecord
from protocol.results import job_record, reported
from protocol.spec import JobSpec
from protocol.trace import trace

REWARD_WEI = 1_000 * TOKEN_UNIT
YEAR_SECONDS = 365 * 86_400
MAX_ROUNDS = 100
POLL_SECONDS = 0.2
PHASES = Phases(enrol=600, submit=60, merge=30, check=60, report=60, pause=600)


@dataclass
class Demo:
    """One run in ``home``; the story goes to ``console``, pictures to ``out``."""

    home: Path
    out: Path
    console: Console
    data: DemoData
    hospitals: list[HospitalActor] = field(default_factory=list)

    def run(self) -> DemoReport:
        """All of it; returns the figures. Nodes and daemons are stopped at the end, however it ends."""
        started = time.monotonic()
        self._step(1, "Starting a chain and an IPFS daemon")
        with Stage(self.home, self._line) as self.stage:
            self.chain, self.ipfs = self.stage.chain, self.stage.ipfs
            timelock = self.chain.address("TimelockController")
            self._step(2, f"Contracts deployed; every right lies with the timelock {timelock}")
            self._step(3, "The DAO admits the hospitals")
            self._admit()
            self._deposit()
            self._step(4, f"Each hospital registers its anonymised dataset: {self.data.title}")
            if self.data.note:
                self._line(f"[yellow]{self.data.note}[/yellow]")
            self._register()
            self._step(5, "Each hospital mints a consent token")
            self._mint()
            self._step(6, "A researcher proposes a training job, its reward in escrow")
            job_id, spec = self._propose()
            self._step(7, "A node for each hospital: they enrol, train, merge in turn and check one another")
            outcome = self._train(job_id, spec)
            self._step(9, f"Version {outcome.name} is a candidate: token holders look, vote and release it")
            self._release(outcome)
            self._step(10, "Hospitals claim their rewards, and their bonds are free again")
            claims = self._claim()
            self._unlock(outcome)
            self._step(11, f"Anyone re-checks {outcome.name}, from chain and IPFS alone")
            checked = trace(self.chain, self.ipfs, outcome.model_id, outcome.version)
            self._line(f"{checked.count()} checks: {'all hold' if checked.holds else 'not all hold'}")
            self._predict(outcome)
            report = figures(self.stage, self.data, self.hospitals, outcome, claims, checked)
            self._second_act(outcome, report)
        report.seconds = time.monotonic() - started
        return report

    def _second_act(self, outcome: Outcome, report: DemoReport) -> None:  # noqa: ARG002
        report.ultrasound = UltrasoundAct(
            self.stage, self.hospitals[0], self.out, self._step, self._line, self._consent_for
        ).run()

    def _admit(self) -> None:
        self.researcher = self.stage.account("researcher")
        self.hospitals = [self.stage.hospital(records) for records in self.data.hospitals]
        registry = Hospitals(self.chain)
        new = [actor for actor in self.hospitals if registry.role_of(actor.admin.address)[1] == Role.NONE]
        if new:
            self.stage.passed(
                [
                    Call(
                        "HospitalRegistry",
                        "admit",
                        (actor.name, actor.admin.address, actor.operator.address, actor.funds),
                    )
                    for actor in new
                ],
                f"Admit {', '.join(actor.name for actor in new)}",
            )
        for actor in self.hospitals:
            actor.hospital_id, _ = registry.role_of(actor.admin.address)
        self._line("hospitals " + ", ".join(f"{actor.hospital_id} {actor.name}" for actor in self.hospitals))

    def _deposit(self) -> None:
        """Each hospital has a bond to lose: a merger that lies loses it to whoever proves so, and to the DAO."""
        token, amount = bond_token(self.chain)
        for actor in self.hospitals:
            chain = self.chain.with_signer(actor.admin)
            missing = amount - Bonds(chain).free_of(actor.hospital_id, token.address)
            if missing > 0:
                chain.send("RewardToken", "mint", actor.admin.address, missing)
                deposit(chain, actor.hospital_id, missing)
        self._line(f"each deposits a bond of {amount / 10**token.decimals:,g} {token.symbol}")

    def _dataset(self, actor: HospitalActor) -> Dataset:
        """A hospital's dataset, made from its records the first time."""
        place = actor.home / "datasets" / self.data.name
        if place.exists():
            return Dataset.open(place)
        return Dataset.create(place, self.data.schema, actor.records.records, actor.records.splits)

    def _register(self) -> None:
        for actor in self.hospitals:
            actor.dataset = dataset = self._dataset(actor)
            if dataset.dataset_id is None:
                register_dataset(self.chain.with_signer(actor.operator), self.ipfs, dataset)
            self._line(
                f"{actor.name}: dataset {dataset.dataset_id}, {dataset.train_records} records to train on,"
                f" {dataset.held_out_records} held out, root {dataset.root.hex()[:12]}…"
            )

    def _mint(self) -> None:
        for actor in self.hospitals:
            actor.consent_id = self._consent_for(actor, actor.dataset.dataset_id)

    def _consent_for(self, actor: HospitalActor, dataset_id: int) -> int:
        """The hospital's live consent for a dataset; minted when there is none."""
        consents = Consents(self.chain.with_signer(actor.admin))
        minted = consents.ids_of_dataset(dataset_id)
        live = [consent_id for consent_id in minted if consents.live([consent_id])]
        consent_id = live[0] if live else self._mint_for(dataset_id, consents)
        self._line(
            f"{actor.name}: consent {consent_id} for dataset {dataset_id}, HMB with PUB and NCU, at most"
            f" {MAX_ROUNDS} rounds"
        )
        return consent_id

    def _mint_for(self, dataset_id: int, consents: Consents) -> int:
        terms = Terms(
            dataset_id=dataset_id,
            grantee=ANYONE,
            permission=duo.Permission.HMB,
            mondo=0,
            modifiers=duo.bits(["PUB", "NCU"]),
            region=0,
            expires_at=self.chain.now() + YEAR_SECONDS,
            max_rounds=MAX_ROUNDS,
            epsilon_budget_micro=0,
        )
        return consents.mint(terms).event("ConsentMinted").args["consentId"]

    def _propose(self) -> tuple[int, JobSpec]:
        chain, template = self.chain.with_signer(self.researcher), self.data.template
        model_id, base = self._model()
        spec = template.complete(
            base_cid=base.cid,
            base_root=base.root,
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
        if spec.masked:
            self._line(
                "privacy: masked. Each update is masked towards every other hospital; only their sum can be read"
            )
        else:
            self._line("[yellow]privacy: none. This job's updates lie unmasked on IPFS[/yellow]")
        return job_id, spec

    def _model(self) -> tuple[int, VectorRef]:
        """The model of this name and the state of its base; made when it is not there."""
        chain, template, name = self.chain.with_signer(self.researcher), self.data.template, self.data.title
        for event in Models(chain).created():
            if event.args["name"] == name:
                state = Models(chain).version(event.args["modelId"], 1).state
                return event.args["modelId"], VectorRef(state.cid, state.root)
        base = train.initial_state(template.model, template.state, template.seed)
        return create_model(chain, self.ipfs, name, base)

    def _train(self, job_id: int, spec: JobSpec) -> Outcome:
        """Starts the nodes, shows the rounds live, and lets one hospital revoke when half of them are merged."""
        for actor in self.hospitals:
            self.stage.start_node(actor, spec, self.researcher.address)
        jobs = Jobs(self.chain)
        revoker, revoked, skipped = self.hospitals[-1], False, False
        with RoundView(self.console, [actor.name for actor in self.hospitals], spec.rounds) as view:
            while (job := jobs.job(job_id)).status not in (JobStatus.FINISHED, JobStatus.CANCELLED):
                view.update(job, {actor.name: actor.status() for actor in self.hospitals}, job_id)
                if not revoked and job.status == JobStatus.RUNNING and job.round > spec.rounds // 2:
                    Consents(self.chain.with_signer(revoker.admin)).revoke(revoker.consent_id)
                    revoked = True
                    view.note(f"[bold] 8[/bold] Half-way {revoker.name} revokes its consent")
                if not skipped and (seconds := self._seconds_of_window(jobs, job_id)):
                    development.advance(self.chain, seconds)
                    skipped = True
                    view.note(
                        f"   every report is in; for {seconds} s more anyone may prove that a merge is false:"
                        " here the chain's clock is moved over them"
                    )
                for actor in self.hospitals:
                    self.stage.require_running(actor)
                time.sleep(POLL_SECONDS)
        record = job_record(self.chain, job_id)
        if job.status == JobStatus.CANCELLED or not record.ended.args["passed"]:
            raise DevnetError(
                f"Job {job_id} was cancelled, or did not pass its gate.",
                f"`salus job show {job_id}` says where it stands; the nodes' logs are in {self.home / 'hospitals'}.",
            )
        outcome = Outcome(record, spec, revoker, self._first_round_without(record, revoker), view.seconds)
        self._line(
            f"{revoker.name} revoked consent {revoker.consent_id}: out from round {outcome.revoked_from}"
        )
        return outcome

    def _seconds_of_window(self, jobs: Jobs, job_id: int) -> int:
        """How long fraud can still be proved once every report is in; before that 0."""
        job, record = jobs.job_and_round(job_id)
        if job.status != JobStatus.REPORTING or record.submitted != record.participants:
            return 0
        last = job_record(self.chain, job_id).round(job.rounds).merge
        return self.chain.timestamp(last.event.block) + job.phases.check - self.chain.now()

    def _first_round_without(self, record: JobRecord, actor: HospitalActor) -> int:
        for number in range(1, record.proposal.rounds + 1):
            if actor.hospital_id not in {
                update.hospital_id for update in record.round(number).merged_updates
            }:
                return number
        raise DevnetError(f"{actor.name} revoked too late to be out of a round.")

    def _release(self, outcome: Outcome) -> None:
        """Token holders look at what `salus vote show` prints, and vote."""
        names = {actor.hospital_id: actor.name for actor in self.hospitals}
        for each in reported(self.ipfs, outcome.record):
            self._line(
                f"{names[each.hospital_id]}: {each.correct} of {each.total} right ({each.accuracy:.3f})"
            )
        checked = trace(self.chain, self.ipfs, outcome.model_id, outcome.version)
        self._line(f"trace of the candidate: {'holds' if checked.holds else 'does not hold'}")
        calls = [Call("ModelRegistry", "release", (outcome.model_id, outcome.version))]
        self.stage.passed(calls, f"Release {outcome.name}")

    def _claim(self) -> Claims:
        """Each admin claims for its hospital; the DAO's share goes to the timelock, whoever asks for it."""
        claims = Claims()
        for actor in self.hospitals:
            for payment in claim_all(self.chain.with_signer(actor.admin)):
                claims.add(actor.name, payment)
        for payment in claim_for(
            self.chain.with_signer(self.researcher), self.chain.address("TimelockController")
        ):
            claims.add("DAO", payment)
        return claims

    def _unlock(self, outcome: Outcome) -> None:
        """Whoever asks frees them: nothing can be proved any more."""
        chain = self.chain.with_signer(self.researcher)
        for actor in self.hospitals:
            unlock_all(chain, actor.hospital_id)
        lost = list(events(chain, "Bonds", ["Slashed"], jobId=outcome.record.job_id))
        self._line(f"{len(self.hospitals) - len(lost)} bonds are free, {len(lost)} were lost")

    def _predict(self, outcome: Outcome) -> None:
        """A verifier pulls the model by its content id, and predicts for patients that no training has seen."""
        spec, state = pull_state(self.chain, self.ipfs, outcome.model_id, outcome.version)
        for actor in self.hospitals:
            records, labels = actor.dataset.arrays(HELD_OUT)
            predicted = metrics.predict(spec, state, records) > 0.5
            outcome.predicted_right += int((predicted == (labels == 1)).sum())
            outcome.predicted += len(labels)
        self._line(f"{outcome.predicted_right} of {outcome.predicted} held-out patients predicted right")

    def _step(self, number: int, title: str) -> None:
        self.console.print(f"[bold]{number:>2}[/bold] {title}", highlight=False)

    def _line(self, text: str) -> None:
        self.console.print(f"   {text}", highlight=False)
