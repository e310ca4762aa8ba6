"""Local training with differential privacy: DP-SGD with Opacus's gradients and clipping, and the system's randomness.

Not seeded: who could repeat the sampling or the noise would see through it. The journal, not a seed, keeps a node from
sending two updates for one attempt.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable

import numpy as np
import torch
from opacus import GradSampleModule
from opacus.optimizers import DPOptimizer
from torch import nn

from protocol.errors import LearningError
from protocol.learning import noise
from protocol.learning.privacy import dp_of, spending
from protocol.spec import JobSpec


class SystemNoiseOptimizer(DPOptimizer):
    """Opacus's optimiser with noise from the system's generator in place of torch's."""

    def add_noise(self) -> None:
        """Adds to each clipped sum, in float64, noise of deviation noise_multiplier x max_grad_norm."""
        deviation = self.noise_multiplier * self.max_grad_norm
        for parameter in self.params:
            drawn = torch.from_numpy(noise.normal(tuple(parameter.shape))) * deviation
            clipped = parameter.summed_grad.to(torch.float64).view_as(parameter)
            parameter.grad = (clipped + drawn).to(parameter.dtype)


def train_privately(
    spec: JobSpec,
    module: nn.Module,
    optimiser: torch.optim.Optimizer,
    loss: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
    inputs: torch.Tensor,
    targets: torch.Tensor,
    patients: np.ndarray | None,
    deadline: float,
) -> None:
    """Trains ``module`` in place with ``optimiser``, as long as ``spending`` says.

    ``loss`` of logits and labels is summed over records. ``patients`` int[n] gives the records of one patient the same
    number: then the unit is the patient, whose gradient is the mean over the patient's records. None: the unit is the
    record. No loss comes back: it would speak of training records without noise. Raises LearningError past ``deadline``
    (``time.perf_counter``).
    """
    dp = dp_of(spec)
    owner = np.arange(len(inputs)) if patients is None else np.unique(patients, return_inverse=True)[1]
    units = int(owner.max()) + 1
    cost = spending(spec, units)
    private = GradSampleModule(module, loss_reduction="sum")
    noisy = SystemNoiseOptimizer(
        optimiser,
        noise_multiplier=dp.noise_multiplier,
        max_grad_norm=dp.max_grad_norm,
        expected_batch_size=min(spec.training.batch_size, units),
        loss_reduction="mean",
    )
    for _ in range(cost.steps):
        noisy.zero_grad()
        drawn = noise.uniform(units) < cost.sample_rate
        batch = torch.from_numpy(np.flatnonzero(drawn[owner]))
        if len(batch):
            _backward(loss(private(inputs[batch]), targets[batch]))
            if patients is not None:
                _by_patient(module, owner[batch.numpy()])
        else:
            # Noise alone is a step too: to leave it out would tell that nobody was drawn.
            for parameter in module.parameters():
                parameter.grad_sample = parameter.new_zeros((0, *parameter.shape))
        noisy.step()
        if time.perf_counter() > deadline:
            raise LearningError(
                "A round's training took longer than allowed.",
                "The hospital's policy bounds it: `max_round_seconds`.",
            )


def _backward(loss: torch.Tensor) -> None:
    with warnings.catch_warnings():
        # Of no consequence: the first layer's input needs no gradient, and Opacus asks for none.
        warnings.filterwarnings("ignore", message="Full backward hook is firing")
        loss.backward()


def _by_patient(module: nn.Module, owners: np.ndarray) -> None:
    """Puts the mean gradient of each patient in the place of those of the patient's records."""
    patients, place, counts = np.unique(owners, return_inverse=True, return_counts=True)
    shares = torch.from_numpy(1.0 / counts[place]).to(torch.float32)
    for parameter in module.parameters():
        samples = parameter.grad_sample
        weighted = samples * shares.view(-1, *[1] * (samples.dim() - 1))
        means = samples.new_zeros((len(patients), *samples.shape[1:]))
        parameter.grad_sample = means.index_add_(0, torch.from_numpy(place), weighted)
