"""The zoo: what it builds, what it refuses, and what a model costs."""

from __future__ import annotations

import json
from importlib import resources

import numpy as np
import pytest
import torch

from protocol.errors import LearningError, SpecError
from protocol.learning import zoo
from protocol.learning.train import initial_state
from protocol.spec import ModelSpec, StateSpec

LOGISTIC = ModelSpec("logistic_regression", {"inputs": 13, "outputs": 1})
MLP = ModelSpec("mlp", {"inputs": 13, "hidden": [8, 4], "outputs": 3})
ULTRASOUND = ModelSpec(
    "cnn", {"channels": 1, "height": 28, "width": 28, "classes": 2, "filters": [16, 32], "groups": 4}
)
LARGE = ModelSpec("mlp", {"inputs": 13, "hidden": [625, 625], "outputs": 1})
MODELS = [LOGISTIC, MLP, ULTRASOUND]


def by_name(model: ModelSpec) -> str:
    return model.architecture


def test_the_zoo_holds_what_the_schema_lists():
    schema = json.loads(resources.files("protocol").joinpath("schemas/job.json").read_text())
    assert list(zoo.ARCHITECTURES) == schema["properties"]["model"]["properties"]["architecture"]["enum"]


@pytest.mark.parametrize("model", MODELS, ids=by_name)
def test_a_model_gives_logits_for_each_record(model):
    records = torch.zeros(5, *zoo.input_shape(model))
    assert zoo.build(model)(records).shape == (5, model.outputs)


@pytest.mark.parametrize("model", MODELS, ids=by_name)
def test_the_state_holds_all_that_a_model_keeps(model):
    module = zoo.build(model)
    assert not list(module.buffers())
    assert zoo.shapes(model) == {name: tuple(value.shape) for name, value in module.state_dict().items()}
    assert zoo.parameter_count(model) == sum(value.numel() for value in module.parameters())


def test_an_odd_image_keeps_its_pixels_in_count():
    model = ModelSpec("cnn", {**ULTRASOUND.parameters, "height": 27, "width": 31})
    assert zoo.build(model)(torch.zeros(2, 1, 27, 31)).shape == (2, 2)


def test_the_layout_follows_the_state_spec():
    layout = zoo.layout(LOGISTIC, StateSpec(24, {"0.bias": 16}))
    assert (layout.names, layout.bits, layout.lanes) == (("0.bias", "0.weight"), (16, 24), 14)


def test_the_layout_refuses_a_tensor_that_the_model_lacks():
    with pytest.raises(LearningError, match="no tensor"):
        zoo.layout(LOGISTIC, StateSpec(24, {"fc.bias": 16}))


def test_the_large_model_of_the_benches():
    assert zoo.parameter_count(LARGE) == 400_626


def test_cost_grows_with_the_model_and_the_batch():
    small, large = zoo.cost(LOGISTIC, 16), zoo.cost(LARGE, 16)
    assert (small.parameters, small.state_bytes, small.multiply_adds) == (14, 56, 3 * 13)
    assert large.multiply_adds == 3 * (13 * 625 + 625 * 625 + 625)
    assert large.memory_bytes > 40 * large.parameters
    assert zoo.cost(ULTRASOUND, 64).memory_bytes > zoo.cost(ULTRASOUND, 16).memory_bytes


@pytest.mark.parametrize("model", MODELS, ids=by_name)
def test_multiply_adds_are_those_that_torch_counts(model):
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter:
        zoo.build(model)(torch.zeros(1, *zoo.input_shape(model)))
    assert zoo.cost(model, 1).multiply_adds == 3 * counter.get_total_flops() // 2


@pytest.mark.parametrize(
    ("model", "path", "reason"),
    [
        (ModelSpec("transformer", {}), "model.architecture", "transformer"),
        (ModelSpec("logistic_regression", {"inputs": 13}), "model.parameters", "'outputs' is missing"),
        (
            ModelSpec("logistic_regression", {"inputs": 0, "outputs": 1}),
            "model.parameters.inputs",
            "too small",
        ),
        (
            ModelSpec("logistic_regression", {"inputs": 1.5, "outputs": 1}),
            "model.parameters.inputs",
            "integer",
        ),
        (
            ModelSpec("logistic_regression", {"inputs": True, "outputs": 1}),
            "model.parameters.inputs",
            "integer",
        ),
        (
            ModelSpec("logistic_regression", {"inputs": 1, "outputs": 1, "code": "x"}),
            "model.parameters",
            "'code' is not a field",
        ),
        (
            ModelSpec("mlp", {"inputs": 1, "hidden": [], "outputs": 1}),
            "model.parameters.hidden",
            "at least 1",
        ),
        (
            ModelSpec("mlp", {"inputs": 1, "hidden": [8, 9999], "outputs": 1}),
            "model.parameters.hidden[1]",
            "too large",
        ),
        (ModelSpec("cnn", {**ULTRASOUND.parameters, "classes": 1}), "model.parameters.classes", "too small"),
        (
            ModelSpec("cnn", {**ULTRASOUND.parameters, "groups": 3}),
            "model.parameters.groups",
            "multiples of 3",
        ),
    ],
)
def test_the_zoo_refuses(model, path, reason):
    with pytest.raises(SpecError) as refusal:
        zoo.build(model)
    assert refusal.value.path == path
    assert reason in refusal.value.reason


def test_a_base_state_is_its_seeds():
    state = StateSpec(24, {})
    first = initial_state(MLP, state, 1)
    assert first.dtype == np.int32
    assert np.array_equal(first, initial_state(MLP, state, 1))
    assert not np.array_equal(first, initial_state(MLP, state, 2))


def test_a_base_state_leaves_torchs_generator_alone():
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    initial_state(MLP, StateSpec(24, {}), 1)
    assert torch.equal(torch.rand(1), expected)
