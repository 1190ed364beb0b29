"""Clustered samples for tests, and the ways to look at them one by one."""

import numpy as np
from numpy.typing import NDArray

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


def index_of(names: NDArray[np.object_]) -> NDArray[np.int64]:
    """Cluster numbers in order of first occurrence, one image at a time."""
    known: dict[object, int] = {}
    keys = [name or i for i, name in enumerate(names)]
    return np.array([known.setdefault(key, len(known)) for key in keys])
