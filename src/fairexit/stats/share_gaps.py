"""Differences of two groups' shares, k of n samples each, with their intervals.

The interval follows from the ends of both shares' intervals (Newcombe 1998, method 10) and their
correlation (Zou and Donner 2008), which is not 0 where clusters hold samples of both groups, such
as a patient's lesions at several sites.
"""

import numpy as np
from numpy.typing import NDArray

from fairexit.metrics.rates import Values
from fairexit.stats.proportions import Shares
from fairexit.stats.sample import Ints, Sample
from fairexit.types import UNKNOWN


def difference(
    first: Shares, second: Shares, correlation: Values | float = 0.0
) -> tuple[Values, Values, Values]:
    """The first share minus the second, with its interval.

    It lies in [-1, 1] and exists where all or none are hits.

    Args:
        first, second: the shares, of different samples.
        correlation: correlation of the two estimates, in [-1, 1].
    Returns:
        The difference and the ends of its interval.
    """

    def spread(x: Values, y: Values) -> Values:
        return np.sqrt(np.maximum(x**2 + y**2 - 2 * correlation * x * y, 0))

    a, b = first.values, second.values
    low = a - b - spread(a - first.low, second.high - b)
    high = a - b + spread(first.high - a, b - second.low)
    return a - b, low, high


def correlations(sample: Sample, shares: Shares, ends: Ints, *, of_class: bool) -> Values:
    """The correlation of a rate's estimates in two groups, for each class.

    The covariance is the sum over the clusters of (k1 - p1 m1) (k2 - p2 m2) / (n1 n2), where k of m
    samples of a cluster are hits. It is 0 where no cluster holds both groups.

    Args:
        sample: the samples that the rates were computed from.
        shares: the rate of each group and class, (M, C).
        ends: the two groups that are compared in each class, (2, C).
        of_class: whether the rate is of the samples of the class, as the true positive rate is, or
            of those of all other classes, as the false positive rate is.
    Returns:
        Correlations in [-1, 1], (C,); 0 where a rate does not vary or a group has no samples.
    """
    result = np.zeros(ends.shape[1])
    rows = np.flatnonzero(_in_clusters_of_several_groups(sample))
    if not len(rows):
        return result
    labels, answers, groups = sample.labels[rows], sample.answers[0, rows], sample.groups[rows]
    names, clusters = np.unique(sample.cluster_numbers[rows], return_inverse=True)
    for c, pair in enumerate(ends.T.tolist()):
        variances = shares.deviations[pair, c]
        if pair[0] == pair[1] or not (variances > 0).all():
            continue
        counted = (labels == c) == of_class
        deviations = []
        for g in pair:
            at = np.flatnonzero(counted & (groups == g))
            excess = (answers[at] == c) - shares.values[g, c]
            deviations.append(np.bincount(clusters[at], excess, minlength=len(names)))
        result[c] = deviations[0] @ deviations[1] / np.sqrt(variances.prod())
    return np.clip(result, -1, 1)


def _in_clusters_of_several_groups(sample: Sample) -> NDArray[np.bool_]:
    """Whether each sample's cluster holds several known groups, (N,); not of unknown group."""
    known = sample.groups != UNKNOWN
    clusters, groups = sample.cluster_numbers[known], sample.groups[known]
    any_group = np.zeros(sample.cluster_numbers.max() + 1, np.int64)
    any_group[clusters] = groups
    several = np.zeros(len(any_group), bool)
    several[clusters[groups != any_group[clusters]]] = True
    return known & several[sample.cluster_numbers]
