"""The smallest true gap that a set of samples would have found."""

import math
from collections.abc import Sequence
from statistics import NormalDist

import numpy as np

from fairexit.metrics.rates import Values
from fairexit.metrics.record import Metric

POWER = 0.8
"""Chance that a gap of the named size is found."""

STEPS = 20
"""Halvings of the search: far finer than a printed digit."""


def min_detectable_gap(
    metric: Metric, null: Sequence[Values], threshold: float, group: int
) -> float:
    """The smallest true gap that would exceed the threshold in 80 of 100 cases.

    The permuted rates have no true gap. The rates of one group are moved by the same amount in
    every class until 80 % of the permuted gaps lie above the threshold. Moving changes no variance
    here, so the answer is an approximation; it is good enough to say whether a test set could see
    a gap of 0.02 or only one of 0.2.

    Args:
        metric: a gap.
        null: its rates under permutation, (B, M, C) or (B, M) each.
        threshold: 95 % quantile of the gap under permutation.
        group: index of the group that is moved: the one with the fewest clusters.
    Returns:
        The gap, NaN where even a gap of 1 stays hidden.
    """
    moves = []
    for rate, moved in zip(null, metric.moved, strict=True):
        move = np.zeros(rate.shape[1:])
        move[group] = float(moved)
        moves.append(move)
    unit = float(metric.gap(moves))

    def power(gap: float) -> float:
        shifted = [rate + move * gap / unit for rate, move in zip(null, moves, strict=True)]
        return float((metric.gap(shifted) > threshold).mean())

    low, high = 0.0, 1.0
    if math.isnan(threshold) or power(high) < POWER:
        return math.nan
    for _ in range(STEPS):
        middle = (low + high) / 2
        low, high = (low, middle) if power(middle) >= POWER else (middle, high)
    return high


def min_detectable_range(null: Values, threshold: Values) -> Values:
    """The smallest true gap of each class's rate that would be found in 80 of 100 cases.

    Threshold + 0.84 standard deviations of the difference between the two groups whose rates are
    least certain, the normal approximation. With two groups that is 2.8 standard deviations.

    Args:
        null: rates under permutation, (B, M, C), NaN where a cell is too small.
        threshold: the gap from which a class's test rejects, (C,).
    Returns:
        (C,), NaN where fewer than two groups can be compared or the gap would exceed 1.
    """
    known = ~np.isnan(null)
    times = np.maximum(known.sum(0), 1)
    mean = np.where(known, null, 0).sum(0) / times
    variance = (np.where(known, null - mean, 0) ** 2).sum(0) / times
    two = np.sort(np.where(known.any(0), variance, -np.inf), axis=0)[-2:].sum(0)
    gap = threshold + NormalDist().inv_cdf(POWER) * np.sqrt(np.maximum(two, 0))
    return np.where((two >= 0) & (gap <= 1), gap, np.nan)
