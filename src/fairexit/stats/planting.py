"""Gaps of samples into which true gaps of known sizes are planted: what a design can show.

Chance fills small gaps up, so that a true gap of 0.05 may raise the measured one by 0.02 only. How
often a difference of gaps is shown is therefore counted and not computed from its standard error.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from fairexit.metrics.counts import Margins
from fairexit.metrics.rates import Values, tpr
from fairexit.stats.contrasts import Terms, by_seed
from fairexit.stats.resampling import Measure, measure_margins

PLANTED_AT = (0, 3, 6)
"""The populations into which gaps are planted: none, half of and all of the measured difference."""

SIZES = (0.0, 0.02, 0.05, 0.1, 0.2, 0.4)
"""Gaps that are planted."""


@dataclass(frozen=True, eq=False)
class Planted:
    """Gaps of R models when true gaps of D sizes are planted in P populations; name -> array.

    Attributes:
        truth: the true gaps, (P, D, R, ...); nothing is planted at the first of the D.
        draws: gaps of B samples, (P, D, B, R, ...).
    """

    truth: dict[str, Values]
    draws: dict[str, Values]

    def shifted(self, name: str, terms: Terms, effect: float, *, sign: int, near: float) -> Values:
        """Measured changes of a contrast, (B,), when a true change is planted.

        It is planted into the side that is then the larger.

        Args:
            name: the gap.
            terms: weights and models of the contrast.
            effect: size of the true change, not negative.
            sign: its direction, +1 or -1.
            near: a true gap; the population whose gap is nearest is taken.
        """
        models = [model for _, row in terms for model in row]
        k = int(np.abs(self.truth[name][:, 0, models].mean(1) - near).argmin())
        truth, draws = self.truth[name][k], self.draws[name][k]
        raised = [(abs(weight), row) for weight, row in terms if sign * weight > 0]
        rest = [(-abs(weight), row) for weight, row in terms if sign * weight < 0]
        sizes = by_seed(truth, raised).mean(1)
        change = np.stack([by_seed(drawn, raised).mean(1) for drawn in draws])
        if rest:
            change = change + by_seed(draws[0], rest).mean(1)
        change = change - np.nanmean(change[0])
        return sign * _interpolate(effect, sizes - sizes[0], change)


def plant_gaps(
    populations: Iterable[tuple[Margins, Iterable[Margins]]], measures: Mapping[str, Measure]
) -> Planted:
    """Plant gaps of `SIZES` and compute all measures.

    Args:
        populations: margins of each population, (1, R, M, C), and chunks of margins of samples from
            it, (b, R, M, C).
        measures: the gaps by name.
    """
    truths: dict[str, list[Values]] = {name: [] for name in measures}
    draws: dict[str, list[Values]] = {name: [] for name in measures}
    for whole, samples in populations:
        rates, parts = tpr(whole)[0], list(samples)
        true = [measure_margins([_raised(whole, rates, size)], measures) for size in SIZES]
        drawn = [
            measure_margins((_raised(part, rates, size) for part in parts), measures)
            for size in SIZES
        ]
        for name in measures:
            truths[name].append(np.concatenate([values[name] for values in true]))
            draws[name].append(np.stack([values[name] for values in drawn]))
    return Planted(*({n: np.stack(parts) for n, parts in by.items()} for by in (truths, draws)))


def _raised(margins: Margins, rates: Values, size: float) -> Margins:
    """Margins (B, R, M, C) whose TPRs differ by `size` more between two groups, in every class.

    Half of the change is gained by the group with the highest rate in the population, (R, M, C),
    and half is lost by that with the lowest.
    """
    known = ~np.isnan(rates)
    high = np.where(known, rates, -np.inf).argmax(1)[:, None]
    # Of equal rates the last is the lowest, so that it is another group than the highest.
    last = rates.shape[1] - 1
    low = last - np.where(known, rates, np.inf)[:, ::-1].argmin(1)[:, None]
    move = np.zeros(rates.shape)
    np.put_along_axis(move, low, -size / 2, 1)
    np.put_along_axis(move, high, size / 2, 1)
    hits = np.clip(margins.hits + move * margins.actual, 0, margins.actual)
    return Margins(hits, margins.actual, margins.predicted + hits - margins.hits)


def _interpolate(at: float, sizes: Values, values: Values) -> Values:
    """Values (D, B) at sizes (D,), ascending, at another size; beyond the last they go on."""
    k = int(np.clip(np.searchsorted(sizes, at), 1, len(sizes) - 1))
    step = sizes[k] - sizes[k - 1]
    share = (at - sizes[k - 1]) / step if step > 0 else 0.0
    result: Values = values[k - 1] + share * (values[k] - values[k - 1])
    return result
