"""Metrics against scikit-learn's, and where they are undefined."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import brier_score_loss, log_loss, recall_score, roc_auc_score

from protocol.errors import DataError, NotFinite, WrongLength
from protocol.learning import zoo
from protocol.learning.fixed_point import from_floats
from protocol.learning.metrics import auc, evaluate, predict
from protocol.learning.train import initial_state
from protocol.spec import JobSpec
from tests.protocol.job_documents import MLP, image_job, job

SPEC = JobSpec.from_dict(job())
STATE = from_floats(
    {"0.weight": np.array([[1.0, -0.5, 0.25]]), "0.bias": np.array([0.125])},
    zoo.layout(SPEC.model, SPEC.state),
)
RNG = np.random.default_rng(4)
RECORDS = RNG.normal(size=(200, 3)).astype(np.float32)
LABELS = (RECORDS[:, 0] + RNG.normal(size=200) > 0).astype(np.float32)


def test_predictions_are_the_logistic_function():
    logits = RECORDS.astype(np.float64) @ [1.0, -0.5, 0.25] + 0.125
    assert predict(SPEC, STATE, RECORDS) == pytest.approx(1 / (1 + np.exp(-logits)), abs=1e-6)


def test_metrics_are_scikit_learns():
    metrics = evaluate(SPEC, STATE, RECORDS, LABELS)
    probabilities = predict(SPEC, STATE, RECORDS)
    predicted = probabilities > 0.5
    assert (metrics.correct, metrics.total) == (int((predicted == LABELS).sum()), 200)
    assert metrics.accuracy == metrics.correct / 200
    assert metrics.loss == pytest.approx(log_loss(LABELS, probabilities), rel=1e-6)
    assert metrics.auc == pytest.approx(roc_auc_score(LABELS, probabilities))
    assert metrics.sensitivity == pytest.approx(recall_score(LABELS, predicted))
    assert metrics.specificity == pytest.approx(recall_score(LABELS, predicted, pos_label=0))
    assert metrics.brier == pytest.approx(brier_score_loss(LABELS, probabilities))


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=1, max_size=40))
def test_auc_with_ties(pairs):
    scores = np.array([score for score, _ in pairs], np.float64)
    positive = np.array([truth for _, truth in pairs])
    if positive.all() or not positive.any():
        assert auc(scores, positive) is None
    else:
        assert auc(scores, positive) == pytest.approx(roc_auc_score(positive, scores))


def test_a_hospital_with_one_class_has_no_auc():
    sick = evaluate(SPEC, STATE, RECORDS, np.ones(200, np.float32))
    assert (sick.auc, sick.specificity) == (None, None)
    assert sick.sensitivity == sick.accuracy
    well = evaluate(SPEC, STATE, RECORDS, np.zeros(200, np.float32))
    assert (well.auc, well.sensitivity) == (None, None)
    assert well.specificity == well.accuracy


def test_two_classes_of_images_are_binary():
    spec = JobSpec.from_dict(image_job())
    state = initial_state(spec.model, spec.state, 1)
    records = RNG.normal(size=(20, 1, 12, 12)).astype(np.float32)
    labels = np.arange(20, dtype=np.float32) % 2
    probabilities = predict(spec, state, records)
    metrics = evaluate(spec, state, records, labels)
    assert probabilities.shape == (20,)
    assert metrics.loss == pytest.approx(log_loss(labels, probabilities), rel=1e-5)
    assert metrics.auc is not None


def test_three_classes_have_accuracy_and_loss():
    model = {**MLP, "parameters": {**MLP["parameters"], "outputs": 3}}
    spec = JobSpec.from_dict(job(model=model, training__loss="cross_entropy"))
    state = initial_state(spec.model, spec.state, 1)
    labels = np.arange(200, dtype=np.float32) % 3
    probabilities = predict(spec, state, RECORDS)
    metrics = evaluate(spec, state, RECORDS, labels)
    assert probabilities.shape == (200, 3)
    assert probabilities.sum(axis=1) == pytest.approx(np.ones(200))
    assert metrics.correct == int((probabilities.argmax(axis=1) == labels).sum())
    assert metrics.loss == pytest.approx(log_loss(labels, probabilities), rel=1e-5)
    assert metrics.auc is metrics.sensitivity is metrics.specificity is metrics.brier is None


def test_extreme_logits_stay_finite():
    records = np.array([[120, -120, 120], [-120, 120, -120]], np.float32) * 100
    metrics = evaluate(SPEC, STATE, records, np.array([0, 1], np.float32))
    assert metrics.correct == 0
    assert np.isfinite(metrics.loss)
    assert metrics.brier == pytest.approx(1.0)


def test_metrics_are_a_document_of_plain_numbers():
    document = evaluate(SPEC, STATE, RECORDS, LABELS).to_dict()
    assert list(document) == ["correct", "total", "loss", "auc", "sensitivity", "specificity", "brier"]
    assert all(type(value) in (int, float) for value in document.values())


def test_metrics_refuse_what_training_refuses():
    with pytest.raises(WrongLength):
        evaluate(SPEC, STATE[:-1], RECORDS, LABELS)
    with pytest.raises(DataError):
        evaluate(SPEC, STATE, RECORDS[:, :2], LABELS)
    with pytest.raises(DataError):
        predict(SPEC, STATE, RECORDS[:0])
    with pytest.raises(NotFinite):
        predict(SPEC, STATE, np.full((1, 3), np.nan, np.float32))
