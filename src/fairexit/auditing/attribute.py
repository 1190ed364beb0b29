"""The audit of one attribute: metrics, gaps and their tests, classes, clinical measures, exits."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from fairexit.auditing.clinical import clinical_measures, no_score_interval
from fairexit.auditing.compare import compare, over_seeds
from fairexit.auditing.dropout import compare_unknown
from fairexit.auditing.estimates import measured, proportions
from fairexit.auditing.exits import measure_exits, theta_curve
from fairexit.auditing.gap_results import Estimate, Proportion
from fairexit.auditing.gaps import measure_gaps, permute_gaps
from fairexit.auditing.per_class import RATES, class_gaps
from fairexit.auditing.positive import headlines
from fairexit.auditing.reliability import measure_reliability
from fairexit.auditing.results import AttributeAudit
from fairexit.auditing.samples import AttributeSample, by_name, take_sample
from fairexit.auditing.settings import AuditSettings
from fairexit.auditing.source import Source
from fairexit.evaluation.referral import Referral, referrals
from fairexit.metrics.counts import empty_cells
from fairexit.metrics.rates import BY_GROUP, Values
from fairexit.metrics.record import METRICS
from fairexit.metrics.scores import SCORES
from fairexit.progress import silent
from fairexit.stats.bootstrap import Bootstrap, bootstrap, bootstrap_scores
from fairexit.stats.proportions import accuracies
from fairexit.stats.resampling import named_measures
from fairexit.stats.sample import Sample
from fairexit.types import UNKNOWN

STEPS = 5
"""Parts of the audit of an attribute that may take long."""


def audit_attribute(
    source: Source,
    attribute: str,
    *,
    seeds: Sequence[Source],
    settings: AuditSettings,
    baselines: Sequence[Source] = (),
    positives: Sequence[str] = (),
    assumed_positive: bool = False,
    step: Callable[[str], None] = silent,
) -> AttributeAudit:
    """Audit one attribute.

    Arguments as for `fairexit.auditing.audit.audit_sources`; `assumed_positive` says that the user
    did not name the positive class, and `step` is called with the name of each part, of which there
    are `STEPS`, before it begins.
    """
    step("permutations")
    known = take_sample(source, attribute)
    names, counts, sample = known.groups, known.counts, known.sample
    permutation = permute_gaps(sample, settings)
    step("bootstrap")
    drawn = bootstrap(
        sample,
        metrics=named_measures([*METRICS])
        | {f"of group: {name}": rate for name, rate in BY_GROUP.items()},
        n_resamples=settings.n_resamples,
        random_state=settings.random_state,
    )
    step("intervals of gaps")
    tested = measure_gaps(sample, permutation, settings)
    overall = {name: measured(drawn, name, settings).item() for name in METRICS}
    # The interval of a gap comes from the inversion, as a bootstrap adds the bias of chance again.
    overall |= {gap.metric: gap.estimate for gap in tested}
    overall["accuracy"] = accuracy_of(sample, settings)
    step("AUROC and calibration")
    by_group = _by_group(drawn, names, settings)
    exact = proportions(accuracies(sample, settings.confidence_level))
    for group, value in zip(names, exact, strict=True):
        by_group[group]["accuracy"] = value
    if not source.predictions.hard:
        for name, values in _scores(source, known, settings).items():
            overall[name] = values[0]
            for group, value in zip(names, values[1:], strict=True):
                by_group[group][name] = value
    step("classes and exits")
    null = {name: permutation.null[name][:, 0] for name in RATES}
    several_exits = len(source.predictions.exit_names) > 1
    by_class = class_gaps(known, null, settings, positives)
    # A class that was not named may be missing among the samples of known value.
    occur = {gap.name for gap in by_class}
    clinical = [name for name in positives if not assumed_positive or name in occur]
    return AttributeAudit(
        attribute,
        names,
        n=by_name(names, counts.sum((1, 2))),
        clusters=by_name(names, sample.clusters_by_group()),
        unknown=int((~known.rows).sum()),
        counts=counts,
        empty_cells=tuple(empty_cells(counts, names, known.classes)),
        by_group=by_group,
        overall=overall,
        gaps=tested,
        approximate=permutation.approximate,
        stuck=permutation.stuck,
        bundled=permutation.bundled,
        classes=by_class,
        headlines=headlines(by_class, positives, assumed_positive),
        dropout=compare_unknown(source, known.rows, settings),
        clinical=tuple(clinical_measures(source, known, name, settings) for name in clinical),
        exit_usage=measure_exits(source, known, settings) if several_exits else None,
        reliability=measure_reliability(source, known, settings),
        referral=_referral(source, known),
        curve=theta_curve(source, attribute) if several_exits else None,
        paired=compare(seeds, baselines, known, settings) if baselines else (),
        seeds=over_seeds(seeds, known),
    )


def _referral(source: Source, samples: AttributeSample) -> tuple[Referral, ...]:
    """What prediction sets do to the samples of known group; nothing without sets."""
    if source.policy.sets is None:
        return ()
    groups = np.full(len(source.predictions), UNKNOWN)
    groups[samples.rows] = samples.sample.groups
    return referrals(source.predictions, source.policy, groups, samples.groups)


def accuracy_of(sample: Sample, settings: AuditSettings) -> Proportion:
    """The accuracy of all samples of known group together."""
    together = replace(sample, groups=np.where(sample.groups == UNKNOWN, UNKNOWN, 0), num_groups=1)
    accuracy: Proportion = proportions(accuracies(together, settings.confidence_level)).item()
    return accuracy


def _by_group(
    drawn: Bootstrap, groups: Sequence[str], settings: AuditSettings
) -> dict[str, dict[str, Estimate]]:
    """Group -> metric -> estimate, for the rates of `BY_GROUP`."""
    by_metric = {name: measured(drawn, f"of group: {name}", settings) for name in BY_GROUP}
    return {
        group: {name: values[g] for name, values in by_metric.items()}
        for g, group in enumerate(groups)
    }


def _scores(
    source: Source, samples: AttributeSample, settings: AuditSettings
) -> dict[str, list[Any]]:
    """AUROC and ECE by name: of all samples, then of each group."""
    probabilities, labels = source.probabilities, samples.sample.labels
    if not samples.rows.all():
        probabilities = probabilities[samples.rows]
    everyone = np.arange(len(labels))
    group_members = [np.flatnonzero(samples.sample.groups == g) for g in range(len(samples.groups))]
    members = [everyone, *group_members]
    if note := no_score_interval(*probabilities.shape):
        return {
            name: [
                Estimate(float(score.function(probabilities[rows], labels[rows])), note=note)
                for rows in members
            ]
            for name, score in SCORES.items()
        }

    def by_part(score: Any) -> Any:
        def values(weights: Values) -> Values:
            parts = [score(probabilities[rows], labels[rows], weights[:, rows]) for rows in members]
            return np.stack(parts, -1)[:, None]

        return values

    scores = {name: by_part(score.function) for name, score in SCORES.items()}
    drawn = bootstrap_scores(
        scores,
        samples.sample,
        n_resamples=settings.n_score_resamples,
        random_state=settings.random_state,
    )
    return {name: measured(drawn, name, settings).tolist() for name in scores}
