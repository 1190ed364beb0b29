"""One quantity in BASE and after each look at NEW."""

import math
from collections.abc import Sequence
from functools import reduce

import numpy as np
from numpy.typing import NDArray

from fairexit.auditing.gap_results import Estimate
from fairexit.monitoring.results import CHANGED, GAP, MIX, QUIET, WORSE, Look, Quantity, Watched
from fairexit.monitoring.settings import MonitorSettings
from fairexit.monitoring.stream import Ints
from fairexit.stats.betting import LEVELS, STEPS, Evidence, evidence_on_mean, lower, wider


def watch(
    quantity: Quantity,
    base: Sequence[Ints],
    new: Sequence[Ints],
    *,
    tests: int,
    settings: MonitorSettings,
) -> Watched:
    """Compare a quantity with BASE after each look.

    Args:
        quantity: what it is.
        base, new: its tallies, two for a gap.
        tests: the factor by which p-values are corrected.
        settings: level and tolerance.
    """
    before = reduce(Evidence.__sub__, [evidence_on_mean(side) for side in base])
    after = reduce(Evidence.__sub__, [evidence_on_mean(side, restart=True) for side in new])
    changed = np.maximum(lower(after, before), lower(-after, -before)) - math.log(2)
    tolerance = math.ceil(settings.tolerance * STEPS - 1e-9)
    if quantity.question == MIX:
        worse = np.full_like(changed, -np.inf)
    elif quantity.question == GAP:
        worse = wider(after, before, tolerance)
    else:
        worse = lower(after, before, tolerance) - math.log(2)
    p_changed = _p_values(changed, tests)
    p_worse = np.maximum(_p_values(worse, tests), p_changed)
    verdict, alarm = QUIET, -1
    for name, p in ((WORSE, p_worse), (CHANGED, p_changed)):
        if verdict == QUIET and p[-1] <= settings.alpha:
            verdict, alarm = name, int((p <= settings.alpha).argmax())
    low, high = (after.now - before).interval(math.log(2 * tests / settings.alpha))
    values, base_value = _value(new), _value(base)[-1]
    number = np.min([side.sum(1) for side in new], 0)
    ends = (float(low[-1]), float(high[-1])) if low[-1] <= high[-1] else (math.nan, math.nan)
    return Watched(
        quantity=quantity,
        base=float(base_value),
        base_clusters=min(int(side[-1].sum()) for side in base),
        difference=Estimate(float(values[-1] - base_value), *ends),
        p_changed=float(p_changed[-1]),
        p_worse=float(p_worse[-1]),
        verdict=verdict,
        alarm=alarm,
        looks=tuple(
            Look(*row)
            for row in zip(
                *(column.tolist() for column in (number, values, p_changed, p_worse)), strict=True
            )
        ),
    )


def _p_values(log_e: NDArray[np.float64], tests: int) -> NDArray[np.float64]:
    """The p-value by each look: the largest e-value until then, inverted and corrected."""
    return np.minimum(1.0, tests * np.exp(-np.maximum.accumulate(log_e)))


def _value(sides: Sequence[Ints]) -> NDArray[np.float64]:
    """The mean until each look, or the difference of two means, (T,); NaN without a cluster."""
    levels = np.arange(LEVELS + 1) / LEVELS
    with np.errstate(invalid="ignore"):
        means = [side @ levels / side.sum(1) for side in sides]
    return means[0] if len(means) == 1 else means[0] - means[1]
