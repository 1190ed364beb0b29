"""Differences of two groups' shares: against Newcombe, loops, and the coverage they promise."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest

from clustered import as_sample, clustered, index_of
from fairexit.stats.proportions import false_positives, true_positives
from fairexit.stats.share_gaps import correlations, difference


def two_groups(hits, groups, clusters=None):
    """Samples of class 0 in groups 0 and 1, each a cluster of its own unless clusters are given."""
    hits, groups = np.asarray(hits, bool), np.asarray(groups)
    names = np.arange(len(hits)) if clusters is None else np.asarray(clusters)
    labels = np.zeros(len(hits), int)
    answers = (~hits).astype(int)[None]
    return as_sample(labels, answers, groups, names.astype(str).astype(object), 2, 2)


def gap(sample, correlated=True):
    """Group 0 minus group 1: the difference and the ends of its interval."""
    shares = true_positives(sample)
    r = correlations(sample, shares, np.array([[0, 0], [1, 1]]), of_class=True)[0]
    return [float(part) for part in difference(*shares[:, 0], r if correlated else 0.0)]


hits = st.lists(st.booleans(), min_size=1, max_size=30)


@given(hits, hits, st.data())
def test_a_difference_stays_within_its_range(first, second, data):
    n = len(first) + len(second)
    clusters = data.draw(st.lists(st.integers(0, 9), min_size=n, max_size=n))
    groups = np.repeat([0, 1], [len(first), len(second)])
    value, low, high = gap(two_groups(first + second, groups, clusters))
    assert -1 <= low <= value <= high <= 1


def test_the_interval_of_independent_samples_is_newcombes():
    """Newcombe 1998, the interval of 56/70 - 48/80 from the exact ends of both shares."""
    hits = np.concatenate([np.arange(70) < 56, np.arange(80) < 48])
    value, low, high = gap(two_groups(hits, np.repeat([0, 1], [70, 80])))
    ends = [binomtest(k, n).proportion_ci(0.95, method="exact") for k, n in ((56, 70), (48, 80))]
    assert value == pytest.approx(0.2)
    assert low == pytest.approx(0.2 - np.hypot(0.8 - ends[0].low, ends[1].high - 0.6))
    assert high == pytest.approx(0.2 + np.hypot(ends[0].high - 0.8, 0.6 - ends[1].low))


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 10**6), st.booleans())
def test_correlations_are_those_of_loops(seed, mixed):
    label, answers, group, names, c, m = clustered(seed, groups=3, mixed=mixed, models=1)
    rng = np.random.default_rng(seed)
    group = np.where(rng.random(len(group)) < 0.1, -1, group)
    group[:3] = 0, 1, 2
    sample = as_sample(label, answers, group, names, c, m)
    ends = rng.integers(0, m, (2, c))
    cluster = index_of(names)
    for rates, of_class in ((true_positives, True), (false_positives, False)):
        r = correlations(sample, rates(sample), ends, of_class=of_class)
        for k, (first, second) in enumerate(ends.T):
            off = []
            for g in (first, second):
                counted = (group == g) & ((label == k) == of_class)
                share = np.mean(answers[0, counted] == k) if counted.any() else 0
                off.append(
                    [
                        sum((answers[0, i] == k) - share for i in np.flatnonzero(counted & of))
                        for of in (cluster == j for j in range(cluster.max() + 1))
                    ]
                )
            a, b = np.array(off)
            scale = np.sqrt((a @ a) * (b @ b))
            expected = a @ b / scale if scale > 1e-9 and first != second else 0
            assert r[k] == pytest.approx(expected, abs=1e-6)


def alike(rng, clusters, size, rate):
    """Clusters of both groups whose samples are mostly answered from one common draw."""
    owner = np.repeat(np.arange(clusters), 1 + rng.poisson(size - 1, clusters))
    common = rng.random(clusters)[owner]
    draw = np.where(rng.random(len(owner)) < 0.9, common, rng.random(len(owner)))
    return draw < rate, rng.integers(0, 2, len(owner)), owner


def opposite(rng, clusters, size, rate):
    """Clusters of both groups: where one group's samples are hits, the other's are mostly not."""
    owner, group = np.repeat(np.arange(clusters), size), np.arange(clusters * size) % 2
    common = rng.random(clusters)[owner]
    return np.where(group, 1 - common, common) < rate, group, owner


@pytest.mark.parametrize(("clusters", "size", "rate"), [(20, 4, 0.8), (50, 3, 0.9), (12, 6, 0.5)])
def test_clusters_of_both_groups_that_answer_alike_have_narrower_intervals(clusters, size, rate):
    rng, ends = np.random.default_rng(0), []
    for _ in range(400):
        sample = two_groups(*alike(rng, clusters, size, rate))
        ends.append([*gap(sample)[1:], *gap(sample, correlated=False)[1:]])
    low, high, low_before, high_before = np.array(ends).T
    assert ((low <= 0) & (high >= 0)).mean() > 0.93
    assert (high - low).mean() < 0.85 * (high_before - low_before).mean()


@pytest.mark.parametrize(("clusters", "size"), [(50, 2), (20, 4)])
def test_clusters_whose_groups_answer_oppositely_have_intervals_that_hold(clusters, size):
    rng, held = np.random.default_rng(0), []
    for _ in range(400):
        sample = two_groups(*opposite(rng, clusters, size, 0.5))
        intervals = gap(sample), gap(sample, correlated=False)
        held.append([low <= 0 <= high for _, low, high in intervals])
    with_correlation, without = np.mean(held, axis=0)
    assert with_correlation > 0.93 > without
