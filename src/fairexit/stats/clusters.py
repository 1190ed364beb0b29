"""Clusters as the unit of chance, and which of them are alike.

Images of one lesion or patient say much the same, so whole clusters are drawn, never images. Two
clusters with the same images in every respect that a metric sees (group, class, every model's
answer) are interchangeable: they are of one *type*, and a draw is how often each type occurs.
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
"""Cells (groups x classes) up to which margins are a product of matrices."""

MOST_TYPES = 20_000
"""Types up to which clusters are drawn one by one."""

BUNDLES = 1_000
"""Bundles that every group keeps of a class, so that they tell its spread to 2 in 100."""


@dataclass(frozen=True, eq=False)
class Clusters:
    """What R models answered on the same images, one cluster of each type spelled out.

    Attributes:
        number: how many clusters are of each type, (T,).
        group: the group of each type, `num_groups` where its images are of several, (T,).
        owner: the type that each spelled-out image belongs to, rising, (I,).
        labels, groups: of those images, (I,).
        answers: predicted classes, (R, I).
        bundled: several clusters were put together, see `find_clusters`.
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
        """Numbers that one draw takes in `sum_margins`."""
        return len(self.number) if self._narrow else len(self.owner)

    @property
    def _narrow(self) -> bool:
        return self.num_groups * self.num_classes <= NARROW

    @cached_property
    def contents(self) -> NDArray[np.float32]:
        """Margins of one cluster of each type, (T, 2 R + 1, M * C): actual, hits, predicted."""
        cells = self.num_groups * self.num_classes
        base = self.groups * self.num_classes

        def table(place: Ints, images: Any = slice(None)) -> NDArray[np.float32]:
            flat = self.owner[images] * cells + place[images]
            totals = np.bincount(flat, minlength=len(self.number) * cells)
            return totals.astype(np.float32).reshape(-1, cells)

        actual = base + self.labels
        hits = [table(actual, answers == self.labels) for answers in self.answers]
        predicted = [table(base + answers) for answers in self.answers]
        return np.stack([table(actual), *hits, *predicted], 1)

    def only(self, types: Ints) -> "Clusters":
        """Some of the types, given in rising order."""
        place = np.full(len(self.number), -1)
        place[types] = np.arange(len(types))
        owner = place[self.owner]
        there = owner >= 0
        return replace(
            self,
            number=self.number[types],
            group=self.group[types],
            owner=owner[there],
            labels=self.labels[there],
            groups=self.groups[there],
            answers=self.answers[:, there],
        )

    def regrouped(self) -> "Clusters":
        """Each type once for each group that its clusters might have been of.

        Type t as one of group g is type t * M + g. Types with images of several groups keep them.
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
    """The types of clusters among samples; samples of an unknown group are left out.

    With more than `MOST_TYPES` types, clusters of one group and rarest class are bundled at random
    and the bundles take their place. A bundle varies as its clusters do, and a little more where
    groups differ, so intervals err to the wide side.
    """
    labels, answers, groups = sample.labels, sample.answers, sample.groups
    num_classes, num_groups = sample.num_classes, sample.num_groups
    known = groups != UNKNOWN
    kind = groups[known].astype(np.int64) * num_classes + labels[known]
    for row in answers[:, known]:
        _, first, kind = np.unique(kind * num_classes + row, return_index=True, return_inverse=True)
    first = np.flatnonzero(known)[first]

    def spell(index: Ints) -> Clusters:
        times = _count_contents(index, kind)
        types = [np.frombuffer(key, kind.dtype) for key in times]
        owner = np.repeat(np.arange(len(types)), [len(content) for content in types])
        spelled = first[np.concatenate(types)]
        of_images = groups[spelled].astype(np.int64)
        return Clusters(
            number=np.array([*times.values()]),
            group=common_group(owner, of_images, num_groups),
            owner=owner,
            labels=labels[spelled].astype(np.int64),
            groups=of_images,
            answers=answers[:, spelled].astype(np.int64),
            num_classes=num_classes,
            num_groups=num_groups,
        )

    index = cluster_index(sample.clusters[known])
    clusters = spell(index)
    if len(clusters.number) <= MOST_TYPES:
        return clusters
    bundle = _bundle(
        index, labels[known], groups[known], num_classes=num_classes, num_groups=num_groups
    )
    return replace(spell(bundle), bundled=True)


def _count_contents(index: Ints, kind: Ints) -> dict[bytes, int]:
    """How many clusters consist of the same kinds of images, by these kinds in order."""
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
    """Clusters of one group and rarest class put together, as many in each group, (N,).

    Those of one class profile lie next to each other, so that most bundles have partners to swap
    groups with.
    """
    group = common_group(index, groups.astype(np.int64), num_groups)
    counts = np.zeros((len(group), num_classes), np.int64)
    np.add.at(counts, (index, labels), 1)
    rarest = _rarest(counts, counts.sum(0))
    profile = np.unique(counts, axis=0, return_inverse=True)[1].ravel()
    chance = np.random.default_rng(0).permutation(len(group))
    order = np.lexsort((chance, profile, rarest, group))
    cell = (group * num_classes + rarest)[order]
    start = np.flatnonzero(np.diff(cell, prepend=-1))
    sizes = np.diff(start, append=len(cell))
    smallest = np.full(num_classes, len(cell))
    np.minimum.at(smallest, rarest[order][start], sizes)
    together = np.maximum(smallest // BUNDLES, 1)[rarest[order]]
    within = (np.arange(len(cell)) - np.repeat(start, sizes)) // together
    new = (np.diff(cell, prepend=-1) != 0) | (np.diff(within, prepend=-1) != 0)
    bundle = np.empty(len(group), np.int64)
    bundle[order] = np.cumsum(new) - 1
    return bundle[index]


def common_group(index: Ints, groups: Ints, num_groups: int) -> Ints:
    """The group of each cluster, (K,); `num_groups` where its samples are of several."""
    low = np.full(int(index.max()) + 1, num_groups)
    high = np.full(len(low), -1)
    np.minimum.at(low, index, groups)
    np.maximum.at(high, index, groups)
    return np.where(low == high, low, num_groups)


def rarest_class(clusters: Clusters) -> Ints:
    """The class of a cluster that the fewest images have, (T,).

    A cluster of many classes, such as a patient, matters most for the rate of its rarest one.
    """
    counts = class_counts(clusters)
    return _rarest(counts, clusters.number @ counts)


def _rarest(counts: Ints, total: Ints) -> Ints:
    return np.where(counts > 0, total, total.max() + 1).argmin(1)


def class_counts(clusters: Clusters) -> Ints:
    """Images of each class in a cluster of each type, (T, C)."""
    counts = np.zeros((len(clusters.number), clusters.num_classes), np.int64)
    np.add.at(counts, (clusters.owner, clusters.labels), 1)
    return counts
