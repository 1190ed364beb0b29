"""One class read as a disease that is there or not: sensitivity, specificity, PPV, NPV, AUROC."""

import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from fairexit.auditing.estimates import measured
from fairexit.auditing.results import Clinical, Estimate
from fairexit.auditing.samples import AttributeSample
from fairexit.auditing.settings import MIN_CLUSTERS, AuditSettings
from fairexit.auditing.source import Source
from fairexit.errors import UserError, nearest, option, short
from fairexit.metrics.rates import Values, npv, ppv, tnr, tpr
from fairexit.metrics.scores import auroc
from fairexit.stats.bootstrap import bootstrap, bootstrap_scores
from fairexit.stats.sample import Sample

MOST_SCORED = 100_000
"""Samples up to which scores get intervals: each draw weighs every sample."""

NO_SCORE_INTERVAL = f"no interval: more than {MOST_SCORED:,} samples"

FEW = f"fewer than {MIN_CLUSTERS} clusters: too few to trust the interval"


MEASURES = {"sensitivity": tpr, "specificity": tnr, "ppv": ppv, "npv": npv}


def read_clinically(
    source: Source, samples: AttributeSample, positive: str, settings: AuditSettings
) -> Clinical:
    """The measures of one class in each group, the answers taken as yes or no.

    Args:
        source: predictions and, for the cut, validation.
        samples: of one attribute.
        positive: the class that counts as positive.
        settings: draws, level and the specificity that the cut aims at.
    Raises:
        UserError: no such class, or no sample of it.
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
    scores = source.probabilities[samples.rows, c]
    answered = _yes_or_no(samples.sample, c, samples.sample.answers[0] == c, settings)
    hard = source.predictions.hard
    areas = _areas(scores, c, samples.sample, hard=hard, settings=settings)
    cut, reason = choose_cut(source, c, settings.specificity)
    at_cut = _yes_or_no(samples.sample, c, scores >= cut, settings) if cut is not None else None
    groups = {}
    for g, name in enumerate(samples.groups):
        groups[name] = {key: values[g] for key, values in answered.items()} | {"auroc": areas[g]}
        if at_cut:
            groups[name] |= {
                "sensitivity_at": at_cut["sensitivity"][g],
                "specificity_at": at_cut["specificity"][g],
            }
    return Clinical(positive, groups, settings.specificity, cut, reason)


def choose_cut(source: Source, c: int, specificity: float) -> tuple[float | None, str]:
    """The smallest probability that counts as positive at a specificity, on validation.

    Args:
        source: predictions with or without validation.
        c: index of the positive class.
        specificity: share of the negatives of validation that must stay below the cut.
    Returns:
        The cut, or None and the reason.
    """
    if source.predictions.hard:
        return None, "there are answers only, no probabilities"
    if source.validation is None:
        return None, "there are no rows of split 'val' to choose the cut on"
    chosen = Source("", source.validation, source.policy)
    negatives = np.sort(chosen.probabilities[source.validation.labels != c, c])
    if not len(negatives):
        return None, "validation holds no other class"
    allowed = math.floor((1 - specificity) * len(negatives) + 1e-9)
    # The next number above the largest negative that has to stay out.
    kept_out = negatives[len(negatives) - allowed - 1]
    return float(np.nextafter(kept_out, np.float32(2))), ""


def _yes_or_no(
    sample: Sample, c: int, yes: NDArray[np.bool_], settings: AuditSettings
) -> dict[str, list[Estimate]]:
    labels, answers = (sample.labels == c).astype(np.int64), yes.astype(np.int64)
    of_two = replace(sample, labels=labels, answers=answers[None], num_classes=2)
    drawn = bootstrap(
        of_two,
        metrics=MEASURES,
        n_resamples=settings.n_resamples,
        random_state=settings.random_state,
    )
    ill, answered = (
        replace(of_two, labels=values).clusters_behind_rates()[0] for values in (labels, answers)
    )
    behind = dict(
        zip(MEASURES, (ill[:, 1], ill[:, 0], answered[:, 1], answered[:, 0]), strict=True)
    )
    return {
        key: _warned(measured(drawn, key, settings)[:, 1].tolist(), behind[key]) for key in MEASURES
    }


def _warned(estimates: list[Estimate], clusters: NDArray[np.int64]) -> list[Estimate]:
    """Measures by group with a note on intervals that rest on few clusters (M,)."""
    return [
        replace(e, note=FEW) if n < MIN_CLUSTERS and not math.isnan(e.low) else e
        for e, n in zip(estimates, clusters.tolist(), strict=True)
    ]


def _areas(
    scores: NDArray[np.float32], c: int, sample: Sample, *, hard: bool, settings: AuditSettings
) -> list[Estimate]:
    groups = range(sample.num_groups)
    if hard:
        return [Estimate(math.nan, note="answers only")] * len(groups)
    labels = (sample.labels == c).astype(np.int64)
    members = [np.flatnonzero(sample.groups == g) for g in groups]
    pair = np.stack([1 - scores, scores], 1)

    def areas(weights: Values) -> Values:
        # With two classes both areas are the same one.
        each = [auroc(pair[rows], labels[rows], weights[:, rows]) for rows in members]
        return np.stack(each, -1)[:, None]

    if len(labels) > MOST_SCORED:
        values = areas(np.ones((1, len(labels))))[0, 0]
        return [Estimate(float(v), note=NO_SCORE_INTERVAL) for v in values]
    drawn = bootstrap_scores(
        {"auroc": areas},
        sample,
        n_resamples=settings.n_score_resamples,
        random_state=settings.random_state,
    )
    behind = replace(sample, labels=labels, num_classes=2, answers=labels[None])
    return _warned(
        list(measured(drawn, "auroc", settings)), behind.clusters_behind_rates()[0].min(1)
    )
