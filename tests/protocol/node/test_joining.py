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
from protocol.data.splits import TRAIN
from protocol.errors import AdmissionRefused, DataError, LearningError, WrongLength
from protocol.node import joining
from protocol.node.joining import Joining
from protocol.node.policy import EXAMPLE
from protocol.spec import JobSpec
from protocol.vault.images import ImageDataset
from protocol.vault.store import Vault
from tests.protocol.job_documents import CNN, job
from tests.protocol.test_proposal import proposal_of_spec
from tests.protocol.vault import cohorts

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


def of_images(home: Path, **changes: Any) -> tuple[Vault, ImageDataset, JobSpec]:
    """A vault with a dataset of forty patients, registered as number 7, and a job on pictures like its own."""
    vault = cohorts.vault_in(home)
    cohorts.fill(vault, range(40), each=1)
    dataset = ImageDataset.create(
        home / "datasets" / "breast", cohorts.SCHEMA, vault, held_out=0.5, finder=cohorts.NO_TEXT
    )
    dataset.remember_id(7)
    parameters = {**CNN["parameters"], "height": cohorts.SCHEMA.rows, "width": cohorts.SCHEMA.columns}
    spec = JobSpec.from_dict(
        job(
            model={**CNN, "parameters": parameters},
            training__loss="cross_entropy",
            data__schema={**cohorts.SCHEMA.to_dict(), **changes},
        )
    )
    return vault, dataset, spec


def looking(home: Path, vault: Vault | None) -> Any:
    node = SimpleNamespace(home=home, vault=vault, chain=None)
    node._pinned_version = lambda *parts: Joining._pinned_version(node, *parts)
    return node


def test_a_job_on_pictures_finds_the_dataset_of_images(tmp_path: Path) -> None:
    vault, dataset, spec = of_images(tmp_path)
    found = Joining._dataset_for(looking(tmp_path, vault), spec, None)
    assert found.root == dataset.root
    pictures, labels = found.arrays(TRAIN)
    assert pictures.shape == (found.train_records, 1, 12, 16) and len(labels) == len(pictures)


def test_a_closed_vault_is_the_reason_against_a_job_on_pictures(tmp_path: Path) -> None:
    _, _, spec = of_images(tmp_path)
    with pytest.raises(AdmissionRefused, match="vault that holds them is closed") as refused:
        Joining._dataset_for(looking(tmp_path, None), spec, None)
    assert "--vault-password-file" in refused.value.hint


def test_a_closed_vault_is_no_reason_against_a_job_on_other_data(tmp_path: Path) -> None:
    of_images(tmp_path)
    with pytest.raises(AdmissionRefused, match="No registered dataset"):
        Joining._dataset_for(looking(tmp_path, None), JobSpec.from_dict(job()), None)


def test_pictures_with_other_constants_are_another_schema(tmp_path: Path) -> None:
    vault, _, spec = of_images(tmp_path, centre=0.2)
    with pytest.raises(AdmissionRefused, match="No registered dataset"):
        Joining._dataset_for(looking(tmp_path, vault), spec, None)


def test_a_job_goes_on_with_the_version_that_was_pinned(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    vault, first, spec = of_images(tmp_path)
    cohorts.fill(vault, range(50, 60), each=1)
    second = first.extend(vault, finder=cohorts.NO_TEXT)
    registered = [SimpleNamespace(version=SimpleNamespace(root=each.root)) for each in (first, second)]
    monkeypatch.setattr(joining, "Datasets", lambda _chain: SimpleNamespace(versions=lambda _id: registered))
    for pinned in (first, second):
        place = SimpleNamespace(dataset_id=7, dataset_version=pinned.version)
        assert Joining._dataset_for(looking(tmp_path, vault), spec, place).root == pinned.root


def test_a_version_whose_member_withdrew_is_trained_on_no_longer(tmp_path: Path) -> None:
    """Also by a node that opened it before."""
    vault, dataset, spec = of_images(tmp_path)
    before = Joining._dataset_for(looking(tmp_path, vault), spec, None)
    before.arrays(TRAIN)
    uid = dataset.members()[0].uid
    dataset.withdraw([uid], finder=cohorts.NO_TEXT)
    with pytest.raises(DataError):
        before.verify()
