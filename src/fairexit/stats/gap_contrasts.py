"""Weighted sums of gaps of several models, from the populations of an inversion.

Chance adds most to small gaps and to those of inaccurate models, so that no single reading of a
difference of gaps is right everywhere; see `fairexit.stats.inversion`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from fairexit.metrics.rates import Values, mean_known
from fairexit.stats.contrasts import Contrast, Reach, Terms, by_seed, check_terms
from fairexit.stats.intervals import check_question, quantiles
from fairexit.stats.inversion import Inversion, solve
from fairexit.stats.seeds import LEVEL, pool, seed_variance

ALPHA = 0.01
"""P-value up to which a side of a contrast clearly has a gap; else it may have none."""


class _Side(NamedTuple):
    """The corrected gap of one side of a contrast, and what a test says of the measured one.

    Attributes:
        corrected: see `Inversion.corrected`.
        clear: chance alone seldom gives as much, so that the side has a gap.
    """

    corrected: Values
    clear: NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class GapContrasts:
    """Contrasts of the gaps of R models; what they share is computed once."""

    inversion: Inversion
    _sides: dict[Any, _Side] = field(default_factory=dict, init=False, repr=False)

    def contrast(self, name: str, terms: Terms, rows: Sequence[Sequence[int]] = ()) -> Contrast:
        """A weighted sum of the gaps of models, mean over seeds.

        Chance adds more to the gap of the less accurate model, and more to a small gap than to a
        large one. So the interval covers several readings of the contrast: of the measured gaps, of
        the corrected gaps, and of the gaps minus their null means. Where a side has no clear gap,
        it also covers that the side has none, as far as the sides err on different images.

        Args:
            name: one of the gaps.
            terms: weights and models, see `fairexit.stats.contrasts.Terms`.
            rows: models of the rows over which the variance over seeds is pooled, one for each
                seed, see `fairexit.stats.seeds.pool`.
        Raises:
            UserError: an unknown name, or terms that do not fit together.
        """
        check_terms(terms)
        check_question(name, self.inversion.point)
        point_of = self.inversion.point[name]
        pooled = pool(
            (point_of[list(row)], self._drawn(name, [(1, row)])[:, list(row)]) for row in rows
        )
        seeds, draws = by_seed(point_of[None], terms)[0], by_seed(self._drawn(name, terms), terms)
        drawn, point = draws.mean(1), seeds.mean(0)
        jackknifed = self.inversion.jackknife[name]
        without = replace(jackknifed, values=by_seed(jackknifed.values, terms).mean(1))
        readings = self._readings(name, terms)
        low, high = readings.min(0), readings.max(0)

        def reach(level: float) -> Reach:
            # Few draws do not have the tails of stricter levels.
            usual = min(level, LEVEL)
            tail = without.tail(usual)
            ends = np.stack([-tail, np.zeros(tail.shape), tail])
            below, median, above = quantiles(drawn, ndtr(ends))
            stretch = without.tail(level) / tail
            return Reach(low, high, stretch * (median - below), stretch * (above - median))

        return Contrast(
            point,
            seed_variance(seeds, draws, pooled),
            np.isnan(draws).any(1).mean(0),
            reach,
            partial(self._shifted, name, terms),
        )

    def _drawn(self, name: str, terms: Terms) -> Values:
        """Draws (B, R, ...) of the population with the larger corrected gap of both sides."""
        larger = max(float(np.max(self._side(name, terms, sign).corrected)) for sign in (1, -1))
        models = [model for _, row in terms for model in row]
        k = int(np.abs(self.inversion.truth[name][:, models].max(1) - larger).argmin())
        drawn: Values = self.inversion.draws[name][k]
        return drawn

    def _readings(self, name: str, terms: Terms) -> Values:
        """The contrast as measured, less null means, of corrected gaps, and of one side alone."""
        point = self.inversion.point[name]
        measured = by_seed(np.stack([point, point - self._chance(name)]), terms).mean(1)
        plus, minus = (self._side(name, terms, sign) for sign in (1, -1))
        corrected, apart = plus.corrected - minus.corrected, self._apart(name, terms)
        return np.stack(
            [
                *measured,
                corrected,
                np.where(minus.clear, corrected, corrected + apart * minus.corrected),
                np.where(plus.clear, corrected, corrected - apart * plus.corrected),
            ]
        )

    def _apart(self, name: str, terms: Terms) -> Values:
        """How far the sides differ by chance, from 0 for equal models to 1 for unrelated ones.

        The standard deviation of their difference where groups do not matter, against the smaller
        one of the two sides.
        """
        drawn = self.inversion.draws[name][0]
        plus, minus = (
            by_seed(drawn, [term for term in terms if sign * term[0] > 0] or [(0, [0])]).mean(1)
            for sign in (1, -1)
        )
        least = np.minimum(plus.std(0), minus.std(0))
        ratio = np.divide((plus + minus).std(0), least, out=np.zeros(least.shape), where=least > 0)
        return np.minimum(ratio, 1)

    def _side(self, name: str, terms: Terms, sign: int) -> _Side:
        """One side of a contrast, that of the terms with weights of a sign."""
        side = tuple((abs(weight), tuple(row)) for weight, row in terms if sign * weight > 0)
        if (name, side) not in self._sides:
            self._sides[name, side] = self._find_side(name, side)
        return self._sides[name, side]

    def _find_side(self, name: str, side: Terms) -> _Side:
        if not side:
            nothing = np.zeros(self.inversion.point[name].shape[1:])
            return _Side(nothing, nothing > 0)
        point = by_seed(self.inversion.point[name][None], side).mean(1)[0]
        truth = by_seed(self.inversion.truth[name], side).mean(1)
        draws = [by_seed(drawn, side).mean(1) for drawn in self.inversion.draws[name]]
        median = np.stack([quantiles(drawn, np.full((1, *point.shape), 0.5))[0] for drawn in draws])
        corrected = np.where(point <= median[0], 0.0, solve(median, truth, point))
        chance = (draws[0] >= point - 1e-9).mean(0)
        return _Side(corrected, chance <= ALPHA)

    def _shifted(self, name: str, terms: Terms, effect: float, sign: int) -> Values:
        """A contrast in draws, (B,), when a true one of a size and sign is planted."""
        if self.inversion.planted is None:
            raise ValueError("gaps were drawn without `plant`")
        gap = min(float(self._side(name, terms, side).corrected) for side in (1, -1))
        change = self.inversion.planted.shifted(name, terms, effect, sign=sign, near=gap)
        by_chance = float(by_seed(self._chance(name)[None], terms).mean())
        return change - sign * max(sign * by_chance, 0)

    def _chance(self, name: str) -> Values:
        """What chance adds to the gap of each model where there is none, (R, ...)."""
        added: Values = (
            mean_known(np.moveaxis(self.inversion.draws[name][0], 0, -1))
            - self.inversion.truth[name][0]
        )
        return added
