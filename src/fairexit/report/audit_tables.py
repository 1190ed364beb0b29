"""The tables of an audit."""

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from fairexit.metrics.rates import AVERAGES
from fairexit.report.shown_gaps import shown_gaps
from fairexit.report.vocabulary import (
    FEW,
    UNDEFINED,
    capital,
    decimal,
    few_note,
    interval_text,
    label,
    mark,
    of,
    p_value,
    slice_text,
    units,
)
from fairexit.tables import Table, number

if TYPE_CHECKING:
    from fairexit.auditing.gap_results import Proportion
    from fairexit.auditing.results import AttributeAudit, AuditResults, Facts
    from fairexit.auditing.section_results import Clinical, ExitUsage

MAX_COLUMNS = 8
"""Number of groups up to which each group has a column."""

MAX_MATRIX = 12
"""Number of groups and of classes up to which confusion matrices are shown."""


def gap_table(a: "AttributeAudit") -> Table:
    """The gaps, compared with what chance alone gives."""
    columns = ["Gap", "Value (interval)", "By chance alone", "95 % of chance below", "p"]
    columns += ["p, any class", "Corrected for chance", "Smallest detectable", "Verdict"]
    rows = [
        [
            capital(label(g.metric)),
            interval_text(g.estimate),
            number(g.null_mean),
            number(g.null_quantile),
            p_value(g.p_value),
            p_value(g.p_any),
            number(g.corrected),
            number(g.min_detectable_gap),
            g.verdict,
        ]
        for g in shown_gaps(a)
    ]
    return Table(f"Gaps by {a.attribute}, compared with chance", columns, rows)


def group_table(a: "AttributeAudit", facts: "Facts") -> Table:
    """The metrics of each group."""
    keys = list(a.by_group[a.groups[0]])
    columns = [a.attribute, "Samples", capital(units(facts)), *(capital(label(k)) for k in keys)]
    rows = [
        [
            g + mark(a.clusters[g]),
            str(a.n[g]),
            str(a.clusters[g]),
            *(interval_text(a.by_group[g][k]) for k in keys),
        ]
        for g in a.groups
    ]
    return Table(_noted(f"Each group of {a.attribute}", rows, facts), columns, rows)


def _noted(title: str, rows: Sequence[Sequence[str]], facts: "Facts") -> str:
    """The title, with the meaning of the mark of small groups if a cell has it."""
    marked = any(cell.endswith(FEW) for row in rows for cell in row)
    return f"{title} ({few_note(facts)})" if marked else title


def overall_table(a: "AttributeAudit") -> Table:
    """The metrics of all groups together, without the gaps."""
    gaps = {g.metric for g in a.gaps}
    rows = [
        [capital(label(key)) + ", mean of the groups" * (key in AVERAGES), interval_text(value)]
        for key, value in a.overall.items()
        if key not in gaps
    ]
    n = sum(a.n.values())
    return Table(
        f"All groups of {a.attribute} together, {n:,} samples",
        ["Measure", "Value (interval)"],
        rows,
    )


def class_table(a: "AttributeAudit", facts: "Facts") -> Table:
    """The gaps class by class; of many groups only the lowest and the highest are shown."""
    many = len(a.groups) > MAX_COLUMNS
    groups = ["Lowest", "Highest"] if many else [f"{g} (n = {a.n[g]:,})" for g in a.groups]
    columns = ["Class", "Rate", *groups, "Gap (interval)", "By chance alone", "p, corrected"]
    rows = []
    for c in a.classes:
        named = (
            [(g, f"{g} ") for g in (c.lowest, c.highest)] if many else [(g, "") for g in a.groups]
        )
        rates = [f"{name}{_rate(c.rates[g])}" if g else UNDEFINED for g, name in named]
        gap = UNDEFINED if math.isnan(c.estimate.value) else interval_text(c.estimate)
        verdict = [gap, number(c.null_mean), p_value(c.p_adjusted), c.verdict]
        rows.append([c.name, label(c.rate), *rates, *verdict])
    title = _noted(f"Classes by {a.attribute}", rows, facts)
    return Table(title, [*columns, "Verdict"], rows, 2)


def _rate(rate: "Proportion") -> str:
    """A rate with the samples behind it and the mark of few."""
    if math.isnan(rate.value):
        return f"{UNDEFINED}{FEW}"
    return f"{decimal(rate.value)} ({of(rate)}){mark(rate.clusters)}"


def paired_table(a: "AttributeAudit", baseline: str) -> Table:
    """The model compared with the baseline on the same samples."""
    columns = ["Measure", "Model", baseline, "Difference (interval)", "Smallest detectable"]
    rows = [
        [
            capital(label(p.metric)),
            number(p.value),
            number(p.baseline),
            interval_text(p.difference),
            number(p.smallest),
        ]
        for p in a.paired
    ]
    n_seeds = len(a.paired[0].values)
    seeds = f"{n_seeds} {'seeds' if n_seeds > 1 else 'seed'}"
    return Table(f"Comparison with the baseline by {a.attribute}, {seeds}", columns, rows)


def seed_table(a: "AttributeAudit") -> Table:
    """Every metric for each training seed."""
    seeds = len(next(iter(a.seeds.values())))
    columns = ["Measure", *(f"Seed {i + 1}" for i in range(seeds)), "Mean"]
    rows = [
        [capital(label(key)), *map(number, values), number(sum(values) / seeds)]
        for key, values in a.seeds.items()
    ]
    return Table(f"Training seeds by {a.attribute}", columns, rows)


def clinical_table(c: "Clinical") -> Table:
    """The clinical measures of one class by group."""
    keys = list(next(iter(c.groups.values())))
    cut = (
        f" ({100 * c.specificity:g} % specificity on validation: p >= {c.cut:.3g})" if c.cut else ""
    )
    rows = [
        [group, *(interval_text(values[key]) for key in keys)] for group, values in c.groups.items()
    ]
    return Table(f"{c.positive} or not{cut}", ["Group", *(capital(label(k)) for k in keys)], rows)


def exit_table(usage: "ExitUsage") -> Table:
    """The exits at which the samples of each group leave."""
    columns = ["Exit", "Group", "Samples", "Share", "Accuracy", "Cost", "Frequent errors"]
    rows = []
    for row in usage.rows:
        errors = ", ".join(f"{label} as {answer}: {n}" for label, answer, n in row.confusions)
        accuracy = interval_text(row.accuracy) if row.n else "-"
        cells = [str(row.n), interval_text(row.share), accuracy, number(row.cost), errors or "-"]
        rows.append(["final" if row.exit == "f" else row.exit, row.group, *cells])
    return Table("Exits by group", columns, rows, 2)


def slice_table(audit: "AuditResults") -> Table:
    """The worst slices."""
    columns = [
        "Slice",
        "Samples",
        capital(units(audit.facts)),
        "Errors",
        "Rest",
        "Excess (interval)",
        "p, corrected",
    ]
    rows = [
        [
            slice_text(s.values),
            str(s.n),
            str(s.clusters),
            number(s.errors),
            number(s.rest),
            interval_text(s.excess),
            p_value(s.p_adjusted),
        ]
        for s in audit.slices.worst
    ]
    return Table("Slices with the most errors beyond their mix of classes", columns, rows)


def cell_table(a: "AttributeAudit", facts: "Facts") -> Table:
    """Samples by class and group; the groups are the rows if there are many."""
    sums = a.counts.sum(2)
    occur = np.flatnonzero(sums.sum(0))
    absent = sums.shape[1] - len(occur)
    note = f"; {absent} classes without any sample not shown" if absent else ""
    title = f"Samples by class and {a.attribute} (! marks an empty cell{note})"
    classes = [facts.classes[c] for c in occur]
    cells = [[f"{n:,}" if n else "0 !" for n in row] for row in sums[:, occur].tolist()]
    if len(a.groups) > MAX_COLUMNS:
        rows = [[g, *row] for g, row in zip(a.groups, cells, strict=True)]
        return Table(title, [a.attribute, *classes], rows)
    rows = [[name, *row] for name, row in zip(classes, zip(*cells, strict=True), strict=True)]
    return Table(title, ["Class", *a.groups], rows)


def confusion_tables(a: "AttributeAudit", classes: Sequence[str]) -> Iterator[Table]:
    """The confusion matrix of each group; none if there are too many classes or groups."""
    if len(classes) > MAX_MATRIX or len(a.groups) > MAX_MATRIX:
        return
    for g, group in enumerate(a.groups):
        rows = [
            [name, *map(str, row)] for name, row in zip(classes, a.counts[g].tolist(), strict=True)
        ]
        title = f"Confusion matrix of {a.attribute} {group}: true class by answer"
        yield Table(title, ["True class", *classes], rows)
