"""The next steps and the limits of an audit as sentences, by fixed rules from the numbers."""

import math
from collections.abc import Iterator

from fairexit.auditing.results import MORE_THAN_CHANCE, AttributeAudit, AuditResults, Facts
from fairexit.auditing.settings import MIN_CLUSTERS
from fairexit.metrics.record import METRICS
from fairexit.report.findings import permutation_note
from fairexit.report.vocabulary import decimal, label, listed

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
    lines += facts.bounds
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
