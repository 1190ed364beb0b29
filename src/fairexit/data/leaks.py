"""What splits share that they should not: clusters, identical files, near-duplicate images."""

from collections.abc import Iterable
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

NEAR_DISTANCE = 10
"""Bits of 256. On ISIC 2019 nine in ten of such pairs show one lesion; at 16 it is one in two."""


def leak_report(
    clusters: "pd.Series[str]",
    parts: "pd.Series[str]",
    digests: NDArray[np.object_],
    near: NDArray[np.int64],
) -> dict[str, Any]:
    """Count what each pair of splits (or folds) shares.

    Args:
        clusters: (N,) cluster of each image, empty for one of its own.
        parts: (N,) its split or fold, a categorical in the order of the report.
        digests: (N,) SHA-256 of each file, empty where there was none.
        near: (P, 2) rows of near-duplicate pairs.
    Returns:
        For each pair of splits ("train-test") how many clusters both have; of the second one's
        images, how many lie in those, are identical to a file of the first, or nearly; `share`
        is that of the first of these among its images that have a cluster.
    """
    split, cluster = parts.to_numpy(object), clusters.to_numpy(object)
    report: dict[str, Any] = {}
    for one, other in combinations(parts.cat.categories, 2):
        a, b = split == one, split == other
        shared = np.intersect1d(cluster[a & (cluster != "")], cluster[b & (cluster != "")])
        inside = np.isin(cluster[b], shared)
        with_cluster = int((cluster[b] != "").sum())
        same = np.isin(digests[b], digests[a][digests[a] != ""])
        across = {int(j if b[j] else i) for i, j in near if (a[i] and b[j]) or (b[i] and a[j])}
        report[f"{one}-{other}"] = {
            "clusters": len(shared),
            "images_in_shared_clusters": int(inside.sum()),
            "share": round(int(inside.sum()) / max(with_cluster, 1), 4),
            "images_identical": int(same.sum()),
            "images_near_duplicate": len(across),
        }
    return report


def clusters_of_two_groups(frame: pd.DataFrame, attribute: str) -> list[str]:
    """Clusters whose images carry more than one known value of an attribute."""
    known = frame[(frame["cluster"] != "") & frame[attribute].notna()]
    values = known.groupby("cluster")[attribute].nunique()
    return sorted(values[values > 1].index)


def merge_clusters(
    clusters: "pd.Series[str]", ids: "pd.Series[str]", pairs: Iterable[tuple[int, int]]
) -> "pd.Series[str]":
    """Clusters in which each of the given pairs of rows lies together.

    A merged cluster is called after its first member: the name of that one's cluster, or its id.
    """
    parent = list(range(len(clusters)))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    named = pd.Series(np.arange(len(clusters))).groupby(clusters.to_numpy(object)).first()
    first = clusters.map(named).to_numpy()
    own = [(i, int(f)) for i, f in enumerate(first) if clusters.iloc[i] != ""]
    for i, j in [*own, *pairs]:
        low, high = sorted((root(i), root(j)))
        parent[high] = low
    roots = np.array([root(i) for i in range(len(clusters))])
    shared = np.bincount(roots, minlength=len(roots))[roots] > 1
    name = clusters.where(clusters != "", ids).to_numpy(object)
    return pd.Series(np.where(shared, name[roots], clusters.to_numpy(object)), clusters.index)
