"""One class read as a disease that is there or not: sensitivity, specificity, PPV, NPV, AUROC."""

import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from fairexit.auditing.bootstrap import bootstrap, bootstrap_scores
from fairexit.auditing.found import Clinical, Estimate
from fairexit.auditing.samples import LEAST, Samples, Settings, measured
from fairexit.auditing.source import Source
from fairexit.errors import UserError, nearest
from fairexit.evaluation.counts import Counts, Margins, margins
from fairexit.evaluation.metrics import Values, ratio_known, tnr, tpr
from fairexit.evaluation.scores import auroc

MOST_SCORED = 100_000
"""Samples up to which scores get intervals: each draw weighs every sample."""

NO_SCORE_INTERVAL = f"no interval: more than {MOST_SCORED:,} samples"

FEW = f"fewer than {LEAST} clusters: too few to trust the interval"


def ppv(counts: Counts | Margins) -> Values:
    """Positive predictive value by group and class, one class against the rest, (..., M, C)."""
    m = margins(counts)
    return ratio_known(m.hits, m.predicted)


def npv(counts: Counts | Margins) -> Values:
    """Negative predictive value by group and class, one class against the rest, (..., M, C)."""
    m = margins(counts)
    answered_no = m.actual.sum(-1, keepdims=True) - m.predicted
    return ratio_known(answered_no - (m.actual - m.hits), answered_no)


MEASURES = {"sensitivity": tpr, "specificity": tnr, "ppv": ppv, "npv": npv}


def read_clinically(
    source: Source, samples: Samples, positive: str, settings: Settings
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
        raise UserError(f"--positive {positive}: no such class; {hint}")
    c = samples.classes.index(positive)
    if not (samples.labels == c).any():
        raise UserError(f"--positive {positive}: no sample of this class is measured")
    scores = source.probabilities[samples.rows, c]
    found = _yes_or_no(samples, c, samples.answers == c, settings)
    areas = _areas(scores, c, samples, source.predictions.hard, settings)
    cut, reason = choose_cut(source, c, settings.specificity)
    at_cut = _yes_or_no(samples, c, scores >= cut, settings) if cut is not None else None
    groups = {}
    for g, name in enumerate(samples.group_names):
        groups[name] = {key: values[g] for key, values in found.items()} | {"auroc": areas[g]}
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
    samples: Samples, c: int, yes: NDArray[np.bool_], settings: Settings
) -> dict[str, list[Estimate]]:
    labels, answers = (samples.labels == c).astype(np.int64), yes.astype(np.int64)
    drawn = bootstrap(
        labels,
        answers[None],
        samples.groups,
        samples.clusters,
        2,
        len(samples.group_names),
        metrics=MEASURES,
        draws=settings.draws,
        seed=settings.seed,
    )
    ill, answered = (_clusters_of_two(samples, values) for values in (labels, answers))
    behind = dict(
        zip(MEASURES, (ill[:, 1], ill[:, 0], answered[:, 1], answered[:, 0]), strict=True)
    )
    return {
        key: _warned(measured(drawn, key, settings)[:, 1].tolist(), behind[key]) for key in MEASURES
    }


def _clusters_of_two(samples: Samples, values: NDArray[np.int64]) -> NDArray[np.int64]:
    """Clusters of each group with a sample of value 0 and with one of value 1, (M, 2)."""
    return replace(samples, labels=values, classes=("no", "yes")).clusters_behind()[0]


def _warned(found: list[Estimate], clusters: NDArray[np.int64]) -> list[Estimate]:
    """Measures by group with a note on intervals that rest on few clusters (M,)."""
    return [
        replace(one, note=FEW) if n < LEAST and not math.isnan(one.low) else one
        for one, n in zip(found, clusters.tolist(), strict=True)
    ]


def _areas(
    scores: NDArray[np.float32], c: int, samples: Samples, hard: bool, settings: Settings
) -> list[Estimate]:
    groups = range(len(samples.group_names))
    if hard:
        return [Estimate(math.nan, note="answers only")] * len(groups)
    labels = (samples.labels == c).astype(np.int64)
    members = [np.flatnonzero(samples.groups == g) for g in groups]
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
        samples.groups,
        samples.clusters,
        len(groups),
        draws=settings.score_draws,
        seed=settings.seed,
    )
    behind = _clusters_of_two(samples, labels).min(1)
    return _warned(list(measured(drawn, "auroc", settings)), behind)
