"""What an audit found, in plain words: fixed rules from numbers to sentences.

A gap that is not shown is never called fair; what could have been seen stands beside it.
"""

import math
from collections.abc import Iterator

import numpy as np

from fairexit.auditing.results import AttributeAudit, AuditResults, Facts, Gap, SliceSearch
from fairexit.auditing.settings import MIN_CLUSTERS
from fairexit.evaluation.evaluate import ONE_ANSWER
from fairexit.evaluation.policy import Policy
from fairexit.report.vocabulary import LABELS, interval_text, listed, p_text, slice_text

HEADLINES = ("eopp1", "eodd")
COARSE = 0.05
"""Detectable gaps above this call for more samples."""

SKIN = ("skin", "tone", "fitzpatrick", "fst")


def permutation_note(a: AttributeAudit) -> str:
    """What the test of the gaps permutes."""
    what = (
        "similar class profiles; the test is approximate"
        if a.approximate
        else "equal class profiles"
    )
    units = "random bundles of clusters" if a.bundled else "whole clusters"
    text = f"groups of {units} are permuted among {units.split()[-1]} of {what}"
    share = f"{100 * a.stuck:.0f} % of the samples have no partner in another group and stay put"
    return f"{text}; {share}" if round(a.stuck, 2) else text


def policy_text(facts: Facts) -> str:
    """Who leaves where, in words."""
    if len(facts.exits) == 1:
        return "one exit"
    policy = Policy.from_dict(facts.policy)
    if policy.theta is None:
        return "every sample leaves at the final exit"
    thetas = policy.theta if isinstance(policy.theta, tuple) else (policy.theta,)
    how = f", chosen by rule {policy.rule} on {policy.split}" if policy.split else ""
    else_ = ", else the most confident exit" if policy.fallback == "most_confident" else ""
    sure = ", ".join(f"{t:g}" for t in thetas)
    return f"first exit with confidence of {sure} or more{else_}{how}"


def summary(audit: AuditResults) -> tuple[str, ...]:
    """What was found, the most important first."""
    facts, attributes, slices = audit.facts, audit.attributes, audit.slices
    first = attributes[0].overall["accuracy"]
    lines = [
        f"Audited: {facts.name}, on {facts.n:,} samples ({facts.clusters:,} clusters); "
        f"{100 * facts.confidence_level:.0f} % intervals stand in brackets. "
        f"Accuracy: {interval_text(first)}."
    ]
    answered = np.flatnonzero(attributes[0].counts.sum((0, 1)))
    if len(answered) == 1:
        lines.append(ONE_ANSWER.format(facts.classes[answered[0]]))
    for attribute in attributes:
        lines += _gap_lines(attribute, facts)
    for attribute in attributes:
        lines += _class_lines(attribute, facts)
        lines += _leaving_lines(attribute, facts)
        lines += _paired_line(attribute, facts, attribute is attributes[0])
    lines += _slice_lines(slices, facts)
    return tuple(lines)


def _gap_lines(a: AttributeAudit, facts: Facts) -> Iterator[str]:
    gaps = {gap.metric: gap for gap in a.gaps}
    for metric in HEADLINES:
        gap = gaps[metric]
        if math.isnan(gap.estimate.value):
            yield f"By {a.attribute}: {LABELS[metric]} is not defined, no class is in two groups."
            continue
        yield (
            f"By {a.attribute}: {LABELS[metric]} is {interval_text(gap.estimate)}. Chance alone "
            f"gives {gap.floor:.3f} on average on these samples; {_chance_text(gap, facts)}"
        )
    others = [g for g in a.gaps if g.metric not in HEADLINES and g.p_value <= facts.alpha]
    if others:
        each = [
            f"{LABELS[g.metric]} {g.estimate.value:.3f} (chance {g.floor:.3f}, {p_text(g.p_value)})"
            for g in others
        ]
        yield f"By {a.attribute}, other gaps that are more than chance: {listed(each)}."


def _chance_text(gap: Gap, facts: Facts) -> str:
    if gap.p_value <= facts.alpha:
        return f"the gap is more than that ({p_text(gap.p_value)})."
    hidden = (
        "no gap of any size would have been found reliably"
        if math.isnan(gap.detectable)
        else f"a true gap below about {gap.detectable:.3f} could stay hidden here"
    )
    return (
        f"the gap is not shown to be more than that ({p_text(gap.p_value)}). This is no proof that "
        f"there is none: {hidden}."
    )


def _class_lines(a: AttributeAudit, facts: Facts) -> Iterator[str]:
    shown = sorted((c for c in a.classes if c.verdict == "difference"), key=lambda c: c.p_adjusted)
    if shown:
        each = [
            f"{c.name} ({LABELS[c.rate]} {c.rates[c.highest]:.3f} in {c.highest}, "
            f"{c.rates[c.lowest]:.3f} in {c.lowest}, corrected {p_text(c.p_adjusted)})"
            for c in shown
        ]
        yield f"By {a.attribute}, differences are shown for: {listed(each)}."
    else:
        tested = sum(c.verdict != "too small" for c in a.classes)
        yield (
            f"By {a.attribute}, no class shows a difference after correction for {tested} tests."
            if tested
            else f"By {a.attribute}, no class has enough clusters in two groups to be compared."
        )
    small = [c.name for c in a.classes if c.verdict == "too small" and c.rate == "tpr"]
    if small:
        yield (
            f"By {a.attribute}, too small to say anything (fewer than {MIN_CLUSTERS} clusters in "
            f"all groups but one): {listed(small)}."
        )


def _leaving_lines(a: AttributeAudit, facts: Facts) -> Iterator[str]:
    if a.leaving is None:
        return
    what = (
        "leave at different exits"
        if a.leaving.p_value <= facts.alpha
        else ("are not shown to leave at different exits")
    )
    yield (
        f"By {a.attribute}, samples of one class {what}: shares differ by "
        f"{a.leaving.statistic:.3f}, chance gives {a.leaving.floor:.3f} "
        f"({p_text(a.leaving.p_value)})."
    )


def _paired_line(a: AttributeAudit, facts: Facts, first: bool) -> Iterator[str]:
    told = ("accuracy", *HEADLINES) if first else HEADLINES
    found = [pair for pair in a.paired if pair.metric in told]
    if not found:
        return
    each = []
    for pair in found:
        d = pair.difference
        if math.isnan(d.low):
            verdict = "without an interval"
        elif d.low <= 0 <= d.high:
            verdict = "a difference is not shown"
        else:
            verdict = "lower" if d.value < 0 else "higher"
        each.append(
            f"{LABELS[pair.metric]} {pair.value:.3f} instead of {pair.baseline:.3f}, difference "
            f"{interval_text(d)}, {verdict}"
        )
    seeds = len(found[0].values)
    over = f", means over {seeds} seeds" if seeds > 1 else ""
    yield (
        f"By {a.attribute}, against the baseline ({facts.baseline}) on the same samples{over}: "
        f"{'; '.join(each)}."
    )


def _slice_lines(slices: SliceSearch, facts: Facts) -> Iterator[str]:
    if not slices.searched:
        yield f"No slice has the {slices.least} clusters that a search for the worst ones needs."
        return
    shown = [s for s in slices.worst if s.p_adjusted <= facts.alpha]
    if not shown:
        yield (
            f"None of {slices.searched} slices is shown to have more errors than the rest at equal "
            "mix of classes."
        )
        return
    worst = shown[0]
    yield (
        f"Most clearly worse than the rest at equal mix of classes: {slice_text(worst.values)} "
        f"({worst.n} samples), {100 * worst.errors:.1f} % errors instead of "
        f"{100 * worst.rest:.1f} % ({p_text(worst.p_adjusted)}, corrected for "
        f"{slices.searched} slices)."
    )


def next_steps(audit: AuditResults) -> tuple[str, ...]:
    """What to do, by rule."""
    facts, attributes, slices = audit.facts, audit.attributes, audit.slices
    steps = []
    for a in attributes:
        shown = [c for c in a.classes if c.verdict == "difference"]
        if shown:
            worse = list(
                dict.fromkeys(
                    f"{c.name} in {c.lowest if c.rate == 'tpr' else c.highest}" for c in shown
                )
            )
            steps.append(f"Look at the errors, by {a.attribute}, of: {listed(worse)}.")
        gaps = {gap.metric: gap for gap in a.gaps}
        eopp1 = gaps["eopp1"]
        if eopp1.p_value > facts.alpha and not eopp1.detectable <= COARSE:
            steps.append(
                f"Measure more samples before anything is concluded about {a.attribute}: gaps in "
                f"Eopp1 below {_or_any(eopp1.detectable)} could stay hidden."
            )
        thin = [c for c in a.classes if c.rate == "tpr" and c.too_small]
        if thin:
            cells = [f"{c.name} in {group}" for c in thin for group in c.too_small]
            steps.append(f"Collect samples of: {listed(cells)}.")
    if not facts.cluster_name:
        steps.append(
            "If a lesion or patient has several images, name the column that identifies it."
        )
    if _leaked(facts):
        steps.append("Split anew so that no lesion or patient is in both training and test.")
    if any(s.p_adjusted <= facts.alpha for s in slices.worst):
        steps.append("Look at the images of the worst slices before trusting an average.")
    return tuple(steps)


def limits(audit: AuditResults) -> tuple[str, ...]:
    """What the numbers cannot say."""
    facts, attributes = audit.facts, audit.attributes
    lines = [
        "A gap that is not shown is not a gap of 0. Read the smallest gap that could have been "
        "found beside it.",
        "The numbers hold for these samples and others like them, not for other clinics, cameras "
        "or mixes of disease. Labels are taken as true.",
        "P-values of classes are corrected within one attribute, those of slices for the search. "
        "Nothing is corrected over several attributes or several measures.",
    ]
    if facts.cluster_name:
        lines.append(
            f"Samples of one '{facts.cluster_name}' are drawn and permuted together; those without "
            "one count as independent."
        )
    else:
        lines.append(
            "No clusters are known. If a lesion or patient has several images, intervals are too "
            "narrow and p-values too small."
        )
    for a in attributes:
        if a.approximate:
            lines.append(f"The test of {a.attribute} is approximate: {permutation_note(a)}.")
        if a.unknown:
            lines.append(f"{a.unknown:,} samples of unknown {a.attribute} are in no number of it.")
        small = [group for group in a.groups if a.clusters[group] < MIN_CLUSTERS]
        if small:
            lines.append(
                f"Groups of {a.attribute} with fewer than {MIN_CLUSTERS} clusters say next to "
                f"nothing: {listed(small)}."
            )
        cells = [n for c in a.classes if c.rate == "tpr" for n in c.clusters.values()]
        thin = sum(n < MIN_CLUSTERS for n in cells)
        if thin:
            lines.append(
                f"{thin} of {len(cells)} cells of class and {a.attribute} hold fewer than "
                f"{MIN_CLUSTERS} clusters. Rates there, and to a lesser extent the means over "
                "classes (macro F1, recall, balanced accuracy), have intervals that are too narrow."
            )
        if any(word in a.attribute.lower() for word in SKIN):
            lines.append(
                f"{a.attribute}: a Fitzpatrick type read from an image is a rater's guess, not a "
                "measurement of skin; raters disagree, most of all in the middle types."
            )
    if facts.hard:
        lines.append("There are answers only, no probabilities: no AUROC, calibration or cut.")
    else:
        lines.append(
            "ECE is a mean of absolute differences, so chance adds to it: the value and its "
            "interval lean high."
        )
    if _leaked(facts):
        lines.append(
            "Training and test share lesions or patients, so every accuracy here is too high."
        )
    return tuple(lines)


def _or_any(gap: float) -> str:
    return "any size" if math.isnan(gap) else f"about {gap:.3f}"


def _leaked(facts: Facts) -> bool:
    leaks = facts.dataset.get("leaks", {})
    return bool(leaks.get(f"train-{facts.split}", {}).get("clusters"))
