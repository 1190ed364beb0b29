"""Two independent samples: intervals and tests of what differs between them."""

import numpy as np
import pytest

from clustered import as_sample
from fairexit.metrics.rates import ratio_known
from fairexit.stats.multiple import holm
from fairexit.stats.two_samples import draw_two


def draw(rng, clusters, rates, share=0.4):
    """A sample of two groups and two classes; half of a cluster's answers are alike."""
    sizes = 1 + rng.poisson(0.6, clusters)
    owner = np.repeat(np.arange(clusters), sizes)
    group = (rng.random(clusters) < share).astype(int)[owner]
    label = rng.integers(0, 2, clusters)[owner]
    alike = rng.random(len(owner)) < 0.5
    uniform = np.where(alike, rng.random(clusters)[owner], rng.random(len(owner)))
    answer = np.where(uniform < np.array(rates)[group, label], label, 1 - label)
    return as_sample(label, answer[None], group, owner.astype(str).astype(object), 2, 2)


def difference_of_gaps(here, there):
    """The gap in the rate of class 1 there minus the gap here."""
    gaps = []
    for cells in (here, there):
        rate = ratio_known(cells.hits[..., 1], cells.actual[..., 1])
        gaps.append(rate[..., 0] - rate[..., 1])
    return (gaps[1] - gaps[0])[..., None]


def test_the_interval_holds_the_truth_where_the_gaps_are_equal():
    """Both samples have a gap of 0.2, at different levels and sizes; the truth is 0."""
    rng, repeats, held = np.random.default_rng(0), 250, 0
    for seed in range(repeats):
        here = draw(rng, 150, [[0.9, 0.9], [0.8, 0.7]])
        there = draw(rng, 300, [[0.7, 0.8], [0.6, 0.6]])
        drawn = draw_two(here, there, n_resamples=200, random_state=seed)
        interval, _ = drawn.compare(difference_of_gaps, 0.95)
        held += bool((interval.low <= 0).item() and (interval.high >= 0).item())
    assert 0.915 < held / repeats < 0.99


def test_the_p_value_agrees_with_the_interval():
    rng, rejected = np.random.default_rng(1), 0
    for seed in range(60):
        here = draw(rng, 100, [[0.8, 0.9], [0.8, 0.6]])
        there = draw(rng, 100, [[0.8, 0.7], [0.8, 0.6]])
        drawn = draw_two(here, there, n_resamples=400, random_state=seed)
        interval, p_values = drawn.compare(difference_of_gaps, 0.95)
        low, high, p = interval.low.item(), interval.high.item(), p_values.item()
        if min(abs(low), abs(high)) > 0.01:  # quantiles interpolate between draws
            assert (p <= 0.05) == (low > 0 or high < 0)
        rejected += p <= 0.05
    assert 5 < rejected < 60


def test_the_draws_of_the_samples_are_independent():
    rng = np.random.default_rng(2)
    same = draw(rng, 200, [[0.8, 0.8], [0.6, 0.6]])
    drawn = draw_two(same, same, n_resamples=500, random_state=0)
    first, second = (b.draws["hits"][:, 0, 0, 1] for b in (drawn.first, drawn.second))
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.15


def test_holm_is_its_slow_twin():
    rng = np.random.default_rng(3)
    for size in range(1, 9):
        p = rng.random(size).round(2)
        order = np.argsort(p, kind="stable")
        expected, worst = np.empty(size), 0.0
        for rank, j in enumerate(order):
            worst = max(worst, (size - rank) * p[j])
            expected[j] = min(worst, 1.0)
        assert holm(p) == pytest.approx(expected)
        assert np.isnan(holm(np.append(p, np.nan))[-1])
        assert holm(np.append(p, np.nan))[:-1] == pytest.approx(expected)
