"""The paper's tables with our numbers beside the printed ones: Markdown, LaTeX, CSV."""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from fairexit.csv_files import write_csv
from fairexit.evaluation.evaluate import PRINTED_GAPS, TABLE_GAPS
from fairexit.files import write_atomically
from fairexit.metrics.rates import AVERAGES
from fairexit.metrics.record import METRICS
from fairexit.report.vocabulary import metric_name
from fairexit.runs import Run
from fairexit.study.collect import Pooled
from fairexit.study.left_out import collapse_mark
from fairexit.study.paper import Printed, common_name, paper_name
from fairexit.tables import BEST, Table

PRINTED = (*AVERAGES, *PRINTED_GAPS)
"""The metrics that the paper prints."""
COLUMNS = (*AVERAGES, *TABLE_GAPS)
"""The metrics of our tables."""
DIGITS = {"eopp0": 4}
"""Metric -> decimals where not 3; Eopp0 of many classes is tiny."""


def paper_frame(pooled: Sequence[Pooled], printed: Printed | None) -> pd.DataFrame:
    """The paper's table: for each method a row for each group, avg and diff.

    Columns: `method` (as the study calls it), `row`, `seeds`, and for each metric `<metric>`,
    `<metric>_sd`, `<metric>_paper` (if the paper prints it), `<metric>_best` (whether it is the
    best mean of the compared methods). The gaps are in the first row of a method. Methods are
    compared if they have all seeds of the table, and are neither collapsed nor inactive in all
    runs; with fewer than two of them none is the best.
    """
    by_row: dict[str, list[Pooled]] = {}
    for cell in pooled:
        by_row.setdefault(cell.row, []).append(cell)
    rows = []
    compared = {name for name, cells in by_row.items() if _is_compared(cells, pooled)}
    for name, seeds in by_row.items():
        groups = seeds[0].group_names
        if printed is not None:
            groups = tuple(sorted(groups, key=printed.groups.index))
        label = paper_name(name, seeds[0].runs[0].config.model.backbone)
        label = marked(label, row_mark(seeds))
        for row in (*groups, "avg", "diff"):
            record: dict[str, object] = {"method": label, "row": row, "seeds": len(seeds)}
            for metric in COLUMNS if row == groups[0] else AVERAGES:
                key = metric if row == "avg" or metric in TABLE_GAPS else f"{metric}/{row}"
                values = [s.values[f"{metric}_diff" if row == "diff" else key][0] for s in seeds]
                record[metric] = np.mean(values)
                record[f"{metric}_sd"] = np.std(values, ddof=1) if len(values) > 1 else np.nan
                if printed is not None and metric in PRINTED:
                    record[f"{metric}_paper"] = printed.value(common_name(name), row, metric)
            rows.append(record | {"is_compared": len(compared) > 1 and name in compared})
    return _with_best(pd.DataFrame(rows))


def row_mark(cells: Sequence[Pooled]) -> str:
    """Marks of a row: whether it has collapsed, and parts of its method without effect; or ""."""
    marks = (collapse_mark(cells), inactive([run for cell in cells for run in cell.runs]))
    return ", ".join(filter(None, marks))


def _is_compared(cells: Sequence[Pooled], pooled: Sequence[Pooled]) -> bool:
    """Whether a row can be the best: all seeds of the table, not collapsed, and not inactive."""
    all_seeds = {cell.seed for cell in cells} == {cell.seed for cell in pooled}
    without_effect = all(run.inactive for cell in cells for run in cell.runs)
    return all_seeds and not without_effect and not collapse_mark(cells)


def inactive(runs: Sequence[Run]) -> str:
    """Marks of a row whose method had almost no effect, with the number of its runs, or ""."""
    marks = Counter(mark for run in runs for mark in run.inactive)
    total = len(runs)
    texts = [m if n == total else f"{m} in {n} of {total} runs" for m, n in marks.items()]
    return ", ".join(texts)


def marked(name: str, mark: str) -> str:
    """The name, with the mark in brackets if there is one."""
    return f"{name} ({mark})" if mark else name


def _with_best(frame: pd.DataFrame) -> pd.DataFrame:
    """Mark the best mean of the compared methods: highest avg, lowest diff and gaps."""
    compared = frame.pop("is_compared")
    for metric in COLUMNS:
        best = pd.Series(False, index=frame.index)
        if metric in TABLE_GAPS:
            best |= compared & (frame[metric] == frame.loc[compared, metric].min())
        else:
            for row, pick in (("avg", "max"), ("diff", "min")):
                selected = compared & (frame["row"] == row)
                best |= selected & (frame[metric] == getattr(frame.loc[selected, metric], pick)())
        frame[f"{metric}_best"] = best
    return frame


def split_tables(
    pooled: Sequence[Pooled],
) -> tuple[list[Pooled], list[Pooled], list[Pooled]]:
    """Split cells into the table of methods, that of pairs with and without exits, and the rest."""
    names = {common_name(cell.row) for cell in pooled}
    methods: list[Pooled] = []
    pairs: list[Pooled] = []
    for cell in pooled:
        name = common_name(cell.row)
        plain = name.removeprefix("ME-")
        if name in (plain, "ME-FairPrune"):
            methods.append(cell)
        if plain != "FairPrune" and {plain, f"ME-{plain}"} <= names:
            pairs.append(cell)
    return methods, pairs, [cell for cell in pooled if cell not in methods + pairs]


def write_tables(
    pooled: Sequence[Pooled], printed: Printed | None, *, folder: Path, title: str, note: str
) -> list[tuple[Table, str]]:
    """Write the tables of a dataset as Markdown, LaTeX and CSV.

    Args:
        pooled: the cells of one dataset.
        printed: the paper's numbers for it.
        folder: folder of the files.
        title: begins the title of each table.
        note: text under each table.
    Returns:
        The tables, and the notes under them.
    """
    names = [f"table{t}" for t in printed.tables] if printed else ["methods", "exits"]
    subjects = ("methods", "with and without exits", "other rows")
    written = []
    for name, subject, part in zip([*names, "others"], subjects, split_tables(pooled), strict=True):
        if part:
            paper = None if name == "others" else printed
            frame = paper_frame(part, paper)
            number = f" (paper: Table {name.removeprefix('table')})" if paper else ""
            heading = f"{title}: {subject}{number}"
            table = markdown_table(frame, heading, part[0].group)
            text = f"# {heading}\n\n{table.to_markdown()}\n{note}\n"
            write_atomically(folder / f"{name}.md", text)
            label = f"tab:{folder.name}-{name}"
            text = latex(frame, heading, part[0].group, label=label, note=note)
            write_atomically(folder / f"{name}.tex", text)
            write_csv(folder / f"{name}.csv", frame)
            written.append((table, note))
    return written


def markdown_table(frame: pd.DataFrame, title: str, group: str) -> Table:
    """The frame as a table for Markdown and terminals; each printed number follows ours."""
    columns = ["Method", group]
    for metric in COLUMNS:
        name = metric_name(metric)
        columns += [name, "paper"] if f"{metric}_paper" in frame else [name]
    rows = []
    for _, first, row in _lines(frame):
        pairs = [_pair(row, metric, " ± ") for metric in COLUMNS]
        cells = [cell for pair in pairs for cell in pair]
        rows.append([row["method"] if first else "", row["row"], *cells])
    return Table(title, columns, rows, 2)


def latex(frame: pd.DataFrame, title: str, group: str, *, label: str, note: str) -> str:
    """The frame as a LaTeX table: best values are bold, printed ones in brackets.

    Args:
        frame: as `paper_frame` returns it.
        title: the caption.
        group: name of the sensitive attribute.
        label: what `\\ref` refers to.
        note: text under the table.
    """
    rows = []
    for _, first, row in _lines(frame):
        cells = [row["method"] if first else "", row["row"]]
        for metric in COLUMNS:
            ours, *paper = _pair(row, metric, " ± ")
            printed = f" ({paper[0]})" if paper and paper[0] else ""
            is_best = ours.endswith(BEST)
            cells.append(ours.removesuffix(BEST).rstrip() + printed + f" {BEST}" * is_best)
        rows.append(cells)
    columns = ["Method", group]
    columns += [f"{metric_name(m)} {'↑' if METRICS[m].higher_is_better else '↓'}" for m in COLUMNS]
    legend = (
        "Bold: the best mean. Arrows: whether higher or lower is better; of a row diff lower is "
        "always better. In brackets: the printed number. "
    )
    table = Table(title, columns, rows, 2)
    return table.to_latex(label, legend + note.replace("* marks", "bold is"))


def _lines(frame: pd.DataFrame) -> Iterator[tuple[int, bool, "pd.Series[Any]"]]:
    """Each row, with whether it is its method's first."""
    first = frame["method"].ne(frame["method"].shift())
    for i, row in frame.iterrows():
        yield i, bool(first[i]), row


def _pair(row: "pd.Series[Any]", metric: str, plus: str) -> list[str]:
    """Our number as text, and the printed one if the frame has printed numbers."""
    digits = DIGITS.get(metric, 3)
    ours, spread = row[metric], row[f"{metric}_sd"]
    text = "" if np.isnan(ours) else f"{ours:.{digits}f}"
    text += "" if np.isnan(spread) else f"{plus}{spread:.{digits}f}"
    text += f" {BEST}" if row[f"{metric}_best"] else ""
    if f"{metric}_paper" not in row:
        return [text]
    paper = row[f"{metric}_paper"]
    return [text, "" if paper is None or np.isnan(paper) else f"{paper:.{digits}f}"]
