"""Confidence intervals for gaps by inversion of a test: all true gaps that it does not reject.

A gap such as Eopp1 is a mean of absolute values, so chance makes it larger. A bootstrap adds that
bias a second time: near a true gap of 0 its whole distribution lies above the true gap, and neither
percentiles nor BCa correct this. Here the sample is turned into a family of populations instead.
With probability `mix` a cluster is drawn from its own group, otherwise from all groups' clusters of
the same (rarest) class. At mix 0 groups do not matter, and are permuted; at mix 1 this is the
bootstrap. The interval holds the gaps of those populations whose samples often show the measured
gap (a test inverted along a path; Carpenter 1999, Hansen 1999).
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr

from fairexit.metrics.rates import Empty, Values
from fairexit.metrics.record import gaps
from fairexit.stats.clusters import Clusters, find_clusters, rarest_class
from fairexit.stats.intervals import (
    Interval,
    Jackknife,
    check_question,
    jackknife,
    quantiles,
)
from fairexit.stats.permutation import exchangeable, permutations
from fairexit.stats.planting import PLANTED_AT, Planted, plant_gaps
from fairexit.stats.resampling import (
    Measures,
    check_resamples,
    chunks,
    draw_types,
    drawn_width,
    measure,
    measure_margins,
    named_measures,
    sum_regrouped,
)
from fairexit.stats.sample import Ints, Sample

MIXES = np.array([0, 0.15, 0.3, 0.45, 0.6, 0.8, 1])
"""Populations from no difference between the groups (0) to the measured difference (1)."""

PARTS = 2**20
"""A population's shares are rounded to integers of this sum, from which drawing is much faster."""


@dataclass(frozen=True, eq=False)
class Inversion:
    """Gaps of R models, and of samples from the K populations of `MIXES`; name -> array.

    Attributes:
        point: the measured gaps, (R, ...).
        truth: the true gap of each population, (K, R, ...).
        draws: gaps of B samples from each population, (K, B, R, ...).
        jackknife: the measured gaps without one cluster of each type.
        planted: the gaps with true gaps planted; None unless asked for.
    """

    point: dict[str, Values]
    truth: dict[str, Values]
    draws: dict[str, Values]
    jackknife: dict[str, Jackknife]
    planted: Planted | None = None

    def interval(self, name: str, confidence_level: float = 0.95) -> Interval:
        """The interval of each model's gap, (R, ...); its point is the measured gap.

        The lower end comes from the inversion; it is 0 exactly where the one-sided test of "no
        gap" does not reject. The upper end takes the spread of the draws at the measured gap and
        does not subtract what chance added to it: that bias is unknown there, and never negative.

        Args:
            name: one of the gaps.
            confidence_level: coverage, in (0, 1).
        Raises:
            UserError: an unknown name, or a confidence_level out of range.
        """
        check_question(name, self.point, confidence_level)
        draws, truth = self.draws[name], self.truth[name]
        observed = self.point[name]
        tail = self.jackknife[name].tail(confidence_level)
        levels = ndtr(np.stack([np.zeros(tail.shape), tail]))
        median, upper = np.stack([quantiles(d, levels) for d in draws], 1)
        # Permutations are exact, however few clusters there are. Near a true gap of 0 the measured
        # gap is never too small, so that all misses may be on this side.
        upper[0] = quantiles(draws[0], np.full((1, *tail.shape), confidence_level))[0]
        solved = np.minimum(solve(upper, truth, observed), observed)
        low = np.where(observed <= upper[0], 0.0, solved)
        high = observed + upper[-1] - median[-1]
        return Interval(observed, low, high, np.isnan(draws).mean((0, 1)))

    def corrected(self, name: str) -> Values:
        """The true gap whose samples have the measured gap as their median gap, (R, ...)."""
        check_question(name, self.point)
        draws = self.draws[name]
        levels = np.full((1, *self.point[name].shape), 0.5)
        median = np.stack([quantiles(d, levels)[0] for d in draws])
        solved = solve(median, self.truth[name], self.point[name])
        return np.where(self.point[name] <= median[0], 0.0, solved)


def invert(
    sample: Sample,
    *,
    metrics: Measures | None = None,
    n_resamples: int = 1000,
    random_state: int = 0,
    empty: Empty = "exclude",
    plant: bool = False,
) -> Inversion:
    """Draw samples from the populations of `MIXES` and compute their gaps.

    Arguments and errors as for `fairexit.stats.bootstrap.bootstrap`; `n_resamples` is the number
    of samples from each population, `plant` whether true gaps are planted as well, from which
    contrasts know their power.
    """
    check_resamples(n_resamples)
    measures = named_measures(gaps() if metrics is None else metrics, empty)
    clusters = find_clusters(sample)
    point = measure(clusters, [clusters.number[None]], measures)
    populations = np.stack([_population(clusters, mix) for mix in MIXES])
    truth = measure_margins([sum_regrouped(clusters, populations)], measures)
    # At mix 0 permutations (draws without replacement) are exact, however few clusters a cell has.
    profiles = exchangeable(clusters)[0]
    permuted = permutations(clusters, profiles, n_resamples, np.random.default_rng(random_state))
    samples = [_samples(clusters, p, n_resamples, random_state) for p in populations[1:]]
    drawn = [
        measure_margins((sum_regrouped(clusters, times) for times in draws), measures)
        for draws in (permuted, *samples)
    ]
    planted = None
    if plant:
        bases = [
            (
                sum_regrouped(clusters, populations[k][None]),
                (
                    sum_regrouped(clusters, times)
                    for times in _samples(clusters, populations[k], n_resamples, random_state)
                ),
            )
            for k in PLANTED_AT
        ]
        planted = plant_gaps(bases, measures)
    return Inversion(
        {name: value[0] for name, value in point.items()},
        truth,
        {name: np.stack([d[name] for d in drawn]) for name in measures},
        jackknife(clusters, measures),
        planted,
    )


def _population(clusters: Clusters, mix: float) -> Values:
    """Expected number of clusters of each shape with each group, (U * M,)."""
    m = clusters.num_groups
    rarest = rarest_class(clusters)
    times = np.zeros((len(clusters.number), m + 1))
    times[np.arange(len(times)), clusters.group] = clusters.number
    for c in np.unique(rarest):
        types = (rarest == c) & (clusters.group < m)
        own = times[types, :m]
        group_sizes = own.sum(0)
        share = clusters.number[types, None] / max(group_sizes.sum(), 1)
        times[types, :m] = mix * own + (1 - mix) * share * group_sizes
    times[clusters.group == m, 0] = clusters.number[clusters.group == m]
    by_shape = np.zeros((len(clusters.examples), m))
    np.add.at(by_shape, clusters.shape, times[:, :m])
    return by_shape.ravel()


def _samples(clusters: Clusters, population: Values, draws: int, seed: int) -> Iterator[Ints]:
    """Samples from a population, each group of its own size, in chunks (b, U * M)."""
    rng = np.random.default_rng(seed)
    m, group = clusters.num_groups, clusters.group[clusters.examples]
    strata = np.where(group[:, None] == m, m, np.arange(m)).ravel()
    members = [np.flatnonzero((strata == h) & (population > 0)) for h in np.unique(strata)]
    shares = []
    for types in filter(len, members):  # a group may have no cluster of its own
        cumulative = population[types].cumsum()
        parts = np.diff(np.round(cumulative / cumulative[-1] * PARTS).astype(np.int64), prepend=0)
        shares.append((types, parts, round(cumulative[-1])))
    held = [drawn_width(size, len(types)) for types, _, size in shares]
    for rows in chunks(draws, max(len(strata), clusters.width, *held)):
        times = np.zeros((rows, len(strata)), np.int64)
        for types, parts, size in shares:
            times[:, types] = draw_types(parts, size, rows, rng)
        yield times


def solve(curve: Values, truth: Values, observed: Values) -> Values:
    """The true gap, interpolated in truth (K, ...), whose quantile in curve (K, ...) is observed.

    Args:
        curve: a quantile of the draws from each population, (K, ...).
        truth: the true gap of each population, (K, ...).
        observed: the measured gap, (...).
    Returns:
        (...).
    """
    curves, truths = (np.maximum.accumulate(v).reshape(len(v), -1).T for v in (curve, truth))
    points = zip(np.ravel(observed), curves, truths, strict=True)
    return np.array([np.interp(*point) for point in points]).reshape(observed.shape)
