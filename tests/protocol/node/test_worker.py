"""One job at one hospital: what a chain that takes blocks back does to it, and a training that fails."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from protocol.chain.jobs import Draw, Look, Participant, Round
from protocol.errors import DataError, NotFinite, SalusError, VaultError
from protocol.node.steps import Action
from protocol.node.worker import JobWorker
from protocol.record import JobRecord
from tests.protocol.node.test_steps import a_job

ME = 11


class History:
    """A record that a reorganisation empties at the second reading."""

    job_id = 1

    def __init__(self) -> None:
        self.record, self.readings = JobRecord(1), 0
        self.record.participants[ME] = Participant(True, 0, 1, 1, 1, 100, 50)
        self.watch = SimpleNamespace(chain=None)

    def read(self) -> None:
        self.readings += 1
        if self.readings == 2:
            self.record = JobRecord(1)


@pytest.mark.parametrize(("exists", "then"), [(True, Action.WAIT), (False, Action.ENROL)])
def test_an_enrolment_that_is_gone_at_the_second_look_is_made_again(exists: bool, then: Action) -> None:
    look = Look(a_job(), Round.empty(), 0, 1, Draw.empty())
    jobs = SimpleNamespace(
        chain=None, look=lambda *_: look, participant=lambda *_: SimpleNamespace(exists=exists)
    )
    spec = SimpleNamespace(privacy=SimpleNamespace(mechanism="masked"))
    updates = SimpleNamespace(hospital_id=ME, spec=spec, spec_digest=bytes(32))
    worker = JobWorker(jobs, History(), None, updates, bond_again=False)
    assert worker.tick().action == Action.WAIT
    assert worker.tick().action == then


@pytest.mark.parametrize("error", [NotFinite, DataError, VaultError])
def test_a_training_that_fails_sits_the_attempt_out_and_stays_in_the_job(error: type[SalusError]) -> None:
    """Also for data that can no longer be trained on: a patient of theirs has withdrawn."""

    def diverge(*_: object) -> None:
        raise error("Training diverged")

    updates = SimpleNamespace(
        hospital_id=ME, spec=SimpleNamespace(privacy=SimpleNamespace(mechanism="masked")), outgoing=diverge,
        context=lambda *_: None, journal=SimpleNamespace(read=lambda _context: None),
    )  # fmt: skip
    worker = JobWorker(SimpleNamespace(chain=None), History(), None, updates, bond_again=False)
    worker.checks = SimpleNamespace(state=lambda _number: None)
    view = SimpleNamespace(job=SimpleNamespace(round=1), round=SimpleNamespace(attempt=1))
    step = worker._submit(view, None)
    assert step.action == Action.WAIT and "sits the attempt out: Training diverged" in step.why
