"""Local training of one round: FedAvg's client step (McMahan et al. 2017).

Training is single-threaded and seeded: on one machine the same state, data, round and seed give the same
update, whatever number of threads torch was told to use. Another processor may round otherwise, so nothing in
the protocol rests on it: an update is its hospital's own word, and only the merge is repeated by others.
With differential privacy (``dp_sgd``) sampling and noise come from the system's generator, and no seed
repeats them.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from hashlib import sha256

import numpy as np
import torch
from torch import nn

from protocol.errors import DataError, LearningError, NotFinite
from protocol.learning import zoo
from protocol.learning.fixed_point import from_floats, to_floats
from protocol.spec import AugmentSpec, JobSpec, ModelSpec, OptimiserSpec, StateSpec


@dataclass(frozen=True, slots=True)
class LocalResult:
    """``delta`` is local minus global, float64[lanes]; ``loss`` the mean over the records seen in the last
    local epoch, None with differential privacy, for it speaks of training records without noise; ``seconds``
    the wall time of training."""

    delta: np.ndarray
    loss: float | None
    seconds: float


@contextmanager
def one_thread() -> Iterator[None]:
    """Single-threaded, deterministic torch inside; what it was, outside."""
    threads, mode = torch.get_num_threads(), torch.get_deterministic_debug_mode()
    torch.set_num_threads(1)
    # As use_deterministic_algorithms(True), which would first import the compiler, for more than a second.
    torch.set_deterministic_debug_mode("error")
    try:
        yield
    finally:
        torch.set_deterministic_debug_mode(mode)
        torch.set_num_threads(threads)


def initial_state(model: ModelSpec, state: StateSpec, seed: int) -> np.ndarray:
    """A fresh base state int32[lanes] with torch's own initial weights for this seed."""
    with one_thread(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(_seed("initial", seed))
        module = zoo.build(model)
    tensors = {name: parameter.detach().numpy() for name, parameter in module.named_parameters()}
    return from_floats(tensors, zoo.layout(model, state))


def module_of(spec: JobSpec, state: np.ndarray) -> nn.Module:
    """The spec's model with the weights of the state int32[lanes]. Raises WrongLength."""
    tensors = to_floats(state, zoo.layout(spec.model, spec.state))
    with torch.device("meta"):
        module = zoo.build(spec.model)
    module.load_state_dict({name: torch.from_numpy(tensor) for name, tensor in tensors.items()}, assign=True)
    return module


def loss_of(name: str, logits: torch.Tensor, labels: torch.Tensor, reduction: str = "mean") -> torch.Tensor:
    """The loss of logits [n, k] against labels float32[n]: ``binary_cross_entropy`` (k = 1) or
    ``cross_entropy``."""
    if name == "binary_cross_entropy":
        return nn.functional.binary_cross_entropy_with_logits(logits.squeeze(1), labels, reduction=reduction)
    return nn.functional.cross_entropy(logits, labels.long(), reduction=reduction)


def tensors_of(spec: JobSpec, records: np.ndarray, labels: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
    """Both as float32 tensors. Raises DataError when they do not fit the model, NotFinite."""
    shape = zoo.input_shape(spec.model)
    if len(records) == 0 or records.shape[1:] != shape or labels.shape != (len(records),):
        raise DataError(
            f"Records {records.shape} with labels {labels.shape} do not fit a model that takes {shape}."
        )
    if not (np.isfinite(records).all() and np.isfinite(labels).all()):
        raise NotFinite("The records hold NaN or infinity.")
    classes = max(2, spec.model.outputs)
    if (labels < 0).any() or (labels >= classes).any() or (labels != np.rint(labels)).any():
        raise DataError(f"Labels must be whole numbers from 0 to {classes - 1}.")
    return (
        torch.from_numpy(np.ascontiguousarray(records, np.float32)),
        torch.from_numpy(np.ascontiguousarray(labels, np.float32)),
    )


def train(
    spec: JobSpec,
    state: np.ndarray,
    records: np.ndarray,
    labels: np.ndarray,
    *,
    round: int,
    seed: int,
    max_seconds: float = math.inf,
    patients: np.ndarray | None = None,
) -> LocalResult:
    """Trains ``local_epochs`` from the global state int32[lanes] on records float32[n, ...] and labels
    float32[n].

    ``seed`` is the hospital's own; with the spec's seed and the round it fixes the order of the records, and how
    pictures are augmented.
    ``patients`` int[n] groups the records by patient, for differential privacy whose unit is the patient.
    Raises DataError, WrongLength, NotFinite when training diverges, and LearningError after ``max_seconds``.
    """
    started = time.perf_counter()
    inputs, targets = tensors_of(spec, records, labels)
    module = module_of(spec, state)
    start = {
        name: parameter.detach().numpy().astype(np.float64) for name, parameter in module.named_parameters()
    }
    if spec.privacy.dp and (spec.privacy.dp.unit == "patient") != (patients is not None):
        raise LearningError(
            "The unit of differential privacy is the patient if and only if records name theirs."
        )
    deadline, mean_loss = started + max_seconds, None
    try:
        with one_thread():
            if spec.privacy.dp:
                # Opacus takes seconds to import, and most jobs do without.
                from protocol.learning.dp_sgd import train_privately

                optimiser = _optimiser(spec.training.optimiser, module)
                loss = partial(loss_of, spec.training.loss, reduction="sum")
                train_privately(spec, module, optimiser, loss, inputs, targets, patients, deadline)
            else:
                generator = torch.Generator().manual_seed(_seed("train", spec.training.seed, round, seed))
                mean_loss = _epochs(spec, module, inputs, targets, generator, deadline)
    except (MemoryError, RuntimeError) as error:
        # torch says so when the policy's memory is used up, or a model cannot run on this machine.
        raise LearningError(
            f"Training failed: {str(error).splitlines()[0] if str(error) else 'out of memory'}.",
            "The hospital's policy bounds memory: `max_memory_mib`.",
        ) from error
    layout = zoo.layout(spec.model, spec.state)
    trained = dict(module.named_parameters())
    delta = np.concatenate(
        [(trained[name].detach().numpy().astype(np.float64) - start[name]).ravel() for name in layout.names]
    )
    if not np.isfinite(delta).all():
        raise NotFinite("Training diverged: the weights hold NaN or infinity.", "Lower the learning rate.")
    return LocalResult(delta, mean_loss, time.perf_counter() - started)


def _epochs(
    spec: JobSpec,
    module: nn.Module,
    inputs: torch.Tensor,
    targets: torch.Tensor,
    generator: torch.Generator,
    deadline: float,
) -> float:
    """Trains ``module`` in place; returns the mean loss of the last epoch. Raises LearningError past the deadline."""
    optimiser = _optimiser(spec.training.optimiser, module)
    mean_loss = 0.0
    for _ in range(spec.training.local_epochs):
        mean_loss = 0.0
        for batch in torch.randperm(len(inputs), generator=generator).split(spec.training.batch_size):
            optimiser.zero_grad()
            records = inputs[batch]
            if spec.training.augment:
                records = augmented(records, spec.training.augment, generator)
            loss = loss_of(spec.training.loss, module(records), targets[batch])
            loss.backward()
            optimiser.step()
            mean_loss += loss.item() * len(batch) / len(inputs)
            if time.perf_counter() > deadline:
                raise LearningError(
                    "A round's training took longer than allowed.",
                    "The hospital's policy bounds it: `max_round_seconds`.",
                )
    return mean_loss


def augmented(pictures: torch.Tensor, augment: AugmentSpec, generator: torch.Generator) -> torch.Tensor:
    """Pictures float32[n, channels, rows, columns], each changed at random within the bounds of ``augment``; what comes
    in from beyond an edge has the edge's colour."""

    def drawn() -> torch.Tensor:
        return torch.rand(len(pictures), generator=generator) * 2 - 1

    mirror = torch.where(drawn() < 0, -1.0, 1.0) if augment.flip else torch.ones(len(pictures))
    angle, size = drawn() * math.radians(augment.rotate), 1 + drawn() * augment.zoom
    # Coordinates run from -1 to 1: a side is two of them.
    across, down = drawn() * 2 * augment.shift, drawn() * 2 * augment.shift
    rows, columns = pictures.shape[2:]
    along, aslant = size * angle.cos(), size * angle.sin()
    places = torch.stack(
        [
            torch.stack([mirror * along, -aslant * rows / columns, across], 1),
            torch.stack([mirror * aslant * columns / rows, along, down], 1),
        ],
        1,
    )
    grid = nn.functional.affine_grid(places, list(pictures.shape), align_corners=False)
    moved = nn.functional.grid_sample(pictures, grid, padding_mode="border", align_corners=False)
    contrast, brightness = (drawn()[:, None, None, None] * augment.contrast for _ in range(2))
    return moved * (1 + contrast) + brightness


def _optimiser(optimiser: OptimiserSpec, module: nn.Module) -> torch.optim.Optimizer:
    if optimiser.name == "sgd":
        return torch.optim.SGD(
            module.parameters(),
            lr=optimiser.learning_rate,
            weight_decay=optimiser.weight_decay,
            momentum=optimiser.momentum,
        )
    return torch.optim.Adam(
        module.parameters(), lr=optimiser.learning_rate, weight_decay=optimiser.weight_decay
    )


def _seed(use: str, *numbers: int) -> int:
    """A 63-bit seed of its own for each use."""
    text = "/".join(["salus", use, *map(str, numbers)])
    return int.from_bytes(sha256(text.encode()).digest()[:8], "big") >> 1
