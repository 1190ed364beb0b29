"""AUROC, ECE and Brier score against scikit-learn and explicit loops."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.metrics import brier_score_loss, roc_auc_score

from fairexit.metrics.scores import auroc, auroc_by_group, brier, ece
from random_predictions import FEW

SEEDS = st.integers(0, 2**32)


def draw(seed: int, n: int = 40) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Probabilities with ties, and labels, all of three classes."""
    rng = np.random.default_rng(seed)
    raw = rng.integers(1, 5, (n, 3))
    return raw / raw.sum(1, keepdims=True), rng.permutation(np.arange(n) % 3)


@FEW
@given(SEEDS)
def test_auroc_equals_scikit_learn(seed: int) -> None:
    probabilities, labels = draw(seed)
    weights = np.random.default_rng(seed).integers(1, 4, (2, len(labels)))
    expected = [
        np.mean(
            [roc_auc_score(labels == c, probabilities[:, c], sample_weight=w) for c in range(3)]
        )
        for w in weights
    ]
    np.testing.assert_allclose(auroc(probabilities, labels, weights), expected)
    plain = roc_auc_score(labels, probabilities, multi_class="ovr", average="macro")
    assert auroc(probabilities, labels) == pytest.approx(plain)


def test_auroc_leaves_out_classes_without_both_outcomes() -> None:
    probabilities, labels = draw(0)
    labels[labels == 2] = 1
    kept = [roc_auc_score(labels == c, probabilities[:, c]) for c in (0, 1)]
    assert auroc(probabilities, labels) == pytest.approx(np.mean(kept))
    assert math.isnan(auroc(probabilities, np.zeros_like(labels)))


def test_auroc_by_group_is_auroc_within_each() -> None:
    probabilities, labels = draw(1)
    groups = np.random.default_rng(1).integers(-1, 2, len(labels))
    values = auroc_by_group(probabilities, labels, groups, 2)
    for g in range(2):
        inside = groups == g
        assert values[g] == pytest.approx(auroc(probabilities[inside], labels[inside]))


@FEW
@given(SEEDS)
def test_ece_equals_a_loop_over_bins(seed: int) -> None:
    probabilities, labels = draw(seed)
    probabilities[0] = (1, 0, 0)
    weights = np.random.default_rng(seed).integers(1, 3, len(labels))
    confidence, right = probabilities.max(1), probabilities.argmax(1) == labels
    slow = 0.0
    for b in range(15):
        inside = (confidence > b / 15) & (confidence <= (b + 1) / 15)
        if inside.any():
            w = weights[inside]
            gap = np.average(right[inside], weights=w) - np.average(confidence[inside], weights=w)
            slow += abs(gap) * w.sum() / weights.sum()
    assert ece(probabilities, labels, weights) == pytest.approx(slow)


@FEW
@given(SEEDS)
def test_brier_equals_scikit_learn(seed: int) -> None:
    probabilities, labels = draw(seed)
    weights = np.random.default_rng(seed).integers(1, 3, (2, len(labels)))
    expected = [
        sum(
            brier_score_loss(labels == c, probabilities[:, c], sample_weight=w, pos_label=True)
            for c in range(3)
        )
        for w in weights
    ]
    np.testing.assert_allclose(brier(probabilities, labels, weights), expected)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("score", [auroc, ece, brier])
def test_no_weight_is_no_score(score: Any) -> None:
    probabilities, labels = draw(0)
    weights = np.stack([np.zeros(len(labels)), np.ones(len(labels))])
    assert np.isnan(score(probabilities, labels, weights)).tolist() == [True, False]


@FEW
@given(SEEDS, st.sampled_from([1.0, 1e-4, 1e-8]))
def test_areas_without_weights_are_those_of_weights_of_1(seed: int, rest: float) -> None:
    """Near 1 too, where single precision ties and the rest decides."""
    rng = np.random.default_rng(seed)
    sure = rng.integers(0, 3, 60)
    rows = rng.integers(0, 4, (60, 3)) * rest
    rows[np.arange(60), sure] = 0
    rows[np.arange(60), sure] = np.maximum(1 - rows.sum(1), rest)
    probabilities, labels = rows.astype(np.float32), rng.integers(0, 3, 60)
    for columns in (slice(None), slice(0, 2)):
        part = probabilities[:, columns]
        truth = labels % part.shape[1]
        assert auroc(part, truth) == auroc(part, truth, np.ones(60))
        assert ece(part, truth) == pytest.approx(ece(part, truth, np.ones((1, 60))).item())
