"""Rates of each group: for each class against the rest, or as a mean over the classes.

Every function takes `counts[..., group, true class, predicted class]`, or their `Margins`, and
keeps the leading axes, so that a threshold sweep, a bootstrap or a set of exits is one call.

`empty` sets the value of a rate without samples. With "exclude" it is NaN, and a gap at that class
compares only the groups that have samples of the class. With "zero" it is 0, as in the released
scripts of Chiu et al. 2023.
"""

from functools import reduce
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from fairexit.errors import UserError, nearest, option, short
from fairexit.metrics.counts import Counts, Margins, margins

Values = NDArray[np.float64]
Empty = Literal["exclude", "zero"]


class Rate(Protocol):
    """A function `(counts, empty) -> (..., M, C)`, or (..., M) if it is a mean over the classes."""

    __name__: str

    def __call__(self, counts: Counts | Margins, /, empty: Empty = "exclude") -> Values: ...


_FILL: dict[str, float] = {"exclude": np.nan, "zero": 0.0}


def tpr(counts: Counts | Margins, empty: Empty = "exclude") -> Values:
    """True positive rate by group and class, one class against the rest, (..., M, C)."""
    m = margins(counts)
    return ratio_known(m.hits, m.actual, _fill(empty))


def tnr(counts: Counts | Margins, empty: Empty = "exclude") -> Values:
    """True negative rate by group and class, one class against the rest, (..., M, C)."""
    m = margins(counts)
    negatives = _negatives(m)
    return ratio_known(negatives - (m.predicted - m.hits), negatives, _fill(empty))


def fpr(counts: Counts | Margins, empty: Empty = "exclude") -> Values:
    """False positive rate by group and class, one class against the rest, (..., M, C)."""
    m = margins(counts)
    return ratio_known(m.predicted - m.hits, _negatives(m), _fill(empty))


def ppv(counts: Counts | Margins, empty: Empty = "exclude") -> Values:
    """Positive predictive value by group and class, one class against the rest, (..., M, C)."""
    m = margins(counts)
    return ratio_known(m.hits, m.predicted, _fill(empty))


def npv(counts: Counts | Margins, empty: Empty = "exclude") -> Values:
    """Negative predictive value by group and class, one class against the rest, (..., M, C)."""
    m = margins(counts)
    rest = m.actual.sum(-1, keepdims=True) - m.predicted
    return ratio_known(rest - (m.actual - m.hits), rest, _fill(empty))


def class_share(counts: Counts | Margins, empty: Empty = "exclude") -> Values:
    """Share of each class among the samples of all groups, n_c / N, (..., M, C).

    It is the same for every group: the weight of the class in a gap that is weighted by images.
    Permuting the groups does not change it.
    """
    actual = margins(counts).actual
    of_class = actual.sum(-2, keepdims=True)
    return np.broadcast_to(ratio_known(of_class, of_class.sum(-1, keepdims=True)), actual.shape)


def precision(counts: Counts | Margins, empty: Empty = "exclude") -> Values:
    """Macro precision of each group, (..., M).

    As in scikit-learn, the mean over the classes that are present or predicted in the group. A
    class that is only present or only predicted counts as 0, whatever `empty` is. Recall and F1
    are averaged in the same way.
    """
    m = margins(counts)
    return _macro(ratio_known(m.hits, m.predicted, 0.0), m)


def recall(counts: Counts | Margins, empty: Empty = "exclude") -> Values:
    """Macro recall of each group, (..., M); see `precision` for the classes in the mean."""
    m = margins(counts)
    return _macro(ratio_known(m.hits, m.actual, 0.0), m)


def f1(counts: Counts | Margins, empty: Empty = "exclude") -> Values:
    """Macro F1 of each group, (..., M); see `precision` for the classes in the mean."""
    m = margins(counts)
    return _macro(ratio_known(2 * m.hits, m.actual + m.predicted, 0.0), m)


def group_accuracy(counts: Counts | Margins, empty: Empty = "exclude") -> Values:
    """Accuracy of each group, (..., M); NaN for a group without samples."""
    m = margins(counts)
    return ratio_known(m.hits.sum(-1), m.actual.sum(-1))


BY_GROUP: dict[str, Rate] = {
    "precision": precision,
    "recall": recall,
    "f1": f1,
    "accuracy": group_accuracy,
}
"""The rates that tables show for each group."""

AVERAGES = ("precision", "recall", "f1")
"""The rates whose overall value is the mean over the groups, as in the paper."""


def average(values: Values) -> Values:
    """Mean of per-group values over the groups that have a value, (..., M) -> (...)."""
    return mean_known(values)


def difference(values: Values) -> Values:
    """Largest minus smallest of per-group values, (..., M) -> (...); NaN with fewer than two."""
    return range_known(values, -1)


def worst(values: Values) -> Values:
    """Smallest of per-group values, (..., M) -> (...)."""
    known = ~np.isnan(values)
    low = np.where(known, values, np.inf).min(-1)
    return np.where(known.any(-1), low, np.nan)


def mean_known(values: Values) -> Values:
    """Mean over the last axis of the values that are not NaN; NaN where all are NaN."""
    known = ~np.isnan(values)
    return ratio_known(np.where(known, values, 0.0).sum(-1), known.sum(-1))


def weighted_mean_known(values: Values, weights: Values) -> Values:
    """Weighted mean over the last axis of the values that are not NaN.

    NaN where all values are NaN, or where those that are not have no weight.
    """
    known = ~np.isnan(values)
    total = np.where(known, values * weights, 0.0).sum(-1)
    return ratio_known(total, np.where(known, weights, 0.0).sum(-1))


def ratio_known(numerator: NDArray[Any], denominator: NDArray[Any], fill: float = np.nan) -> Values:
    """numerator / denominator, or `fill` where the denominator is 0."""
    numerator, denominator = np.asarray(numerator), np.asarray(denominator)
    # In the numerator's order of memory, which is much faster where that is not C's.
    filled = np.full_like(numerator, fill, np.float64)
    ratio: Values = np.divide(numerator, denominator, out=filled, where=denominator > 0)
    return ratio


def range_known(values: Values, axis: int) -> Values:
    """Largest minus smallest of the values that are not NaN; NaN where there are fewer than two."""
    # One part after another: numpy reduces short axes several times more slowly.
    parts = np.moveaxis(values, axis, 0)
    known = np.zeros(parts.shape[1:], np.int64)
    for part in parts:
        known += ~np.isnan(part)
    nothing = np.full(known.shape, np.nan)
    spread = reduce(np.fmax, parts, nothing) - reduce(np.fmin, parts, nothing)
    return np.where(known >= 2, spread, np.nan)


def _macro(values: Values, m: Margins) -> Values:
    return mean_known(np.where(m.actual + m.predicted > 0, values, np.nan))


def _negatives(m: Margins) -> Counts:
    negatives: Counts = m.actual.sum(-1, keepdims=True) - m.actual
    return negatives


def _fill(empty: Empty) -> float:
    if empty not in _FILL:
        raise UserError(f"{option('empty')} is '{short(empty)}'; {nearest(empty, _FILL)}")
    return _FILL[empty]
