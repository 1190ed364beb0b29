"""Weighted sums of models, such as a method minus a baseline, as means over training seeds.

A contrast knows its interval at any level, its p-value, and what a true difference would do to it:
how often a study of this design shows the difference, and what it would take to show it.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from scipy.special import ndtr, ndtri

from fairexit.errors import UserError
from fairexit.metrics.rates import Values
from fairexit.stats.intervals import Interval
from fairexit.stats.seeds import LEVEL, Variance

Terms = Sequence[tuple[float, Sequence[int]]]
"""Weights and models: for each term a weight, and the index of a model for each of S seeds."""

POWER = 0.8
"""Probability that a study shows a difference of the smallest size."""
STEPS = 16
"""Bisection steps of p-values and smallest differences: more do not change a printed digit."""


class Reach(NamedTuple):
    """An interval over images alone: from low - below to high + above."""

    low: Values
    high: Values
    below: Values
    above: Values


@dataclass(frozen=True, eq=False)
class Contrast:
    """A contrast of models, mean over S seeds; a single one has arrays of shape ().

    Attributes:
        point: the measured contrast, (...).
        variance: of the contrast over images and seeds.
        undefined: share of the draws in which it is undefined, (...).
        reach: confidence level -> interval over images.
        shifted: size of a true contrast, and its sign -> the contrast in B draws of the images,
            (B,), in the reading that is nearest to 0.
    """

    point: Values
    variance: Variance
    undefined: Values
    reach: Callable[[float], Reach]
    shifted: Callable[[float, int], Values] = field(repr=False)

    def interval(self, confidence_level: float = LEVEL) -> Interval:
        """The interval over images and, with several seeds, over seeds.

        Args:
            confidence_level: coverage, in (0, 1).
        """
        low, high, below, above = self.reach(confidence_level)
        wider = self.variance.widening(confidence_level)
        return Interval(
            self.point, low - np.hypot(below, wider), high + np.hypot(above, wider), self.undefined
        )

    def p_value(self, at: float = 0.0) -> float:
        """Two-sided p-value of a true contrast of `at`: the level at which the interval ends there.

        NaN where the contrast is undefined.
        """
        if np.isnan(self.point):
            return math.nan

        def holds(p: float) -> bool:
            interval = self.interval(1 - p)
            return bool(interval.low <= at <= interval.high)

        low, high = 1e-6, 1.0
        if holds(high - 1e-6):
            return 1.0
        if not holds(low):
            return low
        for _ in range(STEPS):
            middle = math.sqrt(low * high)
            low, high = (middle, high) if holds(middle) else (low, middle)
        return high

    def power(self, effect: float, sign: int = 1, *, confidence_level: float = LEVEL) -> float:
        """The share of studies of this design whose interval shows a true contrast.

        The contrast is planted in draws of the images; studies differ in their images and seeds.

        Args:
            effect: size of the true contrast, not negative.
            sign: its direction, +1 or -1.
            confidence_level: of the interval, in (0, 1).
        """
        return self._power(effect, sign, confidence_level)

    def _power(self, effect: float, sign: int, confidence_level: float) -> float:
        moved = sign * self.shifted(effect, sign)
        known = moved[~np.isnan(moved)]
        if not len(known):
            return math.nan
        low, median = np.quantile(known, [(1 - LEVEL) / 2, 0.5])
        # Few draws do not have the tails of stricter levels.
        below = (median - low) * _deviate(confidence_level) / _deviate(LEVEL)
        half = np.hypot(below, self.variance.likely_widenings(confidence_level))
        beyond = known - half[:, None]
        spread = math.sqrt(float(self.variance.seeds) / self.variance.number)
        return float((ndtr(beyond / spread) if spread else beyond > 0).mean())

    def smallest(
        self, sign: int = 1, power: float = POWER, *, confidence_level: float = LEVEL
    ) -> float:
        """The smallest true contrast that this design shows in a share `power` of the studies.

        NaN where a contrast of 1 would not be shown, or nothing varies.
        """

        def shown(effect: float) -> bool:
            return self._power(effect, sign, confidence_level) >= power

        if not self.variance.total > 0 or not shown(1.0):
            return math.nan
        low, high = 0.0, 1.0
        for _ in range(STEPS):
            middle = (low + high) / 2
            low, high = (low, middle) if shown(middle) else (middle, high)
        return high

    def needed(self, effect: float, sign: int = 1, *, confidence_level: float = LEVEL) -> "Needed":
        """What would show a true contrast in 80 of 100 studies, one thing changed at a time.

        Args:
            effect: size of the true contrast, positive.
            sign: its direction, +1 or -1.
            confidence_level: of the interval, in (0, 1).
        """
        variance, seeds = self.variance, self.variance.number
        moved = float(np.nanmean(sign * self.shifted(effect, sign)))
        errors = _deviate(confidence_level) + float(ndtri(POWER))
        allowed = (max(moved, 0.0) / errors) ** 2
        images, networks, of_seeds = (
            float(part) for part in (variance.images, variance.networks, variance.seeds)
        )
        shared = max(images - networks / seeds, 0)
        return Needed(
            _times(images, allowed - of_seeds / seeds),
            None if seeds == 1 else _times((networks + of_seeds), allowed - shared),
        )


class Needed(NamedTuple):
    """What would show a contrast in 80 of 100 studies, one thing changed at a time.

    Attributes:
        images: test images, in multiples of those at hand; infinite if no number suffices.
        seeds: training seeds; infinite if no number suffices, None where one seed was trained.
    """

    images: float
    seeds: float | None


def _deviate(level: float) -> float:
    """Standard errors that an interval reaches to either side."""
    return float(ndtri((1 + level) / 2))


def _times(variance: float, allowed: float) -> float:
    return variance / allowed if allowed > 0 else math.inf


def check_terms(terms: Terms) -> int:
    """The number of seeds of a contrast.

    Raises:
        UserError: there is no term, or terms have no or different numbers of models.
    """
    numbers = {len(models) for _, models in terms}
    if len(numbers) != 1 or not numbers - {0}:
        raise UserError("give one model for each seed, and as many baselines")
    return numbers.pop()


def by_seed(values: Values, terms: Terms) -> Values:
    """The contrast of each seed, (B, S, ...), from values of models (B, R, ...)."""
    parts = [weight * values[:, list(models)] for weight, models in terms]
    total: Values = np.sum(parts, axis=0)
    return total
