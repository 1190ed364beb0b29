"""Weighted sums of models: intervals, p-values, power, and what would show a difference."""

import math

import numpy as np
import pytest
from scipy.stats import norm

from clustered import as_sample, clustered
from fairexit.errors import UserError
from fairexit.stats.contrasts import POWER
from fairexit.stats.paired import draw_pairs

TERMS = [(1.0, [0, 1, 2]), (-1.0, [3, 4, 5])]
METRICS = ("accuracy", "f1", "eopp1")


def drawn(seed=0, models=6, n=400, answers=None, plant=True):
    labels, given, *rest = clustered(seed, n, models=models)
    sample = as_sample(labels, given if answers is None else answers(given, labels), *rest)
    return draw_pairs(sample, metrics=METRICS, n_resamples=300, n_gap_resamples=200, plant=plant)


@pytest.fixture(scope="module")
def pairs():
    return drawn()


@pytest.mark.parametrize("name", METRICS)
def test_a_contrast_is_a_weighted_sum_of_means(pairs, name):
    values = pairs.point(name)
    contrast = pairs.contrast(name, TERMS)
    assert float(contrast.point) == pytest.approx(values[:3].mean() - values[3:].mean())
    half = pairs.contrast(name, [(0.5, [0, 1]), (0.5, [2, 3]), (-1.0, [4, 5])])
    expected = values[:4].mean() - values[4:].mean()
    assert float(half.point) == pytest.approx(expected)
    interval = half.interval()
    assert interval.low <= half.point <= interval.high


@pytest.mark.parametrize("name", METRICS)
def test_a_contrast_and_its_negative_mirror_each_other(pairs, name):
    there = pairs.contrast(name, TERMS).interval()
    back = pairs.contrast(name, [(-weight, models) for weight, models in TERMS]).interval()
    assert float(there.point) == pytest.approx(-float(back.point))
    assert float(there.low) == pytest.approx(-float(back.high), abs=2e-3)
    assert float(there.high) == pytest.approx(-float(back.low), abs=2e-3)


@pytest.mark.parametrize("name", METRICS)
@pytest.mark.parametrize("at", [0.0, 0.02, -0.2])
def test_the_p_value_is_the_level_at_which_the_interval_ends(pairs, name, at):
    contrast = pairs.contrast(name, TERMS)
    p = contrast.p_value(at)
    assert 1e-6 <= p <= 1
    for level, inside in ((1 - p * 0.98, True), (1 - p * 1.02, False)):
        if 1e-5 < p < 0.98:
            interval = contrast.interval(level)
            assert (interval.low <= at <= interval.high) == inside


@pytest.mark.parametrize("name", METRICS)
def test_models_that_are_equal_differ_by_nothing(name):
    pairs = drawn(answers=lambda given, labels: np.repeat(given[:1], 6, 0))
    contrast = pairs.contrast(name, TERMS)
    assert contrast.interval()[:3] == (0, 0, 0)
    assert contrast.p_value() == 1
    assert math.isnan(contrast.smallest())


@pytest.mark.parametrize("name", METRICS)
def test_copies_as_seeds_have_the_interval_of_one_network(name):
    pairs = drawn(models=2, answers=lambda given, labels: given[[0, 0, 0, 1, 1, 1]])
    copies, single = pairs.contrast(name, TERMS), pairs.contrast(name, [(1, [0]), (-1, [3])])
    np.testing.assert_allclose(copies.interval(), single.interval(), atol=1e-9)


@pytest.mark.parametrize("name", METRICS)
def test_power_rises_with_the_difference_and_is_what_smallest_promises(pairs, name):
    contrast = pairs.contrast(name, TERMS)
    power = [contrast.power(effect) for effect in (0.0, 0.05, 0.2, 0.6)]
    assert power == sorted(power)
    assert power[0] < 0.1
    for sign in (1, -1):
        smallest = contrast.smallest(sign)
        assert contrast.power(smallest * 1.05, sign) >= 0.8
        assert contrast.power(smallest * 0.9, sign) < 0.8


def test_what_would_show_a_difference_follows_from_its_variance(pairs):
    contrast = pairs.contrast("accuracy", TERMS)
    variance, effect = contrast.variance, 0.02
    allowed = (effect / (norm.ppf(0.975) + norm.ppf(POWER))) ** 2
    needed = contrast.needed(effect)
    images, of_seeds = float(variance.images), float(variance.seeds)
    if math.isfinite(needed.images):
        assert images / needed.images + of_seeds / 3 == pytest.approx(allowed, rel=1e-6)
    shared = images - float(variance.networks) / 3
    if math.isfinite(needed.seeds):
        total = shared + (float(variance.networks) + of_seeds) / needed.seeds
        assert total == pytest.approx(allowed, rel=1e-6)
    assert contrast.needed(0.5).images < 1
    assert contrast.needed(1e-4) == (math.inf, math.inf)
    assert pairs.contrast("accuracy", [(1, [0]), (-1, [1])]).needed(0.5).seeds is None


@pytest.mark.parametrize(
    ("terms", "message"),
    [
        ([], "give one model for each seed"),
        ([(1, [])], "give one model for each seed"),
        ([(1, [0, 1]), (-1, [2])], "give one model for each seed, and as many baselines"),
    ],
)
def test_terms_that_do_not_fit(pairs, terms, message):
    for name in METRICS:
        with pytest.raises(UserError, match=message):
            pairs.contrast(name, terms)
    with pytest.raises(UserError, match="'eop1' was not resampled"):
        pairs.contrast("eop1", TERMS)


def test_power_of_gaps_needs_planted_gaps():
    contrast = drawn(plant=False).contrast("eopp1", TERMS)
    with pytest.raises(ValueError, match="without `plant`"):
        contrast.power(0.1)
