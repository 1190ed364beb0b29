"""Metrics of accuracy and fairness: functions of counts, scores, and `GroupFairness`."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from fairexit.extras import require
from fairexit.metrics.counts import count, empty_cells
from fairexit.metrics.rates import (
    average,
    class_share,
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
from fairexit.metrics.records.equal_opportunity import eopp0, eopp1, eopp1_weighted
from fairexit.metrics.records.equalized_odds import eodd, eodd_paper, eodd_weighted
from fairexit.metrics.scores import auroc, auroc_by_group, brier, ece

if TYPE_CHECKING:
    from fairexit.metrics.doors import (
        demographic_parity_difference,
        equal_opportunity_difference,
        equalized_odds_difference,
        group_confusion_matrix,
    )
    from fairexit.metrics.streaming import GroupFairness

# Loaded at first use: `doors` needs pandas, `streaming` needs torch.
_LAZY = {
    "GroupFairness": "streaming",
    "demographic_parity_difference": "doors",
    "equal_opportunity_difference": "doors",
    "equalized_odds_difference": "doors",
    "group_confusion_matrix": "doors",
}

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
    "class_share",
    "compute",
    "count",
    "demographic_parity_difference",
    "difference",
    "dp_diff",
    "ece",
    "empty_cells",
    "eodd",
    "eodd_paper",
    "eodd_weighted",
    "eopp0",
    "eopp1",
    "eopp1_weighted",
    "equal_opportunity_difference",
    "equalized_odds_difference",
    "f1",
    "fpr",
    "gap",
    "gaps",
    "group_accuracy",
    "group_confusion_matrix",
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
    if name == "GroupFairness":
        require("train", "fairexit.metrics.GroupFairness")
    if name in _LAZY:
        return getattr(import_module(f"{__name__}.{_LAZY[name]}"), name)
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
