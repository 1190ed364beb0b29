"""The next steps and the limits of an audit as sentences, by fixed rules from the numbers."""

import math
from collections.abc import Iterator

from fairexit.auditing.gap_results import MORE_THAN_CHANCE
from fairexit.auditing.results import AttributeAudit, AuditResults, Facts
from fairexit.auditing.settings import MIN_CLUSTERS
from fairexit.metrics.record import METRICS
from fairexit.report.findings import permutation_note
from fairexit.report.shown_gaps import shown_gaps
from fairexit.report.vocabulary import decimal, label, listed, units

MAX_DETECTABLE = 0.05
"""If the smallest detectable gap is larger, more samples are recommended."""

SKIN = ("skin", "tone", "fitzpatrick", "fst")
"""Parts of the names of attributes that describe skin."""


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
        leading = {headline.name for headline in a.headlines}
        beyond.sort(key=lambda c: (c.name not in leading, c.p_adjusted))
        worse = [f"{c.name} in {c.lowest if c.rate == 'tpr' else c.highest}" for c in beyond]
        yield f"Look at the errors, by {a.attribute}, of: {listed(list(dict.fromkeys(worse)))}."
    hidden = [
        gap
        for gap in shown_gaps(a)
        if METRICS[gap.metric].main
        and gap.verdict != MORE_THAN_CHANCE
        and not gap.min_detectable_gap <= MAX_DETECTABLE
    ]
    sizes = [(g.min_detectable_gap, label(g.metric)) for g in hidden]
    known = [size for size in sizes if not math.isnan(size[0])]
    if hidden and not known:
        yield (
            f"Measure more samples: from these, nothing can be concluded about gaps by "
            f"{a.attribute} that are not named above."
        )
    elif hidden:
        size, name = max(known)
        yield (
            f"Measure more samples before you conclude anything about {a.attribute}: a gap in "
            f"{name} of less than about {decimal(size)} could go undetected here."
        )
    small = [
        f"{'other classes than ' * (c.rate == 'fpr')}{c.name} in {group}"
        for c in a.classes
        if c.rate == "tpr" or len(a.counts[0]) == 2
        for group in c.too_small
    ]
    if small:
        yield f"Collect samples of: {listed(small)}."
    if a.dropout is not None and a.dropout.informative:
        yield f"Find out why {a.attribute} is unknown for {a.unknown:,} samples, and complete it."


def limits(audit: AuditResults) -> tuple[str, ...]:
    """The limits of the numbers."""
    facts = audit.facts
    lines = [
        "A gap that could be chance is not a gap of 0. Read it together with the smallest gap that "
        "these samples would have shown.",
        "The numbers hold for these samples and others like them, not for other clinics, cameras "
        "or mixes of disease. Labels are assumed to be correct.",
        "Within one attribute, p-values of the positive classes' true positive rates are corrected "
        "for each other, and those of all other rates of classes for each other; those of slices "
        "and of two cohorts for their number. No p-value is corrected over several attributes or "
        "several measures.",
        "The intervals of gaps, classes, slices and cohorts are not corrected for their number, "
        "except that each holds 0 exactly if its p-value says that the gap could be chance.",
        f"Samples with the same '{facts.cluster_name}' are drawn and permuted together; samples "
        "without one count as independent."
        if facts.cluster_name
        else "No clusters are known. If a lesion or patient has several images, intervals are too "
        "narrow and p-values too small.",
    ]
    lines += [f"How the table was read: {note}." for note in facts.notes]
    lines += facts.bounds
    lines += [line for a in audit.attributes for line in _attribute_limits(a, units(facts))]
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


def _attribute_limits(a: AttributeAudit, of: str) -> Iterator[str]:
    if a.approximate:
        yield f"The test of {a.attribute} is approximate: {permutation_note(a)}."
    if a.unknown:
        yield f"{a.unknown:,} samples of unknown {a.attribute} are left out of all its numbers."
    small = [group for group in a.groups if a.clusters[group] < MIN_CLUSTERS]
    if small:
        yield (
            f"These groups of {a.attribute} have fewer than {MIN_CLUSTERS} {of}, too few for "
            f"any conclusion: {listed(small)}."
        )
    two = len(a.counts[0]) == 2
    cells = [r.clusters for c in a.classes if two or c.rate == "tpr" for r in c.rates.values()]
    thin = sum(n < MIN_CLUSTERS for n in cells)
    if thin:
        yield (
            f"{thin} of {len(cells)} cells of class and {a.attribute} hold fewer than "
            f"{MIN_CLUSTERS} {of}. Such cells are not compared, and the intervals of means over "
            "classes (macro F1, recall, balanced accuracy) are too narrow because of them."
        )
    if any(word in a.attribute.lower() for word in SKIN):
        yield (
            f"{a.attribute}: a Fitzpatrick type that is read from an image is a rater's estimate, "
            "not a measurement of skin; raters disagree, most of all on the middle types."
        )


def _leaked(facts: Facts) -> bool:
    leaks = facts.dataset.get("leaks", {})
    return bool(leaks.get(f"train-{facts.split}", {}).get("clusters"))
