"""Gradient inversion: training images from the update that a hospital published.

The attack of Geiping et al. 2020 ("Inverting Gradients"): images are sought whose gradient points the same way as the
update, under a small total-variation prior, by Adam on the sign of the slope. Whoever reads chain and IPFS has all that
it takes: the state, the spec, the weights, the update. Labels are given to the attacker too, since they can mostly be
read off the last layer's bias (Zhao et al. 2020); that favours the attacker and changes nothing for a masked update.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from sklearn.datasets import load_digits
from torch import nn

from protocol.content.cid import digest_of, to_cid
from protocol.content.merkle import chunk_root
from protocol.learning import zoo
from protocol.learning.context import RoundContext
from protocol.learning.fixed_point import to_floats
from protocol.learning.masks import JobKey, mask
from protocol.learning.merge import merge, quantise, weights
from protocol.learning.train import initial_state, module_of, train
from protocol.spec import JobSpec, ModelSpec, StateSpec
from tests.attacks.federation import RETAIN_UNTIL

SIDE, CLASSES, LEARNING_RATE = 8, 10, 0.1
HOSPITALS = 3
# As few records as a dataset may have; and one, as an attacker who can have a job trained on it would like.
SIZES = (1, 10)
STEPS, STEP_SIZE, VARIATION = 1500, 0.05, 1e-3
MODEL = ModelSpec(
    "cnn",
    {"channels": 1, "height": SIDE, "width": SIDE, "classes": CLASSES, "filters": [16, 32], "groups": 4},
)
STATE = StateSpec(24, {})


@dataclass(frozen=True)
class Likeness:
    """How like the images are, each to its best match: means of SSIM (Wang et al. 2004, one window an image), PSNR in
    decibels, and cosine after the mean is taken off."""

    ssim: float
    psnr: float
    cosine: float


def spec_of(base: np.ndarray, records: int) -> JobSpec:
    """A job of one round, its training one step over all records."""
    schema = {
        "kind": "image",
        "name": "pixels",
        "rows": SIDE,
        "columns": SIDE,
        "channels": 1,
        "centre": 0,
        "scale": 1,
        "label": {"name": "digit", "positive": "> 0"},
    }
    return JobSpec.from_dict(
        {
            "protocol": "salus/1",
            "title": "Digits",
            "model": {"architecture": MODEL.architecture, "parameters": MODEL.parameters},
            "base": {"cid": to_cid(digest_of(base.tobytes())), "root": "0x" + chunk_root(base).hex()},
            "state": {"fraction_bits": STATE.fraction_bits},
            "data": {"schema": schema},
            "training": {
                "loss": "cross_entropy",
                "optimiser": {
                    "name": "sgd",
                    "learning_rate": LEARNING_RATE,
                    "momentum": 0,
                    "weight_decay": 0,
                },
                "batch_size": max(1, records),
                "local_epochs": 1,
                "seed": 1,
            },
            "rounds": 1,
            "merge": {"rule": "mean", "server_step": 65_536, "max_weight_bps": 10_000, "clip_norm": 10},
            "privacy": {"mechanism": "masked"},
            "purpose": {
                "permission": "HMB",
                "mondo": None,
                "pledges": [],
                "region": None,
                "irb_approval": None,
            },
            "hospitals": {"min": HOSPITALS, "max": HOSPITALS},
            "gate": {"accuracy_bps": 1},
            "reward": {
                "split_bps": {
                    "hospitals": 6000,
                    "caregivers": 1500,
                    "patients": 1500,
                    "merger": 500,
                    "dao": 500,
                }
            },
            "retain_until": RETAIN_UNTIL,
        }
    )


@dataclass
class Round:
    """One round of three hospitals with ``size`` images each, and what of it lies on IPFS."""

    spec: JobSpec
    base: np.ndarray
    images: list[np.ndarray]
    labels: list[np.ndarray]
    unmasked: list[np.ndarray]
    masked: list[np.ndarray]
    following: np.ndarray
    context: RoundContext
    keys: list[JobKey]


def played(size: int, seed: int) -> Round:
    """Trains, quantises, masks and merges as the nodes do."""
    digits = load_digits()
    chosen = np.random.default_rng(seed).permutation(len(digits.images))[: HOSPITALS * size]
    images = np.split((digits.images[chosen, None] / 16).astype(np.float32), HOSPITALS)
    labels = np.split(digits.target[chosen].astype(np.float32), HOSPITALS)
    base = initial_state(MODEL, STATE, seed)
    spec = spec_of(base, size)
    layout, shares = zoo.layout(MODEL, STATE), weights([size] * HOSPITALS)
    keys = [JobKey.new() for _ in range(HOSPITALS)]
    context = RoundContext(
        chain_id=1337,
        genesis="0x" + bytes(32).hex(),
        contract="0x" + bytes(20).hex(),
        job_id=1,
        spec=spec.digest,
        round=1,
        attempt=1,
        base=chunk_root(base),
        hospitals=(1, 2, 3),
        weights=tuple((share.numerator, share.denominator) for share in shares),
        mask_keys=tuple(key.public for key in keys),
        lanes=layout.lanes,
    )
    unmasked = [
        quantise(
            train(spec, base, records, truth, round=1, seed=number).delta,
            share,
            HOSPITALS,
            layout,
            spec.merge.clip_norm,
        )
        for number, (records, truth, share) in enumerate(zip(images, labels, shares, strict=True))
    ]
    masked = [mask(update, context, i + 1, keys[i]) for i, update in enumerate(unmasked)]
    return Round(spec, base, images, labels, unmasked, masked, merge(base, [masked]), context, keys)


def reconstruct(
    spec: JobSpec, base: np.ndarray, update: np.ndarray, labels: np.ndarray, seed: int
) -> np.ndarray:
    """Images float32[n, 1, 8, 8] whose gradient is most like ``update``, int32[lanes], the n labels given."""
    module = module_of(spec, base)
    for parameter in module.parameters():
        parameter.requires_grad_(True)
    tensors = to_floats(update, zoo.layout(spec.model, spec.state))
    # One step of SGD: the update is the gradient, times what is negative and alike for all lanes.
    wanted = [-torch.from_numpy(tensors[name]) for name, _ in module.named_parameters()]
    truth = torch.from_numpy(labels).long()
    generator = torch.Generator().manual_seed(seed)
    images = torch.rand((len(labels), 1, SIDE, SIDE), generator=generator).requires_grad_(True)
    optimiser = torch.optim.Adam([images], lr=STEP_SIZE)
    schedule = torch.optim.lr_scheduler.MultiStepLR(optimiser, [STEPS // 2, STEPS * 3 // 4], gamma=0.2)
    for _ in range(STEPS):
        optimiser.zero_grad()
        (_distance(module, images, truth, wanted) + VARIATION * _variation(images)).backward()
        images.grad.sign_()
        optimiser.step()
        schedule.step()
        with torch.no_grad():
            images.clamp_(0, 1)
    return images.detach().numpy()


def _distance(
    module: nn.Module, images: torch.Tensor, truth: torch.Tensor, wanted: list[torch.Tensor]
) -> torch.Tensor:
    """One minus the cosine between the gradient on these images and the wanted one."""
    loss = nn.functional.cross_entropy(module(images), truth)
    gradient = torch.autograd.grad(loss, list(module.parameters()), create_graph=True)
    dot = sum((a * b).sum() for a, b in zip(gradient, wanted, strict=True))
    lengths = [sum((each * each).sum() for each in side).sqrt() for side in (gradient, wanted)]
    return 1 - dot / (lengths[0] * lengths[1] + 1e-12)


def _variation(images: torch.Tensor) -> torch.Tensor:
    return images.diff(dim=2).abs().mean() + images.diff(dim=3).abs().mean()


def likeness(truth: np.ndarray, found: np.ndarray) -> Likeness:
    """Of float32[n, 1, h, w] each, matched one to one by least squared error."""
    a, b = (each.reshape(len(each), -1).astype(np.float64) for each in (truth, found))
    errors = ((a[:, None] - b[None]) ** 2).mean(axis=2)
    rows, columns = linear_sum_assignment(errors)
    pairs = [(a[i], b[j]) for i, j in zip(rows, columns, strict=True)]
    return Likeness(
        ssim=float(np.mean([_ssim(*pair) for pair in pairs])),
        psnr=float(
            np.mean([-10 * np.log10(max(errors[i, j], 1e-10)) for i, j in zip(rows, columns, strict=True)])
        ),
        cosine=float(np.mean([_cosine(*pair) for pair in pairs])),
    )


def _ssim(a: np.ndarray, b: np.ndarray) -> float:
    one, two = 0.01**2, 0.03**2
    covariance = ((a - a.mean()) * (b - b.mean())).mean()
    return ((2 * a.mean() * b.mean() + one) * (2 * covariance + two)) / (
        (a.mean() ** 2 + b.mean() ** 2 + one) * (a.var() + b.var() + two)
    )


def _cosine(a: np.ndarray, b: np.ndarray) -> float:
    a, b = a - a.mean(), b - b.mean()
    return float(a @ b / (np.linalg.norm(a) * np.linalg.norm(b) + 1e-12))


def run(seed: int = 1) -> dict[str, Any]:
    """Likeness of what is reconstructed of hospital 1's images, by their number and by what was attacked."""
    torch.set_num_threads(1)
    result: dict[str, Any] = {}
    for size in SIZES:
        game = played(size, seed)
        everybody = np.concatenate(game.labels)
        step = (game.following.astype(np.int64) - game.base).astype(np.int32)
        noise = np.random.default_rng(seed).random(game.images[0].shape, np.float32)
        attempts = {
            "its unmasked update": reconstruct(game.spec, game.base, game.unmasked[0], game.labels[0], seed),
            "its masked update": reconstruct(game.spec, game.base, game.masked[0], game.labels[0], seed),
            "the merge of the three": reconstruct(game.spec, game.base, step, everybody, seed),
            "nothing: random pixels": noise,
        }
        result[str(size)] = {name: vars(likeness(game.images[0], found)) for name, found in attempts.items()}
    return result
