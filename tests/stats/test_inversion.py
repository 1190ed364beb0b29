"""Intervals of gaps: the populations they are made from, and what they must and must not claim."""

from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from clustered import as_sample, clustered
from fairexit.errors import UserError
from fairexit.metrics.rates import tpr
from fairexit.metrics.record import gaps
from fairexit.stats.clusters import find_clusters
from fairexit.stats.gap_contrasts import GapContrasts
from fairexit.stats.inversion import MIXES, Inversion, _population, invert, solve
from fairexit.stats.resampling import sum_margins, sum_regrouped

FEW = settings(deadline=None, max_examples=15)
SEEDS = st.integers(0, 2**32)


def two_models(n: int = 1200, gap: float = 0.3) -> Any:
    """An unfair model and a fair one, the seed one of those without an extreme draw."""
    rng = np.random.default_rng(0)
    labels, groups = rng.integers(0, 3, n), rng.integers(0, 2, n)
    wrong = (labels + rng.integers(1, 3, n)) % 3
    unfair = np.where(rng.random(n) < 0.9 - gap * groups, labels, wrong)
    fair = np.where(rng.random(n) < 0.75, labels, wrong)
    return labels, np.stack([unfair, fair]), groups, np.full(n, "", object), 3, 2


@FEW
@given(SEEDS, st.booleans(), st.sampled_from(MIXES.tolist()))
def test_populations_lie_between_all_and_own(seed: int, mixed: bool, mix: float) -> None:
    found = find_clusters(as_sample(*clustered(seed, 40, mixed=mixed)))
    all_, some, own = (sum_regrouped(found, _population(found, m)[None]) for m in (0.0, mix, 1.0))
    sample = sum_margins(found, found.number[None])
    for name in ("hits", "actual", "predicted"):
        pool, part, mine = (getattr(m, name) for m in (all_, some, own))
        np.testing.assert_allclose(mine, getattr(sample, name), atol=1e-9)
        np.testing.assert_allclose(part, mix * mine + (1 - mix) * pool, atol=1e-9)
    if not mixed:  # where the groups do not matter, nobody has an advantage in any class
        rates = tpr(all_)
        np.testing.assert_allclose(np.nanmax(rates - rates[:, :, :1], initial=0), 0, atol=1e-9)


def test_a_gap_and_none() -> None:
    found = invert(as_sample(*two_models()), n_resamples=300)
    point, low, high, undefined = found.interval("eopp1")
    assert low[0] > 0.2
    assert low[0] < 0.3 < high[0]
    assert low[1] == 0
    assert high[1] > 0.02
    assert (low <= point).all()
    assert (point <= high).all()
    assert (undefined == 0).all()
    corrected = found.corrected("eopp1")
    assert (corrected <= point + 1e-9).all()
    assert corrected[0] > 0.25


@FEW
@given(SEEDS)
@example(179845481)
def test_ends_enclose_and_widen_with_the_level(seed: int) -> None:
    found = invert(as_sample(*clustered(seed, 80, models=1)), n_resamples=60)
    for name in gaps():
        point, low, high, _ = found.interval(name, 0.8)
        _, lower, higher, _ = found.interval(name, 0.95)
        assert 0 <= lower <= low <= high <= higher
        assert low <= point + 1e-9


def test_differences_are_paired() -> None:
    labels, answers, *rest = two_models(600)
    found = invert(
        as_sample(labels, np.concatenate([answers, answers]), *rest),
        metrics=("eopp1",),
        n_resamples=200,
    )
    same = GapContrasts(found).contrast("eopp1", [(1, [0]), (-1, [2])]).interval()
    assert same.point == same.low == same.high == 0
    there, back = (
        GapContrasts(found).contrast("eopp1", [(1, [i]), (-1, [j])]).interval()
        for i, j in ((0, 1), (1, 0))
    )
    assert there.point == pytest.approx(-back.point)
    assert there.low > 0
    assert back.high < 0
    seeds = GapContrasts(found).contrast("eopp1", [(1, [0, 2]), (-1, [1, 3])])
    assert seeds.point == pytest.approx(there.point)


def test_a_difference_spans_measured_and_corrected() -> None:
    found = invert(as_sample(*two_models(300)), metrics=("eopp1",), n_resamples=300)
    point, low, high, _ = GapContrasts(found).contrast("eopp1", [(1, [0]), (-1, [1])]).interval()
    corrected = found.corrected("eopp1")
    assert low < min(point, corrected[0] - corrected[1])
    assert high > max(point, corrected[0] - corrected[1])


def test_solving_a_curve() -> None:
    curve, truth = np.array([[1.0], [3.0], [5.0]]), np.array([[0.0], [0.2], [0.3]])
    for seen, expected in ((0.5, 0.0), (2.0, 0.1), (3.0, 0.2), (9.0, 0.3)):
        assert solve(curve, truth, np.array([seen])) == pytest.approx(expected)


def test_the_corrected_gap_is_the_median_unbiased_one() -> None:
    truth = np.array([[0.0], [0.1], [0.2]])
    spread = np.linspace(-0.05, 0.05, 101)[:, None]
    draws = np.stack([t + 0.04 + spread for t in truth])
    found = Inversion({"gap": np.array([0.19])}, {"gap": truth}, {"gap": draws}, {})
    assert found.corrected("gap") == pytest.approx(0.15)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda a: invert(as_sample(*a), n_resamples=0), "n_resamples is 0; it must be at least 1"),
        (lambda a: invert(as_sample(*a), metrics=("f3",)), r"no metric 'f3'"),
        (
            lambda a: invert(as_sample(*a), n_resamples=2).interval("eopp1", 2),
            "confidence_level is 2; it must be between 0 and 1",
        ),
        (
            lambda a: invert(as_sample(*a), n_resamples=2).interval("eop1"),
            r"'eop1' was not resampled; did you mean",
        ),
        (
            lambda a: GapContrasts(invert(as_sample(*a), n_resamples=2)).contrast(
                "eopp1", [(1, [0]), (-1, [])]
            ),
            "give one model for each seed, and as many baselines",
        ),
    ],
)
def test_bad_input(call: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        call(clustered(0))


def test_a_group_without_a_cluster_of_its_own() -> None:
    rng = np.random.default_rng(0)
    labels, answers = rng.integers(0, 2, (2, 40))
    clusters = np.repeat(np.arange(20), 2).astype(str)
    groups = np.ones(40, int)
    groups[0] = 0  # its cluster holds a sample of the other group too
    found = invert(as_sample(labels, answers[None], groups, clusters, 2, 2), n_resamples=50)
    low = found.interval("eopp1").low
    assert low.shape == (1,)
    assert low[0] <= found.point["eopp1"][0]


def test_the_interval_holds_zero_exactly_where_the_test_does_not_reject() -> None:
    for seed in range(12):
        sample = as_sample(*clustered(seed, 150, models=1))
        found = invert(sample, n_resamples=400, random_state=1)
        for name in gaps():
            rejected = found.point[name] > np.quantile(found.draws[name][0], 0.95)
            assert (found.interval(name).low > 0) == rejected
