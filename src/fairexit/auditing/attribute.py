"""Everything about one attribute: numbers, gaps beside chance, classes, clinical reading, exits."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fairexit.auditing.clinical import MOST_SCORED, NO_SCORE_INTERVAL, read_clinically
from fairexit.auditing.compare import compare, over_seeds
from fairexit.auditing.estimates import estimates, measured
from fairexit.auditing.exits import theta_curve, who_leaves
from fairexit.auditing.per_class import RATES, class_gaps
from fairexit.auditing.results import AttributeAudit, Estimate, Gap
from fairexit.auditing.samples import AttributeSample, by_name, take_sample
from fairexit.auditing.settings import AuditSettings, verdict_on
from fairexit.auditing.source import Source
from fairexit.metrics.counts import empty_cells
from fairexit.metrics.rates import BY_GROUP, Rate, Values
from fairexit.metrics.record import METRICS, gaps
from fairexit.metrics.scores import SCORES
from fairexit.stats.bootstrap import Bootstrap, bootstrap, bootstrap_scores
from fairexit.stats.inversion import invert
from fairexit.stats.permutation import Permutation, permute
from fairexit.stats.power import min_detectable_gap
from fairexit.stats.resampling import named_measures
from fairexit.stats.sample import Sample


def audit_attribute(
    source: Source,
    attribute: str,
    *,
    seeds: Sequence[Source],
    settings: AuditSettings,
    baselines: Sequence[Source] = (),
    positives: Sequence[str] = (),
) -> AttributeAudit:
    """Audit one attribute; arguments as for `fairexit.auditing.audit.audit_sources`."""
    known = take_sample(source, attribute)
    names, counts, sample = known.groups, known.counts, known.sample
    chance = _permute(sample, settings)
    drawn = bootstrap(
        sample,
        metrics=named_measures([*METRICS])
        | {f"of group: {name}": rate for name, rate in BY_GROUP.items()}
        | dict(RATES),
        n_resamples=settings.n_resamples,
        random_state=settings.random_state,
    )
    tested = _gaps(sample, chance, settings)
    overall = {name: measured(drawn, name, settings).item() for name in METRICS}
    # A bootstrap adds to a gap what chance has added already.
    overall |= {gap.metric: gap.estimate for gap in tested}
    by_group = _by_group(drawn, names, settings)
    if not source.predictions.hard:
        for name, values in _scores(source, known, settings).items():
            overall[name] = values[0]
            for group, value in zip(names, values[1:], strict=True):
                by_group[group][name] = value
    null = {name: chance.null[name][:, 0] for name in RATES}
    several = len(source.predictions.exit_names) > 1
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
        approximate=chance.approximate,
        stuck=chance.stuck,
        bundled=chance.bundled,
        classes=class_gaps(known, drawn, null, settings),
        clinical=tuple(read_clinically(source, known, name, settings) for name in positives),
        leaving=who_leaves(source, known, settings) if several else None,
        curve=theta_curve(source, attribute) if several else None,
        paired=compare(seeds, baselines, known, settings) if baselines else (),
        seeds=over_seeds(seeds, known),
    )


def _gap_rates() -> dict[str, Rate]:
    """Every rate that some gap compares, by the name of its function."""
    return {rate.__name__: rate for name in gaps() for rate in METRICS[name].rates}


def _permute(sample: Sample, settings: AuditSettings) -> Permutation:
    """The gaps and their rates when the groups are permuted."""
    return permute(
        sample,
        metrics=named_measures(gaps()) | _gap_rates() | dict(RATES),
        n_resamples=settings.n_permutations,
        random_state=settings.random_state,
    )


def _by_group(
    drawn: Bootstrap, groups: Sequence[str], settings: AuditSettings
) -> dict[str, dict[str, Estimate]]:
    of_groups = {name: measured(drawn, f"of group: {name}", settings) for name in BY_GROUP}
    return {
        group: {name: values[g] for name, values in of_groups.items()}
        for g, group in enumerate(groups)
    }


def _gaps(sample: Sample, chance: Permutation, settings: AuditSettings) -> tuple[Gap, ...]:
    """Every gap with its interval, beside what chance gives, and what could have been found."""
    inverted = invert(
        sample, n_resamples=settings.n_gap_resamples, random_state=settings.random_state
    )
    smallest = _smallest(sample.clusters_by_group())
    tested = []
    for name in gaps():
        interval = inverted.interval(name, settings.confidence_level)
        null_quantile = float(chance.null_quantile(name)[0])
        rates = [chance.null[rate.__name__][:, 0] for rate in METRICS[name].rates]
        tested.append(
            Gap(
                name,
                estimates(interval).item(),
                null_mean=float(chance.null_mean(name)[0]),
                null_quantile=null_quantile,
                p_value=float(chance.p_value(name)[0]),
                corrected=float(inverted.corrected(name)[0]),
                min_detectable_gap=min_detectable_gap(
                    METRICS[name], rates, null_quantile, smallest
                ),
                verdict=verdict_on(float(chance.p_value(name)[0]), settings.alpha),
            )
        )
    return tuple(tested)


def _smallest(clusters: NDArray[np.int64]) -> int:
    """The group with the fewest clusters; one without any says nothing."""
    return int(np.where(clusters > 0, clusters, clusters.max() + 1).argmin())


def _scores(
    source: Source, samples: AttributeSample, settings: AuditSettings
) -> dict[str, list[Any]]:
    """AUROC and ECE of all samples, then of each group."""
    probabilities, labels = source.probabilities[samples.rows], samples.sample.labels
    of_group = [samples.sample.groups == g for g in range(len(samples.groups))]
    members = [np.ones(len(labels), bool), *of_group]

    def by_part(score: Any) -> Any:
        def values(weights: Values) -> Values:
            parts = [score(probabilities[rows], labels[rows], weights[:, rows]) for rows in members]
            return np.stack(parts, -1)[:, None]

        return values

    scores = {name: by_part(score.function) for name, score in SCORES.items()}
    if len(labels) > MOST_SCORED:
        once = np.ones((1, len(labels)))
        return {
            name: [Estimate(float(v), note=NO_SCORE_INTERVAL) for v in score(once)[0, 0]]
            for name, score in scores.items()
        }
    drawn = bootstrap_scores(
        scores,
        samples.sample,
        n_resamples=settings.n_score_resamples,
        random_state=settings.random_state,
    )
    return {name: measured(drawn, name, settings).tolist() for name in scores}
