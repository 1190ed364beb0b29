"""Gaps class by class: which are more than chance, after testing all of them."""

import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from fairexit.auditing.bootstrap import Bootstrap
from fairexit.auditing.found import ClassGap, Estimate
from fairexit.auditing.intervals import percentile
from fairexit.auditing.power import detectable_rates
from fairexit.auditing.samples import LEAST, Samples, Settings, estimates
from fairexit.evaluation.metrics import Values, range_known

RATES = ("tpr", "fpr")


def class_gaps(
    samples: Samples, drawn: Bootstrap, null: dict[str, Values], settings: Settings
) -> tuple[ClassGap, ...]:
    """The range of TPR and of FPR over the groups, for every class that occurs.

    A group with fewer than `LEAST` clusters behind a rate is left out of that rate's comparison; a
    class where fewer than two groups remain is too small to say anything.

    Args:
        samples: of one attribute.
        drawn: bootstrap of tpr and fpr, (B, 1, M, C).
        null: tpr and fpr under permutation, (B, M, C).
        settings: level and alpha.
    """
    point = {rate: drawn.point[rate][0] for rate in RATES}
    behind = dict(zip(RATES, samples.clusters_behind(), strict=True))
    enough = {rate: behind[rate] >= LEAST for rate in RATES}
    masked = {rate: np.where(enough[rate], null[rate], np.nan) for rate in RATES}
    observed = np.stack([range_known(np.where(enough[r], point[r], np.nan), -2) for r in RATES])
    chance = np.stack([range_known(masked[r], -2) for r in RATES], axis=1)
    alone, adjusted, ceiling = max_t(observed.ravel(), chance.reshape(len(chance), -1), settings)
    shape = observed.shape
    alone, adjusted, ceiling = (values.reshape(shape) for values in (alone, adjusted, ceiling))
    floor = np.nan_to_num(chance).mean(0)
    hidden = [detectable_rates(masked[rate], ceiling[i]) for i, rate in enumerate(RATES)]
    totals = samples.counts.sum(-1)
    sizes = {"tpr": totals, "fpr": totals.sum(1, keepdims=True) - totals}
    found = []
    for c in np.flatnonzero(totals.sum(0)).tolist():
        for i, rate in enumerate(RATES):
            ends = _ends(point[rate][:, c], enough[rate][:, c])
            large = ends is not None
            gap = _difference(drawn, rate, ends, c, settings) if ends else _too_small()
            small = np.flatnonzero(~enough[rate][:, c])
            names = samples.group_names
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
                    floor=float(floor[i, c]) if large else math.nan,
                    p_value=float(alone[i, c]),
                    p_adjusted=float(adjusted[i, c]),
                    detectable=float(hidden[i][c]) if large else math.nan,
                    verdict=_verdict(large, float(adjusted[i, c]), settings.alpha),
                )
            )
    return tuple(found)


def max_t(observed: Values, null: Values, settings: Settings) -> tuple[Values, Values, Values]:
    """P-values of many tests, alone and corrected by the largest statistic of each draw.

    Each statistic is put into standard deviations above its mean under permutation. The corrected
    p-value is the share of draws whose largest one over all tests is as large as this (Westfall
    and Young 1993, single-step max-T). It heeds that the tests hang together and holds the chance
    of any false alarm at alpha.

    Args:
        observed: J statistics; NaN takes no part.
        null: the same in B draws without effect, (B, J).
        settings: alpha.
    Returns:
        P-values alone and corrected, and the statistic from which the corrected test rejects,
        each (J,), NaN where the statistic is.
    """
    tested = np.flatnonzero(~np.isnan(observed))
    result = np.full((3, len(observed)), np.nan)
    if len(tested):
        # The data are one of the draws, so that no p-value is 0.
        values = np.concatenate([observed[None, tested], null[:, tested]])
        mean, spread = values.mean(0), values.std(0)
        t = np.divide(values - mean, spread, out=np.zeros(values.shape), where=spread > 1e-9)
        largest = t.max(1)
        # Sums in another order differ in the last digits; a tie must stay a tie.
        result[0, tested] = (t >= t[0] - 1e-9).mean(0)
        result[1, tested] = (largest[:, None] >= t[0] - 1e-9).mean(0)
        result[2, tested] = mean + spread * np.quantile(largest, 1 - settings.alpha)
    return result[0], result[1], result[2]


def _ends(rates: Values, enough: NDArray[np.bool_]) -> tuple[int, int] | None:
    """Groups of the highest and the lowest rate among those that are large enough."""
    groups = np.flatnonzero(enough)
    if len(groups) < 2:
        return None
    order = groups[np.argsort(rates[groups], kind="stable")]
    return int(order[-1]), int(order[0])


def _difference(
    drawn: Bootstrap, rate: str, ends: tuple[int, int], c: int, settings: Settings
) -> Estimate:
    """Highest minus lowest rate, these two groups fixed; the interval may reach below 0."""
    high, low = ends

    def gap(values: Values) -> Values:
        return values[..., 0, high, c] - values[..., 0, low, c]

    knife = drawn.jackknife[rate]
    found = percentile(
        gap(drawn.point[rate]),
        gap(drawn.draws[rate]),
        replace(knife, values=gap(knife.values)),
        settings.level,
    )
    one: Estimate = estimates(found).item()
    return one


def _too_small() -> Estimate:
    return Estimate(math.nan, note="too small")


def _verdict(large: bool, p: float, alpha: float) -> str:
    if not large:
        return "too small"
    return "difference" if p <= alpha else "not shown"
