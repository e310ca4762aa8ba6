"""How good a state is on held-out records: figures over all of them, never for one."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
import torch

from protocol.learning.train import loss_of, module_of, one_thread, tensors_of
from protocol.spec import JobSpec

BLOCK_RECORDS = 4096


@dataclass(frozen=True, slots=True)
class Metrics:
    """``correct`` of ``total`` records; ``loss`` is their mean. The others are for two classes and else
    None; AUC is None as well when only one class is there, sensitivity without positives, specificity
    without negatives."""

    correct: int
    total: int
    loss: float
    auc: float | None
    sensitivity: float | None
    specificity: float | None
    brier: float | None

    @property
    def accuracy(self) -> float:
        return self.correct / self.total

    def to_dict(self) -> dict[str, int | float | None]:
        return asdict(self)


def predict(spec: JobSpec, state: np.ndarray, records: np.ndarray) -> np.ndarray:
    """Probabilities float64[n] of the positive class (one output or two classes), or float64[n, classes].

    ``records`` are float32[n, ...], the state int32[lanes]. Raises DataError, NotFinite, WrongLength.
    """
    return _probabilities(_logits(spec, state, records, np.zeros(len(records), np.float32)))


def evaluate(spec: JobSpec, state: np.ndarray, records: np.ndarray, labels: np.ndarray) -> Metrics:
    """Metrics of the state int32[lanes] on records float32[n, ...] and labels float32[n].

    The threshold of two classes is a probability above one half. Raises DataError, NotFinite, WrongLength.
    """
    logits = _logits(spec, state, records, labels)
    with one_thread():
        summed = loss_of(
            spec.training.loss,
            torch.from_numpy(logits),
            torch.from_numpy(labels.astype(np.float64)),
            reduction="sum",
        )
    loss = float(summed) / len(labels)
    probabilities = _probabilities(logits)
    if probabilities.ndim == 2:
        correct = int((probabilities.argmax(axis=1) == labels).sum())
        return Metrics(correct, len(labels), loss, None, None, None, None)
    positive = labels == 1
    predicted = probabilities > 0.5
    return Metrics(
        correct=int((predicted == positive).sum()),
        total=len(labels),
        loss=loss,
        auc=auc(probabilities, positive),
        sensitivity=_share(predicted[positive]),
        specificity=_share(~predicted[~positive]),
        brier=float(np.mean((probabilities - positive) ** 2)),
    )


def auc(scores: np.ndarray, positive: np.ndarray) -> float | None:
    """Area under the ROC curve (Mann-Whitney, ties count one half). None without both classes."""
    positives = int(positive.sum())
    negatives = len(positive) - positives
    if not positives or not negatives:
        return None
    _, place, counts = np.unique(scores, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    ranks = (last - (counts - 1) / 2)[place]
    return float((ranks[positive].sum() - positives * (positives + 1) / 2) / (positives * negatives))


def _logits(spec: JobSpec, state: np.ndarray, records: np.ndarray, labels: np.ndarray) -> np.ndarray:
    inputs, _ = tensors_of(spec, records, labels)
    module = module_of(spec, state)
    with one_thread(), torch.inference_mode():
        blocks = [module(block).double().numpy() for block in inputs.split(BLOCK_RECORDS)]
    return np.concatenate(blocks)


def _probabilities(logits: np.ndarray) -> np.ndarray:
    if logits.shape[1] == 1:
        return np.exp(-np.logaddexp(0.0, -logits[:, 0]))
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    probabilities = shifted / shifted.sum(axis=1, keepdims=True)
    return probabilities[:, 1] if logits.shape[1] == 2 else probabilities


def _share(hits: np.ndarray) -> float | None:
    return float(hits.mean()) if len(hits) else None
