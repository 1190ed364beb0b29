"""The gaps between the groups of one attribute, compared with what chance alone gives."""

import math

import numpy as np
from numpy.typing import NDArray

from fairexit.auditing.estimates import agreeing, bounded, estimates
from fairexit.auditing.gap_results import Gap
from fairexit.auditing.per_class import RATES
from fairexit.auditing.settings import AuditSettings, verdict_on
from fairexit.metrics.rates import Rate, range_known
from fairexit.metrics.record import METRICS, gaps
from fairexit.stats.any_gap import combined_test
from fairexit.stats.inversion import invert
from fairexit.stats.permutation import Permutation, permute
from fairexit.stats.power import min_detectable_gap
from fairexit.stats.resampling import named_measures
from fairexit.stats.sample import Sample

RATES_BY_CLASS = {"eopp1": ("tpr",), "eodd": ("tpr", "fpr")}
"""The gaps that have the combined test of a gap in any class, and the rates that it compares."""


def _gap_rates() -> dict[str, Rate]:
    """Every rate that any gap compares, by the name of its function."""
    return {rate.__name__: rate for name in gaps() for rate in METRICS[name].rates}


def permute_gaps(sample: Sample, settings: AuditSettings) -> Permutation:
    """Permute the groups and compute all gaps and their rates."""
    return permute(
        sample,
        metrics=named_measures(gaps()) | _gap_rates() | dict(RATES),
        n_resamples=settings.n_permutations,
        random_state=settings.random_state,
    )


def measure_gaps(
    sample: Sample, permutation: Permutation, settings: AuditSettings
) -> tuple[Gap, ...]:
    """Every gap with its interval, its null mean and test, and the smallest detectable gap."""
    inverted = invert(
        sample, n_resamples=settings.n_gap_resamples, random_state=settings.random_state
    )
    smallest = _smallest(sample.clusters_by_group())
    tested = []
    for name in gaps():
        interval = inverted.interval(name, settings.confidence_level)
        null_quantile = float(permutation.null_quantile(name)[0])
        p_value = float(permutation.p_value(name)[0])
        rates = [permutation.null[rate.__name__][:, 0] for rate in METRICS[name].rates]
        null_mean = float(permutation.null_mean(name)[0])
        detectable = min_detectable_gap(METRICS[name], rates, null_quantile, smallest)
        verdict = verdict_on(p_value, settings.alpha)
        tested.append(
            Gap(
                name,
                agreeing(bounded(estimates(interval).item(), 0, 1), verdict),
                null_mean=null_mean,
                null_quantile=null_quantile,
                p_value=p_value,
                corrected=float(inverted.corrected(name)[0]),
                # Where chance alone gives as much, no size can be named.
                min_detectable_gap=detectable if detectable > null_mean else math.nan,
                verdict=verdict,
                p_any=_p_any(permutation, name),
            )
        )
    return tuple(tested)


def _p_any(permutation: Permutation, name: str) -> float:
    """The p-value of any gap in any class by the combined test, NaN for gaps without it."""
    if name not in RATES_BY_CLASS:
        return math.nan
    rates = RATES_BY_CLASS[name]
    return combined_test(
        np.concatenate([range_known(permutation.point[rate][0], -2) for rate in rates]),
        np.concatenate([range_known(permutation.null[rate][:, 0], -2) for rate in rates], axis=1),
        float(permutation.point[name][0]),
        permutation.null[name][:, 0],
    ).combined


def _smallest(clusters: NDArray[np.int64]) -> int:
    """Index of the group with the fewest clusters, not counting groups without any."""
    return int(np.where(clusters > 0, clusters, clusters.max() + 1).argmin())
