"""Group metrics as pure functions `counts[..., group, true class, predicted class] -> value[...]`.

Leading axes broadcast: a threshold sweep, a bootstrap or a set of exits is one call. `Margins`
(see `fairexit.metrics.counts`) do in the place of counts.

`empty` says what a rate without samples counts. "exclude": a gap at a class compares only the
groups that have samples of that class; a class that fewer than two groups have is left out of
the mean. "zero": such a rate is 0, as in the released scripts of Chiu et al. 2023. A value that
no sample defines is NaN.
"""

from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from fairexit.errors import UserError, nearest, option, short
from fairexit.metrics.counts import Counts, Margins, margins

Values = NDArray[np.float64]
Empty = Literal["exclude", "zero"]
Metric = Callable[[Counts | Margins, Empty], Values]

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


def precision(counts: Counts | Margins) -> Values:
    """Macro precision of each group, (..., M).

    As in scikit-learn: the mean over the classes that are present or predicted in the group; one
    that is only one of the two counts 0. Recall and F1 likewise.
    """
    m = margins(counts)
    return _macro(ratio_known(m.hits, m.predicted, 0.0), m)


def recall(counts: Counts | Margins) -> Values:
    """Macro recall of each group, (..., M); see `precision` for the classes in the mean."""
    m = margins(counts)
    return _macro(ratio_known(m.hits, m.actual, 0.0), m)


def f1(counts: Counts | Margins) -> Values:
    """Macro F1 of each group, (..., M); see `precision` for the classes in the mean."""
    m = margins(counts)
    return _macro(ratio_known(2 * m.hits, m.actual + m.predicted, 0.0), m)


def group_accuracy(counts: Counts | Margins) -> Values:
    """Accuracy of each group, (..., M)."""
    m = margins(counts)
    return ratio_known(m.hits.sum(-1), m.actual.sum(-1))


def average(values: Values) -> Values:
    """Mean of per-group values over the groups that have one, (..., M) -> (...)."""
    return mean_known(values)


def difference(values: Values) -> Values:
    """Largest minus smallest of per-group values, (..., M) -> (...); NaN with fewer than two."""
    return range_known(values, -1)


def worst(values: Values) -> Values:
    """Smallest of per-group values, (..., M) -> (...)."""
    known = ~np.isnan(values)
    low = np.where(known, values, np.inf).min(-1)
    return np.where(known.any(-1), low, np.nan)


def accuracy(counts: Counts | Margins) -> Values:
    """Share of correct answers over all groups, (...)."""
    m = margins(counts)
    return ratio_known(m.hits.sum((-2, -1)), m.actual.sum((-2, -1)))


def balanced_accuracy(counts: Counts | Margins) -> Values:
    """Mean recall over the classes that have samples, all groups together, (...)."""
    m = margins(counts)
    return mean_known(ratio_known(m.hits.sum(-2), m.actual.sum(-2)))


def eopp0(counts: Counts | Margins, empty: Empty = "exclude") -> Values:
    """Equal opportunity for the negatives: mean over classes of the range of TNR over groups.

    With two groups: mean over c of |TNR_0c - TNR_1c| (Chiu et al. 2023).

    Args:
        counts: (..., M, C, C).
        empty: what a rate without samples counts, see the module.
    Returns:
        (...), in [0, 1].
    """
    rates = tnr(counts, empty)
    if empty == "exclude":
        rates = np.where(margins(counts).actual > 0, rates, np.nan)
    return mean_known(range_known(rates, -2))


def eopp1(counts: Counts | Margins, empty: Empty = "exclude") -> Values:
    """Equal opportunity: mean over classes of the range of TPR over groups.

    With two groups: mean over c of |TPR_0c - TPR_1c| (Chiu et al. 2023).
    Arguments and result as for `eopp0`.
    """
    return mean_known(range_known(tpr(counts, empty), -2))


def eodd(counts: Counts | Margins, empty: Empty = "exclude") -> Values:
    """Equalised odds as in the paper's tables; opposite gaps of TPR and FPR cancel.

    Mean over classes of half the range over groups of TPR + FPR; with two groups
    mean over c of |(TPR_0c - TPR_1c) + (FPR_0c - FPR_1c)| / 2 (Chiu et al. 2023).
    Arguments and result as for `eopp0`.
    """
    return mean_known(range_known(tpr(counts, empty) + fpr(counts, empty), -2)) / 2


def eodd_usual(counts: Counts | Margins, empty: Empty = "exclude") -> Values:
    """Equalised odds in its usual form, where nothing cancels; never below `eodd`.

    Mean over classes of half the sum of the range of TPR and the range of FPR over groups; with
    two groups mean over c of (|TPR_0c - TPR_1c| + |FPR_0c - FPR_1c|) / 2.
    Arguments and result as for `eopp0`.
    """
    hits, alarms = tpr(counts, empty), fpr(counts, empty)
    both = ~np.isnan(hits + alarms)
    ranges = [range_known(np.where(both, rates, np.nan), -2) for rates in (hits, alarms)]
    return mean_known(ranges[0] + ranges[1]) / 2


def _of_groups(
    summary: Callable[[Values], Values], by_group: Callable[[Counts | Margins], Values]
) -> Metric:
    return lambda counts, empty: summary(by_group(counts))


METRICS: dict[str, Metric] = {
    "accuracy": lambda counts, empty: accuracy(counts),
    "balanced_accuracy": lambda counts, empty: balanced_accuracy(counts),
    "precision": _of_groups(average, precision),
    "recall": _of_groups(average, recall),
    "f1": _of_groups(average, f1),
    "precision_diff": _of_groups(difference, precision),
    "recall_diff": _of_groups(difference, recall),
    "f1_diff": _of_groups(difference, f1),
    "eopp0": eopp0,
    "eopp1": eopp1,
    "eodd": eodd,
    "eodd_usual": eodd_usual,
    "worst_group_accuracy": _of_groups(worst, group_accuracy),
    "worst_group_recall": _of_groups(worst, recall),
    "worst_group_f1": _of_groups(worst, f1),
}
"""Every metric of the counts by name, one signature: `(counts, empty) -> value[...]`."""


def compute(
    counts: Counts | Margins, names: Sequence[str] = tuple(METRICS), empty: Empty = "exclude"
) -> dict[str, Values]:
    """Metrics by name, all of them unless told otherwise.

    Args:
        counts: (..., M, C, C).
        names: keys of `METRICS`.
        empty: what a rate without samples counts, see the module.
    Returns:
        Name -> value, (...).
    Raises:
        UserError: an unknown name.
    """
    for name in names:
        if name not in METRICS:
            raise UserError(f"there is no metric '{short(name)}'; {nearest(name, METRICS)}")
    return {name: METRICS[name](counts, empty) for name in names}


def empty_cells(
    counts: Counts | Margins, groups: Sequence[str], classes: Sequence[str]
) -> list[tuple[str, str]]:
    """The (group, class) pairs without a sample, in order; counts without leading axes."""
    return [(groups[g], classes[c]) for g, c in np.argwhere(margins(counts).actual == 0)]


def mean_known(values: Values) -> Values:
    """Mean over the last axis of what is not NaN; NaN where nothing is."""
    known = ~np.isnan(values)
    return ratio_known(np.where(known, values, 0.0).sum(-1), known.sum(-1))


def _fill(empty: Empty) -> float:
    if empty not in _FILL:
        raise UserError(f"{option('empty')} is '{short(empty)}'; {nearest(empty, _FILL)}")
    return _FILL[empty]


def ratio_known(top: NDArray[Any], bottom: NDArray[Any], fill: float = np.nan) -> Values:
    """top / bottom, and `fill` where bottom is 0."""
    top, bottom = np.asarray(top), np.asarray(bottom)
    ratio: Values = np.divide(top, bottom, out=np.full(top.shape, fill), where=bottom > 0)
    return ratio


def range_known(values: Values, axis: int) -> Values:
    """Largest minus smallest of what is not NaN; NaN where there are fewer than two."""
    known = ~np.isnan(values)
    high = np.where(known, values, -np.inf).max(axis)
    low = np.where(known, values, np.inf).min(axis)
    return np.where(known.sum(axis) >= 2, high - low, np.nan)


def _macro(values: Values, m: Margins) -> Values:
    return mean_known(np.where(m.actual + m.predicted > 0, values, np.nan))


def _negatives(m: Margins) -> Counts:
    negatives: Counts = m.actual.sum(-1, keepdims=True) - m.actual
    return negatives
