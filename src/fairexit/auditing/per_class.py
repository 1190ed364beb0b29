"""Gaps class by class, and which of them exceed chance after correction for all tests."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fairexit.auditing.estimates import estimates
from fairexit.auditing.results import TOO_FEW, ClassGap, Estimate
from fairexit.auditing.samples import AttributeSample
from fairexit.auditing.settings import MIN_CLUSTERS, AuditSettings, verdict_on
from fairexit.metrics.rates import Rate, Values, fpr, range_known, tpr
from fairexit.stats.bootstrap import Bootstrap
from fairexit.stats.intervals import percentile
from fairexit.stats.multiple import max_t
from fairexit.stats.power import min_detectable_range

RATES: dict[str, Rate] = {"tpr": tpr, "fpr": fpr}
"""The rates that are compared class by class."""


def class_gaps(
    samples: AttributeSample, drawn: Bootstrap, null: dict[str, Values], settings: AuditSettings
) -> tuple[ClassGap, ...]:
    """The range of TPR and of FPR over the groups, for every class that occurs.

    A group with fewer than `MIN_CLUSTERS` clusters behind a rate is left out of that rate's
    comparison; a class with fewer than two remaining groups has too few samples.

    Args:
        samples: the samples of one attribute.
        drawn: bootstrap of tpr and fpr, (B, 1, M, C).
        null: tpr and fpr under permutation, (B, M, C).
        settings: confidence level and alpha.
    """
    point = {rate: drawn.point[rate][0] for rate in RATES}
    behind = dict(zip(RATES, samples.sample.clusters_behind_rates(), strict=True))
    enough = {rate: behind[rate] >= MIN_CLUSTERS for rate in RATES}
    masked = {rate: np.where(enough[rate], null[rate], np.nan) for rate in RATES}
    observed = np.stack([range_known(np.where(enough[r], point[r], np.nan), -2) for r in RATES])
    null_gaps = np.stack([range_known(masked[r], -2) for r in RATES], axis=1)
    tests = max_t(observed.ravel(), null_gaps.reshape(len(null_gaps), -1), settings.alpha)
    p_values, p_adjusted, null_quantile = (values.reshape(observed.shape) for values in tests)
    null_mean = np.nan_to_num(null_gaps).mean(0)
    detectable = [
        min_detectable_range(masked[rate], null_quantile[i]) for i, rate in enumerate(RATES)
    ]
    totals = samples.counts.sum(-1)
    sizes = {"tpr": totals, "fpr": totals.sum(1, keepdims=True) - totals}
    ends = {rate: _ends(point[rate], enough[rate]) for rate in RATES}
    differences = {rate: _differences(drawn, rate, ends[rate], settings) for rate in RATES}
    names = samples.groups
    gaps = []
    for c in np.flatnonzero(totals.sum(0)).tolist():
        for i, rate in enumerate(RATES):
            highest, lowest = ends[rate][:, c].tolist()
            large = highest != lowest
            small = np.flatnonzero(~enough[rate][:, c])
            gaps.append(
                ClassGap(
                    name=samples.classes[c],
                    rate=rate,
                    estimate=differences[rate][c] if large else Estimate(math.nan, note=TOO_FEW),
                    rates=dict(zip(names, point[rate][:, c].tolist(), strict=True)),
                    samples=dict(zip(names, sizes[rate][:, c].tolist(), strict=True)),
                    clusters=dict(zip(names, behind[rate][:, c].tolist(), strict=True)),
                    too_small=tuple(names[g] for g in small),
                    highest=names[highest] if large else "",
                    lowest=names[lowest] if large else "",
                    null_mean=float(null_mean[i, c]) if large else math.nan,
                    p_value=float(p_values[i, c]),
                    p_adjusted=float(p_adjusted[i, c]),
                    min_detectable_gap=float(detectable[i][c]) if large else math.nan,
                    verdict=verdict_on(float(p_adjusted[i, c]), settings.alpha)
                    if large
                    else TOO_FEW,
                )
            )
    return tuple(gaps)


def _ends(rates: Values, enough: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Groups of the highest and the lowest rate of each class, (2, C), from (M, C).

    Only groups with enough clusters are compared; with fewer than two, both are group 0.
    """
    order = np.argsort(np.where(enough, rates, np.nan), axis=0, kind="stable")  # NaN last
    last = np.maximum(enough.sum(0) - 1, 0)
    ends = np.stack([np.take_along_axis(order, last[None], 0)[0], order[0]])
    return np.where(last > 0, ends, 0)


def _differences(
    drawn: Bootstrap, rate: str, ends: NDArray[np.int64], settings: AuditSettings
) -> NDArray[Any]:
    """Highest minus lowest rate of fixed groups in each class, (C,); may extend below 0."""
    high, low = ends
    classes = np.arange(len(high))

    def gap(values: Values) -> Values:
        return values[..., 0, high, classes] - values[..., 0, low, classes]

    jackknifed = drawn.jackknife[rate]
    interval = percentile(
        gap(drawn.point[rate]),
        gap(drawn.draws[rate]),
        replace(jackknifed, values=gap(jackknifed.values)),
        settings.confidence_level,
    )
    return estimates(interval)
