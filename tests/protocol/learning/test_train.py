"""Local training: it learns, and the same inputs give the same update whatever the threads."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from protocol.errors import DataError, LearningError, NotFinite, WrongLength
from protocol.learning import zoo
from protocol.learning.fixed_point import to_floats
from protocol.learning.merge import merge, quantise, weights
from protocol.learning.train import augmented, initial_state, train
from protocol.spec import JobSpec
from tests.protocol.job_documents import CNN, MLP, image_job, job

ROOT = Path(__file__).parents[3]

DIGEST_OF_AN_UPDATE = """
from hashlib import sha256
import torch
from tests.protocol.learning.test_train import images, trained
assert torch.get_num_threads() == THREADS
print(sha256(trained(*images(), round=3, seed=11).delta.tobytes()).hexdigest())
assert torch.get_num_threads() == THREADS
"""


def tabular(n: int = 120) -> tuple[JobSpec, np.ndarray, np.ndarray]:
    """Records whose first number decides the label."""
    records = np.random.default_rng(0).normal(size=(n, 3)).astype(np.float32)
    return JobSpec.from_dict(job()), records, (records[:, 0] > 0).astype(np.float32)


def images() -> tuple[JobSpec, np.ndarray, np.ndarray]:
    """Images that are brighter at the left when their label is 1."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, size=48).astype(np.float32)
    records = rng.normal(size=(48, 1, 12, 12)).astype(np.float32)
    records[labels == 1, :, :, :6] += 1
    return JobSpec.from_dict(image_job()), records, labels


def base(spec: JobSpec) -> np.ndarray:
    return initial_state(spec.model, spec.state, spec.training.seed)


def trained(spec: JobSpec, records: np.ndarray, labels: np.ndarray, *, round: int = 1, seed: int = 0):
    return train(spec, base(spec), records, labels, round=round, seed=seed)


@pytest.mark.parametrize("make", [tabular, images])
def test_rounds_of_training_and_merging_lower_the_loss(make):
    spec, records, labels = make()
    layout = zoo.layout(spec.model, spec.state)
    state, losses = base(spec), []
    for number in range(1, 7):
        result = train(spec, state, records, labels, round=number, seed=0)
        losses.append(result.loss)
        q = quantise(result.delta, weights([len(labels)])[0], 1, layout, spec.merge.clip_norm)
        state = merge(state, [[q]], spec.merge.server_step)
    assert losses[-1] < 0.6 * losses[0]
    assert result.seconds > 0


def test_an_update_is_local_minus_global():
    """One step of plain gradient descent on one record, by hand."""
    document = job(
        training__optimiser={"name": "sgd", "learning_rate": 0.5},
        training__local_epochs=1,
        training__batch_size=1,
    )
    spec = JobSpec.from_dict(document)
    state = base(spec)
    weight = to_floats(state, zoo.layout(spec.model, spec.state))
    record = np.array([[1.0, -2.0, 0.5]], np.float32)
    logit = float(record[0] @ weight["0.weight"][0] + weight["0.bias"][0])
    residual = 1 - 1 / (1 + np.exp(-logit))
    delta = train(spec, state, record, np.ones(1, np.float32), round=1, seed=0).delta
    assert delta.dtype == np.float64
    assert delta == pytest.approx(0.5 * residual * np.array([1.0, 1.0, -2.0, 0.5]), rel=1e-5)


@pytest.mark.parametrize("name", ["sgd", "adam"])
@pytest.mark.parametrize("model", [None, MLP])
def test_the_same_seed_gives_the_same_update(name, model):
    changes = {"training__optimiser": {"name": name, "learning_rate": 0.01}}
    spec = JobSpec.from_dict(job(**changes, **({"model": model} if model else {})))
    _, records, labels = tabular()
    first = trained(spec, records, labels)
    torch.manual_seed(99)
    assert np.array_equal(first.delta, trained(spec, records, labels).delta)


AUGMENT = {"flip": True, "shift": 0.1, "rotate": 20, "zoom": 0.2, "contrast": 0.2}


def augmenting(**augment: object) -> JobSpec:
    document = image_job()
    document["training"]["augment"] = augment
    return JobSpec.from_dict(document)


def changed(pictures: torch.Tensor, seed: int = 1, **augment: object) -> torch.Tensor:
    return augmented(pictures, augmenting(**augment).training.augment, torch.Generator().manual_seed(seed))


def test_augmentation_is_seeded_and_changes_the_update():
    _, records, labels = images()
    plain, first, again = (
        trained(spec, records, labels).delta
        for spec in (augmenting(), augmenting(**AUGMENT), augmenting(**AUGMENT))
    )
    assert np.array_equal(first, again)
    assert not np.allclose(first, plain)


def test_augmentation_by_nothing_leaves_pictures_alone():
    pictures = torch.from_numpy(images()[1])
    assert torch.allclose(changed(pictures), pictures, atol=1e-4)


def test_half_of_the_pictures_are_mirrored():
    pictures = torch.arange(64.0).reshape(1, 1, 8, 8).expand(200, 1, 8, 8)
    flipped = changed(pictures, flip=True)
    mirrored = [torch.allclose(each, pictures[0].flip(2), atol=1e-3) for each in flipped]
    same = [torch.allclose(each, pictures[0], atol=1e-3) for each in flipped]
    assert sum(mirrored) + sum(same) == 200
    assert 60 < sum(mirrored) < 140


def test_a_shift_is_a_share_of_the_sides():
    rows = torch.arange(100.0)[:, None].expand(50, 1, 100, 40)
    moved = changed(rows, shift=0.1)[:, 0, 50, 20] - 50
    assert 8 < moved.abs().max() <= 10.001


def test_a_turn_keeps_the_proportions_of_a_picture_that_is_no_square():
    """A disc stays one, whatever the angle."""
    down, across = torch.meshgrid(torch.arange(40.0) - 19.5, torch.arange(80.0) - 39.5, indexing="ij")
    disc = (down**2 + across**2 < 12**2).float().expand(20, 1, 40, 80)
    assert (changed(disc, rotate=180) - disc).abs().mean() < 0.02


def test_contrast_and_brightness_stay_within_their_bounds():
    pictures = torch.ones(200, 1, 8, 8)
    light = changed(pictures, contrast=0.2)[:, 0, 0, 0]
    assert (light - 1).abs().max() <= 0.4001
    assert light.std() > 0.1


def test_round_hospital_seed_and_spec_seed_each_change_the_update():
    spec, records, labels = tabular()
    other = JobSpec.from_dict(job(training__seed=8))
    state = base(spec)
    updates = [
        train(spec, state, records, labels, round=1, seed=0),
        train(spec, state, records, labels, round=2, seed=0),
        train(spec, state, records, labels, round=1, seed=1),
        train(other, state, records, labels, round=1, seed=0),
    ]
    assert len({update.delta.tobytes() for update in updates}) == 4


def test_the_number_of_threads_changes_nothing():
    """In processes of their own, as nodes are: OpenMP reads its setting once."""
    digests = set()
    for threads in (1, 2):
        script = DIGEST_OF_AN_UPDATE.replace("THREADS", str(threads))
        environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}
        run = subprocess.run(
            [sys.executable, "-c", script],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert run.returncode == 0, run.stderr
        digests.add(run.stdout.strip())
    assert len(digests) == 1


def test_training_leaves_torch_as_it_was():
    spec, records, labels = tabular()
    before = (
        torch.get_num_threads(),
        torch.are_deterministic_algorithms_enabled(),
        torch.random.get_rng_state(),
    )
    trained(spec, records, labels)
    assert torch.get_num_threads() == before[0]
    assert torch.are_deterministic_algorithms_enabled() == before[1]
    assert torch.equal(torch.random.get_rng_state(), before[2])


def test_training_leaves_the_state_and_the_records_alone():
    spec, records, labels = tabular()
    state = base(spec)
    for array in (state, records, labels):
        array.flags.writeable = False
    train(spec, state, records.copy(), labels.copy(), round=1, seed=0)
    assert np.array_equal(state, base(spec))


def test_training_refuses_a_state_of_another_length():
    spec, records, labels = tabular()
    with pytest.raises(WrongLength):
        train(spec, base(spec)[:-1], records, labels, round=1, seed=0)


@pytest.mark.parametrize(
    ("records", "labels"),
    [
        (np.zeros((0, 3), np.float32), np.zeros(0, np.float32)),
        (np.zeros((4, 2), np.float32), np.zeros(4, np.float32)),
        (np.zeros((4, 3), np.float32), np.zeros(5, np.float32)),
        (np.zeros((4, 3), np.float32), np.zeros((4, 1), np.float32)),
    ],
)
def test_training_refuses_records_that_do_not_fit(records, labels):
    with pytest.raises(DataError, match="do not fit a model"):
        trained(tabular()[0], records, labels)


@pytest.mark.parametrize("label", [-1.0, 2.0, 0.5])
def test_training_refuses_labels_that_are_no_classes(label):
    with pytest.raises(DataError, match="whole numbers from 0 to 1"):
        trained(tabular()[0], np.zeros((1, 3), np.float32), np.array([label], np.float32))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_training_refuses_records_that_are_not_finite(bad):
    with pytest.raises(NotFinite, match="records"):
        trained(tabular()[0], np.full((1, 3), bad, np.float32), np.zeros(1, np.float32))


def test_training_that_diverges_is_refused():
    # Weight decay alone multiplies the weights by 1 - 100 * 100 at each step.
    document = job(
        training__optimiser={"name": "sgd", "learning_rate": 100, "weight_decay": 100},
        training__local_epochs=50,
    )
    _, records, labels = tabular()
    with pytest.raises(NotFinite, match="diverged"):
        trained(JobSpec.from_dict(document), records, labels)


def test_the_image_model_is_the_documents():
    assert images()[0].model.parameters == CNN["parameters"]


def test_training_that_takes_longer_than_allowed_is_stopped() -> None:
    spec, records, labels = tabular()
    with pytest.raises(LearningError, match="longer than allowed"):
        train(
            spec, initial_state(spec.model, spec.state, 1), records, labels, round=1, seed=1, max_seconds=0.0
        )


def test_memory_that_runs_out_is_an_error_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    """What torch raises when the policy's memory is used up; it cannot be caused without starving the test itself."""

    def exhausted(*_arguments: object) -> None:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory")

    monkeypatch.setattr("protocol.learning.train.loss_of", exhausted)
    spec, records, labels = tabular()
    with pytest.raises(LearningError, match="can't allocate memory"):
        train(spec, initial_state(spec.model, spec.state, 1), records, labels, round=1, seed=1)
