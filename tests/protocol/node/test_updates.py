"""What leaves a hospital: the journalled update under the masks of its context, and nothing else (invariant 11)."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from protocol.chain.events import Event
from protocol.chain.jobs import Participant
from protocol.errors import DataError, JobKeyError, JournalError
from protocol.learning.masks import JobKey
from protocol.learning.train import LocalResult
from protocol.node.journal import Journal
from protocol.node.updates import Updates
from protocol.record import Attempt, Drawing, JobRecord
from protocol.spec import JobSpec
from tests.protocol.job_documents import job

EVENT = Event("AttemptOpened", "TrainingJobs", {}, 5, 0, "0x05")
LANES = 4


@dataclass
class Hospitals:
    """Hospitals 11, 12, … with records 100, 200, …, each with a journal, a key and a training of its own."""

    folder: Path
    monkeypatch: pytest.MonkeyPatch
    count: int = 3
    spec: JobSpec = field(
        default_factory=lambda: JobSpec.from_dict(
            job(privacy={"mechanism": "masked"}, merge__groups=2, hospitals__max=6)
        )
    )
    trained: int = 0

    def __post_init__(self) -> None:
        self.ids = [11 + place for place in range(self.count)]
        self.keys = {each: JobKey.new() for each in self.ids}
        self.record = JobRecord(1)
        for place, each in enumerate(self.ids):
            self.record.participants[each] = Participant(True, place, each, each, 1, 100 * (place + 1), 50)
            self.record.mask_keys[each] = self.keys[each].public
        self.open(1, labels=0)
        self.monkeypatch.setattr("protocol.learning.train.train", self._train)

    def open(self, attempt: int, labels: int) -> None:
        bits = (1 << self.count) - 1
        self.record.round(1).attempts[attempt] = Attempt(
            bits, EVENT, drawing=Drawing(bytes(32), labels, bits, EVENT)
        )

    def _train(self, *_: object, seed: int, **__: object) -> LocalResult:
        """Another result each time it is asked, as with noise from the system."""
        self.trained += 1
        return LocalResult(np.random.default_rng([seed, self.trained]).normal(size=LANES), 0.5, 0.1)

    def updates(self, hospital_id: int, key: JobKey | None = None) -> Updates:
        chain = SimpleNamespace(
            deployment=SimpleNamespace(chain_id=1337, genesis_hash="0x" + "aa" * 32),
            address=lambda _: "0x" + "bb" * 20,
        )
        return Updates(
            chain,
            Journal(self.folder / str(hospital_id)),
            hospital_id,
            1,
            self.spec,
            SimpleNamespace(arrays=lambda _: (None, None)),
            600,
            key or self.keys[hospital_id],
        )

    def send(self, hospital_id: int, attempt: int = 1) -> np.ndarray:
        """As the worker does: what is journalled for the context, else trained."""
        updates, base = self.updates(hospital_id), np.zeros(LANES, np.int32)
        context = updates.context(self.record, 1, attempt, base)
        journalled = updates.journal.read(context)
        return updates.outgoing(context, self.record, base, journalled, lambda *_: None).update

    def journalled(self, hospital_id: int, attempt: int = 1) -> np.ndarray:
        updates = self.updates(hospital_id)
        return updates.journal.read(updates.context(self.record, 1, attempt, np.zeros(LANES, np.int32)))


@pytest.fixture
def three(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Hospitals:
    return Hospitals(tmp_path, monkeypatch)


def test_masks_cancel_in_the_sum_and_hide_each_update(three: Hospitals) -> None:
    sent = [three.send(each) for each in three.ids]
    kept = [three.journalled(each) for each in three.ids]
    assert np.array_equal(sum(sent).astype(np.int32), sum(kept))
    assert not any(np.array_equal(*pair) for pair in zip(sent, kept, strict=True))


def test_a_context_is_trained_for_once_and_the_same_bytes_are_sent(three: Hospitals) -> None:
    """Invariant 11: although training would give another update each time."""
    first = three.send(11)
    assert np.array_equal(three.send(11), first) and three.trained == 1


def test_what_could_not_be_journalled_is_not_sent(three: Hospitals, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise JournalError("the disk is full")

    monkeypatch.setattr(Journal, "write", full)
    with pytest.raises(JournalError):
        three.send(11)


def test_another_attempt_has_other_masks_and_an_update_of_its_own(three: Hospitals) -> None:
    first = three.send(11)
    three.open(2, labels=0)
    second = three.send(11, attempt=2)
    assert three.trained == 2 and not np.array_equal(first, second)


def test_data_that_changed_since_the_last_round_is_not_trained_on(three: Hospitals) -> None:
    """A patient may withdraw while a job runs; what was read before is no way around it."""

    def withdrawn() -> None:
        raise DataError("A member was withdrawn.")

    updates = three.updates(11)
    updates.dataset.verify = lambda: None
    base = np.zeros(LANES, np.int32)

    def send(attempt: int) -> None:
        three.open(attempt, labels=0)
        context = updates.context(three.record, 1, attempt, base)
        updates.outgoing(context, three.record, base, None, lambda *_: None)

    send(1)
    send(2)
    updates.dataset.verify = withdrawn
    with pytest.raises(DataError, match="withdrawn"):
        send(3)
    assert three.trained == 2


def test_masks_and_weights_are_those_of_the_group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    six = Hospitals(tmp_path, monkeypatch, count=6)
    six.open(1, labels=0x101010)
    context = six.updates(12).context(six.record, 1, 1, np.zeros(LANES, np.int32))
    assert context.hospitals == (12, 14, 16)
    assert context.mask_keys == tuple(six.keys[each].public for each in (12, 14, 16))
    assert context.weights == ((1, 6), (1, 3), (1, 2))
    for group in ((11, 13, 15), (12, 14, 16)):
        sent, kept = ([method(each) for each in group] for method in (six.send, six.journalled))
        assert np.array_equal(sum(sent).astype(np.int32), sum(kept))


def test_without_its_key_a_hospital_cannot_send(three: Hospitals) -> None:
    updates = three.updates(11)
    updates.key, updates.barred = None, "its mask key is gone"
    assert updates.unable(three.record) == "its mask key is gone"
    context = updates.context(three.record, 1, 1, np.zeros(LANES, np.int32))
    with pytest.raises(JobKeyError, match="its mask key is gone"):
        updates.outgoing(context, three.record, np.zeros(LANES, np.int32), None, lambda *_: None)


def test_another_key_than_the_chain_has_is_not_used(three: Hospitals) -> None:
    """As after a home was copied and enrolled from elsewhere: two nodes for one hospital."""
    assert "is not the one that the chain has" in three.updates(11, key=JobKey.new()).unable(three.record)


def test_an_unmasked_job_needs_no_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = JobSpec.from_dict(job(privacy={"mechanism": "none"}))
    open_job = Hospitals(tmp_path, monkeypatch, spec=spec)
    updates = open_job.updates(11)
    updates.key = None
    assert updates.unable(open_job.record) == ""
    assert np.array_equal(open_job.send(11), open_job.journalled(11))
