"""Everything about one attribute: numbers, gaps beside chance, classes, clinical reading, exits."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fairexit.auditing.clinical import MOST_SCORED, NO_SCORE_INTERVAL, read_clinically
from fairexit.auditing.compare import compare, over_seeds
from fairexit.auditing.estimates import estimates, measured
from fairexit.auditing.exits import theta_curve, who_leaves
from fairexit.auditing.per_class import class_gaps
from fairexit.auditing.results import AttributeAudit, Estimate, Gap
from fairexit.auditing.samples import AttributeSample, by_name, take_sample
from fairexit.auditing.settings import AuditSettings
from fairexit.auditing.source import Source
from fairexit.metrics.group_metrics import (
    METRICS,
    Values,
    empty_cells,
    f1,
    fpr,
    group_accuracy,
    precision,
    recall,
    tpr,
)
from fairexit.metrics.scores import auroc, ece
from fairexit.stats.bootstrap import bootstrap, bootstrap_scores
from fairexit.stats.inversion import Inversion, invert
from fairexit.stats.permutation import GAPS, Permutation, permute
from fairexit.stats.power import detectable_gap
from fairexit.stats.resampling import named_measures

NULL = {"tpr": tpr, "fpr": fpr, "precision": precision, "recall": recall, "f1": f1}
"""What the size of a gap that could be found is read from."""

BY_GROUP = {"precision": precision, "recall": recall, "f1": f1, "accuracy": group_accuracy}


def audit_attribute(
    source: Source,
    attribute: str,
    seeds: Sequence[Source],
    baselines: Sequence[Source],
    positives: Sequence[str],
    settings: AuditSettings,
) -> AttributeAudit:
    """Audit one attribute; arguments as for `fairexit.auditing.audit.audit_sources`."""
    measured_samples = take_sample(source, attribute)
    names, counts = measured_samples.groups, measured_samples.counts
    sample, seed = measured_samples.sample, settings.random_state
    chance = permute(
        sample,
        metrics=named_measures(GAPS, "exclude") | NULL,
        n_resamples=settings.n_permutations,
        random_state=seed,
    )
    inverted = invert(sample, metrics=GAPS, n_resamples=settings.n_gap_resamples, random_state=seed)
    drawn = bootstrap(
        sample,
        metrics=named_measures(tuple(METRICS), "exclude")
        | {f"of group: {name}": measure for name, measure in BY_GROUP.items()}
        | {"tpr": tpr, "fpr": fpr},
        n_resamples=settings.n_resamples,
        random_state=seed,
    )
    overall = {name: measured(drawn, name, settings).item() for name in METRICS}
    # A bootstrap adds to a gap what chance has added already.
    overall |= {
        name: estimates(inverted.interval(name, settings.confidence_level)).item() for name in GAPS
    }
    of_groups = {name: measured(drawn, f"of group: {name}", settings).tolist() for name in BY_GROUP}
    if not source.predictions.hard:
        for name, values in _scores(source, measured_samples, settings).items():
            overall[name], of_groups[name] = values[0], values[1:]
    null = {name: chance.null[name][:, 0] for name in NULL}
    clusters = sample.clusters_by_group()
    several = len(source.predictions.exit_names) > 1
    return AttributeAudit(
        attribute,
        names,
        n=by_name(names, counts.sum((1, 2))),
        clusters=by_name(names, clusters),
        unknown=int((~measured_samples.rows).sum()),
        counts=counts,
        empty_cells=tuple(empty_cells(counts, names, measured_samples.classes)),
        by_group={
            group: {name: values[g] for name, values in of_groups.items()}
            for g, group in enumerate(names)
        },
        overall=overall,
        gaps=_gaps(overall, chance, inverted, null, _smallest(clusters)),
        approximate=chance.approximate,
        stuck=chance.stuck,
        bundled=chance.bundled,
        classes=class_gaps(measured_samples, drawn, null, settings),
        clinical=tuple(
            read_clinically(source, measured_samples, name, settings) for name in positives
        ),
        leaving=who_leaves(source, measured_samples, settings) if several else None,
        curve=theta_curve(source, attribute) if several else None,
        paired=compare(seeds, baselines, measured_samples, settings) if baselines else (),
        seeds=over_seeds(seeds, measured_samples),
    )


def _smallest(clusters: NDArray[np.int64]) -> int:
    """The group with the fewest clusters; one without any says nothing."""
    return int(np.where(clusters > 0, clusters, clusters.max() + 1).argmin())


def _gaps(
    estimated: dict[str, Estimate],
    chance: Permutation,
    inverted: Inversion,
    null: dict[str, Values],
    smallest: int,
) -> tuple[Gap, ...]:
    gaps = []
    for name in GAPS:
        ceiling = float(chance.ceiling(name)[0])
        gaps.append(
            Gap(
                name,
                estimated[name],
                floor=float(chance.floor(name)[0]),
                ceiling=ceiling,
                p_value=float(chance.p_value(name)[0]),
                corrected=float(inverted.corrected(name)[0]),
                detectable=detectable_gap(name, null, ceiling, smallest),
            )
        )
    return tuple(gaps)


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

    scores = {"auroc": by_part(auroc), "ece": by_part(ece)}
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
