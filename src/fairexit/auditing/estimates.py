"""Turn the intervals of `fairexit.stats` into the estimates of an audit."""

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
"""Share of draws without a value above which no interval is shown."""


def estimates(interval: Interval, exact: bool = False) -> NDArray[Any]:
    """The values of an interval as an array of `Estimate` objects of the same shape.

    Where all draws agree, as for a rate of 1, they do not show how other samples would vary, so
    there is no interval, unless the value is `exact`.
    """
    point = np.asarray(interval.point)
    result = np.empty(point.shape, object)
    for index in np.ndindex(point.shape):
        ends = float(interval.low[index]), float(interval.high[index])
        undefined = float(interval.undefined[index])
        value = estimate(float(point[index]), *ends, undefined)
        no_spread = value.low == value.high and not exact
        result[index] = Estimate(value.value, note=NO_SPREAD) if no_spread else value
    return result


def estimate(value: float, low: float, high: float, undefined: float = 0.0) -> Estimate:
    """An estimate with its interval, or without it if too many draws are undefined."""
    if math.isnan(value):
        return Estimate(value, note="not defined")
    if undefined > MAX_UNDEFINED:
        return Estimate(value, note=f"no interval: undefined in {100 * undefined:.0f} % of draws")
    return Estimate(value, low, high)


def measured(drawn: Bootstrap, name: str, settings: AuditSettings) -> NDArray[Any]:
    """A measure of the first model as an array of `Estimate` objects of its shape."""
    interval = drawn.interval(name, settings.confidence_level, settings.method)
    return estimates(Interval(*(part[0] for part in interval)))
