"""The worst slices: attribute values, alone and in pairs, where the model errs more than elsewhere.

A slice is compared with the rest at equal mix of classes, so that hard classes do not look like a
hard group. Whole clusters change sign together under chance (wild bootstrap, Rademacher signs);
the largest statistic over all slices corrects for the search.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fairexit.auditing.results import Estimate, Slice, SliceSearch
from fairexit.auditing.settings import AuditSettings
from fairexit.auditing.source import Source
from fairexit.cluster_index import cluster_index
from fairexit.metrics.rates import Values
from fairexit.types import UNKNOWN

LEAST_CLUSTERS = 30
"""Clusters that a slice needs: the test is large-sample, and small slices abound."""

SHOWN = 10
MOST_SLICES = 2_000
BUNDLES = 5_000
"""Clusters are bundled into at most so many; bundles are as independent as clusters are."""

SIGNS = 2_000
CHUNK = 100


class _Found(NamedTuple):
    values: dict[str, str]
    n: int
    clusters: int
    errors: float
    excess: float
    error: float
    """Standard error of the excess."""
    parts: Values
    """Each bundle's part of the excess when nothing but chance is at work."""


@dataclass(frozen=True)
class _Rows:
    wrong: Values
    labels: NDArray[np.int64]
    clusters: NDArray[np.int64]
    bundles: NDArray[np.int64]
    num_classes: int


def search_slices(source: Source, settings: AuditSettings) -> SliceSearch:
    """Every slice of one or two attribute values with enough clusters, tested for excess errors.

    All attributes of the predictions take part. Slices of the same samples count once, under the
    shorter name.

    Args:
        source: predictions with attributes; samples of an unknown value are in no slice of it.
        settings: seed, level.
    """
    p = source.predictions
    numbers = cluster_index(p.clusters)
    order = np.random.default_rng(settings.random_state).permutation(int(numbers.max()) + 1)
    wrong = (source.answers != p.labels).astype(float)
    rows = _Rows(wrong, p.labels, numbers, order[numbers] % BUNDLES, len(p.classes))
    found: list[_Found] = []
    skipped, seen = 0, set()
    for values, inside in _candidates(source):
        clusters = 0 if inside.sum() < LEAST_CLUSTERS else len(np.unique(numbers[inside]))
        if clusters < LEAST_CLUSTERS or len(found) == MOST_SLICES:
            skipped += 1
            continue
        key = np.packbits(inside).tobytes()
        if key in seen or inside.all():
            continue
        seen.add(key)
        one = _measure(values, inside, clusters, rows)
        if one is None:
            skipped += 1
        else:
            found.append(one)
    worst = _test(found, settings)
    return SliceSearch(
        worst, len(found), skipped, tuple(p.attributes), source.left_out, LEAST_CLUSTERS
    )


def _candidates(source: Source) -> Iterator[tuple[dict[str, str], NDArray[np.bool_]]]:
    p = source.predictions
    single = []
    for name, values in p.attributes.items():
        there = np.unique(values[values != UNKNOWN]).tolist()
        single += [(name, p.group_names[name][g], values == g) for g in there]
    for name, value, inside in single:
        yield {name: value}, inside
    for (name, value, one), (other, its, two) in combinations(single, 2):
        # Where one value is too rare, so are all its pairs.
        if name != other and min(one.sum(), two.sum()) >= LEAST_CLUSTERS:
            yield {name: value, other: its}, one & two


def _measure(
    values: dict[str, str], inside: NDArray[np.bool_], clusters: int, rows: _Rows
) -> _Found | None:
    """The excess of errors and each bundle's part in it; None where no class is on both sides."""
    n_in = np.bincount(rows.labels[inside], minlength=rows.num_classes)
    n_out = np.bincount(rows.labels[~inside], minlength=rows.num_classes)
    both = (n_in > 0) & (n_out > 0)
    total = int(n_in[both].sum())
    if not total:
        return None
    compared = both[rows.labels]
    # Each sample's weight in: mean inside - sum over classes of (share inside x mean outside).
    outside = n_in / np.maximum(n_out, 1) / total
    weight = np.where(inside, 1 / total, -outside[rows.labels]) * compared
    under_chance = rows.wrong - _class_means(rows, np.ones(len(inside), bool))
    own = rows.wrong - np.where(inside, _class_means(rows, inside), _class_means(rows, ~inside))
    size = int(rows.bundles.max()) + 1
    parts = np.bincount(rows.bundles, weight * under_chance, minlength=size).astype(float)
    spread = np.bincount(rows.bundles, weight * own, minlength=size)
    return _Found(
        values,
        int(inside.sum()),
        clusters,
        float(rows.wrong[inside & compared].mean()),
        float((weight * rows.wrong).sum()),
        float(np.sqrt((spread**2).sum())),
        parts,
    )


def _class_means(rows: _Rows, among: NDArray[np.bool_]) -> Values:
    """For every sample the share of errors of its class among some samples."""
    labels = rows.labels[among]
    n = np.bincount(labels, minlength=rows.num_classes)
    errors = np.bincount(labels, rows.wrong[among], minlength=rows.num_classes)
    return (errors / np.maximum(n, 1))[rows.labels]


def _test(found: list[_Found], settings: AuditSettings) -> tuple[Slice, ...]:
    if not found:
        return ()
    parts = np.stack([one.parts for one in found], axis=1)
    scale = np.sqrt((parts**2).sum(0))
    scale[scale == 0] = np.inf  # nobody or everybody errs: nothing to see
    statistic = parts.sum(0) / scale
    rng = np.random.default_rng(settings.random_state)
    larger, largest = np.ones(len(found)), np.ones(len(found))
    for _ in range(0, SIGNS, CHUNK):
        signs = rng.integers(0, 2, (CHUNK, len(parts))) * 2.0 - 1
        drawn = signs @ (parts / scale)
        larger += (drawn >= statistic - 1e-9).sum(0)
        largest += (drawn.max(1)[:, None] >= statistic - 1e-9).sum(0)
    alone, adjusted = larger / (SIGNS + 1), largest / (SIGNS + 1)
    z = NormalDist().inv_cdf((1 + settings.confidence_level) / 2)
    worst = np.lexsort((-statistic, adjusted))[:SHOWN]
    return tuple(
        Slice(
            one.values,
            one.n,
            one.clusters,
            one.errors,
            one.errors - one.excess,
            Estimate(one.excess, one.excess - z * one.error, one.excess + z * one.error)
            if one.error
            else Estimate(one.excess, math.nan, math.nan, "no interval: no spread"),
            float(alone[j]),
            float(adjusted[j]),
        )
        for j, one in ((j, found[j]) for j in worst)
    )
