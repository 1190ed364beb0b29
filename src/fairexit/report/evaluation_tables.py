"""The tables of evaluated models and of prepared data."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from fairexit.data.prepared import Prepared
from fairexit.data.records import SPLITS
from fairexit.evaluation.assess import Assessment
from fairexit.evaluation.evaluate import TABLE_GAPS, paper_table
from fairexit.evaluation.policy import SINGLE_EXIT
from fairexit.evaluation.theta import theta_name
from fairexit.metrics.rates import AVERAGES
from fairexit.metrics.record import METRICS, main_metrics
from fairexit.predictions.confidence import MAX_PROBABILITY
from fairexit.report.vocabulary import capital, metric_name
from fairexit.tables import Table, number

MAX_CELLS = 12
"""Columns of parts and groups that are shown at most, if there are fewer classes."""


def fairness_table(assessments: Sequence[Assessment]) -> Table:
    """The paper's table: for each model one row per group, and the rows Avg and Diff."""
    rows, columns = [], (*AVERAGES, *TABLE_GAPS)
    for assessment in assessments:
        for i, row in enumerate(paper_table(assessment.evaluation)):
            name = assessment.name if i == 0 else ""
            rows.append([name, row["row"], *(number(row[key]) for key in columns)])
    group = assessments[0].group
    names = [capital(METRICS[key].label) for key in columns]
    return Table(
        f"Accuracy and fairness by {group}, as the paper prints it, and Eopp1 by images",
        ["Model", group, *names],
        rows,
        2,
    )


def summary_table(assessments: Sequence[Assessment]) -> Table:
    """The main metrics with one row per model, a supplement to the paper's table."""
    names = [*main_metrics(), "balanced_accuracy", "worst_group_f1", "auroc"]
    rows = [
        [a.name, threshold_text(a), *(number(a.evaluation.metrics[name]) for name in names)]
        for a in assessments
    ]
    columns = ["Model", "Threshold", *map(metric_name, names)]
    return Table("Each model in one line", columns, rows, 2)


def exit_table(assessment: Assessment) -> Table:
    """Share of each group that leaves at each exit, and the metrics if all samples left there."""
    e = assessment.evaluation
    groups = list(e.exit_share)
    names = main_metrics()
    columns = ["Exit", *(f"Share of {g}" for g in groups), *map(metric_name, names)]
    rows = []
    for exit in e.exits:
        shares = [f"{100 * e.exit_share[g][exit['exit']]:.1f} %" for g in groups]
        rows.append([exit["exit"], *shares, *(number(exit[name]) for name in names)])
    title = (
        f"{assessment.name}: share of each group that leaves at each exit "
        f"({threshold_text(assessment)}); metrics if all samples left at this exit"
    )
    return Table(title, columns, rows)


def threshold_text(assessment: Assessment) -> str:
    """The threshold and how it was chosen."""
    policy = assessment.evaluation.policy
    if policy.rule == SINGLE_EXIT:
        return policy.rule
    origin = f"by {policy.rule} on {policy.split}" if policy.split else policy.rule
    if policy.theta is None:
        return f"final exit only, {origin}"
    name = policy.confidence_measure
    measure = "" if name == MAX_PROBABILITY else f" of {name}"
    return f"threshold {theta_name(policy.theta).strip('()')}{measure}, {origin}"


def cell_table(data: Prepared, attribute: str, fold: int | None = None) -> Table:
    """Images by class and group in each split (or fold); empty cells are marked."""
    if "fold" in data.frame and fold is None:
        split = data.frame["fold"].map("fold {}".format).to_numpy(object)
        parts: Sequence[str] = sorted(set(split))
    else:
        split, parts = data.splits(fold), SPLITS
    groups = data.attributes[attribute]
    unknown = bool(data.frame[attribute].isna().any())
    shown: list[Any] = [*groups, None] if unknown else [*groups]
    label = data.frame["label"].to_numpy(object)
    value = data.frame[attribute].astype(object).where(data.frame[attribute].notna(), None)
    counts = Counter(zip(label, split, value, strict=True))
    classes = [name for name in data.classes if name in set(label)]
    cells = [(part, g) for part in parts for g in shown]
    rows = [[name, *(str(counts[name, *cell] or "0 !") for cell in cells)] for name in classes]
    columns = ["Class", *(f"{part} {g or 'unknown'}" for part, g in cells)]
    if len(cells) > max(MAX_CELLS, len(classes)):
        # Many groups: they are the rows.
        rows = [[*row] for row in zip(*[columns, *rows], strict=True)]
        columns, rows = [f"Part and {attribute}", *rows[0][1:]], rows[1:]
    absent = len(data.classes) - len(classes)
    note = f"; {absent} classes without any image not shown" if absent else ""
    return Table(f"Images by class and {attribute} (! marks an empty cell{note})", columns, rows)


def leak_table(leaks: dict[str, dict[str, Any]]) -> Table:
    """Clusters and images that each pair of splits shares; `leaks` as in `dataset.json`."""
    columns = ["Splits", "Clusters", "Images of the second in them", "Identical", "Near-duplicates"]
    rows = []
    for pair, leak in leaks.items():
        inside = f"{leak['images_in_shared_clusters']} ({100 * leak['share']:.1f} %)"
        counts = (leak["images_identical"], leak["images_near_duplicate"])
        rows.append([pair, str(leak["clusters"]), inside, *map(str, counts)])
    return Table("Shared between splits", columns, rows)
