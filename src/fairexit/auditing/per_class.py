"""Gaps class by class, and which of them exceed chance after correction for all tests."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fairexit.auditing.estimates import agreeing, proportions
from fairexit.auditing.gap_results import TOO_FEW, ClassGap, Estimate, Proportion
from fairexit.auditing.samples import AttributeSample
from fairexit.auditing.settings import MIN_CLUSTERS, AuditSettings, verdict_on
from fairexit.metrics.rates import Rate, Values, fpr, range_known, tpr
from fairexit.stats.multiple import max_t
from fairexit.stats.power import min_detectable_range
from fairexit.stats.proportions import Shares, false_positives, true_positives
from fairexit.stats.share_gaps import correlations, difference

RATES: dict[str, Rate] = {"tpr": tpr, "fpr": fpr}
"""The rates that are compared class by class."""


def class_gaps(
    samples: AttributeSample,
    null: dict[str, Values],
    settings: AuditSettings,
    positives: Sequence[str] = (),
) -> tuple[ClassGap, ...]:
    """The range of TPR and of FPR over the groups, for every class that occurs.

    A group with fewer than `MIN_CLUSTERS` clusters behind a rate is left out of that rate's
    comparison; a class with fewer than two remaining groups has too few samples. Of two classes
    only the positive one is listed, since its rates determine those of the other.

    Args:
        samples: the samples of one attribute.
        null: tpr and fpr under permutation, (B, M, C).
        settings: confidence level and alpha.
        positives: the positive classes, whose true positive rates are a family of tests.
    """
    level = settings.confidence_level
    shares = {
        "tpr": true_positives(samples.sample, level),
        "fpr": false_positives(samples.sample, level),
    }
    enough = {rate: shares[rate].clusters >= MIN_CLUSTERS for rate in RATES}
    masked = {rate: np.where(enough[rate], null[rate], np.nan) for rate in RATES}
    ranges = [range_known(np.where(enough[r], shares[r].values, np.nan), -2) for r in RATES]
    null_gaps = np.stack([range_known(masked[r], -2) for r in RATES], axis=1)
    classes = _listed(samples, positives)
    families = _families(samples.classes, classes, positives)
    p_values, p_adjusted, null_quantile = _test(np.stack(ranges), null_gaps, families, settings)
    null_mean = np.nan_to_num(null_gaps).mean(0)
    tested = np.where(np.isnan(p_values), -1, families)
    gaps = []
    for i, rate in enumerate(RATES):
        detectable = min_detectable_range(masked[rate], null_quantile[i])
        # Where chance alone gives as much, no size can be named.
        detectable[~(detectable > null_mean[i])] = math.nan
        rates = proportions(shares[rate])
        ends_of = _ends(shares[rate].values, enough[rate])
        differences = _differences(samples, shares[rate], ends_of, rate)
        for c in classes:
            high, low = ends_of[:, c].tolist()
            ends = None if high == low else (high, low)
            gaps.append(
                _class_gap(
                    samples,
                    (rate, c),
                    rates=rates[:, c].tolist(),
                    estimate=differences[c],
                    ends=ends,
                    too_small=np.flatnonzero(~enough[rate][:, c]),
                    null_mean=float(null_mean[i, c]) if ends else math.nan,
                    p_values=(float(p_values[i, c]), float(p_adjusted[i, c])),
                    tests=int((tested == families[i, c]).sum()),
                    min_detectable_gap=float(detectable[c]) if ends else math.nan,
                    alpha=settings.alpha,
                )
            )
    return tuple(sorted(gaps, key=lambda gap: samples.classes.index(gap.name)))


def _listed(samples: AttributeSample, positives: Sequence[str]) -> list[int]:
    """Indices of the classes that are listed."""
    occur = np.flatnonzero(samples.counts.sum((0, 2))).tolist()
    if len(samples.classes) == 2 and positives:
        # The rates of the other class follow, also where the user names both.
        return [c for c in occur if samples.classes[c] == positives[0]]
    return occur


def _families(
    names: Sequence[str], classes: Sequence[int], positives: Sequence[str]
) -> NDArray[np.int64]:
    """Family of each test, (2, C): 0 the positive classes' TPR, 1 the others, 2 not tested."""
    families = np.full((len(RATES), len(names)), 2)
    families[:, classes] = 1
    for c in classes:
        if names[c] in positives:
            families[0, c] = 0
    return families


def _test(
    observed: Values, null_gaps: Values, families: NDArray[np.int64], settings: AuditSettings
) -> Values:
    """P-values, uncorrected and corrected, and the gap from which a test rejects, (3, 2, C)."""
    result = np.full((3, *observed.shape), np.nan)
    for family in (0, 1):
        members = families == family
        tests = max_t(observed[members], null_gaps[:, members], settings.alpha)
        result[:, members] = np.stack(tests)
    return result


def _class_gap(
    samples: AttributeSample,
    of: tuple[str, int],
    *,
    rates: Sequence[Proportion],
    estimate: Estimate,
    ends: tuple[int, int] | None,
    too_small: NDArray[np.int64],
    null_mean: float,
    p_values: tuple[float, float],
    tests: int,
    min_detectable_gap: float,
    alpha: float,
) -> ClassGap:
    """The gap of one rate of one class; arguments as the attributes of `ClassGap`."""
    rate, c = of
    names = samples.groups
    verdict = verdict_on(p_values[1], alpha) if ends else TOO_FEW
    return ClassGap(
        name=samples.classes[c],
        rate=rate,
        estimate=agreeing(estimate, verdict),
        rates=dict(zip(names, rates, strict=True)),
        too_small=tuple(names[g] for g in too_small),
        highest=names[ends[0]] if ends else "",
        lowest=names[ends[1]] if ends else "",
        null_mean=null_mean,
        p_value=p_values[0],
        p_adjusted=p_values[1],
        tests=tests,
        min_detectable_gap=min_detectable_gap,
        verdict=verdict,
    )


def _ends(rates: Values, enough: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Groups of the highest and the lowest rate of each class, (2, C), from (M, C).

    Only groups with enough clusters are compared; with fewer than two, both are group 0.
    """
    order = np.argsort(np.where(enough, rates, np.nan), axis=0, kind="stable")  # NaN last
    last = np.maximum(enough.sum(0) - 1, 0)
    ends = np.stack([np.take_along_axis(order, last[None], 0)[0], order[0]])
    return np.where(last > 0, ends, 0)


def _differences(
    samples: AttributeSample, shares: Shares, ends: NDArray[np.int64], rate: str
) -> list[Estimate]:
    """Highest minus lowest rate of each class; the interval may extend below 0."""
    r = correlations(samples.sample, shares, ends, of_class=rate == "tpr")
    highest, lowest = (shares[groups, np.arange(len(r))] for groups in ends)
    parts = np.stack(difference(highest, lowest, r), axis=1).tolist()
    too_few = Estimate(math.nan, note=TOO_FEW)
    compared = (ends[0] != ends[1]).tolist()
    return [Estimate(*part) if c else too_few for part, c in zip(parts, compared, strict=True)]
