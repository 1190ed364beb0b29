"""What a mean over training seeds can say, by simulated studies."""

import numpy as np
import pytest
import scipy.stats

from fairexit.stats.seeds import half_width, min_detectable_difference, seeds_needed, student_draws


@pytest.mark.parametrize("level", [0.05, 0.5, 0.975, 1 - 0.025 / 18])
@pytest.mark.parametrize("seeds", [2, 3, 8])
def test_students_t_has_its_tails(seeds, level):
    drawn = np.quantile(student_draws(seeds, 20_000), level)
    assert drawn == pytest.approx(scipy.stats.t.ppf(level, seeds - 1), rel=0.03, abs=1e-3)


def simulate(images, seeds, runs, studies=1500):
    """Means less the truth, and half their intervals, of studies of R runs."""
    rng = np.random.default_rng(4)
    drawn = seeds * rng.normal(size=(studies, runs))
    means = drawn.mean(1) + images * rng.normal(size=studies)
    spread = drawn.std(1, ddof=1)
    # Half-widths depend on one number, so between a few of them they are read off a line.
    at = np.linspace(0, spread.max(), 60)
    return means, np.interp(spread, at, half_width(np.full(60, images), at, runs))


@pytest.mark.parametrize(("images", "seeds"), [(0.0, 1.0), (1.0, 1.0), (3.0, 1.0), (1.0, 0.0)])
def test_intervals_of_three_runs_cover_what_they_should(images, seeds):
    means, half = simulate(images, seeds, 3)
    covered = (np.abs(means) <= half).mean()
    # Where both count, adding a t to a normal errs to the wide side.
    assert 0.935 < covered < (0.965 if images * seeds == 0 else 0.99)
    assert half_width(1.0, 5.0, 1) == pytest.approx(1.95996, rel=1e-5)


@pytest.mark.parametrize("runs", [2, 3, 5, 20])
@pytest.mark.parametrize(("images", "seeds"), [(0.3, 1.0), (0.7, 1.0), (1.0, 0.3), (1.0, 5.0)])
def test_a_detectable_difference_is_found_in_80_of_100_studies(images, seeds, runs):
    half = float(half_width(images, seeds, runs))
    effect = min_detectable_difference(half, images**2, seeds**2, runs)
    means, halves = simulate(images, seeds, runs)
    assert 0.7 < (effect + means > halves).mean() < 0.88
    assert runs - 1 <= seeds_needed(effect * 1.0001, images**2, seeds**2) <= runs


def test_seeds_that_no_number_of_helps():
    assert seeds_needed(1.9, 1.0, 1.0) == 100_000
    assert seeds_needed(100.0, 1.0, 1.0) == 2
    assert min_detectable_difference(1.96, 1.0, float("nan"), 1) == pytest.approx(2.8016, rel=1e-3)
