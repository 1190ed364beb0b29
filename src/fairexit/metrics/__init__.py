"""Fairness metrics for one's own loop or table: functions of counts, scores, `GroupFairness`."""

from typing import TYPE_CHECKING, Any

from fairexit.extras import require
from fairexit.metrics.counts import count
from fairexit.metrics.group_metrics import (
    METRICS,
    accuracy,
    average,
    balanced_accuracy,
    compute,
    difference,
    empty_cells,
    eodd,
    eodd_usual,
    eopp0,
    eopp1,
    f1,
    fpr,
    group_accuracy,
    precision,
    recall,
    tnr,
    tpr,
    worst,
)
from fairexit.metrics.scores import auroc, auroc_by_group, brier, ece

if TYPE_CHECKING:
    from fairexit.metrics.streaming import GroupFairness

__all__ = [
    "METRICS",
    "GroupFairness",
    "accuracy",
    "auroc",
    "auroc_by_group",
    "average",
    "balanced_accuracy",
    "brier",
    "compute",
    "count",
    "difference",
    "ece",
    "empty_cells",
    "eodd",
    "eodd_usual",
    "eopp0",
    "eopp1",
    "f1",
    "fpr",
    "group_accuracy",
    "precision",
    "recall",
    "tnr",
    "tpr",
    "worst",
]


def __getattr__(name: str) -> Any:
    # Late, so that metrics of a table do without torch.
    if name == "GroupFairness":
        require("train", "fairexit.metrics.GroupFairness")
        from fairexit.metrics.streaming import GroupFairness

        return GroupFairness
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
