"""Accuracy, precision, recall and F1: over all samples, by group, and their gaps."""

from fairexit.metrics.counts import Margins
from fairexit.metrics.rates import (
    Values,
    average,
    difference,
    f1,
    group_accuracy,
    mean_known,
    precision,
    ratio_known,
    recall,
    worst,
)
from fairexit.metrics.record import gap, metric


@metric("accuracy", label="accuracy", main=True)
def accuracy(m: Margins) -> Values:
    """Share of correct predictions over all groups, (...)."""
    return ratio_known(m.hits.sum((-2, -1)), m.actual.sum((-2, -1)))


@metric("balanced_accuracy", label="balanced accuracy")
def balanced_accuracy(m: Margins) -> Values:
    """Mean recall over the classes that have samples, all groups together, (...)."""
    return mean_known(ratio_known(m.hits.sum(-2), m.actual.sum(-2)))


@metric("precision", label="precision")
def mean_precision(m: Margins) -> Values:
    """Mean over the groups of their macro precision, (...)."""
    return average(precision(m))


@metric("recall", label="recall")
def mean_recall(m: Margins) -> Values:
    """Mean over the groups of their macro recall, (...)."""
    return average(recall(m))


@metric("f1", label="F1", main=True)
def mean_f1(m: Margins) -> Values:
    """Mean over the groups of their macro F1, (...)."""
    return average(f1(m))


@metric("worst_group_accuracy", label="worst group's accuracy")
def worst_group_accuracy(m: Margins) -> Values:
    """Smallest accuracy of any group, (...)."""
    return worst(group_accuracy(m))


@metric("worst_group_recall", label="worst group's recall")
def worst_group_recall(m: Margins) -> Values:
    """Smallest macro recall of any group, (...)."""
    return worst(recall(m))


@metric("worst_group_f1", label="worst group's F1")
def worst_group_f1(m: Margins) -> Values:
    """Smallest macro F1 of any group, (...)."""
    return worst(f1(m))


@gap("precision_diff", label="difference in precision", rates=[precision])
def precision_diff(by_group: Values) -> Values:
    """Largest minus smallest macro precision of the groups, (...)."""
    return difference(by_group)


@gap("recall_diff", label="difference in recall", rates=[recall])
def recall_diff(by_group: Values) -> Values:
    """Largest minus smallest macro recall of the groups, (...)."""
    return difference(by_group)


@gap("f1_diff", label="difference in F1", rates=[f1])
def f1_diff(by_group: Values) -> Values:
    """Largest minus smallest macro F1 of the groups, (...)."""
    return difference(by_group)
