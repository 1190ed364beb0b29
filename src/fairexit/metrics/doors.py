"""Group metrics of arrays, lists and data frames, in the form that scikit-learn and fairlearn use.

With two classes each difference equals that of fairlearn's function of the same name, as long as
every group has samples of both classes. Where a group has none of a class, fairlearn counts the
undefined rate as 0, as `empty="zero"` does here; by default the group is left out of the
comparison. Samples without a sensitive feature are left out; fairlearn refuses them.

With more classes, each class is compared against the rest, and the result is the mean over the
classes (`average="macro"`), the mean weighted by their samples (`average="weighted"`) or one value
for each (`average=None`).
"""

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from fairexit.errors import UserError, nearest
from fairexit.metrics.counts import Counts, count, margins
from fairexit.metrics.inputs import Encoded, encode, sorted_names
from fairexit.metrics.rates import (
    Empty,
    Values,
    fpr,
    mean_known,
    range_known,
    ratio_known,
    tpr,
    weighted_mean_known,
)

Average = Literal["macro", "weighted"] | None


def group_confusion_matrix(
    y_true: Any, y_pred: Any, *, sensitive_features: Any, labels: Any = None, groups: Any = None
) -> NDArray[np.int64]:
    """A confusion matrix for each group: n[g, y, y'] samples of group g and class y, predicted y'.

    Every function of counts in `fairexit.metrics` takes the result.

    Args:
        y_true: true classes, (N,): a list or any other iterable, an array, a Series, a tensor.
        y_pred: predicted classes, (N,).
        sensitive_features: the group of each sample, (N,). Several features are crossed: an array
            (N, F), a data frame or a mapping. Samples with a missing feature are left out. Inputs
            are matched by position, whatever their pandas index.
        labels: the classes in the order of the result; by default the sorted values of y_true
            and y_pred.
        groups: the groups in the order of the result, as tuples where features are crossed; by
            default the sorted values that occur.
    Returns:
        Counts, (M, C, C): groups, true classes, predicted classes.
    Raises:
        UserError: lengths differ, a label is missing, or a value is not in `labels` or `groups`.

    >>> group_confusion_matrix(["ill", "well", "ill"], ["ill", "well", "well"],
    ...                        sensitive_features=["f", "f", "m"]).tolist()
    [[[1, 0], [0, 1]], [[0, 1], [0, 0]]]
    """
    return _count(encode(y_true, y_pred, sensitive_features, labels=labels, groups=groups))


def equalized_odds_difference(
    y_true: Any,
    y_pred: Any,
    *,
    sensitive_features: Any,
    labels: Any = None,
    groups: Any = None,
    pos_label: Any = None,
    average: Average = "macro",
    agg: Literal["worst_case", "mean"] = "worst_case",
    empty: Empty = "exclude",
) -> float | Values:
    """The larger of the gaps between groups in true and in false positive rate.

    max(range of TPR, range of FPR), where each range is the largest minus the smallest rate of a
    group (Hardt et al. 2016). With `agg="mean"`, the mean of the two ranges; its mean over all
    classes is the usual form of Eodd in `fairexit.metrics.compute`. A group is compared only if it
    has both rates.

    Args:
        y_true: as for `group_confusion_matrix`, like `y_pred`, `sensitive_features`, `labels` and
            `groups`.
        pos_label: the positive class, compared against the rest; by default the larger of two.
        average: for more than two classes and no `pos_label`. "macro" is the mean over the
            classes that can be measured, "weighted" their mean weighted by the number of samples
            of each class; None gives one value for each class.
        agg: "worst_case", the larger of the two ranges, or "mean".
        empty: "exclude" leaves a group that has no samples for a rate out of the comparison,
            "zero" counts the rate as 0, as fairlearn does.
    Returns:
        A value in [0, 1], or (C,) for `average=None`; NaN if fewer than two groups can be compared.
    Raises:
        UserError: as for `group_confusion_matrix`; or an option is unknown.

    >>> equalized_odds_difference([1, 1, 0, 1, 1, 0], [1, 1, 0, 1, 0, 0],
    ...                           sensitive_features=["f", "f", "f", "m", "m", "m"])
    0.5
    """
    if agg not in ("worst_case", "mean"):
        raise UserError(f"agg={agg!r} is unknown; {nearest(str(agg), ['worst_case', 'mean'])}")
    counts, classes = _counts_by_class(
        encode(y_true, y_pred, sensitive_features, labels=labels, groups=groups), labels, pos_label
    )
    hits, alarms = tpr(counts, empty), fpr(counts, empty)
    both = ~np.isnan(hits + alarms)
    ranges = [range_known(np.where(both, rates, np.nan), -2) for rates in (hits, alarms)]
    gaps = np.maximum(*ranges) if agg == "worst_case" else (ranges[0] + ranges[1]) / 2
    return _summary(gaps, counts, classes, pos_label=pos_label, average=average)


def equal_opportunity_difference(
    y_true: Any,
    y_pred: Any,
    *,
    sensitive_features: Any,
    labels: Any = None,
    groups: Any = None,
    pos_label: Any = None,
    average: Average = "macro",
    empty: Empty = "exclude",
) -> float | Values:
    """The gap between groups in true positive rate: its largest minus its smallest value.

    Source: Hardt et al. 2016. Arguments, result and errors as for `equalized_odds_difference`.

    >>> equal_opportunity_difference([1, 1, 1, 1], [1, 1, 1, 0],
    ...                              sensitive_features=["f", "f", "m", "m"])
    0.5
    """
    counts, classes = _counts_by_class(
        encode(y_true, y_pred, sensitive_features, labels=labels, groups=groups), labels, pos_label
    )
    gaps = range_known(tpr(counts, empty), -2)
    return _summary(gaps, counts, classes, pos_label=pos_label, average=average)


def demographic_parity_difference(
    y_true: Any,
    y_pred: Any,
    *,
    sensitive_features: Any,
    labels: Any = None,
    groups: Any = None,
    pos_label: Any = None,
    average: Average = "macro",
) -> float | Values:
    """The gap between groups in selection rate: its largest minus its smallest value.

    The selection rate is the share of a group's samples that are predicted positive; y_true only
    tells which classes exist. Arguments, result and errors as for `equalized_odds_difference`.

    >>> demographic_parity_difference([1, 0, 1, 0], [1, 1, 1, 0],
    ...                               sensitive_features=["f", "f", "m", "m"])
    0.5
    """
    counts, classes = _counts_by_class(
        encode(y_true, y_pred, sensitive_features, labels=labels, groups=groups), labels, pos_label
    )
    m = margins(counts)
    selected = ratio_known(m.predicted, m.actual.sum(-1, keepdims=True))
    gaps = range_known(selected, -2)
    return _summary(gaps, counts, classes, pos_label=pos_label, average=average)


def _count(samples: Encoded) -> NDArray[np.int64]:
    return count(
        samples.labels,
        samples.predicted,
        samples.groups,
        num_classes=len(samples.class_names),
        num_groups=len(samples.group_names),
    )


def _counts_by_class(samples: Encoded, labels: Any, pos_label: Any) -> tuple[Counts, list[Any]]:
    """Counts and classes, including the positive class even if only the other one occurs."""
    counts, classes = _count(samples), samples.class_names
    if labels is not None or len(classes) > 1:
        return counts, classes
    occurring = classes[0]
    if pos_label is None and occurring not in (-1, 0, 1):
        raise UserError(f"all labels are {occurring!r}; give both classes in labels, or pos_label")
    positive = 1 if pos_label is None else pos_label
    if occurring == positive:
        return counts, classes
    return np.pad(counts, [(0, 0), (0, 1), (0, 1)]), [occurring, positive]


def _summary(
    gaps: Values, counts: Counts, classes: list[Any], *, pos_label: Any, average: Average
) -> float | Values:
    """The gap of the positive class, a mean over the classes, or all gaps (C,)."""
    if average not in ("macro", "weighted", None):
        raise UserError(f"average={average!r} is unknown; give 'macro', 'weighted' or None")
    if pos_label is not None and pos_label not in classes:
        raise UserError(f"pos_label={pos_label!r} is no class; the classes are {classes}")
    if pos_label is None and average is None:
        return gaps
    if pos_label is None and len(classes) > 2:
        weights = margins(counts).actual.sum(0)
        mean = mean_known(gaps) if average == "macro" else weighted_mean_known(gaps, weights)
        return mean.item()
    positive = sorted_names("labels", classes)[-1] if pos_label is None else pos_label
    return gaps[classes.index(positive)].item()
