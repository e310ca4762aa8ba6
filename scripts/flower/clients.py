"""The hospitals of bench_flower as Flower's clients, and the job that all of its processes read. See run.py."""

from __future__ import annotations

import json
import os
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from flwr.app import ArrayRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from torch import nn


@cache
def arrays() -> dict[str, np.ndarray]:
    """Read once in each process, as a client that keeps its records would."""
    with np.load(os.environ["FLOWER_JOB"]) as file:
        return dict(file)


@cache
def job() -> dict[str, Any]:
    torch.set_num_threads(1)
    return json.loads(str(arrays()["job"]))


def model() -> nn.Module:
    """As `protocol.learning.zoo.mlp`."""
    sizes = [arrays()["train_x.0"].shape[1], *job()["hidden"]]
    layers: list[nn.Module] = []
    for size, following in pairwise(sizes):
        layers += [nn.Linear(size, following), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(sizes[-1], 1))


def loaded(message: Message) -> nn.Module:
    module = model()
    module.load_state_dict(message.content["arrays"].to_torch_state_dict())
    return module


def records(context: Context, split: str) -> tuple[torch.Tensor, torch.Tensor]:
    number = int(context.node_config["partition-id"])
    return tuple(torch.from_numpy(arrays()[f"{split}_{part}.{number}"]) for part in "xy")


client = ClientApp()


@client.train()
def train(message: Message, context: Context) -> Message:
    module = loaded(message)
    inputs, labels = records(context, "train")
    optimiser = torch.optim.SGD(module.parameters(), lr=job()["learning_rate"])
    loss = torch.zeros(())
    for _ in range(job()["local_epochs"]):
        for batch in torch.randperm(len(inputs)).split(job()["batch_size"]):
            optimiser.zero_grad()
            loss = nn.functional.binary_cross_entropy_with_logits(
                module(inputs[batch]).squeeze(1), labels[batch]
            )
            loss.backward()
            optimiser.step()
    metrics = MetricRecord({"num-examples": len(inputs), "loss": loss.item()})
    content = RecordDict({"arrays": ArrayRecord(module.state_dict()), "metrics": metrics})
    return Message(content=content, reply_to=message)


@client.evaluate()
def evaluate(message: Message, context: Context) -> Message:
    module = loaded(message)
    inputs, labels = records(context, "held_out")
    with torch.inference_mode():
        correct = ((module(inputs).squeeze(1) > 0) == (labels == 1)).double().mean().item()
    metrics = MetricRecord({"num-examples": len(inputs), "accuracy": correct})
    return Message(content=RecordDict({"metrics": metrics}), reply_to=message)
