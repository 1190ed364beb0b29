"""The worst slices: values of one or two attributes for which the model makes more errors.

A slice is compared with all other samples, weighted to the same mix of classes, so that a slice
with many samples of difficult classes does not stand out. The null distribution comes from a wild
bootstrap in which whole clusters change sign together (Rademacher signs); the largest statistic
over all slices corrects for the search.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fairexit.auditing.estimates import agreeing
from fairexit.auditing.results import Estimate, Slice, SliceSearch
from fairexit.auditing.settings import AuditSettings, verdict_on
from fairexit.auditing.source import Source
from fairexit.cluster_index import cluster_index
from fairexit.metrics.rates import Values
from fairexit.types import UNKNOWN

MIN_SLICE_CLUSTERS = 30
"""Clusters that a slice needs: the test is asymptotic, and there are many small slices."""

MAX_SHOWN = 10
"""Number of slices that an audit reports."""

MAX_SLICES = 2_000
"""Number of slices that are tested; the others are skipped."""

BUNDLES = 5_000
"""Clusters are merged into at most this many bundles, which are independent as well."""

SIGNS = 2_000
"""Number of draws of the wild bootstrap."""

CHUNK = 100
"""Number of draws that are processed together."""


class _Candidate(NamedTuple):
    """A slice with its excess of errors, before the test."""

    values: dict[str, str]
    n: int
    clusters: int
    errors: float
    excess: float
    standard_error: float
    """Of the excess."""
    parts: Values
    """Contribution of each bundle to the excess under the null hypothesis."""


@dataclass(frozen=True)
class _Rows:
    """All N samples: whether the answer is wrong (0 or 1), class, cluster and bundle, each (N,)."""

    wrong: Values
    labels: NDArray[np.int64]
    clusters: NDArray[np.int64]
    bundles: NDArray[np.int64]
    num_classes: int


def search_slices(source: Source, settings: AuditSettings) -> SliceSearch:
    """Test every slice of one or two attribute values with enough clusters for excess errors.

    All attributes of the predictions are used. Slices with the same samples count once, under the
    shorter name.

    Args:
        source: predictions with attributes; samples of unknown value are in no slice.
        settings: random seed and confidence level.
    """
    p = source.predictions
    numbers = cluster_index(p.clusters)
    order = np.random.default_rng(settings.random_state).permutation(int(numbers.max()) + 1)
    wrong = (source.answers != p.labels).astype(float)
    rows = _Rows(wrong, p.labels, numbers, order[numbers] % BUNDLES, len(p.classes))
    candidates: list[_Candidate] = []
    skipped, seen = 0, set()
    for values, inside in _slices(source):
        clusters = 0 if inside.sum() < MIN_SLICE_CLUSTERS else len(np.unique(numbers[inside]))
        if clusters < MIN_SLICE_CLUSTERS or len(candidates) == MAX_SLICES:
            skipped += 1
            continue
        key = np.packbits(inside).tobytes()
        if key in seen or inside.all():
            continue
        seen.add(key)
        candidate = _measure(values, inside, clusters, rows)
        if candidate is None:
            skipped += 1
        else:
            candidates.append(candidate)
    worst = _test(candidates, settings)
    attributes = tuple(p.attributes)
    return SliceSearch(
        worst, len(candidates), skipped, attributes, dict(p.left_out), MIN_SLICE_CLUSTERS
    )


def _slices(source: Source) -> Iterator[tuple[dict[str, str], NDArray[np.bool_]]]:
    """All slices of one attribute value, then of two: their values and the mask (N,) of samples."""
    p = source.predictions
    single = []
    for name, values in p.attributes.items():
        present = np.unique(values[values != UNKNOWN]).tolist()
        single += [(name, p.group_names[name][g], values == g) for g in present]
    for name, value, inside in single:
        yield {name: value}, inside
    for (name_a, value_a, inside_a), (name_b, value_b, inside_b) in combinations(single, 2):
        # If a value is too rare, so are all pairs with it.
        if name_a != name_b and min(inside_a.sum(), inside_b.sum()) >= MIN_SLICE_CLUSTERS:
            yield {name_a: value_a, name_b: value_b}, inside_a & inside_b


def _measure(
    values: dict[str, str], inside: NDArray[np.bool_], clusters: int, rows: _Rows
) -> _Candidate | None:
    """The excess of errors of a slice; None if no class is both inside and outside of it."""
    n_in = np.bincount(rows.labels[inside], minlength=rows.num_classes)
    n_out = np.bincount(rows.labels[~inside], minlength=rows.num_classes)
    both = (n_in > 0) & (n_out > 0)
    total = int(n_in[both].sum())
    if not total:
        return None
    compared = both[rows.labels]
    # Weight of each sample in: mean inside - sum over classes of (share inside x mean outside).
    outside = n_in / np.maximum(n_out, 1) / total
    weight = np.where(inside, 1 / total, -outside[rows.labels]) * compared
    null_residuals = rows.wrong - _class_means(rows, np.ones(len(inside), bool))
    residuals = rows.wrong - np.where(
        inside, _class_means(rows, inside), _class_means(rows, ~inside)
    )
    size = int(rows.bundles.max()) + 1
    parts = np.bincount(rows.bundles, weight * null_residuals, minlength=size).astype(float)
    spread = np.bincount(rows.bundles, weight * residuals, minlength=size)
    return _Candidate(
        values,
        int(inside.sum()),
        clusters,
        float(rows.wrong[inside & compared].mean()),
        float((weight * rows.wrong).sum()),
        float(np.sqrt((spread**2).sum())),
        parts,
    )


def _class_means(rows: _Rows, among: NDArray[np.bool_]) -> Values:
    """For every sample, the share of errors of its class among the samples of a mask, (N,)."""
    labels = rows.labels[among]
    n = np.bincount(labels, minlength=rows.num_classes)
    errors = np.bincount(labels, rows.wrong[among], minlength=rows.num_classes)
    return (errors / np.maximum(n, 1))[rows.labels]


def _test(candidates: list[_Candidate], settings: AuditSettings) -> tuple[Slice, ...]:
    """Test all slices by a wild bootstrap; the worst `MAX_SHOWN` of them, the worst first."""
    if not candidates:
        return ()
    parts = np.stack([candidate.parts for candidate in candidates], axis=1)
    scale = np.sqrt((parts**2).sum(0))
    scale[scale == 0] = np.inf  # all answers are right or all are wrong: no difference to test
    statistic = parts.sum(0) / scale
    rng = np.random.default_rng(settings.random_state)
    larger, largest = np.ones(len(candidates)), np.ones(len(candidates))
    for _ in range(0, SIGNS, CHUNK):
        signs = rng.integers(0, 2, (CHUNK, len(parts))) * 2.0 - 1
        drawn = signs @ (parts / scale)
        larger += (drawn >= statistic - 1e-9).sum(0)
        largest += (drawn.max(1)[:, None] >= statistic - 1e-9).sum(0)
    p_values, p_adjusted = larger / (SIGNS + 1), largest / (SIGNS + 1)
    worst = np.lexsort((-statistic, p_adjusted))[:MAX_SHOWN]
    return tuple(
        Slice(
            candidates[j].values,
            candidates[j].n,
            candidates[j].clusters,
            candidates[j].errors,
            candidates[j].errors - candidates[j].excess,
            agreeing(
                _excess(candidates[j], settings.confidence_level),
                verdict_on(float(p_adjusted[j]), settings.alpha),
            ),
            float(p_values[j]),
            float(p_adjusted[j]),
        )
        for j in worst
    )


def _excess(candidate: _Candidate, confidence_level: float) -> Estimate:
    """The excess of errors with its normal interval."""
    if not candidate.standard_error:
        return Estimate(candidate.excess, math.nan, math.nan, "no interval: no spread")
    half = NormalDist().inv_cdf((1 + confidence_level) / 2) * candidate.standard_error
    return Estimate(candidate.excess, candidate.excess - half, candidate.excess + half)
