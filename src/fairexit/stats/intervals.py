"""From draws to the ends of an interval: quantiles, bias correction, small numbers of clusters."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri, stdtrit

from fairexit.errors import UserError, nearest, short
from fairexit.metrics.counts import Margins
from fairexit.metrics.rates import Values
from fairexit.stats.clusters import Clusters, rarest_class
from fairexit.stats.resampling import Measure, chunks, measure_margins, sum_margins
from fairexit.stats.sample import Ints
from fairexit.stats.seeds import student_draws

DELETIONS = 500
"""Clusters of a cell that are left out one by one; more change no printed digit."""
SUMS = 20_000
"""Sums of a draw of images and a chance of training, at the least."""


class Interval(NamedTuple):
    """A value and the interval around it, all of one shape."""

    point: Values
    low: Values
    high: Values
    undefined: Values
    """Share of the draws in which the value has no meaning, because a cell ran empty."""


@dataclass(frozen=True, eq=False)
class Jackknife:
    """What is left of a value without one cluster of each of T types.

    Attributes:
        values: (T, ...).
        number: clusters that each type stands for, (T,).
        strata: within which clusters are drawn, (T,).
        cells: stratum and rarest class, (T,): clusters that speak of the same rates.
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
        """How many standard deviations of the draws an interval reaches to each side.

        Draws with replacement from n clusters vary by (n - 1) / n too little, and n clusters
        tell their variance with n - 1 degrees of freedom only. With many clusters in every cell
        this is the normal quantile; with few it is Student's, the cells weighed by their share
        of the variance (Satterthwaite 1946; Hesterberg 2015 for the idea).
        """
        weight, influence = self._influences()
        total = (weight * influence**2).sum(0)
        extra, doubt = np.zeros(total.shape), np.zeros(total.shape)
        for cell in np.unique(self.cells):
            types = self.cells == cell
            n = round(self.number[types].sum())
            if n > 1:
                w, mine = weight[types], influence[types]
                variance = (w * (mine - (w * mine).sum(0) / n) ** 2).sum(0)
                extra += variance / (n - 1)
                doubt += (variance * n / (n - 1)) ** 2 / (n - 1)
        whole = total + extra
        # One over the degrees of freedom; at most 1/2, beyond which no interval helps.
        rarity = np.divide(doubt, whole**2, out=np.zeros(total.shape), where=whole > 0)
        widening = np.divide(whole, total, out=np.ones(total.shape), where=total > 0)
        tail: Values = stdtrit(1 / np.clip(rarity, 1e-9, 0.5), (1 + confidence_level) / 2)
        return tail * np.sqrt(widening)

    def _influences(self) -> tuple[Values, Values]:
        """How often each type counts, and its clusters' influence on the value."""
        weight = self.number.reshape(-1, *[1] * (self.values.ndim - 1)).astype(float)
        influence = np.zeros(self.values.shape)
        for stratum in np.unique(self.strata):
            types = self.strata == stratum
            n = round(self.number[types].sum())
            # Where a deletion leaves nothing to measure, nothing is known of its influence.
            known = ~np.isnan(self.values[types])
            values, w = np.where(known, self.values[types], 0.0), weight[types] * known
            mean = (w * values).sum(0) / np.maximum(w.sum(0), 1)
            influence[types] = np.where(known, (n - 1) * (mean - values) / n, 0.0)
        return weight, influence


def jackknife(clusters: Clusters, measures: Mapping[str, Measure]) -> dict[str, Jackknife]:
    """Every measure without one cluster of each type; of `DELETIONS` in each cell at most."""
    cells = clusters.group * clusters.num_classes + rarest_class(clusters)
    types, number = _representatives(cells, clusters.number)
    some = clusters.only(types)
    whole = sum_margins(clusters, clusters.number[None])

    def without() -> Iterator[Margins]:
        start, width = 0, 3 * len(clusters.answers) * clusters.num_groups * clusters.num_classes
        for rows in chunks(len(types), width):
            once = some.only(np.arange(start, start + rows))
            one = sum_margins(once, np.eye(rows, dtype=np.int64))
            yield Margins(*(all_ - its for all_, its in zip(whole, one, strict=True)))
            start += rows

    values = measure_margins(without(), measures)
    strata, cells = clusters.group[types], cells[types]
    return {name: Jackknife(v, number, strata, cells) for name, v in values.items()}


def _representatives(cells: Ints, number: Ints) -> tuple[Ints, Values]:
    """Types to leave one cluster out of, rising, and how many clusters each stands for.

    All of a cell's, or every so-manieth of its clusters where it has more than `DELETIONS` types.
    """
    stands_for = np.zeros(len(number))
    for cell in np.unique(cells):
        types = np.flatnonzero(cells == cell)
        if len(types) <= DELETIONS:
            stands_for[types] = number[types]
            continue
        ends = np.cumsum(number[types])
        taken = (np.arange(DELETIONS) + 0.5) * ends[-1] / DELETIONS
        places = np.searchsorted(ends, taken, side="right")
        np.add.at(stands_for, types[places], ends[-1] / DELETIONS)
    types = np.flatnonzero(stands_for)
    return types, stands_for[types]


def deletions(number: int, width: int) -> Iterator[NDArray[np.bool_]]:
    """Which of `number` things is left out, one after the other, chunks of (b, number)."""
    start, things = 0, np.arange(number)
    for rows in chunks(number, width):
        yield things == np.arange(start, start + rows)[:, None]
        start += rows


def percentile(
    point: Values, draws: Values, jackknifed: Jackknife, confidence_level: float
) -> Interval:
    """Percentiles of the draws, wider where cells have few clusters."""
    return _between(
        point,
        draws,
        np.stack([-jackknifed.tail(confidence_level), jackknifed.tail(confidence_level)]),
    )


def bca(point: Values, draws: Values, jackknifed: Jackknife, confidence_level: float) -> Interval:
    """Bias-corrected and accelerated percentiles (Efron 1987), wider where clusters are few."""
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
    """Quantiles along the first axis, NaN left out; levels (Q, ...) differ from value to value."""
    ordered = np.sort(draws, axis=0)  # NaN last
    last = np.maximum((~np.isnan(draws)).sum(0) - 1, 0)
    place = np.nan_to_num(levels) * last
    below = np.floor(place).astype(np.int64)
    above = np.minimum(below + 1, last)
    low, high = (np.take_along_axis(ordered, at, 0) for at in (below, above))
    return low + (high - low) * (place - below)


def with_seeds(points: Values, draws: Values) -> Values:
    """Draws of a mean over S seeds, with the chance of having trained these seeds added.

    Student's t with S - 1 degrees of freedom around the mean, so that three seeds give the wide
    interval that three seeds deserve. One seed says nothing of others.

    Args:
        points: the value of each seed, (S, ...).
        draws: of their mean, (B, ...).
    Returns:
        (at least `SUMS`, ...): each draw meets several chances, as few draws have no tails.
    """
    seeds = len(points)
    if seeds == 1:
        return draws
    times = -(-SUMS // len(draws))
    chance = student_draws(seeds, times * len(draws))
    again = np.tile(draws, (times, *[1] * (draws.ndim - 1)))
    return again + np.multiply.outer(chance, points.std(0, ddof=1) / np.sqrt(seeds))


def check_question(name: str, drawn: Iterable[str], confidence_level: float = 0.95) -> None:
    """Raise a UserError unless this was drawn, and the confidence level is possible."""
    if name not in drawn:
        raise UserError(f"'{short(name)}' was not resampled; {nearest(name, drawn)}")
    if not 0 < confidence_level < 1:
        raise UserError(
            f"confidence_level is {confidence_level}; it must be between 0 and 1, such as 0.95"
        )
