"""Names and numbers as an audit's sentences and tables show them."""

import math
from collections.abc import Sequence

from fairexit.auditing.found import Estimate

AVERAGES = ("precision", "recall", "f1")
"""Measures that of all groups together are the mean of the groups, as in the paper."""

LABELS = {
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "precision": "precision",
    "recall": "recall",
    "f1": "F1",
    "precision_diff": "difference in precision",
    "recall_diff": "difference in recall",
    "f1_diff": "difference in F1",
    "eopp0": "Eopp0",
    "eopp1": "Eopp1",
    "eodd": "Eodd",
    "eodd_usual": "Eodd, usual form",
    "worst_group_accuracy": "worst group's accuracy",
    "worst_group_recall": "worst group's recall",
    "worst_group_f1": "worst group's F1",
    "auroc": "AUROC",
    "ece": "calibration error (ECE)",
    "tpr": "true positive rate",
    "fpr": "false positive rate",
    "sensitivity": "sensitivity",
    "specificity": "specificity",
    "ppv": "PPV",
    "npv": "NPV",
    "sensitivity_at": "sensitivity at the cut",
    "specificity_at": "specificity at the cut",
}
"""Keys of an audit -> their names in text."""

NAMED = 5


def interval_text(value: Estimate) -> str:
    """A number with its interval and what is to be said of it.

    >>> interval_text(Estimate(0.09, 0.051, 0.132)), interval_text(Estimate(1.0, note="no spread"))
    ('0.090 (0.051 to 0.132)', '1.000 (no spread)')
    """
    if math.isnan(value.value):
        return value.note or "not defined"
    interval = "" if math.isnan(value.low) else f"{fixed(value.low)} to {fixed(value.high)}"
    told = "; ".join(part for part in (interval, value.note) if part)
    return f"{fixed(value.value)} ({told})" if told else fixed(value.value)


def fixed(value: float) -> str:
    """Three digits after the point, and no minus before a zero.

    >>> fixed(-0.0001)
    '0.000'
    """
    return f"{round(value, 3) + 0.0:.3f}"


def p_short(p: float) -> str:
    """A p-value as tables show it: "0.012", "< 0.001" or "-"."""
    if math.isnan(p):
        return "-"
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def p_text(p: float) -> str:
    """A p-value in a sentence: "p = 0.012" or "p < 0.001"."""
    if math.isnan(p):
        return "p not defined"
    return f"p {p_short(p)}" if p < 0.001 else f"p = {p_short(p)}"


def capital(text: str) -> str:
    """The first letter large, the others as they are.

    >>> capital("worst group's F1")
    "Worst group's F1"
    """
    return text[:1].upper() + text[1:]


def listed(words: Sequence[str], most: int = NAMED) -> str:
    """Words in a row, the tail counted: "a, b and 3 more".

    >>> listed(["a", "b", "c"], most=2)
    'a, b and 1 more'
    """
    more = len(words) - most
    return ", ".join(words[:most]) + (f" and {more} more" if more > 0 else "")


def slice_text(values: dict[str, str]) -> str:
    """A slice's name.

    >>> slice_text({"sex": "f", "age": "60"})
    'sex = f and age = 60'
    """
    return " and ".join(f"{name} = {value}" for name, value in values.items())
