"""The whole audit: from sources to `AuditResults`."""

import platform
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date
from functools import partial

import numpy as np

from fairexit.auditing.attribute import STEPS, accuracy_of, audit_attribute
from fairexit.auditing.cohorts import check_cohorts, compare_cohorts, shared_samples
from fairexit.auditing.exits import MAX_PAIRED
from fairexit.auditing.positive import positive_classes
from fairexit.auditing.results import AuditResults, Facts
from fairexit.auditing.samples import by_name
from fairexit.auditing.settings import AuditSettings, within_limits
from fairexit.auditing.slices import search_slices
from fairexit.auditing.source import Source, align, named_alike
from fairexit.cluster_index import cluster_index
from fairexit.errors import UserError, option
from fairexit.evaluation.assess import unnamed_attribute
from fairexit.progress import steps
from fairexit.stats.sample import Sample
from fairexit.tabular.groupings import check_groups
from fairexit.tabular.names import match
from fairexit.types import UNKNOWN
from fairexit.version import __version__

CROSS = " x "

LARGE = 10_000_000
"""Samples times classes above which an audit takes minutes and shows its progress."""


def audit_sources(
    seeds: Sequence[Source],
    groups: Sequence[str],
    *,
    baselines: Sequence[Source] = (),
    cohort: Source | None = None,
    intersections: bool = False,
    positives: Sequence[str] = (),
    title: str = "",
    settings: AuditSettings | None = None,
) -> AuditResults:
    """Audit a model.

    Args:
        seeds: the model, or several training seeds of it, the first of which is audited in full.
        groups: the sensitive attributes; by default that of the run, or the only one of the
            table.
        baselines: another model to compare with, one source for each seed.
        cohort: the same model's predictions of other samples, to compare the gaps with.
        intersections: also audit the attributes crossed with each other.
        positives: classes to lead with, and for which to compute clinical measures; of two classes
            one is taken by default.
        title: of the report; by default the name of the model.
        settings: numbers of draws, levels and the random seed.
    Raises:
        UserError: an attribute or class is unknown, or the sources do not fit each other.
    """
    settings = settings or AuditSettings()
    source = seeds[0]
    groups = groups or default_groups(source)
    for name in groups:  # also of a run, whose groups are stored
        check_groups(name, source.predictions.group_names.get(name, ()))
    seeds, baselines, cohort = (
        [source, *(named_alike(seed, source) for seed in seeds[1:])],
        [named_alike(baseline, source) for baseline in baselines],
        cohort and named_alike(cohort, source),
    )
    seeds = [source, *(align(seed, source) for seed in seeds[1:])]
    baselines = [align(baseline, source) for baseline in baselines]
    if baselines and len(baselines) != len(seeds):
        raise UserError(
            f"models: {len(seeds)}, baselines: {len(baselines)}; give "
            f"{option('baseline')} once for each model, in the same order of seeds"
        )
    positives = [match(name, source.predictions.classes) or name for name in positives]
    attributes = list(dict.fromkeys(groups))
    if cohort:
        check_cohorts(source, cohort, attributes)
    p = source.predictions
    positives, assumed = positive_classes(positives, p.classes, p.labels)
    if intersections:
        if len(attributes) < 2:
            raise UserError(
                f"{option('intersections')} needs at least two attributes; name their columns with "
                f"{option('groups')}"
            )
        crossed = _crossed(source, attributes)
        cohort = cohort and _crossed(cohort, attributes)
        attributes.append(CROSS.join(attributes))
    else:
        crossed = source
    num_groups = max(len(crossed.predictions.group(name)[1]) for name in attributes)
    num_classes = len(p.classes)
    settings, bounds = within_limits(settings, num_groups * num_classes)
    if num_groups > MAX_PAIRED and len(p.exit_names) > 1:
        bounds += (
            f"The exits of each of more than {MAX_PAIRED} groups were compared with those of all "
            "other groups together, not pair by pair.",
        )
    is_large = len(p) * num_classes > LARGE or bool(bounds)
    with steps(is_large, 1 + STEPS * len(attributes)) as step:
        step("slices")
        slices = search_slices(source, settings)
        audits = tuple(
            audit_attribute(
                crossed,
                name,
                seeds=seeds,
                baselines=baselines,
                positives=positives,
                assumed_positive=assumed,
                settings=settings,
                step=partial(_named, step, name),
            )
            for name in attributes
        )
    facts = _facts(
        crossed, baselines, [*seeds[1:], *baselines, *([cohort] if cohort else [])], settings
    )
    facts = replace(
        facts,
        title=title,
        positives=positives,
        assumed_positive=assumed,
        bounds=bounds,
        notes=(*facts.notes, *(shared_samples(source, cohort) if cohort else ())),
    )
    cohorts = cohort and [
        compare_cohorts(crossed, cohort, name, positives=positives, settings=settings)
        for name in attributes
    ]
    return AuditResults(facts, audits, slices, tuple(cohorts or ()))


def _named(step: Callable[[str], None], attribute: str, part: str) -> None:
    step(f"{attribute}: {part}")


def default_groups(source: Source) -> list[str]:
    """The attribute that a run was trained for, or the only one of a table.

    Raises:
        UserError: there is not exactly one.
    """
    names = [source.group] if source.group else list(source.predictions.attributes)
    if len(names) != 1:
        raise UserError(f"{source.name}: {unnamed_attribute(names, 'groups')}")
    return names


def _crossed(source: Source, attributes: Sequence[str]) -> Source:
    """The source with one more attribute: the given ones crossed, combinations that occur only."""
    p = source.predictions
    columns = [p.group(name) for name in attributes]
    known = np.all([values != UNKNOWN for values, _ in columns], axis=0)
    if not known.any():
        raise UserError(
            "no sample has a known value of every attribute, so the attributes cannot be crossed"
        )
    rows = np.stack([values for values, _ in columns], axis=1)
    combinations, index = np.unique(rows[known], axis=0, return_inverse=True)
    names = tuple(
        " / ".join(column[1][value] for column, value in zip(columns, row, strict=True))
        for row in combinations.tolist()
    )
    crossed = np.full(len(p), UNKNOWN, np.int64)
    crossed[known] = index.ravel()
    name = CROSS.join(attributes)
    predictions = replace(
        p,
        attributes={**p.attributes, name: crossed},
        group_names={**p.group_names, name: names},
    )
    return replace(source, predictions=predictions)


def _notes(sources: Sequence[Source]) -> tuple[str, ...]:
    """What is noteworthy of the tables; those of other models than the first with their name."""
    first, *others = sources
    named = [f"{s.name}: {note}" for s in others for note in s.predictions.notes]
    return tuple(dict.fromkeys([*first.predictions.notes, *named]))


def _facts(
    source: Source,
    baselines: Sequence[Source],
    others: Sequence[Source],
    settings: AuditSettings,
) -> Facts:
    p = source.predictions
    everyone = Sample(
        labels=p.labels,
        answers=source.answers[None],
        groups=np.zeros(len(p), np.int64),
        clusters=p.clusters,
        num_classes=len(p.classes),
        num_groups=1,
    )
    return Facts(
        name=source.name,
        title="",
        date=date.today().isoformat(),
        source=source.path,
        split=p.splits[0] if len(p.splits) == 1 else "",
        n=len(p),
        accuracy=accuracy_of(everyone, settings),
        clusters=int(cluster_index(p.clusters).max()) + 1,
        cluster_name=source.cluster_name,
        classes=p.classes,
        class_counts=by_name(p.classes, np.bincount(p.labels, minlength=len(p.classes))),
        positives=(),
        assumed_positive=False,
        hard=p.hard,
        exits=p.exit_names,
        policy=source.policy.to_dict(),
        baseline=", ".join(baseline.name for baseline in baselines),
        n_resamples=settings.n_resamples,
        n_score_resamples=settings.n_score_resamples,
        n_permutations=settings.n_permutations,
        random_state=settings.random_state,
        confidence_level=settings.confidence_level,
        alpha=settings.alpha,
        dataset=source.dataset,
        notes=_notes([source, *others]),
        versions={
            "fairexit": __version__,
            "python": platform.python_version(),
            "numpy": np.__version__,
        },
    )
