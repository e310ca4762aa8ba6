"""The vetted architectures that a job spec may name.

A spec names an architecture and bounded parameters, never code. No architecture keeps buffers (running
statistics would leave the merge), so normalisation is GroupNorm (Wu & He 2018).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import nn

from protocol.errors import LearningError
from protocol.learning.fixed_point import Layout
from protocol.spec import ModelSpec, StateSpec

FLOAT_BYTES = 4
# Weights, gradients, two moments of Adam and the global copy as float32, the update as float64, the states
# as int32.
BYTES_PER_PARAMETER = 4 * 5 + 8 + 4 * 3


@dataclass(frozen=True, slots=True)
class Architecture:
    """How to build a model, and what one record is to it.

    ``input_shape`` is a record's shape; ``activations`` the float32 numbers that training keeps of one
    record; ``multiply_adds`` those of one record's forward pass.
    """

    build: Callable[[Mapping[str, Any]], nn.Module]
    input_shape: Callable[[Mapping[str, Any]], tuple[int, ...]]
    activations: Callable[[Mapping[str, Any]], int]
    multiply_adds: Callable[[Mapping[str, Any]], int]


@dataclass(frozen=True, slots=True)
class Cost:
    """What a model asks of a hospital's machine. ``memory_bytes`` is training at the given batch size,
    without torch itself; ``multiply_adds`` is training on one record once (forward, and twice that
    backward)."""

    parameters: int
    state_bytes: int
    memory_bytes: int
    multiply_adds: int


def logistic_regression(inputs: int, outputs: int = 1) -> nn.Module:
    """float32[n, inputs] -> logits float32[n, outputs]."""
    return nn.Sequential(nn.Linear(inputs, outputs))


def mlp(inputs: int, hidden: list[int], outputs: int) -> nn.Module:
    """float32[n, inputs] -> logits float32[n, outputs], ReLU between the layers."""
    sizes = [inputs, *hidden]
    layers: list[nn.Module] = []
    for size, following in pairwise(sizes):
        layers += [nn.Linear(size, following), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(sizes[-1], outputs))


def cnn(channels: int, height: int, width: int, classes: int, filters: list[int], groups: int) -> nn.Module:
    """float32[n, channels, height, width] -> logits float32[n, classes].

    One block for each of ``filters``: 3x3 convolution, GroupNorm of ``groups`` groups, ReLU, 2x2 pooling.
    """
    sizes = [channels, *filters]
    layers: list[nn.Module] = []
    for size, following in pairwise(sizes):
        layers += [
            nn.Conv2d(size, following, kernel_size=3, padding=1),
            nn.GroupNorm(groups, following),
            nn.ReLU(),
            nn.MaxPool2d(2),
        ]
    shrink = 2 ** len(filters)
    features = filters[-1] * (height // shrink) * (width // shrink)
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(features, classes))


def _dense_sizes(parameters: Mapping[str, Any]) -> list[int]:
    return [parameters["inputs"], *parameters.get("hidden", []), parameters["outputs"]]


def _dense_activations(parameters: Mapping[str, Any]) -> int:
    return 2 * sum(_dense_sizes(parameters))


def _dense_multiply_adds(parameters: Mapping[str, Any]) -> int:
    sizes = _dense_sizes(parameters)
    return sum(size * following for size, following in pairwise(sizes))


def _cnn_pixels(parameters: Mapping[str, Any]) -> list[int]:
    """Pixels of each convolution's output, and of what reaches the last layer."""
    height, width = parameters["height"], parameters["width"]
    return [(height >> depth) * (width >> depth) for depth in range(len(parameters["filters"]) + 1)]


def _cnn_activations(parameters: Mapping[str, Any]) -> int:
    # Convolution, normalisation and ReLU each keep their output; pooling keeps a quarter and its indices.
    kept = sum(
        4 * count * size for count, size in zip(parameters["filters"], _cnn_pixels(parameters), strict=False)
    )
    return kept + parameters["channels"] * parameters["height"] * parameters["width"]


def _cnn_multiply_adds(parameters: Mapping[str, Any]) -> int:
    pixels = _cnn_pixels(parameters)
    sizes = [parameters["channels"], *parameters["filters"]]
    convolutions = zip(pairwise(sizes), pixels, strict=False)
    return (
        sum(9 * size * following * count for (size, following), count in convolutions)
        + sizes[-1] * pixels[-1] * parameters["classes"]
    )


ARCHITECTURES: Mapping[str, Architecture] = {
    "logistic_regression": Architecture(
        build=lambda parameters: logistic_regression(**parameters),
        input_shape=lambda parameters: (parameters["inputs"],),
        activations=_dense_activations,
        multiply_adds=_dense_multiply_adds,
    ),
    "mlp": Architecture(
        build=lambda parameters: mlp(**parameters),
        input_shape=lambda parameters: (parameters["inputs"],),
        activations=_dense_activations,
        multiply_adds=_dense_multiply_adds,
    ),
    "cnn": Architecture(
        build=lambda parameters: cnn(**parameters),
        input_shape=lambda parameters: (parameters["channels"], parameters["height"], parameters["width"]),
        activations=_cnn_activations,
        multiply_adds=_cnn_multiply_adds,
    ),
}


def check(model: ModelSpec) -> Architecture:
    """The architecture that a model names. Raises SpecError for an unknown one or for parameters out of
    bounds."""
    model.check()
    return ARCHITECTURES[model.architecture]


def build(model: ModelSpec) -> nn.Module:
    """The model with torch's own initial weights, drawn from torch's global generator. Raises SpecError."""
    return check(model).build(model.parameters)


def shapes(model: ModelSpec) -> dict[str, tuple[int, ...]]:
    """Name and shape of each tensor, without allocating any."""
    architecture = check(model)
    with torch.device("meta"):
        module = architecture.build(model.parameters)
    if buffers := [name for name, _ in module.named_buffers()]:
        raise LearningError(
            f"{model.architecture} keeps buffers, which no merge carries: {', '.join(buffers)}."
        )
    return {name: tuple(parameter.shape) for name, parameter in module.named_parameters()}


def layout(model: ModelSpec, state: StateSpec) -> Layout:
    """Where the model's tensors lie in the state vector. Raises SpecError, LearningError."""
    return Layout.of(shapes(model), state.fraction_bits, state.tensors)


def input_shape(model: ModelSpec) -> tuple[int, ...]:
    """The shape of one record."""
    return check(model).input_shape(model.parameters)


def parameter_count(model: ModelSpec) -> int:
    """How many numbers the model's state has. Raises SpecError."""
    return sum(math.prod(shape) for shape in shapes(model).values())


def cost(model: ModelSpec, batch_size: int) -> Cost:
    """What training the model asks of a machine; an estimate for admission policies. Raises SpecError."""
    architecture = check(model)
    parameters = parameter_count(model)
    return Cost(
        parameters=parameters,
        state_bytes=FLOAT_BYTES * parameters,
        memory_bytes=BYTES_PER_PARAMETER * parameters
        + 2 * FLOAT_BYTES * batch_size * architecture.activations(model.parameters),
        multiply_adds=3 * architecture.multiply_adds(model.parameters),
    )
