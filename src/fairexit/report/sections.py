"""An audit as sections of sentences and tables, for the terminal, Markdown and notebooks."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from fairexit.auditing.slices import MAX_SLICES
from fairexit.evaluation.policy import Policy
from fairexit.report.advice import limits, next_steps
from fairexit.report.answer import answers, dropout_text
from fairexit.report.audit_tables import (
    cell_table,
    class_table,
    clinical_table,
    confusion_tables,
    exit_table,
    gap_table,
    group_table,
    overall_table,
    paired_table,
    seed_table,
    slice_table,
)
from fairexit.report.calibration_text import reliability_table, reliability_text
from fairexit.report.cohort_text import cohort_notes, cohort_tables
from fairexit.report.document import Section, document, fragment
from fairexit.report.findings import findings, left_out_lines, permutation_note, policy_text
from fairexit.report.glossary import glossary
from fairexit.report.referral_text import referral_table
from fairexit.report.theta_text import choice_lines
from fairexit.report.verdict_rows import verdict_table
from fairexit.report.vocabulary import units
from fairexit.tables import number

if TYPE_CHECKING:
    from fairexit.auditing.results import AttributeAudit, AuditResults
    from fairexit.auditing.section_results import ExitUsage


def sections(audit: "AuditResults") -> list[Section]:
    """The whole report, the most important first."""
    steps = next_steps(audit) or ("The rules derive no next step from these numbers.",)
    cells = [cell_table(a, audit.facts) for a in audit.attributes]
    return [
        Section("Summary", answers(audit)),
        Section("What to do next", steps),
        Section("Findings", findings(audit), (verdict_table(audit),)),
        *(_attribute(a, audit) for a in audit.attributes),
        *(
            Section(f"Two cohorts, by {c.attribute}", [*cohort_notes(c)], [*cohort_tables(c)])
            for c in audit.cohorts
        ),
        Section("Worst slices", (_searched(audit),), (slice_table(audit),)),
        Section("Data", tuple(_data_points(audit)), cells),
        Section("Method", tuple(_method_points(audit))),
        Section("Limits", limits(audit)),
        Section("Glossary", [f"{term}: {meaning}" for term, meaning in glossary(audit)]),
    ]


BRIEF = 3
"""Sections that the terminal shows if the report is written to a file."""


def to_markdown(audit: "AuditResults") -> str:
    """A Markdown document; names that look like markup are escaped."""
    facts = audit.facts
    title = facts.title or f"Audit of {facts.name}"
    return document(title, [f"Date: {facts.date}"], sections(audit))


def to_html(audit: "AuditResults") -> str:
    """An HTML fragment for a notebook; every text is escaped."""
    return fragment(audit.facts.title or f"Audit of {audit.facts.name}", sections(audit))


def _attribute(a: "AttributeAudit", audit: "AuditResults") -> Section:
    facts = audit.facts
    tables = [gap_table(a), group_table(a, facts), overall_table(a), class_table(a, facts)]
    if a.paired:
        tables.append(paired_table(a, facts.baseline))
    if a.seeds:
        tables.append(seed_table(a))
    tables += [clinical_table(c) for c in a.clinical]
    points = [
        f"{c.positive}: no cut was chosen, because {c.reason}." for c in a.clinical if c.reason
    ]
    if a.exit_usage is not None:
        tables.append(exit_table(a.exit_usage))
        points += _exit_points(a.exit_usage)
    if a.reliability:
        tables.append(reliability_table(a.reliability))
        points.append(reliability_text(a.reliability))
    if a.referral:
        tables.append(referral_table(a.referral))
    tables += confusion_tables(a, facts.classes)
    return Section(f"By {a.attribute}", points, tables)


def _exit_points(usage: "ExitUsage") -> Iterator[str]:
    for group, cost in usage.mean_cost.items():
        yield f"Mean cost of {group}: {number(cost)} of the full network."
    if usage.cost_reason:
        yield f"Costs are not known: {usage.cost_reason}."
    yield f"First samples to leave: {', '.join(usage.first)}."
    yield f"Last samples to leave: {', '.join(usage.last)}."


def _searched(audit: "AuditResults") -> str:
    s = audit.slices
    unused = "".join(f" {line}" for line in left_out_lines(s.left_out))
    return (
        f"Searched: {s.searched} slices of at least {s.min_clusters} {units(audit.facts)}, defined "
        f"by one or two values of {', '.join(s.attributes)}; {s.skipped} were left out (too few "
        f"samples, no class in common with the other samples, or beyond {MAX_SLICES:,} slices)."
        f"{unused}"
    )


def _data_points(audit: "AuditResults") -> Iterator[str]:
    f = audit.facts
    where = f" of split '{f.split}'" if f.split else ""
    clusters = f" {f.clusters:,} {units(f)}," if f.cluster_name else ""
    yield f"{f.n:,} samples{where},{clusters} {len(f.classes)} classes."
    for a in audit.attributes:
        empty = len(a.empty_cells)
        yield f"{a.attribute}: {a.unknown:,} samples unknown, {empty} empty cells."
        if a.dropout is not None and not a.dropout.informative:
            yield dropout_text(a.dropout, a.attribute, f)
    if f.dataset:
        d = f.dataset
        yield f"Prepared data: {d.get('name', '')} ({d.get('licence') or 'licence not stated'})."
        for reason, times in d.get("skipped", {}).items():
            yield f"Left out when the data were prepared, {reason}: {times:,}."
        for pair, leak in d.get("leaks", {}).items():
            yield f"Clusters that {pair.replace('-', ' and ')} share: {leak.get('clusters', 0):,}."


def _method_points(audit: "AuditResults") -> Iterator[str]:
    f = audit.facts
    yield f"Answers: {policy_text(f)}."
    yield from choice_lines(Policy.from_dict(f.policy))
    yield (
        f"Intervals: {100 * f.confidence_level:g} %. Of shares, k of n: exact (Clopper and Pearson "
        "1934), with the effective number of samples where clusters hold several (Korn and "
        "Graubard 1998); of a gap in one class, from both exact intervals (Newcombe 1998; Zou and "
        "Donner 2008); of other gaps and differences between groups, by inversion of the "
        "permutation test; of all other numbers, by bootstrap: "
        f"{f.n_resamples:,} draws of whole clusters within groups ({f.n_score_resamples:,} for "
        f"AUROC and calibration error), seed {f.random_state}."
    )
    yield f"Chance: {f.n_permutations:,} permutations; {permutation_note(audit.attributes[0])}."
    yield (
        "'Smallest detectable' is the smallest true gap that 80 of 100 test sets like this one "
        "would show to be more than chance."
    )
    yield (
        "Made with " + ", ".join(f"{name} {version}" for name, version in f.versions.items()) + "."
    )
