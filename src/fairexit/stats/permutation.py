"""Permutation tests: groups of whole clusters permuted among clusters of the same class profile.

Under the hypothesis that the groups do not matter, a cluster of given classes could equally have
belonged to another group. Permuting the groups among such clusters keeps the size and the class mix
of every group and gives the gaps that chance alone produces; their mean is the null mean.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fairexit.metrics.rates import Empty, Values
from fairexit.metrics.record import gaps
from fairexit.stats.clusters import Clusters, find_clusters, rarest_class
from fairexit.stats.contents import profiles_of
from fairexit.stats.intervals import check_question, quantiles
from fairexit.stats.resampling import (
    Measures,
    check_resamples,
    chunks,
    measure,
    measure_margins,
    named_measures,
    sum_regrouped,
)
from fairexit.stats.sample import Ints, Sample

STUCK = 0.05
"""Share of images that cannot be permuted above which similar profiles are pooled."""


@dataclass(frozen=True, eq=False)
class Permutation:
    """Gaps of R models, and the gaps that chance alone gives; name -> array.

    Attributes:
        point: the gaps, (R, ...).
        null: the gaps in each of B permutations, (B, R, ...).
        approximate: whether similar class profiles were pooled because too few clusters share a
            profile; the test is then not exact.
        stuck: share of the images whose cluster keeps its group in every permutation, because it
            has images of several groups or no cluster of another group to swap with.
        bundled: whether clusters were merged, see `fairexit.stats.clusters.find_clusters`.
    """

    point: dict[str, Values]
    null: dict[str, Values]
    approximate: bool
    stuck: float
    bundled: bool = False

    def null_mean(self, name: str) -> Values:
        """The null mean: the mean gap under permutation, (R, ...)."""
        check_question(name, self.point)
        known = ~np.isnan(self.null[name])
        total = np.where(known, self.null[name], 0.0).sum(0)
        times = known.sum(0)
        return np.divide(total, times, out=np.full(total.shape, np.nan), where=times > 0)

    def null_quantile(self, name: str, confidence_level: float = 0.95) -> Values:
        """The quantile of the gap under permutation, (R, ...); larger gaps exceed chance."""
        check_question(name, self.point, confidence_level)
        null = self.null[name]
        return quantiles(null, np.full((1, *null.shape[1:]), confidence_level))[0]

    def p_value(self, name: str) -> Values:
        """The p-value of each gap, (R, ...).

        (1 + permutations with a gap at least as large) / (1 + permutations).
        """
        check_question(name, self.point)
        null, point = self.null[name], self.point[name]
        known = ~np.isnan(null)
        # Sums in a different order differ in the last digits; ties must remain ties.
        larger = (null >= point - 1e-9).sum(0)
        return np.where(np.isnan(point), np.nan, (1 + larger) / (1 + known.sum(0)))

    def corrected(self, name: str) -> Values:
        """The gap minus the null mean, (R, ...); negative if it is smaller than the null mean."""
        check_question(name, self.point)
        return self.point[name] - self.null_mean(name)


def permute(
    sample: Sample,
    *,
    metrics: Measures | None = None,
    n_resamples: int = 10_000,
    random_state: int = 0,
    empty: Empty = "exclude",
) -> Permutation:
    """Compute the gaps when the groups of whole clusters are permuted.

    Clusters swap groups with clusters of the same class profile: the same number of images of each
    class. If more than a share of `STUCK` of the images have no such partner in another group, as
    is common with patients, those clusters swap with others that share their rarest class and, if
    possible, have a similar size, and the test is approximate. A cluster with images of several
    groups keeps them.

    Arguments and errors as for `fairexit.stats.bootstrap.bootstrap`; `n_resamples` is the number
    of permutations. Functions given as `metrics` may return more axes, such as one for the
    classes.
    """
    check_resamples(n_resamples)
    measures = named_measures(gaps() if metrics is None else metrics, empty)
    clusters = find_clusters(sample)
    profiles, approximate = exchangeable(clusters)
    rng = np.random.default_rng(random_state)
    point = measure(clusters, [clusters.number[None]], measures)
    permuted = permutations(clusters, profiles, n_resamples, rng)
    null = measure_margins((sum_regrouped(clusters, times) for times in permuted), measures)
    images = clusters.number[clusters.owner]
    return Permutation(
        {name: value[0] for name, value in point.items()},
        null,
        approximate,
        float(images[~_movable(clusters, profiles)[clusters.owner]].sum() / images.sum()),
        clusters.bundled,
    )


def exchangeable(clusters: Clusters) -> tuple[Ints, bool]:
    """Which types may swap groups.

    Returns:
        Profile of each type, (T,), and whether similar profiles were pooled. Types of the same
        profile swap groups.
    """
    exact = profiles_of(clusters.owner, clusters.labels)
    sizes = np.bincount(clusters.owner)
    images, unmatched = clusters.number * sizes, _unmatched(clusters, exact)
    if images[unmatched].sum() <= STUCK * images.sum():
        return exact, False
    size = np.floor(np.log2(sizes)).astype(np.int64)
    rarest, profiles = rarest_class(clusters), exact
    for similar in (rarest * (size.max() + 1) + size, rarest):
        # Types that have a partner keep their profile.
        profiles = np.where(_unmatched(clusters, profiles), profiles.max() + 1 + similar, profiles)
    return profiles, True


def _unmatched(clusters: Clusters, profiles: Ints) -> NDArray[np.bool_]:
    """Types of a single group that have no cluster of another group to swap with, (T,)."""
    return (clusters.group < clusters.num_groups) & ~_movable(clusters, profiles)


def _movable(clusters: Clusters, profiles: Ints) -> NDArray[np.bool_]:
    """Types of a single group whose profile has clusters of another group, (T,)."""
    single = clusters.group < clusters.num_groups
    low = np.full(int(profiles.max()) + 1, clusters.num_groups)
    high = np.full(len(low), -1)
    np.minimum.at(low, profiles[single], clusters.group[single])
    np.maximum.at(high, profiles[single], clusters.group[single])
    movable: NDArray[np.bool_] = single & (low < high)[profiles]
    return movable


def permutations(
    clusters: Clusters, profiles: Ints, draws: int, rng: np.random.Generator
) -> Iterator[Ints]:
    """How often each shape occurs with each group when groups are permuted.

    Args:
        clusters: T types.
        profiles: profile of each type, (T,); types of the same profile swap groups, see
            `exchangeable`.
        draws: number of permutations, B.
        rng: random generator.
    Yields:
        Chunks of permutations for `fairexit.stats.resampling.sum_regrouped`, (b, U * M).
    """
    u, m = len(clusters.examples), clusters.num_groups
    movable = _movable(clusters, profiles)
    own = np.minimum(clusters.group, m - 1)  # any group will do for types with several groups
    fixed = np.zeros((u, m), np.int64)
    np.add.at(fixed, (clusters.shape, own), np.where(movable, 0, clusters.number))
    by_profile = np.argsort(np.where(movable, profiles, -1), kind="stable")[(~movable).sum() :]
    starts = np.flatnonzero(np.diff(profiles[by_profile], prepend=-1))
    hands = []
    for types in np.split(by_profile, starts[1:]) if len(by_profile) else []:
        number, group = clusters.number[types], clusters.group[types]
        shapes, position = np.unique(clusters.shape[types], return_inverse=True)
        of_shape = np.bincount(position, number).astype(np.int64)
        hands.append((shapes, of_shape, np.bincount(group, number, minlength=m).astype(np.int64)))
    for rows in chunks(draws, max(u * m, clusters.width)):
        times = np.tile(fixed, (rows, 1, 1))
        for shapes, of_shape, sizes in hands:
            times[:, shapes] += _deal(of_shape, sizes, rows, rng)
        yield times.reshape(rows, u * m)


def _deal(number: Ints, sizes: Ints, rows: int, rng: np.random.Generator) -> Ints:
    """Assign clusters at random to groups of fixed sizes.

    Args:
        number: clusters of each type, (T,).
        sizes: clusters of each group, (M,).
        rows: number of assignments.
        rng: random generator.
    Returns:
        How many clusters of each type each group gets, (rows, T, M).
    """
    cells = len(number) * len(sizes)
    if number.sum() > 8 * cells:  # with so many clusters, drawing by type is faster
        return _deal_types(number, sizes, rows, rng)
    group = np.repeat(np.arange(len(sizes)), sizes)
    type_of = np.repeat(np.arange(len(number)), number)
    dealt = rng.permuted(np.tile(group, (rows, 1)), axis=1)
    flat = type_of * len(sizes) + dealt + np.arange(rows)[:, None] * cells
    return np.bincount(flat.ravel(), minlength=rows * cells).reshape(rows, len(number), -1)


def _deal_types(number: Ints, sizes: Ints, rows: int, rng: np.random.Generator) -> Ints:
    """As `_deal`, from the multivariate hypergeometric distribution by type and group."""
    times = np.zeros((rows, len(number), len(sizes)), np.int64)
    free = np.tile(sizes, (rows, 1))  # places that each group has left
    for t, clusters in enumerate(number):
        waiting, open_ = np.full(rows, clusters), free.sum(1)
        for g in range(len(sizes)):
            open_ -= free[:, g]
            times[:, t, g] = rng.hypergeometric(free[:, g], open_, waiting)
            waiting -= times[:, t, g]
        free -= times[:, t]
    return times
