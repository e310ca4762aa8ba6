"""Differential privacy: clipping, noise, sampling and what the accountant says of them."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq
from scipy.stats import kstest, norm

from protocol.errors import LearningError, SpecError
from protocol.learning import noise
from protocol.learning.privacy import (
    Spending,
    epsilon,
    least_micro,
    micro,
    spending,
)
from protocol.learning.train import initial_state, train
from protocol.spec import JobSpec
from tests.protocol.job_documents import image_job, job

ROOT = Path(__file__).parents[3]
DELTA = 1e-3


def private(document=None, *, batch=16, epochs=2, rate=0.1, **changes) -> JobSpec:
    """A spec with differential privacy; ``changes`` are fields of its dp."""
    document = document or job()
    document["training"] |= {
        "batch_size": batch,
        "local_epochs": epochs,
        "optimiser": {"name": "sgd", "learning_rate": rate},
    }
    document["privacy"]["dp"] = {
        "unit": "record", "noise_multiplier": 1, "max_grad_norm": 1, "delta": DELTA, "accountant": "rdp", **changes,
    }  # fmt: skip
    return JobSpec.from_dict(document)


def base(spec: JobSpec) -> np.ndarray:
    return initial_state(spec.model, spec.state, spec.training.seed)


def records(n: int, scale: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    made = (scale * np.random.default_rng(0).normal(size=(n, 3))).astype(np.float32)
    return made, (made[:, 0] > 0).astype(np.float32)


def delta_of(spec: JobSpec, made: np.ndarray, labels: np.ndarray, **more) -> np.ndarray:
    return train(spec, base(spec), made, labels, round=1, seed=0, **more).delta


# -- the mechanism ----------------------------------------------------------------------------------------------------


def test_one_record_moves_the_sum_by_at_most_the_bound() -> None:
    """Next to no noise and one whole-batch step: what is left of a record of any size is its clipped gradient."""
    spec = private(batch=1, epochs=1, rate=1.0, noise_multiplier=1e-9, max_grad_norm=0.25)
    for scale in (1.0, 1e3, 1e6):
        moved = delta_of(spec, *records(1, scale))
        assert np.linalg.norm(moved) <= 0.25 * (1 + 1e-5)
    assert np.linalg.norm(moved) == pytest.approx(0.25, rel=1e-3)


def test_without_clipping_or_noise_it_is_plain_gradient_descent() -> None:
    made, labels = records(40)
    noisy = private(batch=40, epochs=3, noise_multiplier=1e-9, max_grad_norm=1e5)
    plain = job(training__optimiser={"name": "sgd", "learning_rate": 0.1})
    plain["training"] |= {"batch_size": 40, "local_epochs": 3}
    assert delta_of(noisy, made, labels) == pytest.approx(
        delta_of(JobSpec.from_dict(plain), made, labels), abs=2e-5
    )


def test_noise_has_the_stated_deviation() -> None:
    """One step on records whose gradients are clipped to next to nothing: what is left is noise."""
    spec = private(batch=50, epochs=1, rate=1.0, noise_multiplier=2000, max_grad_norm=0.01)
    made, labels = records(50)
    drawn = np.concatenate([delta_of(spec, made, labels) for _ in range(150)])
    # The sum's noise, 2000 x 0.01, over the batch of 50.
    assert drawn.std() == pytest.approx(20 / 50, rel=0.12)


def test_sampling_is_poisson() -> None:
    """Every record is in a step with probability batch / n, on its own: the size of a batch varies, down to none."""
    spec = private(batch=1, epochs=1, rate=1.0, noise_multiplier=1e-9, max_grad_norm=1e4)
    made = np.zeros((2, 3), np.float32)
    labels = np.zeros(2, np.float32)
    sizes = {round(float(delta_of(spec, made, labels)[0] * 1e3)) for _ in range(200)}
    # Two steps, of none to two records each: more than the one outcome of a shuffled epoch.
    assert len(sizes) >= 3 and 0 in sizes


def test_no_two_runs_are_the_same() -> None:
    spec = private()
    made, labels = records(60)
    assert not np.array_equal(delta_of(spec, made, labels), delta_of(spec, made, labels))


def test_no_training_loss_comes_out() -> None:
    spec = private()
    assert train(spec, base(spec), *records(60), round=1, seed=0).loss is None


def test_images_train_privately() -> None:
    spec = private(image_job(), noise_multiplier=0.5)
    made = np.random.default_rng(0).normal(size=(32, 1, 12, 12)).astype(np.float32)
    moved = delta_of(spec, made, np.arange(32, dtype=np.float32) % 2)
    assert np.isfinite(moved).all() and moved.any()


def test_it_learns_through_the_noise() -> None:
    spec = private(batch=400, epochs=20, rate=1.0, noise_multiplier=5)
    made, labels = records(400)
    weights = base(spec) / 2**24 + delta_of(spec, made, labels)
    assert weights[1] > 5 * abs(weights[2:]).max()


def test_training_that_takes_longer_than_allowed_is_stopped() -> None:
    spec = private()
    with pytest.raises(LearningError, match="longer than allowed"):
        train(spec, base(spec), *records(60), round=1, seed=0, max_seconds=0.0)


# -- the patient as the unit ------------------------------------------------------------------------------------------


def test_all_records_of_one_patient_together_move_the_sum_by_at_most_the_bound() -> None:
    spec = private(batch=1, epochs=1, rate=1.0, noise_multiplier=1e-9, max_grad_norm=0.25, unit="patient")
    made = np.full((30, 3), 1e3, np.float32)
    moved = delta_of(spec, made, np.ones(30, np.float32), patients=np.zeros(30, int))
    assert np.linalg.norm(moved) <= 0.25 * (1 + 1e-5)


def test_a_patient_counts_once_however_many_records() -> None:
    """The gradient of a patient is the mean over the records: two copies of a record weigh what one does."""
    made, labels = records(6)
    twice = np.concatenate([made, made[:1]]), np.concatenate([labels, labels[:1]])
    once = private(batch=6, epochs=1, noise_multiplier=1e-9, max_grad_norm=10)
    by_patient = private(batch=6, epochs=1, noise_multiplier=1e-9, max_grad_norm=10, unit="patient")
    owners = np.array([70, 1, 2, 3, 4, 5, 70])
    assert delta_of(by_patient, *twice, patients=owners) == pytest.approx(
        delta_of(once, made, labels), abs=1e-6
    )


@pytest.mark.parametrize(("unit", "patients"), [("patient", None), ("record", np.arange(60))])
def test_the_unit_is_what_the_records_can_tell(unit, patients) -> None:
    with pytest.raises(LearningError, match="if and only if"):
        delta_of(private(unit=unit), *records(60), patients=patients)


# -- randomness -------------------------------------------------------------------------------------------------------


def test_noise_is_standard_normal() -> None:
    drawn = noise.normal((300, 333))
    assert drawn.shape == (300, 333) and drawn.dtype == np.float64
    assert kstest(drawn.ravel(), norm.cdf).pvalue > 1e-6
    assert abs(np.corrcoef(drawn.ravel()[:-1], drawn.ravel()[1:])[0, 1]) < 0.02


def test_uniform_numbers_are_uniform_and_below_one() -> None:
    drawn = noise.uniform(100_000)
    assert drawn.min() >= 0 and drawn.max() < 1
    assert kstest(drawn, "uniform").pvalue > 1e-6


def test_randomness_comes_from_the_system(monkeypatch: pytest.MonkeyPatch) -> None:
    """And from nowhere else: a system that gives the same bytes gives the same update."""
    spec = private()
    made, labels = records(60)
    monkeypatch.setattr("os.urandom", lambda count: np.random.default_rng(count).bytes(count))
    assert np.array_equal(delta_of(spec, made, labels), delta_of(spec, made, labels))


# -- accounting -------------------------------------------------------------------------------------------------------


def gaussian_epsilon(mu: float, delta: float) -> float:
    """The exact epsilon of Gaussian noise, mu = sensitivity / deviation (Balle & Wang 2018)."""

    def excess(value: float) -> float:
        return norm.cdf(mu / 2 - value / mu) - math.exp(value) * norm.cdf(-mu / 2 - value / mu) - delta

    return brentq(excess, 0, 100)


@pytest.mark.parametrize("accountant", ["rdp", "prv"])
@pytest.mark.parametrize(("sigma", "steps"), [(10.0, 20), (60.0, 20), (3.0, 12), (1.5, 12)])
def test_whole_batches_cost_what_gaussian_noise_costs(accountant, sigma, steps) -> None:
    exact = gaussian_epsilon(math.sqrt(steps) / sigma, DELTA)
    bound = epsilon([Spending(sigma, 1.0, steps)], DELTA, accountant)
    assert exact <= bound <= (1.25 * exact if accountant == "rdp" else exact + 0.02)


def test_figures_of_the_literature() -> None:
    """Abadi et al. 2016, section 3.2: q = 0.01, sigma = 4, delta = 1e-5, 10,000 steps: epsilon is 1.26."""
    assert epsilon([Spending(4.0, 0.01, 10_000)], 1e-5, "rdp") == pytest.approx(1.26, rel=0.2)
    assert epsilon([Spending(4.0, 0.01, 10_000)], 1e-5, "prv") <= 1.26


@settings(max_examples=8, deadline=None)
@given(
    st.lists(
        st.builds(Spending, st.floats(0.7, 50), st.floats(0.01, 1.0), st.integers(1, 200)),
        min_size=1, max_size=4,
    ),
    st.builds(Spending, st.floats(0.7, 50), st.floats(0.01, 1.0), st.integers(1, 200)),
)  # fmt: skip
def test_more_training_never_costs_less(history, more) -> None:
    before, after = epsilon(history, DELTA, "rdp"), epsilon([*history, more], DELTA, "rdp")
    assert 0 <= before <= after
    assert after <= epsilon([*history, more], DELTA / 10, "rdp")


def test_rounds_compose_to_less_than_their_sum() -> None:
    one = Spending(10.0, 1.0, 3)
    assert epsilon([one] * 12, DELTA, "rdp") < 12 * epsilon([one], DELTA, "rdp")
    assert epsilon([one] * 12, DELTA, "rdp") == epsilon([Spending(10.0, 1.0, 36)], DELTA, "rdp")


def test_a_round_costs_its_steps() -> None:
    spec = private(batch=16, epochs=2)
    assert spending(spec, 120) == Spending(1.0, 16 / 120, 2 * 8)
    assert spending(spec, 120, rounds=3).steps == 48
    assert spending(spec, 10) == Spending(1.0, 1.0, 2)
    with pytest.raises(LearningError, match="no units"):
        spending(spec, 0)
    with pytest.raises(LearningError, match="does not train with differential privacy"):
        spending(JobSpec.from_dict(job()), 120)


@pytest.mark.parametrize("accountant", ["rdp", "prv"])
def test_next_to_no_noise_has_no_epsilon_that_could_be_declared(accountant) -> None:
    with pytest.raises(LearningError, match=r"no finite epsilon|cannot bound"):
        epsilon([Spending(1e-300, 1.0, 1)], DELTA, accountant)


def test_millionths_are_rounded_up() -> None:
    assert micro(0.0) == 0
    assert micro(1e-9) == 1
    assert micro(1.25) == 1_250_000
    assert micro(1.2500001) == 1_250_001


def test_a_verifier_finds_the_least_that_may_be_declared() -> None:
    spec = private(noise_multiplier=4)
    declared = [micro(epsilon([spending(spec, 120, rounds)], DELTA, "rdp")) for rounds in (1, 2, 3)]
    least = [least_micro(spec, 120, rounds) for rounds in (1, 2, 3)]
    assert all(0 < bound <= total <= bound + 5 for bound, total in zip(least, declared, strict=True))
    assert least_micro(private(unit="patient"), 120, 1) == 0


# -- the spec, and what it costs to import ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "wrong",
    [
        {"noise_multiplier": 0},
        {"max_grad_norm": 0},
        {"delta": 0},
        {"delta": 1},
        {"unit": "hospital"},
        {"accountant": "gdp"},
        {"seed": 1},
    ],
)
def test_a_spec_refuses_what_means_nothing(wrong) -> None:
    with pytest.raises(SpecError, match="privacy"):
        private(**wrong)


def test_nothing_but_a_private_job_imports_opacus() -> None:
    script = (
        "import json, sys; import protocol.learning.train, protocol.learning.privacy, protocol.node.node;"
        "print(json.dumps('opacus' in sys.modules))"
    )
    ran = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert json.loads(ran.stdout) is False
