"""Turn the intervals of `fairexit.stats` into the estimates of an audit."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fairexit.auditing.gap_results import COULD_BE_CHANCE, MORE_THAN_CHANCE, Estimate, Proportion
from fairexit.auditing.settings import AuditSettings
from fairexit.stats.bootstrap import Bootstrap
from fairexit.stats.intervals import Interval
from fairexit.stats.proportions import Shares

NO_SPREAD = "no interval: all draws agree, other samples need not"

SMALLEST = 0.001
"""End next to 0 of the interval of a gap that is more than chance by a narrow margin."""

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


def proportions(shares: Shares) -> NDArray[Any]:
    """Shares as an array of `Proportion` objects of the same shape."""
    result = np.empty(shares.n.shape, object)
    for i in np.ndindex(result.shape):
        value, low, high = (float(part[i]) for part in (shares.values, shares.low, shares.high))
        n, clusters = int(shares.n[i]), int(shares.clusters[i])
        note = "" if n else "not defined"
        result[i] = Proportion(value, low, high, note, int(shares.hits[i]), n, clusters)
    return result


def bounded(value: Estimate, low: float, high: float) -> Estimate:
    """An estimate whose interval does not leave the range of its value."""
    if not low <= value.value <= high or math.isnan(value.low):
        return value
    return replace(value, low=max(value.low, low), high=min(value.high, high))


def agreeing(gap: Estimate, verdict: str) -> Estimate:
    """A gap whose interval holds 0 exactly if the gap could be chance.

    The interval and the test are computed in different ways, and only the p-value is corrected for
    several tests, so that they may disagree about 0.
    """
    if math.isnan(gap.low):
        return gap
    if verdict == COULD_BE_CHANCE:
        return replace(gap, low=min(gap.low, 0.0), high=max(gap.high, 0.0))
    if verdict != MORE_THAN_CHANCE:
        return gap
    smallest = min(SMALLEST, abs(gap.value) / 2)
    if gap.value < 0:
        return replace(gap, high=min(gap.high, -smallest)) if gap.high >= 0 else gap
    return replace(gap, low=max(gap.low, smallest)) if gap.low <= 0 else gap
