"""Fairness metrics for one's own loop or table: functions of counts, scores, `GroupFairness`."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

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
    from fairexit.metrics.doors import (
        demographic_parity_difference,
        equal_opportunity_difference,
        equalized_odds_difference,
        group_confusion_matrix,
    )
    from fairexit.metrics.streaming import GroupFairness

# Loaded when first used: doors need pandas, streaming needs torch.
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
    "accuracy",
    "auroc",
    "auroc_by_group",
    "average",
    "balanced_accuracy",
    "brier",
    "compute",
    "count",
    "demographic_parity_difference",
    "difference",
    "ece",
    "empty_cells",
    "eodd",
    "eodd_usual",
    "eopp0",
    "eopp1",
    "equal_opportunity_difference",
    "equalized_odds_difference",
    "f1",
    "fpr",
    "group_accuracy",
    "group_confusion_matrix",
    "precision",
    "recall",
    "tnr",
    "tpr",
    "worst",
]


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(import_module(f"{__name__}.{_LAZY[name]}"), name)
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
