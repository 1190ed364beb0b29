"""The smallest true gap that a test on a set of samples can detect."""

import math
from collections.abc import Sequence
from statistics import NormalDist

import numpy as np

from fairexit.metrics.rates import Values, mean_known
from fairexit.metrics.record import Metric

POWER = 0.8
"""Probability that a gap of the returned size is detected."""

NO_VARIANCE = 1e-18
"""Variance of permuted values up to which they are equal but for rounding."""

STEPS = 20
"""Bisection steps: enough for far more digits than are printed."""


def min_detectable_gap(
    metric: Metric, null: Sequence[Values], threshold: float, group: int
) -> float:
    """The smallest true gap that would exceed the threshold in 80 of 100 cases.

    The permuted rates have no true gap. The rates of one group are shifted by the same amount in
    every class until 80 % of the permuted gaps exceed the threshold. The shift leaves the variance
    unchanged, so the result is an approximation; it is accurate enough to tell whether a test set
    could detect a gap of 0.02 or only one of 0.2.

    Args:
        metric: a gap.
        null: its rates under permutation, (B, M, C) or (B, M) each.
        threshold: 95 % quantile of the gap under permutation.
        group: index of the group whose rates are shifted, the one with the fewest clusters.
    Returns:
        The gap, NaN where even a gap of 1 would not be detected or the permuted gaps do not vary,
        as those of a model that gives one answer.
    """
    moves, units = [], []
    for rate, moved in zip(null, metric.moved, strict=True):
        move = np.zeros(rate.shape[1:])
        move[group] = float(moved)
        moves.append(move)
        # A rate that is not moved, such as the weight of a class, is the same in all groups.
        mean = mean_known(rate.reshape(-1, *rate.shape[2:]).T)
        units.append(move if moved else np.broadcast_to(mean, move.shape))
    unit = float(metric.gap(units))

    def power(gap: float) -> float:
        shifted = [rate + move * gap / unit for rate, move in zip(null, moves, strict=True)]
        return float((metric.gap(shifted) > threshold).mean())

    low, high = 0.0, 1.0
    values = metric.gap(null)
    known = values[~np.isnan(values)]
    varies = len(known) > 0 and known.var() > NO_VARIANCE
    if math.isnan(threshold) or not varies or power(high) < POWER:
        return math.nan
    for _ in range(STEPS):
        middle = (low + high) / 2
        low, high = (low, middle) if power(middle) >= POWER else (middle, high)
    return high


def min_detectable_range(null: Values, threshold: Values) -> Values:
    """The smallest true gap of each class's rate that would be detected in 80 of 100 cases.

    By the normal approximation, the threshold + 0.84 standard deviations of the difference between
    the two groups whose rates are least certain. With two groups that is 2.8 standard deviations.

    Args:
        null: rates under permutation, (B, M, C), NaN where a cell is too small.
        threshold: the gap from which the test of each class rejects, (C,).
    Returns:
        (C,), NaN where fewer than two groups can be compared, the gap would exceed 1, or the
        permuted rates do not vary.
    """
    known = ~np.isnan(null)
    times = np.maximum(known.sum(0), 1)
    mean = np.where(known, null, 0).sum(0) / times
    variance = (np.where(known, null - mean, 0) ** 2).sum(0) / times
    of_pair = np.sort(np.where(known.any(0), variance, -np.inf), axis=0)[-2:].sum(0)
    gap = threshold + NormalDist().inv_cdf(POWER) * np.sqrt(np.maximum(of_pair, 0))
    return np.where((of_pair > NO_VARIANCE) & (gap <= 1), gap, np.nan)
