"""Gaps class by class: which are more than chance, after testing all of them."""

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
    comparison; a class where fewer than two groups remain has too few samples.

    Args:
        samples: of one attribute.
        drawn: bootstrap of tpr and fpr, (B, 1, M, C).
        null: tpr and fpr under permutation, (B, M, C).
        settings: level and alpha.
    """
    point = {rate: drawn.point[rate][0] for rate in RATES}
    behind = dict(zip(RATES, samples.sample.clusters_behind_rates(), strict=True))
    enough = {rate: behind[rate] >= MIN_CLUSTERS for rate in RATES}
    masked = {rate: np.where(enough[rate], null[rate], np.nan) for rate in RATES}
    observed = np.stack([range_known(np.where(enough[r], point[r], np.nan), -2) for r in RATES])
    chance = np.stack([range_known(masked[r], -2) for r in RATES], axis=1)
    alone, adjusted, null_quantile = max_t(
        observed.ravel(), chance.reshape(len(chance), -1), settings.alpha
    )
    shape = observed.shape
    alone, adjusted, null_quantile = (
        values.reshape(shape) for values in (alone, adjusted, null_quantile)
    )
    null_mean = np.nan_to_num(chance).mean(0)
    hidden = [min_detectable_range(masked[rate], null_quantile[i]) for i, rate in enumerate(RATES)]
    totals = samples.counts.sum(-1)
    sizes = {"tpr": totals, "fpr": totals.sum(1, keepdims=True) - totals}
    found = []
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
            found.append(
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
                    p_value=float(alone[i, c]),
                    p_adjusted=float(adjusted[i, c]),
                    min_detectable_gap=float(hidden[i][c]) if large else math.nan,
                    verdict=verdict_on(float(adjusted[i, c]), settings.alpha) if large else TOO_FEW,
                )
            )
    return tuple(found)


def _ends(rates: Values, enough: NDArray[np.bool_]) -> tuple[int, int] | None:
    """Groups of the highest and the lowest rate among those that are large enough."""
    groups = np.flatnonzero(enough)
    if len(groups) < 2:
        return None
    order = groups[np.argsort(rates[groups], kind="stable")]
    return int(order[-1]), int(order[0])


def _difference(
    drawn: Bootstrap, rate: str, *, ends: tuple[int, int], c: int, settings: AuditSettings
) -> Estimate:
    """Highest minus lowest rate, these two groups fixed; the interval may reach below 0."""
    high, low = ends

    def gap(values: Values) -> Values:
        return values[..., 0, high, c] - values[..., 0, low, c]

    jackknifed = drawn.jackknife[rate]
    found = percentile(
        gap(drawn.point[rate]),
        gap(drawn.draws[rate]),
        replace(jackknifed, values=gap(jackknifed.values)),
        settings.confidence_level,
    )
    one: Estimate = estimates(found).item()
    return one
