"""Calibration and failure prediction of each exit, by group."""

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from fairexit.auditing.gap_results import Estimate
from fairexit.auditing.samples import AttributeSample
from fairexit.auditing.section_results import Reliability, ReliabilityBin
from fairexit.auditing.settings import AuditSettings
from fairexit.auditing.source import Source
from fairexit.cluster_index import cluster_index
from fairexit.metrics.scores import BINS, bin_of
from fairexit.stats.clustered import Ends, clustered_auroc, clustered_mean

MAX_GROUPS = 12
"""Groups up to which every exit is measured for each of them; else for all samples only."""

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


def measure_reliability(
    source: Source, samples: AttributeSample, settings: AuditSettings
) -> tuple[Reliability, ...]:
    """Calibration and failure prediction if all samples left at one exit, and under the policy.

    Args:
        source: predictions.
        samples: the samples of one attribute.
        settings: the confidence level.
    Returns:
        A row for each exit and for the policy: for all samples, then for each group. Nothing if
        only answers are known.
    """
    p, sample = source.predictions, samples.sample
    if p.probabilities is None:
        return ()
    groups = samples.groups if len(samples.groups) <= MAX_GROUPS else ()
    members = [np.ones(len(sample.labels), bool)]
    members += [sample.groups == g for g in range(len(groups))]
    clusters = cluster_index(sample.clusters)
    measures = p.confidence(source.policy.confidence_measure)
    rows = []
    for name, exits in _places(source):
        index = (np.flatnonzero(samples.rows), exits[samples.rows])
        sure = p.probabilities.max(-1)[index].astype(np.float64)
        correct = p.answers[index] == sample.labels
        confidence = measures[index]
        for group, part in zip(("", *groups), members, strict=True):
            excess = clustered_mean(
                sure[part] - correct[part], clusters[part], settings.confidence_level
            )
            failure = clustered_auroc(
                confidence[part], correct[part], clusters[part], settings.confidence_level
            )
            bins, ece, chance = _bins(sure[part], correct[part], clusters[part])
            n = int(part.sum())
            accuracy = float(correct[part].mean()) if n else math.nan
            rows.append(
                Reliability(
                    name,
                    group,
                    n,
                    accuracy,
                    _estimate(excess),
                    ece,
                    chance,
                    _estimate(failure),
                    bins,
                )
            )
    return tuple(rows)


def _places(source: Source) -> Iterator[tuple[str, Ints]]:
    """The name of each exit, and "" for the policy, and where each sample leaves then, (N,)."""
    names, number = source.predictions.exit_names, len(source.predictions)
    for e, name in enumerate(names):
        yield name, np.full(number, e)
    if len(names) > 1:
        yield "", source.exits


def _bins(
    confidence: Floats, correct: NDArray[np.bool_], clusters: Ints
) -> tuple[tuple[ReliabilityBin, ...], float, float]:
    """The bins that hold samples, the calibration error, and what chance alone adds to it.

    A calibration error is a sum of absolute values, so it is above 0 for a calibrated network, too:
    in each bin by the mean of |normal| with the standard error of the bin, over clusters.
    """
    place, n = bin_of(confidence), len(confidence)
    number = np.bincount(place, minlength=BINS)
    sure = np.bincount(place, confidence, BINS)
    right = np.bincount(place, correct, BINS)
    occupied = np.flatnonzero(number)
    bins = tuple(
        ReliabilityBin(int(number[b]), float(sure[b] / number[b]), float(right[b] / number[b]))
        for b in occupied
    )
    if not n:
        return bins, math.nan, math.nan
    mean = np.divide(right - sure, number, out=np.zeros(BINS), where=number > 0)
    residual = correct - confidence - mean[place]
    cells, cell = np.unique(place * (clusters.max() + 1) + clusters, return_inverse=True)
    sums = np.bincount(cell.ravel(), residual)
    squares = np.bincount(cells // (clusters.max() + 1), sums**2, BINS)
    error = float(np.abs(right - sure).sum() / n)
    return bins, error, float(math.sqrt(2 / math.pi) * np.sqrt(squares).sum() / n)


def _estimate(ends: Ends) -> Estimate:
    if math.isnan(ends.value):
        return Estimate(ends.value, note="not defined")
    if math.isnan(ends.low):
        return Estimate(ends.value, note="no interval: too few clusters, or an area of 0 or 1")
    return Estimate(*ends)
