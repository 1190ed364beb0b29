"""Clustered samples for tests, and the ways to look at them one by one."""

import numpy as np
from numpy.typing import NDArray

from fairexit.stats.sample import Sample

Arrays = tuple[
    NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.object_], int, int
]


def clustered(
    seed: int, n: int = 60, classes: int = 3, groups: int = 2, models: int = 2, mixed: bool = False
) -> Arrays:
    """Labels, answers (R, N), groups, clusters, C, M; clusters of one class and group, or mixed."""
    rng = np.random.default_rng(seed)
    cluster = np.sort(rng.integers(0, max(n // 2, 1), n))
    label, group = rng.integers(0, classes, n), rng.integers(0, groups, n)
    if not mixed:
        label, group = label[cluster], group[cluster]
    right = rng.random((models, n)) < 0.6
    answers = np.where(right, label, rng.integers(0, classes, (models, n)))
    names = np.array([f"c{c}" if c % 3 else "" for c in cluster], object)
    return label, answers, group, names, classes, groups


def as_sample(labels, answers, groups, clusters, num_classes, num_groups) -> Sample:
    """Arrays in the order of `clustered` as a sample."""
    return Sample(
        labels=labels,
        answers=answers,
        groups=groups,
        clusters=clusters,
        num_classes=num_classes,
        num_groups=num_groups,
    )


def scored_sample(groups, clusters, num_groups) -> Sample:
    """A sample whose labels and answers play no part."""
    none = np.zeros(len(groups), int)
    return as_sample(none, none[None], groups, clusters, 1, num_groups)


def index_of(names: NDArray[np.object_]) -> NDArray[np.int64]:
    """Cluster numbers in order of first occurrence, one image at a time."""
    known: dict[object, int] = {}
    keys = [name or i for i, name in enumerate(names)]
    return np.array([known.setdefault(key, len(known)) for key in keys])
