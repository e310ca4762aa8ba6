"""What a node checks of a job before it enrols."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from protocol.chain.jobs import Phases
from protocol.chain.models import Models, Vector, Version
from protocol.content import vectors
from protocol.content.cid import to_cid
from protocol.errors import AdmissionRefused, LearningError, WrongLength
from protocol.node import joining
from protocol.node.joining import Joining
from protocol.node.policy import EXAMPLE
from protocol.spec import JobSpec
from tests.protocol.job_documents import job
from tests.protocol.test_proposal import proposal_of_spec

LANES = 4
CHAIN_JOB = SimpleNamespace(
    purpose=SimpleNamespace(researcher="0x" + "ab" * 20), phases=Phases.of_seconds(3600)
)


class Daemon:
    """Serves one vector, whatever it is asked for."""

    def __init__(self, vector: np.ndarray) -> None:
        self.vector = vector

    def fetch(self, _digest: bytes, _max_bytes: int | None = None) -> bytes:
        return vectors.encode(self.vector)


class EnrolledError(Exception):
    """Nothing was against it."""


def enrol(*_: object) -> None:
    raise EnrolledError


def check(monkeypatch: pytest.MonkeyPatch, base: np.ndarray, chain_base: np.ndarray, **changes: Any) -> None:
    ref = vectors.reference(base)
    spec = JobSpec.from_dict(job(base={"cid": to_cid(ref.cid), "root": "0x" + ref.root.hex()}, **changes))
    state = vectors.reference(chain_base)
    stored = Version(1, 0, 0, Vector(state.cid, state.root))
    monkeypatch.setattr(Models, "version", lambda *_: stored)
    node = SimpleNamespace(
        chain=None,
        _bases=Daemon(base),
        jobs=SimpleNamespace(proposal=lambda _job_id: proposal_of_spec(spec)),
        policy=SimpleNamespace(reasons_against=lambda *_: [], require=lambda *_: None),
        _dataset_for=lambda *_: SimpleNamespace(train_records=100),
        _checked_base=lambda *parts: Joining._checked_base(node, *parts),
        _enrol=enrol,
    )
    Joining.join(node, None, 1, CHAIN_JOB, spec, None)


def a_state(lanes: int, first: int = 0) -> np.ndarray:
    return np.arange(first, first + lanes, dtype=np.int32)


def test_a_spec_that_can_begin_is_let_through(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(EnrolledError):
        check(monkeypatch, a_state(LANES), a_state(LANES))


def test_a_base_of_another_length_is_refused_before_enrolling(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(WrongLength):
        check(monkeypatch, a_state(LANES + 1), a_state(LANES + 1))


def test_another_base_than_the_chain_names_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(AdmissionRefused, match="base: the chain starts from"):
        check(monkeypatch, a_state(LANES), a_state(LANES, first=9))


def test_fraction_bits_of_a_tensor_that_the_model_lacks_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(LearningError, match="no tensor"):
        check(
            monkeypatch, a_state(LANES), a_state(LANES), state={"fraction_bits": 24, "tensors": {"ghost": 24}}
        )


def test_a_job_that_the_policy_is_against_gets_no_update_whoever_enrolled(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A stolen operator key can enrol a hospital in a job that publishes updates unmasked."""
    spec = JobSpec.from_dict(job(privacy={"mechanism": "none"}))
    made: dict[str, Any] = {}
    monkeypatch.setattr(joining, "JobWorker", lambda *parts, **_: made.update(updates=parts[3]))
    monkeypatch.setattr(joining, "JobHistory", lambda *_: None)
    monkeypatch.setattr(joining, "JobContent", lambda *_: None)
    monkeypatch.setattr(joining, "Updates", lambda *parts: parts[-1])
    place = SimpleNamespace(genesis_hash="0x" + "00" * 32)
    node = SimpleNamespace(
        chain=SimpleNamespace(deployment=place, address=lambda _name: "0x" + "00" * 20),
        policy=EXAMPLE, jobs=None, ipfs=None, journal=None, hospital_id=1, home=tmp_path,
        _dataset_for=lambda *_: SimpleNamespace(train_records=100), _checked_base=lambda *_: None,
    )  # fmt: skip
    Joining.join(node, None, 1, CHAIN_JOB, spec, SimpleNamespace(exists=True))
    assert "privacy: none is not allowed here" in made["updates"]
