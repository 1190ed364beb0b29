"""Tables as data, and the same table for a terminal, Markdown and HTML."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

from fairexit.data.prepared import Prepared
from fairexit.data.records import SPLITS
from fairexit.evaluation.assess import Assessment
from fairexit.evaluation.evaluate import paper_table

if TYPE_CHECKING:
    from rich.table import Table as RichTable

PAPER_COLUMNS = {
    "precision": "Precision",
    "recall": "Recall",
    "f1": "F1",
    "eopp0": "Eopp0",
    "eopp1": "Eopp1",
    "eodd": "Eodd",
}


@dataclass(frozen=True)
class Table:
    """A table of ready texts; the first `names` columns are words, the others numbers."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    names: int = 1

    def to_rich(self) -> "RichTable":
        """For a terminal."""
        from rich.table import Table as RichTable
        from rich.text import Text

        table = RichTable(title=Text(self.title), title_justify="left")
        for i, column in enumerate(self.columns):
            table.add_column(Text(column), justify="left" if i < self.names else "right")
        for row in self.rows:
            table.add_row(*(Text(cell) for cell in row))
        return table

    def to_markdown(self) -> str:
        """For a document; without the title."""

        def line(cells: Sequence[str]) -> str:
            return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"

        marks = ["---" if i < self.names else "---:" for i in range(len(self.columns))]
        return "\n".join([line(self.columns), line(marks), *map(line, self.rows)]) + "\n"

    def to_html(self) -> str:
        """For a page; every text is escaped."""
        head = "".join(f'<th scope="col">{escape(c)}</th>' for c in self.columns)
        body = ""
        for row in self.rows:
            cells = "".join(
                f'<th scope="row">{escape(cell)}</th>'
                if i < self.names
                else f"<td>{escape(cell)}</td>"
                for i, cell in enumerate(row)
            )
            body += f"<tr>{cells}</tr>\n"
        return (
            f"<table><caption>{escape(self.title)}</caption>\n"
            f"<thead><tr>{head}</tr></thead>\n<tbody>\n{body}</tbody></table>"
        )


def number(value: float | None, digits: int = 3) -> str:
    """A value as tables show it: blank for None, a dash where no sample defines it."""
    if value is None:
        return ""
    return "-" if math.isnan(value) else f"{value:.{digits}f}"


def fairness_table(assessments: Sequence[Assessment]) -> Table:
    """The paper's table: for each model a row per group, Avg and Diff."""
    rows = []
    for assessment in assessments:
        for i, row in enumerate(paper_table(assessment.evaluation)):
            name = assessment.name if i == 0 else ""
            rows.append([name, row["row"], *(number(row[key]) for key in PAPER_COLUMNS)])
    group = assessments[0].group
    return Table(
        f"Accuracy and fairness by {group}", ["Model", group, *PAPER_COLUMNS.values()], rows, 2
    )


def summary_table(assessments: Sequence[Assessment]) -> Table:
    """One row per model: what stands beside the paper's table."""
    columns = ["Model", "theta", "Accuracy", "Balanced acc.", "AUROC", "Worst F1", "Eodd usual"]
    rows = []
    for a in assessments:
        e = a.evaluation
        values = (e.accuracy, e.balanced_accuracy, e.auroc, e.worst_group["f1"], e.eodd_usual)
        rows.append([a.name, theta_text(a), *map(number, values)])
    return Table("The same models in other measures", columns, rows)


def exit_table(assessment: Assessment) -> Table:
    """Who leaves where, and what would happen if everybody left there."""
    e = assessment.evaluation
    groups = list(e.exit_share)
    columns = ["Exit", *(f"{g} leave here" for g in groups), "F1", "Accuracy", "Eopp1", "Eodd"]
    rows = []
    for exit in e.exits:
        shares = [f"{100 * e.exit_share[g][exit['exit']]:.1f} %" for g in groups]
        alone = [number(exit[key]) for key in ("f1", "accuracy", "eopp1", "eodd")]
        rows.append([exit["exit"], *shares, *alone])
    title = f"{assessment.name}: shares at {theta_text(assessment)}; metrics if all left there"
    return Table(title, columns, rows)


def theta_text(assessment: Assessment) -> str:
    """Theta and how it was come by."""
    policy = assessment.evaluation.policy
    if policy.theta is None:
        return policy.rule if policy.rule == "single exit" else "final exit only"
    theta = policy.theta if isinstance(policy.theta, tuple) else (policy.theta,)
    how = f", {policy.rule} on {policy.split}" if policy.split else ""
    return f"theta {', '.join(f'{t:g}' for t in theta)}{how}"


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
    columns = ["Class", *(f"{part} {g or 'unknown'}" for part in parts for g in shown)]
    label = data.frame["label"].to_numpy(object)
    value = data.frame[attribute].astype(object).where(data.frame[attribute].notna(), None)
    counts: dict[tuple[Any, ...], int] = {}
    for key in zip(label, split, value, strict=True):
        counts[key] = counts.get(key, 0) + 1
    rows = []
    for name in data.classes:
        cells = [counts.get((name, part, g), 0) for part in parts for g in shown]
        if any(cells):
            rows.append([name, *(str(c) if c else "0 !" for c in cells)])
    absent = len(data.classes) - len(rows)
    note = f"; {absent} classes without any image not shown" if absent else ""
    return Table(f"Images by class and {attribute} (! marks an empty cell{note})", columns, rows)


def leak_table(leaks: dict[str, dict[str, Any]]) -> Table:
    """What each pair of splits shares; `leaks` as `dataset.json` holds them."""
    columns = ["Splits", "Clusters", "Images of the second in them", "Identical", "Near-duplicates"]
    rows = []
    for pair, leak in leaks.items():
        inside = f"{leak['images_in_shared_clusters']} ({100 * leak['share']:.1f} %)"
        counts = (leak["images_identical"], leak["images_near_duplicate"])
        rows.append([pair, str(leak["clusters"]), inside, *map(str, counts)])
    return Table("What the splits share", columns, rows)
