"""What a mean over training seeds can say, by simulated studies."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairexit.stats.seeds import Pool, half_width, pool, seed_variance

LEVEL = 0.95


def simulate(images, networks, seeds, number, studies=400, rows=1):
    """Values (studies, rows, S) of mu = 0 and draws (studies, B, rows, S) of their images.

    Args:
        images, networks, seeds: standard deviations of A, E and B.
        number: S.
    """
    rng = np.random.default_rng(5)
    shape = (studies, rows, number)
    of_images = images * rng.standard_normal((studies, 1, 1))
    points = of_images + networks * rng.standard_normal(shape) + seeds * rng.standard_normal(shape)
    draws = images * rng.standard_normal((studies, 300, 1, 1))
    draws = draws + networks * rng.standard_normal((studies, 300, rows, number))
    return points, draws + points[:, None]


def intervals(points, draws, pooled=False):
    """Means of the first row and half their intervals, (studies,)."""
    halves = []
    for values, drawn in zip(points, draws, strict=True):
        rows = pool((values[r], drawn[:, r]) for r in range(len(values))) if pooled else None
        variance = seed_variance(values[0], drawn[:, 0], rows)
        halves.append(np.hypot(1.96 * variance.images**0.5, variance.widening(LEVEL)))
    return points[:, 0].mean(1), np.array(halves)


@pytest.mark.parametrize("number", [3, 5, 10])
@pytest.mark.parametrize(("images", "networks", "seeds"), [(1, 1, 0), (1, 1, 1), (0, 1, 0.5)])
def test_intervals_cover_what_they_should_and_are_not_much_wider(images, networks, seeds, number):
    points, draws = simulate(images, networks, seeds, number, rows=4)
    means, half = intervals(points, draws, pooled=True)
    assert 0.92 < (np.abs(means) <= half).mean() < 0.995
    oracle = 1.96 * np.sqrt(images**2 + (networks**2 + seeds**2) / number)
    assert np.median(half) < 1.25 * oracle


@pytest.mark.parametrize("number", [2, 3, 8])
def test_seeds_that_dominate_have_students_t(number):
    points, draws = simulate(0.01, 0.01, 1.0, number, studies=1500)
    means, half = intervals(points, draws)
    assert 0.93 < (np.abs(means) <= half).mean() < 0.97


def test_image_noise_is_counted_once():
    """The parts by loops, and their sum, which is unbiased where seeds add much."""
    points, draws = simulate(1.0, 1.0, 2.0, 3, studies=800)
    totals = []
    for values, drawn in zip(points[:, 0], draws[:, :, 0], strict=True):
        variance = seed_variance(values, drawn)
        own = sum(np.var([d[s] - d.mean() for d in drawn]) for s in range(3)) / 2
        assert float(variance.networks) == pytest.approx(own)
        assert float(variance.images) == pytest.approx(np.var([d.mean() for d in drawn]))
        assert float(variance.seeds) == pytest.approx(max(np.var(values, ddof=1) - own, 0))
        totals.append(float(variance.total))
    assert np.mean(totals) == pytest.approx(1 + (1 + 4) / 3, rel=0.1)


@given(st.integers(2, 12), st.integers(0, 1000))
def test_copies_of_one_network_have_the_interval_of_the_images_alone(copies, seed):
    drawn = np.random.default_rng(seed).standard_normal((50, 1))
    variance = seed_variance(np.full(copies, 0.3), np.repeat(drawn, copies, 1))
    assert variance.widening(LEVEL) == pytest.approx(0, abs=1e-12)
    assert float(variance.total) == pytest.approx(drawn.var())


def test_doubling_the_seeds_of_the_same_networks_does_not_widen():
    points, draws = simulate(1.0, 1.0, 1.0, 4, studies=60)
    for values, drawn in zip(points[:, 0], draws[:, :, 0], strict=True):
        few = seed_variance(values, drawn)
        many = seed_variance(np.tile(values, 2), np.tile(drawn, (1, 2)))
        assert many.widening(LEVEL) <= few.widening(LEVEL) + 1e-12
        assert float(many.images) == pytest.approx(float(few.images))


def test_the_pool_lends_its_ratio_and_an_odd_row_keeps_most_of_its_own():
    drawn = np.random.default_rng(0).standard_normal((2000, 3))
    quiet, odd = np.array([0.0, 0.1, -0.1]), np.array([0.0, 30.0, -30.0])
    rows = pool([(quiet, drawn)] * 9 + [(odd, drawn)])
    assert rows.freedom == 20
    alone, lent = seed_variance(odd, drawn), seed_variance(odd, drawn, rows)
    assert lent.freedom == alone.freedom + 4
    assert float(lent.seeds) > float(alone.seeds) / 3
    nothing = seed_variance(odd, drawn, Pool(np.ones(()), 2))
    assert (nothing.freedom, float(nothing.seeds)) == (2, pytest.approx(float(alone.seeds)))


def test_one_seed_says_nothing_of_others():
    drawn = np.random.default_rng(0).standard_normal((100, 1))
    variance = seed_variance([0.2], drawn)
    assert (float(variance.seeds), float(variance.widening(LEVEL))) == (0, 0)
    assert float(variance.total) == pytest.approx(drawn.var())


def test_metrics_with_axes_are_treated_one_by_one():
    points, draws = simulate(1.0, 1.0, 1.0, 3, studies=5)
    values, drawn = np.moveaxis(points[:, 0], 0, -1), np.moveaxis(draws[:, :, 0], 0, -1)
    together = seed_variance(values, drawn)
    for k in range(5):
        single = seed_variance(values[:, k], drawn[..., k])
        assert float(single.total) == pytest.approx(together.total[k])


@pytest.mark.parametrize(("images", "seeds"), [(0.0, 1.0), (1.0, 1.0), (3.0, 1.0), (1.0, 0.0)])
def test_intervals_from_standard_errors_cover_what_they_should(images, seeds):
    rng = np.random.default_rng(4)
    drawn = seeds * rng.normal(size=(3000, 3))
    means = drawn.mean(1) + images * rng.normal(size=3000)
    half = half_width(np.full(3000, images), drawn.std(1, ddof=1), 3)
    assert 0.935 < (np.abs(means) <= half).mean() < (0.965 if images * seeds == 0 else 0.99)
    assert half_width(1.0, 5.0, 1) == pytest.approx(1.95996, rel=1e-5)
