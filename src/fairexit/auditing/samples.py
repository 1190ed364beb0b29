"""The samples of one attribute as the tests see them, and the numbers that have intervals."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fairexit.auditing.bootstrap import Bootstrap, Method
from fairexit.auditing.clusters import number_clusters
from fairexit.auditing.found import Estimate
from fairexit.auditing.intervals import Interval
from fairexit.auditing.source import Source
from fairexit.errors import UserError
from fairexit.evaluation.counts import count
from fairexit.types import UNKNOWN

LEAST = 10
"""Clusters that a cell needs on each side of a comparison; with fewer it is too small."""

NO_SPREAD = "no interval: all draws agree, other samples need not"

MOST_UNDEFINED = 0.05
"""Share of draws without a value from which an interval is not shown."""


@dataclass(frozen=True)
class Settings:
    """How an audit draws.

    Attributes:
        draws: of the bootstrap of count metrics.
        score_draws: of the bootstrap of AUROC and ECE.
        permutations: of each test.
        gap_draws: of each population that the interval of a gap is read from.
        seed: of all of them.
        level: of the intervals.
        alpha: largest p-value called a difference.
        method: of the intervals, bca or percentile.
        specificity: at which sensitivity is read.
    """

    draws: int = 10_000
    score_draws: int = 1_000
    permutations: int = 10_000
    gap_draws: int = 1_000
    seed: int = 0
    level: float = 0.95
    alpha: float = 0.05
    method: Method = "bca"
    specificity: float = 0.9

    def __post_init__(self) -> None:
        for name in ("level", "alpha", "specificity"):
            value = getattr(self, name)
            if not 0 < value < 1:
                raise UserError(f"{name} {value}: it lies between 0 and 1")


@dataclass(frozen=True)
class Samples:
    """Samples whose group is known.

    Attributes:
        rows: which of the source's samples they are, (N,) of bool over all.
        labels, answers, groups: indices, (N,).
        clusters: names, "" for a sample of its own, (N,).
        numbers: clusters as numbers from 0, (N,).
        classes, group_names: by index.
    """

    rows: NDArray[np.bool_]
    labels: NDArray[np.int64]
    answers: NDArray[np.int64]
    groups: NDArray[np.int64]
    clusters: NDArray[np.str_]
    numbers: NDArray[np.int64]
    classes: tuple[str, ...]
    group_names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def sizes(self) -> tuple[int, int]:
        """(C, M)."""
        return len(self.classes), len(self.group_names)

    @property
    def counts(self) -> NDArray[np.int64]:
        """(M, C, C)."""
        return count(self.labels, self.answers, self.groups, *self.sizes)

    def clusters_behind(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Clusters behind each TPR and behind each FPR, both (M, C).

        A TPR rests on the clusters with a sample of the class, an FPR on those with another's.
        """
        num_classes, num_groups = self.sizes
        owner = self.numbers * num_groups + self.groups
        cell = np.unique(owner * num_classes + self.labels)
        owners, first, classes = np.unique(
            cell // num_classes, return_index=True, return_counts=True
        )
        shape = (num_groups, num_classes)

        def total(cells: NDArray[np.int64]) -> NDArray[np.int64]:
            group, label = cells // num_classes % num_groups, cells % num_classes
            flat = np.bincount(group * num_classes + label, minlength=num_groups * num_classes)
            return flat.reshape(shape)

        of_group = np.bincount(owners % num_groups, minlength=num_groups)
        only_one_class = cell[first[classes == 1]]
        return total(cell), of_group[:, None] - total(only_one_class)

    def clusters_of_groups(self) -> NDArray[np.int64]:
        """Clusters with a sample of each group, (M,)."""
        pairs = np.unique(np.stack([self.numbers, self.groups]), axis=1)
        return np.bincount(pairs[1], minlength=len(self.group_names))


def take_samples(source: Source, attribute: str) -> Samples:
    """The samples of a source whose value of an attribute is known.

    Raises:
        UserError: no such attribute, or it has one value only.
    """
    p = source.predictions
    groups, names = p.group(attribute)
    known = groups != UNKNOWN
    clusters = p.clusters[known]
    return Samples(
        known,
        p.labels[known],
        source.answers[known],
        groups[known],
        clusters,
        number_clusters(clusters),
        p.classes,
        names,
    )


def estimates(interval: Interval, exact: bool = False) -> NDArray[Any]:
    """An interval's values as `Estimate` objects, an array of its shape.

    Where all draws agree, as for a rate of 1, they hold nothing of what other samples would show:
    there is no interval, unless the value is `exact`.
    """
    point = np.asarray(interval.point)
    found = np.empty(point.shape, object)
    for place in np.ndindex(point.shape):
        ends = float(interval.low[place]), float(interval.high[place])
        undefined = float(interval.undefined[place])
        one = estimate(float(point[place]), *ends, undefined)
        pointlike = one.low == one.high and not exact
        found[place] = Estimate(one.value, note=NO_SPREAD) if pointlike else one
    return found


def estimate(value: float, low: float, high: float, undefined: float = 0.0) -> Estimate:
    """A number with an interval, or without where too many draws had no value."""
    if math.isnan(value):
        return Estimate(value, note="not defined")
    if undefined > MOST_UNDEFINED:
        return Estimate(value, note=f"no interval: undefined in {100 * undefined:.0f} % of draws")
    return Estimate(value, low, high)


def measured(found: Bootstrap, name: str, settings: Settings) -> NDArray[Any]:
    """A measure of the first model as `Estimate` objects, an array of its shape."""
    interval = found.interval(name, settings.level, settings.method)
    return estimates(Interval(*(part[0] for part in interval)))


def by_name(names: Sequence[str], values: NDArray[np.int64]) -> dict[str, int]:
    """Numbers by their names."""
    return dict(zip(names, values.tolist(), strict=True))
