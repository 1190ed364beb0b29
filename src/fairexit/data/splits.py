"""Training, validation and test splits that never divide a lesion or patient."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fairexit.cluster_index import cluster_index
from fairexit.data.records import SPLITS, read_table
from fairexit.errors import UserError, option, short

FRACTIONS = (0.6, 0.2, 0.2)
ALIASES = {"valid": "val", "validation": "val", "training": "train", "testing": "test"}


def partition(
    strata: NDArray[np.int64], clusters: NDArray[np.int64], shares: Sequence[float], seed: int
) -> NDArray[np.int64]:
    """Divide samples into parts by whole clusters, each stratum close to the given shares.

    Clusters are assigned from the largest to the smallest, in random order among equals, each to
    the part that still lacks most samples of the cluster's strata.

    Args:
        strata: index of each sample's stratum (class and group), (N,).
        clusters: index of each sample's cluster, (N,).
        shares: share of the samples that each part should hold, summing to 1.
        seed: seed of the order.
    Returns:
        Index of each sample's part, (N,).
    """
    rng = np.random.default_rng(seed)
    totals = np.bincount(strata).astype(float)
    lacking = totals[:, None] * np.asarray(shares)[None, :]
    members = _members(clusters)
    sizes = np.array([len(m) for m in members])
    parts = np.empty(len(strata), np.int64)
    for k in np.lexsort((rng.random(len(members)), -sizes)):
        cells, counts = np.unique(strata[members[k]], return_counts=True)
        need = counts @ lacking[cells]
        part = int(np.argmax(need + 1e-9 * rng.random(len(shares))))
        lacking[cells, part] -= counts
        parts[members[k]] = part
    return parts


def choose_clusters(
    strata: NDArray[np.int64],
    clusters: NDArray[np.int64],
    shares: NDArray[np.float64],
    rng: np.random.Generator,
) -> NDArray[np.bool_]:
    """Choose whole clusters at random that hold a given share of each stratum.

    Clusters are visited from the largest to the smallest, in random order among equals. Each is
    chosen if the chosen share of the samples visited so far is then closer to the share asked for,
    so that clusters of every size are chosen alike. With clusters of one sample each, a stratum
    misses its share by at most half a sample.

    Args:
        strata: index of each sample's stratum, (N,).
        clusters: index of each sample's cluster, (N,).
        shares: share of each stratum's samples to choose, (S,).
        rng: source of the random order.
    Returns:
        Whether each sample is chosen, (N,).
    """
    members = _members(clusters)
    order, coin = rng.random((2, len(members)))
    chosen = np.zeros(len(strata), bool)
    missing = np.zeros(len(shares))
    for k in np.lexsort((order, [-len(m) for m in members])):
        cells, counts = np.unique(strata[members[k]], return_counts=True)
        missing[cells] += shares[cells] * counts
        # By how much choosing reduces the sum of squares of what is missing.
        gain = 2 * missing[cells] @ counts - counts @ counts
        if gain > 1e-9 or (gain > -1e-9 and coin[k] < 0.5):
            missing[cells] -= counts
            chosen[members[k]] = True
    return chosen


def _members(clusters: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Rows of each cluster, in the order of the clusters' indices."""
    order = np.argsort(clusters, kind="stable")
    if not len(order):
        return []
    return np.split(order, np.flatnonzero(np.diff(clusters[order])) + 1)


def _strata(frame: pd.DataFrame, attribute: str) -> NDArray[np.int64]:
    """Index of each sample's class and group, (N,); an unknown group is a group of its own."""
    groups = frame[attribute].astype(object).fillna("").astype(str)
    key = frame["label"].astype(str) + "\0" + groups
    return pd.factorize(key)[0].astype(np.int64)


def stratified_split(frame: pd.DataFrame, attribute: str, seed: int) -> "pd.Series[str]":
    """Assign samples to train, val and test (60, 20, 20 %), stratified by class and group.

    Args:
        frame: table with `label`, `cluster` and the attribute, (N,).
        attribute: the attribute by whose groups the split is stratified.
        seed: seed of the split.
    Returns:
        The split of each sample, (N,); clusters are never divided.
    """
    parts = partition(_strata(frame, attribute), cluster_index(frame["cluster"]), FRACTIONS, seed)
    return pd.Series(np.asarray(SPLITS, object)[parts], index=frame.index)


def stratified_folds(
    frame: pd.DataFrame, attribute: str, folds: int, seed: int
) -> "pd.Series[int]":
    """Assign samples to folds of about equal size, stratified by class and group.

    Args:
        frame: table with `label`, `cluster` and the attribute, (N,).
        attribute: the attribute by whose groups the folds are stratified.
        folds: number of folds.
        seed: seed of the folds.
    Returns:
        The fold of each sample from 0, (N,); clusters are never divided.
    Raises:
        UserError: fewer than three folds, or more folds than samples.
    """
    if not 3 <= folds <= len(frame):
        raise UserError(
            f"{option('folds')} is {folds}; it must be at least 3 (train, val, test) and at most "
            f"the number of images, {len(frame)}"
        )
    shares = [1 / folds] * folds
    parts = partition(_strata(frame, attribute), cluster_index(frame["cluster"]), shares, seed)
    return pd.Series(parts, index=frame.index)


def split_of_fold(folds: NDArray[np.int64], fold: int) -> NDArray[np.object_]:
    """Splits of data in folds: `fold` is test, the next fold is val, all others are train.

    Args:
        folds: fold of each sample, (N,).
        fold: number of the test fold, from 0.
    Returns:
        The split of each sample, (N,).
    Raises:
        UserError: there is no such fold.
    """
    k = int(folds.max()) + 1
    if not 0 <= fold < k:
        raise UserError(f"there is no fold {fold}; the data have the folds 0 to {k - 1}")
    names = np.full(len(folds), "train", object)
    names[folds == fold] = "test"
    names[folds == (fold + 1) % k] = "val"
    return names


def read_split_file(path: Path) -> "pd.Series[str]":
    """Read the split of each id from a table with a column `split` and a column of ids.

    Raises:
        UserError: a column is missing, a split is unknown, or an id occurs twice.
    """
    table = read_table(path)
    if "split" not in table.columns or table.shape[1] < 2:
        names = short(", ".join(map(str, table.columns)), 300)
        raise UserError(f"{path} needs a column of ids and a column 'split'; it has: {names}")
    ids = table["id"] if "id" in table.columns else table.drop(columns="split").iloc[:, 0]
    splits = table["split"].astype(str).str.strip().str.lower().replace(ALIASES)
    wrong = ~splits.isin(SPLITS)
    if wrong.any():
        row = int(wrong.to_numpy().argmax())
        raise UserError(
            f"{path}, row {row + 1}: split '{short(table['split'].iloc[row])}' is not one of "
            f"{', '.join(SPLITS)}"
        )
    if ids.duplicated().any():
        raise UserError(f"{path}: id '{short(ids[ids.duplicated()].iloc[0])}' occurs twice")
    return pd.Series(splits.to_numpy(object), index=ids.to_numpy(object))
