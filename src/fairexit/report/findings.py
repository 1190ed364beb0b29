"""The findings of an audit as sentences, by fixed rules from the numbers.

A gap that could be chance is never called fair; the smallest gap that these samples could have
detected is given with it.
"""

import math
from collections.abc import Iterator

import numpy as np

from fairexit.auditing.results import (
    MORE_THAN_CHANCE,
    TOO_FEW,
    AttributeAudit,
    AuditResults,
    Facts,
    Gap,
    Paired,
    SliceSearch,
)
from fairexit.auditing.settings import MIN_CLUSTERS
from fairexit.evaluation.evaluate import ONE_ANSWER
from fairexit.evaluation.policy import Policy
from fairexit.metrics.record import METRICS, main_gaps
from fairexit.report.vocabulary import (
    decimal,
    interval_text,
    label,
    listed,
    p_text,
    slice_text,
)

MAX_DETECTABLE = 0.05
"""If the smallest detectable gap is larger, more samples are recommended."""

SKIN = ("skin", "tone", "fitzpatrick", "fst")
"""Parts of the names of attributes that describe skin."""


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
    if policy.theta is None:
        return "every sample leaves at the final exit"
    thetas = policy.theta if isinstance(policy.theta, tuple) else (policy.theta,)
    chosen = f", chosen by rule {policy.rule} on {policy.split}" if policy.split else ""
    fallback = (
        ", otherwise at the most confident exit" if policy.fallback == "most_confident" else ""
    )
    levels = ", ".join(f"{t:g}" for t in thetas)
    return (
        f"a sample leaves at the first exit whose confidence is {levels} or more{fallback}{chosen}"
    )


def summary(audit: AuditResults) -> tuple[str, ...]:
    """The findings, the most important first."""
    facts, attributes = audit.facts, audit.attributes
    lines = [
        f"This audit measured {facts.name} on {facts.n:,} samples ({facts.clusters:,} clusters); "
        f"{100 * facts.confidence_level:.0f} % intervals stand in brackets. "
        f"The accuracy is {interval_text(attributes[0].overall['accuracy'])}."
    ]
    answered = np.flatnonzero(attributes[0].counts.sum((0, 1)))
    if len(answered) == 1:
        lines.append(ONE_ANSWER.format(facts.classes[answered[0]]))
    for a in attributes:
        lines += _gap_lines(a)
    for a in attributes:
        lines += _class_lines(a)
        lines += _exit_lines(a)
        lines += _paired_lines(a, facts, first=a is attributes[0])
    return (*lines, *_slice_lines(audit.slices, facts))


def _gap_lines(a: AttributeAudit) -> Iterator[str]:
    for gap in (gap for gap in a.gaps if METRICS[gap.metric].main):
        name = label(gap.metric)
        if math.isnan(gap.estimate.value):
            yield f"By {a.attribute}, {name} is not defined, because no class is in two groups."
            continue
        yield (
            f"By {a.attribute}, {name} is {interval_text(gap.estimate)}. Chance alone gives "
            f"{decimal(gap.null_mean)} on average on these samples; {_chance_text(gap)}"
        )
    beyond = [g for g in a.gaps if not METRICS[g.metric].main and g.verdict == MORE_THAN_CHANCE]
    if beyond:
        texts = [
            f"{label(g.metric)} {decimal(g.estimate.value)} (by chance {decimal(g.null_mean)}, "
            f"{p_text(g.p_value)})"
            for g in beyond
        ]
        yield f"By {a.attribute}, these other gaps are more than chance: {listed(texts)}."


def _chance_text(gap: Gap) -> str:
    if gap.verdict == MORE_THAN_CHANCE:
        return f"the gap is more than chance ({p_text(gap.p_value)})."
    detectable = (
        "these samples would not have shown a gap of any size reliably"
        if math.isnan(gap.min_detectable_gap)
        else f"the smallest gap that these samples would have shown is about "
        f"{decimal(gap.min_detectable_gap)}"
    )
    return (
        f"the gap could be chance ({p_text(gap.p_value)}). This does not prove that there is no "
        f"gap: {detectable}."
    )


def _class_lines(a: AttributeAudit) -> Iterator[str]:
    beyond = sorted(
        (c for c in a.classes if c.verdict == MORE_THAN_CHANCE), key=lambda c: c.p_adjusted
    )
    tested = sum(c.verdict != TOO_FEW for c in a.classes)
    if beyond:
        texts = [
            f"{c.name} ({label(c.rate)} {decimal(c.rates[c.highest])} in {c.highest}, "
            f"{decimal(c.rates[c.lowest])} in {c.lowest}, corrected {p_text(c.p_adjusted)})"
            for c in beyond
        ]
        yield f"By {a.attribute}, the groups differ by more than chance in: {listed(texts)}."
    elif tested:
        yield (
            f"By {a.attribute}, the differences in every class could be chance after correction "
            f"for {tested} tests."
        )
    else:
        yield f"By {a.attribute}, no class has enough clusters in two groups to be compared."
    small = [c.name for c in a.classes if c.verdict == TOO_FEW and c.rate == "tpr"]
    if small:
        yield (
            f"By {a.attribute}, these classes have too few samples to be compared (fewer than "
            f"{MIN_CLUSTERS} clusters in all groups but one): {listed(small)}."
        )


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
    else:
        verdict = "which is lower" if d.value < 0 else "which is higher"
    return (
        f"{label(pair.metric)} is {decimal(pair.value)} instead of {decimal(pair.baseline)}, a "
        f"difference of {interval_text(d)}, {verdict}"
    )


def _slice_lines(slices: SliceSearch, facts: Facts) -> Iterator[str]:
    if not slices.searched:
        yield (
            f"No slice has the {slices.min_clusters} clusters that a search for the worst slices "
            "needs."
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


def next_steps(audit: AuditResults) -> tuple[str, ...]:
    """The recommended next steps, by fixed rules."""
    facts = audit.facts
    steps = [step for a in audit.attributes for step in _attribute_steps(a)]
    if not facts.cluster_name:
        steps.append(
            "If a lesion or patient has several images, name the column that identifies it."
        )
    if _leaked(facts):
        steps.append("Make new splits so that no lesion or patient is in both training and test.")
    if any(s.p_adjusted <= facts.alpha for s in audit.slices.worst):
        steps.append("Look at the images of the worst slices before you trust an average.")
    return tuple(steps)


def _attribute_steps(a: AttributeAudit) -> Iterator[str]:
    beyond = [c for c in a.classes if c.verdict == MORE_THAN_CHANCE]
    if beyond:
        worse = [f"{c.name} in {c.lowest if c.rate == 'tpr' else c.highest}" for c in beyond]
        yield f"Look at the errors, by {a.attribute}, of: {listed(list(dict.fromkeys(worse)))}."
    for gap in (gap for gap in a.gaps if METRICS[gap.metric].main):
        if gap.verdict != MORE_THAN_CHANCE and not gap.min_detectable_gap <= MAX_DETECTABLE:
            size = gap.min_detectable_gap
            missed = "any size" if math.isnan(size) else f"less than about {decimal(size)}"
            yield (
                f"Measure more samples before you conclude anything about {a.attribute}: a gap in "
                f"{label(gap.metric)} of {missed} could go undetected here."
            )
    small = [c for c in a.classes if c.rate == "tpr" and c.too_small]
    if small:
        cells = [f"{c.name} in {group}" for c in small for group in c.too_small]
        yield f"Collect samples of: {listed(cells)}."


def limits(audit: AuditResults) -> tuple[str, ...]:
    """The limits of the numbers."""
    facts = audit.facts
    lines = [
        "A gap that could be chance is not a gap of 0. Read it together with the smallest gap that "
        "these samples would have shown.",
        "The numbers hold for these samples and others like them, not for other clinics, cameras "
        "or mixes of disease. Labels are assumed to be correct.",
        "P-values of classes are corrected within one attribute, those of slices for the search. "
        "No p-value is corrected over several attributes or several measures.",
        f"Samples with the same '{facts.cluster_name}' are drawn and permuted together; samples "
        "without one count as independent."
        if facts.cluster_name
        else "No clusters are known. If a lesion or patient has several images, intervals are too "
        "narrow and p-values too small.",
    ]
    lines += [line for a in audit.attributes for line in _attribute_limits(a)]
    lines.append(
        "The table holds answers only, no probabilities, so there is no AUROC, calibration or cut."
        if facts.hard
        else "The calibration error is a mean of absolute differences, so chance adds to it: its "
        "value and its interval are biased upwards."
    )
    if _leaked(facts):
        lines.append(
            "Training and test share lesions or patients, so every accuracy here is too high."
        )
    return tuple(lines)


def _attribute_limits(a: AttributeAudit) -> Iterator[str]:
    if a.approximate:
        yield f"The test of {a.attribute} is approximate: {permutation_note(a)}."
    if a.unknown:
        yield f"{a.unknown:,} samples of unknown {a.attribute} are left out of all its numbers."
    small = [group for group in a.groups if a.clusters[group] < MIN_CLUSTERS]
    if small:
        yield (
            f"These groups of {a.attribute} have fewer than {MIN_CLUSTERS} clusters, too few for "
            f"any conclusion: {listed(small)}."
        )
    cells = [n for c in a.classes if c.rate == "tpr" for n in c.clusters.values()]
    thin = sum(n < MIN_CLUSTERS for n in cells)
    if thin:
        yield (
            f"{thin} of {len(cells)} cells of class and {a.attribute} hold fewer than "
            f"{MIN_CLUSTERS} clusters. Rates there, and to a lesser extent the means over classes "
            "(macro F1, recall, balanced accuracy), have intervals that are too narrow."
        )
    if any(word in a.attribute.lower() for word in SKIN):
        yield (
            f"{a.attribute}: a Fitzpatrick type that is read from an image is a rater's estimate, "
            "not a measurement of skin; raters disagree, most of all on the middle types."
        )


def _leaked(facts: Facts) -> bool:
    leaks = facts.dataset.get("leaks", {})
    return bool(leaks.get(f"train-{facts.split}", {}).get("clusters"))
