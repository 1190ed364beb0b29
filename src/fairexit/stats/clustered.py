"""Means and areas under the ROC curve with intervals from the sums of each cluster.

An estimate is, up to terms that vanish, a mean of one influence for each sample. The influences are
summed over each cluster, so that samples of one lesion or patient may depend on each other (Liang
and Zeger 1986; for the area Obuchowski 1997, which is DeLong et al. 1988 with clusters). Intervals
take Student's t with one degree of freedom less than there are clusters.
"""

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


class Ends(NamedTuple):
    """An estimate and its interval; the ends are NaN where there is none."""

    value: float
    low: float
    high: float


def clustered_mean(values: NDArray[Any], clusters: Ints, confidence_level: float = 0.95) -> Ends:
    """The mean of N values.

    Args:
        values: (N,).
        clusters: index of each sample's cluster, (N,).
        confidence_level: coverage, in (0, 1).
    """
    if not len(values):
        return Ends(math.nan, math.nan, math.nan)
    mean = float(values.mean())
    half = _half_width(values - mean, clusters, confidence_level)
    return Ends(mean, mean - half, mean + half)


def clustered_auroc(
    scores: NDArray[Any],
    positive: NDArray[np.bool_],
    clusters: Ints,
    confidence_level: float = 0.95,
) -> Ends:
    """Area under the ROC curve: the probability that a positive scores higher than a negative.

    Ties count half. The interval is symmetric on the scale of the logarithm of the odds.

    Args:
        scores: (N,).
        positive: which samples are positive, (N,).
        clusters: index of each sample's cluster, (N,).
        confidence_level: coverage, in (0, 1).
    Returns:
        NaN without positives or without negatives; without an interval for an area of 0 or 1.
    """
    number = int(positive.sum())
    others = len(positive) - number
    if not number or not others:
        return Ends(math.nan, math.nan, math.nan)
    rank = _ranks(scores)
    # For each sample the share of the other kind that it is ordered rightly against.
    share = np.empty(len(scores))
    share[positive] = (rank[positive] - _ranks(scores[positive])) / others
    share[~positive] = 1 - (rank[~positive] - _ranks(scores[~positive])) / number
    area = float(share[positive].mean())
    if not 0 < area < 1:
        return Ends(area, math.nan, math.nan)
    weight = np.where(positive, len(scores) / number, len(scores) / others)
    half = _half_width((share - area) * weight, clusters, confidence_level) / (area * (1 - area))
    odds = math.log(area / (1 - area))
    low, high = (1 / (1 + math.exp(-x)) for x in (odds - half, odds + half))
    return Ends(area, low, high)


def _ranks(scores: NDArray[Any]) -> Floats:
    """Ranks from 1, (N,); equal scores share the mean of theirs."""
    _, place, number = np.unique(scores, return_inverse=True, return_counts=True)
    mean: Floats = number.cumsum() - (number - 1) / 2
    return mean[place.ravel()]


def _half_width(influence: Floats, clusters: Ints, confidence_level: float) -> float:
    """Half the width of the interval of a mean, by the influence of each sample (N,)."""
    sums = np.bincount(np.unique(clusters, return_inverse=True)[1].ravel(), influence)
    number = len(sums)
    if number < 2:
        return math.nan
    error = math.sqrt(number / (number - 1) * float((sums**2).sum())) / len(influence)
    return float(stdtrit(number - 1, (1 + confidence_level) / 2)) * error
