"""The stage on which gas, rounds and trace are measured: a development network of its own, hospitals that a
real vote admitted, and jobs whose steps are taken by hand.

Every transaction is real and goes through the product's own client; what it cost is kept by its function's name.
"""

from __future__ import annotations

import secrets
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Self

from protocol.chain import duo
from protocol.chain.accounts import Signer
from protocol.chain.bonds import Bonds
from protocol.chain.client import Chain, Receipt
from protocol.chain.consents import ANYONE, Consents, Terms
from protocol.chain.datasets import Datasets, Version
from protocol.chain.deployment import Deployment
from protocol.chain.duo import Permission
from protocol.chain.enums import Support
from protocol.chain.hospitals import Funds, Hospitals
from protocol.chain.jobs import NO_KEY, Jobs, Phases
from protocol.chain.votes import Call, Votes
from protocol.client import create_model, propose_job, register_dataset
from protocol.content.ipfs import Ipfs
from protocol.content.vectors import VectorRef
from protocol.data.dataset import Dataset
from protocol.data.schema import DataSchema
from protocol.data.splits import HospitalRecords
from protocol.deposits import bond_token
from protocol.devnet import Devnet
from protocol.devnet.deploy import HOLDERS
from protocol.learning import train
from protocol.learning.masks import JobKey
from protocol.spec import JobSpec
from protocol.templates import Template

YEAR_SECONDS = 365 * 86_400
# Nothing here waits for a deadline; they only must not pass.
PHASES = Phases.of_seconds(3_600)
REWARD_WEI = 1_000 * 10**18
# Nobody unlocks between the jobs of a bench.
BONDS_EACH = 100


@dataclass
class Hospital:
    """A hospital on the stage. ``dataset_id`` and ``consent_id`` are of the last dataset that it registered."""

    name: str
    admin: Signer
    operator_key: str
    funds: Funds
    hospital_id: int = 0
    dataset_id: int = 0
    consent_id: int = 0

    @cached_property
    def operator(self) -> Signer:
        return Signer.from_key(self.operator_key)


@dataclass
class Stage:
    """A network in ``home``, up from `__enter__` to `__exit__`. ``make`` makes it, not started yet; ``gas`` holds all
    costs by function, in order."""

    home: Path
    say: Callable[[str], None]
    make: Callable[[Path], Devnet] = Devnet
    admitted: int = 0
    gas: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))

    def __enter__(self) -> Self:
        self.devnet = self.make(self.home / "devnet")
        try:
            self.network = self.devnet.up(self.say)
            self.ipfs = Ipfs(self.network.ipfs_api)
            self.chain = Chain(self.network.rpc_url, Deployment.load(self.devnet.deployment_file))
            self.researcher = self.devnet.signer("researcher")
            self.holders = [self.devnet.signer(name) for name in HOLDERS]
        except BaseException:
            self.devnet.down()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.devnet.down()

    def as_(self, signer: Signer) -> Chain:
        """The chain with this account."""
        return self.chain.with_signer(signer)

    def paid(self, operation: str, receipt: Receipt) -> Receipt:
        """Keeps what a transaction cost."""
        self.gas[operation].append(receipt.gas_used)
        return receipt

    # -- members -----------------------------------------------------------------------------------------------------

    def admit(self, count: int) -> list[Hospital]:
        """Admits as many new hospitals, by one vote."""
        new = [self._newcomer(f"hospital-{self.admitted + number}") for number in range(1, count + 1)]
        self.admitted += count
        calls = [
            Call(
                "HospitalRegistry",
                "admit",
                (each.name, each.admin.address, each.operator.address, each.funds),
            )
            for each in new
        ]
        self.decide(calls, f"Admit {', '.join(each.name for each in new)}")
        for each in new:
            each.hospital_id, _ = Hospitals(self.chain).role_of(each.admin.address)
            self.deposit(each)
        return new

    def deposit(self, hospital: Hospital) -> None:
        """Deposits enough for the bonds of all jobs."""
        chain = self.as_(hospital.admin)
        token, amount = bond_token(chain)
        chain.send("RewardToken", "mint", hospital.admin.address, BONDS_EACH * amount)
        bonds = Bonds(chain)
        bonds.approve(token.address, BONDS_EACH * amount)
        self.paid("Bonds.deposit", bonds.deposit(hospital.hospital_id, BONDS_EACH * amount))

    def _newcomer(self, name: str) -> Hospital:
        funds = Funds(*(Signer.from_key(secrets.token_bytes(32)).address for _ in range(3)))
        new = Hospital(name, Signer.from_key(secrets.token_bytes(32)), secrets.token_hex(32), funds)
        for signer in (new.admin, new.operator):
            self.devnet.fund(signer.address)
        return new

    def decide(self, calls: list[Call], description: str) -> None:
        """The DAO decides: the real governor, only the waiting is skipped."""
        votes = [Votes(self.as_(holder)) for holder in self.holders]
        proposed = self.paid("SalusGovernor.propose", votes[0].propose(calls, description))
        proposal_id = proposed.event("ProposalCreated").args["proposalId"]
        self.devnet.advance_time(votes[0].voting_delay() + 1)
        for each in votes:
            self.paid("SalusGovernor.castVote", each.cast(proposal_id, Support.FOR))
        self.devnet.advance_time(votes[0].voting_period() + 1)
        self.paid("SalusGovernor.queue", votes[0].queue(proposal_id))
        self.devnet.advance_time(votes[0].timelock_delay() + 1)
        executed = votes[0].execute(proposal_id)
        self.gas[f"SalusGovernor.execute ({calls[0].function}, each)"].append(executed.gas_used // len(calls))

    # -- datasets and consents ---------------------------------------------------------------------------------------

    def register_digests(
        self, hospital: Hospital, train_records: int = 200, held_out_records: int = 100
    ) -> None:
        """Registers a dataset of which there are only digests, then a second version of it."""
        datasets = Datasets(self.as_(hospital.operator))
        first, second = (
            Version(
                root=secrets.token_bytes(32),
                train_records=train_records + grown,
                held_out_records=held_out_records,
                schema_digest=secrets.token_bytes(32),
                profile=b"salus-tabular-1".ljust(32, b"\0"),
                evidence_digest=secrets.token_bytes(32),
            )
            for grown in (0, 50)
        )
        receipt = self.paid("DatasetRegistry.register", datasets.register(first))
        hospital.dataset_id = receipt.event("DatasetVersionRegistered").args["datasetId"]
        self.paid("DatasetRegistry.append", datasets.append(hospital.dataset_id, second))
        self.consent(hospital)

    def register_records(self, hospital: Hospital, records: HospitalRecords, schema: DataSchema) -> Dataset:
        """Registers real records, which stay in the hospital's home."""
        folder = self.home / hospital.name / "datasets" / "bench"
        folder.parent.mkdir(parents=True)
        dataset = Dataset.create(folder, schema, records.records, records.splits)
        receipt = register_dataset(self.as_(hospital.operator), self.ipfs, dataset)
        self.paid("DatasetRegistry.register", receipt)
        assert dataset.dataset_id is not None
        hospital.dataset_id = dataset.dataset_id
        self.consent(hospital)
        return dataset

    def consent(self, hospital: Hospital) -> None:
        """Mints a consent for the hospital's last dataset, with the DUO terms of the demonstration."""
        terms = Terms(
            dataset_id=hospital.dataset_id,
            grantee=ANYONE,
            permission=Permission.HMB,
            mondo=0,
            modifiers=duo.bits(["PUB", "NCU"]),
            region=0,
            expires_at=self.chain.now() + YEAR_SECONDS,
            max_rounds=10_000,
            epsilon_budget_micro=0,
        )
        receipt = self.paid("ConsentToken.mint", Consents(self.as_(hospital.admin)).mint(terms))
        hospital.consent_id = receipt.event("ConsentMinted").args["consentId"]

    # -- jobs --------------------------------------------------------------------------------------------------------

    def pass_window(self) -> None:
        """Moves the chain's clock over the window in which a merge can be proved false."""
        self.devnet.advance_time(PHASES.check + 1)

    def propose(self, template: Template, schema: DataSchema, **changes: Any) -> tuple[int, int, JobSpec]:
        """Creates a model and proposes a job on it, its reward in escrow: job id, model id, spec."""
        chain = self.as_(self.researcher)
        base = train.initial_state(template.model, template.state, template.seed)
        model_id, ref = create_model(chain, self.ipfs, f"bench {secrets.token_hex(4)}", base)
        spec = template.complete(
            base_cid=ref.cid,
            base_root=ref.root,
            schema=schema.to_dict(),
            retain_until=chain.now() + YEAR_SECONDS,
            **changes,
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
        self.paid("TrainingJobs.propose", receipt)
        return receipt.event("JobProposed").args["jobId"], model_id, spec


@dataclass
class RoundGas:
    """What a round cost: each submit, which attests the merge before it, and the merge."""

    submits: list[int]
    merge: int

    @property
    def total(self) -> int:
        return sum(self.submits) + self.merge


@dataclass
class Play:
    """A job on the stage whose steps are taken one after the other, each by whoever may take it. ``keys``: the mask
    keys of the hospitals, empty when the job is not masked."""

    stage: Stage
    job_id: int
    hospitals: Sequence[Hospital]
    standing: bytes = bytes(32)
    keys: list[JobKey] = field(init=False)

    def __post_init__(self) -> None:
        masked = Jobs(self.stage.chain).job(self.job_id).merge.masked
        self.keys = [JobKey.new() for _ in self.hospitals] if masked else []

    def _as(self, hospital: Hospital) -> Jobs:
        return Jobs(self.stage.as_(hospital.operator))

    def enrol(self, dataset_version: int = 1) -> None:
        """Everybody enrols, and round 1 opens."""
        for index, each in enumerate(self.hospitals):
            key = self.keys[index].public if self.keys else NO_KEY
            receipt = self._as(each).enrol(self.job_id, each.consent_id, dataset_version, key)
            self.stage.paid("TrainingJobs.enrol", receipt)
        self.stage.paid("TrainingJobs.open", self._as(self.hospitals[0]).open(self.job_id))

    def round(self, number: int, updates: Sequence[VectorRef], state: VectorRef) -> RoundGas:
        """Everybody submits, the first in line merges."""
        submits = []
        for each, update in zip(self.hospitals, updates, strict=True):
            receipt = self._as(each).submit(self.job_id, number, 1, self.standing, update)
            submits.append(self.stage.paid("TrainingJobs.submit", receipt).gas_used)
        in_line = Jobs(self.stage.chain).mergers_in_line(self.job_id)
        merger = next(each for index, each in enumerate(self.hospitals) if in_line >> index & 1)
        receipt = self._as(merger).merge(self.job_id, number, 1, state)
        self.standing = receipt.event("Merged").args["mergeDigest"]
        return RoundGas(submits, self.stage.paid("TrainingJobs.merge", receipt).gas_used)

    def attest(self, number: int) -> list[int]:
        """As many attest the merge of a round alone, without a submit, as make it final with its merger."""
        merger = Jobs(self.stage.chain).round_of(self.job_id, number).merger - 1
        others = [each for index, each in enumerate(self.hospitals) if index != merger]
        needed = -(-2 * len(self.hospitals) // 3) - 1
        receipts = [self._as(each).attest(self.job_id, number, self.standing) for each in others[:needed]]
        return [self.stage.paid("TrainingJobs.attest", receipt).gas_used for receipt in receipts]

    def report(self, index: int, correct: int, total: int, metrics: bytes) -> None:
        """One hospital reports of the final state."""
        receipt = self._as(self.hospitals[index]).report(self.job_id, self.standing, correct, total, metrics)
        self.stage.paid("TrainingJobs.report", receipt)

    def finish(self, state: VectorRef) -> Receipt:
        """Ends the job once the window of its last merge is over, and frees the bonds; returns the receipt of the end,
        whose JobFinished names the version."""
        self.stage.pass_window()
        receipt = self._as(self.hospitals[0]).finish(self.job_id, state)
        for each in self.hospitals:
            unlocked = Bonds(self.stage.as_(each.operator)).unlock(self.job_id, each.hospital_id)
            self.stage.paid("Bonds.unlock", unlocked)
        return self.stage.paid("TrainingJobs.finish", receipt)


def some_vector() -> VectorRef:
    """Digests of nothing: where only gas counts."""
    return VectorRef(secrets.token_bytes(32), secrets.token_bytes(32))
