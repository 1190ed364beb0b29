"""The words of every report, and how it writes numbers: one name for each thing."""

import math
from collections.abc import Sequence

from fairexit.auditing.results import Estimate
from fairexit.metrics.record import METRICS
from fairexit.metrics.scores import SCORES

LABELS = {
    "tpr": "true positive rate",
    "fpr": "false positive rate",
    "sensitivity": "sensitivity",
    "specificity": "specificity",
    "ppv": "PPV",
    "npv": "NPV",
    "sensitivity_at": "sensitivity at the cut",
    "specificity_at": "specificity at the cut",
}
"""Rates of one class -> their names in text; metrics and scores bring their own."""

NOTHING = "–"
"""Stands where no sample defines a number."""

MOST_LISTED = 5


def metric_name(key: str) -> str:
    """A measure's key as a heading.

    >>> metric_name("f1"), metric_name("sensitivity_at")
    ('F1', 'Sensitivity at the cut')
    """
    return capital(label(key))


def label(key: str) -> str:
    """A measure's key as its name within a sentence.

    >>> label("f1"), label("auroc"), label("tpr")
    ('F1', 'AUROC', 'true positive rate')
    """
    if key in METRICS:
        return METRICS[key].label
    return SCORES[key].label if key in SCORES else LABELS[key]


def exit_name(name: str) -> str:
    """An exit as a heading; `f` is the final one."""
    return "final exit" if name == "f" else f"exit {name}"


def decimal(value: float, digits: int = 3) -> str:
    """A rate or a gap; a dash where no sample defines it.

    >>> decimal(0.12345), decimal(-0.5), decimal(float("nan")), decimal(-0.0001)
    ('0.123', '−0.500', '–', '0.000')
    """
    if math.isnan(value):
        return NOTHING
    text = f"{value:.{digits}f}"
    if float(text) == 0:
        text = text.lstrip("-")
    return text.replace("-", "−")


def signed(value: float, digits: int = 3) -> str:
    """A change, with its sign.

    >>> signed(0.02), signed(-0.02), signed(0.0)
    ('+0.020', '−0.020', '0.000')
    """
    text = decimal(value, digits)
    return f"+{text}" if text[0].isdigit() and float(text) > 0 else text


def percent(value: float) -> str:
    """A share.

    >>> percent(0.1234), percent(float("nan"))
    ('12.3\\xa0%', '–')
    """
    return NOTHING if math.isnan(value) else f"{decimal(100 * value, 1)}\u00a0%"


def whole(value: int) -> str:
    """A count.

    >>> whole(12345)
    '12,345'
    """
    return f"{value:,}"


def p_value(value: float) -> str:
    """A p-value as tables show it.

    >>> p_value(0.0312), p_value(0.0002), p_value(float("nan"))
    ('0.031', '< 0.001', '–')
    """
    return "< 0.001" if value < 0.001 else decimal(value)


def has_interval(estimate: Estimate) -> bool:
    """Whether both ends of the interval are known."""
    return math.isfinite(estimate.low) and math.isfinite(estimate.high)


def interval(estimate: Estimate) -> str:
    """The interval, blank where there is none.

    >>> interval(Estimate(0.5, 0.4, 0.6)), interval(Estimate(0.5))
    ('0.400 to 0.600', '')
    """
    if not has_interval(estimate):
        return ""
    return f"{decimal(estimate.low)} to {decimal(estimate.high)}"


def p_text(p: float) -> str:
    """A p-value in a sentence.

    >>> p_text(0.012), p_text(0.0002)
    ('p = 0.012', 'p < 0.001')
    """
    if math.isnan(p):
        return "p not defined"
    return f"p {p_value(p)}" if p < 0.001 else f"p = {p_value(p)}"


def interval_text(estimate: Estimate) -> str:
    """A number with its interval and what is to be said of it.

    >>> interval_text(Estimate(0.09, 0.051, 0.132)), interval_text(Estimate(1.0, note="no spread"))
    ('0.090 (0.051 to 0.132)', '1.000 (no spread)')
    """
    if math.isnan(estimate.value):
        return estimate.note or "not defined"
    remarks = "; ".join(part for part in (interval(estimate), estimate.note) if part)
    value = decimal(estimate.value)
    return f"{value} ({remarks})" if remarks else value


def capital(text: str) -> str:
    """The first letter large, the others as they are.

    >>> capital("worst group's F1")
    "Worst group's F1"
    """
    return text[:1].upper() + text[1:]


def listed(words: Sequence[str], most: int = MOST_LISTED) -> str:
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
