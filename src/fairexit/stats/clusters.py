"""Clusters as the unit of resampling, grouped into types of equal content.

Images of one lesion or patient are correlated, so whole clusters are drawn, not single images. Two
clusters whose images agree in everything that a metric depends on (group, class, every model's
prediction) are interchangeable: they have the same *type*, and a draw is the number of times that
each type occurs. Types that differ only in their group have the same *shape*, and where groups are
permuted a draw is the number of times that each shape occurs with each group.
"""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from fairexit.cluster_index import cluster_index
from fairexit.stats.contents import find_contents, profiles_of
from fairexit.stats.sample import Ints, Sample
from fairexit.types import UNKNOWN

MAX_TYPES = 20_000
"""Number of types up to which single clusters are drawn; with more, bundles of clusters are."""

BUNDLES = 1_000
"""Bundles that each group keeps of a class, enough to estimate its spread to within 2 %."""

MAX_REGROUPED = 2**20
"""Types times groups up to which every type is a shape of its own, which saves finding them."""

DENSE = 2**24
"""Numbers up to which margins are computed as a dense matrix product, else as a sparse one."""


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
        """How many numbers one draw and its margins hold in memory."""
        margins = (2 * len(self.answers) + 1) * self.num_groups * self.num_classes
        return max(len(self.number), margins)

    @cached_property
    def contents(self) -> Any:
        """Margins of one cluster of each type, (T, (2 R + 1) * M * C): actual, hits, predicted."""
        return self._tabulate(self.owner, len(self.number), self.groups, self.num_groups)

    @cached_property
    def shape(self) -> Ints:
        """The shape of each type, (T,), numbered by their first type."""
        types = np.arange(len(self.number))
        if len(types) * self.num_groups <= MAX_REGROUPED:
            return types
        kind = self.labels
        for row in self.answers:
            kind = np.unique(kind * self.num_classes + row, return_inverse=True)[1]
        several = self.group[self.owner] == self.num_groups
        group = np.where(several, self.groups, self.num_groups)
        return find_contents(self.owner, kind * (self.num_groups + 1) + group).code

    @cached_property
    def examples(self) -> Ints:
        """The first type of each shape, (U,)."""
        return np.unique(self.shape, return_index=True)[1]

    @cached_property
    def shape_contents(self) -> Any:
        """Margins of one cluster of each shape without regard to groups, (U, (2 R + 1) * C)."""
        position = np.full(len(self.number), -1)
        position[self.examples] = np.arange(len(self.examples))
        owner = position[self.owner]
        return self._tabulate(owner, len(self.examples), np.zeros_like(owner), 1)

    def _tabulate(self, owner: Ints, rows: int, groups: Ints, num_groups: int) -> Any:
        """The margins of the images of each owner; those of owner -1 are left out."""
        cells = num_groups * self.num_classes
        base, chosen = groups * self.num_classes, owner >= 0
        actual = base + self.labels
        parts = [(chosen, actual)]
        parts += [(chosen & (answers == self.labels), actual) for answers in self.answers]
        parts += [(chosen, base + answers) for answers in self.answers]
        if rows * len(parts) * cells <= DENSE:
            table = np.empty((rows, len(parts), cells), np.float32)
            for k, (images, cell) in enumerate(parts):
                flat = owner[images] * cells + cell[images]
                table[:, k] = np.bincount(flat, minlength=rows * cells).reshape(rows, cells)
            return table.reshape(rows, -1)
        row = np.concatenate([owner[images] for images, _ in parts])
        column = np.concatenate(
            [k * cells + cell[images] for k, (images, cell) in enumerate(parts)]
        )
        return csr_array((np.ones(len(row), np.int64), (row, column)), (rows, len(parts) * cells))


_KNOWN: WeakKeyDictionary[Sample, Clusters] = WeakKeyDictionary()


def find_clusters(sample: Sample) -> Clusters:
    """Group the clusters of a sample by type; samples of an unknown group are left out.

    With more than `MAX_TYPES` types, clusters of the same group and rarest class are merged at
    random into bundles, which take their place. A bundle varies as its clusters do, and slightly
    more where groups differ, so intervals are too wide rather than too narrow.

    The clusters of a sample are kept as long as the sample, as several statistics need them.
    """
    if sample not in _KNOWN:
        _KNOWN[sample] = _find_clusters(sample)
    return _KNOWN[sample]


def _find_clusters(sample: Sample) -> Clusters:
    labels, answers, groups = sample.labels, sample.answers, sample.groups
    num_classes, num_groups = sample.num_classes, sample.num_groups
    known = groups != UNKNOWN
    kind = groups[known].astype(np.int64) * num_classes + labels[known]
    for row in answers[:, known]:
        _, first, kind = np.unique(kind * num_classes + row, return_index=True, return_inverse=True)
    first = np.flatnonzero(known)[first]

    def by_type(index: Ints) -> Clusters:
        contents = find_contents(index, kind)
        examples = first[contents.kinds]
        example_groups = groups[examples].astype(np.int64)
        return Clusters(
            number=np.bincount(contents.code),
            group=common_group(contents.owner, example_groups, num_groups),
            owner=contents.owner,
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
    if bundle.max() == index.max():  # too few clusters in each cell to merge any
        return clusters
    return replace(by_type(bundle), bundled=True)


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
    rarest = _rarest(index, labels, np.bincount(labels, minlength=num_classes))
    profile = profiles_of(index, labels.astype(np.int64))
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
    times = clusters.number[clusters.owner]
    total = np.bincount(clusters.labels, times, minlength=clusters.num_classes)
    return _rarest(clusters.owner, clusters.labels, total)


def _rarest(index: Ints, labels: NDArray[np.integer[Any]], total: NDArray[Any]) -> Ints:
    """The class with the smallest total (C,) among those of each cluster, (K,)."""
    ascending = np.argsort(total, kind="stable")
    place = np.empty_like(ascending)
    place[ascending] = np.arange(len(total))
    lowest = np.full(int(index.max()) + 1, len(total))
    np.minimum.at(lowest, index, place[labels])
    return ascending[lowest]
