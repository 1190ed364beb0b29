"""The first lines of a report: who is worse off, in which class, by how much, beyond chance?"""

import math
from collections.abc import Iterator

import numpy as np

from fairexit.auditing.gap_results import LARGEST, MORE_THAN_CHANCE, TOO_FEW, Gap, Headline
from fairexit.auditing.results import AttributeAudit, AuditResults, Facts
from fairexit.auditing.section_results import Dropout
from fairexit.auditing.settings import MIN_CLUSTERS
from fairexit.evaluation.evaluate import ONE_ANSWER
from fairexit.metrics.record import METRICS, weighted_form
from fairexit.report.shown_gaps import shown_gaps
from fairexit.report.vocabulary import (
    decimal,
    label,
    listed,
    of,
    p_text,
    units,
    whole_percent,
)

NO_PROOF = "which does not prove that there is no difference"


def answers(audit: AuditResults) -> tuple[str, ...]:
    """The answer for each attribute, then what a reader must know to understand it."""
    return (*headline_lines(audit), *cautions(audit))


def headline_lines(audit: AuditResults) -> tuple[str, ...]:
    """The answer for each attribute and positive class as a sentence."""
    return tuple(line for a in audit.attributes for line in _answers(a, audit.facts))


def _answers(a: AttributeAudit, facts: Facts) -> Iterator[str]:
    lines = [headline_text(headline, a.attribute, units(facts)) for headline in a.headlines]
    together = _together(a, units(facts))
    if together and not facts.positives:
        yield together
        together = ""
    yield from lines
    if together:
        yield together
    elif not lines and not any(_beyond(a)):
        yield (
            f"By {a.attribute}, nothing can be concluded: no class has at least {MIN_CLUSTERS} "
            f"{units(facts)} in two groups."
        )


def _beyond(a: AttributeAudit) -> Iterator[Gap]:
    """The main gaps that are more than chance."""
    return (g for g in shown_gaps(a) if METRICS[g.metric].main and g.verdict == MORE_THAN_CHANCE)


def _together(a: AttributeAudit, units: str) -> str:
    """What all classes show together where no class of the headlines shows it alone, else ""."""
    gaps = sorted(_beyond(a), key=lambda gap: gap.p_value)
    if not gaps or any(headline.verdict == MORE_THAN_CHANCE for headline in a.headlines):
        return ""
    text = (
        f"By {a.attribute}, over all classes together the groups differ by more than chance "
        f"({_both_forms(a, gaps[0].metric)})"
    )
    if any(c.verdict == MORE_THAN_CHANCE for c in a.classes):
        return f"{text}; the classes below show in which."
    rates = [c for c in a.classes if c.rate == "tpr"]
    small = sum(c.verdict == TOO_FEW for c in rates)
    reason = f", as {small} of {len(rates)} have too few {units}" if small else ""
    return f"{text}, but no single class can be named{reason}."


def _both_forms(a: AttributeAudit, metric: str) -> str:
    """A gap with its p-value, and its form that is weighted by images."""
    by_name = {gap.metric: gap for gap in shown_gaps(a)}
    gap = by_name[METRICS[metric].weighted_form_of or metric]
    text = f"{label(gap.metric)} {decimal(gap.estimate.value)}, {p_text(gap.p_value)}"
    other = by_name.get(weighted_form(gap.metric))
    if other is None:
        return text
    return f"{text}; by images {decimal(other.estimate.value)}, {p_text(other.p_value)}"


def headline_text(headline: Headline, attribute: str, units: str) -> str:
    """An answer as a sentence, with its verdict.

    Args:
        headline: the answer.
        attribute: the attribute of the groups.
        units: what clusters are called.
    """
    subject = f"{headline.name} by {attribute}"
    if not headline.worst:
        return f"{subject}: no group has a sample, so nothing can be concluded."
    worst, best = headline.rates[headline.worst], headline.rates[headline.best]
    done = "found in" if headline.rate == "tpr" else "of the other samples wrongly answered so in"
    text = f"{subject}: {whole_percent(worst.value)} {done} {headline.worst} ({of(worst)})"
    if headline.best == headline.worst:
        return f"{text}; no other group has a sample, so nothing can be concluded."
    text += f", {whole_percent(best.value)} in {headline.best} ({of(best)})"
    if headline.compared > 2:
        text += f", the extremes of {headline.compared} groups"
    return f"{text}; {_verdict(headline, units)}.{_left_out(headline)}"


def _verdict(headline: Headline, units: str) -> str:
    if headline.verdict == TOO_FEW:
        small = [g for g in (headline.worst, headline.best) if _small(headline, g)]
        return (
            f"too few {units} to say whether this is more than chance (fewer than {MIN_CLUSTERS} "
            f"in {' and in '.join(small)})"
        )
    p = p_text(headline.p_adjusted)
    if headline.tests > 1:
        p += f", corrected for {headline.tests} tests"
    if headline.verdict == MORE_THAN_CHANCE:
        return f"more than chance ({p})"
    return f"this could be chance ({p}), {NO_PROOF}"


def _small(headline: Headline, group: str) -> bool:
    return headline.rates[group].clusters < MIN_CLUSTERS


def _left_out(headline: Headline) -> str:
    if not headline.left_out:
        return ""
    groups = [f"{group} ({of(headline.rates[group])})" for group in headline.left_out]
    return f" Too small to be compared: {listed(groups)}."


def cautions(audit: AuditResults) -> tuple[str, ...]:
    """Which class was taken and why, answers that are all the same, and unknown groups."""
    return tuple(_cautions(audit))


def _cautions(audit: AuditResults) -> Iterator[str]:
    facts = audit.facts
    if facts.assumed_positive:
        other = next(name for name in facts.classes if name not in facts.positives)
        yield (
            f"{facts.positives[0]} is taken as the positive class of the two; to take {other} "
            "instead, name it in the setting positive."
        )
    elif any(h.chosen == LARGEST for a in audit.attributes for h in a.headlines):
        yield (
            "No positive class is named, so the class with the largest gap is shown; name the one "
            "that matters in the setting positive."
        )
    answered = np.flatnonzero(audit.attributes[0].counts.sum((0, 1)))
    if len(answered) == 1:
        yield ONE_ANSWER.format(facts.classes[answered[0]])
    for a in audit.attributes:
        if a.dropout is not None and a.dropout.informative:
            yield dropout_text(a.dropout, a.attribute, facts)


def dropout_text(dropout: Dropout, attribute: str, facts: Facts) -> str:
    """How many samples have no known group, of which classes, and whether that is chance."""
    shares = {
        name: (k / n, f"{name} {k:,} of {n:,}") for name, (k, n) in dropout.by_class.items() if n
    }
    ordered = [text for _, text in sorted(shares.values(), key=lambda share: -share[0])]
    known = f"{decimal(dropout.accuracy_known.value)} for the others"
    accuracy = f"{decimal(dropout.accuracy.value)}, {known}"
    text = (
        f"For {dropout.n:,} of {facts.n:,} samples {attribute} is unknown, so they are in no "
        f"group: {listed(ordered)}."
    )
    if not dropout.informative:
        tested = "" if math.isnan(dropout.p_accuracy) else f"; {p_text(dropout.p_accuracy)}"
        untested = " (not tested)" if math.isnan(dropout.p_accuracy) else ""
        return (
            f"{text} That their class mix ({p_text(dropout.p_mix)}) and accuracy ({accuracy}"
            f"{tested}){untested} differ from the others' could be chance, which does not prove "
            "that they are alike."
        )
    differs = []
    if dropout.p_mix <= facts.alpha:
        differs.append(f"class mix ({p_text(dropout.p_mix)})")
    if not math.isnan(dropout.p_accuracy) and dropout.p_accuracy <= facts.alpha:
        differs.append(f"accuracy ({accuracy}; {p_text(dropout.p_accuracy)})")
    return (
        f"{text} They differ from the others by more than chance in {' and '.join(differs)}, so "
        "the numbers by group may not hold for everybody."
    )
