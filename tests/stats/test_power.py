"""What a test set could have seen: against theory and against drawn test sets."""

from dataclasses import replace

import numpy as np
import pytest

from drawn_predictions import QUICK, draw, source
from fairexit.auditing.attribute import audit_attribute
from fairexit.metrics.group_metrics import METRICS
from fairexit.stats.power import GAPS, detectable_gap, detectable_rates


def test_two_groups_need_the_known_number_of_standard_deviations():
    rng = np.random.default_rng(0)
    rates = rng.normal(0.7, 0.02, (20_000, 2, 1))
    ceiling = np.quantile(np.abs(rates[:, 0] - rates[:, 1]), 0.95, axis=0)
    found = detectable_rates(rates, ceiling)
    assert found == pytest.approx(2.80 * 0.02 * np.sqrt(2), rel=0.02)


def test_a_gap_of_the_named_size_is_found_in_80_of_100_cases():
    rng = np.random.default_rng(0)
    null = {name: rng.normal(0.7, 0.03, (4000, 2, 5)) for name in ("tpr", "fpr")}
    null |= {name: rng.normal(0.7, 0.03, (4000, 2)) for name in ("precision", "recall", "f1")}
    for metric in GAPS:
        none = GAPS[metric](null, np.zeros((2, 1)))
        ceiling = float(np.quantile(none, 0.95))
        size = detectable_gap(metric, null, ceiling, 1)
        fresh = {k: rng.normal(0.7, 0.03, v.shape) for k, v in null.items()}
        seen = GAPS[metric](fresh, np.array([[0.0], [size]])) > ceiling
        assert seen.mean() == pytest.approx(0.8, abs=0.03), metric


def test_without_a_shift_the_gaps_are_the_metrics():
    counts = np.random.default_rng(0).integers(1, 9, (6, 3, 4, 4))
    from fairexit.metrics import group_metrics as metrics

    rates = {k: getattr(metrics, k)(counts) for k in ("tpr", "fpr", "precision", "recall", "f1")}
    for name, gap in GAPS.items():
        np.testing.assert_allclose(gap(rates, np.zeros((3, 1))), METRICS[name](counts, "exclude"))


def test_what_nothing_could_show_is_nan():
    null = np.random.default_rng(0).uniform(size=(100, 2, 3))
    assert np.isnan(detectable_rates(null, np.ones(3))).all()
    one_group = np.where(np.arange(2)[:, None] == 0, null, np.nan)
    assert np.isnan(detectable_rates(one_group, np.zeros(3))).all()
    rates = {"tpr": null, "fpr": null}
    assert np.isnan(detectable_gap("eopp1", rates, np.nan, 0))
    assert np.isnan(detectable_gap("eopp1", rates, 2.5, 0))


def test_more_samples_see_smaller_gaps():
    sizes = []
    for n in (300, 2400):
        found = source(n=n)
        gaps = audit_attribute(found, "sex", [found], [], [], QUICK).gaps
        sizes.append(next(g.detectable for g in gaps if g.metric == "eopp1"))
    assert sizes[1] < sizes[0] / 2


def test_a_group_without_samples_does_not_hide_what_could_be_found():
    two, three = draw(n=300), draw(n=300, groups=("f", "m"))
    three = replace(three, group_names=three.group_names | {"sex": ("f", "m", "x")})
    sizes = []
    for predictions in (two, three):
        found = type(source())("x", predictions, source().policy)
        gaps = audit_attribute(found, "sex", [found], [], [], QUICK).gaps
        sizes.append([g.detectable for g in gaps])
    assert sizes[0] == pytest.approx(sizes[1], rel=0.1)


def test_drawn_test_sets_with_a_gap_of_that_size_are_found_out():
    """The named size holds for whole test sets, not only for shifted rates."""
    found = source(n=400)
    a = audit_attribute(found, "sex", [found], [], [], QUICK)
    size = next(g.detectable for g in a.gaps if g.metric == "eopp1")
    hits = 0
    for seed in range(20):
        other = type(found)("x", draw(n=400, seed=seed, gap=size), found.policy)
        gaps = audit_attribute(other, "sex", [other], [], [], QUICK).gaps
        hits += next(g.p_value for g in gaps if g.metric == "eopp1") <= 0.05
    assert hits >= 12  # 16 expected
