"""The audit of one attribute: metrics, gaps and their tests, classes, clinical measures, exits."""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fairexit.auditing.clinical import clinical_measures, no_score_interval
from fairexit.auditing.compare import compare, over_seeds
from fairexit.auditing.dropout import compare_unknown
from fairexit.auditing.estimates import agreeing, bounded, estimates, measured, proportions
from fairexit.auditing.exits import measure_exits, theta_curve
from fairexit.auditing.per_class import RATES, class_gaps
from fairexit.auditing.positive import headlines
from fairexit.auditing.results import AttributeAudit, Estimate, Gap, Proportion
from fairexit.auditing.samples import AttributeSample, by_name, take_sample
from fairexit.auditing.settings import AuditSettings, verdict_on
from fairexit.auditing.source import Source
from fairexit.metrics.counts import empty_cells
from fairexit.metrics.rates import BY_GROUP, Rate, Values
from fairexit.metrics.record import METRICS, gaps
from fairexit.metrics.scores import SCORES
from fairexit.progress import silent
from fairexit.stats.bootstrap import Bootstrap, bootstrap, bootstrap_scores
from fairexit.stats.inversion import invert
from fairexit.stats.permutation import Permutation, permute
from fairexit.stats.power import min_detectable_gap
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
    permutation = _permute(sample, settings)
    step("bootstrap")
    drawn = bootstrap(
        sample,
        metrics=named_measures([*METRICS])
        | {f"of group: {name}": rate for name, rate in BY_GROUP.items()},
        n_resamples=settings.n_resamples,
        random_state=settings.random_state,
    )
    step("intervals of gaps")
    tested = _gaps(sample, permutation, settings)
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
        curve=theta_curve(source, attribute) if several_exits else None,
        paired=compare(seeds, baselines, known, settings) if baselines else (),
        seeds=over_seeds(seeds, known),
    )


def accuracy_of(sample: Sample, settings: AuditSettings) -> Proportion:
    """The accuracy of all samples of known group together."""
    together = replace(sample, groups=np.where(sample.groups == UNKNOWN, UNKNOWN, 0), num_groups=1)
    accuracy: Proportion = proportions(accuracies(together, settings.confidence_level)).item()
    return accuracy


def _gap_rates() -> dict[str, Rate]:
    """Every rate that any gap compares, by the name of its function."""
    return {rate.__name__: rate for name in gaps() for rate in METRICS[name].rates}


def _permute(sample: Sample, settings: AuditSettings) -> Permutation:
    """Permute the groups and compute all gaps and their rates."""
    return permute(
        sample,
        metrics=named_measures(gaps()) | _gap_rates() | dict(RATES),
        n_resamples=settings.n_permutations,
        random_state=settings.random_state,
    )


def _by_group(
    drawn: Bootstrap, groups: Sequence[str], settings: AuditSettings
) -> dict[str, dict[str, Estimate]]:
    """Group -> metric -> estimate, for the rates of `BY_GROUP`."""
    by_metric = {name: measured(drawn, f"of group: {name}", settings) for name in BY_GROUP}
    return {
        group: {name: values[g] for name, values in by_metric.items()}
        for g, group in enumerate(groups)
    }


def _gaps(sample: Sample, permutation: Permutation, settings: AuditSettings) -> tuple[Gap, ...]:
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
            )
        )
    return tuple(tested)


def _smallest(clusters: NDArray[np.int64]) -> int:
    """Index of the group with the fewest clusters, not counting groups without any."""
    return int(np.where(clusters > 0, clusters, clusters.max() + 1).argmin())


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
