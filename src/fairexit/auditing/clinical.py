"""Clinical measures of one class, as a disease that is present or absent.

Sensitivity, specificity, PPV, NPV and AUROC of each group.
"""

import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from fairexit.auditing.estimates import measured, proportions
from fairexit.auditing.gap_results import Estimate, Proportion
from fairexit.auditing.samples import AttributeSample
from fairexit.auditing.section_results import Clinical
from fairexit.auditing.settings import MIN_CLUSTERS, AuditSettings
from fairexit.auditing.source import Source
from fairexit.errors import UserError, nearest, option, short
from fairexit.metrics.rates import Values
from fairexit.metrics.scores import against_rest, auroc
from fairexit.stats.bootstrap import bootstrap_scores
from fairexit.stats.proportions import true_positives
from fairexit.stats.sample import Sample

MAX_SCORED = 100_000
"""Number of samples up to which scores get intervals; their cost grows with every sample."""

MAX_SCORES = 3_000_000
"""Number of samples times classes up to which scores get intervals."""

FEW = f"fewer than {MIN_CLUSTERS} clusters: too few to trust the interval"


def no_score_interval(samples: int, classes: int) -> str:
    """Why the scores of so many samples and classes have no interval; "" if they have one."""
    if samples > MAX_SCORED:
        return f"no interval: more than {MAX_SCORED:,} samples"
    if samples * classes > MAX_SCORES:
        return f"no interval: more than {MAX_SCORES:,} probabilities"
    return ""


def clinical_measures(
    source: Source, samples: AttributeSample, positive: str, settings: AuditSettings
) -> Clinical:
    """Sensitivity, specificity, PPV, NPV and AUROC of one class against the rest, by group.

    Args:
        source: predictions and, for the cut, validation.
        samples: the samples of one attribute.
        positive: the positive class.
        settings: number of draws, confidence level and the specificity at which to choose the cut.
    Raises:
        UserError: the class does not exist or has no sample.
    """
    if positive not in samples.classes:
        hint = nearest(positive, samples.classes)
        raise UserError(
            f"{option('positive')} is '{short(positive)}', which is not a class; {hint}"
        )
    c = samples.classes.index(positive)
    if not (samples.sample.labels == c).any():
        raise UserError(
            f"{option('positive')} is '{positive}', but no measured sample has this class"
        )
    as_predicted = _binary_measures(samples.sample, c, samples.sample.answers[0] == c, settings)
    areas = _areas(source, c, samples, settings)
    cut, reason = choose_cut(source, c, settings.specificity)
    at_cut = None
    if cut is not None:
        scores = source.probabilities[samples.rows, c]
        at_cut = _binary_measures(samples.sample, c, scores >= cut, settings)
    groups: dict[str, dict[str, Estimate]] = {}
    for g, name in enumerate(samples.groups):
        groups[name] = {key: values[g] for key, values in as_predicted.items()}
        groups[name]["auroc"] = areas[g]
        if at_cut:
            groups[name] |= {
                "sensitivity_at": at_cut["sensitivity"][g],
                "specificity_at": at_cut["specificity"][g],
            }
    return Clinical(positive, groups, settings.specificity, cut, reason)


def choose_cut(source: Source, c: int, specificity: float) -> tuple[float | None, str]:
    """Choose the smallest probability that counts as positive, on validation.

    Args:
        source: predictions with or without validation.
        c: index of the positive class.
        specificity: share of the negatives of validation that must lie below the cut.
    Returns:
        The cut and "", or None and the reason why there is none.
    """
    if source.predictions.hard:
        return None, "there are answers only, no probabilities"
    if source.validation is None:
        return None, "there are no rows of split 'val' to choose the cut on"
    validation = Source("", source.validation, source.policy)
    negatives = np.sort(validation.probabilities[source.validation.labels != c, c])
    if not len(negatives):
        return None, "validation holds no other class"
    allowed = math.floor((1 - specificity) * len(negatives) + 1e-9)
    # The next float above the largest negative that must not count as positive.
    largest = negatives[len(negatives) - allowed - 1]
    return float(np.nextafter(largest, np.float32(2))), ""


def _binary_measures(
    sample: Sample, c: int, predicted: NDArray[np.bool_], settings: AuditSettings
) -> dict[str, list[Proportion]]:
    """Sensitivity, specificity, PPV and NPV by group.

    Args:
        sample: the samples.
        c: the positive class.
        predicted: whether it is predicted, (N,).
        settings: confidence level.
    """
    labels, answers = (sample.labels == c).astype(np.int64), predicted.astype(np.int64)
    binary = replace(sample, labels=labels, answers=answers[None], num_classes=2)
    # PPV and NPV are the same rates with labels and predictions exchanged.
    exchanged = replace(binary, labels=answers, answers=labels[None])
    of_label, of_answer = (
        proportions(true_positives(s, settings.confidence_level)) for s in (binary, exchanged)
    )
    return {
        "sensitivity": of_label[:, 1].tolist(),
        "specificity": of_label[:, 0].tolist(),
        "ppv": of_answer[:, 1].tolist(),
        "npv": of_answer[:, 0].tolist(),
    }


def _warned(estimates: list[Estimate], clusters: NDArray[np.int64]) -> list[Estimate]:
    """Add a note to the estimates of groups with too few clusters, (M,)."""
    return [
        replace(e, note=FEW) if n < MIN_CLUSTERS and not math.isnan(e.low) else e
        for e, n in zip(estimates, clusters.tolist(), strict=True)
    ]


def _areas(
    source: Source, c: int, samples: AttributeSample, settings: AuditSettings
) -> list[Estimate]:
    """AUROC of class c against the rest by group."""
    sample = samples.sample
    groups = range(sample.num_groups)
    if source.predictions.hard:
        return [Estimate(math.nan, note="answers only")] * len(groups)
    labels = (sample.labels == c).astype(np.int64)
    members = [np.flatnonzero(sample.groups == g) for g in groups]
    pair = against_rest(source.probabilities[samples.rows], c)

    if note := no_score_interval(len(labels), 1):
        return [Estimate(float(auroc(pair[rows], labels[rows])), note=note) for rows in members]

    def areas(weights: Values) -> Values:
        by_group = [auroc(pair[rows], labels[rows], weights[:, rows]) for rows in members]
        return np.stack(by_group, -1)[:, None]

    drawn = bootstrap_scores(
        {"auroc": areas},
        sample,
        n_resamples=settings.n_score_resamples,
        random_state=settings.random_state,
    )
    binary = replace(sample, labels=labels, num_classes=2, answers=labels[None])
    return _warned(
        list(measured(drawn, "auroc", settings)), binary.clusters_behind_rates()[0].min(1)
    )
