"""What a test set could have seen: against theory and against drawn test sets."""

from dataclasses import replace

import numpy as np
import pytest

from drawn_predictions import QUICK, draw, source
from fairexit.auditing.attribute import audit_attribute
from fairexit.metrics.record import METRICS, gaps
from fairexit.stats.power import min_detectable_gap, min_detectable_range


def test_two_groups_need_the_known_number_of_standard_deviations():
    rng = np.random.default_rng(0)
    rates = rng.normal(0.7, 0.02, (20_000, 2, 1))
    null_quantile = np.quantile(np.abs(rates[:, 0] - rates[:, 1]), 0.95, axis=0)
    found = min_detectable_range(rates, null_quantile)
    assert found == pytest.approx(2.80 * 0.02 * np.sqrt(2), rel=0.02)


def random_rates(metric, rng, spread=0.03):
    """Rates of two groups without a true gap, as a metric compares them."""
    by_class = {"tpr", "fpr", "tnr_of_present", "answer_rate"}
    shares = np.broadcast_to([0.4, 0.3, 0.15, 0.1, 0.05], (4000, 2, 5))
    shapes = [(4000, 2, 5) if rate.__name__ in by_class else (4000, 2) for rate in metric.rates]
    return [
        shares if rate.__name__ == "class_share" else rng.normal(0.7, spread, shape)
        for rate, shape in zip(metric.rates, shapes, strict=True)
    ]


@pytest.mark.parametrize("name", gaps())
def test_a_gap_of_the_named_size_is_found_in_80_of_100_cases(name):
    rng, metric = np.random.default_rng(0), METRICS[name]
    null = random_rates(metric, rng)
    threshold = float(np.quantile(metric.gap(null), 0.95))
    size = min_detectable_gap(metric, null, threshold, 1)
    # Without noise all rates but the weights of the classes are equal.
    level = [
        rate[0] if of.__name__ == "class_share" else np.full(rate.shape[1:], 0.7)
        for rate, of in zip(null, metric.rates, strict=True)
    ]
    planted = [np.zeros(rate.shape[1:]) for rate in null]
    for rate, moved in zip(planted, metric.moved, strict=True):
        rate[1] = float(moved)
    per_unit = metric.gap([r + p for r, p in zip(level, planted, strict=True)])
    fresh = random_rates(metric, rng)
    shifted = [r + p * size / per_unit for r, p in zip(fresh, planted, strict=True)]
    exact = [r + p * size / per_unit for r, p in zip(level, planted, strict=True)]
    assert metric.gap(exact) == pytest.approx(size)
    assert (metric.gap(shifted) > threshold).mean() == pytest.approx(0.8, abs=0.03)


def test_what_nothing_could_show_is_nan():
    null = np.random.default_rng(0).uniform(size=(100, 2, 3))
    assert np.isnan(min_detectable_range(null, np.ones(3))).all()
    one_group = np.where(np.arange(2)[:, None] == 0, null, np.nan)
    assert np.isnan(min_detectable_range(one_group, np.zeros(3))).all()
    assert np.isnan(min_detectable_gap(METRICS["eopp1"], [null], np.nan, 0))
    assert np.isnan(min_detectable_gap(METRICS["eopp1"], [null], 2.5, 0))


def test_where_nothing_varies_no_size_is_named():
    """A model that gives one answer has the same rates in every permutation."""
    one_answer = np.zeros((100, 2, 3))
    one_answer[..., 1] = 1
    assert np.isnan(min_detectable_range(one_answer, np.zeros(3))).all()
    assert np.isnan(min_detectable_gap(METRICS["eopp1"], [one_answer], 0.0, 0))
    varied = one_answer.copy()
    varied[::2, 0, 0] = 0.1
    known = ~np.isnan(min_detectable_range(varied, np.zeros(3)))
    assert known.tolist() == [True, False, False]
    assert min_detectable_gap(METRICS["eopp1"], [varied], 0.01, 0) > 0


def test_more_samples_see_smaller_gaps():
    sizes = []
    for n in (300, 2400):
        found = source(n=n)
        gaps = audit_attribute(found, "sex", seeds=[found], settings=QUICK).gaps
        sizes.append(next(g.min_detectable_gap for g in gaps if g.metric == "eopp1"))
    assert sizes[1] < sizes[0] / 2


def test_a_group_without_samples_does_not_hide_what_could_be_found():
    two, three = draw(n=300), draw(n=300, groups=("f", "m"))
    three = replace(three, group_names=three.group_names | {"sex": ("f", "m", "x")})
    sizes = []
    for predictions in (two, three):
        found = type(source())("x", predictions, source().policy)
        gaps = audit_attribute(found, "sex", seeds=[found], settings=QUICK).gaps
        sizes.append([g.min_detectable_gap for g in gaps])
    assert sizes[0] == pytest.approx(sizes[1], rel=0.1)


def test_drawn_test_sets_with_a_gap_of_that_size_are_found_out():
    """The named size holds for whole test sets, not only for shifted rates."""
    found = source(n=400)
    a = audit_attribute(found, "sex", seeds=[found], settings=QUICK)
    size = next(g.min_detectable_gap for g in a.gaps if g.metric == "eopp1")
    hits = 0
    for seed in range(20):
        other = type(found)("x", draw(n=400, seed=seed, gap=size), found.policy)
        gaps = audit_attribute(other, "sex", seeds=[other], settings=QUICK).gaps
        hits += next(g.p_value for g in gaps if g.metric == "eopp1") <= 0.05
    assert hits >= 12  # 16 expected
