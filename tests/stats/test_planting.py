"""Gaps that are planted into draws: their true sizes, by loops, and what they leave alone."""

import numpy as np
import pytest

from clustered import as_sample, clustered
from fairexit.metrics.counts import margins
from fairexit.metrics.rates import tpr
from fairexit.metrics.record import METRICS
from fairexit.stats.planting import SIZES, _interpolate, _raised, plant_gaps
from fairexit.stats.resampling import named_measures


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("size", [0.02, 0.1])
def test_a_planted_gap_has_its_size_in_every_class(seed, size):
    sample = as_sample(*clustered(seed, 600, groups=3, models=2))
    whole = margins(sample.counts[None].astype(float))
    rates = tpr(whole)[0]
    raised = _raised(whole, rates, size)
    after = tpr(raised)[0]
    for r in range(2):
        for c in range(3):
            before = rates[r, :, c]
            high, low = before.argmax(), before.argmin()
            expected = before.copy()
            expected[high] = min(before[high] + size / 2, 1)
            expected[low] = max(before[low] - size / 2, 0)
            np.testing.assert_allclose(after[r, :, c], expected)
    np.testing.assert_array_equal(raised.actual, whole.actual)
    # False positives stay.
    np.testing.assert_allclose(raised.predicted - raised.hits, whole.predicted - whole.hits)


def test_equal_rates_are_moved_apart_and_empty_groups_left_alone():
    counts = np.zeros((1, 1, 3, 2, 2))
    counts[0, 0, :2] = [[8, 2], [3, 7]]
    whole = margins(counts)
    after = tpr(_raised(whole, tpr(whole)[0], 0.1))[0, 0]
    assert np.ptp(after[:2], axis=0) == pytest.approx([0.1, 0.1])
    assert np.isnan(after[2]).all()


def test_planted_gaps_are_those_of_moved_margins():
    sample = as_sample(*clustered(3, 300))
    whole = margins(sample.counts[None])
    measures = named_measures(("eopp1", "eopp0"))
    planted = plant_gaps([(whole, [whole, whole])], measures)
    assert planted.truth["eopp1"].shape == (1, len(SIZES), 2)
    assert planted.draws["eopp1"].shape == (1, len(SIZES), 2, 2)
    for d, size in enumerate(SIZES):
        expected = METRICS["eopp1"](_raised(whole, tpr(whole)[0], size))[0]
        np.testing.assert_allclose(planted.truth["eopp1"][0, d], expected)
        np.testing.assert_allclose(planted.truth["eopp0"][0, d], METRICS["eopp0"](whole)[0])
    rows = [(1.0, [0]), (-1.0, [1])]
    nothing = planted.shifted("eopp1", rows, 0.0, sign=1, near=0.0)
    np.testing.assert_allclose(nothing, 0, atol=1e-12)
    np.testing.assert_allclose(
        planted.shifted("eopp1", rows, 0.05, sign=-1, near=0.0), [-0.05] * 2, atol=1e-6
    )


def test_sizes_between_and_beyond_those_planted():
    sizes, values = np.array([0.0, 0.1, 0.3]), np.array([[0.0], [1.0], [2.0]])
    for at, expected in ((0.05, 0.5), (0.2, 1.5), (0.4, 2.5)):
        assert _interpolate(at, sizes, values) == pytest.approx(expected)
