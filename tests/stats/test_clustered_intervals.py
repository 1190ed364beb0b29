"""Means and areas under the ROC curve with clusters: equal to definitions, and honest intervals."""

import math

import numpy as np
import pytest
from scipy.stats import ttest_1samp
from sklearn.metrics import roc_auc_score

from fairexit.stats.clustered import clustered_auroc, clustered_mean


def test_without_clusters_the_mean_has_the_interval_of_students_t():
    values = np.random.default_rng(0).normal(size=30)
    expected = ttest_1samp(values, 0).confidence_interval(0.9)
    result = clustered_mean(values, np.arange(30), 0.9)
    np.testing.assert_allclose(result, [values.mean(), *expected])


def test_copies_of_a_sample_do_not_narrow_its_interval():
    values = np.random.default_rng(0).normal(size=30)
    once = clustered_mean(values, np.arange(30))
    np.testing.assert_allclose(
        clustered_mean(np.repeat(values, 5), np.repeat(np.arange(30), 5)), once
    )


@pytest.mark.parametrize("digits", [1, 8])
def test_the_area_is_that_of_scikit_learn_ties_included(digits):
    rng = np.random.default_rng(1)
    scores, positive = rng.random(200).round(digits), rng.random(200) < 0.3
    area = clustered_auroc(scores, positive, np.arange(200)).value
    assert area == pytest.approx(roc_auc_score(positive, scores))


def test_without_clusters_the_variance_is_that_of_delong():
    rng = np.random.default_rng(2)
    positive = rng.random(80) < 0.4
    scores = rng.normal(size=80) + positive
    area, low, high = clustered_auroc(scores, positive, np.arange(80))
    wins = (scores[positive][:, None] > scores[~positive]).astype(float)
    variance = (
        wins.mean(1).var(ddof=1) / positive.sum() + wins.mean(0).var(ddof=1) / (~positive).sum()
    )
    # Logits of the ends are 2 t standard errors / (A (1 - A)) apart.
    width = math.log(high / (1 - high)) - math.log(low / (1 - low))
    expected = 2 * 1.9905 * math.sqrt(variance) / (area * (1 - area))
    assert width == pytest.approx(expected, rel=0.02)


def test_what_cannot_be_measured_is_not_a_number():
    clusters = np.arange(3)
    assert np.isnan(clustered_auroc(np.ones(3), np.ones(3, bool), clusters)).all()
    assert np.isnan(clustered_mean(np.ones(0), np.arange(0))).all()
    perfect = clustered_auroc(np.arange(3), np.array([False, False, True]), clusters)
    assert (perfect.value, math.isnan(perfect.low)) == (1.0, True)
    assert math.isnan(clustered_mean(np.arange(3), np.zeros(3, int)).low)


@pytest.mark.parametrize("size", [1, 4])
def test_intervals_hold_the_truth_in_95_of_100(size):
    """Half of the variance is shared within a cluster; so is the label."""
    rng, repeats, n = np.random.default_rng(3), 600, 240
    clusters = np.arange(n) // size
    inside = np.zeros(2)
    for _ in range(repeats):
        noise = (rng.normal(size=n) + rng.normal(size=n)[clusters]) / math.sqrt(2)
        positive = (rng.random(n) < 0.4)[clusters]
        mean = clustered_mean(noise, clusters)
        # Positives score 1 more: the area is the normal probability of 1 / sqrt 2.
        area = clustered_auroc(noise + positive, positive, clusters)
        inside += [mean.low <= 0 <= mean.high, area.low <= 0.7602499 <= area.high]
    # Two and a half standard errors of a share of 0.95 in 600 repeats are 0.022.
    assert (np.abs(inside / repeats - 0.95) < 0.022).all(), inside / repeats
