"""Metrics of accuracy and fairness: functions of counts, scores, and `GroupFairness`."""

from typing import TYPE_CHECKING, Any

from fairexit.metrics.counts import count, empty_cells
from fairexit.metrics.rates import (
    average,
    difference,
    f1,
    fpr,
    group_accuracy,
    npv,
    ppv,
    precision,
    recall,
    tnr,
    tpr,
    worst,
)
from fairexit.metrics.record import METRICS, Metric, compute, gap, gaps, main_metrics, metric
from fairexit.metrics.records.accuracy import accuracy, balanced_accuracy
from fairexit.metrics.records.demographic_parity import dp_diff
from fairexit.metrics.records.equal_opportunity import eopp0, eopp1
from fairexit.metrics.records.equalized_odds import eodd, eodd_paper
from fairexit.metrics.scores import auroc, auroc_by_group, brier, ece

if TYPE_CHECKING:
    from fairexit.metrics.streaming import GroupFairness

__all__ = [
    "METRICS",
    "GroupFairness",
    "Metric",
    "accuracy",
    "auroc",
    "auroc_by_group",
    "average",
    "balanced_accuracy",
    "brier",
    "compute",
    "count",
    "difference",
    "dp_diff",
    "ece",
    "empty_cells",
    "eodd",
    "eodd_paper",
    "eopp0",
    "eopp1",
    "f1",
    "fpr",
    "gap",
    "gaps",
    "group_accuracy",
    "main_metrics",
    "metric",
    "npv",
    "ppv",
    "precision",
    "recall",
    "tnr",
    "tpr",
    "worst",
]


def __getattr__(name: str) -> Any:
    # Late, so that metrics of a table do without torch.
    if name == "GroupFairness":
        from fairexit.metrics.streaming import GroupFairness

        return GroupFairness
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
