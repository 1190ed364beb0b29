"""Leaks between splits: shared clusters, identical files and near-duplicate images."""

from collections.abc import Iterable
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

NEAR_DISTANCE = 10
"""Largest distance of near-duplicates, in bits of 256.

On ISIC 2019 nine in ten pairs within 10 bits show the same lesion; within 16 bits, one in two.
"""


def leak_report(
    clusters: "pd.Series[str]",
    parts: "pd.Series[str]",
    digests: NDArray[np.object_],
    near: NDArray[np.int64],
) -> dict[str, Any]:
    """Count what each pair of splits (or folds) has in common.

    Args:
        clusters: cluster of each image, empty if it is a cluster of its own, (N,).
        parts: split or fold of each image, a categorical in the order of the report, (N,).
        digests: SHA-256 of each image's file, empty if there is none, (N,).
        near: rows of the near-duplicate pairs, (P, 2).
    Returns:
        For each pair of splits ("train-test"): `clusters`, the number of clusters in both; and
        numbers of images of the second split: `images_in_shared_clusters` (`share` divides it by
        the number of images that have a cluster), `images_identical` to a file of the first split,
        and `images_near_duplicate` of an image of the first split.
    """
    split, cluster = parts.to_numpy(object), clusters.to_numpy(object)
    report: dict[str, Any] = {}
    for first, second in combinations(parts.cat.categories, 2):
        a, b = split == first, split == second
        shared = np.intersect1d(cluster[a & (cluster != "")], cluster[b & (cluster != "")])
        inside = np.isin(cluster[b], shared)
        with_cluster = int((cluster[b] != "").sum())
        identical = np.isin(digests[b], digests[a][digests[a] != ""])
        similar = {int(j if b[j] else i) for i, j in near if (a[i] and b[j]) or (b[i] and a[j])}
        report[f"{first}-{second}"] = {
            "clusters": len(shared),
            "images_in_shared_clusters": int(inside.sum()),
            "share": round(int(inside.sum()) / max(with_cluster, 1), 4),
            "images_identical": int(identical.sum()),
            "images_near_duplicate": len(similar),
        }
    return report


def clusters_of_two_groups(frame: pd.DataFrame, attribute: str) -> list[str]:
    """Names of the clusters whose images have more than one known value of an attribute."""
    known = frame[(frame["cluster"] != "") & frame[attribute].notna()]
    values = known.groupby("cluster")[attribute].nunique()
    return sorted(values[values > 1].index)


def merge_clusters(
    clusters: "pd.Series[str]", ids: "pd.Series[str]", pairs: Iterable[tuple[int, int]]
) -> "pd.Series[str]":
    """Merge clusters so that the two rows of every given pair are in the same cluster.

    A merged cluster is named after the cluster of its first row, or after that row's id if it has
    no cluster.

    Args:
        clusters: cluster of each row, empty if it is a cluster of its own, (N,).
        ids: id of each row, (N,).
        pairs: pairs of row numbers.
    Returns:
        The new cluster of each row, (N,).
    """
    parent = list(range(len(clusters)))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    first_row = pd.Series(np.arange(len(clusters))).groupby(clusters.to_numpy(object)).first()
    first_rows = clusters.map(first_row).to_numpy()
    existing = [(i, int(j)) for i, j in enumerate(first_rows) if clusters.iloc[i] != ""]
    for i, j in [*existing, *pairs]:
        low, high = sorted((root(i), root(j)))
        parent[high] = low
    roots = np.array([root(i) for i in range(len(clusters))])
    shared = np.bincount(roots, minlength=len(roots))[roots] > 1
    name = clusters.where(clusters != "", ids).to_numpy(object)
    return pd.Series(np.where(shared, name[roots], clusters.to_numpy(object)), clusters.index)


def merge_duplicates(
    frame: pd.DataFrame, digests: NDArray[np.object_], near: NDArray[np.int64]
) -> pd.DataFrame:
    """Put identical files and near-duplicates into the same cluster.

    Args:
        frame: the rows, with `id` and `cluster`, (N,).
        digests: SHA-256 of each image's file, empty if there is none, (N,).
        near: rows of the near-duplicate pairs, (P, 2).
    """
    first = pd.Series(np.arange(len(digests))).groupby(digests).first()
    identical = [(i, int(first[d])) for i, d in enumerate(digests) if d and first[d] != i]
    pairs = [*identical, *((int(i), int(j)) for i, j in near)]
    return frame.assign(cluster=merge_clusters(frame["cluster"], frame["id"], pairs))
