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
from fairexit.latex import latex
from fairexit.metrics.rates import AVERAGES
from fairexit.report.vocabulary import metric_heading
from fairexit.runs import Run
from fairexit.study.collect import Pooled
from fairexit.study.left_out import collapse_mark
from fairexit.study.paper import Printed, common_name
from fairexit.tables import BEST, Table

PRINTED = (*AVERAGES, *PRINTED_GAPS)
"""The metrics that the paper prints."""
COLUMNS = (*AVERAGES, *TABLE_GAPS)
"""The metrics of our tables."""
DIGITS = {"eopp0": 4}
"""Metric -> decimals where not 3; Eopp0 of many classes is tiny."""


def paper_frame(pooled: Sequence[Pooled], printed: Printed | None) -> pd.DataFrame:
    """The paper's table: for each row of the study a line for each group, avg and diff.

    Columns: `row`, `mark` (see `row_mark`), `printed_as` (the paper's name of the row, if the paper
    has a table), `group` (a group, avg or diff), `seeds`, and for each metric `<metric>`,
    `<metric>_sd`, `<metric>_paper` (if the paper prints it), `<metric>_best` (whether it is the
    best mean of the compared rows). The gaps are in the first line of a row. Rows are compared if
    they have all seeds of the table, and are neither collapsed nor inactive in all runs; with fewer
    than two of them none is the best.
    """
    by_row: dict[str, list[Pooled]] = {}
    for cell in pooled:
        by_row.setdefault(cell.row, []).append(cell)
    lines = []
    compared = {name for name, cells in by_row.items() if _is_compared(cells, pooled)}
    for name, seeds in by_row.items():
        groups = seeds[0].group_names
        if printed is not None:
            groups = tuple(sorted(groups, key=printed.groups.index))
        names: dict[str, object] = {"row": name, "mark": row_mark(seeds)}
        if printed is not None:
            names["printed_as"] = printed.name(common_name(name))
        for group in (*groups, "avg", "diff"):
            record = {**names, "group": group, "seeds": len(seeds)}
            for metric in COLUMNS if group == groups[0] else AVERAGES:
                key = metric if group == "avg" or metric in TABLE_GAPS else f"{metric}/{group}"
                values = [s.values[f"{metric}_diff" if group == "diff" else key][0] for s in seeds]
                record[metric] = np.mean(values)
                record[f"{metric}_sd"] = np.std(values, ddof=1) if len(values) > 1 else np.nan
                if printed is not None and metric in PRINTED:
                    record[f"{metric}_paper"] = printed.value(common_name(name), group, metric)
            lines.append(record | {"is_compared": len(compared) > 1 and name in compared})
    return _with_best(pd.DataFrame(lines))


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
    """Mark the best mean of the compared rows: highest avg, lowest diff and gaps."""
    compared = frame.pop("is_compared")
    for metric in COLUMNS:
        best = pd.Series(False, index=frame.index)
        if metric in TABLE_GAPS:
            best |= compared & (frame[metric] == frame.loc[compared, metric].min())
        else:
            for group, pick in (("avg", "max"), ("diff", "min")):
                selected = compared & (frame["group"] == group)
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
        The tables, and the texts under them.
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
            table = paper_table(frame, heading, part[0].group)
            under = f"{legend(frame)} {note}"
            text = f"# {heading}\n\n{table.to_markdown()}\n{under}"
            write_atomically(folder / f"{name}.md", text)
            printable = paper_table(frame, heading, part[0].group, brackets=True)
            notes = [legend(frame, brackets=True), note]
            text = latex(printable, f"tab:{folder.name}-{name}", notes)
            write_atomically(folder / f"{name}.tex", text)
            write_csv(folder / f"{name}.csv", frame)
            written.append((table, under))
    return written


def paper_table(frame: pd.DataFrame, title: str, group: str, *, brackets: bool = False) -> Table:
    """The frame as a table.

    Args:
        frame: as `paper_frame` returns it.
        title: the title.
        group: name of the sensitive attribute.
        brackets: whether a printed number stands in brackets behind ours, or in a column of its
            own.
    """
    columns = ["Row", group]
    for metric in COLUMNS:
        apart = f"{metric}_paper" in frame and not brackets
        columns += [metric_heading(metric), "paper"] if apart else [metric_heading(metric)]
    rows = []
    for cells, line in _lines(frame):
        for metric in COLUMNS:
            ours, *paper = _pair(line, metric)
            if brackets:
                bold = ours.endswith(BEST)
                ours = ours.removesuffix(BEST).rstrip()
                ours += f" ({paper[0]})" if paper and paper[0] else ""
                cells.append(f"{ours} {BEST}" if bold else ours)
            else:
                cells += [ours, *paper]
        rows.append(cells)
    return Table(title, columns, rows, 2)


def legend(frame: pd.DataFrame, *, brackets: bool = False) -> str:
    """What the marks of a table say; arguments as for `paper_table`."""
    best = "In bold" if brackets else f"{BEST} marks"
    text = (
        f"{best}: the best mean of the rows that have all seeds, did not collapse and had an "
        "effect. Arrows: whether higher or lower is better; of a line diff lower is always better."
    )
    if "f1_paper" in frame:
        text += f" {'In brackets' if brackets else 'paper'}: the printed number."
    return text


def _lines(frame: pd.DataFrame) -> Iterator[tuple[list[str], "pd.Series[Any]"]]:
    """Each line with its first two cells: the row, where it begins, and the group."""
    first = frame["row"].ne(frame["row"].shift())
    for i, line in frame.iterrows():
        printed_as = line.get("printed_as", "")
        paper = f"paper: {printed_as}" if printed_as not in ("", line["row"]) else ""
        notes = ", ".join(filter(None, (paper, line["mark"])))
        yield [marked(line["row"], notes) if first[i] else "", line["group"]], line


def _pair(row: "pd.Series[Any]", metric: str) -> list[str]:
    """Our number as text, and the printed one if the frame has printed numbers."""
    digits = DIGITS.get(metric, 3)
    ours, spread = row[metric], row[f"{metric}_sd"]
    text = "" if np.isnan(ours) else f"{ours:.{digits}f}"
    text += "" if np.isnan(spread) else f" ± {spread:.{digits}f}"
    text += f" {BEST}" if row[f"{metric}_best"] else ""
    if f"{metric}_paper" not in row:
        return [text]
    paper = row[f"{metric}_paper"]
    return [text, "" if paper is None or np.isnan(paper) else f"{paper:.{digits}f}"]
