"""Intervals of statistics as the estimates of a report."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fairexit.auditing.results import Estimate
from fairexit.auditing.settings import AuditSettings
from fairexit.stats.bootstrap import Bootstrap
from fairexit.stats.intervals import Interval

NO_SPREAD = "no interval: all draws agree, other samples need not"

MAX_UNDEFINED = 0.05
"""Share of draws without a value from which an interval is not shown."""


def estimates(interval: Interval, exact: bool = False) -> NDArray[Any]:
    """An interval's values as `Estimate` objects, an array of its shape.

    Where all draws agree, as for a rate of 1, they hold nothing of what other samples would show:
    there is no interval, unless the value is `exact`.
    """
    point = np.asarray(interval.point)
    result = np.empty(point.shape, object)
    for place in np.ndindex(point.shape):
        ends = float(interval.low[place]), float(interval.high[place])
        undefined = float(interval.undefined[place])
        value = estimate(float(point[place]), *ends, undefined)
        pointlike = value.low == value.high and not exact
        result[place] = Estimate(value.value, note=NO_SPREAD) if pointlike else value
    return result


def estimate(value: float, low: float, high: float, undefined: float = 0.0) -> Estimate:
    """A number with an interval, or without where too many draws had no value."""
    if math.isnan(value):
        return Estimate(value, note="not defined")
    if undefined > MAX_UNDEFINED:
        return Estimate(value, note=f"no interval: undefined in {100 * undefined:.0f} % of draws")
    return Estimate(value, low, high)


def measured(drawn: Bootstrap, name: str, settings: AuditSettings) -> NDArray[Any]:
    """A measure of the first model as `Estimate` objects, an array of its shape."""
    interval = drawn.interval(name, settings.confidence_level, settings.method)
    return estimates(Interval(*(part[0] for part in interval)))
