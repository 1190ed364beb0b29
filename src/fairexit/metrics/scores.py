"""Metrics of probabilities; sample weights may have leading axes, such as groups or resamples."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fairexit.metrics.rates import Values, mean_known

NEAR_ONE = 0.999
"""Probabilities above it have few digits in single precision, but what they leave has many."""

BINS = 15
"""Bins of the calibration error."""

Array = NDArray[np.floating[Any]]


def auroc(
    probabilities: Array, labels: NDArray[np.int64], weights: NDArray[Any] | None = None
) -> Values:
    """Area under the ROC curve, one class against the rest, macro over classes.

    The probability that a sample of the class scores higher than a sample of another class, where
    ties count half (Mann-Whitney). A class that has no sample, or all of them, is left out of the
    mean. The areas of two classes are one area. Probabilities so near 1 that they are equal in
    single precision are ranked by what they leave for the other classes.

    Args:
        probabilities: (N, C).
        labels: true classes, (N,), in [0, C).
        weights: sample weights, not negative, (..., N); 1 for each sample by default.
    Returns:
        (...), in [0, 1]; NaN where no class can be measured.

    >>> auroc(np.array([[0.9, 0.1], [0.2, 0.8], [0.3, 0.7]]), np.array([0, 1, 0])).item()
    1.0
    """
    num_classes = probabilities.shape[1]
    classes = [1] if num_classes == 2 else range(num_classes)
    if weights is None:
        areas = [_plain_area(probabilities, c, labels == c) for c in classes]
    else:
        weights = _weights(labels, weights)
        areas = [_area(ranks(probabilities, c), labels == c, weights) for c in classes]
    return mean_known(np.stack(areas, -1))


def ranks(probabilities: Array, c: int) -> NDArray[np.int64]:
    """Rank of each sample by the probability of one class, (N,); equal ranks are ties.

    Args:
        probabilities: (N, C).
        c: the class.
    """
    scores = probabilities[:, c]
    rest = np.zeros(len(scores))
    near_one = np.flatnonzero(scores > NEAR_ONE)
    if len(near_one):
        others = np.delete(probabilities[near_one], c, 1)
        rest[near_one] = -others.sum(1, dtype=np.float64)
    order = np.lexsort((rest, scores))
    new = (np.diff(scores[order]) != 0) | (np.diff(rest[order]) != 0)
    rank = np.empty(len(scores), np.int64)
    rank[order] = np.concatenate([[0], np.cumsum(new)]) if len(scores) else []
    return rank


def against_rest(probabilities: Array, c: int) -> NDArray[np.float64]:
    """Probabilities of one class against the rest as two classes, (N, 2), the class second."""
    rest = np.delete(probabilities, c, 1).sum(1, dtype=np.float64)
    return np.stack([rest, probabilities[:, c].astype(np.float64)], 1)


def auroc_by_group(
    probabilities: Array, labels: NDArray[np.int64], groups: NDArray[np.int64], num_groups: int
) -> Values:
    """`auroc` within each group, (M,); samples of an unknown group are left out."""
    return auroc(probabilities, labels, groups == np.arange(num_groups)[:, None])


def ece(
    probabilities: Array,
    labels: NDArray[np.int64],
    weights: NDArray[Any] | None = None,
    bins: int = BINS,
) -> Values:
    """Expected calibration error of the largest probability (Guo et al. 2017).

    Sum over equal-width bins of the confidence of the share of the samples in the bin times
    |accuracy - mean confidence|. Arguments and result as for `auroc`; `bins` is the number of bins.
    """
    weights = _weights(labels, weights)
    confidence = probabilities.max(1).astype(np.float64)
    excess = (probabilities.argmax(1) == labels) - confidence
    bin_index = bin_of(confidence, bins)
    if weights.ndim == 1:
        gaps = np.bincount(bin_index, weights * excess, bins)
    else:
        gaps = (weights * excess) @ np.eye(bins)[bin_index]
    return _mean(np.abs(gaps).sum(-1), weights)


def bin_of(confidence: NDArray[np.float64], bins: int = BINS) -> NDArray[np.int64]:
    """Index of each sample's bin of equal width, from confidence (N,) in [0, 1]."""
    return np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)


def brier(
    probabilities: Array, labels: NDArray[np.int64], weights: NDArray[Any] | None = None
) -> Values:
    """Mean squared distance of the probabilities to the one-hot label, in [0, 2] (Brier 1950).

    Arguments and result as for `auroc`.
    """
    weights = _weights(labels, weights)
    target = np.eye(probabilities.shape[1])[labels]
    distance = ((probabilities - target) ** 2).sum(1)
    return _mean((weights * distance).sum(-1), weights)


@dataclass(frozen=True)
class Score:
    """A metric of probabilities, `(probabilities, labels, weights) -> (...)`, and its label."""

    label: str
    function: Callable[..., Values]
    higher_is_better: bool = True


SCORES = {
    "auroc": Score("AUROC", auroc),
    "ece": Score("calibration error (ECE)", ece, higher_is_better=False),
}
"""The metrics of probabilities that an audit measures, by name."""


def _weights(labels: NDArray[np.int64], weights: NDArray[Any] | None) -> Values:
    return np.ones(len(labels)) if weights is None else weights.astype(np.float64)


def _mean(total: Values, weights: Values) -> Values:
    """A weighted sum divided by the sum of the weights; NaN where that is 0."""
    size = weights.sum(-1)
    mean: Values = np.divide(total, size, out=np.full(np.shape(size), np.nan), where=size > 0)
    return mean


def _plain_area(probabilities: Array, c: int, positive: NDArray[np.bool_]) -> Values:
    """As `_area` of the ranks of a class, for weights of 1: two short sorts in place of a long one.

    Ranks are needed only near 1, where probabilities that are equal may differ in what they leave.
    """
    near_one = probabilities[:, c] > NEAR_ONE
    high = np.flatnonzero(near_one)
    wins = _wins(probabilities[~near_one, c], positive[~near_one])
    wins += _wins(ranks(probabilities[high], c), positive[high])
    total, above = int(positive.sum()), int(positive[high].sum())
    below = len(positive) - len(high) - (total - above)  # negatives that are not near 1
    pairs = total * (len(positive) - total)
    return np.array((wins + above * below) / pairs if pairs else np.nan)


def _wins(scores: NDArray[Any], positive: NDArray[np.bool_]) -> float:
    """Pairs of a positive and a negative in which the positive scores higher; ties count half."""
    positives, negatives = np.sort(scores[positive]), np.sort(scores[~positive])
    sides = (np.searchsorted(negatives, positives, side).sum() for side in ("left", "right"))
    return float(sum(sides)) / 2


def _area(scores: NDArray[np.int64], positive: NDArray[np.bool_], weights: Values) -> Values:
    """Area under the ROC curve of one class, (...), from weights (..., N)."""
    order = np.argsort(scores)
    ordered, rows = scores[order], np.flatnonzero(positive[order])
    negatives = np.take(weights, order, -1)
    positives = negatives[..., rows]
    negatives[..., rows] = 0
    below = np.zeros((*negatives.shape[:-1], len(order) + 1))
    np.cumsum(negatives, -1, out=below[..., 1:])
    first, end = (np.searchsorted(ordered, ordered[rows], side) for side in ("left", "right"))
    wins = (positives * (below[..., first] + below[..., end])).sum(-1) / 2
    pairs = positives.sum(-1) * below[..., -1]
    area: Values = np.divide(wins, pairs, out=np.full(pairs.shape, np.nan), where=pairs > 0)
    return area
