"""Intervals and tests of what differs between two independent samples, such as two hospitals."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from fairexit.metrics.counts import Margins
from fairexit.metrics.rates import Values
from fairexit.stats.bootstrap import Bootstrap, bootstrap
from fairexit.stats.intervals import Interval, Jackknife, percentile, percentile_p_value
from fairexit.stats.sample import Sample


class Cells(NamedTuple):
    """Hits and samples of each group and class, (..., M, C) each."""

    hits: Values
    actual: Values


Comparison = Callable[[Cells, Cells], Values]
"""A function of the cells of both samples that gives (...) or more axes."""


@dataclass(frozen=True, eq=False)
class TwoSamples:
    """Draws of the clusters of two samples, independent of each other.

    Attributes:
        first, second: `hits` and `actual` of each sample.
    """

    first: Bootstrap
    second: Bootstrap

    def compare(self, compare: Comparison, confidence_level: float) -> tuple[Interval, Values]:
        """The percentile interval of a comparison, widened where cells have few clusters.

        Returns:
            The interval, and the p-value of a true value of 0, which agrees with it.
        """
        draws, jackknifed = self._draws(compare), self._jackknife(compare)
        interval = percentile(self.point(compare), draws, jackknifed, confidence_level)
        return interval, percentile_p_value(draws, jackknifed)

    def point(self, compare: Comparison) -> Values:
        """The value of a comparison on the samples themselves."""
        return compare(_point(self.first), _point(self.second))

    def _draws(self, compare: Comparison) -> Values:
        return compare(*(_cells(b.draws["hits"], b.draws["actual"]) for b in self._both))

    def _jackknife(self, compare: Comparison) -> Jackknife:
        """The comparison without single clusters, first of the one sample, then of the other."""
        points = [_point(drawn) for drawn in self._both]
        knives = [drawn.jackknife["hits"] for drawn in self._both]
        parts = []
        for i, drawn in enumerate(self._both):
            without = _cells(drawn.jackknife["hits"].values, drawn.jackknife["actual"].values)
            both = [Cells(*(part[None] for part in point)) for point in points]
            both[i] = without
            parts.append(compare(*both))
        offset = int(knives[0].strata.max()) + 1, int(knives[0].cells.max()) + 1
        return Jackknife(
            np.concatenate(parts),
            np.concatenate([knife.number for knife in knives]),
            np.concatenate([knives[0].strata, knives[1].strata + offset[0]]),
            np.concatenate([knives[0].cells, knives[1].cells + offset[1]]),
        )

    @property
    def _both(self) -> tuple[Bootstrap, Bootstrap]:
        return self.first, self.second


def draw_two(first: Sample, second: Sample, *, n_resamples: int, random_state: int) -> TwoSamples:
    """Draw the clusters of two samples, whose groups and classes have the same numbers."""

    def hits(m: Margins) -> Values:
        return m.hits.astype(float)

    def actual(m: Margins) -> Values:
        return m.actual.astype(float)

    measures = {"hits": hits, "actual": actual}
    seeds = np.random.SeedSequence(random_state).generate_state(2)
    drawn = (
        bootstrap(sample, metrics=measures, n_resamples=n_resamples, random_state=int(seed))
        for sample, seed in zip((first, second), seeds, strict=True)
    )
    return TwoSamples(*drawn)


def _cells(hits: Values, actual: Values) -> Cells:
    """Cells of the only model, from arrays (B, 1, M, C)."""
    return Cells(hits[:, 0], actual[:, 0])


def _point(drawn: Bootstrap) -> Cells:
    return Cells(drawn.point["hits"][0], drawn.point["actual"][0])
