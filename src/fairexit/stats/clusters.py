"""Clusters as the unit of resampling, grouped into types of equal content.

Images of one lesion or patient are correlated, so whole clusters are drawn, not single images. Two
clusters whose images agree in everything that a metric depends on (group, class, every model's
prediction) are interchangeable: they have the same *type*, and a draw is the number of times that
each type occurs.
"""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fairexit.cluster_index import cluster_index
from fairexit.stats.sample import Ints, Sample
from fairexit.types import UNKNOWN

NARROW = 64
"""Number of cells (groups x classes) up to which margins are computed as a matrix product."""

MAX_TYPES = 20_000
"""Number of types up to which single clusters are drawn; with more, bundles of clusters are."""

BUNDLES = 1_000
"""Bundles that each group keeps of a class, enough to estimate its spread to within 2 %."""


@dataclass(frozen=True, eq=False)
class Clusters:
    """Predictions of R models for the same images, with one example cluster of each of T types.

    Attributes:
        number: how many clusters have each type, (T,).
        group: the group of each type, `num_groups` if its images belong to several, (T,).
        owner: the type of each image of the example clusters, in ascending order, (I,).
        labels, groups: class and group of those images, (I,).
        answers: predicted classes of those images, (R, I).
        num_classes: C.
        num_groups: M.
        bundled: whether several clusters were merged, see `find_clusters`.
    """

    number: Ints
    group: Ints
    owner: Ints
    labels: Ints
    groups: Ints
    answers: Ints
    num_classes: int
    num_groups: int
    bundled: bool = False

    @property
    def width(self) -> int:
        """How many numbers `sum_margins` holds in memory for one draw."""
        return len(self.number) if self.is_narrow else len(self.owner)

    @property
    def is_narrow(self) -> bool:
        """Whether there are few enough cells to compute margins as a matrix product."""
        return self.num_groups * self.num_classes <= NARROW

    @cached_property
    def contents(self) -> NDArray[np.float32]:
        """Margins of one cluster of each type, (T, 2 R + 1, M * C): actual, hits, predicted."""
        cells = self.num_groups * self.num_classes
        base = self.groups * self.num_classes

        def table(cell: Ints, images: Any = slice(None)) -> NDArray[np.float32]:
            flat = self.owner[images] * cells + cell[images]
            totals = np.bincount(flat, minlength=len(self.number) * cells)
            return totals.astype(np.float32).reshape(-1, cells)

        actual = base + self.labels
        hits = [table(actual, answers == self.labels) for answers in self.answers]
        predicted = [table(base + answers) for answers in self.answers]
        return np.stack([table(actual), *hits, *predicted], 1)

    def only(self, types: Ints) -> "Clusters":
        """A selection of the types, given in ascending order."""
        new_index = np.full(len(self.number), -1)
        new_index[types] = np.arange(len(types))
        owner = new_index[self.owner]
        selected = owner >= 0
        return replace(
            self,
            number=self.number[types],
            group=self.group[types],
            owner=owner[selected],
            labels=self.labels[selected],
            groups=self.groups[selected],
            answers=self.answers[:, selected],
        )

    def regrouped(self) -> "Clusters":
        """Each type once for each group that its clusters could have belonged to.

        Type t with group g becomes type t * M + g. Types with images of several groups keep them.
        """
        m = self.num_groups
        several = self.group[self.owner] == m
        groups = np.where(several[:, None], self.groups[:, None], np.arange(m)).ravel()
        owner = (self.owner[:, None] * m + np.arange(m)).ravel()
        order = np.argsort(owner, kind="stable")
        return replace(
            self,
            number=np.repeat(self.number, m),
            group=np.where(self.group[:, None] == m, m, np.arange(m)).ravel(),
            owner=owner[order],
            labels=np.repeat(self.labels, m)[order],
            groups=groups[order],
            answers=np.repeat(self.answers, m, axis=1)[:, order],
        )


def find_clusters(sample: Sample) -> Clusters:
    """Group the clusters of a sample by type; samples of an unknown group are left out.

    With more than `MAX_TYPES` types, clusters of the same group and rarest class are merged at
    random into bundles, which take their place. A bundle varies as its clusters do, and slightly
    more where groups differ, so intervals are too wide rather than too narrow.
    """
    labels, answers, groups = sample.labels, sample.answers, sample.groups
    num_classes, num_groups = sample.num_classes, sample.num_groups
    known = groups != UNKNOWN
    kind = groups[known].astype(np.int64) * num_classes + labels[known]
    for row in answers[:, known]:
        _, first, kind = np.unique(kind * num_classes + row, return_index=True, return_inverse=True)
    first = np.flatnonzero(known)[first]

    def by_type(index: Ints) -> Clusters:
        times = _count_contents(index, kind)
        types = [np.frombuffer(key, kind.dtype) for key in times]
        owner = np.repeat(np.arange(len(types)), [len(content) for content in types])
        examples = first[np.concatenate(types)]
        example_groups = groups[examples].astype(np.int64)
        return Clusters(
            number=np.array([*times.values()]),
            group=common_group(owner, example_groups, num_groups),
            owner=owner,
            labels=labels[examples].astype(np.int64),
            groups=example_groups,
            answers=answers[:, examples].astype(np.int64),
            num_classes=num_classes,
            num_groups=num_groups,
        )

    index = cluster_index(sample.clusters[known])
    clusters = by_type(index)
    if len(clusters.number) <= MAX_TYPES:
        return clusters
    bundle = _bundle(
        index, labels[known], groups[known], num_classes=num_classes, num_groups=num_groups
    )
    return replace(by_type(bundle), bundled=True)


def _count_contents(index: Ints, kind: Ints) -> dict[bytes, int]:
    """How many clusters consist of the same kinds of images: sorted kinds as bytes -> number."""
    order = np.lexsort((kind, index))
    times: dict[bytes, int] = {}
    for content in np.split(kind[order], np.flatnonzero(np.diff(index[order])) + 1):
        key = content.tobytes()
        times[key] = times.get(key, 0) + 1
    return times


def _bundle(
    index: Ints,
    labels: NDArray[np.integer[Any]],
    groups: NDArray[np.integer[Any]],
    *,
    num_classes: int,
    num_groups: int,
) -> Ints:
    """Merge clusters of the same group and rarest class, equally many in each group.

    Clusters of the same class profile are merged with each other where possible, so that most
    bundles can swap groups with others.

    Args:
        index: cluster of each sample, (N,).
        labels, groups: class and group of each sample, (N,).
        num_classes: C.
        num_groups: M.
    Returns:
        Bundle of each sample, (N,).
    """
    group = common_group(index, groups.astype(np.int64), num_groups)
    counts = np.zeros((len(group), num_classes), np.int64)
    np.add.at(counts, (index, labels), 1)
    rarest = _rarest(counts, counts.sum(0))
    profile = np.unique(counts, axis=0, return_inverse=True)[1].ravel()
    shuffled = np.random.default_rng(0).permutation(len(group))
    order = np.lexsort((shuffled, profile, rarest, group))
    cell = (group * num_classes + rarest)[order]
    start = np.flatnonzero(np.diff(cell, prepend=-1))
    sizes = np.diff(start, append=len(cell))
    smallest = np.full(num_classes, len(cell))
    np.minimum.at(smallest, rarest[order][start], sizes)
    bundle_size = np.maximum(smallest // BUNDLES, 1)[rarest[order]]
    within = (np.arange(len(cell)) - np.repeat(start, sizes)) // bundle_size
    begins = (np.diff(cell, prepend=-1) != 0) | (np.diff(within, prepend=-1) != 0)
    bundle = np.empty(len(group), np.int64)
    bundle[order] = np.cumsum(begins) - 1
    return bundle[index]


def common_group(index: Ints, groups: Ints, num_groups: int) -> Ints:
    """The group of each cluster, (K,); `num_groups` if its samples belong to several.

    Args:
        index: cluster of each sample, (N,).
        groups: group of each sample, (N,), in [0, M).
        num_groups: M.
    """
    low = np.full(int(index.max()) + 1, num_groups)
    high = np.full(len(low), -1)
    np.minimum.at(low, index, groups)
    np.maximum.at(high, index, groups)
    return np.where(low == high, low, num_groups)


def rarest_class(clusters: Clusters) -> Ints:
    """For each type, the class of its clusters that is rarest among all images, (T,).

    A cluster of several classes, such as a patient, matters most for the rate of its rarest class.
    """
    counts = class_counts(clusters)
    return _rarest(counts, clusters.number @ counts)


def _rarest(counts: Ints, total: Ints) -> Ints:
    """The class with the smallest total (C,) among those that occur in each row of (T, C)."""
    return np.where(counts > 0, total, total.max() + 1).argmin(1)


def class_counts(clusters: Clusters) -> Ints:
    """Images of each class in a cluster of each type, (T, C)."""
    counts = np.zeros((len(clusters.number), clusters.num_classes), np.int64)
    np.add.at(counts, (clusters.owner, clusters.labels), 1)
    return counts
