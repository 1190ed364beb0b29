"""Interval ends from draws: quantiles, bias correction, correction for few clusters."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import issparse
from scipy.special import ndtr, ndtri, stdtr, stdtrit

from fairexit.errors import UserError, nearest, short
from fairexit.metrics.counts import Margins
from fairexit.metrics.rates import Values
from fairexit.stats.clusters import Clusters, rarest_class
from fairexit.stats.resampling import (
    Measure,
    as_margins,
    chunks,
    measure_margins,
    sum_margins,
)
from fairexit.stats.sample import Ints

DELETIONS = 500
"""Clusters of a cell that are deleted one at a time; more do not change a printed digit."""
MAX_VALUES = 2**25
"""Recomputed rates of all deletions, groups and classes, up to which `DELETIONS` is the limit."""


class Interval(NamedTuple):
    """A value and the interval around it, all of one shape."""

    point: Values
    low: Values
    high: Values
    undefined: Values
    """Share of the draws in which the value is undefined because a cell is empty."""


@dataclass(frozen=True, eq=False)
class Jackknife:
    """A value recomputed without one cluster of each of T types.

    Attributes:
        values: the recomputed values, (T, ...).
        number: how many clusters each type stands for, (T,).
        strata: stratum of each type, within which clusters are drawn, (T,).
        cells: stratum and rarest class as one number, (T,); equal for clusters that determine the
            same rates.
    """

    values: Values
    number: Values | Ints
    strata: Ints
    cells: Ints

    def acceleration(self) -> Values:
        """Skewness of the influences over 6 (Davison and Hinkley 1997, section 5.3)."""
        weight, influence = self._influences()
        cubes, squares = (weight * influence**3).sum(0), (weight * influence**2).sum(0)
        return np.divide(cubes, 6 * squares**1.5, out=np.zeros(cubes.shape), where=squares > 0)

    def tail(self, confidence_level: float) -> Values:
        """Half the width of an interval, in standard deviations of the draws.

        The variance of draws with replacement from n clusters is too small by (n - 1) / n, and
        n clusters estimate their variance with only n - 1 degrees of freedom. With many clusters
        in every cell this is the normal quantile; with few it is Student's, where the cells are
        weighted by their share of the variance (Satterthwaite 1946; Hesterberg 2015 for the idea).

        Args:
            confidence_level: coverage, in (0, 1).
        Returns:
            (...), the shape of the value.
        """
        df, widening = self.freedom
        tail: Values = stdtrit(df, (1 + confidence_level) / 2)
        return tail * np.sqrt(widening)

    @cached_property
    def freedom(self) -> tuple[Values, Values]:
        """Degrees of freedom of the variance, and the factor by which the draws' is too small."""
        weight, influence = self._influences()
        total = (weight * influence**2).sum(0)
        missing, variance_of_variance = np.zeros(total.shape), np.zeros(total.shape)
        for cell in np.unique(self.cells):
            types = self.cells == cell
            n = round(self.number[types].sum())
            if n > 1:
                w, in_cell = weight[types], influence[types]
                variance = (w * (in_cell - (w * in_cell).sum(0) / n) ** 2).sum(0)
                missing += variance / (n - 1)
                variance_of_variance += (variance * n / (n - 1)) ** 2 / (n - 1)
        corrected = total + missing
        # At least 2 degrees of freedom: with fewer, an interval is of no use.
        inverse_df = np.divide(
            variance_of_variance, corrected**2, out=np.zeros(total.shape), where=corrected > 0
        )
        widening = np.divide(corrected, total, out=np.ones(total.shape), where=total > 0)
        return 1 / np.clip(inverse_df, 1e-9, 0.5), widening

    def _influences(self) -> tuple[Values, Values]:
        """The weight of each type, and the influence of its clusters on the value, (T, ...)."""
        weight = self.number.reshape(-1, *[1] * (self.values.ndim - 1)).astype(float)
        influence = np.zeros(self.values.shape)
        for stratum in np.unique(self.strata):
            types = self.strata == stratum
            n = round(self.number[types].sum())
            # Where the value is undefined after a deletion, its influence is unknown.
            known = ~np.isnan(self.values[types])
            values, w = np.where(known, self.values[types], 0.0), weight[types] * known
            mean = (w * values).sum(0) / np.maximum(w.sum(0), 1)
            influence[types] = np.where(known, (n - 1) * (mean - values) / n, 0.0)
        return weight, influence


def jackknife(clusters: Clusters, measures: Mapping[str, Measure]) -> dict[str, Jackknife]:
    """Every measure without one cluster of each type, at most `DELETIONS` of them in each cell.

    With thousands of groups or classes there are fewer deletions, as a rate of each group and class
    is recomputed in each of them; intervals are then hardly widened where cells have few clusters.
    """
    cells = clusters.group * clusters.num_classes + rarest_class(clusters)
    rates = len(clusters.answers) * clusters.num_groups * clusters.num_classes
    most = max(1, MAX_VALUES // (rates * (int(cells.max()) + 1)))
    types, number = _representatives(cells, clusters.number, min(DELETIONS, most))
    total = sum_margins(clusters, clusters.number[None])

    def without() -> Iterator[Margins]:
        start, width = 0, 3 * len(clusters.answers) * clusters.num_groups * clusters.num_classes
        for rows in chunks(len(types), width):
            chunk = clusters.contents[types[start : start + rows]]
            dense = chunk.toarray() if issparse(chunk) else chunk.astype(np.int64)
            single = as_margins(dense, clusters)
            yield Margins(*(every - part for every, part in zip(total, single, strict=True)))
            start += rows

    values = measure_margins(without(), measures)
    strata, cells = clusters.group[types], cells[types]
    return {name: Jackknife(v, number, strata, cells) for name, v in values.items()}


def _representatives(cells: Ints, number: Ints, most: int) -> tuple[Ints, Values]:
    """Types of which one cluster is deleted, ascending, and how many clusters each stands for.

    These are all types of a cell, or, where it has more than `most` types, those of that many
    evenly spaced clusters.
    """
    stands_for = np.zeros(len(number))
    for cell in np.unique(cells):
        types = np.flatnonzero(cells == cell)
        if len(types) <= most:
            stands_for[types] = number[types]
            continue
        ends = np.cumsum(number[types])
        chosen = (np.arange(most) + 0.5) * ends[-1] / most
        positions = np.searchsorted(ends, chosen, side="right")
        np.add.at(stands_for, types[positions], ends[-1] / most)
    types = np.flatnonzero(stands_for)
    return types, stands_for[types]


def deletions(number: int, width: int) -> Iterator[NDArray[np.bool_]]:
    """Masks that delete each of `number` items in turn, in chunks (b, number).

    Args:
        number: how many items there are.
        width: how many numbers one deletion holds in memory.
    """
    start, items = 0, np.arange(number)
    for rows in chunks(number, width):
        yield items == np.arange(start, start + rows)[:, None]
        start += rows


def percentile(
    point: Values, draws: Values, jackknifed: Jackknife, confidence_level: float
) -> Interval:
    """Percentile interval of the draws, widened where cells have few clusters.

    Args:
        point: the measured value, (...).
        draws: (B, ...).
        jackknifed: the value without single clusters.
        confidence_level: coverage, in (0, 1).
    """
    return _between(
        point,
        draws,
        np.stack([-jackknifed.tail(confidence_level), jackknifed.tail(confidence_level)]),
    )


def percentile_p_value(draws: Values, jackknifed: Jackknife) -> Values:
    """Two-sided p-value of a true value of 0: up to this level `percentile` intervals hold 0.

    Arguments as for `percentile`.
    """
    defined = np.maximum((~np.isnan(draws)).sum(0), 1)
    below = ((draws < 0).sum(0) + (draws == 0).sum(0) / 2) / defined
    deviate = np.abs(ndtri(np.clip(below, 0.5 / defined, 1 - 0.5 / defined)))
    df, widening = jackknifed.freedom
    p: Values = 2 * stdtr(df, -deviate / np.sqrt(widening))
    return p


def bca(point: Values, draws: Values, jackknifed: Jackknife, confidence_level: float) -> Interval:
    """Bias-corrected and accelerated interval (Efron 1987), widened where cells have few clusters.

    Arguments as for `percentile`.
    """
    defined = np.maximum((~np.isnan(draws)).sum(0), 1)
    below = ((draws < point).sum(0) + (draws == point).sum(0) / 2) / defined
    bias = ndtri(np.clip(below, 0.5 / defined, 1 - 0.5 / defined))
    tail = jackknifed.tail(confidence_level)
    shifted = bias + np.stack([-tail, tail])
    return _between(
        point, draws, bias + shifted / np.maximum(1 - jackknifed.acceleration() * shifted, 1e-9)
    )


def _between(point: Values, draws: Values, deviates: Values) -> Interval:
    low, high = quantiles(draws, ndtr(deviates))
    return Interval(point, low, high, np.isnan(draws).mean(0))


def quantiles(draws: Values, levels: Values) -> Values:
    """Quantiles (Q, ...) of draws (B, ...) without NaN, at levels (Q, ...) that may vary."""
    ordered = np.sort(draws, axis=0)  # NaN last
    last = np.maximum((~np.isnan(draws)).sum(0) - 1, 0)
    position = np.nan_to_num(levels) * last
    below = np.floor(position).astype(np.int64)
    above = np.minimum(below + 1, last)
    low, high = (np.take_along_axis(ordered, index, 0) for index in (below, above))
    return low + (high - low) * (position - below)


def check_question(name: str, drawn: Iterable[str], confidence_level: float = 0.95) -> None:
    """Raise a UserError if a name was not drawn or the confidence level is out of range."""
    if name not in drawn:
        raise UserError(f"'{short(name)}' was not resampled; {nearest(name, drawn)}")
    if not 0 < confidence_level < 1:
        raise UserError(
            f"confidence_level is {confidence_level}; it must be between 0 and 1, such as 0.95"
        )
