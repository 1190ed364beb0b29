"""The tables of an audit."""

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from fairexit.metrics.rates import AVERAGES
from fairexit.report.vocabulary import capital, interval_text, label, p_value, slice_text
from fairexit.tables import Table, number

if TYPE_CHECKING:
    from fairexit.auditing.results import AttributeAudit, AuditResults, Clinical, ExitUsage

MAX_MATRIX = 12
"""Number of groups and of classes up to which confusion matrices are shown."""


def gap_table(a: "AttributeAudit") -> Table:
    """The gaps, compared with what chance alone gives."""
    columns = ["Gap", "Value (interval)", "By chance alone", "95 % of chance below", "p"]
    columns += ["Corrected for chance", "Smallest detectable", "Verdict"]
    rows = [
        [
            capital(label(g.metric)),
            interval_text(g.estimate),
            number(g.null_mean),
            number(g.null_quantile),
            p_value(g.p_value),
            number(g.corrected),
            number(g.min_detectable_gap),
            g.verdict,
        ]
        for g in a.gaps
    ]
    return Table(f"Gaps by {a.attribute}, compared with chance", columns, rows)


def group_table(a: "AttributeAudit") -> Table:
    """The metrics of each group."""
    keys = list(a.by_group[a.groups[0]])
    columns = [a.attribute, "Samples", "Clusters", *(capital(label(k)) for k in keys)]
    rows = [
        [g, str(a.n[g]), str(a.clusters[g]), *(interval_text(a.by_group[g][k]) for k in keys)]
        for g in a.groups
    ]
    return Table(f"Each group of {a.attribute}", columns, rows)


def overall_table(a: "AttributeAudit") -> Table:
    """The metrics of all groups together, without the gaps."""
    gaps = {g.metric for g in a.gaps}
    rows = [
        [capital(label(key)) + ", mean of the groups" * (key in AVERAGES), interval_text(value)]
        for key, value in a.overall.items()
        if key not in gaps
    ]
    return Table(f"All groups of {a.attribute} together", ["Measure", "Value (interval)"], rows)


def class_table(a: "AttributeAudit") -> Table:
    """The gaps class by class."""
    columns = [
        "Class",
        "Rate",
        *a.groups,
        "Gap (interval)",
        "By chance alone",
        "p, corrected",
        "Verdict",
    ]
    rows = []
    for c in a.classes:
        rates = [
            f"{number(c.rates[g])} / {c.clusters[g]}{' *' if g in c.too_small else ''}"
            for g in a.groups
        ]
        p = p_value(c.p_adjusted)
        gap = "-" if math.isnan(c.estimate.value) else interval_text(c.estimate)
        verdict = [gap, number(c.null_mean), p, c.verdict]
        rows.append([c.name, label(c.rate), *rates, *verdict])
    return Table(
        f"Classes by {a.attribute}: rate / clusters behind it (* too few samples to be compared)",
        columns,
        rows,
        2,
    )


def paired_table(a: "AttributeAudit", baseline: str) -> Table:
    """The model compared with the baseline on the same samples."""
    columns = ["Measure", "Model", baseline, "Difference (interval)"]
    rows = [
        [
            capital(label(p.metric)),
            number(p.value),
            number(p.baseline),
            interval_text(p.difference),
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
        "Clusters",
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


def cell_table(a: "AttributeAudit") -> Table:
    """Samples by class and group."""
    sums = a.counts.sum(2)
    classes = list(dict.fromkeys(c.name for c in a.classes))
    cells = {c.name: c.samples for c in a.classes if c.rate == "tpr"}
    rows = [[c, *(str(cells[c][g]) if cells[c][g] else "0 !" for g in a.groups)] for c in classes]
    absent = len(sums[0]) - len(classes)
    note = f"; {absent} classes without any sample not shown" if absent else ""
    title = f"Samples by class and {a.attribute} (! marks an empty cell{note})"
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
