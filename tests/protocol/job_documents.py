"""Job spec documents for tests: a small tabular job, and the same with something changed."""

from __future__ import annotations

import copy
from typing import Any

from protocol.content.cid import digest_of, to_cid

DOCUMENT: dict[str, Any] = {
    "protocol": "salus/1",
    "title": "Heart disease from three measurements",
    "model": {"architecture": "logistic_regression", "parameters": {"inputs": 3, "outputs": 1}},
    "base": {"cid": to_cid(digest_of(b"base")), "root": "0x" + "5a" * 32},
    "state": {"fraction_bits": 24},
    "data": {
        "schema": {
            "kind": "tabular",
            "name": "three-measurements",
            "columns": [
                {"name": "age", "type": "number", "centre": 54, "scale": 9},
                {"name": "cp", "type": "category", "levels": [1, 2, 3], "centre": [0, 0], "scale": [1, 1]},
            ],
            "label": {"name": "num", "positive": "> 0"},
        }
    },
    "training": {
        "loss": "binary_cross_entropy",
        "optimiser": {"name": "sgd", "learning_rate": 0.1, "momentum": 0.5, "weight_decay": 0.001},
        "batch_size": 16,
        "local_epochs": 2,
        "seed": 7,
    },
    "rounds": 12,
    "merge": {"rule": "mean", "server_step": 65536, "max_weight_bps": 6000, "clip_norm": 10},
    "privacy": {"mechanism": "none"},
    "purpose": {"permission": "HMB", "mondo": None, "pledges": ["PUB"], "region": None, "irb_approval": None},
    "hospitals": {"min": 3, "max": 4},
    "gate": {"accuracy_bps": 7000},
    "reward": {
        "split_bps": {"hospitals": 6000, "caregivers": 1500, "patients": 1500, "merger": 500, "dao": 500}
    },
    "retain_until": 2_000_000_000,
}

MLP = {"architecture": "mlp", "parameters": {"inputs": 3, "hidden": [8, 4], "outputs": 1}}
CNN = {
    "architecture": "cnn",
    "parameters": {"channels": 1, "height": 12, "width": 12, "classes": 2, "filters": [4, 8], "groups": 2},
}
PICTURES = {
    "kind": "image",
    "name": "small-pictures",
    "rows": 12,
    "columns": 12,
    "channels": 1,
    "centre": 0.5,
    "scale": 0.25,
    "label": {"name": "finding", "positive": "== 1"},
}


def job(**changes: Any) -> dict[str, Any]:
    """A copy of the document; a key such as ``training__loss`` names a field within a field."""
    document = copy.deepcopy(DOCUMENT)
    for path, value in changes.items():
        *outer, last = path.split("__")
        place = document
        for name in outer:
            place = place[name]
        place[last] = copy.deepcopy(value)
    return document


def image_job() -> dict[str, Any]:
    return job(model=CNN, training__loss="cross_entropy", data__schema=PICTURES)
