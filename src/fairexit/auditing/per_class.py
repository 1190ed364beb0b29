"""Gaps class by class, and which of them exceed chance after correction for all tests."""

import math
from dataclasses import replace

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
    gaps = []
    for c in np.flatnonzero(totals.sum(0)).tolist():
        for i, rate in enumerate(RATES):
            ends = _ends(point[rate][:, c], enough[rate][:, c])
            large = ends is not None
            gap = (
                _difference(drawn, rate, ends=ends, c=c, settings=settings)
                if ends
                else Estimate(math.nan, note=TOO_FEW)
            )
            small = np.flatnonzero(~enough[rate][:, c])
            names = samples.groups
            gaps.append(
                ClassGap(
                    name=samples.classes[c],
                    rate=rate,
                    estimate=gap,
                    rates=dict(zip(names, point[rate][:, c].tolist(), strict=True)),
                    samples=dict(zip(names, sizes[rate][:, c].tolist(), strict=True)),
                    clusters=dict(zip(names, behind[rate][:, c].tolist(), strict=True)),
                    too_small=tuple(names[g] for g in small),
                    highest=names[ends[0]] if ends else "",
                    lowest=names[ends[1]] if ends else "",
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


def _ends(rates: Values, enough: NDArray[np.bool_]) -> tuple[int, int] | None:
    """Groups of the highest and the lowest rate among those with enough clusters."""
    groups = np.flatnonzero(enough)
    if len(groups) < 2:
        return None
    order = groups[np.argsort(rates[groups], kind="stable")]
    return int(order[-1]), int(order[0])


def _difference(
    drawn: Bootstrap, rate: str, *, ends: tuple[int, int], c: int, settings: AuditSettings
) -> Estimate:
    """Highest minus lowest rate of two fixed groups; the interval may extend below 0."""
    high, low = ends

    def gap(values: Values) -> Values:
        return values[..., 0, high, c] - values[..., 0, low, c]

    jackknifed = drawn.jackknife[rate]
    interval = percentile(
        gap(drawn.point[rate]),
        gap(drawn.draws[rate]),
        replace(jackknifed, values=gap(jackknifed.values)),
        settings.confidence_level,
    )
    estimate: Estimate = estimates(interval).item()
    return estimate
