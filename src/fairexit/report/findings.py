"""The findings of an audit as sentences, by fixed rules from the numbers.

A gap that could be chance is never called fair; the smallest gap that these samples could have
detected is given with it.
"""

import math
from collections.abc import Iterator

from fairexit.auditing.gap_results import MORE_THAN_CHANCE, TOO_FEW, ClassGap, Gap, Paired
from fairexit.auditing.results import AttributeAudit, AuditResults, Facts
from fairexit.auditing.section_results import SliceSearch
from fairexit.auditing.settings import MIN_CLUSTERS
from fairexit.evaluation.policy import Policy
from fairexit.metrics.record import METRICS, main_gaps, weighted_form
from fairexit.report.answer import answers
from fairexit.report.cohort_text import cohort_line
from fairexit.report.shown_gaps import shown_gaps
from fairexit.report.theta_text import measure_text
from fairexit.report.vocabulary import (
    decimal,
    interval_text,
    label,
    listed,
    of,
    p_text,
    slice_text,
    units,
)


def permutation_note(a: AttributeAudit) -> str:
    """What the permutation test permutes, as a clause."""
    profiles = "similar" if a.approximate else "equal"
    units = "random bundles of clusters" if a.bundled else "whole clusters"
    text = f"groups of {units} are permuted among {units.split()[-1]} of {profiles} class profiles"
    text += "; the test is approximate" if a.approximate else ""
    share = f"{100 * a.stuck:.0f} % of the samples have no partner in another group and keep theirs"
    return f"{text}; {share}" if round(a.stuck, 2) else text


def policy_text(facts: Facts) -> str:
    """At which exit a sample leaves, as a clause."""
    if len(facts.exits) == 1:
        return "the model has one exit"
    policy = Policy.from_dict(facts.policy)
    thetas = policy.theta if isinstance(policy.theta, tuple) else (policy.theta,)
    if all(theta is None for theta in thetas):
        return "every sample leaves at the final exit"
    if len(thetas) == 1:
        reached = f"is {thetas[0]:g} or more"
    else:
        levels = ("none leaves" if theta is None else f"{theta:g}" for theta in thetas)
        by_exit = [f"exit {e}: {t}" for e, t in zip(facts.exits, levels, strict=False)]
        reached = f"reaches the threshold of that exit ({'; '.join(by_exit)})"
    chosen = f", chosen by rule {policy.rule} on {policy.split}" if policy.split else ""
    fallback = (
        ", otherwise at the most confident exit" if policy.fallback == "most_confident" else ""
    )
    measure = measure_text(policy)
    return (
        f"a sample leaves at the first exit whose confidence{measure} {reached}{fallback}{chosen}"
    )


def summary(audit: AuditResults) -> tuple[str, ...]:
    """The findings, the most important first."""
    return (*answers(audit), *findings(audit))


def findings(audit: AuditResults) -> tuple[str, ...]:
    """The findings without those that answer the reader's first question, in detail."""
    facts, attributes = audit.facts, audit.attributes
    lines = [measured_line(facts)]
    for a in attributes:
        lines += _gap_lines(a)
    for a in attributes:
        lines += _class_lines(a, units(facts))
        lines += _exit_lines(a)
        lines += _paired_lines(a, facts, first=a is attributes[0])
    return (*lines, *map(cohort_line, audit.cohorts), *_slice_lines(audit.slices, facts))


def measured_line(facts: Facts) -> str:
    """On how many samples the audit was measured; scripts read this line, so no separators."""
    of = units(facts)
    clusters = {
        "samples": " Each sample counts as independent.",
        "clusters": f" The column of the clusters is {facts.cluster_name}.",
    }.get(of, f" The clusters are {of} (column {facts.cluster_name}).")
    return (
        f"How it was measured: {facts.name} on {facts.n} samples ({facts.clusters} clusters). "
        f"Accuracy of all of them, whether or not their groups are known: "
        f"{interval_text(facts.accuracy)}; {100 * facts.confidence_level:.0f} % intervals stand in "
        f"brackets.{clusters}"
    )


def _gap_lines(a: AttributeAudit) -> Iterator[str]:
    main = {gap.metric: gap for gap in shown_gaps(a) if METRICS[gap.metric].main}
    for gap in main.values():
        if METRICS[gap.metric].weighted_form_of in main:
            continue  # it stands in the sentences of the plain form
        name = label(gap.metric)
        if math.isnan(gap.estimate.value):
            yield f"By {a.attribute}, {name} is not defined, because no class is in two groups."
            continue
        yield (
            f"By {a.attribute}, {name} is {interval_text(gap.estimate)}. Chance alone gives "
            f"{decimal(gap.null_mean)} on average on these samples; {_chance_text(gap)}"
            f"{_weighted_text(main.get(weighted_form(gap.metric)))}{_any_text(gap)}"
        )
    beyond = [
        g for g in shown_gaps(a) if not METRICS[g.metric].main and g.verdict == MORE_THAN_CHANCE
    ]
    if beyond:
        texts = [
            f"{label(g.metric)} {decimal(g.estimate.value)} (by chance {decimal(g.null_mean)}, "
            f"{p_text(g.p_value)})"
            for g in beyond
        ]
        yield f"By {a.attribute}, these other gaps are more than chance: {listed(texts)}."


def _weighted_text(gap: Gap | None) -> str:
    """The form of a gap that is weighted by images, as a sentence."""
    if gap is None:
        return ""
    return (
        f" With classes weighted by their number of images it is {interval_text(gap.estimate)}, "
        f"by chance {decimal(gap.null_mean)}: {gap.verdict} ({p_text(gap.p_value)})."
    )


def _any_text(gap: Gap) -> str:
    """The combined test of a gap as a sentence."""
    if math.isnan(gap.p_any):
        return ""
    return f" The combined test of a gap in any class gives {p_text(gap.p_any)}."


def _chance_text(gap: Gap) -> str:
    if gap.verdict == MORE_THAN_CHANCE:
        return f"the gap is more than chance ({p_text(gap.p_value)})."
    if math.isnan(gap.min_detectable_gap):
        return (
            f"the gap could be chance ({p_text(gap.p_value)}). Nothing can be concluded about it, "
            "because these samples would not have shown a gap of any size reliably."
        )
    return (
        f"the gap could be chance ({p_text(gap.p_value)}). This does not prove that there is no "
        "gap: the smallest gap that these samples would have shown is about "
        f"{decimal(gap.min_detectable_gap)}."
    )


def _class_lines(a: AttributeAudit, of: str) -> Iterator[str]:
    beyond = sorted(
        (c for c in a.classes if c.verdict == MORE_THAN_CHANCE), key=lambda c: c.p_adjusted
    )
    tested = sum(c.verdict != TOO_FEW for c in a.classes)
    if beyond:
        texts = [
            f"{c.name} ({label(c.rate)} {_rate(c, c.highest)}, {_rate(c, c.lowest)}, "
            f"{'corrected ' if c.tests > 1 else ''}{p_text(c.p_adjusted)})"
            for c in beyond
        ]
        yield f"By {a.attribute}, the groups differ by more than chance in: {listed(texts)}."
    elif tested:
        corrected = max(c.tests for c in a.classes)
        after = f" after correction for {corrected} tests" if corrected > 1 else ""
        yield (
            f"By {a.attribute}, the differences in every class that can be compared could be "
            f"chance{after}."
        )
    else:
        yield f"By {a.attribute}, no class has enough {of} in two groups to be compared."
    small = [c.name for c in a.classes if c.verdict == TOO_FEW and c.rate == "tpr"]
    if small:
        yield (
            f"By {a.attribute}, these classes have too few samples to be compared (fewer than "
            f"{MIN_CLUSTERS} {of} in all groups but one): {listed(small)}."
        )


def _rate(gap: ClassGap, group: str) -> str:
    rate = gap.rates[group]
    return f"{decimal(rate.value)} in {group} ({of(rate)})"


def _exit_lines(a: AttributeAudit) -> Iterator[str]:
    if a.exit_usage is None:
        return
    beyond = a.exit_usage.verdict == MORE_THAN_CHANCE
    verdict = "which is more than chance" if beyond else "which could be chance"
    yield (
        f"By {a.attribute}, the shares of one class's samples that leave at each exit differ by "
        f"{decimal(a.exit_usage.statistic)}, {verdict} (chance alone gives "
        f"{decimal(a.exit_usage.null_mean)}, {p_text(a.exit_usage.p_value)})."
    )


def _paired_lines(a: AttributeAudit, facts: Facts, *, first: bool) -> Iterator[str]:
    metrics = ["accuracy", *main_gaps()] if first else main_gaps()
    pairs = [pair for pair in a.paired if pair.metric in metrics]
    if not pairs:
        return
    seeds = len(pairs[0].values)
    over = f" (means over {seeds} seeds)" if seeds > 1 else ""
    yield (
        f"By {a.attribute}, compared with the baseline ({facts.baseline}) on the same samples"
        f"{over}: {'; '.join(map(_paired_text, pairs))}."
    )


def _paired_text(pair: Paired) -> str:
    d = pair.difference
    if math.isnan(d.low):
        verdict = "without an interval"
    elif d.low <= 0 <= d.high:
        verdict = "which could be chance"
        if not math.isnan(pair.smallest):
            verdict += f" (an improvement of {decimal(pair.smallest)} is shown in 80 of 100 cases)"
    else:
        verdict = "which is lower" if d.value < 0 else "which is higher"
    return (
        f"{label(pair.metric)} is {decimal(pair.value)} instead of {decimal(pair.baseline)}, a "
        f"difference of {interval_text(d)}, {verdict}"
    )


def left_out_lines(left_out: dict[str, str]) -> Iterator[str]:
    """The columns that the search for slices does not use, by reason."""
    by_reason: dict[str, list[str]] = {}
    for column, reason in left_out.items():
        by_reason.setdefault(reason, []).append(column)
    for reason, columns in by_reason.items():
        subject = "Columns" if len(columns) > 1 else "Column"
        yield f"{subject} not used: {listed(columns)} ({reason})."


def _slice_lines(slices: SliceSearch, facts: Facts) -> Iterator[str]:
    if not slices.searched:
        yield (
            f"No slice has the {slices.min_clusters} {units(facts)} that a search for the worst "
            "slices needs."
        )
        return
    beyond = [s for s in slices.worst if s.p_adjusted <= facts.alpha]
    if not beyond:
        yield (
            f"None of {slices.searched} slices has more errors than the other samples, weighted to "
            "the same mix of classes, beyond chance."
        )
        return
    worst = beyond[0]
    yield (
        f"The slice {slice_text(worst.values)} ({worst.n:,} samples) is the one that most clearly "
        "has more errors than the other samples, weighted to the same mix of classes: "
        f"{100 * worst.errors:.1f} % instead of {100 * worst.rest:.1f} % "
        f"({p_text(worst.p_adjusted)}, corrected for {slices.searched} slices)."
    )
