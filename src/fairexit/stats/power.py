"""The smallest true gap that a set of samples would have found."""

import math
from collections.abc import Callable, Mapping
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from fairexit.metrics.group_metrics import Values, mean_known, range_known

POWER = 0.8
"""Chance that a gap of the named size is found."""

STEPS = 20
"""Halvings of the search: far finer than a printed digit."""

Shifted = Callable[[Mapping[str, Values], NDArray[np.float64]], Values]


def _mean_range(rates: Values) -> Values:
    return mean_known(range_known(rates, -2))


GAPS: dict[str, Shifted] = {
    "eopp0": lambda r, s: _mean_range(np.where(np.isnan(r["tpr"]), np.nan, s - r["fpr"])),
    "eopp1": lambda r, s: _mean_range(r["tpr"] + s),
    "eodd": lambda r, s: _mean_range(r["tpr"] + r["fpr"] + 2 * s) / 2,
    "eodd_usual": lambda r, s: (_mean_range(r["tpr"] + 2 * s) + _mean_range(r["fpr"])) / 2,
    "precision_diff": lambda r, s: range_known(r["precision"] + s[:, 0], -1),
    "recall_diff": lambda r, s: range_known(r["recall"] + s[:, 0], -1),
    "f1_diff": lambda r, s: range_known(r["f1"] + s[:, 0], -1),
}
"""Gap -> its value when one group's rates move by s, (M, 1), so that the true gap is s."""


def detectable_gap(metric: str, null: Mapping[str, Values], ceiling: float, smallest: int) -> float:
    """The smallest true gap that would pass the ceiling in 80 of 100 cases.

    The permuted rates have no true gap. The rates of one group are moved by the same amount in
    every class until 80 % of the permuted gaps lie above the ceiling. Moving changes no variance
    here, so the answer is an approximation; it is good enough to say whether a test set could see
    a gap of 0.02 or only one of 0.2.

    Args:
        metric: a key of `GAPS`.
        null: tpr and fpr (B, M, C), precision, recall and f1 (B, M) under permutation.
        ceiling: 95 % quantile of the gap under permutation.
        smallest: index of the group that is moved: the one with the fewest clusters.
    Returns:
        The gap, NaN where even a gap of 1 stays hidden.
    """
    groups = next(iter(null.values())).shape[1]
    one = (np.arange(groups) == smallest)[:, None].astype(float)

    def power(shift: float) -> float:
        return float((GAPS[metric](null, one * shift) > ceiling).mean())

    low, high = 0.0, 1.0
    if math.isnan(ceiling) or power(high) < POWER:
        return math.nan
    for _ in range(STEPS):
        middle = (low + high) / 2
        low, high = (low, middle) if power(middle) >= POWER else (middle, high)
    return high


def detectable_rates(null: Values, ceiling: Values) -> Values:
    """The smallest true gap of each class's rate that would be found in 80 of 100 cases.

    Ceiling + 0.84 standard deviations of the difference between the two groups whose rates are
    least certain, the normal approximation. With two groups that is 2.8 standard deviations.

    Args:
        null: rates under permutation, (B, M, C), NaN where a cell is too small.
        ceiling: the gap from which a class's test rejects, (C,).
    Returns:
        (C,), NaN where fewer than two groups can be compared or the gap would exceed 1.
    """
    known = ~np.isnan(null)
    times = np.maximum(known.sum(0), 1)
    mean = np.where(known, null, 0).sum(0) / times
    variance = (np.where(known, null - mean, 0) ** 2).sum(0) / times
    two = np.sort(np.where(known.any(0), variance, -np.inf), axis=0)[-2:].sum(0)
    found = ceiling + NormalDist().inv_cdf(POWER) * np.sqrt(np.maximum(two, 0))
    return np.where((two >= 0) & (found <= 1), found, np.nan)
