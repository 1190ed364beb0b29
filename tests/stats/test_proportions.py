"""Exact intervals of shares: against scipy, loops, and the coverage that they promise."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest

from clustered import as_sample, clustered
from fairexit.stats.proportions import accuracies, false_positives, true_positives
from fairexit.stats.sample import Sample


def of_hits(hits, clusters=None):
    """The share of hits; every sample is a cluster of its own unless clusters are given."""
    hits = np.asarray(hits, bool)
    names = np.arange(len(hits)) if clusters is None else np.asarray(clusters)
    zero = np.zeros(len(hits), int)
    return accuracies(
        as_sample(zero, (~hits).astype(int)[None], zero, names.astype(str).astype(object), 2, 1)
    )[0]


@given(st.integers(1, 60).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_independent_samples_have_the_interval_of_clopper_and_pearson(k_of_n):
    k, n = k_of_n
    share = of_hits(np.arange(n) < k)
    exact = binomtest(k, n).proportion_ci(0.95, method="exact")
    assert (share.hits, share.n, share.clusters) == (k, n, n)
    assert (share.low, share.high) == pytest.approx((exact.low, exact.high), abs=1e-9)


def test_none_of_four_and_four_of_four():
    none, every = of_hits([0] * 4), of_hits([1] * 4)
    assert (none.low, none.high) == pytest.approx((0, 0.602), abs=0.001)
    assert (every.low, every.high) == pytest.approx((0.398, 1), abs=0.001)


def test_where_all_are_hits_the_samples_of_a_cluster_count_once():
    twice = of_hits([1] * 8, [0, 0, 1, 1, 2, 2, 3, 3])
    assert twice.low == pytest.approx(of_hits([1] * 4).low)
    assert twice.n == 8
    # Kish: clusters of 7 and 1 are worth 64 / 50 samples.
    assert of_hits([1] * 8, [0] * 7 + [1]).low < of_hits([1] * 2).low


def test_clusters_that_agree_widen_the_interval_and_those_that_do_not_keep_it():
    agree = of_hits(np.repeat(np.arange(20) < 12, 3), np.repeat(np.arange(20), 3))
    alone = of_hits(np.arange(20) < 12)
    assert agree.high - agree.low == pytest.approx(alone.high - alone.low, rel=0.1)
    free = of_hits(np.arange(60) < 36)
    assert agree.high - agree.low > 1.5 * (free.high - free.low)


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 10**6), st.booleans())
def test_rates_are_those_of_loops(seed, mixed):
    label, answers, group, names, c, m = clustered(seed, mixed=mixed, models=1)
    group = np.where(np.random.default_rng(seed).random(len(group)) < 0.1, -1, group)
    group[:2] = 0, 1
    sample = as_sample(label, answers, group, names, c, m)
    positives, negatives = true_positives(sample), false_positives(sample)
    for g in range(m):
        for k in range(c):
            for shares, rows in ((positives, label == k), (negatives, label != k)):
                inside = rows & (group == g)
                keys = [name or f"alone {i}" for i, name in enumerate(names)]
                share = shares[g, k]
                if not inside.any():
                    assert share.n == 0
                    assert np.isnan([share.values, share.low, share.high]).all()
                    continue
                slow = of_hits(answers[0, inside] == k, np.array(keys)[inside])
                for field in ("hits", "n", "clusters", "low", "high"):
                    assert getattr(share, field) == pytest.approx(getattr(slow, field)), field


@pytest.mark.parametrize(
    ("clusters", "size", "rate", "alike"),
    [(4, 1, 0.9, 0.0), (15, 1, 0.5, 0.0), (10, 3, 0.8, 0.5), (20, 3, 0.5, 0.8), (50, 8, 0.8, 0.3)],
)
def test_the_intervals_hold_the_truth_in_95_of_100_cases(clusters, size, rate, alike):
    """Sizes vary, and the samples of a cluster share its own rate (beta-binomial)."""
    rng, repeats, held = np.random.default_rng(0), 400, 0
    for _ in range(repeats):
        sizes = 1 + rng.poisson(size - 1, clusters)
        owner = np.repeat(np.arange(clusters), sizes)
        own = np.full(clusters, rate)
        if alike:
            spread = (1 - alike) / alike
            own = rng.beta(rate * spread, (1 - rate) * spread, clusters)
        share = of_hits(rng.random(len(owner)) < own[owner], owner)
        held += share.low <= rate <= share.high
    assert held / repeats > 0.925  # 0.95 less more than two standard errors


@pytest.mark.parametrize("per", [1, 2, 5, 10])
def test_one_hit_is_not_known_far_better_than_none(per):
    """100 samples in clusters of equal size; the hits are in clusters of their own."""

    def high(hits):
        clusters = np.repeat(np.arange(100 // per), per)
        labels = np.zeros(100, np.int64)
        answers = np.ones(100, np.int64)
        answers[np.arange(hits) * per] = 0
        sample = Sample(
            labels=labels, answers=answers[None], groups=labels, clusters=clusters.astype(str),
            num_classes=2, num_groups=1,
        )  # fmt: skip
        return float(true_positives(sample).high[0, 0])

    none, *few = (high(k) for k in range(6))
    assert min(few) > 0.75 * none
