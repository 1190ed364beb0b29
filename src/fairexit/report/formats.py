"""Numbers as a reader of a report sees them: one way of writing each kind."""

import math

from fairexit.auditing.found import Estimate
from fairexit.auditing.words import LABELS, capital

NOTHING = "–"


def metric_name(key: str) -> str:
    """A measure's key as a heading.

    >>> metric_name("f1"), metric_name("sensitivity_at")
    ('F1', 'Sensitivity at the cut')
    """
    return capital(LABELS[key])


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
    """A p-value.

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
