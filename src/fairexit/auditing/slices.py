"""The worst slices: values of one or two attributes for which the model makes more errors.

A slice is compared with all other samples, weighted to the same mix of classes, so that a slice
with many samples of difficult classes does not stand out. The null distribution comes from a wild
bootstrap in which whole clusters change sign together (Rademacher signs); the largest statistic
over all slices corrects for the search.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from hashlib import blake2b
from itertools import combinations
from statistics import NormalDist
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fairexit.auditing.estimates import agreeing
from fairexit.auditing.gap_results import Estimate
from fairexit.auditing.section_results import Slice, SliceSearch
from fairexit.auditing.settings import AuditSettings, verdict_on
from fairexit.auditing.source import Source
from fairexit.cluster_index import cluster_index
from fairexit.metrics.rates import Values
from fairexit.predictions.data import Predictions
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
    """All N samples, counted by bundle, class and whether the answer is wrong.

    Attributes:
        cell: one of D combinations of these, for each sample, (N,).
        bundle, label, wrong: each of the D combinations, (D,).
        total: samples of each combination, (D,).
        num_classes: C.
    """

    cell: NDArray[np.int64]
    bundle: NDArray[np.int64]
    label: NDArray[np.int64]
    wrong: Values
    total: NDArray[np.int64]
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
    num_clusters = int(numbers.max()) + 1
    rows = _count_rows(source, numbers, settings)
    candidates: list[_Candidate] = []
    skipped, seen = 0, set()
    for values, find_members in _slices(p):
        if len(candidates) == MAX_SLICES:
            skipped += 1
            continue
        members = find_members()
        clusters = _count_different(numbers[members], num_clusters)
        if clusters < MIN_SLICE_CLUSTERS:
            skipped += 1
            continue
        key = blake2b(members.tobytes()).digest()
        if key in seen or len(members) == len(p):
            continue
        seen.add(key)
        candidate = _measure(values, members, clusters, rows)
        if candidate is None:
            skipped += 1
        else:
            candidates.append(candidate)
    worst = _test(candidates, settings)
    attributes = tuple(p.attributes)
    return SliceSearch(
        worst, len(candidates), skipped, attributes, dict(p.left_out), MIN_SLICE_CLUSTERS
    )


def _count_rows(source: Source, numbers: NDArray[np.int64], settings: AuditSettings) -> _Rows:
    p = source.predictions
    order = np.random.default_rng(settings.random_state).permutation(int(numbers.max()) + 1)
    wrong = source.answers != p.labels
    combined = (order[numbers] % BUNDLES * len(p.classes) + p.labels) * 2 + wrong
    cells, cell, total = np.unique(combined, return_inverse=True, return_counts=True)
    bundle, label = np.divmod(cells // 2, len(p.classes))
    return _Rows(cell, bundle, label, (cells % 2).astype(float), total, len(p.classes))


def _count_different(numbers: NDArray[np.int64], end: int) -> int:
    """How many different numbers there are, all in [0, end)."""
    occurs = np.zeros(end, bool)
    occurs[numbers] = True
    return int(occurs.sum())


def _slices(
    p: Predictions,
) -> Iterator[tuple[dict[str, str], Callable[[], NDArray[np.int64]]]]:
    """All slices of one attribute value, then of two: values, and a function that gives the rows.

    The rows of a slice ascend, and are found only where the slice is tested.
    """
    single = []
    for name, values in p.attributes.items():
        order = np.argsort(values, kind="stable")
        present, starts = np.unique(values[order], return_index=True)
        for g, members in zip(present.tolist(), np.split(order, starts[1:]), strict=True):
            if g != UNKNOWN:
                single.append((name, g, members))
    for name, g, members in single:
        yield {name: p.group_names[name][g]}, partial(np.asarray, members)
    for (name_a, a, rows_a), (name_b, b, rows_b) in combinations(single, 2):
        # If a value is too rare, so are all pairs with it.
        if name_a != name_b and min(len(rows_a), len(rows_b)) >= MIN_SLICE_CLUSTERS:
            named = {name_a: p.group_names[name_a][a], name_b: p.group_names[name_b][b]}
            yield named, partial(_both, rows_a, p.attributes[name_b], b)


def _both(members: NDArray[np.int64], values: NDArray[np.int64], value: int) -> NDArray[np.int64]:
    """Those of some rows that have a value of another attribute."""
    return members[values[members] == value]


def _measure(
    values: dict[str, str], members: NDArray[np.int64], clusters: int, rows: _Rows
) -> _Candidate | None:
    """The excess of errors of a slice; None if no class is both inside and outside of it."""
    inside = np.bincount(rows.cell[members], minlength=len(rows.total))
    outside = rows.total - inside
    n_in, n_out = (_by_class(rows, times) for times in (inside, outside))
    both = (n_in > 0) & (n_out > 0)
    total = int(n_in[both].sum())
    if not total:
        return None
    compared = both[rows.label]
    # Weight of each sample in: mean inside - sum over classes of (share inside x mean outside).
    weight_in = inside * compared / total
    weight_out = -outside * compared * (n_in / np.maximum(n_out, 1) / total)[rows.label]
    mean_in, mean_out = (_class_means(rows, times) for times in (inside, outside))
    size = int(rows.bundle.max()) + 1
    null_residuals = rows.wrong - _class_means(rows, rows.total)
    parts = np.bincount(rows.bundle, (weight_in + weight_out) * null_residuals, size).astype(float)
    spread = np.bincount(
        rows.bundle,
        weight_in * (rows.wrong - mean_in) + weight_out * (rows.wrong - mean_out),
        size,
    )
    return _Candidate(
        values,
        len(members),
        clusters,
        float((inside * compared * rows.wrong).sum() / total),
        float(((weight_in + weight_out) * rows.wrong).sum()),
        float(np.sqrt((spread**2).sum())),
        parts,
    )


def _by_class(rows: _Rows, times: NDArray[Any]) -> Values:
    """Samples of each class, (C,), if each combination occurs a number of times, (D,)."""
    return np.bincount(rows.label, times, rows.num_classes).astype(float)


def _class_means(rows: _Rows, times: NDArray[np.int64]) -> Values:
    """For every combination, the share of errors of its class in `times` samples of each, (D,)."""
    errors = _by_class(rows, times * rows.wrong)
    return (errors / np.maximum(_by_class(rows, times), 1))[rows.label]


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
