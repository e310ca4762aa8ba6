"""A job's history made of events, and a chain and evidence that answer from them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import Any

from protocol.chain.events import Event
from protocol.deposits import Ledger
from protocol.record import JobRecord
from protocol.trace.check import Check
from tests.protocol.test_proposal import a_proposal

HOSPITALS = (11, 12, 13, 14, 15, 16)
BOND = 100
DEPOSIT = 250
JOBS = "0x" + "aa" * 20
TOKEN = "0x" + "bb" * 20


def block_hash(number: int) -> bytes:
    return sha256(f"block {number}".encode()).digest()


def digest(text: str) -> bytes:
    return text.encode().ljust(32, b".")


@dataclass
class History:
    """Events one after another, each in a block of its own unless ``same`` puts it into the last one. ``masked`` and
    ``groups`` are the job's. A block's time is ten seconds after the one before."""

    masked: bool = True
    groups: int = 1
    events: list[Event] = field(default_factory=list)
    block: int = 100

    def __post_init__(self) -> None:
        proposal = a_proposal()
        rule = replace(proposal.merge, masked=self.masked, groups=self.groups)
        self.proposal = replace(proposal, merge=rule, phases=replace(proposal.phases, submit=100, check=60))
        for index, hospital_id in enumerate(HOSPITALS):
            participant = {
                "exists": True, "index": index, "consentId": index + 1, "datasetId": index + 1,
                "datasetVersion": 1, "trainRecords": 10, "heldOutRecords": 5,
            }  # fmt: skip
            key = bytes([index + 1]) * 32 if self.masked else bytes(32)
            self.on("Deposited", contract="Bonds", hospitalId=hospital_id, token=TOKEN, amount=DEPOSIT)
            self.on("Enrolled", hospitalId=hospital_id, participant=participant, maskKey=key)
            self.bond("Locked", hospital_id)

    def on(self, name: str, *, same: bool = False, contract: str = "TrainingJobs", **args: Any) -> Event:
        if not same:
            self.block += 1
        event = Event(name, contract, args, self.block, len(self.events), f"0x{self.block:064x}")
        self.events.append(event)
        return event

    def bond(self, name: str, hospital_id: int, to: int = 0) -> Event:
        """An event of Bonds in the transaction of the last event."""
        args = {"jobs": JOBS, "jobId": 1, "hospitalId": hospital_id, "token": TOKEN, "amount": BOND}
        if name == "Slashed":
            args["to"] = to
        return self.on(name, same=True, contract="Bonds", **args)

    def open(self, number: int = 1, attempt: int = 1, hospitals: tuple[int, ...] = HOSPITALS) -> Event:
        bits = sum(1 << HOSPITALS.index(each) for each in hospitals)
        return self.on("AttemptOpened", round=number, attempt=attempt, participants=bits)

    def submit(self, *hospitals: int, number: int = 1, attempt: int = 1) -> None:
        for each in hospitals or HOSPITALS:
            update = {"cid": digest(f"u{number}.{each}"), "root": digest(f"r{number}.{each}")}
            self.on(
                "UpdateSubmitted",
                round=number, attempt=attempt, hospitalId=each, update=update, epsilonTotalMicro=0,
            )  # fmt: skip

    def merge(self, hospital_id: int, state: str = "s", number: int = 1, attempt: int = 1) -> None:
        self.on(
            "Merged",
            round=number, attempt=attempt, hospitalId=hospital_id,
            state={"cid": digest(state), "root": digest(state)}, mergeDigest=digest("m" + state),
        )  # fmt: skip

    def void(self, number: int = 1) -> Event:
        return self.on("MergeVoided", round=number, mergeDigest=digest("m"))

    def challenge(self, hospital_id: int, *, proven: bool, number: int = 1) -> Event:
        """A challenge; what comes of it follows in the same transaction."""
        return self.on(
            "Challenged",
            contract="Challenges", round=number, challengerId=hospital_id, chunkIndex=2, proven=proven,
        )  # fmt: skip

    def end(self) -> None:
        self.block += 100
        self.on("JobFinished", passed=True, correct=1, total=1, version=2)

    @property
    def record(self) -> JobRecord:
        record = JobRecord(1, self.proposal)
        record.apply(each for each in self.events if each.contract in ("TrainingJobs", "Challenges"))
        return record

    @property
    def of_jobs(self) -> list[Event]:
        return [each for each in self.events if each.contract == "TrainingJobs"]


@dataclass
class FakeRpc:
    newest: int

    def batch(self, asked: list[tuple[str, list[Any]]]) -> list[dict[str, str] | None]:
        numbers = [int(params[0], 16) for _, params in asked]
        return [
            {"hash": "0x" + block_hash(number).hex()} if number <= self.newest else None for number in numbers
        ]


@dataclass
class FakeChain:
    """Answers what the checks of rounds, groups and bonds ask: from the events, as an honest chain would."""

    history: History

    @property
    def rpc(self) -> FakeRpc:
        return FakeRpc(self.history.block)

    def address(self, name: str) -> str:
        return {"TrainingJobs": JOBS}.get(name, name)

    def timestamp(self, block: int) -> int:
        return 10 * block

    def token_balance(self, _token: str, _holder: str) -> int:
        return sum(each.args["amount"] for each in self.history.events if each.name == "Deposited")

    def call_many(self, calls: Any) -> list[Any]:
        return [self.call(*call[:2], *call[2]) for call in calls]

    def call(self, contract: str, function: str, *args: Any) -> Any:
        assert contract == "Bonds"
        ledger = Ledger.of(TOKEN, [each for each in self.history.events if each.contract == "Bonds"])
        match function:
            case "bondOf":
                return {"exists": args in ledger.locked}
            case "freeOf":
                return ledger.free[args[0]]
            case "daoOwed":
                return ledger.owed
            case "heldOf":
                return ledger.deposited - ledger.paid
        raise AssertionError(function)


@dataclass
class FakeEvidence:
    """What a chain node shows; of events named in ``left_out`` it shows none."""

    history: History
    left_out: frozenset[str] = frozenset()

    @property
    def chain(self) -> FakeChain:
        return FakeChain(self.history)

    def events(self, contract: str, names: list[str] | None = None, **_: Any) -> list[Event]:
        found = [
            each
            for each in self.history.events
            if each.contract == contract and each.name not in self.left_out
        ]
        return [each for each in found if names is None or each.name in names]


def failures(check: Check) -> list[str]:
    """What does not hold, in words."""
    return [f"{each.name}: {each.detail}" for each in check.failures()] if not check.holds else []
