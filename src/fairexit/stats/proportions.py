"""Exact intervals of shares, k of n samples, also of few samples and where all or none are hits.

Clopper and Pearson (1934) for independent samples. Samples of one cluster are not independent, so
n is replaced by the effective sample size: n divided by the design effect of the share (Rao and
Scott 1992), with the correction of Korn and Graubard (1998) for the few degrees of freedom of few
clusters. Where all or none are hits, the design effect cannot be estimated; there the samples of a
cluster count as if they were all alike, n^2 / sum of squared cluster sizes (Kish 1965). Where few
clusters hold a hit, or few a miss, the estimate moves towards that worst case, so that 1 of 100 is
not known far better than 0 of 100.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaincinv, stdtrit

from fairexit.metrics.rates import Values
from fairexit.stats.sample import Ints, Sample
from fairexit.types import UNKNOWN

PRIOR_CLUSTERS = 2.0
"""Clusters that the worst design effect counts for, beside those in which a share varies."""


@dataclass(frozen=True, eq=False)
class Shares:
    """Shares with the numbers behind them, arrays of one shape.

    Attributes:
        hits: samples that count, k.
        n: samples, of which k count.
        clusters: clusters that the n samples come from.
        low, high: ends of the interval; NaN without a sample.
        deviations: sum over the clusters of (k - p m)^2, where k of m samples of a cluster are
            hits and p is the share.
    """

    hits: Ints
    n: Ints
    clusters: Ints
    low: Values
    high: Values
    deviations: Values

    @property
    def values(self) -> Values:
        """k / n; NaN without a sample."""
        return np.divide(self.hits, self.n, out=np.full(self.n.shape, np.nan), where=self.n > 0)

    def __getitem__(self, index: Any) -> "Shares":
        """A selection of the shares."""
        return Shares(*(np.asarray(part)[index] for part in vars(self).values()))


def true_positives(sample: Sample, confidence_level: float = 0.95) -> Shares:
    """The true positive rate of each group and class of the first model, (M, C)."""
    rows, owner, shape = _rows(sample), _owner(sample), _shape(sample)
    labels, hit = sample.labels[rows], sample.answers[0, rows] == sample.labels[rows]
    pairs, index = np.unique(owner * shape[1] + labels, return_inverse=True)
    m = np.bincount(index)
    k = np.bincount(index, hit, minlength=len(m))
    total = _totals(pairs, shape)
    return _shares(
        hits=total(k), n=total(m), clusters=total(np.ones_like(m)),
        squares=(total(k * k), total(k * m), total(m * m)), confidence_level=confidence_level,
    )  # fmt: skip


def false_positives(sample: Sample, confidence_level: float = 0.95) -> Shares:
    """The false positive rate of each group and class of the first model, (M, C)."""
    rows, owner, shape = _rows(sample), _owner(sample), _shape(sample)
    labels, answers = sample.labels[rows], sample.answers[0, rows]
    pairs, of_class = np.unique(owner * shape[1] + labels, return_counts=True)
    owners, sizes = np.unique(owner, return_counts=True)
    wrong = answers != labels
    alarms, k = np.unique(owner[wrong] * shape[1] + answers[wrong], return_counts=True)

    # Negatives of a class in a cluster: all of its samples in the group, without those of the class
    size_at = sizes[np.searchsorted(owners, pairs // shape[1])]
    place = np.minimum(np.searchsorted(pairs, alarms), len(pairs) - 1)
    positives = np.where(pairs[place] == alarms, of_class[place], 0)
    m = sizes[np.searchsorted(owners, alarms // shape[1])] - positives

    group = owners % shape[0]
    n, squared = (np.bincount(group, w, minlength=shape[0])[:, None] for w in (sizes, sizes**2))
    by_class, by_alarm = _totals(pairs, shape), _totals(alarms, shape)
    return _shares(
        hits=by_alarm(k),
        n=n - by_class(of_class),
        clusters=sample.clusters_behind_rates()[1],
        squares=(
            by_alarm(k * k),
            by_alarm(k * m),
            squared - by_class(2 * size_at * of_class - of_class**2),
        ),
        confidence_level=confidence_level,
    )


def accuracies(sample: Sample, confidence_level: float = 0.95) -> Shares:
    """The accuracy of each group of the first model, (M,)."""
    wrong = (sample.answers[:1] != sample.labels).astype(np.int64)
    binary = replace(sample, labels=np.zeros_like(wrong[0]), answers=wrong, num_classes=2)
    return true_positives(binary, confidence_level)[:, 0]


def _rows(sample: Sample) -> NDArray[np.bool_]:
    return sample.groups != UNKNOWN


def _shape(sample: Sample) -> tuple[int, int]:
    return sample.num_groups, sample.num_classes


def _owner(sample: Sample) -> Ints:
    """Cluster and group of each sample of known group as one number."""
    rows = _rows(sample)
    return sample.cluster_numbers[rows] * sample.num_groups + sample.groups[rows]


def _totals(pairs: Ints, shape: tuple[int, int]) -> Any:
    """A function that sums values of pairs of owner and class over the owners, (M, C)."""
    cell = (pairs // shape[1] % shape[0]) * shape[1] + pairs % shape[1]

    def total(values: NDArray[Any]) -> Values:
        sums = np.bincount(cell, values, minlength=shape[0] * shape[1])
        return sums.reshape(shape).astype(float)

    return total


def _shares(
    *,
    hits: Values,
    n: Values,
    clusters: NDArray[Any],
    squares: tuple[Values, Values, Values],
    confidence_level: float,
) -> Shares:
    """Shares with their intervals.

    Args:
        hits, n, clusters: as in `Shares`.
        squares: sums over the clusters of k^2, k m and m^2, where k of m samples of a cluster are
            hits.
        confidence_level: coverage, in (0, 1).
    """
    tail = (1 + confidence_level) / 2
    kk, km, mm = squares
    p = np.divide(hits, n, out=np.full(n.shape, np.nan), where=n > 0)
    deviations = np.where(n > 0, kk - 2 * p * km + p**2 * mm, 0)
    size = _effective_size(hits, n, clusters, deviations=deviations, squares=squares, tail=tail)
    x = p * size
    with np.errstate(invalid="ignore"):
        low = np.where(x > 0, betaincinv(np.maximum(x, 1e-300), size - x + 1, 1 - tail), 0.0)
        high = np.where(x < size, betaincinv(x + 1, np.maximum(size - x, 1e-300), tail), 1.0)
    k, size_n, units = (np.rint(values).astype(np.int64) for values in (hits, n, clusters))
    low, high = (np.where(n > 0, end, np.nan) for end in (low, high))
    return Shares(k, size_n, units, low, high, deviations)


def _effective_size(
    hits: Values,
    n: Values,
    clusters: NDArray[Any],
    *,
    deviations: Values,
    squares: tuple[Values, Values, Values],
    tail: float,
) -> Values:
    """The number of independent samples that say as much about a share as n in clusters do."""
    kk, km, mm = squares
    n1, k1 = np.maximum(n, 2), np.maximum(clusters, 2)
    p = hits / np.maximum(n, 1)
    variance = deviations * k1 / (k1 - 1) / n1**2
    independent = p * (1 - p) / (n1 - 1)
    varies = (hits > 0) & (hits < n) & (clusters > 1)
    effect = np.divide(variance, independent, out=np.ones(n.shape), where=varies)
    freedom = (stdtrit(n1 - 1, tail) / stdtrit(k1 - 1, tail)) ** 2
    alike = np.divide(n**2, mm, out=np.zeros(n.shape), where=mm > 0)
    # Few clusters with a hit, or without, say little about the design effect: it moves towards the
    # worst one, which holds where there is none.
    misses = n - hits
    behind = [np.divide(a**2, b, out=np.zeros(n.shape), where=b > 0) for a, b in
              ((hits, kk), (misses, mm - 2 * km + kk))]  # fmt: skip
    few = np.minimum(*behind)
    worst = np.divide(mm, n, out=np.ones(n.shape), where=n > 0)
    effect = (np.maximum(effect, 1) * few + worst * PRIOR_CLUSTERS) / (few + PRIOR_CLUSTERS)
    estimated = np.maximum(n / effect * freedom, np.minimum(n, 1))
    return np.where(varies, estimated, alike)
